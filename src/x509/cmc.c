#include "x509/cmc.h"
#include "base/arena.h"
#include "der/builder.h"
#include "der/reader.h"

/* ---- PKIData ---- */

/* BodyPartID ::= INTEGER (0..4294967295); 0 is the message itself (RFC 5272 3.2.2). */
static tm_err body_part_read(uint32_t *ret, struct der_reader *r)
{
    uint64_t v;
    TM_TRY(der_read_uint(r, &v));
    if (v == 0 || v > UINT32_MAX)
        return der_reject(r, TM_EMALFORMED, "RFC 5272 3.2.2", "bodyPartID", "not in 1..4294967295");
    *ret = (uint32_t)v;
    return TM_OK;
}

/* RFC 5272 3.2.2: unique within the message. */
static tm_err body_part_new(struct pki_data *d, uint32_t id, struct der_reader *r)
{
    bool known = false;
    for (size_t i = 0; i < d->n_controls; i++)
        known |= d->controls[i].id == id;
    for (size_t i = 0; i < d->n_requests; i++)
        known |= d->requests[i].id == id;
    if (!known)
        return TM_OK;
    d->bad_part = id;
    return der_reject(r, TM_EMALFORMED, "RFC 5272 3.2.2", "bodyPartID", "two body parts of one number");
}

/* The only value of a control that may stand there once. */
static tm_err value_read(struct slice *ret, unsigned tag, size_t max, const struct cmc_control *c,
                         struct der_reader *r)
{
    struct der_reader values;
    struct slice v;
    if (ret->n)
        return der_reject(r, TM_EMALFORMED, "RFC 5272 6", "controlSequence", "a control twice");
    der_reader_init(&values, c->values, NULL);
    if (der_read(&values, tag, &v) != TM_OK || der_end(&values) != TM_OK || v.n == 0)
        return der_reject(r, TM_EMALFORMED, "RFC 5272 6", oid_name(c->type), "not one value of its type");
    if (v.n > max)
        return der_reject(r, TM_ETOOBIG, "RFC 5272 6", oid_name(c->type), "the value is too long");
    *ret = v;
    return TM_OK;
}

static tm_err control_take(struct pki_data *d, const struct cmc_control *c, struct der_reader *r)
{
    d->bad_part = c->id;
    switch (c->type) {
    case OID_CMC_TRANSACTION_ID:
        TM_TRY(value_read(&d->transaction_id, DER_INTEGER, CMC_NONCE_MAX, c, r));
        break;
    case OID_CMC_SENDER_NONCE:
        TM_TRY(value_read(&d->sender_nonce, DER_OCTET_STRING, CMC_NONCE_MAX, c, r));
        break;
    case OID_CMC_RECIPIENT_NONCE:
        TM_TRY(value_read(&d->recipient_nonce, DER_OCTET_STRING, CMC_NONCE_MAX, c, r));
        break;
    case OID_CMC_DATA_RETURN:
        TM_TRY(value_read(&d->data_return, DER_OCTET_STRING, CMC_DATA_RETURN_MAX, c, r));
        break;
    default: /* a control asks for something: what is not understood is not done silently */
        return der_reject(r, TM_EUNSUPPORTED, "RFC 5272 6", "controlSequence",
                          c->type == OID_UNKNOWN ? "a control that is not known here"
                                                 : "a control that is not processed here");
    }
    d->bad_part = 0;
    return TM_OK;
}

/* TaggedAttribute ::= SEQUENCE { bodyPartID, attrType OBJECT IDENTIFIER, attrValues SET OF AttributeValue } */
static tm_err controls_read(struct pki_data *d, struct der_reader *msg)
{
    struct der_reader list, seq;
    TM_TRY(der_enter(msg, DER_SEQUENCE, &list));
    while (!der_at_end(&list)) {
        if (d->n_controls == CMC_CONTROLS_MAX)
            return der_reject(&list, TM_ETOOBIG, NULL, "controlSequence", "too many controls");
        struct cmc_control *c = &d->controls[d->n_controls];
        TM_TRY(der_enter(&list, DER_SEQUENCE, &seq));
        TM_TRY(body_part_read(&c->id, &seq));
        TM_TRY(body_part_new(d, c->id, &seq));
        TM_TRY(der_read_oid(&seq, &c->oid));
        TM_TRY(der_read(&seq, DER_SET, &c->values));
        TM_TRY(der_end(&seq));
        c->type = oid_find(c->oid);
        d->n_controls++;
    }
    TM_TRY(der_end(&list));
    /* All that help to answer first, so that a refusal of the others carries them. */
    tm_err first = TM_OK;
    for (size_t i = 0; i < d->n_controls; i++) {
        struct der_reader at = list;
        uint32_t bad = d->bad_part;
        if (first != TM_OK)
            at.diag = NULL;
        tm_err e = control_take(d, &d->controls[i], &at);
        if (first != TM_OK)
            d->bad_part = bad;
        else
            first = e;
    }
    return first;
}

/* tcr [0] IMPLICIT SEQUENCE { bodyPartID, certificationRequest } */
static tm_err tcr_read(struct cmc_request *q, struct der_reader *list)
{
    struct der_reader seq;
    TM_TRY(der_enter(list, DER_CONTEXT_CONS(0), &seq));
    TM_TRY(body_part_read(&q->id, &seq));
    TM_TRY(der_read_tlv(&seq, DER_SEQUENCE, &q->der));
    return der_end(&seq);
}

/* crm [1] IMPLICIT CertReqMsg, whose certReqId is the body part's number */
static tm_err crm_read(struct cmc_request *q, struct arena *a, struct der_reader *list)
{
    struct der_reader look = *list, msg, request;
    struct slice tlv;
    TM_TRY(der_read_tlv(&look, DER_CONTEXT_CONS(1), &tlv));
    TM_TRY(der_enter(list, DER_CONTEXT_CONS(1), &msg));
    TM_TRY(der_enter(&msg, DER_SEQUENCE, &request));
    TM_TRY(body_part_read(&q->id, &request));
    TM_TRY(arena_copy(&q->der, a, tlv));
    ((uint8_t *)(uintptr_t)q->der.p)[0] = DER_SEQUENCE; /* the copy is ours */
    q->crmf = true;
    return TM_OK;
}

/* TaggedRequest ::= CHOICE { tcr [0] TaggedCertificationRequest, crm [1] CertReqMsg, orm [2] SEQUENCE { … } } */
static tm_err requests_read(struct pki_data *d, struct arena *a, struct der_reader *msg)
{
    struct der_reader list;
    TM_TRY(der_enter(msg, DER_SEQUENCE, &list));
    while (!der_at_end(&list)) {
        if (d->n_requests == CMC_REQUESTS_MAX)
            return der_reject(&list, TM_ETOOBIG, NULL, "reqSequence", "more than 8 requests in a message");
        struct cmc_request *q = &d->requests[d->n_requests];
        *q = (struct cmc_request){0};
        unsigned tag = der_peek(&list);
        if (tag == DER_CONTEXT_CONS(0))
            TM_TRY(tcr_read(q, &list));
        else if (tag == DER_CONTEXT_CONS(1))
            TM_TRY(crm_read(q, a, &list));
        else
            return der_reject(&list, TM_EUNSUPPORTED, "RFC 5272 3.2.1.2", "reqSequence",
                              "a request that is neither PKCS #10 nor CRMF");
        TM_TRY(body_part_new(d, q->id, &list));
        d->n_requests++;
    }
    return der_end(&list);
}

/* Enclosed messages are for RAs that pass on what others asked for; nobody does that here. */
static tm_err nothing_else(struct der_reader *msg, const char *field)
{
    struct slice list;
    TM_TRY(der_read(msg, DER_SEQUENCE, &list));
    if (list.n)
        return der_reject(msg, TM_EUNSUPPORTED, "RFC 5272 3.2.1", field, "enclosed messages are not read");
    return TM_OK;
}

/* PKIData ::= SEQUENCE { controlSequence SEQUENCE OF, reqSequence SEQUENCE OF, cmsSequence SEQUENCE OF, otherMsgSequence SEQUENCE OF } */
tm_err pki_data_parse(struct pki_data *ret, struct arena *a, struct slice der, struct diag *diag)
{
    struct der_reader r, msg;
    *ret = (struct pki_data){0};
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &msg));
    tm_err controls = controls_read(ret, &msg);
    if (controls != TM_OK)
        return controls;
    TM_TRY(requests_read(ret, a, &msg));
    TM_TRY(nothing_else(&msg, "cmsSequence"));
    TM_TRY(nothing_else(&msg, "otherMsgSequence"));
    TM_TRY(der_end(&msg));
    return der_end(&r);
}

/* ---- PKIResponse ---- */

struct controls {
    struct der_builder b;
    uint32_t next; /* bodyPartID */
};

static void control_open(struct controls *c, enum oid type)
{
    der_open(&c->b, DER_SEQUENCE);
    der_put_uint(&c->b, c->next++);
    der_put_oid(&c->b, oid_contents(type));
    der_open(&c->b, DER_SET);
}

static void control_close(struct controls *c)
{
    der_close(&c->b);
    der_close(&c->b);
}

static void put_control(struct controls *c, enum oid type, unsigned tag, struct slice value)
{
    if (!value.n)
        return;
    control_open(c, type);
    der_put(&c->b, tag, value);
    control_close(c);
}

/* CMCStatusInfoV2 ::= SEQUENCE { cMCStatus CMCStatus, bodyList SEQUENCE SIZE (1..MAX) OF BodyPartReference, statusString UTF8String OPTIONAL,
 *                                otherInfo CHOICE { failInfo CMCFailInfo, pendInfo PendInfo, … } OPTIONAL }
 * PendInfo ::= SEQUENCE { pendToken OCTET STRING, pendTime GeneralizedTime } */
static void put_status(struct controls *c, const struct cmc_status *s)
{
    struct der_builder *b = &c->b;
    control_open(c, OID_CMC_STATUS_INFO_V2);
    der_open(b, DER_SEQUENCE);
    der_put_uint(b, s->code);
    der_open(b, DER_SEQUENCE);
    der_put_uint(b, s->body_part);
    der_close(b);
    if (s->text && s->text[0])
        der_put(b, DER_UTF8_STRING, slice_str(s->text));
    if (s->code == CMC_PENDING) {
        der_open(b, DER_SEQUENCE);
        der_put(b, DER_OCTET_STRING, s->pend_token);
        der_put_generalized_time(b, s->pend_time);
        der_close(b);
    } else if (s->code != CMC_SUCCESS) {
        der_put_uint(b, s->fail);
    }
    der_close(b);
    control_close(c);
}

/* PKIResponse ::= SEQUENCE { controlSequence SEQUENCE OF TaggedAttribute, cmsSequence SEQUENCE OF, otherMsgSequence SEQUENCE OF } */
tm_err pki_response_build(struct buf *out, const struct pki_response *r)
{
    struct controls c = {.next = 1};
    der_builder_init(&c.b, out);
    der_open(&c.b, DER_SEQUENCE);
    der_open(&c.b, DER_SEQUENCE);
    for (size_t i = 0; i < r->n_status; i++)
        put_status(&c, &r->status[i]);
    put_control(&c, OID_CMC_TRANSACTION_ID, DER_INTEGER, r->transaction_id);
    put_control(&c, OID_CMC_SENDER_NONCE, DER_OCTET_STRING, r->sender_nonce);
    put_control(&c, OID_CMC_RECIPIENT_NONCE, DER_OCTET_STRING, r->recipient_nonce);
    put_control(&c, OID_CMC_DATA_RETURN, DER_OCTET_STRING, r->data_return);
    der_close(&c.b);
    der_put(&c.b, DER_SEQUENCE, (struct slice){0});
    der_put(&c.b, DER_SEQUENCE, (struct slice){0});
    der_close(&c.b);
    return der_builder_finish(&c.b);
}
