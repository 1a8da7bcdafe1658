/* Mail by SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the beginning (RFC 8314), signing in by PLAIN (RFC 4954). */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINES_MAX = 100, HEADER_MAX = 64 << 10, MESSAGE_MAX = 1 << 20 };

struct smtp {
    struct wire *w;
    struct arena *a;
    struct diag *diag;
    bool starttls, plain;
};

/* Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF (RFC 5321 4.2). `code` is that of the lines before, "" of none:
 * all have the same. */
static bool is_reply(const char *line, const char *code)
{
    bool digits = line[0] >= '2' && line[0] <= '5' && line[1] >= '0' && line[1] <= '9' && line[2] >= '0' &&
                  line[2] <= '9';
    return digits && (line[3] == '\0' || line[3] == ' ' || line[3] == '-') &&
           (code[0] == '\0' || strncmp(line, code, 3) == 0);
}

/* Extensions are what EHLO is answered with. */
static void note(struct smtp *s, const char *text)
{
    s->starttls |= strcasecmp(text, "STARTTLS") == 0;
    s->plain |= strncasecmp(text, "AUTH ", 5) == 0 && strcasestr(text + 4, " PLAIN");
}

/* The whole answer; its first digit must be `good`. */
static tm_err answer(struct smtp *s, char good, const char *to)
{
    const char *line;
    char code[4] = "";
    for (int i = 0;; i++) {
        TM_TRY(wire_line(s->w, &line, s->a, s->diag));
        if (i == LINES_MAX) /* what is left of it would be taken for the answer to the next command */
            return diag_fail(s->diag, TM_EMALFORMED, "RFC 5321 4.2", to,
                             "the mail server's answer has more than %d lines", LINES_MAX);
        if (!is_reply(line, code))
            return diag_fail(s->diag, TM_EMALFORMED, "RFC 5321 4.2", to,
                             "the mail server's answer is no reply");
        memcpy(code, line, 3);
        if (line[3] != '\0')
            note(s, line + 4);
        if (line[3] != '-')
            break;
    }
    if (line[0] == good)
        return TM_OK;
    /* 4xx may be well later, 5xx will not: both are tried again, for people mend servers. */
    return diag_fail(s->diag, TM_EUNAVAIL, "RFC 5321 4.2", to, "the mail server answered to %s: %.150s", to,
                     line);
}

[[gnu::format(printf, 4, 5)]] static tm_err command(struct smtp *s, char good, const char *what,
                                                    const char *fmt, ...)
{
    struct buf b;
    va_list ap;
    char line[WIRE_LINE];
    buf_init(&b, WIRE_LINE + 2);
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line || strpbrk(line, "\r\n"))
        return diag_fail(s->diag, TM_EINVAL, NULL, what, "%s does not fit a line", what);
    buf_printf(&b, "%s\r\n", line);
    OPENSSL_cleanse(line, sizeof line);
    tm_err e = buf_err(&b) == TM_OK ? wire_write(s->w, buf_slice(&b), s->diag) : buf_err(&b);
    if (b.p)
        OPENSSL_cleanse(b.p, b.n);
    buf_done(&b);
    return e == TM_OK ? answer(s, good, what) : e;
}

static const char *own_name(char ret[256])
{
    if (gethostname(ret, 255) != 0 || !ret[0])
        snprintf(ret, 256, "localhost");
    ret[255] = '\0';
    return ret;
}

static tm_err hello(struct smtp *s)
{
    char name[256];
    s->starttls = s->plain = false;
    return command(s, '2', "EHLO", "EHLO %s", own_name(name));
}

static tm_err sign_in(struct smtp *s, const struct notification_doc *d, const char *password)
{
    struct buf raw, text;
    if (!d->mail.user[0])
        return TM_OK;
    if (!password[0])
        return diag_fail(s->diag, TM_EDENIED, NULL, "mail.user",
                         "its password is not set: touchmark alert secret %s", d->name);
    if (!s->plain)
        return diag_fail(s->diag, TM_EUNSUPPORTED, "RFC 4954", "mail.user",
                         "the mail server does not offer AUTH PLAIN");
    buf_init(&raw, 2048);
    buf_init(&text, 4096);
    buf_putc(&raw, 0);
    buf_puts(&raw, d->mail.user);
    buf_putc(&raw, 0);
    buf_puts(&raw, password);
    buf_put_base64(&text, buf_slice(&raw), BASE64_STD, 0);
    tm_err e = command(s, '2', "AUTH", "AUTH PLAIN %s", buf_str(&text));
    if (raw.p)
        OPENSSL_cleanse(raw.p, raw.n);
    if (text.p)
        OPENSSL_cleanse(text.p, text.n);
    buf_done(&raw);
    buf_done(&text);
    return e;
}

/* RFC 2047: text that is not ASCII as an encoded word a piece. */
static void put_subject(struct buf *b, const char *subject)
{
    bool ascii = true;
    for (const char *p = subject; *p; p++)
        ascii &= (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f;
    buf_puts(b, "Subject: ");
    if (ascii && strlen(subject) < 900) {
        buf_printf(b, "%s\r\n", subject);
        return;
    }
    for (struct slice rest = slice_str(subject); rest.n;) {
        size_t n = 0;
        while (n < rest.n && n < 36) {
            size_t step = utf8_step(slice_sub(rest, n, rest.n));
            n += step ? step : 1;
        }
        buf_puts(b, "=?UTF-8?B?");
        buf_put_base64(b, slice_sub(rest, 0, n), BASE64_STD, 0);
        rest = slice_sub(rest, n, rest.n);
        buf_puts(b, rest.n ? "?=\r\n " : "?=\r\n");
    }
}

static void put_date(struct buf *b, int64_t now)
{
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct civil_time t = civil_from_unix(now);
    buf_printf(b, "Date: %s, %d %s %04d %02d:%02d:%02d +0000\r\n", days[now / 86400 % 7], t.day,
               months[t.month - 1], t.year, t.hour, t.minute, t.second);
}

/* RFC 5322. The body goes as base64, so that no line of it is too long or begins with a dot. */
static tm_err put_message(struct buf *b, const struct notification_doc *d, const struct message *m)
{
    const char *at = strchr(d->mail.from, '@');
    put_date(b, clock_now());
    buf_printf(b, "From: Touchmark <%s>\r\nTo: ", d->mail.from);
    for (size_t i = 0; i < m->to.n; i++)
        buf_printf(b, "%s<%s>", i ? ",\r\n " : "", m->to.v[i]);
    buf_puts(b, "\r\n");
    put_subject(b, m->subject);
    buf_printf(
        b,
        "Message-ID: <%s%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
        "Auto-Submitted: auto-generated\r\nX-Touchmark-Severity: %s\r\n\r\n",
        m->id, at ? at : "@touchmark", finding_severity_names[m->severity]);
    struct buf body;
    buf_init(&body, MESSAGE_MAX);
    buf_put_base64(&body, slice_str(m->text), BASE64_STD, 76);
    for (const char *p = buf_str(&body); *p; p++) {
        if (*p == '\n')
            buf_putc(b, '\r');
        buf_putc(b, (uint8_t)*p);
    }
    tm_err e = buf_err(&body);
    buf_done(&body);
    buf_puts(b, "\r\n.\r\n");
    return e == TM_OK ? buf_err(b) : e;
}

static tm_err converse(struct smtp *s, const struct notification_doc *d, const struct message *m,
                       const char *password)
{
    struct buf b;
    if (d->mail.tls == NOTIFY_TLS)
        TM_TRY(wire_tls(s->w, d, d->mail.server, s->diag));
    TM_TRY(answer(s, '2', "the greeting"));
    TM_TRY(hello(s));
    if (d->mail.tls == NOTIFY_STARTTLS) {
        if (!s->starttls)
            return diag_fail(
                s->diag, TM_EUNSUPPORTED, "RFC 3207", "mail.tls",
                "the mail server does not offer STARTTLS: set tls: tls (port 465), or none where that is safe");
        TM_TRY(command(s, '2', "STARTTLS", "STARTTLS"));
        TM_TRY(wire_tls(s->w, d, d->mail.server, s->diag));
        TM_TRY(hello(s));
    }
    TM_TRY(sign_in(s, d, password));
    TM_TRY(command(s, '2', "MAIL FROM", "MAIL FROM:<%s>", d->mail.from));
    for (size_t i = 0; i < m->to.n; i++)
        TM_TRY(command(s, '2', "RCPT TO", "RCPT TO:<%s>", m->to.v[i]));
    TM_TRY(command(s, '3', "DATA", "DATA"));
    buf_init(&b, MESSAGE_MAX);
    tm_err e = put_message(&b, d, m);
    if (e == TM_OK)
        e = wire_write(s->w, buf_slice(&b), s->diag);
    buf_done(&b);
    TM_TRY(e);
    TM_TRY(answer(s, '2', "the message"));
    /* It has been taken: how the conversation ends is all the same. */
    struct diag unwanted = {0};
    s->diag = &unwanted;
    TM_IGNORE(command(s, '2', "QUIT", "QUIT"));
    return TM_OK;
}

tm_err mail_talk(struct wire *w, struct arena *a, const struct notification_doc *d, const struct message *m,
                 const char *password, struct diag *diag)
{
    struct smtp s = {.w = w, .a = a, .diag = diag};
    return converse(&s, d, m, password);
}

tm_err mail_send(struct arena *a, const struct notification_doc *d, const struct message *m,
                 const char *password, struct diag *diag)
{
    struct wire w;
    if (m->to.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "mail.to", "nobody is named to send it to");
    tm_err e = wire_open(&w, d, d->mail.server, (int)d->mail.port, diag);
    if (e == TM_OK)
        e = mail_talk(&w, a, d, m, password, diag);
    wire_close(&w);
    return e;
}
