#include "issue/ownership_doc.h"
#include <stddef.h>

const char *const criticality_words[] = {"", "low", "medium", "high", "critical", NULL};

const struct json_field ownership_schema[] = {
    JSON_FIELD(struct ownership_doc, kind, JSON_K_STRING, .required = true, .max = 32),
    JSON_FIELD(struct ownership_doc, name, JSON_K_STRING, .required = true, .max = 63),
    JSON_FIELD(struct ownership_doc, title, JSON_K_STRING, .max = 200, .def = "", .doc = "a line for people"),
    JSON_FIELD(struct ownership_doc, tenant, JSON_K_STRING, .max = 63, .def = "",
               .doc = "tenant it belongs to; the caller's when left out"),
    JSON_FIELD(struct ownership_doc, match, JSON_K_STRING, .max = 4096, .def = "",
               .doc = "which certificates: a query as `cert list` takes it, but for owners themselves"),
    JSON_FIELD(struct ownership_doc, networks, JSON_K_STRINGS, .max = OWNERSHIP_NETWORKS_MAX,
               .doc = "only those that are met at an address in one of these networks: \"10.1.0.0/16\", "
                      "\"2001:db8::/32\""),
    JSON_FIELD(struct ownership_doc, tagged, JSON_K_STRINGS, .max = OWNERSHIP_TAGS_MAX,
               .doc = "only those to which somebody gave one of these tags"),
    JSON_FIELD(struct ownership_doc, order, JSON_K_INT, .min = 0, .max = 100000, .def = "100",
               .doc = "what a rule of a lower number says goes before; of equal ones the earlier name"),
    JSON_FIELD(struct ownership_doc, owner, JSON_K_STRING, .max = OWNERSHIP_TEXT_MAX, .def = "",
               .doc = "who answers for them: a team, a person"),
    JSON_FIELD(struct ownership_doc, technical, JSON_K_STRING, .max = OWNERSHIP_TEXT_MAX, .def = "",
               .doc = "who works on them"),
    JSON_FIELD(struct ownership_doc, place, JSON_K_STRING, .max = OWNERSHIP_TEXT_MAX, .def = "",
               .doc = "where they are"),
    JSON_FIELD(struct ownership_doc, service, JSON_K_STRING, .max = OWNERSHIP_TEXT_MAX, .def = "",
               .doc = "what they are for"),
    JSON_FIELD(struct ownership_doc, criticality, JSON_K_ENUM, .names = criticality_words, .def = "",
               .doc = "low, medium, high or critical"),
    JSON_FIELD(struct ownership_doc, tags, JSON_K_STRINGS, .max = OWNERSHIP_TAGS_MAX, .doc = "further words"),
    {0},
};
