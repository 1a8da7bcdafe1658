/* SMTP (RFC 3207), IMAP (RFC 3501 6.2.1) and POP3 (RFC 2595 4): lines, each answered by one that says yes. */
#include "discover/starttls.h"
#include <string.h>
#include <strings.h>

enum { STEPS = 3 };

struct dialect {
    const char *yes[STEPS];  /* how the answer begins that lets us go on */
    const char *then[STEPS]; /* what is said next; NULL: TLS begins */
    const char *
        untagged; /* lines of IMAP that are no answer begin with this, once something was asked; NULL: none */
    bool many;    /* SMTP: "250-" says that another line follows */
    const char *no; /* how the greeting of another service of the same kind begins */
};

/* The next line without its end; false: there is none yet. */
static bool line_next(struct slice *ret, size_t *used, struct slice said)
{
    const uint8_t *from = said.p + *used, *end = said.n > *used ? memchr(from, '\n', said.n - *used) : NULL;
    if (!end)
        return false;
    *ret = slice_of(from, (size_t)(end - from));
    *used += ret->n + 1;
    if (ret->n && ret->p[ret->n - 1] == '\r')
        ret->n--;
    return true;
}

static bool begins(struct slice s, const char *with)
{
    size_t n = strlen(with);
    return s.n >= n && strncasecmp((const char *)s.p, with, n) == 0;
}

static bool is_no_answer(const struct dialect *d, unsigned step, struct slice line)
{
    bool more = d->many && line.n > 3 && line.p[0] >= '0' && line.p[0] <= '9' && line.p[3] == '-';
    return more || (d->untagged && step > 0 && begins(line, d->untagged));
}

static enum starttls_state lines_step(const struct dialect *d, unsigned step, struct slice said,
                                      size_t *ret_used, struct buf *out, const char **hint)
{
    struct slice line;
    size_t used = 0, from;
    if (step >= STEPS)
        return STARTTLS_FOREIGN;
    do {
        from = used;
        if (!line_next(&line, &used, said))
            return said.n - used > STARTTLS_LINE_MAX ? STARTTLS_FOREIGN : STARTTLS_MORE;
        if (used - from > STARTTLS_LINE_MAX + 1) /* too long also where it came at once */
            return STARTTLS_FOREIGN;
    } while (is_no_answer(d, step, line));
    *ret_used = used;
    if (!begins(line, d->yes[step])) {
        *hint = step == 0 ? "the greeting is none of this protocol" : "the service refused";
        return step == 0 && !begins(line, d->no) ? STARTTLS_FOREIGN : STARTTLS_REFUSED;
    }
    if (!d->then[step])
        return STARTTLS_READY;
    buf_puts(out, d->then[step]);
    return STARTTLS_SENT;
}

static const struct dialect smtp = {
    {"220", "250", "220"}, {"EHLO touchmark.invalid\r\n", "STARTTLS\r\n", NULL}, NULL, true, "5"};
static const struct dialect imap = {
    {"* OK", "a OK", NULL}, {"a STARTTLS\r\n", NULL, NULL}, "* ", false, "* "};
static const struct dialect pop3 = {{"+OK", "+OK", NULL}, {"STLS\r\n", NULL, NULL}, NULL, false, "-ERR"};

static enum starttls_state smtp_step(unsigned step, struct slice said, size_t *used, const char *name,
                                     struct buf *out, const char **hint)
{
    return lines_step(&smtp, step, said, used, out, hint);
}

static enum starttls_state imap_step(unsigned step, struct slice said, size_t *used, const char *name,
                                     struct buf *out, const char **hint)
{
    return lines_step(&imap, step, said, used, out, hint);
}

static enum starttls_state pop3_step(unsigned step, struct slice said, size_t *used, const char *name,
                                     struct buf *out, const char **hint)
{
    return lines_step(&pop3, step, said, used, out, hint);
}

const struct starttls starttls_smtp = {"smtp", 25, true, smtp_step};
const struct starttls starttls_imap = {"imap", 143, true, imap_step};
const struct starttls starttls_pop3 = {"pop3", 110, true, pop3_step};
