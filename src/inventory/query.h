/* inventory/query.h - the language in which people ask for certificates (docs/inventory.md): `issuer:acme-tls expires<30d -status:revoked`.
 *
 * Layer 5, pure: text becomes a test of store.h. Bounded: 4,096 octets, 256 terms, 16 parentheses deep; time grows with the text alone.
 *
 *     query = any ;  any = all { "OR" all } ;  all = { ["-" | "NOT" | "AND"] one } ;  one = "(" any ")" | term
 *     term  = field (":" | "<" | ">" | "<=" | ">=") value { "," value } | word ;  value = run of characters | '"' … '"'
 *
 * Words that stand side by side are one ("printer 7" without its quotes), looked up as whatever it may be. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"

struct arena;

enum { QUERY_MAX = 4096, QUERY_TERMS_MAX = 256, QUERY_DEPTH_MAX = 16 };

/* What is said about certificates by notes, rules and devices (inventory/owner.h) and stands in no certificate. */
enum owned_field {
    OWNED_OWNER,
    OWNED_TECHNICAL,
    OWNED_PLACE,
    OWNED_SERVICE,
    OWNED_CRITICALITY,
    OWNED_TAG,
    OWNED_FIELDS
};

struct query_env {
    int64_t now; /* unix seconds */
    /* The test of such a term; `value` "" asks for any. NULL: these terms are refused. */
    tm_err (*owned)(void *arg, enum owned_field field, const char *value, bool stars, struct arena *a,
                    struct cert_test *ret, struct diag *diag);
    void *arg;
};

/* *ret and what it points to are in `a`. An empty text asks for all. TM_EINVAL: diag->field is "query", its message says what would be right, and
 * diag->offset where. */
tm_err query_parse(struct cert_test *ret, struct arena *a, struct slice text, const struct query_env *env,
                   struct diag *diag);

/* ---- query_term.c, the parser's: one term ---- */

struct query_word {
    const char *text;
    bool quoted; /* stars in it are stars */
    size_t at;
};
enum query_op { QUERY_IS, QUERY_LESS, QUERY_MORE, QUERY_AT_MOST, QUERY_AT_LEAST };
struct query_term {
    const char *field; /* in lower case; NULL: words alone */
    size_t at;
    enum query_op op;
    struct query_word *values;
    size_t n;
};
tm_err query_term_test(struct cert_test *ret, struct arena *a, const struct query_term *t,
                       const struct query_env *env, struct diag *diag);
/* Does this field take several values with commas between them? */
bool query_field_lists(const char *field);
bool query_field_known(const char *field);
