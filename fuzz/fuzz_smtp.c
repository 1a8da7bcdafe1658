/* What a mail server says, as it takes a message or does not: line after line, whatever is asked. The first octet says whether it is asked for STARTTLS,
 * signed in to, and sent to one or two. However it ends, only our own commands were said, and a message that was taken had been said whole.
 * Parser: alert/mail.c:answer,is_reply,note,command,hello,sign_in,converse,mail_talk alert/wire.c:wire_line */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/clock.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* SPOKEN_MAX is more than a conversation of ours has. */
enum { STARTTLS = 1, SIGN_IN = 2, TWO = 4, SPOKEN_MAX = 8192, HEARD_MAX = 32 << 10 };

static bool has(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

static void look(int peer, tm_err e, bool two)
{
    static char spoken[SPOKEN_MAX + 1];
    ssize_t n = recv(peer, spoken, SPOKEN_MAX, MSG_DONTWAIT);
    size_t said = n > 0 ? (size_t)n : 0;
    spoken[said] = '\0';
    if (said == SPOKEN_MAX || strlen(spoken) != said || (said && strncmp(spoken, "EHLO ", 5) != 0) ||
        (said && memcmp(spoken + said - 2, "\r\n", 2) != 0) || has(spoken, "INJECTED"))
        abort();
    if (e == TM_OK && (!has(spoken, "\r\nRCPT TO:<a@b.example>\r\n") ||
                       two != has(spoken, "\r\nRCPT TO:<c@d.example>\r\n") ||
                       !has(spoken, "\r\nSubject: s\r\n") || !has(spoken, "\r\n.\r\nQUIT\r\n")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *to[] = {"a@b.example", "c@d.example"};
    int ends[2];
    if (size == 0 || size > HEARD_MAX ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return 0;
    /* A CA that is none: the conversation ends where TLS would begin. */
    const struct notification_doc d = {.mail = {.server = "localhost",
                                                .from = "from@x.example",
                                                .user = data[0] & SIGN_IN ? "user" : "",
                                                .tls = data[0] & STARTTLS ? NOTIFY_STARTTLS : NOTIFY_PLAIN},
                                       .ca = "none"};
    const struct message m = {.id = "1",
                              .subject = "s",
                              .text = "text\n",
                              .json = "{}",
                              .severity = FINDING_INFO,
                              .to = {.v = to, .n = data[0] & TWO ? 2 : 1}};
    struct diag diag = {0};
    struct arena *a = arena_new(0);
    bool heard = send(ends[1], data + 1, size - 1, MSG_NOSIGNAL) == (ssize_t)size - 1 &&
                 shutdown(ends[1], SHUT_WR) == 0;
    if (a && heard) {
        struct wire w = {.fd = ends[0], .reach = {.deadline_ns = clock_mono_ns() + UINT64_C(5000000000)}};
        tm_err e = mail_talk(&w, a, &d, &m, "secret", &diag);
        if (e != TM_OK && e != TM_ENOMEM && !diag.message[0])
            abort();
        look(ends[1], e, data[0] & TWO);
        wire_close(&w);
        ends[0] = -1;
    }
    if (ends[0] >= 0)
        close(ends[0]);
    close(ends[1]);
    arena_free(a);
    return 0;
}
