/* policy/template.h - text with placeholders, compiled once: "{device.serial|csr.serialNumber}.devices.example".
 *
 * Layer 3, pure. A placeholder holds alternatives; the first that has a value counts. A template one of whose placeholders
 * has none gives nothing at all, so that no half-filled name is ever written. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include <stdbool.h>
struct arena;

enum template_source {
    SOURCE_CSR,    /* {csr.CN}: attribute of the requested subject; `which`: its row in attr_table */
    SOURCE_CALLER, /* {caller.CN}: attribute of the certificate that the caller shows */
    SOURCE_SAN,    /* {san.dns}: first requested name of the type; `which`: enum general_name_type */
    SOURCE_DEVICE, /* {device.serial}; `which`: enum template_device */
    SOURCE_TOKEN,  /* {token.id} and {token.cn}; `which`: enum template_token */
    SOURCE_TENANT,
    SOURCE_PROFILE,
};
enum template_device { DEV_ID, DEV_SERIAL, DEV_MODEL, DEV_VENDOR, DEV_OWNER, DEV_PLACE };
enum template_token { TOKEN_ID, TOKEN_CN };

enum { TEMPLATE_ALTERNATIVES = 4, TEMPLATE_SEGMENTS = 16, TEMPLATE_TEXT_MAX = 1024 };

struct template_alternative {
    enum template_source source;
    int which;
};
struct template_segment {
    struct slice literal; /* where n == 0 */
    struct template_alternative alt[TEMPLATE_ALTERNATIVES];
    size_t n;
};
struct template
{
    const char *text;
    struct template_segment *v;
    size_t n;
};

/* Segments live in `a`, literals borrow `text`. TM_EINVAL with the reason as diag->message; `field` is the JSON pointer. */
tm_err template_compile(struct template *ret, struct arena *a, const char *text, const char *field,
                        struct diag *diag);

/* Where values come from. An empty slice: there is none. *from_request: the requester chose the value. */
struct template_values {
    void *context;
    struct slice (*get)(void *context, const struct template_alternative *what, bool *from_request);
};
/* *ret in `a`, or empty when a placeholder has no value. TM_ETOOBIG over TEMPLATE_TEXT_MAX, TM_ENOMEM. */
tm_err template_render(struct slice *ret, bool *from_request, struct arena *a, const struct template *t,
                       const struct template_values *values);
/* Does any placeholder read the source? */
bool template_uses(const struct template *t, enum template_source source);

/* Subject attributes by the names people write. */
struct attr_info {
    const char *name; /* "CN" */
    enum oid oid;
    unsigned max; /* upper bound in characters (X.520; RFC 5280 appendix A) */
    bool repeats; /* may stand more than once */
};
extern const struct attr_info attr_table[];
extern const size_t attr_table_n;
/* Short name, table name ("commonName") or dotted OID; NULL when unknown. */
const struct attr_info *attr_find(const char *name);
const struct attr_info *attr_find_oid(enum oid oid);
