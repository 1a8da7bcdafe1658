/* Extensions for a person: one function a layout, found by OID. */
#include "base/text.h"
#include "der/reader.h"
#include "x509/internal.h"
#include "x509/print_asn1.h"
#include "x509/print_object.h"
#include <inttypes.h>

/* What the layouts below need; `text` is for one value at a time. */
struct page {
    struct print_sink *s;
    struct arena *a;
    struct buf text;
    const char *key, *label;
};

static struct slice text_of(struct page *p)
{
    return buf_slice(&p->text);
}

static void item(struct page *p)
{
    print_item(p->s, text_of(p));
    buf_reset(&p->text);
}

static void put_oid(struct buf *out, struct slice oid)
{
    enum oid id = oid_find(oid);
    if (id)
        buf_puts(out, oid_name(id));
    else
        oid_print_dotted(out, oid);
}

static tm_err names_page(struct page *p, struct slice value)
{
    struct general_names names;
    TM_TRY(general_names_parse(&names, p->a, value, NULL));
    print_list(p->s, p->key, p->label);
    for (size_t i = 0; i < names.n; i++) {
        general_name_print(&p->text, &names.v[i]);
        item(p);
    }
    print_list_end(p->s);
    return TM_OK;
}

static tm_err key_usage_page(struct page *p, struct slice value)
{
    uint32_t bits;
    TM_TRY(ext_decode_key_usage(&bits, value, NULL));
    if (p->s->json)
        print_list(p->s, p->key, p->label);
    for (size_t i = 0; key_usage_names[i]; i++) {
        if (!(bits >> i & 1))
            continue;
        if (!p->s->json && p->text.n)
            buf_puts(&p->text, ", ");
        buf_puts(&p->text, key_usage_names[i]);
        if (p->s->json)
            item(p);
    }
    if (p->s->json)
        print_list_end(p->s);
    else
        print_text(p->s, p->key, p->label, text_of(p));
    return TM_OK;
}

static tm_err oids_page(struct page *p, struct slice value)
{
    struct eku eku;
    TM_TRY(ext_decode_eku(&eku, value, NULL));
    if (p->s->json)
        print_list(p->s, p->key, p->label);
    for (size_t i = 0; i < eku.n; i++) {
        if (!p->s->json && p->text.n)
            buf_puts(&p->text, ", ");
        put_oid(&p->text, eku.oid[i]);
        if (p->s->json)
            item(p);
    }
    if (p->s->json)
        print_list_end(p->s);
    else
        print_text(p->s, p->key, p->label, text_of(p));
    return TM_OK;
}

static tm_err basic_constraints_page(struct page *p, struct slice value)
{
    struct basic_constraints bc;
    TM_TRY(ext_decode_basic_constraints(&bc, value, NULL));
    if (p->s->json) {
        print_bool(p->s, "ca", "", bc.ca);
        if (bc.has_path_len)
            print_number(p->s, "pathLength", "", bc.path_len, "");
        return TM_OK;
    }
    buf_puts(&p->text, bc.ca ? "yes" : "no");
    if (bc.has_path_len && bc.path_len == 0)
        buf_puts(&p->text, ", for end entities only (path length 0)");
    else if (bc.has_path_len)
        buf_printf(&p->text, ", path length %" PRIu64, bc.path_len);
    print_text(p->s, p->key, p->label, text_of(p));
    return TM_OK;
}

static tm_err ski_page(struct page *p, struct slice value)
{
    struct slice id;
    TM_TRY(ext_decode_ski(&id, value, NULL));
    print_hex(p->s, p->key, p->label, id);
    return TM_OK;
}

/* The key identifier, or where it is absent the issuer's names and serial number. */
static tm_err akid_page(struct page *p, struct slice value)
{
    struct der_reader r, seq, names;
    struct slice id, serial;
    bool has_names;
    TM_TRY(ext_decode_akid(&id, value, NULL));
    der_reader_init(&r, value, NULL);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    if (id.n) {
        TM_TRY(der_skip(&seq, DER_CONTEXT(0)));
        print_hex(p->s, p->key, p->label, id);
    }
    TM_TRY(der_enter_optional(&seq, DER_CONTEXT_CONS(1), &names, &has_names));
    if (!has_names)
        return TM_OK;
    print_list(p->s, "authorityCertIssuer", "Issuer certificate");
    while (!der_at_end(&names)) {
        struct general_name gn;
        if (general_name_read(&gn, &names) != TM_OK)
            break;
        general_name_print(&p->text, &gn);
        item(p);
    }
    print_list_end(p->s);
    if (der_read(&seq, DER_CONTEXT(2), &serial) == TM_OK)
        print_hex(p->s, "authorityCertSerialNumber", "  its serial", serial);
    return TM_OK;
}

static tm_err cdp_page(struct page *p, struct slice value)
{
    struct slice uris[16];
    size_t n;
    TM_TRY(ext_decode_cdp(uris, 16, &n, value, NULL));
    print_list(p->s, p->key, p->label);
    for (size_t i = 0; i < n; i++)
        print_item(p->s, uris[i]);
    if (n == 0) { /* names that are no URI */
        asn1_print(&p->text, value);
        item(p);
    }
    print_list_end(p->s);
    return TM_OK;
}

/* IssuingDistributionPoint ::= SEQUENCE { distributionPoint [0] DistributionPointName OPTIONAL, onlyContainsUserCerts [1] BOOLEAN
 *   DEFAULT FALSE, onlyContainsCACerts [2], onlySomeReasons [3] ReasonFlags OPTIONAL, indirectCRL [4], onlyContainsAttributeCerts [5] } */
static tm_err idp_page(struct page *p, struct slice value)
{
    static const char *const flags[] = {
        [1] = "end entities only", [2] = "CAs only", [4] = "indirect", [5] = "attribute certificates only"};
    struct der_reader r, seq, point, names;
    struct slice c;
    bool has_point, present;
    der_reader_init(&r, value, NULL);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_enter_optional(&seq, DER_CONTEXT_CONS(0), &point, &has_point));
    if (has_point && der_peek(&point) != DER_CONTEXT_CONS(0))
        return TM_EMALFORMED; /* relative to the issuer: rare enough for the plain form */
    if (has_point) {
        TM_TRY(der_enter(&point, DER_CONTEXT_CONS(0), &names));
        while (!der_at_end(&names)) {
            struct general_name gn;
            TM_TRY(general_name_read(&gn, &names));
            buf_puts(&p->text, p->text.n ? ", " : "");
            general_name_print(&p->text, &gn);
        }
    }
    for (unsigned i = 1; i <= 5; i++) {
        TM_TRY(der_read_optional(&seq, DER_CONTEXT(i), &c, &present));
        if (present)
            buf_printf(&p->text, "%s%s", p->text.n ? ", " : "", flags[i] ? flags[i] : "some reasons only");
    }
    TM_TRY(der_end(&seq));
    TM_TRY(der_end(&r));
    print_text(p->s, p->key, p->label, text_of(p));
    return TM_OK;
}

/* AIA and SIA: "method  location" a line. */
static tm_err access_page(struct page *p, struct slice value)
{
    struct der_reader r, list, desc;
    size_t n;
    TM_TRY(ext_decode_aia(NULL, 0, &n, OID_AD_OCSP, value,
                          NULL)); /* all of it parses, so nothing below fails half-way */
    der_reader_init(&r, value, NULL);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    print_list(p->s, p->key, p->label);
    while (!der_at_end(&list)) {
        struct slice oid;
        struct general_name gn;
        if (der_enter(&list, DER_SEQUENCE, &desc) != TM_OK || der_read_oid(&desc, &oid) != TM_OK ||
            general_name_read(&gn, &desc) != TM_OK)
            break;
        put_oid(&p->text, oid);
        buf_putc(&p->text, ' ');
        if (gn.type == GN_URI)
            buf_put_slice(&p->text, gn.value);
        else
            general_name_print(&p->text, &gn);
        item(p);
    }
    print_list_end(p->s);
    return TM_OK;
}

/* PolicyInformation with the CPS pointers and notices that stand in the qualifiers. */
static void policy_print(struct page *p, struct der_reader *info)
{
    struct slice oid, rest;
    if (der_read_oid(info, &oid) != TM_OK)
        return;
    put_oid(&p->text, oid);
    if (oid_find(oid)) {
        buf_puts(&p->text, " (");
        oid_print_dotted(&p->text, oid);
        buf_putc(&p->text, ')');
    }
    if (der_read_tlv(info, DER_SEQUENCE, &rest) == TM_OK) {
        buf_putc(&p->text, ' ');
        asn1_print(&p->text, rest);
    }
}

static tm_err policies_page(struct page *p, struct slice value)
{
    struct slice oids[64];
    struct der_reader r, list, info;
    size_t n;
    TM_TRY(ext_decode_policies(oids, 64, &n, value, NULL));
    der_reader_init(&r, value, NULL);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    print_list(p->s, p->key, p->label);
    while (!der_at_end(&list) && der_enter(&list, DER_SEQUENCE, &info) == TM_OK) {
        policy_print(p, &info);
        item(p);
    }
    print_list_end(p->s);
    return TM_OK;
}

static tm_err name_constraints_page(struct page *p, struct slice value)
{
    struct name_constraints nc;
    TM_TRY(ext_decode_name_constraints(&nc, p->a, value, NULL));
    print_list(p->s, p->key, p->label);
    for (size_t i = 0; i < nc.permitted.n + nc.excluded.n; i++) {
        bool permitted = i < nc.permitted.n;
        buf_puts(&p->text, permitted ? "permitted " : "excluded ");
        general_name_print(&p->text, permitted ? &nc.permitted.v[i] : &nc.excluded.v[i - nc.permitted.n]);
        item(p);
    }
    print_list_end(p->s);
    return TM_OK;
}

/* PolicyConstraints ::= SEQUENCE { requireExplicitPolicy [0] INTEGER OPTIONAL, inhibitPolicyMapping [1] INTEGER OPTIONAL } */
static tm_err policy_constraints_page(struct page *p, struct slice value)
{
    struct der_reader r, seq;
    der_reader_init(&r, value, NULL);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    for (unsigned i = 0; i < 2; i++) {
        struct slice c;
        bool present;
        TM_TRY(der_read_optional(&seq, DER_CONTEXT(i), &c, &present));
        if (!present)
            continue;
        if (c.n != 1 || c.p[0] & 0x80)
            return TM_EMALFORMED;
        buf_puts(&p->text, p->text.n ? ", " : "");
        buf_printf(&p->text, i == 0 ? "explicit policy required after %u" : "no policy mapping after %u",
                   c.p[0]);
    }
    TM_TRY(der_end(&seq));
    TM_TRY(der_end(&r));
    print_text(p->s, p->key, p->label, text_of(p));
    return TM_OK;
}

static tm_err integer_page(struct page *p, struct slice value)
{
    struct der_reader r;
    struct slice c;
    der_reader_init(&r, value, NULL);
    TM_TRY(der_read_integer(&r, &c));
    TM_TRY(der_end(&r));
    asn1_print(&p->text, value);
    print_text(p->s, p->key, p->label, text_of(p));
    return TM_OK;
}

/* TLSFeature ::= SEQUENCE OF INTEGER (RFC 7633); 5 is status_request. */
static tm_err tls_feature_page(struct page *p, struct slice value)
{
    struct der_reader r, seq;
    der_reader_init(&r, value, NULL);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    while (!der_at_end(&seq)) {
        uint64_t v;
        TM_TRY(der_read_uint(&seq, &v));
        buf_puts(&p->text, p->text.n ? ", " : "");
        if (v == 5)
            buf_puts(&p->text, "must-staple (status_request)");
        else if (v == 17)
            buf_puts(&p->text, "status_request_v2");
        else
            buf_printf(&p->text, "%" PRIu64, v);
    }
    TM_TRY(der_end(&seq));
    TM_TRY(der_end(&r));
    print_text(p->s, p->key, p->label, text_of(p));
    return TM_OK;
}

/* Extensions that say all by being there: their value is NULL. */
static tm_err flag_page(struct page *p, struct slice value)
{
    struct der_reader r;
    der_reader_init(&r, value, NULL);
    TM_TRY(der_skip(&r, DER_NULL));
    TM_TRY(der_end(&r));
    print_bool(p->s, p->key, p->label, true);
    return TM_OK;
}

/* A single string of any of the one-octet types. */
static tm_err string_page(struct page *p, struct slice value)
{
    struct der_reader r;
    struct slice c;
    unsigned tag;
    der_reader_init(&r, value, NULL);
    TM_TRY(der_read_any(&r, &tag, &c, NULL));
    TM_TRY(der_end(&r));
    if ((tag != DER_IA5_STRING && tag != DER_UTF8_STRING && tag != DER_PRINTABLE_STRING) || !utf8_valid(c))
        return TM_EMALFORMED;
    print_text(p->s, p->key, p->label, c);
    return TM_OK;
}

/* OtherName [0] { 1.3.6.1.4.1.311.25.2.1, [0] OCTET STRING "S-1-5-…" } in a GeneralNames. */
static tm_err sid_page(struct page *p, struct slice value)
{
    struct general_names names;
    struct der_reader r;
    struct slice sid;
    TM_TRY(general_names_parse(&names, p->a, value, NULL));
    if (names.n != 1 || names.v[0].other != OID_MS_NTDS_OBJECT_SID)
        return TM_EMALFORMED;
    der_reader_init(&r, names.v[0].value, NULL);
    TM_TRY(der_read(&r, DER_OCTET_STRING, &sid));
    TM_TRY(der_end(&r));
    print_text(p->s, p->key, p->label, sid);
    return TM_OK;
}

/* SignedCertificateTimestampList: OCTET STRING of TLS vectors with two-octet lengths (RFC 6962 3.3). */
static tm_err scts_page(struct page *p, struct slice value)
{
    struct der_reader r;
    struct slice list;
    size_t n = 0;
    der_reader_init(&r, value, NULL);
    TM_TRY(der_read(&r, DER_OCTET_STRING, &list));
    TM_TRY(der_end(&r));
    if (list.n < 2 || ((size_t)list.p[0] << 8 | list.p[1]) != list.n - 2)
        return TM_EMALFORMED;
    for (list = slice_sub(list, 2, list.n); list.n; n++) {
        size_t len = list.n < 2 ? SIZE_MAX : (size_t)list.p[0] << 8 | list.p[1];
        if (len > list.n - 2)
            return TM_EMALFORMED;
        list = slice_sub(list, 2 + len, list.n);
    }
    print_number(p->s, p->key, p->label, n, n == 1 ? " timestamp" : " timestamps");
    return TM_OK;
}

static tm_err asn1_page(struct page *p, struct slice value)
{
    asn1_print(&p->text, value);
    print_text(p->s, p->key, p->label, text_of(p));
    return TM_OK;
}

static const struct layout {
    enum oid id;
    const char *label;
    tm_err (*page)(struct page *p, struct slice value);
} layouts[] = {
    {OID_EXT_SAN, "Names", names_page},
    {OID_EXT_ISSUER_ALT_NAME, "Issuer names", names_page},
    {OID_EXT_CERTIFICATE_ISSUER, "Certificate issuer", names_page},
    {OID_EXT_KEY_USAGE, "Key usage", key_usage_page},
    {OID_EXT_EKU, "Purposes", oids_page},
    {OID_EXT_BASIC_CONSTRAINTS, "CA", basic_constraints_page},
    {OID_EXT_SKI, "Key id", ski_page},
    {OID_EXT_AKID, "Issuer key id", akid_page},
    {OID_EXT_CDP, "CRL", cdp_page},
    {OID_EXT_FRESHEST_CRL, "Delta CRL", cdp_page},
    {OID_EXT_AIA, "Issuer access", access_page},
    {OID_EXT_SIA, "Subject access", access_page},
    {OID_EXT_POLICIES, "Policies", policies_page},
    {OID_EXT_NAME_CONSTRAINTS, "Name constraints", name_constraints_page},
    {OID_EXT_POLICY_CONSTRAINTS, "Policy constraints", policy_constraints_page},
    {OID_EXT_INHIBIT_ANY, "Inhibit anyPolicy", integer_page},
    {OID_EXT_POLICY_MAPPINGS, "Policy mappings", asn1_page},
    {OID_EXT_CRL_NUMBER, "CRL number", integer_page},
    {OID_EXT_DELTA_CRL, "Delta to CRL", integer_page},
    {OID_EXT_IDP, "Distribution point", idp_page},
    {OID_EXT_TLS_FEATURE, "TLS feature", tls_feature_page},
    {OID_EXT_NO_REV_AVAIL, "No revocation info", flag_page},
    {OID_EXT_OCSP_NOCHECK, "OCSP no check", flag_page},
    {OID_EXT_CT_POISON, "CT precertificate", flag_page},
    {OID_EXT_CT_SCTS, "CT", scts_page},
    {OID_EXT_MUD_URL, "MUD URL", string_page},
    {OID_EXT_NETSCAPE_COMMENT, "Comment", string_page},
    {OID_EXT_MS_SID, "Windows SID", sid_page},
    {OID_EXT_MS_TEMPLATE, "Windows template", asn1_page},
    {OID_EXT_MS_TEMPLATE_NAME, "Windows template", asn1_page},
    {OID_EXT_MS_CA_VERSION, "Windows CA version", integer_page},
    {OID_EXT_MS_APPLICATION_POLICIES, "Windows purposes", asn1_page},
};

static const struct layout *layout_find(enum oid id)
{
    for (size_t i = 0; id && i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].id == id)
            return &layouts[i];
    return NULL;
}

static void ext_print(struct page *p, const struct ext *e)
{
    const struct layout *l = layout_find(e->id);
    p->key = oid_to_text(p->a, e->oid);
    p->key = p->key ? p->key : "?";
    p->label = l ? l->label : p->key;
    buf_reset(&p->text);
    if (l && l->page(p, e->value) == TM_OK)
        return;
    buf_reset(&p->text);
    if (e->id && !l) {
        asn1_print(&p->text, e->value);
        print_text(p->s, p->key, p->label, text_of(p));
    } else if (l && !p->s->json) {
        buf_puts(&p->text, "malformed: ");
        buf_put_hex(&p->text, e->value);
        print_text(p->s, p->key, p->label, text_of(p));
    } else {
        print_hex(p->s, p->key, p->label, e->value);
    }
}

void print_exts(struct print_sink *s, struct arena *a, const struct exts *e)
{
    struct page p = {.s = s, .a = a};
    size_t critical = 0;
    buf_init(&p.text, s->out->max);
    for (size_t i = 0; i < e->n; i++) {
        ext_print(&p, &e->v[i]);
        critical += e->v[i].critical;
    }
    if (s->json)
        print_list(s, "critical", "");
    buf_reset(&p.text);
    for (size_t i = 0; critical && i < e->n; i++) {
        if (!e->v[i].critical)
            continue;
        const struct layout *l = layout_find(e->v[i].id);
        if (!s->json && p.text.n)
            buf_puts(&p.text, ", ");
        if (l && !s->json)
            buf_puts(&p.text, l->label);
        else
            put_oid(&p.text, e->v[i].oid);
        if (s->json)
            item(&p);
    }
    if (s->json)
        print_list_end(s);
    else if (critical)
        print_text(s, "critical", "Critical", text_of(&p));
    if (buf_err(&p.text) != TM_OK && s->out->err == TM_OK)
        s->out->err = buf_err(&p.text);
    buf_done(&p.text);
}
