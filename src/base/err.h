/* base/err.h - the one error type, and the detail that goes with it.
 *
 * Layer 0. The high bits of a `tm_err` are its class; a door maps classes (and the few codes it cares about) to its own
 * wire errors in one table. Detail (field, rule, offset) goes into a `struct diag` that the caller hands in. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    TM_CLASS_CALLER = 0x0100,      /* the request is wrong: bytes, values, names */
    TM_CLASS_DENIED = 0x0200,      /* the request is understood and refused */
    TM_CLASS_UNAVAILABLE = 0x0400, /* could succeed later: busy, full, locked, pending */
    TM_CLASS_INTERNAL = 0x0800,    /* our side is broken: memory, I/O, crypto, corruption */
    TM_CLASS_MASK = 0x0f00,
};

enum [[nodiscard]] tm_error {
    TM_OK = 0,

    TM_EMALFORMED = TM_CLASS_CALLER | 1, /* bytes that do not parse */
    TM_EINVAL,                           /* parses, but a value is out of its range */
    TM_ETOOBIG,                          /* over a stated limit */
    TM_EUNSUPPORTED,                     /* algorithm, version or option that we do not do */
    TM_ENOTFOUND,
    TM_ECONFLICT, /* exists already, or changed since it was read */
    TM_EBADSIG,   /* proof of possession or signature does not verify */
    TM_EUSAGE,    /* command line misuse */

    TM_EDENIED = TM_CLASS_DENIED | 1, /* policy said no */
    TM_EAUTH,                         /* caller is not (rightly) authenticated */
    TM_EFORBIDDEN,                    /* authenticated, but may not */
    TM_EQUOTA,                        /* an allowance is used up */
    TM_EEXPIRED,                      /* credential, token or certificate is over */

    TM_EBUSY = TM_CLASS_UNAVAILABLE | 1,
    TM_EUNAVAIL, /* a part of the house is not there: store, signer, key source */
    TM_ETIMEOUT,
    TM_EFULL,    /* disk or another store of finite size */
    TM_ELOCKED,  /* key locked: passphrase missing or wrong */
    TM_EPENDING, /* waits for something durable: approval, another system */

    TM_ENOMEM = TM_CLASS_INTERNAL | 1,
    TM_EIO,
    TM_ECRYPTO,
    TM_ECORRUPT,
    TM_EINTERNAL,
};
typedef enum tm_error tm_err;

/* Evaluate a tm_err expression; leave the function with it unless it is TM_OK. The only control-flow macro. */
#define TM_TRY(expr)                                                                                         \
    do {                                                                                                     \
        tm_err tm_try_err_ = (expr);                                                                         \
        if (tm_try_err_ != TM_OK)                                                                            \
            return tm_try_err_;                                                                              \
    } while (0)

/* Say on purpose that an error does not matter here. */
#define TM_IGNORE(expr)                                                                                      \
    do {                                                                                                     \
        tm_err tm_ignored_ = (expr);                                                                         \
        (void)tm_ignored_;                                                                                   \
    } while (0)

static inline unsigned tm_err_class(tm_err e)
{
    return (unsigned)e & TM_CLASS_MASK;
}

/* Short stable name such as "malformed" or "quota"; used in logs, events and JSON errors. */
const char *tm_err_name(tm_err e);

/* Where and why something was refused. All strings are terminated and hold no secrets; empty when unknown. */
struct diag {
    char rule[64];     /* e.g. "RFC 5280 4.2.1.9" or "profile.lifetime.max" */
    char field[96];    /* e.g. "tbsCertificate.extensions[2]" or a JSON pointer such as "/lifetime/max" */
    char message[256]; /* one sentence for a person */
    size_t offset;     /* byte offset in the input, where it means something */
};

void diag_clear(struct diag *d);

/* Fill `d` (may be NULL) and return `e`, so that a check reads `return diag_fail(d, TM_EMALFORMED, "RFC …", "field", "…")`.
 * `rule` and `field` may be NULL. Later calls overwrite earlier ones; `offset` stays what the caller made it. Texts are cut
 * to fit, and what would not print becomes '?'; arguments may point into *d. */
[[gnu::format(printf, 5, 6)]] tm_err diag_fail(struct diag *d, tm_err e, const char *rule, const char *field,
                                               const char *fmt, ...);
#ifdef __clang_analyzer__
/* The analyzer looks at one file at a time and would not see that the result is `e`. */
#define diag_fail(d, e, ...)                                                                                 \
    ({                                                                                                       \
        tm_err tm_failed_ = (e);                                                                             \
        TM_IGNORE((diag_fail)(d, tm_failed_, __VA_ARGS__));                                                  \
        tm_failed_;                                                                                          \
    })
#endif
