/* Recorded traffic: pcap and pcapng, links, IP, TCP put in order, and the certificates of TLS in it. Whatever it is cut into, the same comes out.
 * Parser: discover/capture.c discover/streams.c discover/hellos.c */
#include "discover/capture.h"
#include "discover/streams.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct streams *streams;
    uint64_t certs, octets;
};

static void on_certs(void *arg, const struct stream_certs *c)
{
    struct seen *s = arg;
    if (c->n_chain == 0 || c->n_chain > STREAM_CHAIN_MAX || strlen(c->name) > STREAM_NAME_MAX)
        abort();
    for (size_t i = 0; i < c->n_chain; i++)
        s->octets += c->chain[i].n + c->chain[i].p[c->chain[i].n - 1];
    s->certs++;
}

static void on_packet(void *arg, int link, int64_t at, struct slice data)
{
    struct seen *s = arg;
    streams_packet(s->streams, link, at, data);
}

static bool run(struct seen *ret, struct slice file, size_t piece)
{
    struct capture c;
    *ret = (struct seen){0};
    if (streams_new(&ret->streams, on_certs, ret) != TM_OK)
        return false;
    capture_init(&c, on_packet, ret);
    tm_err e = TM_OK;
    for (size_t i = 0; i < file.n && e == TM_OK; i += piece)
        e = capture_feed(&c, slice_sub(file, i, piece), NULL);
    if (e == TM_OK)
        TM_IGNORE(capture_end(&c, NULL));
    capture_done(&c);
    streams_free(ret->streams);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole, pieces;
    struct slice file = slice_of(data, size);
    if (size > 1 << 17 || !run(&whole, file, 1 << 17) || !run(&pieces, file, 977))
        return 0;
    if (whole.certs != pieces.certs || whole.octets != pieces.octets)
        abort();
    return 0;
}
