/* keys/signer_proto.h - what goes over the socketpair between signer.c (client) and signer_core.c (signer).
 *
 * Layer 3, pure. A stream of frames: 4 octets length of what follows, 1 octet type, body. All numbers big-endian. Both sides take the other
 * for hostile: every length is bounded before anything is kept, trailing octets in a frame are an error that ends the connection.
 *
 *   signer -> client   HELLO    status                                 once: unlocked and confined, or why not
 *   client -> signer   SIGN     u16 n, n operations                    at most 256 operations and 4 MiB
 *   signer -> client   SIGN     u16 n, n results                       in any order, matched by tag
 *   client -> signer   INFO | RELOAD | CHAIN   u32 tag                 JOURNAL   u32 tag, u64 after
 *   signer -> client   the same type: u32 tag, status, body
 *
 * A status is u32 error, and where that is not 0 three texts (u16 length each): rule, field, message. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "keys/signer.h"

enum {
    PROTO_REQUEST_MAX = 4 << 20,
    PROTO_REPLY_MAX = 16 << 20,
    PROTO_BATCH_MAX = 256,
    PROTO_INLINE_MAX = SIGN_INLINE_MAX, /* larger CRLs come as a sealed memfd beside the frame */
    PROTO_PROOF_MAX = 64 * 32,
    PROTO_CONTENT_MAX = 256 << 10,
    PROTO_JOURNAL_MAX = 1024, /* entries a reply */
    PROTO_HEAD = 5,
};

enum proto_type {
    PROTO_HELLO = 1,
    PROTO_SIGN,
    PROTO_INFO,
    PROTO_RELOAD,
    PROTO_JOURNAL,
    PROTO_CHAIN,
    PROTO_TYPE_END
};
enum {
    PROTO_FLAG_ADOPT = 1,
    PROTO_FLAG_MEMFD = 2,
    PROTO_FLAG_RA = 4,
    PROTO_FLAG_RESPONDER = 8,
    PROTO_FLAG_FILE =
        16, /* a CRL of any length: it is in the file beside the frame, from serial_offset on (keys/signer_crl.h) */
};

/* A cursor over a frame's body with a sticky error. */
struct proto_reader {
    const uint8_t *p, *end;
    bool failed;
};
void proto_reader_init(struct proto_reader *r, struct slice body);
uint64_t proto_read_uint(struct proto_reader *r, unsigned octets);
struct slice proto_read_bytes(struct proto_reader *r, size_t n);
/* TM_OK where everything was read and nothing is left; TM_EMALFORMED. */
tm_err proto_end(const struct proto_reader *r);

/* The head of a frame at the start of `in`. TM_OK with *ret_n whole octets (head included); TM_EPENDING: more octets are needed; TM_EMALFORMED: no
 * such type or longer than `max`. */
tm_err proto_frame(enum proto_type *ret_type, size_t *ret_n, struct slice in, size_t max);
/* Begin a frame, returning where; end it by writing its length. */
size_t proto_begin(struct buf *out, enum proto_type type);
void proto_finish(struct buf *out, size_t at);
void proto_put_uint(struct buf *out, uint64_t v, unsigned octets);
/* Status: error and, where it is one, the texts of `diag`. */
void proto_put_status(struct buf *out, tm_err err, const struct diag *diag);
tm_err proto_read_status(struct proto_reader *r, struct diag *diag);

/* One operation of a SIGN request. Slices borrow from the frame. */
struct proto_op {
    uint32_t tag;
    unsigned kind, alg, flags;
    struct slice key_id;
    uint32_t serial_offset;
    struct slice proof, content;
    struct slice tbs;  /* empty with PROTO_FLAG_MEMFD and PROTO_FLAG_FILE */
    uint64_t tbs_size; /* of the memfd, of what is in the file */
};
void proto_put_op(struct buf *out, const struct proto_op *op);
/* TM_EMALFORMED. */
tm_err proto_read_op(struct proto_reader *r, struct proto_op *ret);

/* One result of a SIGN reply. */
struct proto_result {
    uint32_t tag;
    tm_err err;
    struct diag diag;
    uint8_t serial[CERT_SERIAL_LEN];
    uint64_t seq;
    uint8_t tbs_hash[32], chain_hash[32];
    struct slice signature;
};
/* Good results have the chain's part at a fixed place, so that it can be filled in last: *ret_chain_at is where seq and chain hash stand (40 octets). */
void proto_put_good(struct buf *out, const struct proto_result *r, size_t *ret_chain_at);
void proto_put_bad(struct buf *out, uint32_t tag, tm_err err, const struct diag *diag);
tm_err proto_read_result(struct proto_reader *r, struct proto_result *ret);

void proto_put_entry(struct buf *out, const struct signer_entry *e);
tm_err proto_read_entry(struct proto_reader *r, struct signer_entry *ret);
