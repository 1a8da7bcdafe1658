#include "web/console.h"

static const char page[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Touchmark</title>\n"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em;color:#1c2430;background:#fff}"
    "code{background:#eef1f5;padding:.1em .3em;border-radius:3px}a{color:#0b57a4}"
    "@media(prefers-color-scheme:dark){body{color:#dde3ea;background:#14181d}code{background:#262d36}a{color:#7db8f0}}</style></head>\n"
    "<body><h1>Touchmark</h1>\n"
    "<p>This address is for administrators. It serves the programming interface of this certificate authority under "
    "<code>/api/v1</code>; authenticate with a token (<code>Authorization: Bearer &hellip;</code>).</p>\n"
    "<ul><li><a href=\"/api/v1/openapi.json\">OpenAPI description of the interface</a></li></ul>\n"
    "<p>The same can be done on the server itself with the <code>touchmark</code> command; begin with "
    "<code>touchmark --help</code>. Devices enroll at the enrollment address, not here.</p>\n"
    "</body></html>\n";

static void home(struct http_request *r)
{
    static const struct http_header headers[] = {
        {"Content-Security-Policy",
         "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-cache"},
        {0},
    };
    http_reply(r, 200, "text/html; charset=utf-8", slice_of(page, sizeof page - 1), headers);
}

const struct http_route console_routes[] = {
    {.methods = HTTP_M_GET,
     .pattern = "/",
     .handler = home,
     .listeners = HTTP_LISTENER_CONSOLE,
     .metric = "console"},
    {0},
};
