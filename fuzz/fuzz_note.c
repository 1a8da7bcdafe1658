/* Signed notes, checkpoints and verifier keys: what is taken is written back the same.
 * Parser: register/note.c -note_vkey_build -note_signature_build -checkpoint_body_build */
#include "base/arena.h"
#include "base/buf.h"
#include "register/note.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The key of tests/data/register/vectors.json, so that a corpus can hold notes that verify. */
static const uint8_t key[32] = {0x03, 0xa1, 0x07, 0xbf, 0xf3, 0xce, 0x10, 0xbe, 0x1d, 0x70, 0xdd,
                                0x18, 0xe7, 0x4b, 0xc0, 0x99, 0x67, 0xe4, 0xd6, 0x30, 0x9b, 0xa5,
                                0x0d, 0x5f, 0x1d, 0xdc, 0x86, 0x64, 0x12, 0x55, 0x31, 0xb8};

/* Known lines in our order give the same text again; unknown ones are dropped, then what is left must parse to the same. */
static void fuzz_checkpoint(struct arena *a, struct slice text)
{
    struct checkpoint c, again;
    struct diag diag = {0};
    if (checkpoint_parse(&c, a, text, &diag) != TM_OK)
        return;
    struct buf b;
    buf_init(&b, NOTE_MAX);
    checkpoint_body_build(&b, &c);
    if (buf_err(&b) != TM_OK || b.n > c.body.n ||
        checkpoint_parse(&again, a, buf_slice(&b), &diag) != TM_OK || strcmp(c.origin, again.origin) != 0 ||
        c.size != again.size || c.has_chain != again.has_chain || c.chain_seq != again.chain_seq ||
        c.epoch != again.epoch || memcmp(c.root, again.root, 32) != 0)
        abort();
    buf_done(&b);
    TM_IGNORE(note_verify(text, c.origin, key, &diag));
}

static void fuzz_vkey(struct arena *a, struct slice text)
{
    char *name;
    uint8_t public[32];
    if (note_vkey_parse(&name, public, a, text, NULL) != TM_OK)
        return;
    struct buf b;
    buf_init(&b, 4096);
    note_vkey_build(&b, name, public);
    if (!slice_eq(buf_slice(&b), slice_trim(text)))
        abort();
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct slice text = slice_of(data, size);
    if (!a)
        return 0;
    fuzz_checkpoint(a, text);
    fuzz_vkey(a, text);
    TM_IGNORE(note_verify(text, "pki.example.org/touchmark/1", key, NULL));
    arena_free(a);
    return 0;
}
