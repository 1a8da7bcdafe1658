/* discover/talk_impl.h - between the files of a conversation. Layer 5. */
#pragma once
#include "discover/talk.h"

/* Octets of a fixed order (RFC 8446 3). The error is sticky: reads beyond the end give nothing. */
struct wire {
    const uint8_t *p, *end;
    bool bad;
};
struct wire wire_of(struct slice s);
unsigned wire_number(struct wire *w, unsigned octets);
struct slice wire_octets(struct wire *w, size_t n);
/* A vector whose length takes so many octets. */
struct slice wire_vector(struct wire *w, unsigned length_octets);

/* It is over, and why. */
void talk_fail(struct talk *t, enum tls_failure why, const char *hint);
/* One handshake message as it stands in the transcript; with DTLS `body` alone matters. What has to be sent is appended. */
void talk_message(struct talk *t, uint8_t type, struct slice whole, struct slice body, struct buf *out);
/* Records of TLS: uses up what is complete, says how much that is. */
size_t talk_records(struct talk *t, struct slice s, struct buf *out);
/* One datagram. */
void talk_datagram(struct talk *t, struct slice s, struct buf *out);
/* An alert's two octets. */
void talk_alert(struct talk *t, struct slice s);
/* The ClientHello as a record; with DTLS as a datagram. */
void talk_put_hello(struct talk *t, struct buf *out);
void talk_hello_message(const struct talk *t, struct buf *out);
