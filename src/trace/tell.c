/* A recording as text: what the protocols say of each exchange, and their verdicts. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "http/server.h"
#include "keys/pubkey.h"
#include "trace/trace.h"
#include "x509/cert.h"
#include "x509/csr.h"
#include "x509/print.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLEAN_MAX = 400, NAMES_MAX = 200 };

void trace_say(struct trace_text *t, const char *about, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char line[2048];
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    buf_printf(t->out, "    %-10s %s\n", about, line);
}

const char *trace_clean(struct trace_text *t, const char *s)
{
    size_t n = s ? strlen(s) : 0, take = 0;
    while (take < n && take < CLEAN_MAX) {
        size_t step = utf8_step(slice_of(s + take, n - take));
        take += step ? step : 1;
    }
    char *copy = arena_printf(t->arena, "%.*s%s", (int)take, s ? s : "", take < n ? "…" : "");
    if (!copy)
        return "";
    /* No control characters, C1's among them, that would move a terminal's cursor. */
    for (char *p = copy; *p;) {
        size_t step = utf8_step(slice_str(p));
        bool control = step == 0 || (unsigned char)*p < 0x20 || *p == 0x7f ||
                       (step == 2 && (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0);
        if (control)
            memset(p, '?', step ? step : 1);
        p += step ? step : 1;
    }
    return copy;
}

/* ---- requests and certificates ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "a.example, b.example": DNS names bare, others with their kind; sorted, so that two lists can be compared. */
static const char *names_text(struct trace_text *t, const struct general_names *g)
{
    const char *v[NAMES_MAX];
    size_t n = 0;
    struct buf b;
    buf_init(&b, 64 << 10);
    for (size_t i = 0; i < g->n && n < NAMES_MAX; i++) {
        buf_reset(&b);
        general_name_print(&b, &g->v[i]);
        const char *s = buf_str(&b);
        v[n++] =
            trace_clean(t, strncmp(s, "DNS:", 4) == 0 || strncmp(s, "IP:", 3) == 0 ? strchr(s, ':') + 1 : s);
    }
    qsort(v, n, sizeof *v, by_text);
    buf_reset(&b);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", v[i]);
    const char *joined = arena_strdup(t->arena, buf_str(&b));
    buf_done(&b);
    return joined ? joined : "";
}

static void say_whole(struct trace_text *t, struct slice der)
{
    if (!t->full)
        return;
    struct buf b;
    buf_init(&b, 1 << 20);
    if (x509_print_any(&b, der, NULL) == TM_OK)
        for (const char *s = buf_str(&b), *end; *s; s = *end ? end + 1 : end) {
            end = s + strcspn(s, "\n");
            buf_printf(t->out, "        %.*s\n", (int)(end - s), s);
        }
    buf_done(&b);
}

const char *trace_name(struct trace_text *t, struct slice name)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    if (name.n)
        name_print_der(&b, name);
    const char *s = trace_clean(t, buf_str(&b));
    buf_done(&b);
    return s[0] ? s : "(empty)";
}

const char *trace_key(const struct spki *s)
{
    struct pubkey_info info;
    return s->der.n && pubkey_info(&info, s, NULL) == TM_OK ? key_alg_info(info.alg)->name
                                                            : "of a kind not known here";
}

static void say_csr(struct trace_text *t, struct slice der, bool blanked, const char **ret_names)
{
    struct csr c;
    struct diag diag = {0};
    struct general_names san = {0};
    if (csr_parse_any(&c, t->arena, der, &diag) != TM_OK) {
        trace_say(t, "request", "is no certificate request: %s", trace_clean(t, diag.message));
        return;
    }
    if (csr_san(&san, t->arena, &c, &diag) != TM_OK) {
        trace_say(t, "request", "its subjectAltName can't be read: %s", trace_clean(t, diag.message));
        return;
    }
    const char *names = names_text(t, &san);
    trace_say(t, "request", "subject %s; names %s; key %s", trace_name(t, c.subject),
              names[0] ? names : "(none)", trace_key(&c.spki));
    if (!blanked && c.pop == CSR_POP_SIGNATURE && csr_verify_pop(&c, &diag) != TM_OK)
        trace_say(t, "", "its signature does NOT prove that the key is there: %s",
                  trace_clean(t, diag.message));
    say_whole(t, c.der);
    if (ret_names)
        *ret_names = names;
}

void trace_say_csr(struct trace_text *t, struct slice der, const char **ret_names)
{
    say_csr(t, der, false, ret_names);
}

void trace_say_csr_blanked(struct trace_text *t, struct slice der)
{
    say_csr(t, der, true, NULL);
}

void trace_say_certificate(struct trace_text *t, struct slice der, const char **ret_serial)
{
    struct cert c;
    struct diag diag = {0};
    struct general_names san = {0};
    if (cert_parse(&c, der, &diag) != TM_OK) {
        trace_say(t, "answers", "what should be a certificate can't be read: %s",
                  trace_clean(t, diag.message));
        return;
    }
    char from[21], until[21];
    clock_format_rfc3339(from, c.not_before);
    clock_format_rfc3339(until, c.not_after);
    TM_IGNORE(cert_san(&san, t->arena, &c, NULL));
    const char *serial = arena_hex(t->arena, c.serial), *names = names_text(t, &san);
    trace_say(t, "answers", "certificate %s: subject %s; names %s; key %s; %s to %s", serial ? serial : "?",
              trace_name(t, c.subject), names[0] ? names : "(none)", trace_key(&c.spki), from, until);
    say_whole(t, c.der);
    if (ret_serial)
        *ret_serial = serial;
}

/* ---- the whole ---- */

struct told {
    const struct trace_protocol *p;
    void *state;
    bool open;
};

static void say_head(struct trace_text *t, const struct trace_exchange *x, const char *protocol)
{
    char when[21];
    clock_format_rfc3339(when, x->at_ms / 1000);
    when[19] = '\0'; /* the Z, for the fraction stands there */
    buf_printf(t->out, "#%-3u %s.%03d  %s %s → %d %s%s%s\n", x->number, x->at_ms > 0 ? when + 11 : "00:00:00",
               (int)(x->at_ms > 0 ? x->at_ms % 1000 : 0), trace_clean(t, x->method),
               trace_clean(t, x->target), x->status, http_status_text(x->status),
               protocol ? "" : "  (not told: of no protocol known here)",
               x->response.omitted ? "  (body omitted)" : "");
}

static tm_err tell_one(struct told *told, struct trace_text *t, const struct trace_exchange *x,
                       const struct trace_protocol *only)
{
    for (size_t i = 0; trace_protocols[i]; i++) {
        const struct trace_protocol *p = trace_protocols[i];
        if ((only && p != only) || !p->ours(x->path, NULL))
            continue;
        if (!told[i].open) {
            TM_TRY(p->open(&told[i].state, t));
            told[i].open = true;
            told[i].p = p;
        }
        say_head(t, x, p->name);
        p->step(told[i].state, t, x);
        return TM_OK;
    }
    if (!only)
        say_head(t, x, NULL);
    return TM_OK;
}

tm_err trace_tell(struct buf *out, const struct trace *t, const struct trace_protocol *only, bool full,
                  struct diag *diag)
{
    enum { PROTOCOLS = 16 };
    struct told told[PROTOCOLS] = {0};
    struct trace_text text = {.out = out, .arena = arena_new(128 << 20), .full = full};
    tm_err e = text.arena ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; e == TM_OK && i < t->n; i++)
        e = tell_one(told, &text, &t->v[i], only);
    bool any = false;
    for (size_t i = 0; e == TM_OK && trace_protocols[i]; i++) {
        if (!told[i].open)
            continue;
        any = true;
        buf_printf(out, "\nVerdict (%s)\n", told[i].p->name);
        told[i].p->verdict(told[i].state, &text);
    }
    if (e == TM_OK && !any)
        buf_puts(out, "\nVerdict\n    nothing here is of a protocol that can be told\n");
    arena_free(text.arena);
    if (e == TM_OK)
        e = buf_err(out);
    return e == TM_OK ? TM_OK
                      : diag_fail(diag, e, NULL, NULL, "what there is to tell is too long for memory");
}
