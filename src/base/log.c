#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/task.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 16 << 10, LOG_LINE_USUAL = 512, GATHERED_MAX = 16 << 10 };

static _Atomic(int) least_level = LOG_INFO;
static _Atomic(int) line_format = LOG_AUTO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_configure(enum log_level least, enum log_format format)
{
    if (format == LOG_AUTO)
        format = isatty(STDERR_FILENO) ? LOG_TEXT : LOG_JSON;
    atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
    atomic_store_explicit(&line_format, (int)format, memory_order_relaxed);
}

static enum log_format log_format(void)
{
    int format = atomic_load_explicit(&line_format, memory_order_relaxed);
    if (format == LOG_AUTO) {
        format = isatty(STDERR_FILENO) ? LOG_TEXT : LOG_JSON;
        atomic_store_explicit(&line_format, format, memory_order_relaxed);
    }
    return (enum log_format)format;
}

/* RFC 3339 with milliseconds. The text of a second is kept for the next line. */
static void format_now(char out[25])
{
    static _Thread_local int64_t second = INT64_MIN;
    static _Thread_local char text[21];
    int64_t now = clock_now_ms();
    unsigned ms = now > 0 ? (unsigned)(now % 1000) : 0;
    if (now / 1000 != second) {
        second = now / 1000;
        clock_format_rfc3339(text, second);
    }
    memcpy(out, text, sizeof text);
    out[19] = '.';
    out[20] = (char)('0' + ms / 100);
    out[21] = (char)('0' + ms / 10 % 10);
    out[22] = (char)('0' + ms % 10);
    out[23] = 'Z';
    out[24] = '\0';
}

static void put_json_field(struct buf *b, const struct log_field *f)
{
    buf_putc(b, ',');
    buf_put_json_string(b, slice_str(f->key));
    buf_putc(b, ':');
    if (f->kind == LOG_FIELD_INT)
        buf_printf(b, "%" PRId64, f->i);
    else if (f->s)
        buf_put_json_string(b, slice_str(f->s));
    else
        buf_puts(b, "null");
}

static void put_json_line(struct buf *b, const char *level, const char *rid, const char *event,
                          const struct log_field *fields)
{
    char now[25];
    format_now(now);
    buf_puts(b, "{\"ts\":\"");
    buf_puts(b, now);
    buf_puts(b, "\",\"level\":\"");
    buf_puts(b, level);
    buf_puts(b, "\",\"event\":");
    buf_put_json_string(b, slice_str(event));
    if (rid)
        put_json_field(b, &LOG_S("rid", rid));
    for (const struct log_field *f = fields; f && f->kind != LOG_FIELD_END; f++)
        put_json_field(b, f);
    buf_puts(b, "}\n");
}

/* logfmt: a value stands bare unless it is empty or has something in it that would end or confuse it. */
static void put_text_value(struct buf *b, const char *s)
{
    bool bare = *s != '\0';
    for (const char *c = s; *c && bare; c++)
        bare = *c > ' ' && *c < 0x7f && *c != '"' && *c != '=' && *c != '\\';
    if (bare)
        buf_puts(b, s);
    else
        buf_put_json_string(b, slice_str(s));
}

static void put_text_field(struct buf *b, const struct log_field *f)
{
    buf_printf(b, " %s=", f->key);
    if (f->kind == LOG_FIELD_INT)
        buf_printf(b, "%" PRId64, f->i);
    else
        put_text_value(b, f->s ? f->s : "");
}

static void put_text_line(struct buf *b, const char *level, const char *rid, const char *event,
                          const struct log_field *fields)
{
    char now[25];
    format_now(now);
    buf_printf(b, "%s %-5s ", now, level);
    put_text_value(b, event);
    if (rid)
        put_text_field(b, &LOG_S("rid", rid));
    for (const struct log_field *f = fields; f && f->kind != LOG_FIELD_END; f++)
        put_text_field(b, f);
    buf_putc(b, '\n');
}

/* There is nowhere to report a failure to log. */
static void write_once(const void *p, size_t n)
{
    ssize_t written = write(STDERR_FILENO, p, n);
    (void)written;
}

/* ---- lines of a corked thread: they leave with what it posts, in one write ---- */

static _Thread_local struct {
    size_t n;
    char text[GATHERED_MAX];
} gathered;

static void gathered_write(void)
{
    if (gathered.n)
        write_once(gathered.text, gathered.n);
    gathered.n = 0;
}

/* False: the line has to be written by itself. What was gathered is out before it. */
static bool gather(enum log_level level, const void *p, size_t n)
{
    if (level < LOG_WARN && n <= sizeof gathered.text - gathered.n && task_at_flush(gathered_write)) {
        memcpy(gathered.text + gathered.n, p, n);
        gathered.n += n;
        return true;
    }
    gathered_write();
    return false;
}

/* Out of memory or too long: still a whole line that says that something happened. Only for our own, harmless names. */
static void write_cut_line(enum log_format format, const char *level, const char *event)
{
    char now[25], line[192];
    format_now(now);
    int n =
        snprintf(line, sizeof line,
                 format == LOG_JSON ? "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%.64s\",\"cut\":true}\n"
                                    : "%s %-5s %.64s cut=true\n",
                 now, level, event);
    if (n > 0 && (size_t)n < sizeof line)
        write_once(line, (size_t)n);
}

void log_write(enum log_level level, const char *rid, const char *event, const struct log_field *fields)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    enum log_format format = log_format();
    struct buf b;
    buf_init(&b, LOG_LINE_MAX);
    (void)buf_extend(&b, LOG_LINE_USUAL); /* one allocation for almost every line */
    buf_reset(&b);
    (format == LOG_JSON ? put_json_line : put_text_line)(&b, level_names[level], rid, event, fields);
    if (buf_err(&b) == TM_OK) {
        if (!gather(level, b.p, b.n))
            write_once(b.p, b.n);
    } else {
        write_cut_line(format, level_names[level], event);
    }
    buf_done(&b);
}
