/* Every file in tests/data/x509/bad/<kind>/ is refused by the rule that its name starts with. */
#include "unit/x509/sample.h"
#include "x509/cert.h"
#include "x509/cms/certs_only.h"
#include "x509/crl.h"
#include "x509/csr.h"
#include <ctype.h>

typedef tm_err parse_fn(struct arena *a, struct slice der, struct diag *d);

/* "RFC 5280 A.1" -> "rfc5280-a.1", "X.690 10.1" -> "x690-10.1" */
static void rule_to_prefix(char out[80], const char *rule)
{
    char *p = out;
    int words = 0;
    for (; *rule; rule++) {
        if (*rule == ' ') {
            if (++words == (out[0] == 'r' ? 2 : 1))
                *p++ = '-';
        } else if (*rule != '.' || words > 0) {
            *p++ = (char)tolower((unsigned char)*rule);
        }
    }
    *p++ = '-';
    *p = '\0';
}

static void all_refused(struct arena *a, const char *kind, parse_fn *parse)
{
    const char *names[128], *dir = arena_printf(a, "bad/%s", kind);
    size_t n = sample_list(names, 128, a, dir, ""), wrong = 0;
    for (size_t i = 0; i < n; i++) {
        struct diag d = {0};
        char prefix[80];
        tm_err e = parse(a, sample(a, arena_printf(a, "%s/%s", dir, names[i])), &d);
        rule_to_prefix(prefix, d.rule);
        if ((e != TM_EMALFORMED && e != TM_ETOOBIG) || strncmp(names[i], prefix, strlen(prefix)) != 0) {
            print_error("%s/%s: result %x by \"%s\": %s\n", dir, names[i], (unsigned)e, d.rule, d.message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static tm_err parse_cert(struct arena *a, struct slice der, struct diag *d)
{
    struct cert *c = arena_alloc(a, sizeof *c);
    return cert_parse(c, der, d);
}

static tm_err parse_csr(struct arena *a, struct slice der, struct diag *d)
{
    struct csr *c = arena_alloc(a, sizeof *c);
    return csr_parse_pkcs10(c, der, d);
}

static tm_err parse_crmf(struct arena *a, struct slice der, struct diag *d)
{
    struct csr *c = arena_alloc(a, sizeof *c);
    return csr_parse_crmf(c, a, der, d);
}

static tm_err parse_messages(struct arena *a, struct slice der, struct diag *d)
{
    struct slice v[4];
    size_t n;
    return crmf_messages_read(v, 4, &n, der, d);
}

static tm_err parse_spkac(struct arena *a, struct slice der, struct diag *d)
{
    struct csr *c = arena_alloc(a, sizeof *c);
    return csr_parse_spkac(c, der, d);
}

static tm_err parse_crl(struct arena *a, struct slice der, struct diag *d)
{
    struct crl *c = arena_alloc(a, sizeof *c);
    struct crl_iter it;
    struct crl_entry e;
    tm_err err = crl_parse(c, der, d);
    if (err != TM_OK)
        return err;
    crl_iter_init(&it, c, d);
    while ((err = crl_next(&it, &e)) == TM_OK)
        ;
    if (err != TM_ENOTFOUND)
        assert_int_equal(crl_next(&it, &e), err);
    return err == TM_ENOTFOUND ? TM_OK : err;
}

static tm_err parse_certs_only(struct arena *a, struct slice der, struct diag *d)
{
    struct slice v[4];
    size_t n;
    return certs_only_parse(v, 4, &n, der, d);
}

static void test_bad__formats(void **state)
{
    all_refused(*state, "cert", parse_cert);
    all_refused(*state, "csr", parse_csr);
    all_refused(*state, "crmf", parse_crmf);
    all_refused(*state, "crmf-messages", parse_messages);
    all_refused(*state, "spkac", parse_spkac);
    all_refused(*state, "crl", parse_crl);
    all_refused(*state, "certs-only", parse_certs_only);
}

static tm_err decode_basic_constraints(struct arena *a, struct slice value, struct diag *d)
{
    struct basic_constraints bc;
    return ext_decode_basic_constraints(&bc, value, d);
}

static tm_err decode_key_usage(struct arena *a, struct slice value, struct diag *d)
{
    uint32_t ku;
    return ext_decode_key_usage(&ku, value, d);
}

static tm_err decode_eku(struct arena *a, struct slice value, struct diag *d)
{
    struct eku eku;
    return ext_decode_eku(&eku, value, d);
}

static tm_err decode_ski(struct arena *a, struct slice value, struct diag *d)
{
    struct slice id;
    return ext_decode_ski(&id, value, d);
}

static tm_err decode_akid(struct arena *a, struct slice value, struct diag *d)
{
    struct slice id;
    return ext_decode_akid(&id, value, d);
}

static tm_err decode_cdp(struct arena *a, struct slice value, struct diag *d)
{
    struct slice v[4];
    size_t n;
    return ext_decode_cdp(v, 4, &n, value, d);
}

static tm_err decode_aia(struct arena *a, struct slice value, struct diag *d)
{
    struct slice v[4];
    size_t n;
    return ext_decode_aia(v, 4, &n, OID_AD_OCSP, value, d);
}

static tm_err decode_policies(struct arena *a, struct slice value, struct diag *d)
{
    struct slice v[4];
    size_t n;
    return ext_decode_policies(v, 4, &n, value, d);
}

static tm_err decode_san(struct arena *a, struct slice value, struct diag *d)
{
    struct general_names names;
    return general_names_parse(&names, a, value, d);
}

static tm_err decode_name_constraints(struct arena *a, struct slice value, struct diag *d)
{
    struct name_constraints nc;
    return ext_decode_name_constraints(&nc, a, value, d);
}

static void test_bad__extensions(void **state)
{
    all_refused(*state, "ext/basic-constraints", decode_basic_constraints);
    all_refused(*state, "ext/key-usage", decode_key_usage);
    all_refused(*state, "ext/eku", decode_eku);
    all_refused(*state, "ext/ski", decode_ski);
    all_refused(*state, "ext/akid", decode_akid);
    all_refused(*state, "ext/cdp", decode_cdp);
    all_refused(*state, "ext/aia", decode_aia);
    all_refused(*state, "ext/policies", decode_policies);
    all_refused(*state, "ext/san", decode_san);
    all_refused(*state, "ext/name-constraints", decode_name_constraints);
}

/* No prefix of a good sample parses, and none makes a reader look past its end (which the sanitizers would see). */
static void test_bad__every_truncation(void **state)
{
    struct arena *a = *state;
    static const struct {
        const char *name;
        parse_fn *parse;
    } good[] = {
        {"good/cert-ca-rich.der", parse_cert},     {"good/csr-challenge.der", parse_csr},
        {"good/crmf-p256.der", parse_crmf},        {"good/crl-entries.der", parse_crl},
        {"good/certs-only.der", parse_certs_only},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct slice der = sample(a, good[i].name);
        for (size_t n = 0; n < der.n; n++) {
            struct arena *round = arena_new(0);
            struct diag d = {0};
            struct slice cut;
            assert_int_equal(arena_copy(&cut, round, slice_sub(der, 0, n)), TM_OK);
            assert_int_equal(good[i].parse(round, slice_sub(cut, 0, n), &d), TM_EMALFORMED);
            assert_true(d.message[0] != '\0');
            arena_free(round);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_bad__formats),
        SAMPLE_TEST(test_bad__extensions),
        SAMPLE_TEST(test_bad__every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
