#include "base/err.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdio.h>

const char *tm_err_name(tm_err e)
{
    switch (e) {
    case TM_OK:
        return "ok";
    case TM_EMALFORMED:
        return "malformed";
    case TM_EINVAL:
        return "invalid";
    case TM_ETOOBIG:
        return "too-big";
    case TM_EUNSUPPORTED:
        return "unsupported";
    case TM_ENOTFOUND:
        return "not-found";
    case TM_ECONFLICT:
        return "conflict";
    case TM_EBADSIG:
        return "bad-signature";
    case TM_EUSAGE:
        return "usage";
    case TM_EDENIED:
        return "denied";
    case TM_EAUTH:
        return "unauthenticated";
    case TM_EFORBIDDEN:
        return "forbidden";
    case TM_EQUOTA:
        return "quota";
    case TM_EEXPIRED:
        return "expired";
    case TM_EBUSY:
        return "busy";
    case TM_EUNAVAIL:
        return "unavailable";
    case TM_ETIMEOUT:
        return "timeout";
    case TM_EFULL:
        return "full";
    case TM_ELOCKED:
        return "locked";
    case TM_EPENDING:
        return "pending";
    case TM_ENOMEM:
        return "out-of-memory";
    case TM_EIO:
        return "io";
    case TM_ECRYPTO:
        return "crypto";
    case TM_ECORRUPT:
        return "corrupt";
    case TM_EINTERNAL:
        return "internal";
    }
    return "unknown";
}

void diag_clear(struct diag *d)
{
    *d = (struct diag){0};
}

/* Names and values from outside end up in these texts, and the texts on terminals: no control characters, no broken
 * UTF-8, not even where a text was cut to fit. */
static void make_printable(char *text)
{
    struct slice s = slice_str(text);
    size_t at = 0;
    while (at < s.n) {
        struct slice rest = slice_sub(s, at, s.n);
        size_t step = utf8_step(rest);
        if (step == 0) {
            bool cut = s.n - at < 4 && s.p[at] >= 0xc0;
            text[at++] = cut ? '\0' : '?';
            if (cut)
                return;
            continue;
        }
        bool c0 = rest.p[0] < 0x20 || rest.p[0] == 0x7f;
        bool c1 = rest.p[0] == 0xc2 && rest.p[1] < 0xa0;
        if (c0 || c1)
            memset(text + at, '?', step);
        at += step;
    }
}

tm_err(diag_fail)(struct diag *d, tm_err e, const char *rule, const char *field, const char *fmt, ...)
{
    if (!d)
        return e;
    /* Arguments may point into *d, where one layer rewords what a lower one said. */
    struct diag made = {.offset = d->offset};
    snprintf(made.rule, sizeof made.rule, "%s", rule ? rule : "");
    snprintf(made.field, sizeof made.field, "%s", field ? field : "");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(made.message, sizeof made.message, fmt, ap);
    va_end(ap);
    make_printable(made.rule);
    make_printable(made.field);
    make_printable(made.message);
    *d = made;
    return e;
}
