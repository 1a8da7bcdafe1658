#include "x509/print.h"
#include "base/text.h"
#include "der/ber.h"
#include "der/reader.h"
#include "x509/cms/certs_only.h"
#include "x509/internal.h"
#include "x509/print_object.h"

/* Parsed objects are large; they live here once, not on the stack of each step. */
struct work {
    struct print_sink sink;
    struct arena *a;
    struct diag *diag;
    struct cert cert;
    struct csr csr;
    struct crl crl;
};

enum { PRINT_ARENA_MAX = 64 << 20, PKCS7_MAX = 16 << 20 };

static tm_err bundle_print(struct work *w, struct slice der)
{
    struct slice *certs = arena_calloc(w->a, CERTS_ONLY_MAX, sizeof *certs), flat;
    size_t n;
    if (!certs)
        return arena_failed(w->a);
    TM_TRY(ber_normalize(&flat, w->a, der, PKCS7_MAX, w->diag));
    TM_TRY(certs_only_parse(certs, CERTS_ONLY_MAX, &n, flat, w->diag));
    for (size_t i = 0; i < n; i++) {
        TM_TRY(cert_parse(&w->cert, certs[i], w->diag));
        print_cert(&w->sink, w->a, &w->cert);
    }
    return TM_OK;
}

/* The first tags tell a PKCS#7 (OID) from the rest. Of what does not parse as anything, the complaint of the nearest kind is kept: a
 * SEQUENCE of { SEQUENCE, SEQUENCE, BIT STRING } starts with a version tag [0] in a v3 certificate, an INTEGER in a request and in
 * CRLs; so each is tried, and the one that came furthest speaks. */
static tm_err der_print(struct work *w, struct slice der)
{
    struct diag best = {0}, d;
    struct der_reader r, outer;
    tm_err e, worst = TM_EMALFORMED;
    der_reader_init(&r, der, NULL);
    if ((der_enter(&r, DER_SEQUENCE, &outer) == TM_OK && der_peek(&outer) == DER_OID) ||
        (der.n > 2 && der.p[0] == DER_SEQUENCE && der.p[1] == 0x80))
        return bundle_print(w, der);
    for (int kind = 0; kind < 3; kind++) {
        diag_clear(&d);
        e = kind == 0   ? cert_parse(&w->cert, der, &d)
            : kind == 1 ? csr_parse_any(&w->csr, w->a, der, &d)
                        : crl_parse(&w->crl, der, &d);
        if (e == TM_OK) {
            if (kind == 0)
                print_cert(&w->sink, w->a, &w->cert);
            else if (kind == 1)
                print_csr(&w->sink, w->a, &w->csr);
            else
                print_crl(&w->sink, w->a, &w->crl);
            return TM_OK;
        }
        if (kind == 0 || d.offset > best.offset) {
            best = d;
            worst = e;
        }
    }
    if (w->diag)
        *w->diag = best;
    return worst;
}

static bool label_is_ours(const char *label)
{
    static const char *const labels[] = {"CERTIFICATE",
                                         "X509 CERTIFICATE",
                                         "CERTIFICATE REQUEST",
                                         "NEW CERTIFICATE REQUEST",
                                         "X509 CRL",
                                         "PKCS7",
                                         "CMS"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (strcmp(label, labels[i]) == 0)
            return true;
    return false;
}

/* Keys and whatever else stands beside certificates in a file are passed over. */
static tm_err pem_print(struct work *w, struct slice text)
{
    for (;;) {
        struct slice der;
        char *label;
        tm_err e = pem_next(&der, &label, w->a, &text, NULL);
        if (e == TM_ENOTFOUND)
            break;
        if (e != TM_OK)
            return diag_fail(w->diag, e, "RFC 7468", NULL, "malformed PEM");
        if (label_is_ours(label))
            TM_TRY(der_print(w, der));
    }
    if (w->sink.objects == 0)
        return diag_fail(w->diag, TM_EMALFORMED, "RFC 7468", NULL,
                         "no certificate, request or CRL among the PEM blocks");
    return TM_OK;
}

static tm_err any_print(struct work *w, struct slice bytes)
{
    if (bytes.n && bytes.p[0] == DER_SEQUENCE)
        return der_print(w, bytes);
    if (bytes.n && memmem(bytes.p, bytes.n, "-----BEGIN ", 11))
        return pem_print(w, bytes);
    struct slice der;
    if (bytes.n && base64_decode(&der, w->a, bytes, BASE64_STD) == TM_OK && der.n && der.p[0] == DER_SEQUENCE)
        return der_print(w, der);
    TM_TRY(csr_parse_any(&w->csr, w->a, bytes, w->diag)); /* SPKAC=… */
    print_csr(&w->sink, w->a, &w->csr);
    return TM_OK;
}

static tm_err print_any(struct buf *out, struct slice bytes, bool json, struct diag *diag)
{
    struct arena *a = arena_new(PRINT_ARENA_MAX);
    struct work *w = a ? arena_calloc(a, 1, sizeof *w) : NULL;
    size_t start = out->n;
    if (!w) {
        arena_free(a);
        return TM_ENOMEM;
    }
    w->a = a;
    w->diag = diag;
    w->sink = (struct print_sink){.out = out, .json = json};
    print_begin(&w->sink);
    tm_err e = any_print(w, bytes);
    print_end(&w->sink);
    arena_free(a);
    if (e == TM_OK)
        return buf_err(out);
    if (buf_err(out) == TM_OK && out->p) { /* nothing half-way */
        out->n = start;
        out->p[start] = '\0';
    }
    return e;
}

tm_err x509_print_any(struct buf *out, struct slice bytes, struct diag *diag)
{
    return print_any(out, bytes, false, diag);
}

tm_err x509_print_any_json(struct buf *out, struct slice bytes, struct diag *diag)
{
    return print_any(out, bytes, true, diag);
}
