/* authority/offline_impl.h - an open bundle. Layer 4, private to authority/offline*.c. */
#pragma once
#include "authority/offline.h"
#include "base/json.h"
struct signer;

struct offline_bundle {
    struct arena *a;
    char *path;
    char dir[64]; /* holds the encrypted key and its envelope while open */
    struct signer *signer;
    struct slice key, env; /* PKCS#8 DER and envelope file, as in the bundle */
    struct slice der;      /* CA certificate; empty while it is being made */
    struct cert cert;
    json_t *header, *record;
    uint8_t mac_key[32];
    const char *name;
};

/* Replace the file by what the bundle holds now: called before any signature is handed out. */
tm_err offline_bundle_save(const struct offline_bundle *b, struct diag *diag);
/* Append one entry to record.<list>; takes `entry` over. */
tm_err offline_record(struct offline_bundle *b, const char *list, json_t *entry);
/* A text of the header, "" when absent. */
const char *offline_header(const struct offline_bundle *b, const char *key);
/* What this CA signs with. */
enum sig_alg offline_sig_alg(const struct offline_bundle *b);

/* The blocks of a bundle, nothing believed yet: *ret_body is what the MAC covers. b->a and b->path are set. */
tm_err offline_bundle_parse(struct offline_bundle *b, struct slice text, struct slice *ret_body,
                            struct slice *ret_mac, struct diag *diag);
