#include "inventory/csv.h"
#include "base/text.h"
#include <string.h>

static uint32_t code_point(struct slice s, size_t n)
{
    static const uint8_t first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = s.p[0] & first[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (s.p[i] & 0x3f);
    return c;
}

/* C0, C1, line and paragraph separators, bidirectional controls, zero-width marks, the byte order mark and tags. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

/* Programs of East Asia take the wide forms of = + - @ (U+FF1D …) for the same. */
static bool is_formula(const char *text)
{
    static const char *const wide[] = {"\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"};
    while (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n')
        text++;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (strncmp(text, wide[i], 3) == 0)
            return true;
    return *text && strchr("=+-@", *text) != NULL;
}

void csv_put_cell(struct buf *out, const char *text, bool first)
{
    if (!first)
        buf_putc(out, ',');
    bool formula = is_formula(text), quoted = formula || strpbrk(text, ",\";'\t\r\n ") != NULL;
    if (quoted)
        buf_putc(out, '"');
    if (formula)
        buf_putc(out, '\'');
    for (struct slice left = slice_str(text); left.n;) {
        size_t n = utf8_step(left);
        uint32_t c = n ? code_point(left, n) : left.p[0];
        if (n == 0)
            buf_printf(out, "\\x%02x", (unsigned)c);
        else if (is_hidden(c))
            buf_printf(out, "\\u{%x}", (unsigned)c);
        else if (c == '"')
            buf_puts(out, "\"\"");
        else
            buf_put(out, left.p, n);
        left = slice_sub(left, n ? n : 1, SIZE_MAX);
    }
    if (quoted)
        buf_putc(out, '"');
}

void csv_end_row(struct buf *out)
{
    buf_puts(out, "\r\n");
}
