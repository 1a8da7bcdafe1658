/* x509/ext.h - certificate extensions: list, find, decode, encode (RFC 5280 4.2).
 * Layer 2, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include "x509/general_name.h"
#include <stdbool.h>
struct arena;
struct buf;
struct der_builder;
struct der_reader;

enum { EXT_MAX = 40 };

struct ext {
    enum oid id;      /* OID_UNKNOWN for one that the table lacks */
    struct slice oid; /* contents */
    bool critical;
    struct slice value; /* contents of extnValue */
};
struct exts {
    struct ext v[EXT_MAX];
    size_t n;
};

/* Extensions ::= SEQUENCE OF Extension, as a TLV. Duplicates are refused (RFC 5280 4.2). */
tm_err exts_parse(struct exts *ret, struct slice tlv, struct diag *diag);
/* The same from a reader that stands inside the SEQUENCE (CRMF tags it otherwise). */
tm_err exts_read_list(struct exts *ret, struct der_reader *list);
/* NULL when absent. */
const struct ext *exts_find(const struct exts *e, enum oid id);
/* Append the Extensions SEQUENCE; nothing when empty. */
void exts_build(struct der_builder *b, const struct ext *v, size_t n);

enum key_usage {
    KU_DIGITAL_SIGNATURE = 1 << 0,
    KU_CONTENT_COMMITMENT = 1 << 1,
    KU_KEY_ENCIPHERMENT = 1 << 2,
    KU_DATA_ENCIPHERMENT = 1 << 3,
    KU_KEY_AGREEMENT = 1 << 4,
    KU_KEY_CERT_SIGN = 1 << 5,
    KU_CRL_SIGN = 1 << 6,
    KU_ENCIPHER_ONLY = 1 << 7,
    KU_DECIPHER_ONLY = 1 << 8,
};
extern const char *const key_usage_names[]; /* "digitalSignature", … , NULL; index = bit */

struct basic_constraints {
    bool ca;
    bool has_path_len;
    uint64_t path_len;
};
enum { EKU_MAX = 32 };
struct eku {
    struct slice oid[EKU_MAX];
    size_t n;
};

/* Decoders of extnValue contents; trailing bytes refused. */
tm_err ext_decode_basic_constraints(struct basic_constraints *ret, struct slice value, struct diag *diag);
tm_err ext_decode_key_usage(uint32_t *ret, struct slice value, struct diag *diag);
tm_err ext_decode_eku(struct eku *ret, struct slice value, struct diag *diag);
tm_err ext_decode_ski(struct slice *ret, struct slice value, struct diag *diag);
/* keyIdentifier only; empty slice when absent. */
tm_err ext_decode_akid(struct slice *ret, struct slice value, struct diag *diag);
/* First http(s)/ldap URI of each distribution point; at most `max`. */
tm_err ext_decode_cdp(struct slice *ret_uris, size_t max, size_t *ret_n, struct slice value,
                      struct diag *diag);
/* URIs of one access method (OID_AD_OCSP, OID_AD_CA_ISSUERS). */
tm_err ext_decode_aia(struct slice *ret_uris, size_t max, size_t *ret_n, enum oid method, struct slice value,
                      struct diag *diag);
tm_err ext_decode_policies(struct slice *ret_oids, size_t max, size_t *ret_n, struct slice value,
                           struct diag *diag);

struct name_constraints {
    struct general_names permitted, excluded; /* IPs are address+mask */
};
tm_err ext_decode_name_constraints(struct name_constraints *ret, struct arena *a, struct slice value,
                                   struct diag *diag);
/* RFC 5280 4.2.1.10 for DNS, email, URI host, IP and directory names: TM_EDENIED when `gn` falls outside. */
tm_err name_constraints_check(const struct name_constraints *nc, const struct general_name *gn,
                              struct diag *diag);

/* Encoders: the value (contents of extnValue) as bytes in `a`. */
tm_err ext_encode_basic_constraints(struct slice *ret, struct arena *a, const struct basic_constraints *bc);
tm_err ext_encode_key_usage(struct slice *ret, struct arena *a, uint32_t ku);
tm_err ext_encode_eku(struct slice *ret, struct arena *a, const struct slice *oids, size_t n);
tm_err ext_encode_ski(struct slice *ret, struct arena *a, struct slice key_id);
tm_err ext_encode_akid(struct slice *ret, struct arena *a, struct slice key_id);
tm_err ext_encode_san(struct slice *ret, struct arena *a, const struct general_name *v, size_t n);
/* One distribution point with one URI each. */
/* One address of a CRL that another CA signs (cRLIssuer, its Name TLV); empty: the issuer itself. */
tm_err ext_encode_cdp_of(struct slice *ret, struct arena *a, const char *uri, struct slice crl_issuer);
tm_err ext_encode_cdp(struct slice *ret, struct arena *a, const char *const *uris, size_t n);
/* Either may be NULL. */
tm_err ext_encode_aia(struct slice *ret, struct arena *a, const char *ocsp_uri, const char *ca_issuers_uri);
tm_err ext_encode_policies(struct slice *ret, struct arena *a, const struct slice *oids, size_t n);
tm_err ext_encode_name_constraints(struct slice *ret, struct arena *a, const struct name_constraints *nc);
