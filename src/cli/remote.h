/* cli/remote.h - commands that may speak to a house elsewhere: over HTTPS with a token, else as all others do (cli/call.h). Layer 6. */
#pragma once
#include "base/secret.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "http/url.h"

/* Rows for a command's options, and how they are read. */
#define REMOTE_OPTIONS                                                                                       \
    {"server", 0, "URL", "report to this house instead, https://name:9443 (TOUCHMARK_SERVER)", false},       \
        {"token-file", 0, "FILE", "an API token for it (TOUCHMARK_TOKEN_FILE)", false},                      \
    {                                                                                                        \
        "ca", 0, "FILE", "PEM of the CA that its certificate comes from; else whom the system trusts", false \
    }

struct remote {
    bool on;
    struct http_url url;
    const char *ca;
    struct secret token;
    json_t *json; /* of the last answer */
};

/* From the options and the environment. False after complaining. */
bool remote_open(struct cli *c, struct remote *ret);
void remote_close(struct remote *r);
/* As cli_call_ok(). */
bool remote_call(struct cli *c, struct remote *r, const char *method, const char *path, struct slice body,
                 const char *content_type, struct cli_reply *ret);
