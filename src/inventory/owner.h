/* inventory/owner.h - who answers for a certificate, where it is and what for: what no certificate says of itself.
 *
 * Layer 5, blocking. Said by hand (a note, OBJECT_CERT_NOTE) before what rules say (resources of kind Ownership, in the order of their numbers, then
 * names), before what is known of the device that has it; each field by itself. */
#pragma once
#include "base/err.h"
#include "inventory/query.h"
#include "store/store.h"

struct arena;
struct house;
struct owner_rules;

enum {
    NOTE_TEXT_MAX = 200,
    NOTE_TAGS_MAX = 16,
    NOTES_LOOKED_AT = 20000, /* by a question about owners */
    NOTES_CHOSEN = 4000,
    RULES_MAX = 64,
    RULE_DEVICES_MAX = 2000,
    OWNED_ASKED_MAX = 32, /* such terms of a query: each looks through the notes */
};

/* Texts are "" where nothing is said. */
struct cert_owner {
    const char *text[OWNED_TAG]; /* by enum owned_field */
    const char *from[OWNED_TAG]; /* "note", "rule/<name>", "device/<id>" */
    const char *tags[NOTE_TAGS_MAX];
    size_t n_tags;
};
struct cert_note {
    const char *text[OWNED_TAG];
    const char *tags[NOTE_TAGS_MAX];
    size_t n_tags;
    const char *comment, *by;
    int64_t at;      /* unix seconds */
    int64_t version; /* 0: there is none */
};
extern const char *const owned_names[OWNED_FIELDS + 1]; /* "owner", "technical", … "tag" */

/* Everything in `a`. */
tm_err cert_note_from_row(struct cert_note *ret, uint64_t *ret_arrival, struct arena *a,
                          const struct object_row *row);
tm_err cert_note_read(struct cert_note *ret, struct arena *a, struct house *h, tenant_id tenant,
                      const uint8_t id[CERT_SERIAL_LEN], struct diag *diag);
/* With its event ("certificate.noted"), durable. A note that says nothing is dropped. expected_version as in store.h. */
tm_err cert_note_write(struct house *h, struct arena *a, tenant_id tenant, const struct cert_row *row,
                       const struct cert_note *note, int64_t expected_version, struct diag *diag);
/* What holds of one certificate. */
tm_err cert_owner_find(struct cert_owner *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const struct cert_row *row, struct diag *diag);
/* Whose many certificates are, one after the other, by the notes and rules that there are when it is made. Everything in `a`. */
struct owners;
tm_err owners_new(struct owners **ret, struct arena *a, struct house *h, tenant_id tenant, struct diag *diag);
/* The owner as cert_owner_find() says it, but for the device's, which the asker looks up: "" nobody is said. */
tm_err owners_find(const char **ret, const struct owners *o, struct arena *a, const struct cert_row *row,
                   struct diag *diag);
/* query_env.owned; `arg` is a struct owner_asked. */
struct owner_asked {
    struct house *house;
    tenant_id tenant;
    unsigned asked; /* so far */
    /* made with the first, in the question's arena */
    struct owner_rules *rules;
    struct cert_test *tests;
};
tm_err owner_test(void *arg, enum owned_field field, const char *value, bool stars, struct arena *a,
                  struct cert_test *ret, struct diag *diag);
/* A document of kind Ownership that is to be put, beyond its schema: the query in it, and how many rules there are. TM_EINVAL, TM_EQUOTA. */
tm_err owner_rule_check(struct arena *a, struct house *h, tenant_id tenant, const char *name,
                        const char *match, struct diag *diag);
