/* inventory/sighting.h - certificates that were met somewhere: by a scan, in files, in captures and logs, or by what others report.
 *
 * Layer 5, blocking, any thread. Each certificate gets one row of the inventory, known by its fingerprint, whoever issued it and wherever it was met;
 * each place (inventory/place.h) remembers what it has, since when, and what it had before. Nothing is written for what is as it was, but for
 * the time when a place was last seen, once in SIGHTING_TOUCH_MS. Events: certificate.discovered (certificate.imported via "import") for a new
 * certificate, place.changed for another one, none any more, or a known one at a new place. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "store/store.h"
struct house;

enum {
    SIGHTING_CHAIN_MAX = 16,         /* certificates of a chain that are kept; further ones are passed over */
    SIGHTING_TOUCH_MS = 20 * 3600000 /* how old "last" may be before it is written again */
};

/* A certificate was met at a place. `place` is the name under which the place is known and found again:
 *   tls:192.0.2.1:443   tls:192.0.2.1:443/www.example.org (with SNI)   smtp:192.0.2.1:25 (STARTTLS: the protocol's name)   dtls:…
 *   file:<host>/<path>[#alias]   ct:<log>/<index>   pcap:<file>/<server ip:port>   ca:<authority>   agent:<host>/<what>   import:<label>
 * What stands before its first '/' is the host: places of one host are found together. */
struct sighting {
    const char *place; /* NULL or "": of no place, the certificates alone */
    const char *via;   /* "scan" "files" "pcap" "ct" "agent" "import" "ca" */
    const char *run;   /* id of the discovery run; "" none */
    int64_t at;        /* unix ms; 0 or in the future: now */
    const json_t *
        details; /* borrowed; protocol, cipher, group, alpn, name (SNI), starttls, error …; NULL none. What changes from one time to the
                                   next (durations) does not belong here: a change is written */
    const struct slice *chain; /* DER as it was sent, leaf first */
    size_t
        n_chain; /* 0: the place answered without a certificate, or no longer answers (details say which) */
};
struct sightings_taken {
    size_t added, known,
        refused; /* certificates: new rows, rows that were there, and what is none; one in two chains counts twice */
    size_t new_places, changed, same, gone; /* places; `same` also those that never had any */
};

/* One durable commit per some hundred; after an error *ret counts what is durable, and the rest can be given again. What can't be read as a
 * certificate is refused and counted, its place says why; nothing that others sent makes this fail. */
tm_err sightings_take(struct house *h, tenant_id tenant, const char *principal, const struct sighting *s,
                      size_t n, struct sightings_taken *ret, struct diag *diag);

/* What came of each certificate, where somebody wants to know (imports). */
enum sighting_outcome { SIGHTING_ADDED, SIGHTING_KNOWN, SIGHTING_REFUSED };
struct sighting_result {
    enum sighting_outcome outcome;
    uint8_t id[CERT_SERIAL_LEN]; /* of the row; zero where it was refused */
    char why[256];               /* it was refused: one sentence */
};
/* The same; results[] has one for each certificate of each chain in order, at most SIGHTING_CHAIN_MAX a chain. NULL: nobody wants to know. */
tm_err sightings_take_each(struct house *h, tenant_id tenant, const char *principal, const struct sighting *s,
                           size_t n, struct sighting_result *results, struct sightings_taken *ret,
                           struct diag *diag);
