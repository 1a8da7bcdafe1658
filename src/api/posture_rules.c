#include "api/posture_rules.h"
#include "base/arena.h"
#include "base/clock.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DAY = 86400, HOUR = 3600, MINUTE = 60 };

const char *const posture_axis_names[] = {"enrollment", "lifetime", "revocation", "keys", "incident", NULL};
const char *const posture_axis_titles[] = {"Enrollment",  "Lifetime",           "Revocation",
                                           "Key storage", "Incident readiness", NULL};

/* What a check found. `move` stays "" where all is well. */
struct finding {
    struct arena *a;
    int score;
    const char *fact, *move;
};

static int share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 100 : (int)(part * 100 / whole);
}

[[gnu::format(printf, 3, 4)]] static void found(struct finding *r, int score, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->score = score;
    r->fact = arena_strdup(r->a, text);
}

[[gnu::format(printf, 2, 3)]] static void moves(struct finding *r, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->move = arena_strdup(r->a, text);
}

typedef unsigned long long ull;

/* "3 days", "1 hour": the largest unit of which there is at least one. */
static const char *span(struct arena *a, int64_t seconds)
{
    static const struct {
        int64_t n;
        const char *name;
    } units[] = {{DAY, "day"}, {HOUR, "hour"}, {MINUTE, "minute"}, {1, "second"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        int64_t n = seconds / units[i].n;
        if (n > 0)
            return arena_printf(a, "%lld %s%s", (long long)n, units[i].name, n == 1 ? "" : "s");
    }
    return "less than a second";
}

static const char *millis(struct arena *a, int64_t ms)
{
    return ms < 1000 ? arena_printf(a, "%lld ms", (long long)ms) : span(a, ms / 1000);
}

int64_t posture_public_max(int64_t now)
{
    static const struct {
        int64_t from, max;
    } steps[] = {{1868227200, 47 * DAY},
                 {1805068800, 100 * DAY},
                 {1773532800, 200 * DAY}}; /* 15 March 2029, 2027, 2026 */
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (now >= steps[i].from)
            return steps[i].max;
    return 398 * DAY;
}

/* ---- enrollment ---- */

static void success(struct finding *r, const struct posture_facts *f)
{
    uint64_t asked = f->issued + f->denied;
    if (asked == 0) {
        found(r, -1, "Nobody asked for a certificate in the last 7 days.");
        return;
    }
    found(r, share(f->issued, asked),
          "%llu issued and %llu denied in the last 7 days; %llu refused before it was known who they are.",
          (ull)f->issued, (ull)f->denied, (ull)f->refused);
    if (f->denied)
        moves(r, "Look at what denies them: rule %s did so %llu times.", f->top_rule, (ull)f->top_rule_n);
}

static void automated(struct finding *r, const struct posture_facts *f)
{
    uint64_t all = f->by_protocol + f->by_hand;
    if (all == 0) {
        found(r, -1, "No certificate was issued in the last 90 days.");
        return;
    }
    found(r, share(f->by_protocol, all),
          "%llu of the newest %llu certificates came through a protocol whose clients renew by themselves.",
          (ull)f->by_protocol, (ull)all);
    if (f->by_hand)
        moves(r, "Let the %llu that came over REST renew by ACME, EST, SCEP or CMP.", (ull)f->by_hand);
}

static void waiting(struct finding *r, const struct posture_facts *f)
{
    if (f->waiting == 0) {
        found(r, 100, "No request waits for a person.");
        return;
    }
    int64_t days = f->oldest_wait / DAY;
    found(r,
          days < 1    ? 100
          : days < 3  ? 80
          : days < 7  ? 50
          : days < 14 ? 20
                      : 0,
          "%llu %s, the oldest for %s.", (ull)f->waiting, f->waiting == 1 ? "request waits" : "requests wait",
          span(r->a, f->oldest_wait));
    if (r->score < 100)
        moves(r, "Decide them, or let a group do it: approval.groups in the profile.");
}

static void proof(struct finding *r, const struct posture_facts *f)
{
    if (f->endpoints == 0) {
        found(r, 0, "No endpoint is open: nobody can enroll.");
        moves(r, "Open an endpoint.");
        return;
    }
    found(r, share(f->endpoints - f->unproven, f->endpoints),
          "%u of %u open endpoints want a proof of who asks.", f->endpoints - f->unproven, f->endpoints);
    if (f->unproven)
        moves(r, "Endpoint %s takes whoever comes: give it one-time challenges, or approval in its profile.",
              f->unproven_name);
}

/* ---- lifetime ---- */

static void servers(struct finding *r, const struct posture_facts *f)
{
    if (f->servers == 0) {
        found(r, -1, "No certificate for a TLS server was issued in the last 90 days.");
        return;
    }
    /* Within what is public law today is most of it; the end of the road is the rest. */
    found(
        r, (share(f->servers_today, f->servers) * 60 + share(f->servers_47d, f->servers) * 40) / 100,
        "Of the newest %llu certificates for TLS servers %llu live %lld days at most, which public ones may today, and %llu the 47 days of 2029.",
        (ull)f->servers, (ull)f->servers_today, (long long)(f->public_max / DAY), (ull)f->servers_47d);
    if (f->servers_47d < f->servers)
        moves(r, "Shorten lifetime.default of profile %s: %llu of them are longer than 47 days.",
              f->long_profile, (ull)f->long_n);
}

static void ending(struct finding *r, const struct posture_facts *f)
{
    if (f->ending == 0) {
        found(r, 100, "Nothing that was issued here ends within 7 days.");
        return;
    }
    found(r, share(f->ending - f->ending_alone, f->ending),
          "%llu end within 7 days; %llu of them have a successor.", (ull)f->ending,
          (ull)(f->ending - f->ending_alone));
    if (f->ending_alone)
        moves(r, "Renew %s, and see why its client does not.", f->alone_name);
}

static void ca_ends(struct finding *r, const struct posture_facts *f)
{
    if (f->authorities == 0) {
        found(r, -1, "There is no authority.");
        return;
    }
    found(r, share(f->authorities - f->short_lived, f->authorities),
          "%u of %u authorities have more than a year to go, or a successor.",
          f->authorities - f->short_lived, f->authorities);
    if (f->short_lived)
        moves(r, "Make a successor for %s, and name it in its document.", f->short_name);
}

static void ca_keys(struct finding *r, const struct posture_facts *f)
{
    if (f->authorities == 0) {
        found(r, -1, "There is no authority.");
        return;
    }
    found(
        r, share(f->authorities - f->weak, f->authorities),
        "%u of %u authorities have keys that outlive them: P-256 or more, RSA of 3072 bits or more, ML-DSA.",
        f->authorities - f->weak, f->authorities);
    if (f->weak)
        moves(r, "Replace %s by an authority with a stronger key.", f->weak_name);
}

/* ---- revocation ---- */

static void lists(struct finding *r, const struct posture_facts *f)
{
    if (f->lists == 0) {
        found(r, -1, "There is no authority.");
        return;
    }
    found(r, share(f->fresh, f->lists), "%u of %u revocation lists are there and not near their end.",
          f->fresh, f->lists);
    if (f->fresh < f->lists)
        moves(r, "Publish the list of %s.", f->stale_name);
}

static void responders(struct finding *r, const struct posture_facts *f)
{
    if (f->issuers == 0) {
        found(r, -1, "No authority issues here.");
        return;
    }
    found(r, share(f->responders, f->issuers), "%u of %u issuing authorities answer over OCSP.",
          f->responders, f->issuers);
    if (f->responders < f->issuers)
        moves(r, "Give %s a responder: touchmark ca ocsp %s.", f->silent_issuer, f->silent_issuer);
}

static void told(struct finding *r, const struct posture_facts *f)
{
    if (f->profiles == 0) {
        found(r, -1, "There is no profile.");
        return;
    }
    found(r, share(f->profiles - f->untold, f->profiles),
          "Under %u of %u profiles a revocation is told, or the certificate ends within 10 days.",
          f->profiles - f->untold, f->profiles);
    if (f->untold)
        moves(r, "Set revocation.model of profile %s to crl, or shorten its lifetime.", f->untold_name);
}

static void latency(struct finding *r, const struct posture_facts *f)
{
    if (f->measured == 0) {
        found(r, -1, "Nothing was revoked since the server started: not measured.");
        return;
    }
    int64_t ms = f->worst_ms;
    found(r,
          ms <= 60000                 ? 100
          : ms <= 600000              ? 85
          : ms <= 3600000             ? 60
          : ms <= (int64_t)DAY * 1000 ? 30
                                      : 0,
          "From a revocation until what is published says so: half within %s, the slowest after %s.",
          millis(r->a, f->median_ms), millis(r->a, f->worst_ms));
    if (r->score < 100)
        moves(r, "Publish delta lists (crl.delta of the authority), or answer over OCSP.");
}

static void publishing(struct finding *r, const struct posture_facts *f)
{
    if (f->failing_job[0]) {
        found(r, 0, "Job %s fails.", f->failing_job);
        moves(r, "See why: the log has it, and the overview.");
    } else {
        found(r, 100, "The jobs that publish run without failures.");
    }
}

/* ---- key storage ---- */

static void signer(struct finding *r, const struct posture_facts *f)
{
    if (!f->signer_there) {
        found(r, 0, "The signer does not run: nothing can be signed.");
        moves(r, "Start the server again.");
    } else if (!f->signer_apart) {
        found(r, -1, "No server runs; the command signs by itself.");
    } else if (!f->signer_own_user) {
        found(r, 60, "The keys are in a process of its own, under the server's own user.");
        moves(
            r,
            "Start the server as root with a user for the signer (signer.user in touchmark.yaml): then it can't read the keys.");
    } else {
        found(r, 100, "The keys are in a process of its own, under a user of its own.");
    }
}

static void roots(struct finding *r, const struct posture_facts *f)
{
    if (f->roots == 0) {
        found(r, -1, "There is no root here.");
        return;
    }
    found(r, share(f->roots_offline, f->roots), "%u of %u roots are offline.", f->roots_offline, f->roots);
    if (f->roots_offline < f->roots)
        moves(r,
              "Make a successor of %s whose key is carried away: touchmark ca create --root --bundle FILE.",
              f->online_root);
}

static void passphrase(struct finding *r, const struct posture_facts *f)
{
    if (f->passphrase_beside) {
        found(r, 30, "The passphrase of the keys lies in the home, beside them.");
        moves(
            r,
            "Keep it elsewhere: a credential of the service manager, or a file on another medium (passphrase-file).");
    } else {
        found(r, 100, "The passphrase of the keys does not lie beside them.");
    }
}

static void made_elsewhere(struct finding *r, const struct posture_facts *f)
{
    if (f->endpoints == 0) {
        found(r, -1, "No endpoint is open.");
        return;
    }
    found(r, share(f->endpoints - f->keygen, f->endpoints),
          "At %u of %u open endpoints keys are made where they are used.", f->endpoints - f->keygen,
          f->endpoints);
    if (f->keygen)
        moves(r, "Endpoint %s makes keys for its clients: leave that to those who can't.", f->keygen_name);
}

/* ---- incident ---- */

static void backup(struct finding *r, const struct posture_facts *f)
{
    if (f->backup_at == 0) {
        found(r, 0, "No backup was made lately.");
        moves(r, "Make one a day: touchmark backup.");
        return;
    }
    int64_t age = f->now - f->backup_at;
    found(r,
          age <= 26 * HOUR  ? 100
          : age <= 7 * DAY  ? 80
          : age <= 30 * DAY ? 40
                            : 10,
          "The newest backup is %s old.", span(r->a, age > 0 ? age : 1));
    if (r->score < 100)
        moves(r, "Make one a day: touchmark backup.");
}

static void takeover(struct finding *r, const struct posture_facts *f)
{
    if (f->issuers == 0) {
        found(r, -1, "No authority issues here.");
        return;
    }
    found(r, share(f->issuers - f->lone, f->issuers),
          "For %u of %u issuing authorities another one could take over.", f->issuers - f->lone, f->issuers);
    if (f->lone)
        moves(r, "Make a second authority ready for %s (touchmark ca create), and name it as its successor.",
              f->lone_name);
}

static void root_lists(struct finding *r, const struct posture_facts *f)
{
    if (f->series == 0) {
        found(r, -1, "No authority is offline.");
        return;
    }
    found(r, share(f->series - f->series_short, f->series),
          "%u of %u offline authorities have lists signed ahead for 60 days or more.",
          f->series - f->series_short, f->series);
    if (f->series_short)
        moves(r, "Sign lists ahead for %s: touchmark ca offline crls.", f->series_name);
}

static void people(struct finding *r, const struct posture_facts *f)
{
    found(r,
          f->deciders >= 3   ? 100
          : f->deciders == 2 ? 80
          : f->deciders == 1 ? 30
                             : 0,
          "%u principal%s may revoke and decide.", f->deciders, f->deciders == 1 ? "" : "s");
    if (f->deciders < 3)
        moves(r, "Name a principal for each person on duty: what takes two can't be done by one.");
}

static void many(struct finding *r, const struct posture_facts *f)
{
    found(r, f->mass_four_eyes ? 100 : 40,
          f->mass_four_eyes ? "Somebody else has to approve the revocation of many certificates."
                            : "One person alone can revoke any number of certificates.");
    if (!f->mass_four_eyes)
        moves(r, "Set revocation.approve-above in the tenant's document.");
}

static void record(struct finding *r, const struct posture_facts *f)
{
    int64_t age = f->now - f->checkpoint_at;
    if (f->checkpoint_at == 0) {
        found(r, 0, "The register has no checkpoint yet.");
        moves(r, "A running server makes one within seconds.");
        return;
    }
    found(r,
          f->uncovered == 0 || age <= MINUTE ? 100
          : age <= HOUR                      ? 60
                                             : 0,
          "%llu events are not covered by the register's newest checkpoint, %s old.", (ull)f->uncovered,
          span(r->a, age > 0 ? age : 1));
    if (r->score < 100)
        moves(r, "See why job register.sequence does not run.");
}

/* ---- the table ---- */

static const struct {
    enum posture_axis axis;
    const char *id, *title;
    unsigned weight;
    void (*judge)(struct finding *r, const struct posture_facts *f);
} table[] = {
    {POSTURE_ENROLLMENT, "enrollment.success", "What is asked for is issued", 30, success},
    {POSTURE_ENROLLMENT, "enrollment.automated", "Clients that renew by themselves", 30, automated},
    {POSTURE_ENROLLMENT, "enrollment.proof", "Proof of who asks", 25, proof},
    {POSTURE_ENROLLMENT, "enrollment.waiting", "Requests are decided", 15, waiting},
    {POSTURE_LIFETIME, "lifetime.ending", "What ends is replaced", 35, ending},
    {POSTURE_LIFETIME, "lifetime.servers", "Servers live short", 30, servers},
    {POSTURE_LIFETIME, "lifetime.authorities", "Authorities have time", 20, ca_ends},
    {POSTURE_LIFETIME, "lifetime.keys", "Authorities' keys are strong", 15, ca_keys},
    {POSTURE_REVOCATION, "revocation.lists", "Lists are fresh", 35, lists},
    {POSTURE_REVOCATION, "revocation.latency", "Revocations are told soon", 20, latency},
    {POSTURE_REVOCATION, "revocation.told", "Profiles tell of them", 20, told},
    {POSTURE_REVOCATION, "revocation.ocsp", "Somebody answers", 15, responders},
    {POSTURE_REVOCATION, "revocation.jobs", "Publishing works", 10, publishing},
    {POSTURE_KEYS, "keys.roots", "Roots are offline", 30, roots},
    {POSTURE_KEYS, "keys.signer", "The signer stands apart", 30, signer},
    {POSTURE_KEYS, "keys.passphrase", "The passphrase lies elsewhere", 20, passphrase},
    {POSTURE_KEYS, "keys.origin", "Keys are made where they are used", 20, made_elsewhere},
    {POSTURE_INCIDENT, "incident.backup", "Backups are made", 30, backup},
    {POSTURE_INCIDENT, "incident.successor", "Somebody could take over", 20, takeover},
    {POSTURE_INCIDENT, "incident.root-lists", "Offline lists reach far", 15, root_lists},
    {POSTURE_INCIDENT, "incident.people", "There are enough people", 15, people},
    {POSTURE_INCIDENT, "incident.mass", "Mass revocation takes two", 10, many},
    {POSTURE_INCIDENT, "incident.register", "The record is sealed", 10, record},
};
static_assert(sizeof table / sizeof *table <= POSTURE_CHECKS_MAX);

size_t posture_checks(struct posture_check ret[POSTURE_CHECKS_MAX], struct arena *a,
                      const struct posture_facts *f)
{
    size_t n = sizeof table / sizeof *table;
    for (size_t i = 0; i < n; i++) {
        struct finding r = {.a = a, .fact = "", .move = ""};
        table[i].judge(&r, f);
        ret[i] = (struct posture_check){.axis = table[i].axis,
                                        .id = table[i].id,
                                        .title = table[i].title,
                                        .weight = table[i].weight,
                                        .score = r.score,
                                        .fact = r.fact ? r.fact : "",
                                        .move = r.move ? r.move : ""};
    }
    return n;
}

static unsigned weight_of(const struct posture_check *v, size_t n, enum posture_axis axis)
{
    unsigned weight = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].axis == axis && v[i].score >= 0)
            weight += v[i].weight;
    return weight;
}

int posture_axis_score(const struct posture_check *v, size_t n, enum posture_axis axis)
{
    unsigned weight = weight_of(v, n, axis), sum = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].axis == axis && v[i].score >= 0)
            sum += v[i].weight * (unsigned)v[i].score;
    return weight ? (int)((sum + weight / 2) / weight) : -1;
}

int posture_gain(const struct posture_check *v, size_t n, const struct posture_check *one)
{
    unsigned weight = weight_of(v, n, one->axis);
    if (one->score < 0 || weight == 0)
        return 0;
    return (int)((one->weight * (100 - (unsigned)one->score) + weight / 2) / weight);
}
