/* XMPP, client to server (RFC 6120 5.4): what matters of the XML is found as text, for it is the server's own and nothing of it is kept. */
#include "discover/starttls.h"
#include <string.h>

/* Behind its first occurrence; SIZE_MAX: there is none yet. What comes first counts, so that it does not matter in what pieces it comes. */
static size_t behind(struct slice s, const char *text)
{
    const uint8_t *at = s.n ? memmem(s.p, s.n, text, strlen(text)) : NULL;
    return at ? (size_t)(at - s.p) + strlen(text) : SIZE_MAX;
}

static size_t first_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static enum starttls_state take_features(struct slice said, size_t *ret_used, struct buf *out,
                                         const char **hint)
{
    size_t end = first_of(behind(said, "</stream:features>"), behind(said, "<stream:features/>")),
           over = behind(said, "</stream:stream>");
    if (said.n && said.p[0] != '<')
        return STARTTLS_FOREIGN;
    *hint = "the service ended the stream";
    if (over < end)
        return STARTTLS_REFUSED;
    if (end == SIZE_MAX)
        return STARTTLS_MORE;
    *ret_used = end;
    *hint = "TLS is not among its features";
    if (behind(slice_of(said.p, end), "urn:ietf:params:xml:ns:xmpp-tls") == SIZE_MAX)
        return STARTTLS_REFUSED;
    buf_puts(out, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    return STARTTLS_SENT;
}

static enum starttls_state take_answer(struct slice said, size_t *ret_used, const char **hint)
{
    size_t yes = behind(said, "<proceed"),
           no = first_of(behind(said, "<failure"), behind(said, "</stream:stream>"));
    *hint = "the service refused";
    if (no < yes)
        return STARTTLS_REFUSED;
    const uint8_t *close = yes < said.n ? memchr(said.p + yes, '>', said.n - yes) : NULL;
    if (!close)
        return STARTTLS_MORE;
    *ret_used = (size_t)(close - said.p) + 1;
    return STARTTLS_READY;
}

static enum starttls_state step(unsigned step, struct slice said, size_t *ret_used, const char *name,
                                struct buf *out, const char **hint)
{
    if (step > 0)
        return step == 1 ? take_features(said, ret_used, out, hint) : take_answer(said, ret_used, hint);
    buf_puts(out, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
                  "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'");
    if (name) /* a DNS name: nothing in it is markup */
        buf_printf(out, " to='%s'", name);
    buf_puts(out, ">");
    return STARTTLS_SENT;
}

const struct starttls starttls_xmpp = {"xmpp", 5222, false, step};
