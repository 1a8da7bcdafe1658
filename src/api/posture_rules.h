/* api/posture_rules.h - how well a tenant's house stands, on five axes, from facts alone.
 *
 * Layer 5, pure. Each check looks at facts, says what it found and what would move it, and gives 0 to 100 with a weight. An axis is the
 * weighted mean of its checks that have something to look at. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct arena;

enum posture_axis {
    POSTURE_ENROLLMENT,
    POSTURE_LIFETIME,
    POSTURE_REVOCATION,
    POSTURE_KEYS,
    POSTURE_INCIDENT,
    POSTURE_AXES
};
extern const char *const posture_axis_names[POSTURE_AXES + 1]; /* "enrollment", …; NULL */
extern const char *const posture_axis_titles[POSTURE_AXES + 1];

/* Names are of the first, or the worst, of those that are counted beside them; "" none. Times in seconds. */
struct posture_facts {
    int64_t now;
    /* of the last 7 days */
    uint64_t issued, denied, refused;
    const char *top_rule; /* that denied most */
    uint64_t top_rule_n;
    /* of the newest certificates, at most 90 days old */
    uint64_t by_protocol, by_hand; /* came through a protocol that renews by itself; through REST */
    uint64_t servers, servers_47d,
        servers_today;  /* for TLS servers; that live 47 days at most; as long as public ones may today */
    int64_t public_max; /* how long those may */
    const char *long_profile; /* the profile of most that live longer than 47 days */
    uint64_t long_n;
    /* requests that wait */
    uint64_t waiting;
    int64_t oldest_wait;
    /* doors */
    unsigned endpoints, unproven; /* open; that take whoever comes */
    const char *unproven_name;
    unsigned keygen; /* that make keys for others */
    const char *keygen_name;
    /* certificates that end within 7 days, as far as they were looked at; those that nothing newer replaces */
    uint64_t ending, ending_alone;
    const char *alone_name;
    /* authorities of the tenant, disabled ones left out */
    unsigned authorities, short_lived,
        weak; /* that end within a year and have no successor; whose keys are weak */
    const char *short_name, *weak_name;
    unsigned lists, fresh; /* that should have a revocation list; whose list is there and not near its end */
    const char *stale_name;
    unsigned issuers, responders,
        lone; /* that issue; with an OCSP responder; for which nobody could take over */
    const char *silent_issuer, *lone_name;
    unsigned roots, roots_offline;
    const char *online_root;
    unsigned series,
        series_short; /* offline authorities; those whose signed-ahead lists end within 60 days or are not there */
    const char *series_name;
    /* profiles */
    unsigned profiles,
        untold; /* that can be used; that live longer than 10 days and of whose revocation nobody hears */
    const char *untold_name;
    /* revocation, measured */
    uint64_t measured;
    int64_t median_ms, worst_ms;
    const char *failing_job; /* of those that publish; "" none */
    /* keys */
    bool signer_there, signer_apart, signer_own_user; /* it runs; in a process of its own; as another user */
    bool passphrase_beside;                           /* lies in the home, beside the keys */
    /* incident */
    int64_t backup_at; /* 0: never */
    unsigned deciders; /* principals who may decide requests and revoke */
    bool mass_four_eyes;
    uint64_t uncovered; /* events that no checkpoint covers */
    int64_t checkpoint_at;
};

struct posture_check {
    enum posture_axis axis;
    const char *id, *title;
    unsigned weight;
    int score;        /* 0..100; -1: there is nothing to look at */
    const char *fact; /* what was found, a sentence */
    const char *move; /* what would make it better; "" where nothing would */
};
enum { POSTURE_CHECKS_MAX = 32 };
/* All checks in order of axes; sentences in `a`. How many. */
size_t posture_checks(struct posture_check ret[POSTURE_CHECKS_MAX], struct arena *a,
                      const struct posture_facts *f);
/* 0..100; -1 where none of its checks has something to look at. */
int posture_axis_score(const struct posture_check *v, size_t n, enum posture_axis axis);
/* By how many points the axis would rise if this check were all right. */
int posture_gain(const struct posture_check *v, size_t n, const struct posture_check *one);
/* The longest that public TLS certificates may live when issued at this time (CA/Browser Forum Baseline Requirements 6.3.2). */
int64_t posture_public_max(int64_t now);
