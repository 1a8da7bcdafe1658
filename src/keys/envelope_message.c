/* Messages that an RA signs (docs/adr/0004): CMS signed attributes and CMP answers. A taken-over server may have them signed, so they hand out
 * nothing that could not come from here (docs/adr/0008). */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "der/oid.h"
#include "der/reader.h"
#include "keys/cms.h"
#include "keys/internal.h"
#include "keys/known.h"
#include "keys/pubkey.h"
#include "x509/cert.h"
#include "x509/cmp.h"
#include "x509/cms/certs_only.h"

enum { CLOCK_SLACK = 3600, CERTS_MAX = 64, NESTED_MAX = 3 };

static tm_err not_that(struct diag *diag, const char *rule, const char *what)
{
    return diag_fail(diag, TM_EDENIED, rule, NULL, "not the DER of %s", what);
}

/* ---- certificates in messages ---- */

static tm_err refuse_cert(const struct envelope *e, const struct cert *c, const char *what, struct diag *diag)
{
    char serial[2 * CERT_SERIAL_MAX + 1] = "";
    if (c->serial.n <= CERT_SERIAL_MAX)
        hex_encode(serial, c->serial);
    return diag_fail(
        diag, TM_EDENIED, "envelope.anchors", "certificate",
        "key %s hands out no %s that was neither signed here nor sealed by \"touchmark ca anchors\": "
        "serial %s",
        e->key_id, what, serial);
}

static tm_err check_ca(const struct envelope *e, struct known *known, struct slice der, bool or_ra,
                       struct diag *diag)
{
    struct cert c;
    if (cert_parse(&c, der, NULL) != TM_OK)
        return not_that(diag, "RFC 5280 4.1", "a certificate");
    if (known && (known_ca(known, e->key_id, &c) || (or_ra && known_ra(known, e->key_id, &c))))
        return TM_OK;
    return refuse_cert(e, &c, "CA certificate", diag);
}

static tm_err check_cas(const struct envelope *e, struct known *known, const struct slice *v, size_t n,
                        struct diag *diag)
{
    for (size_t i = 0; i < n; i++)
        TM_TRY(check_ca(e, known, v[i], false, diag));
    return TM_OK;
}

static tm_err check_issued(const struct envelope *e, struct known *known, struct slice der, struct diag *diag)
{
    struct cert c;
    if (cert_parse(&c, der, NULL) != TM_OK)
        return not_that(diag, "RFC 5280 4.1", "a certificate");
    return known && known_issued(known, e->key_id, &c) ? TM_OK : refuse_cert(e, &c, "certificate", diag);
}

/* ---- CMS ---- */

/* RFC 8894 4.7.1: certificates only, of CAs and RAs. Written again it has to be the same: there is nothing else in it. */
static tm_err check_next_certs(const struct envelope *e, struct known *known, struct slice content,
                               struct diag *diag)
{
    struct slice v[CERTS_MAX];
    size_t n = 0;
    struct buf again;
    if (certs_only_parse(v, CERTS_MAX, &n, content, NULL) != TM_OK || n == 0)
        return not_that(diag, "RFC 8894 4.7.1", "certificates only");
    buf_init(&again, content.n + 1);
    tm_err err = certs_only_build(&again, v, n, NULL, 0);
    bool same = err == TM_OK && slice_eq(buf_slice(&again), content);
    buf_done(&again);
    if (!same)
        return err == TM_ENOMEM ? err : not_that(diag, "RFC 8894 4.7.1", "certificates and nothing else");
    for (size_t i = 0; i < n; i++)
        TM_TRY(check_ca(e, known, v[i], true, diag));
    return TM_OK;
}

/* TaggedAttribute ::= SEQUENCE { bodyPartID INTEGER, attrType OBJECT IDENTIFIER, attrValues SET OF }: what the house answers with. Others set
 * trust anchors (RFC 5272 6.15), for one. */
static bool cmc_control(struct der_reader *list)
{
    static const enum oid known[] = {OID_CMC_STATUS_INFO_V2, OID_CMC_TRANSACTION_ID, OID_CMC_SENDER_NONCE,
                                     OID_CMC_RECIPIENT_NONCE, OID_CMC_DATA_RETURN};
    struct der_reader seq;
    struct slice part, type;
    if (der_enter(list, DER_SEQUENCE, &seq) != TM_OK || der_read_integer(&seq, &part) != TM_OK ||
        der_read_oid(&seq, &type) != TM_OK || der_skip(&seq, DER_SET) != TM_OK || der_end(&seq) != TM_OK)
        return false;
    enum oid id = oid_find(type);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == id)
            return true;
    return false;
}

/* PKIResponse ::= SEQUENCE { controlSequence SEQUENCE OF TaggedAttribute, cmsSequence SEQUENCE OF, otherMsgSequence SEQUENCE OF } */
static tm_err check_pki_response(struct slice content, struct diag *diag)
{
    struct der_reader r, seq, controls;
    struct slice messages, others;
    der_reader_init(&r, content, NULL);
    bool good =
        der_enter(&r, DER_SEQUENCE, &seq) == TM_OK && der_enter(&seq, DER_SEQUENCE, &controls) == TM_OK;
    while (good && !der_at_end(&controls))
        good = cmc_control(&controls);
    if (!good || der_end(&controls) != TM_OK || der_read(&seq, DER_SEQUENCE, &messages) != TM_OK ||
        messages.n || der_read(&seq, DER_SEQUENCE, &others) != TM_OK || others.n || der_end(&seq) != TM_OK ||
        der_end(&r) != TM_OK)
        return not_that(diag, "RFC 5272 3.2.2", "a PKIResponse with a status and no more");
    return TM_OK;
}

/* What the house says in CMS: answers to CMC requests, private keys that it made, digests of revocation filters, certificates to come
 * (RFC 8894 4.7.1). Anything else signed by such a key could be taken for a document of the house's, or for a message of another protocol.
 * id-data is the content of SCEP's answers, and their attributes tell them apart. */
static const enum oid cms_contents[] = {OID_CT_PKI_RESPONSE, OID_CT_ASYMMETRIC_KEY_PACKAGE,
                                        OID_CT_TOUCHMARK_FILTER, OID_SIGNED_DATA, OID_DATA};

static bool cms_content(struct slice type)
{
    enum oid id = oid_find(type);
    for (size_t i = 0; i < sizeof cms_contents / sizeof *cms_contents; i++)
        if (cms_contents[i] == id)
            return true;
    return false;
}

struct cms_seen {
    unsigned types, digests, times, others;
    unsigned scep; /* bit for each attribute of SCEP's */
    enum oid type; /* of the content */
    struct slice digest;
    bool content_allowed, on_time, cert_rep, repeated;
};

/* RFC 8894 3.2.1: texts are PrintableStrings, nonces OCTET STRINGs; a CertRep (3) has all but failInfo. */
static bool scep_attribute(struct cms_seen *seen, enum oid type, struct der_reader *values)
{
    static const enum oid types[] = {
        OID_SCEP_MESSAGE_TYPE,    OID_SCEP_PKI_STATUS, OID_SCEP_TRANSACTION_ID, OID_SCEP_SENDER_NONCE,
        OID_SCEP_RECIPIENT_NONCE, OID_SCEP_FAIL_INFO,  OID_SCEP_FAIL_INFO_TEXT};
    struct slice value;
    unsigned tag, i = 0;
    while (types[i] != type)
        i++;
    seen->repeated |= (seen->scep >> i & 1) != 0;
    seen->scep |= 1u << i;
    if (der_read_any(values, &tag, &value, NULL) != TM_OK)
        return false;
    if (type == OID_SCEP_MESSAGE_TYPE)
        seen->cert_rep = slice_eq(value, SLICE_LIT("3"));
    return der_end(values) == TM_OK;
}
enum { CERT_REP_ATTRIBUTES = 0x1f /* the first five above */ };

/* Attribute ::= SEQUENCE { attrType, attrValues SET OF }, each of ours with one value. */
static bool cms_attribute(struct cms_seen *seen, struct der_reader *set, int64_t now)
{
    struct der_reader attribute, values;
    struct slice oid, value;
    int64_t when;
    if (der_enter(set, DER_SEQUENCE, &attribute) != TM_OK || der_read_oid(&attribute, &oid) != TM_OK ||
        der_enter(&attribute, DER_SET, &values) != TM_OK || der_end(&attribute) != TM_OK)
        return false;
    switch (oid_find(oid)) {
    case OID_CONTENT_TYPE: /* RFC 5652 11.1 */
        if (der_read_oid(&values, &value) != TM_OK)
            return false;
        seen->types++;
        seen->content_allowed = cms_content(value);
        seen->type = oid_find(value);
        break;
    case OID_MESSAGE_DIGEST: /* RFC 5652 11.2; SHA-256 to SHA-512 */
        if (der_read(&values, DER_OCTET_STRING, &value) != TM_OK || value.n < 32 || value.n > 64)
            return false;
        seen->digests++;
        seen->digest = value;
        break;
    case OID_SIGNING_TIME: /* RFC 5652 11.3 */
        if (der_read_time(&values, &when) != TM_OK)
            return false;
        seen->times++;
        seen->on_time = when >= now - CLOCK_SLACK && when <= now + CLOCK_SLACK;
        break;
    case OID_SCEP_MESSAGE_TYPE:
    case OID_SCEP_PKI_STATUS:
    case OID_SCEP_TRANSACTION_ID:
    case OID_SCEP_SENDER_NONCE:
    case OID_SCEP_RECIPIENT_NONCE:
    case OID_SCEP_FAIL_INFO:
    case OID_SCEP_FAIL_INFO_TEXT:
        return scep_attribute(seen, oid_find(oid), &values);
    default:
        seen->others++;
        return true;
    }
    return der_end(&values) == TM_OK;
}

/* What is inside of two kinds has to be shown, and is looked at: who signs certificates to come, or controls of CMC, that he can't see signs
 * any trust anchor there is. */
static tm_err check_content(const struct envelope *e, struct known *known, const struct cms_seen *seen,
                            struct slice content, struct diag *diag)
{
    static const char *const names[] = {"SHA2-256", "SHA2-384", "SHA2-512"};
    uint8_t hash[KEY_DIGEST_MAX];
    size_t n = 0;
    if (seen->type != OID_SIGNED_DATA && seen->type != OID_CT_PKI_RESPONSE)
        return content.n
                   ? diag_fail(diag, TM_EDENIED, "envelope.cms", "content", "no such content is looked at")
                   : TM_OK;
    const char *name = seen->digest.n == 32 ? names[0] : seen->digest.n == 48 ? names[1] : names[2];
    TM_TRY(keys_digest(hash, &n, name, content));
    if (!slice_eq(slice_of(hash, n), seen->digest))
        return diag_fail(diag, TM_EDENIED, "envelope.content", "messageDigest",
                         "the digest is not that of the content given");
    return seen->type == OID_SIGNED_DATA ? check_next_certs(e, known, content, diag)
                                         : check_pki_response(content, diag);
}

/* SET OF Attribute, as it is hashed (RFC 5652 5.4): the two that must be there (11.1, 11.2), the time if it is now, what makes data a
 * CertRep, nothing else. */
tm_err envelope_check_cms(const struct envelope *e, struct known *known, struct slice tbs,
                          struct slice content, int64_t now, struct diag *diag)
{
    struct der_reader r, set;
    struct cms_seen seen = {.type = OID_UNKNOWN, .on_time = true};
    TM_TRY(envelope_check_allowed(e, SIGN_CMS, diag));
    der_reader_init(&r, tbs, NULL);
    bool good = der_enter(&r, DER_SET, &set) == TM_OK;
    while (good && !der_at_end(&set))
        good = cms_attribute(&seen, &set, now);
    if (!good || der_end(&set) != TM_OK || der_end(&r) != TM_OK || seen.types != 1 || seen.digests != 1 ||
        seen.times > 1)
        return not_that(diag, "RFC 5652 5.4", "signed attributes");
    bool data = seen.type == OID_DATA, scep = data && seen.cert_rep && !seen.repeated &&
                                              (seen.scep & CERT_REP_ATTRIBUTES) == CERT_REP_ATTRIBUTES;
    if (!seen.content_allowed || seen.others || !seen.on_time || (data ? !scep : seen.scep != 0))
        return diag_fail(
            diag, TM_EDENIED, "envelope.cms", "signedAttrs",
            "key %s signs CMC responses, key packages, filters and SCEP answers of this hour only",
            e->key_id);
    return check_content(e, known, &seen, content, diag);
}

/* ---- CMP ---- */

/* A certificate that only its holder can read (RFC 9810 5.2.8.3.2) the signer reads with the key of the content, which has to be shown: one for
 * each such certificate of the message. Another key in the envelope opens it to nothing that makes sense. */
static tm_err check_encrypted(const struct envelope *e, struct known *known, const struct cmp_cert_answer *a,
                              struct slice *keys, struct diag *diag)
{
    struct slice key = slice_sub(*keys, 0, CMS_KEY_LEN), der;
    if (keys->n < CMS_KEY_LEN)
        return diag_fail(diag, TM_EDENIED, "envelope.encrypted-cert", "encryptedCert",
                         "key %s hands out no certificate that it is not shown", e->key_id);
    *keys = slice_sub(*keys, CMS_KEY_LEN, keys->n);
    struct arena *arena = arena_new(0);
    tm_err err = arena ? cms_open(&der, arena, &a->cipher, key, a->encrypted_cert) : TM_ENOMEM;
    if (err == TM_OK)
        err = check_issued(e, known, der, diag);
    else if (err != TM_ENOMEM)
        err = not_that(diag, "RFC 9810 5.3.4", "a certificate under the key shown");
    arena_free(arena);
    return err;
}

static tm_err check_cert_response(const struct envelope *e, struct known *known, struct slice content,
                                  struct slice *keys, struct diag *diag)
{
    struct cmp_cert_answer a;
    if (cmp_cert_response_read(&a, content, NULL) != TM_OK)
        return not_that(diag, "RFC 9810 5.3.4", "a CertRepMessage as it is made here");
    TM_TRY(check_cas(e, known, a.ca_pubs, a.n_ca_pubs, diag));
    if (a.encrypted_cert.n)
        return check_encrypted(e, known, &a, keys, diag);
    return a.cert.n ? check_issued(e, known, a.cert, diag) : TM_OK;
}

/* newWithNew is a CA's that is known here, and vouches for the two links (RFC 9810 4.4): newWithOld has its name and key and says no more than it
 * does, oldWithNew it has signed. */
static tm_err check_root_update(const struct envelope *e, struct known *known, const struct slice *v,
                                size_t n, struct diag *diag)
{
    struct cert root, link;
    TM_TRY(check_cas(e, known, v, 1, diag));
    if (cert_parse(&root, v[0], NULL) != TM_OK)
        return not_that(diag, "RFC 9810 5.3.20", "certificates of CAs");
    for (size_t i = 1; i < n; i++) {
        if (cert_parse(&link, v[i], NULL) != TM_OK || !cert_is_ca(&link))
            return not_that(diag, "RFC 9810 5.3.20", "certificates of CAs");
        bool of_it = slice_eq(link.spki.der, root.spki.der) && slice_eq(link.subject, root.subject);
        if (!of_it && cert_verify_signature(&link, &root.spki, NULL) != TM_OK)
            TM_TRY(check_cas(e, known, &v[i], 1, diag));
    }
    return TM_OK;
}

/* What a general answer says of trust anchors is held to what is known here; the rest is of no such weight: CRLs bear their CA's signature. */
static tm_err check_info(const struct envelope *e, struct known *known, const struct cmp_info *info,
                         struct diag *diag)
{
    struct slice v[CERTS_MAX];
    size_t n = 0;
    tm_err err = TM_OK;
    switch (info->type) {
    case OID_IT_CERT_REQ_TEMPLATE:
    case OID_IT_CRLS:
    case OID_IT_CURRENT_CRL:
    case OID_IT_UNSUPPORTED_OIDS:
        return TM_OK;
    case OID_IT_CA_CERTS:
        if (info->value.n)
            err = cmp_ca_certs_read(v, CERTS_MAX, &n, info->value, NULL);
        break;
    case OID_IT_ROOT_CA_KEY_UPDATE:
        if (info->value.n)
            err = cmp_root_update_read(v, &n, info->value, NULL);
        if (err == TM_OK && n)
            return check_root_update(e, known, v, n, diag);
        break;
    default:
        return diag_fail(diag, TM_EDENIED, "RFC 9810 5.3.20", "genp",
                         "nothing of this kind is answered here");
    }
    return err == TM_OK ? check_cas(e, known, v, n, diag)
                        : not_that(diag, "RFC 9810 5.3.20", "certificates of CAs");
}

static tm_err check_general(const struct envelope *e, struct known *known, struct slice content,
                            struct diag *diag)
{
    struct cmp_info v[CMP_INFO_MAX];
    size_t n = 0;
    if (cmp_infos_read(v, CMP_INFO_MAX, &n, content, NULL) != TM_OK)
        return not_that(diag, "RFC 9810 5.3.20", "a GenRepContent");
    for (size_t i = 0; i < n; i++)
        TM_TRY(check_info(e, known, &v[i], diag));
    return TM_OK;
}

/* The header says when and how to confirm, and nothing else. */
static bool plain_header(const struct cmp_message *m)
{
    for (size_t i = 0; i < m->n_info; i++)
        if (m->info[i].type != OID_IT_IMPLICIT_CONFIRM && m->info[i].type != OID_IT_CONFIRM_WAIT_TIME)
            return false;
    return m->pvno >= 1 && m->pvno <= 3;
}

static tm_err check_message(const struct envelope *e, struct known *known, const struct cmp_message *m,
                            struct slice *keys, unsigned depth, struct diag *diag);

/* RFC 9483 5.2.2.2: answers to a batch, each under its own protection. */
static tm_err check_nested(const struct envelope *e, struct known *known, struct slice content,
                           struct slice *keys, unsigned depth, struct diag *diag)
{
    struct slice v[CMP_NESTED_MAX];
    size_t n = 0;
    if (depth == NESTED_MAX || cmp_nested_read(v, CMP_NESTED_MAX, &n, content, NULL) != TM_OK)
        return not_that(diag, "RFC 9810 5.1.3.4", "messages");
    for (size_t i = 0; i < n; i++) {
        struct cmp_message inner;
        if (cmp_message_parse(&inner, v[i], NULL) != TM_OK)
            return not_that(diag, "RFC 9810 5.1.3.4", "a PKIMessage");
        TM_TRY(check_message(e, known, &inner, keys, depth + 1, diag));
    }
    return TM_OK;
}

/* Bodies that the house sends; it asks nobody for anything. */
static tm_err check_message(const struct envelope *e, struct known *known, const struct cmp_message *m,
                            struct slice *keys, unsigned depth, struct diag *diag)
{
    struct cmp_challenge challenge;
    tm_err err = TM_EMALFORMED;
    if (!plain_header(m))
        return not_that(diag, "RFC 9810 5.1.1", "a header as it is made here");
    switch (m->body) {
    case CMP_IP:
    case CMP_CP:
    case CMP_KUP:
        return check_cert_response(e, known, m->content, keys, diag);
    case CMP_GENP:
        return check_general(e, known, m->content, diag);
    case CMP_NESTED:
        return check_nested(e, known, m->content, keys, depth, diag);
    case CMP_RP:
        err = cmp_revocation_response_read(m->content, NULL);
        break;
    case CMP_ERROR:
        err = cmp_error_read(m->content, NULL);
        break;
    case CMP_POPDECC:
        err = cmp_challenge_read(&challenge, m->content, NULL);
        break;
    case CMP_POLLREP:
        err = cmp_poll_response_read(m->content, NULL);
        break;
    case CMP_PKICONF:
        err = slice_eq(m->content, SLICE_LIT("\x05\x00")) ? TM_OK : TM_EMALFORMED;
        break;
    default:
        break;
    }
    return err == TM_OK ? TM_OK : not_that(diag, "RFC 9810 5.1.2", "a body that is answered with here");
}

/* ProtectedPart ::= SEQUENCE { header PKIHeader, body PKIBody }: a PKIMessage without what is optional in it. */
tm_err envelope_check_cmp(const struct envelope *e, struct known *known, struct slice tbs, struct slice keys,
                          int64_t now, struct diag *diag)
{
    struct cmp_message m;
    TM_TRY(envelope_check_allowed(e, SIGN_CMP, diag));
    if (cmp_message_parse(&m, tbs, NULL) != TM_OK || m.is_protected || m.n_extra)
        return not_that(diag, "RFC 9810 5.1.3", "a ProtectedPart");
    if (m.time && (m.time < now - CLOCK_SLACK || m.time > now + CLOCK_SLACK))
        return diag_fail(diag, TM_EDENIED, "envelope.cmp", "messageTime",
                         "key %s signs messages of this hour only", e->key_id);
    return check_message(e, known, &m, &keys, 0, diag);
}
