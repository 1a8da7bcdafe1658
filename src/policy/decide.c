/* The order of the rules, and what they need to explain themselves. */
#include "policy/decide.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "policy/deciding.h"
#include <string.h>

const char *const verdict_names[] = {"issue", "pend", "deny", NULL};

/* The first rule that refuses ends it. Who may ask at all comes first, so that strangers learn nothing about names and keys;
 * approval comes last, so that nobody is asked to approve what would be refused. */
static tm_err (*const rules[])(struct deciding *) = {
    rule_door,         rule_caller,         rule_authority,    rule_device,      rule_renewal,
    rule_possession,   rule_key_algorithm,  rule_key_origin,   rule_key_quality, rule_key_reuse,
    rule_signature,    rule_renewal_names,  rule_subject,      rule_san,         rule_same_names,
    rule_device_names, rule_token_names,    rule_caller_names, rule_caa,         rule_lifetime,
    rule_quota,        rule_subject_encode, rule_extensions,   rule_approval,
};

enum { TEXT_CHUNK = 2048, QUOTE_MAX = 96 };

static char *text_room(struct deciding *s, size_t n)
{
    if (s->text_left < n) {
        size_t chunk = n > TEXT_CHUNK ? n : TEXT_CHUNK;
        s->text = arena_alloc(s->a, chunk);
        s->text_left = s->text ? chunk : 0;
        if (!s->text)
            return NULL;
    }
    char *p = s->text;
    s->text += n;
    s->text_left -= n;
    return p;
}

const char *say_parts(struct deciding *s, const char *const *parts)
{
    if (!parts[1])
        return parts[0];
    size_t lengths[16];
    size_t n = 0, total = 0;
    for (; parts[n] && n < 16; n++) {
        lengths[n] = strlen(parts[n]);
        total += lengths[n];
    }
    char *out = text_room(s, total + 1);
    if (!out)
        return "";
    char *at = out;
    for (size_t i = 0; i < n; i++) {
        memcpy(at, parts[i], lengths[i]);
        at += lengths[i];
    }
    *at = '\0';
    return out;
}

const char *say_slice(struct deciding *s, struct slice text)
{
    size_t n = text.n < QUOTE_MAX ? text.n : QUOTE_MAX;
    /* Not in the middle of a character. */
    while (n > 0 && n < text.n && (text.p[n] & 0xc0) == 0x80)
        n--;
    char *out = text_room(s, n + 4);
    if (!out)
        return "";
    bool clean = text_check(slice_sub(text, 0, n)) == NULL;
    for (size_t i = 0; i < n; i++)
        out[i] = clean || (text.p[i] >= 0x20 && text.p[i] < 0x7f) ? (char)text.p[i] : '?';
    memcpy(out + n, n < text.n ? "..." : "", n < text.n ? 4 : 1);
    return out;
}

const char *say_number(struct deciding *s, int64_t v)
{
    char digits[24];
    size_t n = sizeof digits;
    digits[--n] = '\0';
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do
        digits[--n] = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        digits[--n] = '-';
    char *out = text_room(s, sizeof digits - n);
    return out ? memcpy(out, digits + n, sizeof digits - n) : "";
}

const char *say_time(struct deciding *s, int64_t t)
{
    if (t >= TM_TIME_NEVER)
        return "never";
    char *out = text_room(s, 21);
    if (!out)
        return "";
    struct civil_time c = civil_from_unix(t);
    const int parts[6] = {c.year, c.month, c.day, c.hour, c.minute, c.second};
    static const char marks[] = "--T::Z";
    char *at = out;
    *at++ = (char)('0' + parts[0] / 1000 % 10);
    *at++ = (char)('0' + parts[0] / 100 % 10);
    for (size_t i = 0; i < 6; i++) {
        *at++ = (char)('0' + parts[i] / 10 % 10);
        *at++ = (char)('0' + parts[i] % 10);
        *at++ = marks[i];
    }
    *at = '\0';
    return out;
}

const char *say_span(struct deciding *s, int64_t seconds)
{
    if (seconds >= TM_TIME_NEVER)
        return "never";
    static const struct {
        int64_t unit;
        const char *one, *many;
    } units[] = {{86400, " day", " days"},
                 {3600, " hour", " hours"},
                 {60, " minute", " minutes"},
                 {1, " second", " seconds"}};
    size_t i = 0;
    while (i < 3 && (seconds % units[i].unit != 0 || seconds == 0))
        i++;
    int64_t n = seconds / units[i].unit;
    return SAY(s, say_number(s, n), n == 1 ? units[i].one : units[i].many);
}

const char *say_name(struct deciding *s, const struct general_name *gn)
{
    struct buf b;
    buf_init(&b, 4096);
    general_name_print(&b, gn);
    const char *text = say_slice(s, buf_slice(&b));
    buf_done(&b);
    return text;
}

void trace_add(struct deciding *s, int result, const char *rule, const char *detail)
{
    if (s->d->n_trace == TRACE_MAX)
        return;
    struct trace_step *t = &s->d->trace[s->d->n_trace++];
    t->rule = rule;
    t->result = result;
    t->detail = detail;
}

tm_err refuse_with(struct deciding *s, tm_err err, const char *rule, const char *reason, const char *detail)
{
    if (s->d->n_trace == TRACE_MAX) /* the refusal itself is never the line that is left out */
        s->d->n_trace--;
    trace_add(s, TRACE_FAIL, rule, detail);
    s->refused = true;
    s->d->verdict = VERDICT_DENY;
    s->d->err = err;
    s->d->rule = rule;
    s->d->reason = reason;
    return TM_OK;
}

/* ---- certificates that are shown ---- */

static struct shown_cert *cert_open(struct deciding *s, struct slice der)
{
    if (der.n == 0)
        return NULL;
    struct shown_cert *c = arena_alloc(s->a, sizeof *c);
    if (!c)
        return NULL;
    tm_err err = cert_parse(&c->cert, der, NULL);
    if (err == TM_OK)
        err = name_parse(&c->subject, c->cert.subject, NULL);
    if (err == TM_OK)
        err = cert_san(&c->san, s->a, &c->cert, NULL);
    if (err != TM_OK)
        return NULL;
    return c;
}

struct shown_cert *caller_cert(struct deciding *s)
{
    if (!s->caller_read) {
        s->caller_read = true;
        if (s->e->caller.kind == CALLER_DEVICE || s->e->caller.kind == CALLER_CERTIFICATE)
            s->caller = cert_open(s, s->e->caller.cert);
    }
    return s->caller;
}

struct shown_cert *predecessor_cert(struct deciding *s)
{
    if (!s->predecessor_read) {
        s->predecessor_read = true;
        s->predecessor = cert_open(s, s->f->predecessor.cert);
        /* Where little is retained, the old certificate itself is what the caller shows. */
        if (!s->predecessor && s->f->predecessor.cert.n == 0)
            s->predecessor = caller_cert(s);
    }
    return s->predecessor;
}

struct slice name_value(struct deciding *s, const struct name *n, enum oid type)
{
    for (size_t i = 0; i < n->n; i++) {
        struct slice v = {0};
        if (n->attrs[i].type != type)
            continue;
        if (name_attr_text(&v, s->a, &n->attrs[i]) == TM_OK)
            return v;
    }
    return (struct slice){0};
}

/* ---- the decision ---- */

tm_err policy_decide(struct decision *ret, struct arena *a, const struct profile *p,
                     const struct enrollment *e, const struct facts *f)
{
    struct deciding s;
    /* The arrays at its end are counted; zeroing them would cost more than some rules. */
    memset(&s, 0, offsetof(struct deciding, attrs));
    s.n_attrs = 0;
    s.n_names = 0;
    s.names = NULL;
    s.d = ret;
    s.a = a;
    s.p = p;
    s.e = e;
    s.f = f;
    memset(ret, 0, sizeof *ret);
    ret->verdict = VERDICT_ISSUE;
    ret->err = TM_OK;
    ret->rule = "";
    ret->reason = "";
    ret->plan.device_id = "";
    for (size_t i = 0; i < sizeof rules / sizeof rules[0] && !s.refused; i++) {
        tm_err err = rules[i](&s);
        /* Too little memory must never change what is decided, so that a rule which got by without is no excuse. */
        if (arena_err(a) != TM_OK)
            return TM_ENOMEM;
        TM_TRY(err);
    }
    if (s.refused)
        memset(&ret->plan, 0, sizeof ret->plan);
    return TM_OK;
}
