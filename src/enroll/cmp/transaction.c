/* What a transaction's next message has to know, as a durable row that any process reads. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "enroll/cmp/cmp.h"
#include "issue/cmp_settings.h"
#include <string.h>

enum { STATE_MAX = 1 << 20, WAITING_LIFE = 30 * 86400, UNCONFIRMED_LIFE = 365 * 86400, ID_OCTETS = 20 };

struct stored {
    const char *endpoint, *profile, *request, *pending, *credential, *last, *nonce, *reply, *serial, *cert;
    int64_t body, request_id, confirm_by;
    bool implicit_confirm;
};
static const struct json_field schema[] = {
    JSON_FIELD(struct stored, endpoint, JSON_K_STRING, .required = true),
    JSON_FIELD(struct stored, profile, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct stored, body, JSON_K_INT),
    JSON_FIELD(struct stored, request, JSON_K_STRING, .max = STATE_MAX, .def = ""),
    JSON_FIELD(struct stored, pending, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct stored, request_id, JSON_K_INT),
    JSON_FIELD(struct stored, implicit_confirm, JSON_K_BOOL),
    JSON_FIELD(struct stored, credential, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct stored, last, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct stored, nonce, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct stored, reply, JSON_K_STRING, .max = STATE_MAX, .def = ""),
    JSON_FIELD(struct stored, serial, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct stored, cert, JSON_K_STRING, .max = STATE_MAX, .def = ""),
    JSON_FIELD(struct stored, confirm_by, JSON_K_INT),
    {0},
};

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

static tm_err octets(struct slice *ret, struct arena *a, const char *text)
{
    return base64_decode(ret, a, slice_str(text), BASE64_STD) == TM_OK ? TM_OK : TM_ECORRUPT;
}

tm_err cmp_transaction_read(struct cmp_transaction *ret, struct arena *a, const struct acme_row *row)
{
    struct stored s = {0};
    struct diag diag = {0};
    json_t *doc = NULL;
    if (json_parse(&doc, row->state, STATE_MAX, &diag) != TM_OK)
        return TM_ECORRUPT;
    tm_err e = json_bind(&s, schema, doc, "", a, &diag);
    json_decref(doc);
    if (e != TM_OK)
        return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
    *ret = (struct cmp_transaction){.row = *row,
                                    .endpoint = s.endpoint,
                                    .profile = s.profile,
                                    .body = s.body,
                                    .pending = s.pending,
                                    .request_id = s.request_id,
                                    .implicit_confirm = s.implicit_confirm,
                                    .credential = s.credential,
                                    .serial = s.serial,
                                    .confirm_by = s.confirm_by,
                                    .state = CMP_T_DONE};
    if (row->status > CMP_T_NEW && row->status < CMP_T_DONE)
        ret->state = (enum cmp_state)row->status;
    TM_TRY(octets(&ret->request, a, s.request));
    TM_TRY(octets(&ret->last, a, s.last));
    TM_TRY(octets(&ret->nonce, a, s.nonce));
    TM_TRY(octets(&ret->reply, a, s.reply));
    return octets(&ret->cert, a, s.cert);
}

static void put(struct buf *b, const char *key, const char *value)
{
    buf_putc(b, b->n > 1 ? ',' : ' ');
    buf_put_json_string(b, slice_str(key));
    buf_putc(b, ':');
    buf_put_json_string(b, slice_str(value ? value : ""));
}

static void put_octets(struct buf *b, const char *key, struct slice value)
{
    if (value.n == 0)
        return;
    buf_printf(b, ",\"%s\":\"", key);
    buf_put_base64(b, value, BASE64_STD, 0);
    buf_putc(b, '"');
}

tm_err cmp_transaction_write(struct cmp_transaction *t, struct arena *a)
{
    struct buf b;
    buf_init(&b, STATE_MAX);
    buf_putc(&b, '{');
    put(&b, "endpoint", t->endpoint);
    put(&b, "profile", t->profile);
    put(&b, "pending", t->pending);
    put(&b, "credential", t->credential);
    put(&b, "serial", t->serial);
    buf_printf(&b, ",\"body\":%lld,\"request_id\":%lld,\"confirm_by\":%lld,\"implicit_confirm\":%s",
               (long long)t->body, (long long)t->request_id, (long long)t->confirm_by,
               t->implicit_confirm ? "true" : "false");
    put_octets(&b, "request", t->request);
    put_octets(&b, "last", t->last);
    put_octets(&b, "nonce", t->nonce);
    put_octets(&b, "reply", t->reply);
    put_octets(&b, "cert", t->cert);
    buf_putc(&b, '}');
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = arena_copy(&t->row.state, a, buf_slice(&b));
    buf_done(&b);
    bool confirmable = t->state == CMP_T_UNCONFIRMED || t->state == CMP_T_OVERDUE;
    t->row.kind = ROW_CMP_TRANSACTION;
    t->row.status = t->state;
    t->row.due_at = confirmable ? (t->confirm_by + 1) * 1000 : 0;
    t->row.owner = t->endpoint;
    t->row.key = t->row.ref = "";
    return e;
}

tm_err cmp_transaction_find(struct cmp_exchange *x)
{
    const char *id;
    TM_TRY(row_id(&id, x));
    struct store_read q = {.kind = READ_ACME,
                           .acme_kind = ROW_CMP_TRANSACTION,
                           .tenant = x->endpoint->tenant,
                           .arena = x->a,
                           .name = id};
    tm_err e = store_read_now(x->house->store, &q);
    int64_t now = clock_now();
    if (e == TM_OK && q.acme[0].keep_until >= now)
        return cmp_transaction_read(&x->t, x->a, &q.acme[0]);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        x->diag = q.diag;
        return e;
    }
    x->t = (struct cmp_transaction){.state = CMP_T_NEW, .endpoint = x->endpoint->name};
    x->t.row = (struct acme_row){.id = id, .created_at = now};
    /* One that is over and not cleared away yet is written over. */
    if (e == TM_OK)
        x->t.row.version = q.acme[0].version;
    return TM_OK;
}

void cmp_transaction_put(struct effect *ret, tenant_id tenant, const struct cmp_transaction *t)
{
    *ret = (struct effect){
        .kind = EFFECT_ACME_PUT, .tenant = tenant, .expected_version = t->row.version, .u.acme.row = t->row};
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
    t->reply = x->reply;
    t->row.keep_until = later(now + (t->state == CMP_T_WAITING ? WAITING_LIFE : retention), t->remember);
    /* Who has to confirm can, however short the retention is; and what nobody confirms is found, however long the server was away. */
    if (t->state == CMP_T_UNCONFIRMED)
        t->row.keep_until = t->confirm_by + later(retention, UNCONFIRMED_LIFE);
    TM_TRY(cmp_transaction_write(t, x->a));
    cmp_transaction_put(ret, x->endpoint->tenant, t);
    return TM_OK;
}
