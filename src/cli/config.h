/* cli/config.h - touchmark.yaml: what a process needs to start, and nothing else.
 * Layer 6. Unknown keys and wrong types are errors with file, line and column. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "http/server.h"
#include <stdbool.h>

struct arena;

struct config_listener {
    const char *address;
    int64_t port;
    bool proxy_protocol;
    bool disabled;
};
struct config {
    const char *public_base; /* "http://pki.example.org" */
    const char *origin;
    const char *console_origin; /* "https://console.example.org"; "": as it is asked for */
    struct {
        const char *driver, *path;
    } store;
    struct {
        const char *user, *passphrase_file, *credential; /* credential: name under $CREDENTIALS_DIRECTORY */
    } signer;
    struct {
        struct config_listener enrollment, plain, console, admin;
    } listen;
    struct json_strings trusted_proxies;
    struct {
        const char *certificate, *key; /* PEM files, relative to the home; "": <home>/tls/server.pem */
    } tls;
    struct {
        int64_t connections, connections_per_peer, requests_per_peer, ocsp_cache;
    } limits;
    struct {
        int level, format;
    } log;
    const char *weak_keys; /* lists of bad keys */
    int64_t loops, crypto_threads;
    bool free_ports; /* listeners without a port take a free one instead of the usual: tests and the demo */
};
extern const struct json_field config_schema[];

/* Read <home>/touchmark.yaml. diag->message has "file:line:column: …". */
tm_err config_load(struct config *ret, struct arena *a, const char *home, struct diag *diag);
