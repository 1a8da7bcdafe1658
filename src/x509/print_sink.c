#include "x509/print_sink.h"
#include "base/clock.h"
#include "base/text.h"
#include <inttypes.h>

enum { LABEL_WIDTH = 21, HEX_LINE = 32 };

void print_begin(struct print_sink *s)
{
    if (s->json)
        buf_puts(s->out, "[");
}

void print_end(struct print_sink *s)
{
    if (s->json)
        buf_puts(s->out, s->objects ? "\n]\n" : "]\n");
}

void print_object(struct print_sink *s, const char *kind, const char *title)
{
    s->facts = 0;
    if (s->json) {
        buf_puts(s->out, s->objects ? ",\n  {\n" : "\n  {\n");
        s->objects++;
        print_str(s, "type", "", kind);
        return;
    }
    if (s->objects++)
        buf_putc(s->out, '\n');
    buf_puts(s->out, title);
    buf_putc(s->out, '\n');
}

void print_object_end(struct print_sink *s)
{
    if (s->json)
        buf_puts(s->out, "\n  }");
}

static void key_out(struct print_sink *s, const char *key)
{
    buf_puts(s->out, s->facts++ ? ",\n    " : "    ");
    buf_put_json_string(s->out, slice_str(key));
    buf_puts(s->out, ": ");
}

static void label_out(struct print_sink *s, const char *label)
{
    buf_printf(s->out, "  %-*s", LABEL_WIDTH - 2, label);
    if (strlen(label) >= LABEL_WIDTH - 2) /* too long for its column: the value goes below */
        buf_printf(s->out, "\n%*s", LABEL_WIDTH, "");
}

/* What is invisible or turns the direction of writing becomes \xHH by octets; so does what is no UTF-8. */
static void plain_out(struct print_sink *s, struct slice v)
{
    while (v.n) {
        size_t n = utf8_step(v);
        bool odd = n == 0 || utf8_invisible(utf8_code(v, n));
        n = n ? n : 1;
        for (size_t i = 0; odd && i < n; i++)
            buf_printf(s->out, "\\x%02x", v.p[i]);
        if (!odd)
            buf_put(s->out, v.p, n);
        v = slice_of(v.p + n, v.n - n);
    }
}

void print_text(struct print_sink *s, const char *key, const char *label, struct slice value)
{
    if (s->json) {
        key_out(s, key);
        buf_put_json_string(s->out, value);
        return;
    }
    label_out(s, label);
    plain_out(s, value);
    buf_putc(s->out, '\n');
}

void print_str(struct print_sink *s, const char *key, const char *label, const char *value)
{
    print_text(s, key, label, slice_str(value));
}

/* In lines of 32 octets, so that a key or an unknown extension stays readable. */
void print_hex(struct print_sink *s, const char *key, const char *label, struct slice octets)
{
    if (s->json) {
        key_out(s, key);
        buf_putc(s->out, '"');
        buf_put_hex(s->out, octets);
        buf_putc(s->out, '"');
        return;
    }
    label_out(s, label);
    for (size_t i = 0; i < octets.n; i += HEX_LINE) {
        if (i) {
            buf_putc(s->out, '\n');
            label_out(s, "");
        }
        buf_put_hex(s->out, slice_sub(octets, i, HEX_LINE));
    }
    buf_putc(s->out, '\n');
}

void print_time(struct print_sink *s, const char *key, const char *label, int64_t t, const char *remark)
{
    char text[21];
    clock_format_rfc3339(text, t);
    if (s->json) {
        print_str(s, key, label, text);
        return;
    }
    text[10] = ' ';
    text[19] = '\0';
    label_out(s, label);
    buf_printf(s->out, "%s UTC%s%s\n", text, *remark ? "  " : "", remark);
}

void print_number(struct print_sink *s, const char *key, const char *label, uint64_t v, const char *unit)
{
    if (s->json) {
        key_out(s, key);
        buf_printf(s->out, "%" PRIu64, v);
        return;
    }
    label_out(s, label);
    buf_printf(s->out, "%" PRIu64 "%s\n", v, unit);
}

void print_bool(struct print_sink *s, const char *key, const char *label, bool v)
{
    if (s->json) {
        key_out(s, key);
        buf_puts(s->out, v ? "true" : "false");
        return;
    }
    print_str(s, key, label, v ? "yes" : "no");
}

void print_list(struct print_sink *s, const char *key, const char *label)
{
    s->items = 0;
    s->label = label;
    if (s->json) {
        key_out(s, key);
        buf_putc(s->out, '[');
    }
}

void print_item(struct print_sink *s, struct slice value)
{
    size_t i = s->items++;
    if (s->json) {
        buf_puts(s->out, i ? ", " : "");
        buf_put_json_string(s->out, value);
        return;
    }
    label_out(s, i ? "" : s->label);
    plain_out(s, value);
    buf_putc(s->out, '\n');
}

void print_item_raw(struct print_sink *s, struct slice json)
{
    buf_puts(s->out, s->items++ ? ",\n      " : "\n      ");
    buf_put_slice(s->out, json);
}

void print_list_end(struct print_sink *s)
{
    if (s->json)
        buf_putc(s->out, ']');
}
