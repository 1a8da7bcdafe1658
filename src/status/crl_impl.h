/* status/crl_impl.h - shared by the files of CRL publication. Layer 4, private to status/. */
#pragma once
#include "status/crl.h"
#include "x509/crl.h"
struct crl_scope;

/* A CRL that is signed and to be recorded. */
struct crl_record {
    const char *scope;   /* NULL: "full" */
    struct slice number; /* magnitude without leading zeros */
    int64_t this_update, next_update;
    int64_t as_of_ms; /* what was revoked until then it says; 0: until this_update */
    struct slice der;
    const char *file; /* its name, where the list is in a file and `der` is empty; NULL or "" else */
    uint64_t size;    /* octets of the file */
    size_t entries;
    const uint8_t *tbs_hash; /* 32 octets */
    uint64_t chain_seq;      /* 0: not signed by this house's signer */
};
/* Store and event in one transaction. */
tm_err crl_record(struct house *h, const struct authority *x, const struct crl_record *c, struct arena *a,
                  struct diag *diag);
/* A series as it was brought: PEM "X509 CRL" blocks or DER, one after another. Borrows `bytes` and `a`. */
enum { CRL_SERIES_MAX = 1000 };
struct crl_list {
    struct crl v[CRL_SERIES_MAX];
    size_t n;
};
tm_err crl_series_parse(struct crl_list *l, struct arena *a, struct slice bytes, struct diag *diag);
/* Does CRL number i (from 0) of a series fit its authority and the one before (NULL: the first)? */
tm_err crl_series_check(const struct crl *c, const struct crl *before, const struct authority *x, size_t i,
                        struct diag *diag);

/* Publish the newest CRL of the imported series whose thisUpdate has come. No series: nothing to do. */
tm_err crl_series_publish(struct house *h, const struct authority *x, bool *ret_published, struct arena *a,
                          struct diag *diag);
/* The alarm job. */
tm_err crl_series_watch(struct house *h, struct diag *diag);
/* Drop what status/publish.c keeps of this authority. */
void status_forget(struct house *h, const struct authority *x);
/* When the next regular CRL of a scope (status/scope.h) is due, as far as a serving process remembers; 0: look it up. Spares reading a large CRL
 * every five seconds only to see its date. */
int64_t status_due_at(struct house *h, const struct authority *x, const char *scope, int64_t every);
void status_due_set(struct house *h, const struct authority *x, const char *scope, int64_t every, int64_t at);

/* The number of the last list that this process has published, as long as it serves; 0: it published none. `took_ns`: making it. */
void status_published(struct house *h, const struct authority *x, const char *scope, int64_t number,
                      uint64_t took_ns);
int64_t status_published_last(struct house *h, const struct authority *x, const char *scope);

/* A list that takes long to make is made anew so seldom that it takes a twentieth of the time: whoever waits for a revocation has a shorter one. True: it is
 * put off, and what has changed since the last one is forgotten for it. */
bool status_put_off(struct house *h, const struct authority *x, const char *scope);
/* One that was put off, and whose time has come. */
bool status_put_off_over(struct house *h, const struct authority *x, const char *scope);
bool status_is_put_off(struct house *h, const struct authority *x, const char *scope);
/* Something has changed that it does not say, and is not made for: what this process knows of it is not enough to add to it. */
void status_outdated(struct house *h, const struct authority *x, const char *scope);
/* There is such a list; what is remembered of all others goes with status_drop_unseen(). */
void status_seen(struct house *h, const struct authority *x, const char *scope);
void status_drop_unseen(struct house *h);

/* What was revoked or released and has not been looked at since. */
enum { CRL_DIRTY_MAX = 20000 };
struct crl_dirty_id {
    tenant_id tenant;
    char authority[64], list[64]; /* list: the profile whose own one it names, or "" */
    uint8_t id[CERT_SERIAL_LEN];
};
struct crl_dirty {
    bool all;         /* too many, or nobody knows */
    int64_t taken_ms; /* what was revoked before is in it */
    size_t n, cap;
    struct crl_dirty_id *v; /* of who took it: free() */
};
/* False: from now on it is all. */
bool crl_dirty_add(struct crl_dirty *d, tenant_id tenant, const char *authority, const char *list,
                   const uint8_t *id);
void status_dirty_put(struct house *h, tenant_id tenant, const char *authority, const char *list,
                      const uint8_t *id);
void status_dirty_take(struct house *h, struct crl_dirty *ret);
/* It could not be published: to be taken again, after a pause that grows as long as it fails. */
void status_dirty_back(struct house *h, struct crl_dirty *d);
void status_dirty_done(struct house *h);
/* Is there something that may be tried? */
bool status_dirty_waits(struct house *h);

/* Around the making of lists: two threads of a process would make the same one twice, and sign what can't be published. */
void status_make_begin(struct house *h);
void status_make_end(struct house *h);

/* Which of these lists say another thing than the inventory does, found in one walk through it, whatever their number: what differs is added
 * to `found`. What one of them says is known to this process from then on. Lists that there are none of yet are left alone. */
tm_err crl_look(struct crl_dirty *found, struct house *h, const struct authority *x,
                const struct crl_scope *scopes, size_t n, struct diag *diag);
