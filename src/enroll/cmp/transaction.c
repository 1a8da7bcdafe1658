/* What a transaction's next message has to know, as a durable row that any process reads. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "enroll/cmp/cmp.h"
#include "issue/cmp_settings.h"
#include <string.h>

enum { STATE_MAX = 1 << 20, WAITING_LIFE = 30 * 86400, UNCONFIRMED_LIFE = 365 * 86400, ID_OCTETS = 20 };

/* The row of a transaction at an endpoint; ids of other endpoints' clients don't meet. */
static tm_err row_id(const char **ret, struct cmp_exchange *x)
{
    uint8_t hash[SHA256_LEN];
    const struct slice parts[] = {slice_str(x->endpoint->name), SLICE_LIT("\0"), x->m.transaction_id};
    TM_TRY(sha256_many(hash, parts, sizeof parts / sizeof *parts));
    const char *hex = arena_hex(x->a, slice_of(hash, ID_OCTETS));
    *ret = hex ? arena_printf(x->a, "cmp-%s", hex) : NULL;
    return *ret ? TM_OK : TM_ENOMEM;
}

/* ---- the row's state: SEQUENCE { endpoint, profile, pending, credential, serial UTF8String, body, requestId + 1, confirmBy INTEGER,
 *     implicitConfirm BOOLEAN, request, last, nonce, reply, cert OCTET STRING, SEQUENCE { pop INTEGER, witness, opening OCTET STRING }
 *     OPTIONAL }. Each certificate costs such a row: it is small, so that many go into a page of the store ---- */

enum { TEXTS = 5, NUMBERS = 3, OCTETS = 5 };

static tm_err text(const char **ret, struct arena *a, struct der_reader *r)
{
    struct slice s;
    TM_TRY(der_read(r, DER_UTF8_STRING, &s));
    *ret = arena_strndup(a, (const char *)s.p, s.n);
    return *ret ? TM_OK : TM_ENOMEM;
}

/* Where possession is proven by decrypting. */
static tm_err pop_read(struct cmp_transaction *t, struct der_reader *r)
{
    struct der_reader seq;
    uint64_t pop;
    TM_TRY(der_enter(r, DER_SEQUENCE, &seq));
    TM_TRY(der_read_uint(&seq, &pop));
    TM_TRY(der_read(&seq, DER_OCTET_STRING, &t->witness));
    TM_TRY(der_read(&seq, DER_OCTET_STRING, &t->opening));
    if (pop > CMP_POP_DECRYPTED)
        return TM_ECORRUPT;
    t->pop = (enum cmp_pop)pop;
    return der_end(&seq);
}

static tm_err state_read(struct cmp_transaction *t, struct arena *a, struct der_reader *r)
{
    const char **const texts[TEXTS] = {&t->endpoint, &t->profile, &t->pending, &t->credential, &t->serial};
    struct slice *const octets[OCTETS] = {&t->request, &t->last, &t->nonce, &t->reply, &t->cert};
    uint64_t numbers[NUMBERS];
    struct der_reader seq;
    TM_TRY(der_enter(r, DER_SEQUENCE, &seq));
    for (size_t i = 0; i < TEXTS; i++)
        TM_TRY(text(texts[i], a, &seq));
    for (size_t i = 0; i < NUMBERS; i++)
        TM_TRY(der_read_uint(&seq, &numbers[i]));
    TM_TRY(der_read_bool(&seq, &t->implicit_confirm));
    for (size_t i = 0; i < OCTETS; i++)
        TM_TRY(der_read(&seq, DER_OCTET_STRING, octets[i]));
    if (!der_at_end(&seq))
        TM_TRY(pop_read(t, &seq));
    t->body = (int64_t)numbers[0];
    t->request_id = (int64_t)numbers[1] - 1;
    t->confirm_by = (int64_t)numbers[2];
    TM_TRY(der_end(&seq));
    return der_end(r);
}

tm_err cmp_transaction_read(struct cmp_transaction *ret, struct arena *a, const struct object_row *row)
{
    struct cmp_transaction t = {.row = *row, .state = CMP_T_DONE};
    struct der_reader r;
    der_reader_init(&r, row->state, NULL);
    tm_err e = state_read(&t, a, &r);
    if (e != TM_OK)
        return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
    if (row->status > CMP_T_NEW && row->status <= CMP_T_CHALLENGED)
        t.state = (enum cmp_state)row->status;
    *ret = t;
    return TM_OK;
}

static void state_write(struct der_builder *b, const struct cmp_transaction *t)
{
    const char *const texts[TEXTS] = {t->endpoint, t->profile, t->pending, t->credential, t->serial};
    const int64_t numbers[NUMBERS] = {t->body, t->request_id + 1, t->confirm_by};
    /* Of a certificate that nobody has to confirm any more it matters that there was one. */
    struct slice cert = t->state == CMP_T_DONE ? slice_sub(t->cert, 0, 1) : t->cert;
    const struct slice octets[OCTETS] = {t->request, t->last, t->nonce, t->reply, cert};
    der_open(b, DER_SEQUENCE);
    for (size_t i = 0; i < TEXTS; i++)
        der_put(b, DER_UTF8_STRING, slice_str(texts[i] ? texts[i] : ""));
    for (size_t i = 0; i < NUMBERS; i++)
        der_put_uint(b, (uint64_t)numbers[i]);
    der_put_bool(b, t->implicit_confirm);
    for (size_t i = 0; i < OCTETS; i++)
        der_put(b, DER_OCTET_STRING, octets[i]);
    if (t->pop != CMP_POP_USUAL) {
        der_open(b, DER_SEQUENCE);
        der_put_uint(b, t->pop);
        der_put(b, DER_OCTET_STRING, t->witness);
        der_put(b, DER_OCTET_STRING, t->opening);
        der_close(b);
    }
    der_close(b);
}

tm_err cmp_transaction_write(struct cmp_transaction *t, struct arena *a)
{
    struct der_builder d;
    struct buf b;
    buf_init(&b, STATE_MAX);
    der_builder_init(&d, &b);
    state_write(&d, t);
    tm_err e = der_builder_finish(&d);
    if (e == TM_OK)
        e = arena_copy(&t->row.state, a, buf_slice(&b));
    buf_done(&b);
    bool confirmable = t->state == CMP_T_UNCONFIRMED || t->state == CMP_T_OVERDUE;
    t->row.kind = OBJECT_CMP_TRANSACTION;
    t->row.status = t->state;
    t->row.due_at = confirmable ? (t->confirm_by + 1) * 1000 : 0;
    t->row.owner = t->row.key = t->row.ref = "";
    return e;
}

tm_err cmp_transaction_find(struct cmp_exchange *x)
{
    const char *id;
    TM_TRY(row_id(&id, x));
    struct store_read q = {.kind = READ_OBJECT,
                           .object_kind = OBJECT_CMP_TRANSACTION,
                           .tenant = x->endpoint->tenant,
                           .arena = x->a,
                           .name = id};
    tm_err e = store_read_now(x->house->store, &q);
    int64_t now = clock_now();
    if (e == TM_OK && q.objects[0].keep_until >= now)
        return cmp_transaction_read(&x->t, x->a, &q.objects[0]);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        x->diag = q.diag;
        return e;
    }
    x->t = (struct cmp_transaction){.state = CMP_T_NEW, .endpoint = x->endpoint->name};
    x->t.row = (struct object_row){.id = id, .created_at = now};
    /* One that is over and not cleared away yet is written over. */
    if (e == TM_OK)
        x->t.row.version = q.objects[0].version;
    return TM_OK;
}

void cmp_transaction_put(struct effect *ret, tenant_id tenant, const struct cmp_transaction *t)
{
    *ret = (struct effect){.kind = EFFECT_OBJECT_PUT,
                           .tenant = tenant,
                           .expected_version = t->row.version,
                           .u.object.row = t->row};
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

tm_err cmp_transaction_effect(struct effect *ret, struct cmp_exchange *x)
{
    struct cmp_transaction *t = &x->t;
    uint8_t hash[SHA256_LEN];
    int64_t retention = x->endpoint->cmp->retention, now = clock_now();
    TM_TRY(sha256(hash, x->m.der));
    TM_TRY(arena_copy(&t->last, x->a, SLICE_ARR(hash)));
    t->row.keep_until = later(now + (t->state == CMP_T_WAITING ? WAITING_LIFE : retention), t->remember);
    /* Who has to confirm can, however short the retention is; and what nobody confirms is found, however long the server was away. */
    if (t->state == CMP_T_UNCONFIRMED)
        t->row.keep_until = t->confirm_by + later(retention, UNCONFIRMED_LIFE);
    if (t->state == CMP_T_CHALLENGED)
        t->row.keep_until = t->confirm_by + retention;
    TM_TRY(cmp_transaction_write(t, x->a));
    cmp_transaction_put(ret, x->endpoint->tenant, t);
    return TM_OK;
}
