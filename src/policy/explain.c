/* A decision as text and as JSON. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "keys/alg.h"
#include "policy/decide.h"
#include "x509/name.h"
#include <stdio.h>
#include <string.h>

enum { RENDER_OID_MAX = 128 };

static const char *const result_names[] = {
    [TRACE_PASS] = "pass", [TRACE_APPLIED] = "applied", [TRACE_FAIL] = "fail"};

static const char *render_oid(char out[RENDER_OID_MAX], enum oid id, struct slice oid)
{
    if (id != OID_UNKNOWN)
        return oid_name(id);
    struct arena *a = arena_new(4096);
    const char *text = a ? oid_to_dotted(a, oid) : NULL;
    snprintf(out, RENDER_OID_MAX, "%s", text && strlen(text) < RENDER_OID_MAX ? text : "?");
    arena_free(a);
    return out;
}

static void print_time(struct buf *out, int64_t t)
{
    char text[21];
    clock_format_rfc3339(text, t);
    buf_puts(out, t >= TM_TIME_NEVER ? "never (99991231235959Z)" : text);
}

static void print_plan(struct buf *out, const struct plan *p)
{
    const struct sig_alg_info *alg = sig_alg_info(p->sig_alg);
    buf_printf(out, "\nplan\n  %-14s %s, profile %s version %lld\n  %-14s %s\n  %-14s ", "authority",
               p->authority, p->profile, (long long)p->profile_version, "signature", alg ? alg->name : "?",
               "issuer");
    name_print_der(out, p->issuer);
    buf_printf(out, "\n  %-14s ", "subject");
    name_print_der(out, p->subject);
    for (size_t i = 0; i < p->san.n; i++) {
        buf_printf(out, "\n  %-14s ", i ? "" : "names");
        general_name_print(out, &p->san.v[i]);
    }
    buf_printf(out, "\n  %-14s ", "not before");
    print_time(out, p->not_before);
    buf_printf(out, "\n  %-14s ", "not after");
    print_time(out, p->not_after);
    for (size_t i = 0; i < p->n_exts; i++) {
        char oid[RENDER_OID_MAX];
        const struct ext *x = &p->exts[i];
        buf_printf(out, "\n  %-14s %s%s, %zu octets", i ? "" : "extensions", render_oid(oid, x->id, x->oid),
                   x->critical ? " (critical)" : "", x->value.n);
    }
    if (p->device_id && *p->device_id)
        buf_printf(out, "\n  %-14s %s", "device", p->device_id);
    buf_putc(out, '\n');
}

void decision_print(struct buf *out, const struct decision *d)
{
    size_t width = 0;
    for (size_t i = 0; i < d->n_trace; i++)
        if (strlen(d->trace[i].rule) > width)
            width = strlen(d->trace[i].rule);
    for (size_t i = 0; i < d->n_trace; i++)
        buf_printf(out, "%-8s %-*s  %s\n", result_names[d->trace[i].result], (int)width, d->trace[i].rule,
                   d->trace[i].detail);
    buf_printf(out, "\nverdict: %s", verdict_names[d->verdict]);
    if (d->verdict != VERDICT_ISSUE)
        buf_printf(out, " by %s: %s", d->rule, d->reason);
    buf_putc(out, '\n');
    if (d->verdict != VERDICT_DENY)
        print_plan(out, &d->plan);
}

/* ---- JSON ---- */

static void json_key(struct buf *out, const char *key, bool first)
{
    buf_puts(out, first ? "\"" : ",\"");
    buf_puts(out, key);
    buf_puts(out, "\":");
}

static void json_text(struct buf *out, const char *key, const char *value, bool first)
{
    json_key(out, key, first);
    buf_put_json_string(out, slice_str(value ? value : ""));
}

static void json_time(struct buf *out, const char *key, int64_t t)
{
    char text[21];
    clock_format_rfc3339(text, t);
    json_text(out, key, text, false);
}

/* What a printer of text appends, as a JSON string. */
static void json_printed(struct buf *out, const struct buf *printed)
{
    buf_put_json_string(out, buf_slice(printed));
    if (buf_err(printed) != TM_OK && out->err == TM_OK)
        out->err = buf_err(printed);
}

static void json_name(struct buf *out, const char *key, struct slice tlv)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    name_print_der(&b, tlv);
    json_key(out, key, false);
    json_printed(out, &b);
    buf_done(&b);
}

static void json_plan(struct buf *out, const struct plan *p)
{
    const struct sig_alg_info *alg = sig_alg_info(p->sig_alg);
    json_key(out, "plan", false);
    buf_putc(out, '{');
    json_text(out, "authority", p->authority, true);
    json_text(out, "profile", p->profile, false);
    buf_printf(out, ",\"profile-version\":%lld", (long long)p->profile_version);
    json_text(out, "signature", alg ? alg->name : "", false);
    json_name(out, "issuer", p->issuer);
    json_name(out, "subject", p->subject);
    json_time(out, "not-before", p->not_before);
    json_time(out, "not-after", p->not_after);
    json_text(out, "device", p->device_id, false);
    json_key(out, "names", false);
    buf_putc(out, '[');
    for (size_t i = 0; i < p->san.n; i++) {
        struct buf b;
        buf_init(&b, 64 << 10);
        general_name_print(&b, &p->san.v[i]);
        buf_puts(out, i ? "," : "");
        json_printed(out, &b);
        buf_done(&b);
    }
    buf_puts(out, "]");
    json_key(out, "extensions", false);
    buf_putc(out, '[');
    for (size_t i = 0; i < p->n_exts; i++) {
        char oid[RENDER_OID_MAX];
        buf_puts(out, i ? ",{" : "{");
        json_text(out, "oid", render_oid(oid, p->exts[i].id, p->exts[i].oid), true);
        buf_printf(out, ",\"critical\":%s,\"value\":\"", p->exts[i].critical ? "true" : "false");
        buf_put_hex(out, p->exts[i].value);
        buf_puts(out, "\"}");
    }
    buf_puts(out, "]}");
}

void decision_json(struct buf *out, const struct decision *d)
{
    buf_putc(out, '{');
    json_text(out, "verdict", verdict_names[d->verdict], true);
    if (d->verdict != VERDICT_ISSUE) {
        json_text(out, "rule", d->rule, false);
        json_text(out, "reason", d->reason, false);
    }
    if (d->verdict == VERDICT_DENY)
        json_text(out, "error", tm_err_name(d->err), false);
    json_key(out, "trace", false);
    buf_putc(out, '[');
    for (size_t i = 0; i < d->n_trace; i++) {
        buf_puts(out, i ? ",{" : "{");
        json_text(out, "rule", d->trace[i].rule, true);
        json_text(out, "result", result_names[d->trace[i].result], false);
        json_text(out, "detail", d->trace[i].detail, false);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
    if (d->verdict != VERDICT_DENY)
        json_plan(out, &d->plan);
    buf_putc(out, '}');
}
