/* dns-01 (RFC 8555 8.4): a TXT record below the name. */
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/acme/resolve.h"
#include "enroll/acme/validate.h"

/* TXT-DATA is one or more <character-string>s (RFC 1035 3.3.14), which belong together. */
bool txt_rdata_is(struct slice rdata, struct slice wanted)
{
    size_t at = 0;
    while (rdata.n > 0) {
        size_t n = rdata.p[0];
        struct slice text = slice_sub(rdata, 1, n);
        if (text.n != n || at + n > wanted.n || !slice_eq(text, slice_sub(wanted, at, n)))
            return false;
        at += n;
        rdata = slice_sub(rdata, 1 + n, rdata.n);
    }
    return at == wanted.n;
}

tm_err dns_digest_at(struct attempt *t, const char *name)
{
    uint8_t hash[SHA256_LEN];
    struct slice records[RESOLVE_RECORDS_MAX];
    struct diag diag = {0};
    size_t n;
    TM_TRY(sha256(hash, slice_str(t->key_authorization)));
    tm_err e = resolver_lookup(records, RESOLVE_RECORDS_MAX, &n, t->arena, t->resolver, name, RESOLVE_TXT,
                               t->reach.deadline_ns, &diag);
    if (e != TM_OK)
        return attempt_failed(t, ACME_P_DNS, "%s", diag.message);
    struct buf wanted;
    buf_init(&wanted, 128);
    buf_put_base64(&wanted, SLICE_ARR(hash), BASE64_URL, 0);
    bool found = false;
    for (size_t i = 0; i < n && !found; i++)
        found = txt_rdata_is(records[i], buf_slice(&wanted));
    buf_done(&wanted);
    if (found)
        return TM_OK;
    if (n == 0)
        return attempt_failed(t, ACME_P_DNS, "there is no TXT record at %s", name);
    return attempt_failed(t, ACME_P_INCORRECT_RESPONSE, "none of the %zu TXT records at %s is the right one",
                          n, name);
}

static tm_err run(struct attempt *t)
{
    const char *name = arena_printf(t->arena, "_acme-challenge.%s", t->identifier->value);
    return name ? dns_digest_at(t, name) : TM_ENOMEM;
}

const struct challenge challenge_dns_01 = {
    .type = ACME_DNS_01, .name = "dns-01", .wildcard = true, .addresses = false, .run = run};
