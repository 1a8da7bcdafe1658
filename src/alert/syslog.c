/* Syslog messages (RFC 5424) over UDP (RFC 5426), TCP with counted octets (RFC 6587 3.4.1), TLS (RFC 5425) or a socket of this machine. */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "enroll/outbound/lookup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE_MAX = 8192, SUBJECT_MAX = 1000, TEXT_MAX = 1500 };

/* RFC 5424 6.2.1: severities of syslog. */
static int level(enum finding_severity s)
{
    static const int levels[] = {6, 5, 4, 3, 2};
    return s < FINDING_SEVERITIES ? levels[s] : 5;
}

/* RFC 5424 6.3.3: '"', '\\' and ']' are escaped in values. */
static void put_value(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, " %s=\"", name);
    for (; *value; value++) {
        if (strchr("\"\\]", *value))
            buf_putc(b, '\\');
        buf_putc(b, (unsigned char)*value < 0x20 ? ' ' : (uint8_t)*value);
    }
    buf_putc(b, '"');
}

/* RFC 5424 6.4: what stands behind a BOM is UTF-8, whole characters of it; names of certificates hold what their makers liked, line ends too. */
static void put_line(struct buf *b, const char *text, size_t max)
{
    struct slice rest = slice_str(text);
    for (size_t n = 0; rest.n && n < max;) {
        size_t step = utf8_step(rest);
        if (step == 0 || rest.p[0] < 0x20 || rest.p[0] == 0x7f)
            buf_putc(b, step ? ' ' : '?');
        else
            buf_put(b, rest.p, step);
        step = step ? step : 1;
        n += step;
        rest = slice_sub(rest, step, rest.n);
    }
}

static tm_err put_message(struct buf *b, const struct notification_doc *d, const struct message *m)
{
    char time[21], host[256] = "-";
    clock_format_rfc3339(time, clock_now());
    if (gethostname(host, 255) != 0 || !host[0])
        snprintf(host, sizeof host, "-");
    host[255] = '\0';
    buf_printf(b, "<%d>1 %s %s touchmark %ld alert [touchmark@32473",
               (int)d->syslog.facility * 8 + level(m->severity), time, host, (long)getpid());
    put_value(b, "delivery", m->id);
    put_value(b, "severity", finding_severity_names[m->severity]);
    buf_puts(b, "] \xef\xbb\xbf"); /* BOM: the text is UTF-8 */
    /* One line: the subject, then the text with its line ends as spaces. */
    put_line(b, m->subject, SUBJECT_MAX);
    buf_puts(b, " | ");
    put_line(b, m->text, TEXT_MAX);
    return buf_err(b);
}

static tm_err send_unix(const struct notification_doc *d, struct slice s, struct diag *diag)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(d->syslog.path) >= sizeof to.sun_path)
        return diag_fail(diag, TM_EINVAL, NULL, "syslog.path", "too long for a socket");
    memcpy(to.sun_path, d->syslog.path, strlen(d->syslog.path) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool sent =
        fd >= 0 && sendto(fd, s.p, s.n, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) == (ssize_t)s.n;
    int err = errno;
    if (fd >= 0)
        close(fd);
    return sent ? TM_OK
                : diag_fail(diag, TM_EUNAVAIL, NULL, "syslog.path", "%s: %s", d->syslog.path, strerror(err));
}

static tm_err send_udp(const struct notification_doc *d, struct slice s, struct diag *diag)
{
    struct address v[REACH_ADDRESSES_MAX];
    struct reach r = {.networks = &d->networks,
                      .deadline_ns = clock_mono_ns() + WIRE_SECONDS * UINT64_C(1000000000)};
    size_t n = 0, i = 0;
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to = {0};
    if (reach_literal(&v[0], d->syslog.server))
        n = 1;
    else if (lookup_addresses(v, REACH_ADDRESSES_MAX, &n, d->syslog.server, &r) != TM_OK)
        n = 0;
    while (i < n && !reach_allowed(&d->networks, &v[i]))
        i++;
    if (i == n)
        return diag_fail(diag, n ? TM_EFORBIDDEN : TM_EUNAVAIL, "notification.networks", "syslog.server",
                         n ? "%s is not public: name its network under networks"
                           : "no address of %s could be found",
                         d->syslog.server);
    bool four = v[i].family == ADDRESS_V4;
    if (four) {
        to.v4.sin_family = AF_INET;
        to.v4.sin_port = htons((uint16_t)d->syslog.port);
        memcpy(&to.v4.sin_addr, v[i].ip, 4);
    } else {
        to.v6.sin6_family = AF_INET6;
        to.v6.sin6_port = htons((uint16_t)d->syslog.port);
        memcpy(&to.v6.sin6_addr, v[i].ip, 16);
    }
    int fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool sent = fd >= 0 && sendto(fd, s.p, s.n, MSG_NOSIGNAL, &to.sa, four ? sizeof to.v4 : sizeof to.v6) ==
                               (ssize_t)s.n;
    int err = errno;
    if (fd >= 0)
        close(fd);
    return sent ? TM_OK
                : diag_fail(diag, TM_EUNAVAIL, NULL, "syslog.server", "%s: %s", d->syslog.server,
                            strerror(err));
}

static tm_err send_stream(const struct notification_doc *d, struct slice s, struct diag *diag)
{
    struct wire w;
    char count[24];
    int n = snprintf(count, sizeof count, "%zu ", s.n);
    tm_err e = wire_open(&w, d, d->syslog.server, (int)d->syslog.port, diag);
    if (e == TM_OK && d->syslog.over == NOTIFY_SYSLOG_TLS)
        e = wire_tls(&w, d, d->syslog.server, diag);
    if (e == TM_OK)
        e = wire_write(&w, slice_of(count, (size_t)n), diag);
    if (e == TM_OK)
        e = wire_write(&w, s, diag);
    wire_close(&w);
    return e;
}

tm_err syslog_send(struct arena *a, const struct notification_doc *d, const struct message *m,
                   struct diag *diag)
{
    (void)a;
    struct buf b;
    buf_init(&b, MESSAGE_MAX);
    tm_err e = put_message(&b, d, m);
    if (e == TM_OK)
        e = d->syslog.over == NOTIFY_UNIX  ? send_unix(d, buf_slice(&b), diag)
            : d->syslog.over == NOTIFY_UDP ? send_udp(d, buf_slice(&b), diag)
                                           : send_stream(d, buf_slice(&b), diag);
    buf_done(&b);
    return e;
}
