/* What the owners of the names say in DNS about who may issue for them (RFC 8659). The door has looked; here it is judged. */
#include "policy/deciding.h"
#include <string.h>

/* CA/Browser Forum Baseline Requirements 4.2.2.1: within the records' TTL, or 8 hours. */
enum { CAA_AGE_MAX = 8 * 3600 };

static bool looked_at(const struct caa_finding *c, struct slice dns_name)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (strncmp(c->names[i], "DNS:", 4) == 0 && slice_caseeq(slice_str(c->names[i] + 4), dns_name))
            return true;
    return false;
}

tm_err rule_caa(struct deciding *s)
{
    const struct caa_finding *c = &s->e->caa;
    size_t n = 0;
    if (s->p->doc.caa != CAA_REQUIRED)
        return TM_OK;
    for (size_t i = 0; i < s->n_names; i++)
        n += s->names[i].gn.type == GN_DNS;
    if (n == 0) {
        PASS(s, "caa", "there are no DNS names");
        return TM_OK;
    }
    if (c->at == 0)
        return REFUSE(s, TM_EDENIED, "caa",
                      "certificates of this profile come from ACME endpoints only, which look at CAA records",
                      "nobody has looked at CAA records");
    if (c->refused)
        return REFUSE(s, TM_EDENIED, "caa", c->refused, c->refused);
    if (s->f->now - c->at > CAA_AGE_MAX)
        return REFUSE(s, TM_EDENIED, "caa", "it is too long ago that CAA records were looked at: ask again",
                      "CAA records were looked at ", say_time(s, c->at));
    for (size_t i = 0; i < s->n_names; i++)
        if (s->names[i].gn.type == GN_DNS && !looked_at(c, s->names[i].gn.value))
            return REFUSE(s, TM_EDENIED, "caa", "the CAA records of one of the names were not looked at",
                          say_name(s, &s->names[i].gn), " was not looked at");
    PASS(s, "caa", "CAA records speak against none of the names");
    return TM_OK;
}
