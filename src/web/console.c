#include "web/console.h"
#include "base/buf.h"
#include "web/asset.h"
#include <stdio.h>
#include <string.h>

enum { PAGE_MAX = 16 << 10, HEADERS = 10 };

/* Nothing but this house's own files, no inline script or style, nothing framed, nothing sent elsewhere. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static void add(struct http_header headers[HEADERS], const char *name, const char *value)
{
    size_t n = 0;
    while (headers[n].name)
        n++;
    if (n + 1 < HEADERS)
        headers[n] = (struct http_header){name, value};
}

static void add_common(struct http_header headers[HEADERS], const char *content_policy)
{
    add(headers, "Content-Security-Policy", content_policy);
    add(headers, "X-Content-Type-Options", "nosniff");
    add(headers, "Referrer-Policy", "no-referrer");
    add(headers, "Cross-Origin-Opener-Policy", "same-origin");
    add(headers, "Cross-Origin-Resource-Policy", "same-origin");
}

static void send_asset(struct http_request *r, const struct asset *a)
{
    struct http_header headers[HEADERS] = {0};
    add_common(headers, policy);
    add(headers, "Cache-Control", a->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    add(headers, "ETag", a->etag);
    add(headers, "Vary", "Accept-Encoding");
    if (asset_known(http_request_header(r, "If-None-Match"), a->etag)) {
        http_reply(r, 304, NULL, (struct slice){0}, headers);
        return;
    }
    if (asset_accepts_gzip(http_request_header(r, "Accept-Encoding"))) {
        add(headers, "Content-Encoding", "gzip");
        http_reply(r, 200, a->type, slice_of(a->gzip, a->gzip_n), headers);
        return;
    }
    struct buf plain;
    buf_init(&plain, a->plain_n);
    if (asset_unpack(&plain, a) == TM_OK)
        http_reply(r, 200, a->type, buf_slice(&plain), headers);
    else
        http_reply(r, 503, "text/plain", SLICE_LIT("out of memory\n"), NULL);
    buf_done(&plain);
}

/* ---- without the console ---- */

static const char page_begin[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Touchmark</title>\n"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em;color:#1d2422;background:#fff}"
    "code{background:#ebebe7;padding:.1em .3em;border-radius:3px}a{color:#0d6b5c}"
    "@media(prefers-color-scheme:dark){body{color:#e6ebe9;background:#141918}code{background:#2a3230}a{color:#5cc5af}}</style></head>\n"
    "<body><h1>Touchmark</h1>\n"
    "<p>This program was built without its console: ";
static const char page_end[] =
    ".</p>\n"
    "<p>This address also serves the programming interface of this certificate authority under "
    "<code>/api/v1</code>; authenticate with a token (<code>Authorization: Bearer &hellip;</code>).</p>\n"
    "<ul><li><a href=\"/api/v1/openapi.json\">OpenAPI description of the interface</a></li></ul>\n"
    "<p>The same can be done on the server itself with the <code>touchmark</code> command; begin with "
    "<code>touchmark --help</code>. Devices enroll at the enrollment address, not here.</p>\n"
    "</body></html>\n";

static void put_escaped(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (strchr("<>&\"'", *s))
            buf_printf(out, "&#%d;", *s);
        else
            buf_putc(out, *s);
    }
}

static void send_pointer(struct http_request *r)
{
    struct http_header headers[HEADERS] = {0};
    add_common(
        headers,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    add(headers, "Cache-Control", "no-cache");
    struct buf page;
    buf_init(&page, PAGE_MAX);
    buf_puts(&page, page_begin);
    put_escaped(&page, assets_missing ? assets_missing : "it has no first page");
    buf_puts(&page, page_end);
    http_reply(r, 200, "text/html; charset=utf-8", buf_slice(&page), headers);
    buf_done(&page);
}

static void home(struct http_request *r)
{
    const struct asset *a = asset_find("/");
    if (a)
        send_asset(r, a);
    else
        send_pointer(r);
}

static void file(struct http_request *r)
{
    const struct asset *a = asset_find(r->path);
    if (a)
        send_asset(r, a);
    else
        http_reply(r, 404, "text/plain; charset=utf-8", SLICE_LIT("there is no such file\n"), NULL);
}

const struct http_route console_routes[] = {
    {.methods = HTTP_M_GET,
     .pattern = "/",
     .handler = home,
     .listeners = HTTP_LISTENER_CONSOLE,
     .metric = "console"},
    {.methods = HTTP_M_GET,
     .pattern = "/assets/{name}",
     .handler = file,
     .listeners = HTTP_LISTENER_CONSOLE,
     .metric = "console"},
    {0},
};
