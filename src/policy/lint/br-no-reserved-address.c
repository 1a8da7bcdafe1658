#include "policy/lint/rules.h"
#include "policy/names.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    static const char *const reserved[] = {
        "0.0.0.0/8",       "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8",    "169.254.0.0/16",
        "172.16.0.0/12",   "192.0.0.0/24",   "192.0.2.0/24",  "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",   "::/8",           "100::/64",
        "2001:db8::/32",   "fc00::/7",       "fe80::/10",     "ff00::/8",
    };
    for (size_t i = 0; i < s->view->names.n; i++) {
        struct cidr net;
        for (size_t j = 0; s->view->names.v[i].type == GN_IP && j < sizeof reserved / sizeof reserved[0]; j++)
            if (cidr_parse(&net, reserved[j]) && cidr_contains(&net, s->view->names.v[i].value))
                return lint_say(detail, "an address lies in %s", reserved[j]);
    }
    return false;
}

const struct lint_rule lint_br_no_reserved_address = {
    .id = "br.no-reserved-address",
    .source = "BR 4.2.2, RFC 6890",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "no reserved addresses",
    .broken = broken,
};
