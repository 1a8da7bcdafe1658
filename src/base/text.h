/* base/text.h - hex, base64, UTF-8, safe names. Layer 0, pure. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct arena;

/* Lower-case hex of s into out, which has room for 2*s.n+1; terminated. */
void hex_encode(char *out, struct slice s);
void buf_put_hex(struct buf *b, struct slice s);
char *arena_hex(struct arena *a, struct slice s);
/* The standard alphabet, padded, in one line. NULL: no memory. */
char *arena_base64(struct arena *a, struct slice s);
/* Upper or lower case, optional ':' between bytes. Result in `a`. */
tm_err hex_decode(struct slice *ret, struct arena *a, struct slice hex);

enum base64_alphabet { BASE64_STD, BASE64_URL };
/* BASE64_STD pads; BASE64_URL does not. `wrap`: break lines after that many characters with '\n' (0: never). */
void buf_put_base64(struct buf *b, struct slice s, enum base64_alphabet alphabet, unsigned wrap);
/* Tolerant: white space is skipped, padding optional; any other foreign character is TM_EMALFORMED. */
tm_err base64_decode(struct slice *ret, struct arena *a, struct slice text, enum base64_alphabet alphabet);

/* PEM (RFC 7468). Appends one block "-----BEGIN <label>-----" … with 64-character lines. */
void buf_put_pem(struct buf *b, const char *label, struct slice der);
/* The next PEM block in *text; *text moves past it. TM_ENOTFOUND when there is none. `label` may be NULL: any; else the first
 * block of that label. *ret_label (may be NULL) is in `a`. */
tm_err pem_next(struct slice *ret_der, char **ret_label, struct arena *a, struct slice *text,
                const char *label);

/* The length of the well-formed UTF-8 sequence at the start of s, 1..4; 0 when there is none. A NUL byte counts as one. */
size_t utf8_step(struct slice s);
/* The code point of the sequence of `step` octets, as utf8_step() gave it, at the start of s. */
uint32_t utf8_code(struct slice s, size_t step);
/* Nothing a reader sees, or what changes how he sees the rest: controls, zero width, directions of writing, line separators, tags. */
bool utf8_invisible(uint32_t code);

/* Valid UTF-8 with no surrogates, overlongs or NUL. */
bool utf8_valid(struct slice s);

/* Is `text` like `pattern`, in which '*' stands for any run of octets? ASCII letters are alike in both cases. Time is at most the product
 * of both lengths. */
bool stars_match(struct slice text, struct slice pattern);
/* A resource name: 1..63 of [a-z0-9-], starting and ending alphanumeric. */
bool name_valid(struct slice s);
