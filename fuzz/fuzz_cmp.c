/* PKIMessage of CMP and the bodies in it; the parameters of its protection, read again after they were renewed; what it says of its
 * transaction goes into an answer.
 * Parser: x509/cmp_read.c keys/cmp_mac.c -cmp_mac_compute -cmp_mac_renew -pbm_key -pbkdf2_key -put_pbm -put_pbmac1 */
#include "base/arena.h"
#include "base/buf.h"
#include "keys/cmp_mac.h"
#include "x509/cmp.h"
#include "x509/spki.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal says why. */
static bool read_ok(tm_err e, struct diag *diag)
{
    if (e != TM_OK && !diag->message[0])
        abort();
    *diag = (struct diag){0};
    return e == TM_OK;
}

static void at_most(size_t n, size_t max)
{
    if (n > max)
        abort();
}

static void read_lists(struct slice der)
{
    static struct cmp_confirm confirms[CMP_ITEMS_MAX];
    static struct cmp_revocation revocations[CMP_ITEMS_MAX];
    static struct cmp_crl_status crls[CMP_ITEMS_MAX];
    static struct slice inner[CMP_NESTED_MAX];
    struct slice profiles[CMP_PROFILES_MAX], issuer, serial;
    int64_t polls[CMP_ITEMS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    if (read_ok(cmp_confirms_read(confirms, CMP_ITEMS_MAX, &n, der, &diag), &diag)) {
        at_most(n, CMP_ITEMS_MAX);
        for (size_t i = 0; i < n; i++)
            if (confirms[i].status < 0 || confirms[i].status > 6)
                abort();
    }
    if (read_ok(cmp_revocations_read(revocations, CMP_ITEMS_MAX, &n, der, &diag), &diag)) {
        at_most(n, CMP_ITEMS_MAX);
        for (size_t i = 0; i < n; i++)
            if (revocations[i].reason < -1 || revocations[i].reason > 10 || revocations[i].reason == 7)
                abort();
    }
    if (read_ok(cmp_polls_read(polls, CMP_ITEMS_MAX, &n, der, &diag), &diag))
        at_most(n, CMP_ITEMS_MAX);
    if (read_ok(cmp_pop_responses_read(inner, CMP_NESTED_MAX, &n, der, &diag), &diag))
        at_most(n, CMP_NESTED_MAX);
    if (read_ok(cmp_nested_read(inner, CMP_NESTED_MAX, &n, der, &diag), &diag))
        at_most(n, CMP_NESTED_MAX);
    if (read_ok(cmp_crl_statuses_read(crls, CMP_ITEMS_MAX, &n, der, &diag), &diag))
        at_most(n, CMP_ITEMS_MAX);
    if (read_ok(cmp_profiles_read(profiles, &n, der, &diag), &diag))
        at_most(n, CMP_PROFILES_MAX);
    if (read_ok(cmp_cert_id_read(&issuer, &serial, der, &diag), &diag) && serial.n == 0)
        abort();
}

static void read_outcomes(struct slice content)
{
    static struct cmp_outcome v[CMP_ITEMS_MAX];
    struct diag diag = {0};
    for (unsigned body = 0; body < CMP_BODY_COUNT; body++) {
        size_t n = 0;
        if (!read_ok(cmp_outcomes_read(v, CMP_ITEMS_MAX, &n, body, content, &diag), &diag))
            continue;
        at_most(n, CMP_ITEMS_MAX);
        for (size_t i = 0; i < n; i++)
            if (v[i].status.status > 6 || (v[i].cert.n && v[i].encrypted_cert))
                abort();
    }
}

/* What a body holds is told apart by its readers alone, so that each of them gets it. */
static void read_body(const struct cmp_message *m)
{
    static struct cmp_info infos[CMP_INFO_MAX];
    struct diag diag = {0};
    size_t n = 0;
    read_lists(m->content);
    read_outcomes(m->content);
    if (read_ok(cmp_infos_read(infos, CMP_INFO_MAX, &n, m->content, &diag), &diag)) {
        at_most(n, CMP_INFO_MAX);
        for (size_t i = 0; i < n; i++)
            read_lists(infos[i].value);
    }
    for (size_t i = 0; i < m->n_info; i++) {
        const struct cmp_info *first = cmp_info_find(m, m->info[i].type);
        if (!first || first > &m->info[i] || first->type != m->info[i].type)
            abort();
        read_lists(m->info[i].value);
    }
    if (m->n_info == 0 && cmp_info_find(m, OID_IT_IMPLICIT_CONFIRM))
        abort();
}

/* What is protected is header and body, and nothing else: a message without protection. */
static void protected_part(const struct cmp_message *m, struct arena *a)
{
    struct slice part;
    struct cmp_message again;
    if (cmp_protected_part(&part, a, m->header, m->body_tlv) != TM_OK ||
        cmp_message_parse(&again, part, NULL) != TM_OK) {
        abort();
        return;
    }
    if (again.is_protected || again.n_extra || again.body != m->body || again.pvno != m->pvno ||
        !slice_eq(again.header, m->header) || !slice_eq(again.content, m->content))
        abort();
}

/* The same with another salt is read as the same. */
static void mac_parameters(const struct algid *alg, struct arena *a)
{
    struct cmp_mac mac, renewed, again;
    struct algid back;
    struct slice tlv;
    struct diag diag = {0};
    if (!cmp_mac_is(alg) || !read_ok(cmp_mac_parse(&mac, alg, &diag), &diag))
        return;
    if (mac.iterations > CMP_MAC_ITERATIONS_MAX ||
        mac.iterations < (mac.pbmac1 ? CMP_PBMAC1_ITERATIONS_MIN : CMP_PBM_ITERATIONS_MIN))
        abort();
    renewed = mac;
    if (cmp_mac_renew(&tlv, a, &renewed) != TM_OK)
        return;
    if (algid_parse(&back, tlv, NULL) != TM_OK || back.id != alg->id ||
        cmp_mac_parse(&again, &back, NULL) != TM_OK || again.digest != mac.digest || again.mac != mac.mac ||
        again.iterations != mac.iterations || again.key_length != mac.key_length ||
        !slice_eq(again.salt, renewed.salt))
        abort();
}

static void answer(const struct cmp_message *m)
{
    static const uint8_t nobody[] = {0x30, 0x00}, to_nobody[] = {0xa4, 0x02, 0x30, 0x00};
    struct cmp_header h = {.pvno = 2,
                           .sender = SLICE_ARR(nobody),
                           .recipient = m->sender.n ? m->sender : SLICE_ARR(to_nobody),
                           .time = 1800000000,
                           .transaction_id = m->transaction_id,
                           .recip_nonce = m->sender_nonce};
    struct cmp_status s = {.code = CMP_REJECTION, .text = "no", .fail = CMP_BAD_REQUEST};
    struct cmp_message back;
    struct buf header, content, body, out;
    buf_init(&header, 64 << 10);
    buf_init(&content, 64 << 10);
    buf_init(&body, 64 << 10);
    buf_init(&out, 256 << 10);
    cmp_header_build(&header, &h);
    cmp_error_build(&content, &s);
    cmp_body_build(&body, CMP_ERROR, buf_slice(&content));
    bool built =
        buf_err(&header) == TM_OK && buf_err(&content) == TM_OK && buf_err(&body) == TM_OK &&
        cmp_message_build(&out, buf_slice(&header), buf_slice(&body), (struct slice){0}, NULL, 0) == TM_OK;
    if (built && (cmp_message_parse(&back, buf_slice(&out), NULL) != TM_OK ||
                  !slice_eq(back.transaction_id, m->transaction_id)))
        abort();
    buf_done(&header);
    buf_done(&content);
    buf_done(&body);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cmp_message m;
    struct diag diag = {0};
    bool read = read_ok(cmp_message_parse(&m, slice_of(data, size), &diag), &diag);
    if (m.n_info > CMP_INFO_MAX || m.n_extra > CMP_EXTRA_CERTS_MAX || m.transaction_id.n > CMP_ID_MAX)
        abort();
    answer(&m);
    struct arena *a = read ? arena_new(0) : NULL;
    if (!a)
        return 0;
    if (m.has_protection_alg)
        mac_parameters(&m.protection_alg, a);
    protected_part(&m, a);
    read_body(&m);
    arena_free(a);
    return 0;
}
