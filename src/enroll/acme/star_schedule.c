#include "enroll/acme/star_schedule.h"

static int64_t nominal(const struct acme_star *s, int64_t i)
{
    return s->first + i * s->lifetime;
}

int64_t star_due(const struct acme_star *s, int64_t i)
{
    int64_t adjust = s->adjust < s->lifetime ? s->adjust : s->lifetime, half = (s->lifetime + 1) / 2;
    return nominal(s, i) < s->end ? nominal(s, i) - (adjust > half ? adjust : half) : 0;
}

int64_t star_not_after(const struct acme_star *s, int64_t i)
{
    return nominal(s, i + 1) < s->end ? nominal(s, i + 1) : s->end;
}

int64_t star_index(const struct acme_star *s, int64_t now)
{
    int64_t present = now > s->first ? (now - s->first) / s->lifetime : 0;
    return present > s->next ? present : s->next;
}
