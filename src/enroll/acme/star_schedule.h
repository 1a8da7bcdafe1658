/* enroll/acme/star_schedule.h - when the certificates of an order that renews itself are due and how long they live (RFC 8739 3.5).
 * Layer 5, pure; times in unix seconds. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct acme_star {
    int64_t start;            /* as asked for; 0: at once */
    int64_t end;              /* 0: the order does not renew itself */
    int64_t lifetime, adjust; /* seconds */
    bool get;                 /* who has the address may fetch it unsigned */
    int64_t first;            /* nominal renewal date of the first; 0: not issued yet */
    int64_t next;             /* number of the next; the first is 0 */
    int64_t failures;         /* tries since the last that went well */
};

/* When certificate `i` >= 1 is to be had, at the latest halfway through its predecessor's nominal life; 0: there is none. */
int64_t star_due(const struct acme_star *s, int64_t i);
int64_t star_not_after(const struct acme_star *s, int64_t i);
/* The one to issue at `now`: the next, or what has become of it after a long silence. */
int64_t star_index(const struct acme_star *s, int64_t now);
