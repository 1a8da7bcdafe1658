/* http/url.h - addresses as people write them: http and https. Layer 1, pure. */
#pragma once
#include "base/err.h"
#include <stdbool.h>

struct http_url {
    bool tls;
    char host[256]; /* a name or an address, IPv6 without its brackets */
    int port;
    char path
        [1024]; /* begins with '/', query included; without a '/' at its end, so that more can be put behind it: "" for the root */
};

/* TM_EINVAL for what is neither, has a user in it, or is too long. */
tm_err http_url_parse(struct http_url *ret, const char *text, struct diag *diag);
