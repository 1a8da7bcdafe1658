#include "register/note.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/text.h"
#include <inttypes.h>
#include <openssl/evp.h>

enum { KEY_ID = 4, ED25519_PUBLIC = 32, ED25519_SIGNATURE = 64 };

static const uint8_t signature_type_ed25519 = 0x01; /* C2SP signed-note, "Signature types" */

static const char rule_note[] = "C2SP signed-note v1.0";
static const char rule_checkpoint[] = "C2SP tlog-checkpoint v1.0";

/* ---- small strict readers ---- */

/* The next line without its newline; *text moves past it. False when there is no whole line left. */
static bool line_next(struct slice *ret, struct slice *text)
{
    const uint8_t *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
    if (!end)
        return false;
    size_t n = (size_t)(end - text->p);
    *ret = slice_of(text->p, n);
    *text = slice_sub(*text, n + 1, text->n);
    return true;
}

/* The word before the next space; *text moves past the space. The last word ends with the text. */
static struct slice word_next(struct slice *text)
{
    const uint8_t *end = text->n ? memchr(text->p, ' ', text->n) : NULL;
    size_t n = end ? (size_t)(end - text->p) : text->n;
    struct slice word = slice_of(text->p, n);
    *text = end ? slice_sub(*text, n + 1, text->n) : slice_sub(*text, text->n, 0);
    return word;
}

/* ASCII decimal without leading zeros, at most 2^63 - 1. */
static bool decimal(uint64_t *ret, struct slice s)
{
    if (s.n == 0 || s.n > 19 || (s.n > 1 && s.p[0] == '0'))
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    if (v > INT64_MAX)
        return false;
    *ret = v;
    return true;
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Exactly n octets in padded base64 whose unused bits are zero, so that a note has one encoding only. */
static bool base64_exact(uint8_t *out, size_t n, struct slice s)
{
    if (s.n != (n + 2) / 3 * 4)
        return false;
    size_t padding = s.n / 4 * 3 - n;
    uint32_t bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool is_padding = i >= s.n - padding;
        int v = is_padding ? (s.p[i] == '=' ? 0 : -1) : base64_value(s.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 3) {
            for (unsigned k = 0; k < 3; k++) {
                uint8_t octet = (uint8_t)(bits >> (16 - 8 * k));
                if (at < n)
                    out[at++] = octet;
                else if (octet)
                    return false;
            }
            bits = 0;
        }
    }
    return at == n;
}

static bool hex_exact(uint8_t *out, size_t n, struct slice s)
{
    if (s.n != 2 * n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return true;
}

/* "The key name MUST be non-empty, well-formed UTF-8 containing neither Unicode spaces nor plus." */
static bool name_good(struct slice s)
{
    if (s.n == 0 || s.n > NOTE_NAME_MAX || !utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == '+')
            return false;
        struct slice rest = slice_sub(s, i, 3);
        if (rest.n >= 2 && rest.p[0] == 0xc2 && (rest.p[1] == 0x85 || rest.p[1] == 0xa0))
            return false; /* U+0085, U+00A0 */
        if (rest.n < 3)
            continue;
        unsigned c = (unsigned)rest.p[0] << 16 | (unsigned)rest.p[1] << 8 | rest.p[2];
        bool space = c == 0xe19a80 || (c >= 0xe28080 && c <= 0xe2808a) || c == 0xe280a8 || c == 0xe280a9 ||
                     c == 0xe280af || c == 0xe2819f || c == 0xe38080;
        if (space)
            return false;
    }
    return true;
}

/* "UTF-8 encoded, and MUST NOT contain any ASCII control characters (those below U+0020) other than newline." */
static bool text_good(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' && s.p[i] != '\n')
            return false;
    return utf8_valid(s);
}

/* ---- checkpoints ---- */

void checkpoint_body_build(struct buf *out, const struct checkpoint *c)
{
    buf_printf(out, "%s\n%" PRIu64 "\n", c->origin, c->size);
    buf_put_base64(out, SLICE_ARR(c->root), BASE64_STD, 0);
    buf_putc(out, '\n');
    if (c->has_chain || c->chain_seq) {
        buf_printf(out, "signer-chain %" PRIu64 " ", c->chain_seq);
        buf_put_hex(out, SLICE_ARR(c->chain_hash));
        buf_putc(out, '\n');
    }
    if (c->epoch) {
        buf_printf(out, "epoch %" PRIu64 " ", c->epoch);
        buf_put_hex(out, SLICE_ARR(c->epoch_root));
        buf_putc(out, '\n');
    }
}

/* Split a note behind its text: the text keeps its final newline, the signatures begin after the empty line. */
static bool note_split(struct slice *ret_text, struct slice *ret_signatures, struct slice note)
{
    const uint8_t *gap = note.n ? memmem(note.p, note.n, "\n\n", 2) : NULL;
    if (!gap)
        return false;
    size_t n = (size_t)(gap - note.p) + 1;
    *ret_text = slice_of(note.p, n);
    *ret_signatures = slice_sub(note, n + 1, note.n);
    return true;
}

/* One extension line. Ours must be well formed and stand once; others' are for others. */
static tm_err extension_parse(struct checkpoint *c, struct slice line, struct diag *diag)
{
    struct slice rest = line;
    struct slice key = word_next(&rest);
    if (slice_eq_str(key, "signer-chain")) {
        struct slice seq = word_next(&rest);
        if (c->has_chain || !decimal(&c->chain_seq, seq) ||
            !hex_exact(c->chain_hash, sizeof c->chain_hash, rest))
            return diag_fail(diag, TM_EMALFORMED, rule_checkpoint, "signer-chain",
                             "not one \"<seq> <64 hex digits>\"");
        c->has_chain = true;
    } else if (slice_eq_str(key, "epoch")) {
        struct slice n = word_next(&rest);
        if (c->epoch || !decimal(&c->epoch, n) || c->epoch == 0 ||
            !hex_exact(c->epoch_root, sizeof c->epoch_root, rest))
            return diag_fail(diag, TM_EMALFORMED, rule_checkpoint, "epoch",
                             "not one \"<number> <64 hex digits>\"");
    }
    return TM_OK;
}

tm_err checkpoint_parse(struct checkpoint *ret, struct arena *a, struct slice text, struct diag *diag)
{
    if (text.n > NOTE_MAX)
        return diag_fail(diag, TM_ETOOBIG, rule_note, "note", "a note of %zu octets", text.n);
    struct slice signatures;
    struct checkpoint c = {.body = text};
    note_split(&c.body, &signatures, text);
    if (!text_good(c.body))
        return diag_fail(diag, TM_EMALFORMED, rule_note, "note",
                         "the text is not UTF-8 or has control characters");

    struct slice rest = c.body, line;
    if (!line_next(&line, &rest) || !name_good(line))
        return diag_fail(diag, TM_EMALFORMED, rule_checkpoint, "origin",
                         "the origin is empty or not a key name");
    char *origin = arena_strndup(a, (const char *)line.p, line.n);
    if (!origin)
        return TM_ENOMEM;
    c.origin = origin;
    if (!line_next(&line, &rest) || !decimal(&c.size, line))
        return diag_fail(diag, TM_EMALFORMED, rule_checkpoint, "size",
                         "the size is not a plain decimal number");
    if (!line_next(&line, &rest) || !base64_exact(c.root, sizeof c.root, line))
        return diag_fail(diag, TM_EMALFORMED, rule_checkpoint, "root", "the root is not base64 of 32 octets");
    while (rest.n) {
        if (!line_next(&line, &rest) || line.n == 0)
            return diag_fail(diag, TM_EMALFORMED, rule_checkpoint, "extension",
                             "an empty or unfinished line");
        TM_TRY(extension_parse(&c, line, diag));
    }
    *ret = c;
    return TM_OK;
}

/* ---- signatures ---- */

/* key ID = SHA-256(name || 0x0A || signature type || public key)[:4] */
static tm_err key_id(uint8_t out[KEY_ID], struct slice name, const uint8_t ed25519_public[32])
{
    uint8_t digest[SHA256_LEN];
    struct slice parts[] = {name, SLICE_LIT("\n"), slice_of(&signature_type_ed25519, 1),
                            slice_of(ed25519_public, ED25519_PUBLIC)};
    TM_TRY(sha256_many(digest, parts, 4));
    memcpy(out, digest, KEY_ID);
    return TM_OK;
}

void note_signature_build(struct buf *out, const char *name, const uint8_t ed25519_public[32],
                          struct slice signature)
{
    uint8_t blob[KEY_ID + ED25519_SIGNATURE];
    if (signature.n != ED25519_SIGNATURE || key_id(blob, slice_str(name), ed25519_public) != TM_OK) {
        if (out->err == TM_OK)
            out->err = TM_ECRYPTO;
        return;
    }
    memcpy(blob + KEY_ID, signature.p, ED25519_SIGNATURE);
    buf_puts(out, "\u2014 ");
    buf_puts(out, name);
    buf_putc(out, ' ');
    buf_put_base64(out, SLICE_ARR(blob), BASE64_STD, 0);
    buf_putc(out, '\n');
}

static tm_err ed25519_verify(const uint8_t public[32], struct slice text, const uint8_t *signature)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, ED25519_PUBLIC);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    tm_err err = TM_ECRYPTO;
    if (key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1)
        err = EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE, text.p, text.n) == 1 ? TM_OK : TM_EBADSIG;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return err;
}

/* "— <name> <base64>", the base64 of at least a key id and one octet. */
static bool signature_line(struct slice *ret_name, struct slice *ret_base64, struct slice line)
{
    const struct slice dash = SLICE_LIT("\u2014 ");
    if (!slice_eq(slice_sub(line, 0, dash.n), dash))
        return false;
    struct slice rest = slice_sub(line, dash.n, line.n);
    *ret_name = word_next(&rest);
    *ret_base64 = rest;
    if (!name_good(*ret_name) || rest.n < 8 || rest.n % 4 != 0)
        return false;
    size_t padding = 0;
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] == '=')
            padding++;
        else if (padding || base64_value(rest.p[i]) < 0)
            return false;
    }
    return padding <= 2;
}

tm_err note_verify(struct slice note, const char *name, const uint8_t ed25519_public[32], struct diag *diag)
{
    struct slice text, rest, line;
    if (note.n > NOTE_MAX)
        return diag_fail(diag, TM_ETOOBIG, rule_note, "note", "a note of %zu octets", note.n);
    if (!note_split(&text, &rest, note) || !text_good(text))
        return diag_fail(diag, TM_EMALFORMED, rule_note, "note", "no signature behind an empty line");

    uint8_t id[KEY_ID];
    TM_TRY(key_id(id, slice_str(name), ed25519_public));
    bool found = false;
    for (size_t count = 0; rest.n; count++) {
        struct slice signer, base64;
        if (count == NOTE_SIGNATURES_MAX || !line_next(&line, &rest) ||
            !signature_line(&signer, &base64, line))
            return diag_fail(diag, TM_EMALFORMED, rule_note, "signature", "line %zu is not a signature",
                             count + 1);
        /* "Signatures by unknown keys MUST be ignored": other names, other key ids, other types. */
        uint8_t blob[KEY_ID + ED25519_SIGNATURE];
        if (!slice_eq_str(signer, name) || !base64_exact(blob, sizeof blob, base64) ||
            memcmp(blob, id, sizeof id) != 0)
            continue;
        tm_err err = ed25519_verify(ed25519_public, text, blob + KEY_ID);
        if (err != TM_OK)
            return diag_fail(diag, err, rule_note, "signature", "the signature of %s does not verify", name);
        found = true;
    }
    if (!found)
        return diag_fail(diag, TM_EBADSIG, rule_note, "signature", "no signature of %s by that key", name);
    return TM_OK;
}

/* ---- verifier keys ---- */

void note_vkey_build(struct buf *out, const char *name, const uint8_t ed25519_public[32])
{
    uint8_t id[KEY_ID], blob[1 + ED25519_PUBLIC];
    if (key_id(id, slice_str(name), ed25519_public) != TM_OK) {
        if (out->err == TM_OK)
            out->err = TM_ECRYPTO;
        return;
    }
    blob[0] = signature_type_ed25519;
    memcpy(blob + 1, ed25519_public, ED25519_PUBLIC);
    buf_puts(out, name);
    buf_putc(out, '+');
    buf_put_hex(out, SLICE_ARR(id));
    buf_putc(out, '+');
    buf_put_base64(out, SLICE_ARR(blob), BASE64_STD, 0);
}

tm_err note_vkey_parse(char **ret_name, uint8_t ret_public[32], struct arena *a, struct slice vkey,
                       struct diag *diag)
{
    struct slice text = slice_trim(vkey);
    const uint8_t *plus = text.n ? memchr(text.p, '+', text.n) : NULL;
    size_t n = plus ? (size_t)(plus - text.p) : 0;
    struct slice name = slice_sub(text, 0, n), hex = slice_sub(text, n + 1, 2 * (size_t)KEY_ID);
    struct slice base64 = slice_sub(text, n + 1 + 2 * (size_t)KEY_ID + 1, text.n);
    uint8_t id[KEY_ID], expected[KEY_ID], blob[1 + ED25519_PUBLIC];
    if (!plus || !name_good(name) || !hex_exact(id, sizeof id, hex) || text.n <= n + 1 + hex.n ||
        text.p[n + 1 + hex.n] != '+' || !base64_exact(blob, sizeof blob, base64))
        return diag_fail(diag, TM_EMALFORMED, rule_note, "vkey", "not <name>+<key id>+<base64 key>");
    if (blob[0] != signature_type_ed25519)
        return diag_fail(diag, TM_EUNSUPPORTED, rule_note, "vkey",
                         "signature type 0x%02x; only Ed25519 (0x01) is known", blob[0]);
    TM_TRY(key_id(expected, name, blob + 1));
    if (memcmp(id, expected, sizeof id) != 0)
        return diag_fail(diag, TM_EMALFORMED, rule_note, "vkey",
                         "the key id does not belong to this name and key");
    char *copy = arena_strndup(a, (const char *)name.p, name.n);
    if (!copy)
        return TM_ENOMEM;
    memcpy(ret_public, blob + 1, ED25519_PUBLIC);
    *ret_name = copy;
    return TM_OK;
}
