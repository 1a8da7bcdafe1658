/* api/selection.h - which certificates an action is for: some by serial, or all of an authority, a profile, a device. Layer 5, private to api/. */
#pragma once
#include "api/groups.h"

struct selection {
    struct json_strings serials;
    const char *authority, *profile, *device; /* "": whatever */
};

/* Its members of a request's schema; `member` is the selection in struct `type`. */
#define SELECTION_SCHEMA(type, member, serials_max)                                                          \
    {.key = "serials",                                                                                       \
     .kind = JSON_K_STRINGS,                                                                                 \
     .offset = offsetof(type, member.serials),                                                               \
     .max = (serials_max),                                                                                   \
     .doc = "these certificates; or, without them, those that the other members choose"},                    \
        {.key = "authority",                                                                                 \
         .kind = JSON_K_STRING,                                                                              \
         .offset = offsetof(type, member.authority),                                                         \
         .max = 63,                                                                                          \
         .def = "",                                                                                          \
         .doc = "issued by it; not the house's own"},                                                        \
        {.key = "profile",                                                                                   \
         .kind = JSON_K_STRING,                                                                              \
         .offset = offsetof(type, member.profile),                                                           \
         .max = 63,                                                                                          \
         .def = "",                                                                                          \
         .doc = "of this profile"},                                                                          \
        {.key = "device",                                                                                    \
         .kind = JSON_K_STRING,                                                                              \
         .offset = offsetof(type, member.device),                                                            \
         .max = 200,                                                                                         \
         .def = "",                                                                                          \
         .doc = "of this device"}

/* Serials, or something of the rest, and not both: TM_EINVAL. */
tm_err selection_check(const struct selection *s, struct diag *diag);

/* Issued here, neither revoked nor expired. */
bool selection_concerns(const struct cert_row *row);

/* Page by page, of which no more than one is in memory: rows, the visitor's own memory in c->arena too, are gone after the visit. By serial all rows
 * that there are (TM_ENOTFOUND where one is not), for the visitor to judge; else those that selection_concerns(), but for certificates of RAs
 * and responders. Ends with the first error of a visit. */
tm_err selection_each(struct api_call *c, const struct selection *s,
                      tm_err (*visit)(void *arg, const struct cert_row *const *rows, size_t n,
                                      struct diag *diag),
                      void *arg, struct diag *diag);
