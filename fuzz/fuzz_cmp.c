/* PKIMessage of CMP and the bodies in it; the parameters of its protection; what it says of its transaction goes into an answer.
 * Parser: x509/cmp_read.c keys/cmp_mac.c -cmp_mac_compute -cmp_mac_renew -pbm_key -pbkdf2_key -put_pbm -put_pbmac1 */
#include "base/arena.h"
#include "base/buf.h"
#include "keys/cmp_mac.h"
#include "x509/cmp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_body(const struct cmp_message *m)
{
    static struct cmp_confirm confirms[CMP_ITEMS_MAX];
    static struct cmp_revocation revocations[CMP_ITEMS_MAX];
    static struct cmp_info infos[CMP_INFO_MAX];
    static struct cmp_crl_status crls[CMP_ITEMS_MAX];
    static struct slice inner[CMP_NESTED_MAX];
    struct slice profiles[CMP_PROFILES_MAX], issuer, serial;
    int64_t polls[CMP_ITEMS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    TM_IGNORE(cmp_confirms_read(confirms, CMP_ITEMS_MAX, &n, m->content, &diag));
    TM_IGNORE(cmp_revocations_read(revocations, CMP_ITEMS_MAX, &n, m->content, &diag));
    TM_IGNORE(cmp_polls_read(polls, CMP_ITEMS_MAX, &n, m->content, &diag));
    TM_IGNORE(cmp_nested_read(inner, CMP_NESTED_MAX, &n, m->content, &diag));
    TM_IGNORE(cmp_cert_id_read(&issuer, &serial, m->content, &diag));
    if (cmp_infos_read(infos, CMP_INFO_MAX, &n, m->content, &diag) == TM_OK)
        for (size_t i = 0; i < n; i++)
            if (infos[i].value.n) {
                size_t k;
                TM_IGNORE(cmp_crl_statuses_read(crls, CMP_ITEMS_MAX, &k, infos[i].value, &diag));
                TM_IGNORE(cmp_profiles_read(profiles, &k, infos[i].value, &diag));
            }
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
    struct cmp_mac mac;
    struct diag diag = {0};
    tm_err e = cmp_message_parse(&m, slice_of(data, size), &diag);
    if (m.n_info > CMP_INFO_MAX || m.n_extra > CMP_EXTRA_CERTS_MAX || m.transaction_id.n > CMP_ID_MAX)
        abort();
    answer(&m);
    if (e != TM_OK)
        return 0;
    if (m.has_protection_alg && cmp_mac_is(&m.protection_alg) &&
        cmp_mac_parse(&mac, &m.protection_alg, &diag) == TM_OK &&
        (mac.iterations > CMP_MAC_ITERATIONS_MAX || mac.iterations < CMP_PBM_ITERATIONS_MIN))
        abort();
    read_body(&m);
    return 0;
}
