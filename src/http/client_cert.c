#include "http/client_cert.h"
#include "base/text.h"

/* The length of the sf-binary at the start of s with both colons (RFC 8941 section 3.3.5); 0: none. */
static size_t binary_length(struct slice s)
{
    if (s.n < 2 || s.p[0] != ':')
        return 0;
    for (size_t i = 1; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c == ':')
            return i + 1;
        bool fits = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
                    c == '/' || c == '=';
        if (!fits)
            return 0;
    }
    return 0;
}

/* A certificate is a SEQUENCE with a definite length that takes all octets; the rest is for those who parse it. */
static bool is_one_sequence(struct slice der)
{
    if (der.n < 2 || der.p[0] != 0x30)
        return false;
    size_t n = der.p[1], head = 2;
    if (n > 0x80) {
        size_t octets = n - 0x80;
        if (octets > 3 || der.n < 2 + octets)
            return false;
        n = 0;
        for (size_t i = 0; i < octets; i++)
            n = n << 8 | der.p[2 + i];
        head += octets;
    } else if (n == 0x80) {
        return false;
    }
    return n == der.n - head;
}

static tm_err binary_decode(struct slice *ret, struct arena *a, struct slice binary)
{
    struct slice der;
    TM_TRY(base64_decode(&der, a, slice_sub(binary, 1, binary.n - 2), BASE64_STD));
    if (!is_one_sequence(der))
        return TM_EMALFORMED;
    *ret = der;
    return TM_OK;
}

/* SP only: RFC 8941 section 4.2 discards SP around an item, OWS (SP / HTAB) around the commas of a list. */
static struct slice skip(struct slice s, bool tabs)
{
    while (s.n > 0 && (s.p[0] == ' ' || (tabs && s.p[0] == '\t')))
        s = slice_sub(s, 1, s.n);
    return s;
}

tm_err client_cert_parse(struct slice *ret, struct arena *a, struct slice field)
{
    field = skip(field, false);
    size_t n = binary_length(field);
    if (n == 0 || skip(slice_sub(field, n, field.n), false).n > 0)
        return TM_EMALFORMED;
    return binary_decode(ret, a, slice_sub(field, 0, n));
}

tm_err client_cert_chain_parse(struct slice chain[CLIENT_CERT_CHAIN_MAX], size_t *n, struct arena *a,
                               struct slice field)
{
    field = skip(field, false);
    if (field.n == 0) /* an empty list is not sent (RFC 8941 section 3.1), but means the same */
        return TM_OK;
    for (;;) {
        size_t len = binary_length(field);
        if (len == 0)
            return TM_EMALFORMED;
        if (*n == CLIENT_CERT_CHAIN_MAX)
            return TM_ETOOBIG;
        TM_TRY(binary_decode(&chain[*n], a, slice_sub(field, 0, len)));
        ++*n;
        field = skip(slice_sub(field, len, field.n), true);
        if (field.n == 0)
            return TM_OK;
        if (field.p[0] != ',')
            return TM_EMALFORMED;
        field = skip(slice_sub(field, 1, field.n), true);
    }
}
