/* The stream between server and signer, read by either side. What an operation or a result decodes to must encode to the same octets.
 * Parser: keys/signer_proto.c */
#include "keys/signer_proto.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void same(struct buf *out, const uint8_t *from, const struct proto_reader *r)
{
    check(buf_err(out) == TM_OK && slice_eq(buf_slice(out), slice_of(from, (size_t)(r->p - from))));
    buf_reset(out);
}

static void fuzz_ops(struct slice body, struct buf *out)
{
    struct proto_reader r;
    struct proto_op op;
    proto_reader_init(&r, body);
    proto_read_uint(&r, 2);
    for (const uint8_t *from = r.p; proto_read_op(&r, &op) == TM_OK; from = r.p) {
        check(op.tbs.n <= PROTO_INLINE_MAX && op.proof.n <= PROTO_PROOF_MAX &&
              op.content.n <= PROTO_CONTENT_MAX && op.kind < SIGN_KIND_COUNT);
        proto_put_op(out, &op);
        same(out, from, &r);
    }
}

static void fuzz_results(struct slice body, struct buf *out)
{
    struct proto_reader r;
    struct proto_result result;
    proto_reader_init(&r, body);
    proto_read_uint(&r, 2);
    for (const uint8_t *from = r.p; proto_read_result(&r, &result) == TM_OK; from = r.p) {
        if (result.err != TM_OK) { /* texts are cut to fit, so only what was cut comes back the same */
            struct proto_reader again;
            struct proto_result back;
            proto_put_bad(out, result.tag, result.err, &result.diag);
            proto_reader_init(&again, buf_slice(out));
            check(proto_read_result(&again, &back) == TM_OK && proto_end(&again) == TM_OK &&
                  back.err == result.err && strcmp(back.diag.message, result.diag.message) == 0);
            buf_reset(out);
            continue;
        }
        size_t at;
        proto_put_good(out, &result, &at);
        same(out, from, &r);
    }
}

static void fuzz_entries(struct slice body, struct buf *out)
{
    struct proto_reader r;
    struct signer_entry e;
    proto_reader_init(&r, body);
    while (proto_read_entry(&r, &e) == TM_OK) {
        check(memchr(e.key_id, 0, sizeof e.key_id) != NULL);
        proto_put_entry(out, &e);
        buf_reset(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct buf out;
    struct diag diag;
    buf_init(&out, PROTO_REPLY_MAX);
    for (;;) {
        enum proto_type type;
        size_t n = 0;
        if (proto_frame(&type, &n, rest, PROTO_REQUEST_MAX) != TM_OK)
            break;
        check(n >= PROTO_HEAD && n <= rest.n);
        struct slice body = slice_sub(rest, PROTO_HEAD, n - PROTO_HEAD);
        fuzz_ops(body, &out);
        fuzz_results(body, &out);
        fuzz_entries(body, &out);
        struct proto_reader r;
        proto_reader_init(&r, body);
        TM_IGNORE(proto_read_status(&r, &diag));
        proto_read_bytes(&r, (size_t)(r.end - r.p));
        check(r.failed || proto_end(&r) == TM_OK);
        size_t again = 0, at = proto_begin(&out, type);
        buf_put_slice(&out, body);
        proto_finish(&out, at);
        check(proto_frame(&type, &again, buf_slice(&out), PROTO_REQUEST_MAX) == TM_OK && again == n);
        buf_reset(&out);
        rest = slice_sub(rest, n, rest.n);
    }
    buf_done(&out);
    return 0;
}
