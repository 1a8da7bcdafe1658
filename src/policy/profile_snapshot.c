/* The text of a profile with every default spelt out, and what it makes of a sample request. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "policy/profile_impl.h"
#include "policy/sample.h"

enum { INDENT = 2, WIDTH = 24 };

static void put_members(struct buf *out, const struct json_field *schema, const void *from, int depth);

static void put_duration(struct buf *out, int64_t v)
{
    char text[24];
    duration_format(text, v);
    buf_puts(out, text);
}

static void put_value(struct buf *out, const struct json_field *f, const void *member)
{
    char date[21];
    switch (f->kind) {
    case JSON_K_STRING:
        if (*(const char *const *)member)
            buf_put_json_string(out, slice_str(*(const char *const *)member));
        else
            buf_puts(out, "-");
        break;
    case JSON_K_INT:
        buf_printf(out, "%lld", (long long)*(const int64_t *)member);
        break;
    case JSON_K_BOOL:
        buf_puts(out, *(const bool *)member ? "true" : "false");
        break;
    case JSON_K_ENUM:
        buf_puts(out, f->names[*(const int *)member]);
        break;
    case JSON_K_DURATION:
        put_duration(out, *(const int64_t *)member);
        break;
    case JSON_K_TIME:
        clock_format_rfc3339(date, *(const int64_t *)member);
        buf_puts(out, date);
        break;
    case JSON_K_STRINGS: {
        const struct json_strings *list = member;
        for (size_t i = 0; i < list->n; i++) {
            buf_puts(out, i ? ", " : "");
            buf_put_json_string(out, slice_str(list->v[i]));
        }
        buf_puts(out, list->n ? "" : "-");
        break;
    }
    case JSON_K_ENUMS: {
        bool any = false;
        for (unsigned i = 0; f->names[i]; i++) {
            if (!(*(const unsigned *)member >> i & 1))
                continue;
            buf_printf(out, "%s%s", any ? ", " : "", f->names[i]);
            any = true;
        }
        buf_puts(out, any ? "" : "-");
        break;
    }
    default:
        break;
    }
}

static void put_field(struct buf *out, const struct json_field *f, const char *from, int depth)
{
    const void *member = from + f->offset;
    buf_printf(out, "%*s", depth * INDENT, "");
    if (f->kind == JSON_K_OBJECT) {
        bool absent = f->seen_offset && !*(const bool *)(from + f->seen_offset - 1);
        buf_printf(out, "%s:%s\n", f->key, absent ? " -" : "");
        if (!absent)
            put_members(out, f->sub, member, depth + 1);
        return;
    }
    if (f->kind == JSON_K_OBJECTS) {
        const struct json_objects *list = member;
        buf_printf(out, "%s:%s\n", f->key, list->n ? "" : " -");
        for (size_t i = 0; i < list->n; i++) {
            buf_printf(out, "%*s- %zu\n", (depth + 1) * INDENT, "", i);
            put_members(out, f->sub, (const char *)list->v + i * f->size, depth + 2);
        }
        return;
    }
    buf_printf(out, "%-*s ", WIDTH - depth * INDENT, f->key);
    put_value(out, f, member);
    buf_putc(out, '\n');
}

static void put_members(struct buf *out, const struct json_field *schema, const void *from, int depth)
{
    for (const struct json_field *f = schema; f->key; f++)
        put_field(out, f, from, depth);
}

static tm_err put_sample(struct buf *out, struct arena *a, const struct profile *p)
{
    struct sample sample;
    struct decision *d = arena_alloc(a, sizeof *d);
    if (!d)
        return TM_ENOMEM;
    TM_TRY(sample_make(&sample, a, p));
    TM_TRY(policy_decide(d, a, p, &sample.e, &sample.f));
    buf_puts(out, "\n--- a sample request\n\n");
    decision_print(out, d);
    if (d->verdict == VERDICT_DENY)
        return TM_OK;
    uint8_t serial[CERT_SERIAL_LEN];
    serial_prefix(serial, d->plan.not_after, sample.f.now);
    buf_puts(out, "\n--- its TBSCertificate\n\n");
    struct buf tbs;
    buf_init(&tbs, CERT_DER_MAX);
    tm_err err = plan_build_tbs(&tbs, &d->plan, serial, NULL);
    for (size_t at = 0; err == TM_OK && at < tbs.n; at += 32) {
        buf_put_hex(out, slice_sub(buf_slice(&tbs), at, 32));
        buf_putc(out, '\n');
    }
    buf_done(&tbs);
    return err;
}

tm_err profile_snapshot(struct buf *out, const struct profile *p)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    put_members(out, profile_schema, &p->doc, 0);
    tm_err err = put_sample(out, a, p);
    arena_free(a);
    return err != TM_OK ? err : buf_err(out);
}
