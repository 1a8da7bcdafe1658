#include "http/chunked.h"

/* chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
 * last-chunk     = 1*("0") [ chunk-ext ] CRLF
 * chunked-body   = *chunk last-chunk trailer-section CRLF */
enum {
    FIRST_DIGIT,
    DIGITS,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER,
    TRAILER_LF,
    LAST_LF,
};

void chunked_init(struct chunked *c, size_t trailers_max)
{
    *c = (struct chunked){.state = FIRST_DIGIT, .trailers_max = trailers_max};
}

static int hex_value(uint8_t b)
{
    if (b >= '0' && b <= '9')
        return b - '0';
    if ((b | 0x20) >= 'a' && (b | 0x20) <= 'f')
        return (b | 0x20) - 'a' + 10;
    return -1;
}

static bool is_text(uint8_t b)
{
    return (b >= 0x20 && b != 0x7f) || b == '\t';
}

/* One octet of a line that tells a chunk's size. */
static tm_err size_octet(struct chunked *c, uint8_t b)
{
    int digit = c->state == EXTENSION ? -1 : hex_value(b);
    if (++c->line > CHUNKED_LINE_MAX)
        return TM_EMALFORMED;
    if (digit >= 0) {
        if (c->left >> 59) /* another digit would not leave room for sums */
            return TM_EMALFORMED;
        c->left = c->left << 4 | (uint64_t)digit;
        c->state = DIGITS;
        return TM_OK;
    }
    if (c->state == FIRST_DIGIT)
        return TM_EMALFORMED;
    if (b == '\r') {
        c->state = SIZE_LF;
        return TM_OK;
    }
    /* BWS goes before ';' only, but "5 \r\n" is sent by some and means nothing else. */
    bool fits = c->state == EXTENSION ? is_text(b) : b == ';' || b == ' ' || b == '\t';
    c->state = EXTENSION;
    return fits ? TM_OK : TM_EMALFORMED;
}

static tm_err trailer_octet(struct chunked *c, uint8_t b)
{
    if (++c->trailers > c->trailers_max)
        return TM_ETOOBIG;
    if (b == '\r') {
        c->state = c->state == TRAILER_START ? LAST_LF : TRAILER_LF;
        return TM_OK;
    }
    if (c->state == TRAILER_START && (b == ' ' || b == '\t' || b == ':')) /* folded, or without a name */
        return TM_EMALFORMED;
    c->state = TRAILER;
    return is_text(b) ? TM_OK : TM_EMALFORMED;
}

static tm_err octet(struct chunked *c, uint8_t b)
{
    switch (c->state) {
    case FIRST_DIGIT:
    case DIGITS:
    case EXTENSION:
        return size_octet(c, b);
    case SIZE_LF:
        c->state = c->left ? DATA : TRAILER_START;
        c->line = 0;
        return b == '\n' ? TM_OK : TM_EMALFORMED;
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r' ? TM_OK : TM_EMALFORMED;
    case DATA_LF:
        c->state = FIRST_DIGIT;
        return b == '\n' ? TM_OK : TM_EMALFORMED;
    case TRAILER_START:
    case TRAILER:
        return trailer_octet(c, b);
    case TRAILER_LF:
        c->state = TRAILER_START;
        return b == '\n' ? TM_OK : TM_EMALFORMED;
    default: /* LAST_LF */
        c->done = true;
        return b == '\n' ? TM_OK : TM_EMALFORMED;
    }
}

tm_err chunked_feed(struct chunked *c, struct slice in, size_t *ret_used, struct slice *ret)
{
    size_t at = 0;
    struct slice piece = slice_of(NULL, 0);
    while (at < in.n && !c->done && piece.n == 0) {
        if (c->state != DATA) {
            TM_TRY(octet(c, in.p[at++]));
            continue;
        }
        piece = slice_sub(in, at, c->left < in.n - at ? (size_t)c->left : in.n - at);
        at += piece.n;
        c->left -= piece.n;
        if (c->left == 0)
            c->state = DATA_CR;
    }
    *ret_used = at;
    *ret = piece;
    return TM_OK;
}
