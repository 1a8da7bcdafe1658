/* authority/init.h - from an empty directory to a working house.
 *
 * Layer 4. `touchmark init` and tests. The home's layout is in docs/architecture.md. Takes about two seconds; what fails half-way
 * removes what it made. */
#pragma once
#include "base/err.h"
#include "base/secret.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>
struct arena;
struct house;

struct init_config {
    const char *home;         /* must not exist, or be an empty directory; TM_ECONFLICT else */
    const char *organization; /* O of the CAs' names; NULL: "Touchmark" */
    const char *
        public_base; /* "http://pki.example.org", baked into CRL and CA addresses; NULL: "http://<hostname>:8080" */
    const char *origin; /* of the register; NULL: host of public_base + "/touchmark" */
    const char *by;     /* who; NULL: "local:<uid>" */

    const struct secret *passphrase; /* of the home's keys; NULL: generated, in <home>/passphrase (0400) */
    const char *
        passphrase_file; /* where `passphrase` was read from, for touchmark.yaml; NULL: none is named there */
    const struct secret
        *root_passphrase; /* of the root's bundle; NULL: generated, in <home>/root/root.passphrase (0400) */

    const char *root_key, *ca_key; /* key types; NULL: ec-p384, ec-p256 */
    int64_t ca_lifetime;           /* of issuing-ca; 0: 10 years */
    unsigned root_crls;            /* CRLs pre-signed for the root; 0: 24, a month apart */

    const char *const *server_names; /* further DNS names and IP addresses of the listeners' certificate */
    size_t n_server_names;
    struct slice factory_anchors; /* PEM: trust set "factory" for devices' birth certificates; empty: none */
    /* Once there is an administrator: more that the caller wants made in the same house. NULL: nothing. */
    tm_err (*also)(void *arg, struct house *h, struct diag *diag);
    void *also_arg;
    bool demo_ports; /* listeners on free loopback ports (port 0), for tests and the demo */
};

/* Strings live in the caller's arena. */
struct init_result {
    const char *home, *config_file;
    const char *root_bundle;          /* to be carried away */
    const char *root_passphrase_file; /* NULL unless generated */
    const char *passphrase_file;      /* NULL unless generated */
    const char *admin_token_file;
    const char *public_base, *origin;
    char root_fingerprint[96]; /* SHA-256, AA:BB:… */
    struct {
        const char *name, *subject;
        char fingerprint[96];
        int64_t not_after;
    } authorities[3]; /* root, issuing-ca, device-ca */
    const char *register_vkey;
    const char *next[3]; /* three commands to go on with */
};

/* `progress` (may be NULL) is told each step: percent done and what begins. */
tm_err house_init(struct init_result *ret, struct arena *a, const struct init_config *c,
                  void (*progress)(void *arg, int percent, const char *step), void *arg, struct diag *diag);
