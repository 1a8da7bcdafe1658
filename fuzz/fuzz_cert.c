/* Certificates, and every decoder of extensions on whatever extensions they have.
 * Dictionary: der
 * Parser: x509/cert.c x509/ext.c x509/general_name.c x509/name.c x509/name_constraints.c x509/spki.c
 *   -tbs_cert_build -serial_ok -exts_build -ext_encode_* -general_name_hw_module -general_name_permanent_id -general_name_upn
 *   -other_name -general_name_build -name_build_* -output_tag -name_print* -print_attr -print_escaped */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "x509/cert.h"
#include "x509/ext.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void names_again(struct arena *a, const struct general_names *names, struct slice value)
{
    struct slice again;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < names->n; i++) {
        struct general_name back;
        buf_reset(&text);
        general_name_print(&text, &names->v[i]);
        if (!general_name_eq(&names->v[i], &names->v[i]))
            abort();
        if (general_name_from_text(&back, a, buf_slice(&text), NULL) == TM_OK &&
            back.type != names->v[i].type)
            abort();
    }
    buf_done(&text);
    if (ext_encode_san(&again, a, names->v, names->n) != TM_OK || !slice_eq(again, value))
        abort();
}

/* Against the certificate's own names, the constraints' bases, and names with all the parts that are taken apart. */
static void constraints(struct arena *a, const struct general_names *names, const struct name_constraints *nc,
                        struct slice value)
{
    static const char *const texts[] = {"*.a.example", "b@a.example", "https://u@a.example:1/p?q",
                                        "urn:x",       "10.0.0.1",    "::1"};
    struct slice again;
    struct diag d = {0};
    for (size_t i = 0; i < names->n; i++)
        TM_IGNORE(name_constraints_check(nc, &names->v[i], &d));
    for (size_t i = 0; i < nc->permitted.n; i++)
        TM_IGNORE(name_constraints_check(nc, &nc->permitted.v[i], &d));
    for (size_t i = 0; i < nc->excluded.n; i++)
        TM_IGNORE(name_constraints_check(nc, &nc->excluded.v[i], &d));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct general_name gn = {.type = i == 0   ? GN_DNS
                                          : i == 1 ? GN_EMAIL
                                          : i < 4  ? GN_URI
                                                   : GN_IP,
                                  .value = slice_str(texts[i])};
        if (gn.type == GN_IP && general_name_from_text(&gn, a, gn.value, &d) != TM_OK)
            abort();
        TM_IGNORE(name_constraints_check(nc, &gn, &d));
    }
    if (ext_encode_name_constraints(&again, a, nc) != TM_OK || !slice_eq(again, value))
        abort();
}

static void extension(struct arena *a, const struct general_names *san, struct slice value)
{
    struct basic_constraints bc;
    struct eku eku;
    struct name_constraints nc;
    struct general_names names;
    struct slice s, many[8];
    uint32_t ku;
    size_t n;
    struct diag d = {0};
    TM_IGNORE(ext_decode_basic_constraints(&bc, value, &d));
    if (ext_decode_key_usage(&ku, value, &d) == TM_OK &&
        (ext_encode_key_usage(&s, a, ku) != TM_OK || !slice_eq(s, value)))
        abort();
    if (ext_decode_eku(&eku, value, &d) == TM_OK &&
        (ext_encode_eku(&s, a, eku.oid, eku.n) != TM_OK || !slice_eq(s, value)))
        abort();
    TM_IGNORE(ext_decode_ski(&s, value, &d));
    TM_IGNORE(ext_decode_akid(&s, value, &d));
    TM_IGNORE(ext_decode_cdp(many, 8, &n, value, &d));
    TM_IGNORE(ext_decode_aia(many, 8, &n, OID_AD_OCSP, value, &d));
    TM_IGNORE(ext_decode_policies(many, 8, &n, value, &d));
    if (general_names_parse(&names, a, value, &d) == TM_OK)
        names_again(a, &names, value);
    if (ext_decode_name_constraints(&nc, a, value, &d) == TM_OK)
        constraints(a, san, &nc, value);
}

/* Whatever type an attribute has, its text is UTF-8. */
static void subject(struct arena *a, const struct cert *c)
{
    struct name n;
    struct slice text;
    if (name_parse(&n, c->subject, NULL) != TM_OK || !name_matches(&n, &n))
        abort(); /* it parsed a moment ago */
    for (size_t i = 0; i < n.n; i++)
        if (name_attr_text(&text, a, &n.attrs[i]) == TM_OK && !utf8_valid(text))
            abort();
    TM_IGNORE(name_get(&text, a, &n, OID_CN));
}

/* The parts by themselves: those of a certificate that parses, or the input as any of them. */
static void parts(struct slice der)
{
    static struct cert c;
    static struct exts e;
    static struct name n;
    struct algid alg;
    struct spki spki;
    uint8_t id[20];
    struct diag d = {0};
    TM_IGNORE(cert_parse_tbs(&c, der, &d));
    TM_IGNORE(exts_parse(&e, der, &d));
    TM_IGNORE(algid_parse(&alg, der, &d));
    TM_IGNORE(name_parse(&n, der, &d));
    if (spki_parse(&spki, der, &d) == TM_OK)
        TM_IGNORE(spki_key_id(id, &spki));
}

/* A name against another, and every GeneralName against every other: as alike as the input makes them. */
static void compare(const struct cert *c, const struct general_names *san)
{
    static struct name s, i;
    if (name_parse(&s, c->subject, NULL) == TM_OK && name_parse(&i, c->issuer, NULL) == TM_OK) {
        if (name_matches(&s, &i) != name_matches(&i, &s) ||
            (name_matches(&s, &i) && !name_starts_with(&s, &i)))
            abort();
        (void)name_starts_with(&s, &i);
    }
    for (size_t k = 0; k < san->n && k < 8; k++)
        for (size_t m = 0; m < k; m++)
            if (general_name_eq(&san->v[k], &san->v[m]) != general_name_eq(&san->v[m], &san->v[k]))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cert c;
    struct slice der = slice_of(data, size);
    struct diag d = {0};
    struct arena *a = arena_new(0);
    struct general_names san = {0};
    struct buf out;
    if (!a)
        return 0;
    buf_init(&out, 1 << 20);
    parts(der);
    if (cert_parse(&c, der, &d) == TM_OK) {
        subject(a, &c);
        (void)cert_ski(&c);
        (void)cert_akid(&c);
        (void)cert_is_ca(&c);
        if (cert_san(&san, a, &c, &d) != TM_OK)
            san = (struct general_names){0};
        compare(&c, &san);
        parts(c.tbs);
        parts(c.spki.der);
        parts(c.sigalg.der);
        for (size_t i = 0; i < c.exts.n; i++)
            extension(a, &san, c.exts.v[i].value);
        if (signed_assemble(&out, c.tbs, c.sigalg.der, c.signature) != TM_OK ||
            !slice_eq(buf_slice(&out), der))
            abort();
    } else if (d.message[0] == '\0') {
        abort(); /* every refusal says why */
    }
    buf_done(&out);
    arena_free(a);
    return 0;
}
