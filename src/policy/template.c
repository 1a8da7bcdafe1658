#include "policy/template.h"
#include "base/arena.h"
#include "x509/general_name.h"
#include <string.h>
#include <strings.h>

const struct attr_info attr_table[] = {
    {"CN", OID_CN, 64, false},
    {"O", OID_O, 64, false},
    {"OU", OID_OU, 64, true},
    {"C", OID_C, 2, false},
    {"ST", OID_ST, 128, false},
    {"L", OID_L, 128, false},
    {"serialNumber", OID_SERIAL_NUMBER, 64, false},
    {"DC", OID_DC, 63, true},
    {"UID", OID_UID, 256, false},
    {"street", OID_STREET, 128, false},
    {"postalCode", OID_POSTAL_CODE, 40, false},
    {"title", OID_TITLE, 64, false},
    {"SN", OID_SURNAME, 64, false},
    {"GN", OID_GIVEN_NAME, 64, false},
    {"name", OID_NAME, 64, false},
    {"dnQualifier", OID_DN_QUALIFIER, 64, false},
    {"pseudonym", OID_PSEUDONYM, 128, false},
    {"description", OID_DESCRIPTION, 1024, false},
    {"email", OID_EMAIL, 255, false},
    {"businessCategory", OID_BUSINESS_CATEGORY, 128, false},
    {"organizationIdentifier", OID_ORGANIZATION_IDENTIFIER, 256, false},
    {"matterVendorId", OID_MATTER_VID, 4, false},
    {"matterProductId", OID_MATTER_PID, 4, false},
};
const size_t attr_table_n = sizeof attr_table / sizeof attr_table[0];

const struct attr_info *attr_find_oid(enum oid oid)
{
    for (size_t i = 0; i < attr_table_n; i++)
        if (attr_table[i].oid == oid)
            return &attr_table[i];
    return NULL;
}

const struct attr_info *attr_find(const char *name)
{
    for (size_t i = 0; i < attr_table_n; i++) {
        const struct attr_info *t = &attr_table[i];
        if (strcmp(t->name, name) == 0 || strcmp(oid_name(t->oid), name) == 0 ||
            strcmp(oid_dotted(t->oid), name) == 0)
            return t;
    }
    return NULL;
}

static const struct {
    const char *name;
    enum template_source source;
    int which;
} fixed_sources[] = {
    {"device.id", SOURCE_DEVICE, DEV_ID},
    {"device.serial", SOURCE_DEVICE, DEV_SERIAL},
    {"device.model", SOURCE_DEVICE, DEV_MODEL},
    {"device.vendor", SOURCE_DEVICE, DEV_VENDOR},
    {"device.owner", SOURCE_DEVICE, DEV_OWNER},
    {"device.place", SOURCE_DEVICE, DEV_PLACE},
    {"token.id", SOURCE_TOKEN, TOKEN_ID},
    {"token.cn", SOURCE_TOKEN, TOKEN_CN},
    {"san.dns", SOURCE_SAN, GN_DNS},
    {"san.ip", SOURCE_SAN, GN_IP},
    {"san.uri", SOURCE_SAN, GN_URI},
    {"san.email", SOURCE_SAN, GN_EMAIL},
    {"tenant", SOURCE_TENANT, 0},
    {"profile", SOURCE_PROFILE, 0},
};

static tm_err alternative_compile(struct template_alternative *ret, struct slice name, const char *field,
                                  struct diag *diag)
{
    for (size_t i = 0; i < sizeof fixed_sources / sizeof fixed_sources[0]; i++) {
        if (slice_eq_str(name, fixed_sources[i].name)) {
            *ret = (struct template_alternative){fixed_sources[i].source, fixed_sources[i].which};
            return TM_OK;
        }
    }
    bool csr = name.n > 4 && memcmp(name.p, "csr.", 4) == 0;
    bool caller = name.n > 7 && memcmp(name.p, "caller.", 7) == 0;
    if (csr || caller) {
        char attr[64];
        struct slice rest = slice_sub(name, csr ? 4 : 7, name.n);
        if (rest.n < sizeof attr) {
            memcpy(attr, rest.p, rest.n);
            attr[rest.n] = '\0';
            const struct attr_info *t = attr_find(attr);
            if (t) {
                *ret = (struct template_alternative){csr ? SOURCE_CSR : SOURCE_CALLER, (int)(t - attr_table)};
                return TM_OK;
            }
        }
    }
    return diag_fail(
        diag, TM_EINVAL, "profile.template", field,
        "the placeholder {%.*s} is not known; there are csr.<attr>, caller.<attr>, device.id|serial|model|"
        "vendor|owner|place, token.id|cn, san.dns|ip|uri|email, tenant, profile",
        (int)(name.n < 40 ? name.n : 40), (const char *)name.p);
}

static tm_err placeholder_compile(struct template_segment *ret, struct slice inner, const char *field,
                                  struct diag *diag)
{
    while (true) {
        const uint8_t *bar = memchr(inner.p, '|', inner.n);
        struct slice name = slice_trim(slice_sub(inner, 0, bar ? (size_t)(bar - inner.p) : inner.n));
        if (ret->n == TEMPLATE_ALTERNATIVES)
            return diag_fail(diag, TM_EINVAL, "profile.template", field,
                             "at most %d alternatives in a placeholder", TEMPLATE_ALTERNATIVES);
        TM_TRY(alternative_compile(&ret->alt[ret->n++], name, field, diag));
        if (!bar)
            return TM_OK;
        inner = slice_sub(inner, (size_t)(bar - inner.p) + 1, inner.n);
    }
}

tm_err template_compile(struct template *ret, struct arena *a, const char *text, const char *field,
                        struct diag *diag)
{
    struct template t = {.text = text, .v = arena_calloc(a, TEMPLATE_SEGMENTS, sizeof *t.v)};
    if (!t.v)
        return TM_ENOMEM;
    struct slice rest = slice_str(text);
    while (rest.n > 0) {
        if (t.n == TEMPLATE_SEGMENTS)
            return diag_fail(diag, TM_EINVAL, "profile.template", field, "too many placeholders");
        struct template_segment *seg = &t.v[t.n++];
        const uint8_t *open = memchr(rest.p, '{', rest.n);
        size_t literal = open ? (size_t)(open - rest.p) : rest.n;
        if (memchr(rest.p, '}', literal))
            return diag_fail(diag, TM_EINVAL, "profile.template", field, "a } without its {");
        if (literal > 0) {
            seg->literal = slice_sub(rest, 0, literal);
            rest = slice_sub(rest, literal, rest.n);
            continue;
        }
        const uint8_t *close = memchr(rest.p, '}', rest.n);
        if (!close)
            return diag_fail(diag, TM_EINVAL, "profile.template", field, "a { without its }");
        size_t n = (size_t)(close - rest.p);
        TM_TRY(placeholder_compile(seg, slice_sub(rest, 1, n - 1), field, diag));
        rest = slice_sub(rest, n + 1, rest.n);
    }
    *ret = t;
    return TM_OK;
}

bool template_uses(const struct template *t, enum template_source source)
{
    for (size_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < t->v[i].n; j++)
            if (t->v[i].alt[j].source == source)
                return true;
    return false;
}

static struct slice segment_value(const struct template_segment *seg, const struct template_values *values,
                                  bool *from_request)
{
    for (size_t i = 0; i < seg->n; i++) {
        bool requested = false;
        struct slice v = values->get(values->context, &seg->alt[i], &requested);
        if (v.n == 0)
            continue;
        if (requested)
            *from_request = true;
        return v;
    }
    return (struct slice){0};
}

tm_err template_render(struct slice *ret, bool *from_request, struct arena *a, const struct template *t,
                       const struct template_values *values)
{
    struct slice parts[TEMPLATE_SEGMENTS];
    size_t total = 0;
    bool requested = false;
    for (size_t i = 0; i < t->n; i++) {
        parts[i] = t->v[i].n == 0 ? t->v[i].literal : segment_value(&t->v[i], values, &requested);
        if (parts[i].n == 0) {
            *ret = (struct slice){0};
            *from_request = requested;
            return TM_OK;
        }
        if (parts[i].n > TEMPLATE_TEXT_MAX - total)
            return TM_ETOOBIG;
        total += parts[i].n;
    }
    *from_request = requested;
    if (t->n == 1) {
        *ret = parts[0];
        return TM_OK;
    }
    uint8_t *p = arena_alloc(a, total + 1);
    if (!p)
        return TM_ENOMEM;
    *ret = slice_of(p, total);
    for (size_t i = 0; i < t->n; i++) {
        memcpy(p, parts[i].p, parts[i].n);
        p += parts[i].n;
    }
    return TM_OK;
}
