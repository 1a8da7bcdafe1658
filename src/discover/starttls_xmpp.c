/* XMPP, client to server (RFC 6120 5.4): what matters of the XML is found as text, for it is the server's own and nothing of it is kept. */
#include "discover/starttls.h"
#include <string.h>

static bool has(struct slice s, const char *text, size_t *ret_end)
{
    const uint8_t *at = s.n ? memmem(s.p, s.n, text, strlen(text)) : NULL;
    if (at && ret_end)
        *ret_end = (size_t)(at - s.p) + strlen(text);
    return at != NULL;
}

static enum starttls_state step(unsigned step, struct slice said, size_t *ret_used, const char *name,
                                struct buf *out, const char **hint)
{
    size_t end = 0;
    if (step == 0) {
        buf_puts(out, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
                      "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'");
        if (name) /* a DNS name: nothing in it is markup */
            buf_printf(out, " to='%s'", name);
        buf_puts(out, ">");
        return STARTTLS_SENT;
    }
    if (said.n && said.p[0] != '<' && step == 1)
        return STARTTLS_FOREIGN;
    if (step == 1) {
        *hint = "the service ended the stream";
        if (!has(said, "</stream:features>", &end) && !has(said, "<stream:features/>", &end))
            return has(said, "</stream:stream>", NULL) ? STARTTLS_REFUSED : STARTTLS_MORE;
        *ret_used = end;
        *hint = "TLS is not among its features";
        if (!has(slice_of(said.p, end), "urn:ietf:params:xml:ns:xmpp-tls", NULL))
            return STARTTLS_REFUSED;
        buf_puts(out, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        return STARTTLS_SENT;
    }
    *hint = "the service refused";
    if (has(said, "<failure", NULL) || has(said, "</stream:stream>", NULL))
        return STARTTLS_REFUSED;
    if (!has(said, "<proceed", &end))
        return STARTTLS_MORE;
    const uint8_t *close = memchr(said.p + end, '>', said.n - end);
    if (!close)
        return STARTTLS_MORE;
    *ret_used = (size_t)(close - said.p) + 1;
    return STARTTLS_READY;
}

const struct starttls starttls_xmpp = {"xmpp", 5222, false, step};
