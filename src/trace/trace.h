/* trace/trace.h - recorded exchanges with a door: what a recording is, and how each protocol is told in plain words.
 *
 * Layer 5. Reading and telling are pure. A protocol is one file that exports one const descriptor, found in one table (protocols.c): to
 * add one, copy a neighbour. record.h is how a running server records.
 *
 * A recording is NDJSON: optionally a line {"touchmark":"trace","version":1,…}, then one line an exchange:
 *   {"at":<unix ms>,"method":"POST","target":"/acme/acme/new-order","request":{"headers":[["Host","…"],…],"body":"<base64>"},
 *    "status":201,"response":{"headers":[…],"body":"<base64>"}}
 * A body that was too large or is secret is left out, and "omitted" beside it says why. Beside a body that is encrypted, "inside" has what the door
 * found or put there, without secrets. HAR files (1.2) are read as well. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "policy/enrollment.h"
#include <stdbool.h>

struct arena;

enum {
    TRACE_FILE_MAX = 32 << 20,
    TRACE_LINE_MAX = 1 << 20,
    TRACE_EXCHANGES_MAX = 5000,
    TRACE_HEADERS_MAX = 64,
    TRACE_TEXT_MAX = 16 << 20,
};

struct trace_header {
    const char *name, *value;
};
struct trace_message {
    const struct trace_header *headers;
    size_t n_headers;
    struct slice body;
    struct slice inside; /* of an encrypted body, as its door tells; empty: not known */
    const char *omitted; /* why there is no body; NULL: it is whole */
};
struct trace_exchange {
    unsigned number; /* from 1 */
    int64_t at_ms;
    const char *method;
    const char *target; /* path and query */
    const char *path;
    int status;
    struct trace_message request, response;
};
struct trace {
    const struct trace_exchange *v;
    size_t n;
};

/* Everything in `a`. TM_EMALFORMED (diag: the line), TM_ETOOBIG. */
tm_err trace_read(struct trace *ret, struct arena *a, struct slice file, struct diag *diag);
/* First of a name, whatever its case; NULL. */
const char *trace_header(const struct trace_message *m, const char *name);

/* ---- telling ---- */

struct trace_text {
    struct buf *out;
    struct arena *arena;
    bool full; /* also requests and certificates field by field */
};
/* One line about the exchange under way: "   asks       order for …". */
[[gnu::format(printf, 3, 4)]] void trace_say(struct trace_text *t, const char *about, const char *fmt, ...);
/* Text from outside, cut and made printable, in the arena; never NULL. */
const char *trace_clean(struct trace_text *t, const char *s);
/* What is asked for and what was given: subject, names, key (and the whole of it where that is wanted); the names, sorted, in
 * *ret_names, when not NULL. */
struct csr;
void trace_say_csr(struct trace_text *t, struct slice der, const char **ret_names);
/* The same of one whose signature is known not to verify any more, as a secret was taken out of it. */
void trace_say_csr_blanked(struct trace_text *t, struct slice der);
void trace_say_certificate(struct trace_text *t, struct slice der, const char **ret_serial);
/* A Name TLV, and the kind of a key; made fit to be shown. */
const char *trace_name(struct trace_text *t, struct slice name);
struct spki;
const char *trace_key(const struct spki *s);

struct trace_protocol {
    const char *name;
    const char *title;
    enum door door;
    /* Is an exchange of this protocol? By its path and types; `label` NULL: of any endpoint. */
    bool (*ours)(const char *path, const char *label);
    /* May what comes back at this path hold a secret, such as a private key? Then it is not recorded. NULL: never. */
    bool (*secret)(const char *path);
    /* What is remembered from one exchange to the next, in the arena. */
    tm_err (*open)(void **ret, struct trace_text *t);
    void (*step)(void *state, struct trace_text *t, const struct trace_exchange *x);
    void (*verdict)(void *state, struct trace_text *t);
};
extern const struct trace_protocol *const trace_protocols[]; /* NULL-terminated */
const struct trace_protocol *trace_protocol_by_name(const char *name);

/* Tell a recording: each exchange, then a verdict for each protocol that occurs; `only` (may be NULL) passes over all others. */
tm_err trace_tell(struct buf *out, const struct trace *t, const struct trace_protocol *only, bool full,
                  struct diag *diag);
