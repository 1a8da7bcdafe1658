#include "finding/rules/rules.h"
#include "policy/review.h"

/* Apple's platforms refuse any TLS server certificate that was issued after this instant for longer. */
enum { APPLE_DAYS = 825, DAY = 86400 };
static const int64_t apple_from = INT64_C(1561939200); /* 2019-07-01 */

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->cert || f->is_ca || !(f->purposes & FINDING_SERVER_AUTH) ||
        f->cert->not_after < f->cert->not_before)
        return false;
    int64_t from = f->cert->not_before, life = f->cert->not_after - from + 1, most;
    bool public = f->issuer == ISSUER_PUBLIC;
    if (public)
        most = calendar_public_tls(from);
    else if (f->issuer == ISSUER_OWN && f->profile_for_devices)
        return false;
    else if (from >= apple_from)
        most = (int64_t)APPLE_DAYS * DAY;
    else
        return false;
    if (life <= most)
        return false;
    found_int(out, "days", (life + DAY - 1) / DAY);
    found_int(out, "most", most / DAY);
    return found_say(out, public ? FINDING_MEDIUM : FINDING_LOW, "it lives for %s; %s %s",
                     found_span(f->arena, life),
                     public ? "public CAs may issue, on its first day, for at most"
                            : "Apple's platforms refuse servers' that live longer than",
                     found_span(f->arena, most));
}

const struct finding_rule finding_lifetime_too_long = {
    .id = "lifetime.too-long",
    .title = "a server's certificate lives too long",
    .severity = FINDING_MEDIUM,
    .flags = FINDING_BY_BYTES,
    .true_when =
        "For TLS servers: of a public CA, longer than the CA/Browser Forum's calendar allows for its first day (398, 200, 100, 47 days); "
        "of any other, longer than 825 days since July 2019 (low). What profiles for devices issue is left out.",
    .remedy =
        "Replace it with a shorter one that renews itself; see the profiles enterprise-tls-47d and public-tls.",
    .controls = (const char *const[]){"CA/B Forum BR 6.3.2", "NIST SP 1800-16", "PCI DSS 4.0.1 12.3.3", NULL},
    .broken = broken,
};
