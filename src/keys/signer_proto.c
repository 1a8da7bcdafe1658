#include "keys/signer_proto.h"

enum { TEXT_MAX = 512 };

void proto_reader_init(struct proto_reader *r, struct slice body)
{
    *r = (struct proto_reader){.p = body.p, .end = body.n ? body.p + body.n : body.p};
}

struct slice proto_read_bytes(struct proto_reader *r, size_t n)
{
    if (r->failed || (size_t)(r->end - r->p) < n) {
        r->failed = true;
        return (struct slice){0};
    }
    struct slice s = slice_of(n ? r->p : NULL, n);
    r->p += n;
    return s;
}

uint64_t proto_read_uint(struct proto_reader *r, unsigned octets)
{
    struct slice s = proto_read_bytes(r, octets);
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | s.p[i];
    return v;
}

tm_err proto_end(const struct proto_reader *r)
{
    return r->failed || r->p != r->end ? TM_EMALFORMED : TM_OK;
}

static uint64_t get_uint(const uint8_t *p, unsigned octets)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < octets; i++)
        v = v << 8 | p[i];
    return v;
}

static void set_uint(uint8_t *p, uint64_t v, unsigned octets)
{
    for (unsigned i = 0; i < octets; i++)
        p[i] = (uint8_t)(v >> (8 * (octets - 1 - i)));
}

tm_err proto_frame(enum proto_type *ret_type, size_t *ret_n, struct slice in, size_t max)
{
    if (in.n < PROTO_HEAD)
        return TM_EPENDING;
    size_t n = (size_t)get_uint(in.p, 4);
    unsigned type = in.p[4];
    if (n < 1 || n > max || type < PROTO_HELLO || type >= PROTO_TYPE_END)
        return TM_EMALFORMED;
    *ret_type = (enum proto_type)type;
    *ret_n = n + 4;
    return in.n < n + 4 ? TM_EPENDING : TM_OK;
}

void proto_put_uint(struct buf *out, uint64_t v, unsigned octets)
{
    uint8_t *p = buf_extend(out, octets);
    if (p)
        set_uint(p, v, octets);
}

size_t proto_begin(struct buf *out, enum proto_type type)
{
    size_t at = out->n;
    proto_put_uint(out, 0, 4);
    buf_putc(out, (uint8_t)type);
    return at;
}

void proto_finish(struct buf *out, size_t at)
{
    if (buf_err(out) == TM_OK)
        set_uint(out->p + at, out->n - at - 4, 4);
}

static void put_text(struct buf *out, const char *s)
{
    proto_put_uint(out, strlen(s), 2);
    buf_puts(out, s);
}

void proto_put_status(struct buf *out, tm_err err, const struct diag *diag)
{
    static const struct diag none;
    proto_put_uint(out, (uint32_t)err, 4);
    if (err == TM_OK)
        return;
    if (!diag)
        diag = &none;
    put_text(out, diag->rule);
    put_text(out, diag->field);
    put_text(out, diag->message);
    proto_put_uint(out, diag->offset, 8);
}

static void read_text(struct proto_reader *r, char *out, size_t size)
{
    size_t n = (size_t)proto_read_uint(r, 2);
    if (n > TEXT_MAX)
        r->failed = true;
    struct slice s = proto_read_bytes(r, n);
    if (s.n >= size)
        s.n = size - 1;
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

tm_err proto_read_status(struct proto_reader *r, struct diag *diag)
{
    struct diag d = {0};
    tm_err err = (tm_err)proto_read_uint(r, 4);
    if (r->failed)
        return TM_EMALFORMED;
    if (err == TM_OK)
        return TM_OK;
    read_text(r, d.rule, sizeof d.rule);
    read_text(r, d.field, sizeof d.field);
    read_text(r, d.message, sizeof d.message);
    d.offset = (size_t)proto_read_uint(r, 8);
    if (r->failed)
        return TM_EMALFORMED;
    if (diag)
        *diag = d;
    return err;
}

/* ---- operations ---- */

void proto_put_op(struct buf *out, const struct proto_op *op)
{
    proto_put_uint(out, op->tag, 4);
    buf_putc(out, (uint8_t)op->kind);
    buf_putc(out, (uint8_t)op->alg);
    buf_putc(out, (uint8_t)op->flags);
    buf_putc(out, (uint8_t)op->key_id.n);
    buf_put_slice(out, op->key_id);
    proto_put_uint(out, op->serial_offset, 4);
    proto_put_uint(out, op->proof.n, 2);
    buf_put_slice(out, op->proof);
    proto_put_uint(out, op->content.n, 4);
    buf_put_slice(out, op->content);
    bool beside = op->flags & (PROTO_FLAG_MEMFD | PROTO_FLAG_FILE);
    proto_put_uint(out, beside ? op->tbs_size : op->tbs.n, 8);
    if (!beside)
        buf_put_slice(out, op->tbs);
}

tm_err proto_read_op(struct proto_reader *r, struct proto_op *ret)
{
    struct proto_op op = {0};
    op.tag = (uint32_t)proto_read_uint(r, 4);
    op.kind = (unsigned)proto_read_uint(r, 1);
    op.alg = (unsigned)proto_read_uint(r, 1);
    op.flags = (unsigned)proto_read_uint(r, 1);
    op.key_id = proto_read_bytes(r, (size_t)proto_read_uint(r, 1));
    op.serial_offset = (uint32_t)proto_read_uint(r, 4);
    op.proof = proto_read_bytes(r, (size_t)proto_read_uint(r, 2));
    op.content = proto_read_bytes(r, (size_t)proto_read_uint(r, 4));
    op.tbs_size = proto_read_uint(r, 8);
    if (r->failed || op.kind >= SIGN_KIND_COUNT || op.alg >= SIG_ALG_COUNT ||
        (op.flags & ~(unsigned)(PROTO_FLAG_ADOPT | PROTO_FLAG_MEMFD | PROTO_FLAG_RA | PROTO_FLAG_RESPONDER |
                                PROTO_FLAG_FILE)) ||
        op.key_id.n > 63 || op.proof.n > PROTO_PROOF_MAX || op.content.n > PROTO_CONTENT_MAX)
        return TM_EMALFORMED;
    if (!(op.flags & (PROTO_FLAG_MEMFD | PROTO_FLAG_FILE))) {
        if (op.tbs_size > PROTO_INLINE_MAX)
            return TM_EMALFORMED;
        op.tbs = proto_read_bytes(r, (size_t)op.tbs_size);
        if (r->failed)
            return TM_EMALFORMED;
    }
    *ret = op;
    return TM_OK;
}

/* ---- results ---- */

void proto_put_good(struct buf *out, const struct proto_result *r, size_t *ret_chain_at)
{
    proto_put_uint(out, r->tag, 4);
    proto_put_uint(out, TM_OK, 4);
    buf_put(out, r->serial, sizeof r->serial);
    buf_put(out, r->tbs_hash, sizeof r->tbs_hash);
    *ret_chain_at = out->n;
    proto_put_uint(out, r->seq, 8);
    buf_put(out, r->chain_hash, sizeof r->chain_hash);
    proto_put_uint(out, r->signature.n, 2);
    buf_put_slice(out, r->signature);
}

void proto_put_bad(struct buf *out, uint32_t tag, tm_err err, const struct diag *diag)
{
    proto_put_uint(out, tag, 4);
    proto_put_status(out, err, diag);
}

static void read_fixed(struct proto_reader *r, uint8_t *out, size_t n)
{
    struct slice s = proto_read_bytes(r, n);
    if (s.n)
        memcpy(out, s.p, s.n);
}

tm_err proto_read_result(struct proto_reader *r, struct proto_result *ret)
{
    ret->tag = (uint32_t)proto_read_uint(r, 4);
    diag_clear(&ret->diag);
    ret->err = proto_read_status(r, &ret->diag);
    if (ret->err == TM_OK) {
        read_fixed(r, ret->serial, sizeof ret->serial);
        read_fixed(r, ret->tbs_hash, sizeof ret->tbs_hash);
        ret->seq = proto_read_uint(r, 8);
        read_fixed(r, ret->chain_hash, sizeof ret->chain_hash);
        ret->signature = proto_read_bytes(r, (size_t)proto_read_uint(r, 2));
        if (ret->signature.n > sizeof((struct sign_op *)0)->signature)
            r->failed = true;
    }
    return r->failed ? TM_EMALFORMED : TM_OK;
}

/* ---- journal entries ---- */

void proto_put_entry(struct buf *out, const struct signer_entry *e)
{
    proto_put_uint(out, e->seq, 8);
    buf_putc(out, (uint8_t)e->kind);
    proto_put_uint(out, (uint64_t)e->time, 8);
    buf_put(out, e->key_id, sizeof e->key_id);
    buf_put(out, e->serial, sizeof e->serial);
    buf_put(out, e->tbs_hash, sizeof e->tbs_hash);
}

tm_err proto_read_entry(struct proto_reader *r, struct signer_entry *ret)
{
    ret->seq = proto_read_uint(r, 8);
    unsigned kind = (unsigned)proto_read_uint(r, 1);
    ret->kind = (enum sign_kind)kind;
    ret->time = (int64_t)proto_read_uint(r, 8);
    read_fixed(r, (uint8_t *)ret->key_id, sizeof ret->key_id);
    read_fixed(r, ret->serial, sizeof ret->serial);
    read_fixed(r, ret->tbs_hash, sizeof ret->tbs_hash);
    ret->key_id[sizeof ret->key_id - 1] = '\0';
    return r->failed || kind >= SIGN_KIND_COUNT ? TM_EMALFORMED : TM_OK;
}
