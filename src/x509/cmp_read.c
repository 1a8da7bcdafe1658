#include "base/arena.h"
#include "der/reader.h"
#include "x509/cmp.h"
#include "x509/ext.h"
#include "x509/internal.h"
#include <string.h>

static const char rule_header[] = "RFC 9810 5.1.1";

/* ---- header ---- */

/* GeneralName; of a directoryName [4] EXPLICIT Name also the Name. */
static tm_err general_name(struct slice *ret_tlv, struct slice *ret_name, struct der_reader *r)
{
    struct der_reader look = *r, inner;
    struct slice tlv, name = {0};
    unsigned tag;
    TM_TRY(der_read_any(r, &tag, NULL, &tlv));
    if ((tag & 0xc0) != 0x80 || (tag & 0x1f) > 8)
        return der_reject(r, TM_EMALFORMED, rule_header, "header", "not a GeneralName");
    if (tag == DER_CONTEXT_CONS(4)) {
        TM_TRY(der_enter(&look, tag, &inner));
        TM_TRY(der_read_tlv(&inner, DER_SEQUENCE, &name));
        TM_TRY(der_end(&inner));
    }
    *ret_tlv = tlv;
    if (ret_name)
        *ret_name = name;
    return TM_OK;
}

/* [n] EXPLICIT OCTET STRING OPTIONAL, of at most CMP_ID_MAX octets. */
static tm_err octets_optional(struct slice *ret, struct der_reader *r, unsigned n, const char *field)
{
    struct der_reader inner;
    struct slice s;
    bool present;
    TM_TRY(der_enter_optional(r, DER_CONTEXT_CONS(n), &inner, &present));
    if (!present)
        return TM_OK;
    TM_TRY(der_read(&inner, DER_OCTET_STRING, &s));
    TM_TRY(der_end(&inner));
    if (s.n > CMP_ID_MAX)
        return der_reject(r, TM_ETOOBIG, rule_header, field, "too long");
    *ret = s;
    return TM_OK;
}

static tm_err info_read(struct cmp_info *ret, struct der_reader *list)
{
    struct der_reader seq;
    *ret = (struct cmp_info){0};
    TM_TRY(der_enter(list, DER_SEQUENCE, &seq));
    TM_TRY(der_read_oid(&seq, &ret->oid));
    ret->type = oid_find(ret->oid);
    if (!der_at_end(&seq))
        TM_TRY(der_read_tlv(&seq, 0, &ret->value));
    return der_end(&seq);
}

static tm_err infos(struct cmp_info *ret, size_t max, size_t *ret_n, struct der_reader *list)
{
    size_t n = 0;
    for (; !der_at_end(list); n++) {
        if (n == max)
            return der_reject(list, TM_ETOOBIG, NULL, "generalInfo", "too many values");
        TM_TRY(info_read(&ret[n], list));
    }
    TM_TRY(der_end(list));
    *ret_n = n;
    return TM_OK;
}

static tm_err general_info(struct cmp_message *m, struct der_reader *h)
{
    struct der_reader inner, list;
    bool present;
    TM_TRY(der_enter_optional(h, DER_CONTEXT_CONS(8), &inner, &present));
    if (!present)
        return TM_OK;
    TM_TRY(der_enter(&inner, DER_SEQUENCE, &list));
    TM_TRY(der_end(&inner));
    return infos(m->info, CMP_INFO_MAX, &m->n_info, &list);
}

/* PKIHeader ::= SEQUENCE { pvno INTEGER, sender GeneralName, recipient GeneralName, messageTime [0] GeneralizedTime OPTIONAL,
 *     protectionAlg [1] AlgorithmIdentifier OPTIONAL, senderKID [2] OCTET STRING OPTIONAL, recipKID [3] OCTET STRING OPTIONAL,
 *     transactionID [4] OCTET STRING OPTIONAL, senderNonce [5] OCTET STRING OPTIONAL, recipNonce [6] OCTET STRING OPTIONAL,
 *     freeText [7] PKIFreeText OPTIONAL, generalInfo [8] SEQUENCE SIZE (1..MAX) OF InfoTypeAndValue OPTIONAL } */
static tm_err header_read(struct cmp_message *m, struct der_reader *h)
{
    struct der_reader inner;
    struct slice ignored = {0};
    bool present;
    TM_TRY(der_read_uint(h, &m->pvno));
    TM_TRY(general_name(&m->sender, &m->sender_name, h));
    TM_TRY(general_name(&m->recipient, NULL, h));
    TM_TRY(der_enter_optional(h, DER_CONTEXT_CONS(0), &inner, &present));
    if (present) {
        TM_TRY(der_read_generalized_time(&inner, &m->time));
        TM_TRY(der_end(&inner));
    }
    TM_TRY(der_enter_optional(h, DER_CONTEXT_CONS(1), &inner, &m->has_protection_alg));
    if (m->has_protection_alg) {
        TM_TRY(algid_read(&m->protection_alg, &inner));
        TM_TRY(der_end(&inner));
    }
    TM_TRY(octets_optional(&m->sender_kid, h, 2, "senderKID"));
    TM_TRY(octets_optional(&ignored, h, 3, "recipKID"));
    TM_TRY(octets_optional(&m->transaction_id, h, 4, "transactionID"));
    TM_TRY(octets_optional(&m->sender_nonce, h, 5, "senderNonce"));
    TM_TRY(octets_optional(&m->recip_nonce, h, 6, "recipNonce"));
    TM_TRY(der_enter_optional(h, DER_CONTEXT_CONS(7), &inner, &present));
    if (present) {
        TM_TRY(der_skip(&inner, DER_SEQUENCE));
        TM_TRY(der_end(&inner));
    }
    TM_TRY(general_info(m, h));
    return der_end(h);
}

/* ---- message ---- */

static tm_err body_read(struct cmp_message *m, struct der_reader *msg)
{
    struct der_reader look = *msg, inner;
    unsigned tag = der_peek(msg);
    if ((tag & 0xe0) != 0xa0 || (tag & 0x1f) >= CMP_BODY_COUNT)
        return der_reject(msg, TM_EMALFORMED, "RFC 9810 5.1.2", "body", "not the tag of a body");
    TM_TRY(der_read_tlv(&look, tag, &m->body_tlv));
    TM_TRY(der_enter(msg, tag, &inner));
    TM_TRY(der_read_tlv(&inner, 0, &m->content));
    TM_TRY(der_end(&inner));
    m->body = tag & 0x1f;
    return TM_OK;
}

static tm_err extra_certs(struct cmp_message *m, struct der_reader *msg)
{
    struct der_reader inner, list;
    bool present;
    TM_TRY(der_enter_optional(msg, DER_CONTEXT_CONS(1), &inner, &present));
    if (!present)
        return TM_OK;
    TM_TRY(der_enter(&inner, DER_SEQUENCE, &list));
    TM_TRY(der_end(&inner));
    while (!der_at_end(&list)) {
        if (m->n_extra == CMP_EXTRA_CERTS_MAX)
            return der_reject(&list, TM_ETOOBIG, NULL, "extraCerts", "too many certificates");
        TM_TRY(der_read_tlv(&list, DER_SEQUENCE, &m->extra[m->n_extra]));
        m->n_extra++;
    }
    return der_end(&list);
}

/* PKIMessage ::= SEQUENCE { header PKIHeader, body PKIBody, protection [0] BIT STRING OPTIONAL, extraCerts [1] SEQUENCE SIZE (1..MAX) OF
 *     CMPCertificate OPTIONAL } */
tm_err cmp_message_parse(struct cmp_message *m, struct slice der, struct diag *diag)
{
    struct der_reader r, msg, look, h, inner;
    memset(m, 0, sizeof *m);
    m->der = der;
    if (der.n > CMP_MESSAGE_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "message", "more than %d bytes", CMP_MESSAGE_MAX);
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &msg));
    TM_TRY(der_end(&r));
    look = msg;
    TM_TRY(der_read_tlv(&look, DER_SEQUENCE, &m->header));
    TM_TRY(der_enter(&msg, DER_SEQUENCE, &h));
    TM_TRY(header_read(m, &h));
    TM_TRY(body_read(m, &msg));
    TM_TRY(der_enter_optional(&msg, DER_CONTEXT_CONS(0), &inner, &m->is_protected));
    if (m->is_protected) {
        TM_TRY(der_read_bits(&inner, &m->protection));
        TM_TRY(der_end(&inner));
    }
    TM_TRY(extra_certs(m, &msg));
    return der_end(&msg);
}

tm_err cmp_protected_part(struct slice *ret, struct arena *a, struct slice header, struct slice body_tlv)
{
    struct der_builder b;
    struct buf buf;
    TM_TRY(arena_builder(&b, &buf, a, header.n + body_tlv.n + DER_HEAD_MAX));
    der_open(&b, DER_SEQUENCE);
    der_put_tlv(&b, header);
    der_put_tlv(&b, body_tlv);
    der_close(&b);
    return arena_builder_finish(ret, &b);
}

const struct cmp_info *cmp_info_find(const struct cmp_message *m, enum oid type)
{
    for (size_t i = 0; i < m->n_info; i++)
        if (m->info[i].type == type)
            return &m->info[i];
    return NULL;
}

/* ---- lists ---- */

static tm_err open_list(struct der_reader *list, struct slice tlv, const char *field, struct diag *diag)
{
    struct der_reader r;
    der_reader_init(&r, tlv, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, list));
    TM_TRY(der_end(&r));
    if (der_at_end(list))
        return der_reject(list, TM_EMALFORMED, "RFC 9810 F", field, "an empty list");
    return TM_OK;
}

static tm_err full(struct der_reader *list, const char *field)
{
    return der_reject(list, TM_ETOOBIG, NULL, field, "too many of them");
}

/* An INTEGER that may be negative: certReqId is -1 where a request has none (RFC 9810 5.3.4). */
static tm_err small_integer(struct der_reader *r, int64_t *ret)
{
    struct slice s;
    TM_TRY(der_read_integer(r, &s));
    if (s.n > 8)
        return der_reject(r, TM_ETOOBIG, NULL, "INTEGER", "out of its range");
    uint64_t v = s.p[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | s.p[i];
    *ret = (int64_t)v;
    return TM_OK;
}

tm_err cmp_profiles_read(struct slice ret[CMP_PROFILES_MAX], size_t *ret_n, struct slice value,
                         struct diag *diag)
{
    struct der_reader list;
    size_t n = 0;
    TM_TRY(open_list(&list, value, "certProfile", diag));
    for (; !der_at_end(&list); n++) {
        if (n == CMP_PROFILES_MAX)
            return full(&list, "certProfile");
        TM_TRY(der_read(&list, DER_UTF8_STRING, &ret[n]));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

/* PKIStatusInfo ::= SEQUENCE { status INTEGER, statusString PKIFreeText OPTIONAL, failInfo BIT STRING OPTIONAL };
 * PKIFreeText ::= SEQUENCE SIZE (1..MAX) OF UTF8String */
static tm_err status_info(struct cmp_status_info *ret, struct der_reader *r)
{
    struct der_reader seq, text;
    struct slice bits;
    uint64_t status;
    bool present;
    *ret = (struct cmp_status_info){0};
    TM_TRY(der_enter(r, DER_SEQUENCE, &seq));
    TM_TRY(der_read_uint(&seq, &status));
    if (status > 6)
        return der_reject(&seq, TM_EMALFORMED, "RFC 9810 5.2.3", "status", "no such status");
    ret->status = (int)status;
    TM_TRY(der_enter_optional(&seq, DER_SEQUENCE, &text, &present));
    if (present && !der_at_end(&text))
        TM_TRY(der_read(&text, DER_UTF8_STRING, &ret->text));
    TM_TRY(der_read_optional(&seq, DER_BIT_STRING, &bits, &present));
    /* Some write the trailing zeros that DER wants left out. */
    for (size_t i = 0; present && i < 32 && i / 8 + 1 < bits.n; i++)
        if (bits.p[1 + i / 8] & (0x80u >> i % 8))
            ret->fail |= (uint32_t)1 << i;
    return der_end(&seq);
}

/* CertStatus ::= SEQUENCE { certHash OCTET STRING, certReqId INTEGER, statusInfo PKIStatusInfo OPTIONAL, hashAlg [0] AlgorithmIdentifier
 *     OPTIONAL } */
static tm_err confirm_read(struct cmp_confirm *c, struct der_reader *list)
{
    struct der_reader seq, inner;
    *c = (struct cmp_confirm){0};
    TM_TRY(der_enter(list, DER_SEQUENCE, &seq));
    TM_TRY(der_read(&seq, DER_OCTET_STRING, &c->hash));
    TM_TRY(small_integer(&seq, &c->request_id));
    if (der_peek(&seq) == DER_SEQUENCE) {
        struct cmp_status_info s;
        TM_TRY(status_info(&s, &seq));
        c->status = s.status;
    }
    TM_TRY(der_enter_optional(&seq, DER_CONTEXT_CONS(0), &inner, &c->has_hash_alg));
    if (c->has_hash_alg) {
        TM_TRY(algid_read(&c->hash_alg, &inner));
        TM_TRY(der_end(&inner));
    }
    return der_end(&seq);
}

/* CertConfirmContent ::= SEQUENCE OF CertStatus: an empty one rejects all (RFC 9810 5.3.18). */
tm_err cmp_confirms_read(struct cmp_confirm *ret, size_t max, size_t *ret_n, struct slice content,
                         struct diag *diag)
{
    struct der_reader r, list;
    size_t n = 0;
    der_reader_init(&r, content, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    TM_TRY(der_end(&r));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return full(&list, "certConf");
        TM_TRY(confirm_read(&ret[n], &list));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

/* CertTemplate of an rr: issuer [3] and serialNumber [1] say which certificate; what else stands there does not matter. */
static tm_err certificate_named(struct cmp_revocation *v, struct der_reader *t)
{
    struct der_reader inner;
    struct slice tlv;
    while (!der_at_end(t)) {
        unsigned tag = der_peek(t);
        if (tag == DER_CONTEXT(1) && v->serial.n == 0) {
            TM_TRY(der_read(t, tag, &v->serial));
        } else if (tag == DER_CONTEXT_CONS(3) && v->issuer.n == 0) {
            TM_TRY(der_enter(t, tag, &inner));
            TM_TRY(der_read_tlv(&inner, DER_SEQUENCE, &v->issuer));
            TM_TRY(der_end(&inner));
        } else {
            TM_TRY(der_read_any(t, &tag, NULL, &tlv));
            if ((tag & 0xc0) != 0x80)
                return der_reject(t, TM_EMALFORMED, "RFC 4211 5", "certDetails", "not a CertTemplate");
        }
    }
    return der_end(t);
}

/* RevDetails ::= SEQUENCE { certDetails CertTemplate, crlEntryDetails Extensions OPTIONAL } */
static tm_err revocation_read(struct cmp_revocation *v, struct der_reader *list)
{
    struct der_reader seq, template, value;
    struct slice exts_tlv, reason;
    struct exts exts;
    *v = (struct cmp_revocation){.reason = -1};
    TM_TRY(der_enter(list, DER_SEQUENCE, &seq));
    TM_TRY(der_enter(&seq, DER_SEQUENCE, &template));
    TM_TRY(certificate_named(v, &template));
    if (der_at_end(&seq))
        return der_end(&seq);
    TM_TRY(der_read_tlv(&seq, DER_SEQUENCE, &exts_tlv));
    TM_TRY(der_end(&seq));
    TM_TRY(exts_parse(&exts, exts_tlv, list->diag));
    const struct ext *e = exts_find(&exts, OID_EXT_REASON);
    if (!e)
        return TM_OK;
    der_reader_init(&value, e->value, list->diag);
    TM_TRY(der_read(&value, DER_ENUMERATED, &reason));
    TM_TRY(der_end(&value));
    if (reason.n != 1 || reason.p[0] > 10 || reason.p[0] == 7)
        return der_reject(&value, TM_EMALFORMED, "RFC 5280 5.3.1", "reasonCode", "no such reason");
    v->reason = reason.p[0];
    return TM_OK;
}

tm_err cmp_revocations_read(struct cmp_revocation *ret, size_t max, size_t *ret_n, struct slice content,
                            struct diag *diag)
{
    struct der_reader list;
    size_t n = 0;
    TM_TRY(open_list(&list, content, "rr", diag));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return full(&list, "rr");
        TM_TRY(revocation_read(&ret[n], &list));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

/* PollReqContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER } */
tm_err cmp_polls_read(int64_t *ret, size_t max, size_t *ret_n, struct slice content, struct diag *diag)
{
    struct der_reader list, seq;
    size_t n = 0;
    TM_TRY(open_list(&list, content, "pollReq", diag));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return full(&list, "pollReq");
        TM_TRY(der_enter(&list, DER_SEQUENCE, &seq));
        TM_TRY(small_integer(&seq, &ret[n]));
        TM_TRY(der_end(&seq));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

tm_err cmp_pop_responses_read(struct slice *ret, size_t max, size_t *ret_n, struct slice content,
                              struct diag *diag)
{
    struct der_reader list;
    size_t n = 0;
    TM_TRY(open_list(&list, content, "popdecr", diag));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return full(&list, "popdecr");
        TM_TRY(der_read_integer(&list, &ret[n]));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

tm_err cmp_infos_read(struct cmp_info *ret, size_t max, size_t *ret_n, struct slice content,
                      struct diag *diag)
{
    struct der_reader r, list;
    der_reader_init(&r, content, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    TM_TRY(der_end(&r));
    return infos(ret, max, ret_n, &list);
}

tm_err cmp_nested_read(struct slice *ret, size_t max, size_t *ret_n, struct slice content, struct diag *diag)
{
    struct der_reader list;
    size_t n = 0;
    TM_TRY(open_list(&list, content, "nested", diag));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return full(&list, "nested");
        TM_TRY(der_read_tlv(&list, DER_SEQUENCE, &ret[n]));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

/* GeneralNames: the first directoryName and the first URI in it. */
static tm_err source_names(struct cmp_crl_status *s, struct der_reader *names)
{
    struct der_reader inner;
    while (!der_at_end(names)) {
        unsigned tag = der_peek(names);
        if (tag == DER_CONTEXT_CONS(4) && s->issuer.n == 0) {
            TM_TRY(der_enter(names, tag, &inner));
            TM_TRY(der_read_tlv(&inner, DER_SEQUENCE, &s->issuer));
            TM_TRY(der_end(&inner));
        } else if (tag == DER_CONTEXT(6) && s->uri.n == 0) {
            TM_TRY(der_read(names, tag, &s->uri));
        } else {
            TM_TRY(der_read_any(names, NULL, NULL, NULL));
        }
    }
    return der_end(names);
}

/* CRLSource ::= CHOICE { dpn [0] DistributionPointName, issuer [1] GeneralNames }; DistributionPointName ::= CHOICE { fullName [0] IMPLICIT
 *     GeneralNames, nameRelativeToCRLIssuer [1] … } (RFC 5280's module) */
static tm_err crl_source(struct cmp_crl_status *s, struct der_reader *r)
{
    struct der_reader choice, names;
    if (der_peek(r) == DER_CONTEXT_CONS(0)) {
        TM_TRY(der_enter(r, DER_CONTEXT_CONS(0), &choice));
        if (der_peek(&choice) != DER_CONTEXT_CONS(0))
            return der_read_any(&choice, NULL, NULL, NULL) == TM_OK ? der_end(&choice) : choice.err;
        TM_TRY(der_enter(&choice, DER_CONTEXT_CONS(0), &names));
    } else {
        TM_TRY(der_enter(r, DER_CONTEXT_CONS(1), &choice));
        TM_TRY(der_enter(&choice, DER_SEQUENCE, &names));
    }
    TM_TRY(der_end(&choice));
    return source_names(s, &names);
}

/* CRLStatusListValue ::= SEQUENCE SIZE (1..MAX) OF CRLStatus; CRLStatus ::= SEQUENCE { source CRLSource, thisUpdate Time OPTIONAL } */
tm_err cmp_crl_statuses_read(struct cmp_crl_status *ret, size_t max, size_t *ret_n, struct slice value,
                             struct diag *diag)
{
    struct der_reader list, seq;
    size_t n = 0;
    TM_TRY(open_list(&list, value, "crlStatusList", diag));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return full(&list, "crlStatusList");
        ret[n] = (struct cmp_crl_status){0};
        TM_TRY(der_enter(&list, DER_SEQUENCE, &seq));
        TM_TRY(crl_source(&ret[n], &seq));
        if (!der_at_end(&seq))
            TM_TRY(der_read_time(&seq, &ret[n].this_update));
        TM_TRY(der_end(&seq));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

tm_err cmp_cert_id_read(struct slice *ret_issuer, struct slice *ret_serial, struct slice tlv,
                        struct diag *diag)
{
    struct der_reader r, seq;
    struct slice issuer, ignored;
    der_reader_init(&r, tlv, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(general_name(&ignored, &issuer, &seq));
    TM_TRY(der_read_integer(&seq, ret_serial));
    TM_TRY(der_end(&seq));
    *ret_issuer = issuer;
    return TM_OK;
}

/* ---- answers ---- */

/* EncryptedKey ::= CHOICE { encryptedValue EncryptedValue, envelopedData [0] … }: either is there or not, what it holds is its reader's. */
static tm_err encrypted_key(struct der_reader *r)
{
    return der_read_any(r, NULL, NULL, NULL) == TM_OK ? der_end(r) : r->err;
}

/* CertifiedKeyPair ::= SEQUENCE { certOrEncCert CHOICE { certificate [0] CMPCertificate, encryptedCert [1] EncryptedKey },
 *     privateKey [0] EncryptedKey OPTIONAL, publicationInfo [1] PKIPublicationInfo OPTIONAL } */
static tm_err key_pair(struct cmp_outcome *o, struct der_reader *r)
{
    struct der_reader pair, inner;
    bool present;
    TM_TRY(der_enter(r, DER_SEQUENCE, &pair));
    if (der_peek(&pair) == DER_CONTEXT_CONS(1)) {
        TM_TRY(der_enter(&pair, DER_CONTEXT_CONS(1), &inner));
        TM_TRY(encrypted_key(&inner));
        o->encrypted_cert = true;
    } else {
        TM_TRY(der_enter(&pair, DER_CONTEXT_CONS(0), &inner));
        TM_TRY(der_read_tlv(&inner, DER_SEQUENCE, &o->cert));
        TM_TRY(der_end(&inner));
    }
    TM_TRY(der_enter_optional(&pair, DER_CONTEXT_CONS(0), &inner, &o->private_key));
    if (o->private_key)
        TM_TRY(encrypted_key(&inner));
    TM_TRY(der_enter_optional(&pair, DER_CONTEXT_CONS(1), &inner, &present));
    return der_end(&pair);
}

/* CertResponse ::= SEQUENCE { certReqId INTEGER, status PKIStatusInfo, certifiedKeyPair CertifiedKeyPair OPTIONAL, rspInfo OCTET STRING
 *     OPTIONAL } */
static tm_err cert_response(struct cmp_outcome *o, struct der_reader *list)
{
    struct der_reader seq;
    struct slice ignored;
    bool present;
    TM_TRY(der_enter(list, DER_SEQUENCE, &seq));
    TM_TRY(small_integer(&seq, &o->request_id));
    TM_TRY(status_info(&o->status, &seq));
    if (der_peek(&seq) == DER_SEQUENCE)
        TM_TRY(key_pair(o, &seq));
    TM_TRY(der_read_optional(&seq, DER_OCTET_STRING, &ignored, &present));
    return der_end(&seq);
}

/* CertRepMessage ::= SEQUENCE { caPubs [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate OPTIONAL, response SEQUENCE OF CertResponse } */
static tm_err cert_responses(struct cmp_outcome *ret, size_t max, size_t *ret_n, struct der_reader *seq)
{
    struct der_reader list;
    bool present;
    size_t n = 0;
    TM_TRY(der_enter_optional(seq, DER_CONTEXT_CONS(1), &list, &present));
    TM_TRY(der_enter(seq, DER_SEQUENCE, &list));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return full(&list, "response");
        ret[n] = (struct cmp_outcome){0};
        TM_TRY(cert_response(&ret[n], &list));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

/* RevRepContent ::= SEQUENCE { status SEQUENCE SIZE (1..MAX) OF PKIStatusInfo, revCerts [0] … OPTIONAL, crls [1] … OPTIONAL } */
static tm_err revocation_responses(struct cmp_outcome *ret, size_t max, size_t *ret_n, struct der_reader *seq)
{
    struct der_reader list;
    size_t n = 0;
    TM_TRY(der_enter(seq, DER_SEQUENCE, &list));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return full(&list, "status");
        ret[n] = (struct cmp_outcome){.request_id = (int64_t)n};
        TM_TRY(status_info(&ret[n].status, &list));
    }
    TM_TRY(der_end(&list));
    while (der_peek(seq) == DER_CONTEXT_CONS(0) || der_peek(seq) == DER_CONTEXT_CONS(1))
        TM_TRY(der_skip(seq, der_peek(seq)));
    *ret_n = n;
    return TM_OK;
}

/* PollRepContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER, checkAfter INTEGER, reason PKIFreeText OPTIONAL } */
static tm_err poll_responses(struct cmp_outcome *ret, size_t max, size_t *ret_n, struct der_reader *list)
{
    struct der_reader seq, text;
    bool present;
    size_t n = 0;
    for (; !der_at_end(list); n++) {
        if (n == max)
            return full(list, "pollRep");
        ret[n] = (struct cmp_outcome){.status.status = CMP_WAITING};
        TM_TRY(der_enter(list, DER_SEQUENCE, &seq));
        TM_TRY(small_integer(&seq, &ret[n].request_id));
        TM_TRY(der_read_uint(&seq, &ret[n].check_after));
        TM_TRY(der_enter_optional(&seq, DER_SEQUENCE, &text, &present));
        if (present && !der_at_end(&text))
            TM_TRY(der_read(&text, DER_UTF8_STRING, &ret[n].status.text));
        TM_TRY(der_end(&seq));
    }
    *ret_n = n;
    return TM_OK;
}

/* ErrorMsgContent ::= SEQUENCE { pKIStatusInfo PKIStatusInfo, errorCode INTEGER OPTIONAL, errorDetails PKIFreeText OPTIONAL } */
static tm_err error_content(struct cmp_outcome *ret, size_t *ret_n, struct der_reader *seq)
{
    struct slice ignored;
    *ret = (struct cmp_outcome){0};
    TM_TRY(status_info(&ret->status, seq));
    if (der_peek(seq) == DER_INTEGER)
        TM_TRY(der_read_integer(seq, &ignored));
    if (der_peek(seq) == DER_SEQUENCE)
        TM_TRY(der_skip(seq, DER_SEQUENCE));
    *ret_n = 1;
    return TM_OK;
}

tm_err cmp_outcomes_read(struct cmp_outcome *ret, size_t max, size_t *ret_n, unsigned body,
                         struct slice content, struct diag *diag)
{
    struct der_reader r, seq;
    size_t n = 0;
    tm_err e;
    der_reader_init(&r, content, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    if (body == CMP_IP || body == CMP_CP || body == CMP_KUP)
        e = cert_responses(ret, max, &n, &seq);
    else if (body == CMP_RP)
        e = revocation_responses(ret, max, &n, &seq);
    else if (body == CMP_POLLREP)
        e = poll_responses(ret, max, &n, &seq);
    else if (body == CMP_ERROR)
        e = error_content(ret, &n, &seq);
    else
        return der_reject(&seq, TM_EUNSUPPORTED, "RFC 9810 5.3", "body", "no answer with a status");
    TM_TRY(e);
    TM_TRY(der_end(&seq));
    *ret_n = n;
    return TM_OK;
}
