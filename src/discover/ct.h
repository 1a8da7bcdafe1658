/* discover/ct.h - entries of Certificate Transparency logs: RFC 6962's get-entries, and the data tiles of static logs (C2SP static-ct-api).
 *
 * Layer 5, pure. What a log says is taken as it is: whose certificate it is, its own signature says; the log's promises are not verified here. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "x509/cert.h"
#include <stdbool.h>
struct arena;

enum {
    CT_CHAIN_MAX = 15,
    CT_TILE_ENTRIES = 256,
    CT_DOMAINS_MAX = 256,
    CT_PATH_MAX = 64,
    CT_FINGERPRINT = 32
};

struct ct_entry {
    int64_t at; /* unix ms: when the log took it */
    bool precertificate;
    struct slice cert; /* DER; of a precertificate that itself, poison and all (RFC 6962 3.1) */
    struct slice chain[CT_CHAIN_MAX]; /* issuers: DER from get-entries, SHA-256 each from a tile */
    size_t n_chain;
};

/* One member of "entries" (RFC 6962 4.6); octets in `a`. TM_EMALFORMED, TM_EUNSUPPORTED (another kind of entry). */
tm_err ct_entry_read(struct ct_entry *ret, struct arena *a, const json_t *entry, struct diag *diag);
/* The next entry of a data tile; *tile moves behind it. TM_ENOTFOUND at the end; after another error the rest can't be read. */
tm_err ct_tile_next(struct ct_entry *ret, struct slice *tile, struct diag *diag);
/* The number of entries, as a checkpoint says it: origin, size, hash, one a line. */
tm_err ct_checkpoint_size(uint64_t *ret, struct slice note, struct diag *diag);
/* "/tile/data/x001/x234/067" or with ".p/17" behind, where the tile has fewer than 256 entries. */
void ct_tile_path(char out[CT_PATH_MAX], uint64_t tile, unsigned entries);
/* Is one of its names in one of the domains, the domain itself included? Lower case, without a leading dot. */
bool ct_in_domains(struct arena *a, const struct cert *c, const char *const *domains, size_t n);
