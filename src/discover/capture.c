#include "discover/capture.h"
#include <string.h>

/* pcap: a header of 24 octets, then per packet 16 octets (seconds, fraction, captured, length) and the octets.
 * pcapng: blocks of u32 type, u32 length, body, the same length again. */
enum {
    FORMAT_PCAP = 1,
    FORMAT_NG,
    PCAP_HEADER = 24,
    PCAP_RECORD = 16,
    NG_HEADER = 8,
    NG_LEAST = 12,
    NG_INTERFACE = 1,
    NG_SIMPLE = 3,
    NG_PACKET = 6,
    MS = 1000,
    OPTION_RESOLUTION = 9
};
#define MAGIC_US  0xa1b2c3d4u
#define MAGIC_NS  0xa1b23c4du
#define NG_BEGIN  0x0a0d0d0au
#define NG_ENDIAN 0x1a2b3c4du
/* The end of the year 9999: later ones are no times. */
#define SECONDS_MAX UINT64_C(253402300799)

static uint32_t u32(const struct capture *c, const uint8_t *p)
{
    return c->swapped ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0]
                      : (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t u16(const struct capture *c, const uint8_t *p)
{
    return (uint16_t)(c->swapped ? p[1] << 8 | p[0] : p[0] << 8 | p[1]);
}

void capture_init(struct capture *c, void (*packet)(void *arg, int link, int64_t at, struct slice data),
                  void *arg)
{
    *c = (struct capture){.packet = packet, .arg = arg};
    buf_init(&c->rest, 4 * CAPTURE_BLOCK_MAX);
}

void capture_done(struct capture *c)
{
    buf_done(&c->rest);
}

static void give(struct capture *c, int link, int64_t at, struct slice data)
{
    c->packets++;
    c->packet(c->arg, link, at, data);
}

/* ---- pcap ---- */

static bool is_magic(struct capture *c, const uint8_t *p)
{
    for (int i = 0; i < 2; i++) {
        c->swapped = i;
        uint32_t magic = u32(c, p);
        c->nanoseconds = magic == MAGIC_NS;
        if (magic == MAGIC_US || magic == MAGIC_NS)
            return true;
    }
    return false;
}

/* *ret_used 0: more is needed. */
static tm_err pcap_step(struct capture *c, struct slice s, size_t *ret_used, struct diag *diag)
{
    if (s.n < PCAP_RECORD)
        return TM_OK;
    uint32_t n = u32(c, s.p + 8), fraction = u32(c, s.p + 4);
    if (n > CAPTURE_BLOCK_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "file",
                         "packet %llu has more than %d octets, or the file is damaged",
                         (unsigned long long)c->packets + 1, CAPTURE_BLOCK_MAX);
    if (s.n < PCAP_RECORD + (size_t)n)
        return TM_OK;
    int64_t at = (int64_t)u32(c, s.p) * MS + (int64_t)(fraction / (c->nanoseconds ? 1000000 : 1000));
    give(c, c->link, at, slice_sub(s, PCAP_RECORD, n));
    *ret_used = PCAP_RECORD + n;
    return TM_OK;
}

/* ---- pcapng ---- */

/* if_tsresol: a power of ten, or with the top bit of two; microseconds where nothing is said. */
static uint64_t resolution(const struct capture *c, struct slice options)
{
    while (options.n >= 4) {
        uint16_t code = u16(c, options.p), n = u16(c, options.p + 2);
        if (code == OPTION_RESOLUTION && n >= 1 && options.n > 4) {
            unsigned v = options.p[4] & 0x7f;
            uint64_t units = 1;
            bool binary = options.p[4] & 0x80;
            if (v > (binary ? 40 : 12))
                break;
            for (unsigned i = 0; i < v; i++)
                units *= binary ? 2 : 10;
            return units;
        }
        options = slice_sub(options, 4 + ((size_t)n + 3) / 4 * 4, options.n);
    }
    return 1000000;
}

static void ng_packet(struct capture *c, struct slice body)
{
    if (body.n < 20)
        return;
    uint32_t interface = u32(c, body.p), n = u32(c, body.p + 12);
    uint64_t time = (uint64_t)u32(c, body.p + 4) << 32 | u32(c, body.p + 8);
    if (interface >= c->n_interfaces || n > body.n - 20)
        return;
    const struct capture_interface *i = &c->interfaces[interface];
    uint64_t seconds = time / i->units;
    int64_t at = seconds <= SECONDS_MAX ? (int64_t)(seconds * MS + time % i->units * MS / i->units) : 0;
    give(c, i->link, at, slice_sub(body, 20, n));
}

static void ng_simple(struct capture *c, struct slice body)
{
    if (body.n < 4 || c->n_interfaces == 0)
        return;
    uint32_t n = u32(c, body.p);
    give(c, c->interfaces[0].link, 0, slice_sub(body, 4, n));
}

static void ng_block(struct capture *c, uint32_t type, struct slice body)
{
    if (type == NG_BEGIN) {
        c->n_interfaces = 0; /* another section counts anew */
    } else if (type == NG_INTERFACE && body.n >= 8 && c->n_interfaces < CAPTURE_INTERFACES_MAX) {
        struct capture_interface *i = &c->interfaces[c->n_interfaces++];
        i->link = u16(c, body.p);
        i->units = resolution(c, slice_sub(body, 8, body.n));
    } else if (type == NG_PACKET) {
        ng_packet(c, body);
    } else if (type == NG_SIMPLE) {
        ng_simple(c, body);
    }
}

static tm_err ng_step(struct capture *c, struct slice s, size_t *ret_used, struct diag *diag)
{
    if (s.n < NG_LEAST)
        return TM_OK;
    uint32_t type = u32(c, s.p);
    if (type == NG_BEGIN) { /* which says in what order the octets of all that follows stand */
        c->swapped = false;
        if (u32(c, s.p + NG_HEADER) != NG_ENDIAN) {
            c->swapped = true;
            if (u32(c, s.p + NG_HEADER) != NG_ENDIAN)
                return diag_fail(diag, TM_EMALFORMED, NULL, "file", "a section without a byte order");
        }
    }
    uint32_t n = u32(c, s.p + 4);
    if (n < NG_LEAST || n % 4 || n > CAPTURE_BLOCK_MAX)
        return diag_fail(diag, n > CAPTURE_BLOCK_MAX ? TM_ETOOBIG : TM_EMALFORMED, NULL, "file",
                         "block %llu has a length that can't be, or more than %d octets",
                         (unsigned long long)c->blocks + 1, CAPTURE_BLOCK_MAX);
    if (s.n < n)
        return TM_OK;
    c->blocks++;
    ng_block(c, type, slice_sub(s, NG_HEADER, n - NG_LEAST));
    *ret_used = n;
    return TM_OK;
}

/* ---- both ---- */

static tm_err begin(struct capture *c, struct slice s, size_t *ret_used, struct diag *diag)
{
    if (s.n < PCAP_HEADER)
        return TM_OK;
    c->swapped = false;
    if (u32(c, s.p) == NG_BEGIN) {
        c->format = FORMAT_NG;
        return ng_step(c, s, ret_used, diag);
    }
    if (!is_magic(c, s.p))
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, "file", "neither pcap nor pcapng");
    c->format = FORMAT_PCAP;
    c->link = (int)(u32(c, s.p + 20) & 0xffff); /* above are a count of check octets and flags */
    *ret_used = PCAP_HEADER;
    return TM_OK;
}

tm_err capture_feed(struct capture *c, struct slice octets, struct diag *diag)
{
    buf_put_slice(&c->rest, octets);
    TM_TRY(buf_err(&c->rest));
    size_t done = 0;
    for (;;) {
        struct slice s = slice_sub(buf_slice(&c->rest), done, c->rest.n);
        size_t used = 0;
        if (c->format == 0)
            TM_TRY(begin(c, s, &used, diag));
        else if (c->format == FORMAT_PCAP)
            TM_TRY(pcap_step(c, s, &used, diag));
        else
            TM_TRY(ng_step(c, s, &used, diag));
        if (used == 0)
            break;
        done += used;
    }
    buf_consume(&c->rest, done);
    return TM_OK;
}

tm_err capture_end(struct capture *c, struct diag *diag)
{
    if (c->format == 0)
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, "file", "neither pcap nor pcapng");
    return c->rest.n ? diag_fail(diag, TM_EMALFORMED, NULL, "file", "it ends within a packet") : TM_OK;
}
