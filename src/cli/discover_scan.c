#include "cli/discover_scan.h"
#include "base/arena.h"
#include "base/slice.h"
#include <string.h>

enum { FILE_MAX = 4 << 20 };

const struct cli_option discover_scan_options[] = {
    {"ports", 'p', "PORT,...", "443 unless told; ranges (8000-8010), with a protocol (smtp:2525, dtls:5684)",
     true},
    {"names", 'n', "NAME,...", "server names (SNI) to ask each target for, beside none or its own", true},
    {"starttls", 0, "PROTOCOL",
     "of ports that name none: tls, dtls, smtp, imap, pop3, ldap, postgres, mysql, xmpp", false},
    {"exclude", 'x', "RANGE,...", "addresses and ranges that are left alone", true},
    {"allow", 0, "NETWORK,...", "networks that may be scanned although they are not private", true},
    {"rate", 0, "N", "connections a second in all (100)", false},
    {"rate-per-host", 0, "N", "connections a second to one address (10)", false},
    {"parallel", 0, "N", "connections that are open at once (256)", false},
    {"connect-timeout", 0, "DURATION", "for a connection to be made (4s)", false},
    {"timeout", 0, "DURATION", "from there to the certificate (8s)", false},
    {"versions", 0, NULL, "ask which versions each server takes, and whether it has X25519MLKEM768", false},
    {"alpn", 0, "PROTOCOL,...", "offered where TLS begins at once (h2,http/1.1); none: nothing", true},
    {"scan", 0, "NAME", "a resource of kind Scan, instead of targets", false},
    {"dry-run", 0, NULL, "say what would be looked at, and send nothing", false},
    {"print", 0, NULL, "scan from here and print: needs no house, and nothing is recorded", false},
    {"detach", 0, NULL, "let the server do it, and don't wait", false},
    {"all", 'a', NULL, "print also the targets where nothing answers", false},
    {0},
};

/* Parts of a text between commas and white space. */
static bool add_parts(struct cli *c, json_t *list, const char *text)
{
    for (const char *p = text; *(p += strspn(p, ", \t\r")) != '\0';) {
        size_t n = strcspn(p, ", \t\r");
        const char *part = arena_strndup(c->arena, p, n);
        if (!part || json_array_append_new(list, json_string(part)) != 0)
            return cli_fail(c, "\"%.*s\" is no text", (int)n, p) == 0;
        p += n;
    }
    return true;
}

/* A file of targets, some a line; what follows '#' is a comment. */
static bool add_file(struct cli *c, json_t *list, const char *path)
{
    struct slice text;
    if (!cli_read_file(c, path, FILE_MAX, &text))
        return false;
    while (text.n) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        char *line = arena_strndup(c->arena, (const char *)text.p, n);
        if (!line)
            return cli_fail(c, "out of memory") == 0;
        line[strcspn(line, "#")] = '\0';
        if (!add_parts(c, list, line))
            return false;
        text = slice_sub(text, n + 1, SIZE_MAX);
    }
    return true;
}

static bool add_option(struct cli *c, json_t *o, const char *name)
{
    json_t *list = json_array();
    const char *value;
    bool ok = list != NULL;
    for (int i = 0; ok && (value = cli_get_nth(c, name, i)); i++)
        ok = *value == '@' ? add_file(c, list, value + 1) : add_parts(c, list, value);
    if (ok && json_array_size(list))
        json_object_set(o, name, list);
    json_decref(list);
    return ok;
}

static bool add_number(struct cli *c, json_t *o, const char *name, int64_t max)
{
    int64_t v;
    if (!cli_get_number(c, name, 0, 1, max, &v))
        return false;
    if (v)
        json_object_set_new(o, name, json_integer(v));
    return true;
}

json_t *discover_scan_request(struct cli *c)
{
    static const char *const lists[] = {"ports", "names", "exclude", "allow", "alpn"}, *const texts[] = {
                                                                                           "starttls",
                                                                                           "connect-timeout",
                                                                                           "timeout", "scan"};
    json_t *o = json_object(), *targets = json_array();
    bool ok = o && targets;
    for (int i = 0; ok && i < c->n_args; i++)
        ok = c->args[i][0] == '@' ? add_file(c, targets, c->args[i] + 1) : add_parts(c, targets, c->args[i]);
    for (size_t i = 0; ok && i < sizeof lists / sizeof *lists; i++)
        ok = add_option(c, o, lists[i]);
    for (size_t i = 0; ok && i < sizeof texts / sizeof *texts; i++)
        if (cli_get(c, texts[i]))
            json_object_set_new(o, texts[i], json_string(cli_get(c, texts[i])));
    ok = ok && add_number(c, o, "rate", 100000) && add_number(c, o, "rate-per-host", 1000) &&
         add_number(c, o, "parallel", 10000);
    if (ok && cli_has(c, "versions"))
        json_object_set_new(o, "versions", json_true());
    if (ok && json_array_size(targets))
        json_object_set(o, "targets", targets);
    json_decref(targets);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}
