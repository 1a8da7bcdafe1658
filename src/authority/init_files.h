/* authority/init_files.h - directories, secrets and touchmark.yaml of a new home. Layer 4, private to authority/. */
#pragma once
#include "authority/init.h"
#include "base/err.h"
#include "base/secret.h"
struct arena;

/* What init has made so far and where. */
struct new_home {
    struct arena *a;
    const struct init_config *c;
    char *home;     /* absolute */
    bool made_home; /* the directory itself did not exist */
    const char *public_base, *origin, *by, *organization;
    struct secret passphrase, root_passphrase;
    const char *passphrase_file;      /* generated, or where it was read from; NULL */
    const char *root_passphrase_file; /* generated; NULL */
};

/* Check the place, make the directories, choose names and passphrases. */
tm_err new_home_begin(struct new_home *n, struct arena *a, const struct init_config *c, struct diag *diag);
tm_err new_home_write_config(const struct new_home *n, struct diag *diag);
/* Wipe the secrets; `failed`: remove everything that was made. */
void new_home_end(struct new_home *n, bool failed);
