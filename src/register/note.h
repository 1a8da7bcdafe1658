/* register/note.h - signed notes and checkpoints (C2SP signed-note v1.0, tlog-checkpoint v1.0). Layer 3, pure.
 *
 * Keys are Ed25519 (signature type 0x01). A checkpoint body: origin, size, base64 root, then extension lines; ours are
 *   signer-chain <seq> <hex hash>      the signer's chain up to which every signature stands in this log
 *   epoch <n> <hex root of the last checkpoint before a restore>   only after a restore */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
struct arena;
struct buf;

struct checkpoint {
    const char *origin;
    uint64_t size;
    uint8_t root[32];
    bool has_chain;     /* the signer-chain line is there (written also when chain_seq is not 0) */
    uint64_t chain_seq; /* 0 when absent */
    uint8_t chain_hash[32];
    uint64_t epoch; /* 0 when absent */
    uint8_t epoch_root[32];
    struct slice body; /* the signed text, with its final newline */
};
enum { NOTE_MAX = 64 << 10, NOTE_NAME_MAX = 255, NOTE_SIGNATURES_MAX = 64 };

void checkpoint_body_build(struct buf *out, const struct checkpoint *c);
/* The body of a note, or a whole note (signatures are left for note_verify). Strict. */
tm_err checkpoint_parse(struct checkpoint *ret, struct arena *a, struct slice text, struct diag *diag);

/* Append the "— <name> <base64 keyid||sig>" line. */
void note_signature_build(struct buf *out, const char *name, const uint8_t ed25519_public[32],
                          struct slice signature);
/* Verify one Ed25519 signature of that name and key over the note. TM_EBADSIG. */
tm_err note_verify(struct slice note, const char *name, const uint8_t ed25519_public[32], struct diag *diag);
/* "<name>+<hex key id>+<base64 0x01||key>" and back. */
void note_vkey_build(struct buf *out, const char *name, const uint8_t ed25519_public[32]);
tm_err note_vkey_parse(char **ret_name, uint8_t ret_public[32], struct arena *a, struct slice vkey,
                       struct diag *diag);
