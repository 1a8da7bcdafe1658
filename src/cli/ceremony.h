/* cli/ceremony.h - what the commands of ceremonies share: the open house, passphrases of bundles, who does it. Layer 6. */
#pragma once
#include "authority/ceremony.h"
#include "base/secret.h"
#include "cli/cli.h"
#include <jansson.h>

/* One ceremony under way; zero it, ceremony_end() it. */
struct cli_ceremony {
    struct ceremony c;
    tenant_id tenant;
    struct secret passphrase, bundle_passphrase;
    struct offline_bundle *bundle;
};

/* Open the house offline and get its passphrase. False after complaining; also while a server runs. */
bool cli_ceremony_begin(struct cli_ceremony *x, struct cli *c);
void cli_ceremony_end(struct cli_ceremony *x);
/* A bundle's passphrase from the file that `option` names, else asked for; `fresh`: asked twice. */
bool cli_bundle_passphrase(struct secret *ret, struct cli *c, const char *option, bool fresh);
/* --bundle opened under --`option`'s passphrase. */
bool cli_bundle_open(struct offline_bundle **ret, struct secret *passphrase, struct cli *c,
                     const char *option);
/* The authority's name: the first argument or --name. NULL after complaining. */
const char *cli_authority_name(struct cli *c);
/* An authority as the API shows it; borrowed until the next call. */
const json_t *cli_authority_get(struct cli *c, const char *name);
/* Print what came of a ceremony: name, subject, fingerprint, key id, end. */
int cli_authority_made(struct cli *c, const struct ca_result *r);
