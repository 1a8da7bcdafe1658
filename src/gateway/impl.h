/* gateway/impl.h - shared by the files of the status-proxy. Layer 5, private to gateway/. */
#pragma once
#include "base/slice.h"
#include "base/task.h"
#include "filter/reader/touchmark_filter.h"
#include "gateway/gateway.h"
#include "http/metrics.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include <pthread.h>
#include <stdatomic.h>
struct arena;
struct ocsp_cache;

enum {
    GATEWAY_AUTHORITIES_MAX = 64,
    GATEWAY_FILTERS_MAX = 64,
    GATEWAY_SOURCES_MAX = 2 * GATEWAY_FILTERS_MAX + GATEWAY_AUTHORITIES_MAX,
    GATEWAY_CRL_MAX = 64 << 20,
    GATEWAY_FILTER_MAX = 256 << 20,
};

struct gateway_authority {
    struct cert cert;
    uint8_t id[TMF_ISSUER_LEN]; /* SHA-256 of the SubjectPublicKeyInfo */
    char ski[64];               /* hex */
    struct gateway_source *crl; /* NULL: none is fetched */
};

enum gateway_kind { SOURCE_FILTER, SOURCE_DELTA, SOURCE_CRL };

/* What was fetched and verified; immutable, shared by its source and the answers under way. */
struct gateway_object {
    atomic_uint refs;
    enum gateway_kind kind;
    int64_t this_update, next_update; /* next 0: none promised */
    uint64_t number;
    char etag[40]; /* ours */
    /* filters */
    struct tmf_filter filter;
    uint8_t digest[TMF_DIGEST_LEN];
    /* CRLs: serials in order, CERT_SERIAL_MAX octets each; not `complete` where the list does not speak for all certificates */
    bool complete;
    uint8_t *serials;
    size_t n_serials;
    size_t n;
    uint8_t octets[];
};

/* One file upstream and its place on disk. What changes is under the gateway's lock. */
struct gateway_source {
    enum gateway_kind kind;
    const char *name; /* of the file in the state directory, and in metrics */
    const char *target;
    const char *filter; /* as it was configured, "name" or "tenant.name"; NULL: a CRL */
    const struct gateway_authority *authority; /* CRLs */
    struct gateway_source *base;               /* deltas: their full filter's source */
    struct gateway_object *now;                /* NULL: nothing yet */
    char etag[128], modified[64];              /* upstream's */
    int64_t confirmed; /* unix seconds: upstream last said that this is the newest; 0 never */
    unsigned failures; /* in a row */
    uint64_t due_ns;
    char why[256]; /* of the last failure */
};

struct gateway {
    struct gateway_config config;
    char *upstream_host;
    int upstream_port;
    struct arena *arena;
    struct gateway_authority authorities[GATEWAY_AUTHORITIES_MAX];
    size_t n_authorities;
    struct cert cas[GATEWAY_AUTHORITIES_MAX];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct gateway_source sources[GATEWAY_SOURCES_MAX];
    size_t n_sources;
    pthread_t fetcher;
    bool fetching;
    atomic_bool stop;             /* also ends what is under way with upstream */
    atomic_bool uplink;           /* the last exchange went through */
    _Atomic int64_t last_contact; /* unix seconds; 0: never */
    struct pool *pool;            /* OCSP on its way upstream */
    struct ocsp_cache *ocsp;
};

/* ---- objects ---- */

/* Copy, parse and verify. TM_EBADSIG and others with diag. */
tm_err object_make(struct gateway_object **ret, struct gateway *g, const struct gateway_source *s,
                   struct slice octets, struct diag *diag);
void object_unref(struct gateway_object *o);
/* The source's present object with a reference, or NULL. Takes the lock. */
struct gateway_object *object_now(struct gateway *g, struct gateway_source *s);
/* From the state directory: TM_ENOTFOUND. To it, whole or not at all, durable. */
tm_err state_load(struct slice *ret, struct arena *a, const struct gateway *g, const char *name, size_t max);
tm_err state_save(const struct gateway *g, const char *name, struct slice octets, struct diag *diag);

/* ---- sources ---- */

/* Take a verified object as the present one unless it is older (TM_ECONFLICT) or a delta without its base (TM_EPENDING). Takes over `o`. */
tm_err source_take(struct gateway *g, struct gateway_source *s, struct gateway_object *o, struct diag *diag);
tm_err fetch_start(struct gateway *g);
void fetch_stop(struct gateway *g);
/* One exchange with upstream; keeps account of the uplink. */
struct http_exchange;
tm_err upstream_exchange(struct gateway *g, struct http_exchange *x, struct diag *diag);

/* ---- answers ---- */

enum gateway_status { STATUS_GOOD, STATUS_REVOKED, STATUS_UNKNOWN, STATUS_STALE };
extern const char *const gateway_status_names[]; /* "good", "revoked", "unknown", "stale" */
struct gateway_answer {
    enum gateway_status status;
    const char *source; /* "filter", "delta", "crl"; "" none */
    int64_t as_of, next_update;
    uint64_t number;
    int64_t issued; /* unknown, because it was issued then and all that is known is older; 0: not so */
};
/* What is known of a certificate, by the newest that knows: a filter with its delta, or a CRL. `serial`: INTEGER contents or magnitude. A CRL
 * that does not list it says "good" of what there was when it was made: of a certificate that is newer, as its serial says, or `not_before`
 * (0: not known), it says nothing. */
struct gateway_answer gateway_ask(struct gateway *g, const struct gateway_authority *x, struct slice serial,
                                  int64_t not_before);

/* Does the newest that knows say that it is revoked, however old that is? */
bool gateway_knows_revoked(struct gateway *g, const struct gateway_authority *x, struct slice serial);

/* ---- OCSP ---- */

tm_err ocsp_open(struct gateway *g);
void ocsp_save(struct gateway *g);
/* What the file in the state directory holds: taken in as far as it verifies, and written. */
struct buf;
void ocsp_load(struct gateway *g, struct slice file);
void ocsp_write(struct buf *file, struct gateway *g);
void ocsp_close(struct gateway *g);
void ocsp_get(struct http_request *r);
void ocsp_post(struct http_request *r);

extern struct metric gateway_fetches, gateway_answers, gateway_ocsp;
