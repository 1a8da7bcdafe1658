/* status/revocation_impl.h - shared by the files of mass revocation. Layer 4, private to status/. */
#pragma once
#include "status/revocation.h"
struct buf;

enum { REVOCATION_PAGE = 200, REVOCATION_CHUNK = 2048, REVOCATION_STATE_MAX = 64 << 10 };
#define REVOCATION_OWNER "revocation" /* of all job rows, so that they are listed in order */

/* ---- rows (revocation_row.c) ---- */

tm_err revocation_from_row(struct revocation *ret, struct arena *a, const struct object_row *row,
                           struct diag *diag);
/* The row as it is now, to be put where the stored one still has j->version. */
tm_err revocation_effect_put(struct effect *ret, struct arena *a, const struct revocation *j);
/* The members of its state that others may see too: the effects. */
void revocation_put_effects(struct buf *out, const struct revocation *j);
/* An event about it. */
struct event_field;
tm_err revocation_event(struct effect *ret, struct arena *a, const struct revocation *j, const char *type,
                        const struct event_field *fields);
/* Put and, where `type` is given, the event, in one transaction; j->version goes on. */
tm_err revocation_save(struct house *h, struct arena *a, struct revocation *j, const char *type,
                       const struct event_field *fields, struct diag *diag);
/* Row of serials `chunk` of a job. */
const char *revocation_chunk_id(struct arena *a, const char *id, size_t chunk);

/* ---- the set (revocation_set.c) ---- */

struct revocation_page {
    const struct cert_row *rows[REVOCATION_PAGE]; /* that are to be revoked */
    size_t n, looked, before;
    const char *next; /* in the arena; what `at` is then */
    bool more;
};
/* `ids`: serials that no row holds yet, 16 octets each; NULL: the job's own. */
tm_err revocation_page(struct revocation_page *ret, struct arena *a, struct house *h,
                       const struct revocation *j, const uint8_t *ids, const char *at, struct diag *diag);
/* The serials of an order: sorted, each once. *ret in `a`. */
tm_err revocation_serials(uint8_t **ret, size_t *ret_n, struct arena *a, const struct revocation_order *o,
                          struct diag *diag);

/* ---- pressure (revocation_pressure.c) ---- */

/* The window in which its holder is to renew. */
tm_err revocation_window(struct effect *ret, struct arena *a, const struct revocation *j,
                         const struct cert_row *row);
/* Take windows of a canceled job back: a page; *ret_more. */
tm_err revocation_windows_drop(bool *ret_more, struct arena *a, struct house *h, const struct revocation *j,
                               struct diag *diag);
/* Is there a newer one of the same holder, made since the job was? */
tm_err revocation_renewed(bool *ret, struct arena *a, struct house *h, const struct revocation *j,
                          const struct cert_row *row, struct diag *diag);

/* ---- steps (revocation_step.c) ---- */

/* The process that works, told from those before it; 0: nobody serves here. */
int64_t revocation_process(const struct house *h);
/* A piece of work. *ret_more: there is more at once. */
tm_err revocation_step(bool *ret_more, struct arena *a, struct house *h, struct revocation *j,
                       struct diag *diag);
