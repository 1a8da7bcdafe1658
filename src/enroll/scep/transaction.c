/* Transactions, as rows that any process finds (RFC 8894 3.2.1.1): what they are about, whose they are, and what came of them. Each is
 * remembered for the endpoint's retention and answered again; the row goes with the others whose time is over. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "enroll/scep/scep.h"
#include <string.h>

enum { STATE_MAX = 128 << 10 };

static tm_err hex_hash(const char **ret, struct arena *a, const struct slice *parts, size_t n)
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256_many(hash, parts, n));
    *ret = arena_hex(a, SLICE_ARR(hash));
    return *ret ? TM_OK : TM_ENOMEM;
}

/* A transactionID is the client's: the row's id is a hash over it and the endpoint. One-time challenges find theirs by a hash too. */
static tm_err make_keys(struct scep_exchange *x)
{
    struct arena *a = x->request->arena;
    const struct slice id[] = {slice_str(x->endpoint->name), SLICE_LIT("\0"), x->m->transaction_id};
    const struct slice key[] = {slice_str(x->endpoint->name), SLICE_LIT("\0challenge\0"),
                                slice_str(x->challenge ? x->challenge : "")};
    TM_TRY(hex_hash(&x->t.id, a, id, 3));
    x->t.token_key = "";
    if (x->challenge && x->challenge[0])
        TM_TRY(hex_hash(&x->t.token_key, a, key, 3));
    const struct slice body[] = {x->body};
    const struct slice nonce[] = {x->m->sender_nonce};
    TM_TRY(hex_hash(&x->t.digest, a, body, 1));
    TM_TRY(hex_hash(&x->t.nonce, a, nonce, 1));
    /* By which right it is asked. Clients take a hash of their key for the transaction's name, so that every request with the same key has the
     * same: with another challenge, or signed by a newer certificate, it is a new one all the same. */
    const struct slice right[] = {SLICE_LIT("certificate\0"), x->m->by.der};
    const struct slice *of = scep_self_signed(x->m) ? key : right;
    return hex_hash(&x->t.origin, a, of, of == key ? 3 : 2);
}

static tm_err state_read(struct scep_exchange *x, const struct object_row *row, const char **ret_nonce,
                         const char **ret_digest, bool *ret_same_origin)
{
    struct arena *a = x->request->arena;
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->state, STATE_MAX, NULL));
    const char *spki = json_string_value(json_object_get(doc, "spki")),
               *signer = json_string_value(json_object_get(doc, "signer")),
               *pending = json_string_value(json_object_get(doc, "pending")),
               *cert = json_string_value(json_object_get(doc, "certificate")),
               *nonce = json_string_value(json_object_get(doc, "nonce")),
               *digest = json_string_value(json_object_get(doc, "message")),
               *origin = json_string_value(json_object_get(doc, "origin"));
    *ret_same_origin = origin && strcmp(origin, x->t.origin) == 0;
    tm_err e = hex_decode(&x->t.spki, a, slice_str(spki ? spki : ""));
    if (e == TM_OK)
        e = hex_decode(&x->t.signer, a, slice_str(signer ? signer : ""));
    if (e == TM_OK)
        e = base64_decode(&x->t.cert, a, slice_str(cert ? cert : ""), BASE64_STD);
    x->t.pending = arena_strdup(a, pending ? pending : "");
    *ret_nonce = arena_strdup(a, nonce ? nonce : "");
    *ret_digest = arena_strdup(a, digest ? digest : "");
    json_decref(doc);
    if (e == TM_OK && (!x->t.pending || !*ret_nonce || !*ret_digest))
        e = TM_ENOMEM;
    return e;
}

tm_err scep_transaction_find(struct scep_exchange *x)
{
    const char *nonce, *digest;
    bool same_origin;
    TM_TRY(make_keys(x));
    x->t.found = false;
    x->t.version = 0;
    x->t.cert = (struct slice){0};
    x->t.pending = "";
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->request->arena,
                           .object_kind = OBJECT_SCEP_TRANSACTION,
                           .name = x->t.id};
    tm_err e = store_read_now(x->house->store, &q);
    bool by_id = e == TM_OK;
    if (e == TM_ENOTFOUND && x->t.token_key[0]) {
        q = (struct store_read){.kind = READ_OBJECT,
                                .tenant = x->endpoint->tenant,
                                .arena = x->request->arena,
                                .object_kind = OBJECT_SCEP_TRANSACTION,
                                .name2 = x->t.token_key};
        e = store_read_now(x->house->store, &q);
    }
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        x->diag = q.diag;
        return e;
    }
    const struct object_row *row = &q.objects[0];
    /* One that is over and not cleared away yet is written over. */
    if (by_id)
        x->t.version = row->version;
    if (row->keep_until && row->keep_until < clock_now())
        return TM_OK;
    TM_TRY(state_read(x, row, &nonce, &digest, &same_origin));
    /* A nonce belongs to one message: the same octets again are a repetition, others with it are not the client's. */
    if (by_id && strcmp(nonce, x->t.nonce) == 0 && strcmp(digest, x->t.digest) != 0)
        return scep_fail(x, SCEP_BAD_REQUEST, TM_EDENIED, "scep.nonce", "senderNonce",
                         "the nonce was used for another message of this transaction");
    x->t.found = true;
    if (x->csr.spki.der.n && !same_origin) {
        x->t.cert = (struct slice){0};
        x->t.pending = "";
    }
    return TM_OK;
}

static tm_err same(bool *ret, struct slice hash, struct slice spki)
{
    uint8_t own[SHA256_LEN];
    TM_TRY(sha256(own, spki));
    *ret = slice_eq(hash, SLICE_ARR(own));
    return TM_OK;
}

tm_err scep_transaction_check(struct scep_exchange *x)
{
    bool request = x->csr.spki.der.n != 0, good = true, signer = true;
    if (!x->t.found)
        return TM_OK;
    TM_TRY(same(&signer, x->t.signer, x->m->by.spki.der));
    if (request)
        TM_TRY(same(&good, x->t.spki, x->csr.spki.der));
    else if (!signer) /* the certificate may have come meanwhile, and ask with its own key */
        TM_TRY(same(&signer, x->t.spki, x->m->by.spki.der));
    if (good && signer)
        return TM_OK;
    return scep_fail(x, SCEP_BAD_REQUEST, TM_EDENIED, "scep.transaction", "transactionID",
                     "the transaction, or the one-time challenge, belongs to another key");
}

static tm_err hex_of(const char **ret, struct arena *a, struct slice octets)
{
    const struct slice parts[] = {octets};
    return hex_hash(ret, a, parts, 1);
}

static tm_err make_row(struct effect *ret, struct scep_exchange *x, const char *pending, struct slice cert)
{
    struct arena *a = x->request->arena;
    const char *spki, *signer;
    struct buf b;
    int64_t now = clock_now();
    TM_TRY(hex_of(&spki, a, x->csr.spki.der));
    TM_TRY(hex_of(&signer, a, x->m->by.spki.der));
    buf_init(&b, STATE_MAX);
    buf_printf(&b, "{\"origin\":\"%s\",\"spki\":\"%s\",\"signer\":\"%s\"", x->t.origin, spki, signer);
    buf_printf(&b, ",\"nonce\":\"%s\",\"message\":\"%s\",\"pending\":\"%s\"", x->t.nonce, x->t.digest,
               pending);
    buf_puts(&b, ",\"certificate\":\"");
    buf_put_base64(&b, cert, BASE64_STD, 0);
    buf_puts(&b, "\"}");
    *ret = (struct effect){
        .kind = EFFECT_OBJECT_PUT, .tenant = x->endpoint->tenant, .expected_version = x->t.version};
    struct object_row *row = &ret->u.object.row;
    *row = (struct object_row){.kind = OBJECT_SCEP_TRANSACTION,
                               .id = x->t.id,
                               .owner = "",
                               .key = x->issue.token_id ? x->t.token_key : "",
                               .ref = "",
                               .created_at = now,
                               .keep_until = now + x->endpoint->scep->retention};
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = arena_copy(&row->state, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

tm_err scep_transaction_also(struct issue_request *r, struct effect *ret, size_t *ret_n)
{
    struct scep_exchange *x = TM_CONTAINER(r, struct scep_exchange, issue);
    TM_TRY(make_row(ret, x, "", r->cert));
    *ret_n = 1;
    return TM_OK;
}

tm_err scep_transaction_pending(struct scep_exchange *x, const char *continuation)
{
    struct effect effect;
    /* Asked again while it waits: the row is there. */
    if (x->t.found && x->t.version && strcmp(x->t.pending, continuation) == 0)
        return TM_OK;
    TM_TRY(make_row(&effect, x, continuation, (struct slice){0}));
    return house_commit(x->house, &effect, 1, &x->diag);
}
