/* cli/login.h - a house on another machine: what `touchmark login` has kept of it, and calls to it.
 *
 * Layer 6. The login is a file of its owner's alone (0600), $XDG_CONFIG_HOME/touchmark/login.json or ~/.config/touchmark/login.json: address, root, token. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct cli;

struct login {
    const char *url;    /* "https://pki.example.org:9443" */
    const char *ca;     /* PEM of the root that it is known by; "" the system's */
    const char *tenant; /* that was signed in to */
    const char *principal, *token;
    int64_t expires_at; /* unix seconds */
};

/* Do commands go there? Where --remote says so; else where neither --home nor TOUCHMARK_HOME names a home, there is none at the usual place, and there
 * is a login. */
bool login_wanted(const struct cli *c);
/* The login. False after complaining, also when it has ended. */
bool login_load(struct cli *c, struct login *ret);
bool login_store(struct cli *c, const struct login *r);
/* The file of the login; NULL no memory. */
const char *login_path(struct cli *c);

struct login_call {
    const char *method, *target; /* path and query */
    const char *content_type, *accept;
    struct slice body;
    unsigned timeout_s;
    bool anonymous;  /* without the token */
    bool unverified; /* the root is not known yet */
    /* answer */
    int status;
    const char *type;
    struct slice answer; /* in the cli's arena */
};
/* TM_EUNAVAIL and the like; diag says what it is about. */
tm_err login_exchange(struct cli *c, const struct login *r, struct login_call *x, struct diag *diag);
