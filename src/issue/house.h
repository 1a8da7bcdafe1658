/* issue/house.h - the running house: the parts a request passes through, opened together and closed together.
 *
 * Layer 4. `serve` opens it with a signer process and threads; offline commands open the same house with the signer in-process and no
 * listeners, under the store's writer lock. */
#pragma once
#include "base/err.h"
#include "base/secret.h"
#include "base/task.h"
#include "issue/catalog.h"
#include "issue/under_way.h"
#include "policy/enrollment.h"
#include "store/store.h"
#include <stdatomic.h>

struct acme;
struct chain;
struct alerts;
struct findings;
struct issue_request;
struct issue_revocation;
struct jobs;
struct key_blocklist;
struct live;
struct ocsp;
struct pool;
struct reach;
struct refusals;
struct reg;
struct secrets;
struct revocations;
struct scans;
struct signer;
struct status;

enum house_mode {
    HOUSE_SERVE,   /* signer process, job runner */
    HOUSE_OFFLINE, /* in-process signer; jobs run once at close */
    HOUSE_READ,    /* no signer at all, store read-only: list, verify, export */
};

struct house_config {
    const char *home; /* directory made by `touchmark init` */
    enum house_mode mode;
    const char *store_driver;   /* "sqlite" */
    const char *store_path;     /* default <home>/store */
    const char *signer_program; /* executed as the signer (keys/signer.h); NULL: forked alone */
    const char *signer_user;    /* when started as root; default "touchmark-signer" where that user exists */
    const struct secret *passphrase; /* for SERVE and OFFLINE */
    const char *passphrase_file;     /* where the signer may read it again after a crash; NULL: it may not */
    const char *public_base;         /* "http://pki.example.org": goes into AIA and CDP */
    const char *origin;              /* register origin */
    const char *
        console_origin; /* "https://console.example.org": where people sign in; NULL or "": what they ask for */
    const char
        *weak_keys; /* lists of bad keys, a file or a directory; NULL: <home>/weak-keys where it exists */
    unsigned crypto_threads;   /* 0: one a core */
    unsigned blocking_threads; /* 0: 4 */
    bool store_unsafe_async;   /* torture's counter-proof only */
    /* Called once, from the job runner, when issuing can't go on in this process but could in a new one. NULL: it stays read-only. */
    void (*on_lost)(void *arg, const char *why);
    void *on_lost_arg;
};

struct house {
    char *home;
    enum house_mode mode;
    char *public_base;
    char *origin;
    char *console_origin; /* "" where it follows from each request */
    char *crl_dir;        /* where lists that are too long for the store's rows lie (status/crl_file.h) */
    struct store *store;
    struct signer *signer;
    struct reg *reg;
    struct chain *chain;
    struct secrets *secrets; /* issue/secrets.h */
    struct refusals *refusals;
    struct jobs *jobs;
    struct acme *acme; /* the ACME door's: nonces, validations; NULL where nothing is served */
    /* What a door does before a request of its own is issued that had to be approved; NULL: nothing. */
    tm_err (*resume[DOOR_COUNT])(struct issue_request *r, struct diag *diag);
    struct status *status;      /* what status/publish.h keeps in memory; NULL where nothing is served */
    struct ocsp *ocsp;          /* what status/ocsp.h keeps in memory; NULL where nothing is served */
    struct under_way under_way; /* revocations; whoever publishes asks it until when it knows all */
    /* A certificate has been revoked or released, durably: whoever keeps answers about it drops them. `list`: the profile whose own list it names, or
     * "". NULL: nobody does. */
    void (*on_status)(struct house *h, tenant_id tenant, const char *authority, const char *list,
                      const uint8_t id[CERT_SERIAL_LEN]);
    struct reach *reach;             /* what status/reach.h measures; NULL where nothing is served */
    struct revocations *revocations; /* the thread of status/revocation.h; NULL where nothing is served */
    /* Certificates have been revoked, durably, and on_status was told; it began at `at_ms`. NULL: nobody asks. */
    void (*on_revoked)(struct house *h, tenant_id tenant, const struct issue_revocation *v, size_t n,
                       int64_t at_ms);
    struct live *live;         /* who listens to events (api/live.h); NULL where nothing is served */
    struct scans *scans;       /* those that are under way (discover/scans.h); NULL while none was */
    struct alerts *alerts;     /* the thread of alert/alert.h; NULL where nothing is served */
    struct findings *findings; /* the thread of finding/pass.h; NULL where nothing is served */
    struct pool *crypto;       /* proof of possession, policy, TBS */
    struct pool *blocking;     /* API and door work that reads the store */
    struct key_blocklist *blocklist;
    _Atomic(struct catalog *) catalog_now;
    void *catalog_lock;
    void *reload_lock;     /* catalogs are built one after the other */
    void *resource_lock;   /* so are resources changed, and tenants numbered */
    atomic_bool read_only; /* signer or store is not to be had: requests get TM_EUNAVAIL */
    _Atomic(const char *) read_only_reason;
    atomic_uint in_flight; /* what is between the signer and its commit: house_signing_begin() */
    struct task signer_death;
    bool signer_lost; /* the job's: since the signer died its journal has not been reconciled */
    char *passphrase_file;
    void (*on_lost)(void *arg, const char *why); /* house_config's; NULL once called */
    void *on_lost_arg;
    int64_t started_at;
    struct {
        int enrollment, plain, console;
    } ports; /* where it listens, for those who have to be told; 0: not */
};

tm_err house_open(struct house **ret, const struct house_config *c, struct diag *diag);
/* Finishes what runs, sequences the register once more, closes everything. */
void house_close(struct house *h);

/* The present snapshot; catalog_unref() it. */
struct catalog *house_catalog(struct house *h);
/* Read all resources again after a change. */
tm_err house_reload(struct house *h, struct diag *diag);

/* What came of a put. */
struct resource_put {
    int64_t version; /* the present one */
    bool unchanged;  /* the document stood there already: no new version, no event */
};
/* Put or delete one resource with its event in one transaction, then reload. `doc` is the whole document. Blocking.
 * `expected_version` as EFFECT_RESOURCE_PUT; `ret` may be NULL. TM_ECONFLICT, TM_EINVAL (diag: JSON pointer). */
tm_err house_resource_put(struct house *h, tenant_id tenant, const char *kind, const json_t *doc,
                          int64_t expected_version, const char *by, struct resource_put *ret,
                          struct diag *diag);
/* The same, looked at only: nothing is written, and whether what it refers to is there is not asked. `ret->version` is the present one. */
tm_err house_resource_check(struct house *h, tenant_id tenant, const char *kind, const json_t *doc,
                            struct resource_put *ret, struct diag *diag);
tm_err house_resource_delete(struct house *h, tenant_id tenant, const char *kind, const char *name,
                             int64_t expected_version, const char *by, struct diag *diag);

/* CRL and caIssuers addresses that go into what `x` issues: its own, or the house's public base with DESIGN 7's paths; "" without either. */
struct arena;
tm_err house_authority_urls(const char **ret_crl, const char **ret_ca, struct arena *a, const struct house *h,
                            const struct authority *x);

/* The address of one of an authority's CRLs, "delta" or "16-3"; "" where it has no address that could be told apart, NULL no memory. */
const char *house_crl_list_url(struct arena *a, const struct house *h, const struct authority *x,
                               const char *list);

/* The OCSP responder's address for what `x` issues: its own, or the house's where its `ocsp.in-certificates` says so; "" none, NULL no memory. */
const char *house_ocsp_url(struct arena *a, const struct house *h, const struct authority *x);

/* Stop issuing for a reason (a string constant), or go on with NULL. */
void house_read_only(struct house *h, const char *reason);

/* TM_EUNAVAIL while issuance is stopped; diag says why. */
tm_err house_may_sign(const struct house *h, struct diag *diag);
/* Around every signature and the commit that records it: a signer that died is only replaced once all of these have ended. TM_EUNAVAIL
 * while issuance is stopped; then there is nothing to end. */
tm_err house_signing_begin(struct house *h, struct diag *diag);
void house_signing_end(struct house *h);
/* One more to end, for a record that is still to be written when what began has ended. */
void house_signing_goes_on(struct house *h);

/* Give every durable event its place and sign checkpoints (the job, and the last act of house_close()). Blocking. */
tm_err house_sequence(struct house *h, struct diag *diag);

/* Commit these effects as one transaction. Blocking; diag names the effect that refused. */
tm_err house_commit(struct house *h, struct effect *effects, size_t n, struct diag *diag);

/* One event in a transaction of its own. Blocking. */
struct event_field;
tm_err house_event(struct house *h, tenant_id tenant, const char *type, const char *subject,
                   const struct event_field *fields, struct diag *diag);
