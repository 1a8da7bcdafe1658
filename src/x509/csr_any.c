/* Requests of which nobody said what they are. */
#include "base/text.h"
#include "der/reader.h"
#include "x509/csr.h"
#include "x509/internal.h"

enum { TEXT_MAX = 2 * CSR_DER_MAX };

/* Tags of the first element at each level: PKCS#10 { { INTEGER, … }, { algorithm }, … }, CertReqMsg { { INTEGER, … }, popo … },
 * CertReqMessages { { { INTEGER …, SPKAC { { { { OID …. */
static tm_err parse_der(struct csr *ret, struct arena *a, struct slice der, struct diag *diag)
{
    struct der_reader r, outer, first, second;
    der_reader_init(&r, der, NULL);
    TM_IGNORE(der_enter(&r, DER_SEQUENCE, &outer));
    struct der_reader rest = outer;
    TM_IGNORE(der_enter(&outer, DER_SEQUENCE, &first));
    TM_IGNORE(der_skip(&rest, DER_SEQUENCE));
    if (der_peek(&first) == DER_INTEGER) {
        TM_IGNORE(der_skip(&first, DER_INTEGER));
        TM_IGNORE(der_enter(&first, DER_SEQUENCE, &second));
        /* A PKCS#10 has a Name there and is signed; a CertReqMsg has a template of context tags, then popo or nothing. */
        bool is_crmf = der_peek(&rest) == 0 || der_peek(&rest) & 0x80 || der_peek(&second) & 0x80;
        return is_crmf ? csr_parse_crmf(ret, a, der, diag) : csr_parse_pkcs10(ret, der, diag);
    }
    TM_IGNORE(der_enter(&first, DER_SEQUENCE, &second));
    if (der_peek(&second) == DER_INTEGER) {
        struct slice message;
        size_t n;
        TM_TRY(crmf_messages_read(&message, 1, &n, der, diag));
        return csr_parse_crmf(ret, a, message, diag);
    }
    if (der_peek(&second) == DER_SEQUENCE)
        return csr_parse_spkac(ret, der, diag);
    return csr_parse_pkcs10(ret, der, diag);
}

/* The value of a line "SPKAC=…" as `openssl spkac` writes it; empty when there is none. */
static struct slice spkac_line(struct slice text)
{
    while (text.n) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        struct slice line = slice_trim(slice_sub(text, 0, n));
        if (slice_eq(slice_sub(line, 0, 6), SLICE_LIT("SPKAC=")))
            return slice_sub(line, 6, line.n);
        text = slice_sub(text, n + 1, text.n);
    }
    return (struct slice){0};
}

static bool contains(struct slice s, const char *what)
{
    return s.n && memmem(s.p, s.n, what, strlen(what));
}

static tm_err parse_pem(struct csr *ret, struct arena *a, struct slice text, struct diag *diag)
{
    struct slice der;
    char *label;
    for (;;) {
        tm_err e = pem_next(&der, &label, a, &text, NULL);
        if (e == TM_ENOTFOUND)
            return diag_fail(diag, TM_EMALFORMED, "RFC 7468 7", "request",
                             "no certificate request among the PEM blocks");
        if (e != TM_OK)
            return diag_fail(diag, e, "RFC 7468", "request", "malformed PEM");
        if (strcmp(label, "CERTIFICATE REQUEST") == 0 || strcmp(label, "NEW CERTIFICATE REQUEST") == 0)
            return parse_der(ret, a, der, diag);
    }
}

tm_err csr_parse_any(struct csr *ret, struct arena *a, struct slice bytes, struct diag *diag)
{
    struct slice der, spkac;
    if (bytes.n && bytes.p[0] == DER_SEQUENCE) {
        /* 0x30 is also "0", which starts no base64 of a SEQUENCE */
        return parse_der(ret, a, bytes, diag);
    }
    if (bytes.n > TEXT_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "request", "more than %d bytes", TEXT_MAX);
    if (contains(bytes, "-----BEGIN "))
        return parse_pem(ret, a, bytes, diag);
    spkac = spkac_line(bytes);
    if (base64_decode(&der, a, spkac.n ? spkac : bytes, BASE64_STD) != TM_OK || der.n == 0)
        return diag_fail(diag, TM_EMALFORMED, NULL, "request", "neither DER, PEM, base64 nor SPKAC");
    return spkac.n ? csr_parse_spkac(ret, der, diag) : parse_der(ret, a, der, diag);
}
