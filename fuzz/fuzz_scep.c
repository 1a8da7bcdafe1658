/* What SCEP clients send: the first octet chooses a whole pkiMessage, its attributes, a GET's message, a request that is recorded, or what else is
 * asked for inside; attributes of an answer are made of what was read and read again.
 * Parser: enroll/scep/message.c -scep_reply_attributes -put_* */
#include "base/arena.h"
#include "base/buf.h"
#include "enroll/scep/message.h"
#include "x509/cms/signed.h"
#include "x509/csr.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct arena *a, const struct scep_message *m)
{
    struct scep_reply r = {.status = SCEP_FAILURE,
                           .fail = SCEP_BAD_REQUEST,
                           .text = "no",
                           .transaction_id = m->transaction_id,
                           .recipient_nonce = m->sender_nonce};
    static const uint8_t type[] = {0x2a}, digest[32];
    struct buf attributes, set;
    struct scep_message again = {0};
    struct scep_outcome o = {0};
    buf_init(&attributes, 4096);
    buf_init(&set, 8192);
    if (scep_reply_attributes(&attributes, &r) == TM_OK &&
        signed_attrs_build_with(&set, SLICE_ARR(type), SLICE_ARR(digest), 1, buf_slice(&attributes)) ==
            TM_OK &&
        (scep_attributes_read(&again, buf_slice(&set), NULL) != TM_OK || again.type != SCEP_CERT_REP ||
         !slice_eq(again.transaction_id, m->transaction_id) ||
         scep_outcome_read(&o, buf_slice(&set), NULL) != TM_OK || !o.has_status || o.status != SCEP_FAILURE ||
         !o.has_fail || o.fail != SCEP_BAD_REQUEST || !slice_eq_str(o.text, "no") ||
         !slice_eq(o.recipient_nonce, m->sender_nonce)))
        abort();
    buf_done(&attributes);
    buf_done(&set);
}

/* Without its secret it is a request all the same. */
static void record(struct arena *a, struct slice der)
{
    struct csr csr, again;
    struct slice blank;
    if (csr_parse_pkcs10(&csr, der, NULL) != TM_OK || scep_request_blank(&blank, a, &csr, der) != TM_OK)
        return;
    if (csr_parse_pkcs10(&again, blank, NULL) != TM_OK ||
        again.challenge_password.n != csr.challenge_password.n)
        abort();
    for (size_t i = 0; i < again.challenge_password.n; i++)
        if (again.challenge_password.p[i] != '*')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(16 << 20);
    struct slice rest = slice_of(data + (size ? 1 : 0), size ? size - 1 : 0), one, two;
    static struct scep_message m;
    memset(&m, 0, sizeof m);
    char *text;
    if (!a || !size) {
        arena_free(a);
        return 0;
    }
    switch (data[0]) {
    case 'm':
        if (scep_message_parse(&m, a, rest, NULL) == TM_OK)
            answer(a, &m);
        break;
    case 'a':
        if (scep_attributes_read(&m, rest, NULL) == TM_OK)
            answer(a, &m);
        TM_IGNORE(scep_outcome_read(&(struct scep_outcome){0}, rest, NULL));
        break;
    case 'r':
        record(a, rest);
        break;
    case 'g':
        text = arena_strndup(a, (const char *)rest.p, rest.n);
        if (text && scep_get_decode(&one, a, text, NULL) == TM_OK && one.n > rest.n)
            abort();
        break;
    default:
        TM_IGNORE(scep_issuer_serial_parse(&one, &two, rest, NULL));
    }
    arena_free(a);
    return 0;
}
