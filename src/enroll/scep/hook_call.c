/* The way to the service that judges challenges. The address is the operator's; it is connected to under the same rules as validations are. */
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/outbound/https.h"
#include "enroll/outbound/response.h"
#include "enroll/scep/hook.h"
#include "issue/scep_settings.h"
#include <stdatomic.h>
#include <string.h>

enum { HEADERS_MAX = 16 << 10 };

static atomic_bool ending;

static tm_err put_headers(struct buf *out, struct arena *a, const struct scep_settings *s, struct slice body)
{
    if (s->webhook.bearer[0])
        buf_printf(out, "Authorization: Bearer %s\r\n", s->webhook.bearer);
    if (s->webhook.secret[0]) {
        uint8_t mac[SHA256_LEN];
        TM_TRY(hmac_sha256(mac, slice_str(s->webhook.secret), body));
        char *hex = arena_hex(a, SLICE_ARR(mac));
        if (!hex)
            return TM_ENOMEM;
        buf_printf(out, "Touchmark-Signature: sha256=%s\r\n", hex);
    }
    return buf_err(out);
}

static tm_err post(struct response *ret, struct arena *a, const struct scep_settings *s, struct slice body,
                   const char *headers, struct diag *diag)
{
    struct https_answer answer;
    const struct https_request q = {
        .method = "POST",
        .url = s->webhook.url,
        .content_type = "application/json",
        .headers = headers,
        .body = body,
        .ca = s->webhook.ca,
        .networks = &s->webhook.networks,
        .timeout_s = (unsigned)s->webhook.timeout,
        .over = &ending,
        .max = SCEP_HOOK_ANSWER_MAX,
    };
    struct diag why = {0};
    tm_err e = https_exchange(&answer, a, &q, &why);
    if (e == TM_ENOMEM)
        return e;
    if (e == TM_ETOOBIG)
        e = diag_fail(&why, e, NULL, NULL, "its answer is longer than 32 KiB");
    if (e != TM_OK)
        return diag_fail(diag, TM_EUNAVAIL, "scep.webhook", "webhook",
                         "the service that judges challenges: %s", why.message);
    *ret = (struct response){.status = answer.status,
                             .body = (uint8_t *)(uintptr_t)answer.body.p, /* in the arena */
                             .body_max = answer.body.n,
                             .body_n = answer.body.n,
                             .complete = true};
    return TM_OK;
}

tm_err scep_hook_post(struct response *ret, struct arena *a, const struct scep_settings *s, struct slice body,
                      struct diag *diag)
{
    struct buf headers;
    /* Whole from the beginning: growing would leave copies of the bearer token behind. */
    buf_init(&headers, HEADERS_MAX);
    tm_err e = buf_extend(&headers, HEADERS_MAX) ? TM_OK : TM_ENOMEM;
    buf_reset(&headers);
    if (e == TM_OK)
        e = put_headers(&headers, a, s, body);
    if (e == TM_OK)
        e = post(ret, a, s, body, buf_str(&headers), diag);
    if (headers.p)
        explicit_bzero(headers.p, headers.n);
    buf_done(&headers);
    return e;
}

void scep_hook_reachable(bool is)
{
    atomic_store(&ending, !is);
}
