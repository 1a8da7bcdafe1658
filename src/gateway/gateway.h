/* gateway/gateway.h - the status-proxy: revocation answered near the devices, from what the house has signed.
 *
 * Layer 5, thread-safe. It fetches filters, deltas and CRLs with conditional requests, verifies them under the authorities' certificates, keeps them
 * on disk, and answers from the newest of them; OCSP answers are relayed and kept until they end. It signs nothing and so can make nothing
 * up: how old its knowledge is goes with every answer, and beyond `stale_after` it gives none. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "http/server.h"

struct gateway;

struct gateway_config {
    const char *upstream; /* "http://pki.example.org[:port]": plain, what is fetched is signed itself */
    const char *state;    /* directory, made when absent */
    struct json_strings authorities; /* PEM files of CA certificates */
    struct json_strings filters;     /* names, as published under /filter/ */
    bool crls, ocsp;
    int64_t refresh;     /* seconds between questions whether there is anything newer */
    int64_t stale_after; /* older knowledge is not given out */
    bool deny_unknown;   /* /v1/check: what is not known is refused */
    int64_t allow_new;   /* but for what is younger than that and newer than all that is known */
    int64_t ocsp_entries;
    struct {
        const char *address;
        int64_t port;
    } listen;
};
extern const struct json_field gateway_schema[];

/* Loads and verifies what lies in the state directory. `dir`: relative files of the configuration are taken from there. */
tm_err gateway_open(struct gateway **ret, const struct gateway_config *c, const char *dir, struct diag *diag);
/* Begin to fetch. */
tm_err gateway_start(struct gateway *g);
/* Ends fetching and relaying; afterwards http_server_free(), then gateway_free(). */
void gateway_stop(struct gateway *g);
void gateway_free(struct gateway *g);

extern const struct http_route gateway_routes[]; /* http_request.app is the struct gateway */
