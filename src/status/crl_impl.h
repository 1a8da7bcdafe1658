/* status/crl_impl.h - shared by the files of CRL publication. Layer 4, private to status/. */
#pragma once
#include "status/crl.h"

/* A CRL that is signed and to be recorded. */
struct crl_record {
    struct slice number; /* magnitude without leading zeros */
    int64_t this_update, next_update;
    struct slice der;
    size_t entries;
    const uint8_t *tbs_hash; /* 32 octets */
    uint64_t chain_seq;      /* 0: not signed by this house's signer */
};
/* Store and event in one transaction. */
tm_err crl_record(struct house *h, const struct authority *x, const struct crl_record *c, struct arena *a,
                  struct diag *diag);
/* A magnitude of up to 7 octets; INT64_MAX for more. */
int64_t crl_number_value(struct slice magnitude);

/* Publish the newest CRL of the imported series whose thisUpdate has come. No series: nothing to do. */
tm_err crl_series_publish(struct house *h, const struct authority *x, bool *ret_published, struct arena *a,
                          struct diag *diag);
/* The alarm job. */
tm_err crl_series_watch(struct house *h, struct diag *diag);
/* Drop what status/publish.c keeps of this authority. */
void status_forget(struct house *h, const struct authority *x);
