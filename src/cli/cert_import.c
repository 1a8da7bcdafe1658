#include "cli/cert_import.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/show.h"
#include "discover/walk.h"
#include "inventory/formats/container.h"
#include <string.h>
#include <sys/stat.h>

enum { PASSWORD_MAX = 1024 }; /* what POST …/certificates/import takes */

const struct cli_option cert_import_options[] = {
    {"form", 0, "FORM", "pem, der, pkcs7, pkcs12, jks, yaml, csv or ndjson; told by content when left out",
     false},
    {"label", 0, "TEXT", "remember each file as a place, import:TEXT/FILE#ALIAS", false},
    {"password-file", 0, "FILE", "of PKCS#12 and Java keystores; else it is asked for where one is needed",
     false},
    {0},
};

struct importing {
    struct cli *c;
    json_t *files;
    struct secret password;
    json_int_t created, known, failed;
    size_t looked; /* files of a directory that hold none */
    bool walking, bad;
};

bool cert_import_password(struct cli *c, struct secret *io, const char *file)
{
    struct diag diag = {0};
    const char *from = cli_get(c, "password-file");
    if (io->p)
        return true;
    const char *prompt = arena_printf(c->arena, "Password of %s: ", file);
    tm_err e =
        from ? secret_read_file(io, from, &diag) : secret_prompt(io, prompt ? prompt : "Password: ", &diag);
    if (e == TM_OK && secret_slice(io).n <= PASSWORD_MAX)
        return true;
    if (e == TM_OK) {
        cli_fail(c, "%s: a password has at most %d octets; is this the right file?", from ? from : file,
                 PASSWORD_MAX);
        secret_done(io);
    } else if (e == TM_EUNAVAIL && !from)
        cli_fail(c, "%s: it needs a password; give --password-file", file);
    else
        cli_fail_diag(c, e, &diag, from ? from : file);
    return false;
}

/* ---- one file ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static bool send_plain(struct importing *im, const char *file, struct slice bytes, struct cli_reply *r)
{
    struct cli *c = im->c;
    const char *form = cli_get(c, "form"), *label = cli_get(c, "label");
    const char *path =
        arena_printf(c->arena, "/api/v1/certificates/import?name=%s", show_escape(c, base_name(file)));
    if (path && form)
        path = arena_printf(c->arena, "%s&form=%s", path, show_escape(c, form));
    if (path && label)
        path = arena_printf(c->arena, "%s&label=%s", path, show_escape(c, label));
    return path ? cli_call(c, "POST", path, bytes, "application/octet-stream", r)
                : (cli_fail(c, "out of memory"), false);
}

static bool send_with_password(struct importing *im, const char *file, struct slice bytes,
                               struct cli_reply *r)
{
    struct cli *c = im->c;
    struct buf b;
    const char *form = cli_get(c, "form"), *label = cli_get(c, "label");
    buf_init(&b, CONTAINER_OCTETS_MAX / 3 * 4 + (1 << 16));
    buf_puts(&b, "{\"name\":");
    buf_put_json_string(&b, slice_str(base_name(file)));
    if (form) {
        buf_puts(&b, ",\"form\":");
        buf_put_json_string(&b, slice_str(form));
    }
    if (label) {
        buf_puts(&b, ",\"label\":");
        buf_put_json_string(&b, slice_str(label));
    }
    buf_puts(&b, ",\"password\":");
    buf_put_json_string(&b, secret_slice(&im->password));
    buf_puts(&b, ",\"content\":\"");
    buf_put_base64(&b, bytes, BASE64_STD, 0);
    buf_puts(&b, "\"}");
    bool ok = buf_err(&b) == TM_OK &&
              cli_call(c, "POST", "/api/v1/certificates/import", buf_slice(&b), "application/json", r);
    if (b.p)
        explicit_bzero(b.p, b.n);
    buf_done(&b);
    return ok;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static bool wants_password(const struct cli_reply *r)
{
    return r->status == 422 && strcmp(text_of(r->json, "field"), "password") == 0;
}

/* Reasons go to where errors go, so that a list of results stays one. */
static void say_why(struct importing *im, const char *file, const json_t *answer)
{
    size_t i;
    const json_t *x;
    json_array_foreach(json_object_get(answer, "items"), i, x)
    {
        if (text_of(x, "detail")[0])
            cli_fail(im->c, "%s: certificate %zu%s%s: %s", file, i + 1, text_of(x, "alias")[0] ? ", " : "",
                     text_of(x, "alias"), text_of(x, "detail"));
    }
    json_array_foreach(json_object_get(answer, "why"), i, x)
    {
        cli_fail(im->c, "%s: %s%s%s", file, text_of(x, "where"), text_of(x, "where")[0] ? ": " : "",
                 text_of(x, "why"));
    }
    if (text_of(answer, "note")[0] && !im->c->quiet && im->c->output == OUTPUT_TABLE)
        fprintf(stderr, "%s: %s\n", file, text_of(answer, "note"));
}

static void note(struct importing *im, const char *file, const json_t *answer)
{
    json_int_t created = json_integer_value(json_object_get(answer, "created")),
               known = json_integer_value(json_object_get(answer, "known")),
               failed = json_integer_value(json_object_get(answer, "failed"));
    im->created += created;
    im->known += known;
    im->failed += failed;
    json_array_append_new(im->files, json_pack("{s:s,s:s,s:I,s:I,s:I,s:O?,s:O?,s:O?}", "file", file, "format",
                                               text_of(answer, "format"), "created", created, "known", known,
                                               "failed", failed, "keys", json_object_get(answer, "keys"),
                                               "unread", json_object_get(answer, "unread"), "why",
                                               json_object_get(answer, "why")));
    if (json_integer_value(json_object_get(answer, "unread")))
        im->bad = true;
    else if (!im->walking && created + known + failed == 0 && !im->c->quiet)
        fprintf(stderr, "%s: no certificate in it; of private keys, which are never read, %lld\n", file,
                (long long)json_integer_value(json_object_get(answer, "keys")));
}

static bool is_java(struct slice bytes)
{
    static const uint8_t jks[] = {0xfe, 0xed, 0xfe, 0xed}, jceks[] = {0xce, 0xce, 0xce, 0xce};
    return bytes.n >= sizeof jks &&
           (memcmp(bytes.p, jks, sizeof jks) == 0 || memcmp(bytes.p, jceks, sizeof jceks) == 0);
}

static bool import_file(void *arg, const char *file, struct slice bytes)
{
    struct importing *im = arg;
    struct cli_reply r;
    /* A Java keystore shows its certificates without: who gave a password wants the digest verified. */
    if (is_java(bytes) && cli_has(im->c, "password-file") &&
        !cert_import_password(im->c, &im->password, file)) {
        im->bad = true;
        return im->walking;
    }
    bool ok = im->password.p ? send_with_password(im, file, bytes, &r) : send_plain(im, file, bytes, &r);
    if (ok && !im->password.p && wants_password(&r) && (!im->walking || cli_has(im->c, "password-file"))) {
        if (!cert_import_password(im->c, &im->password, file)) {
            im->bad = true;
            return im->walking;
        }
        ok = send_with_password(im, file, bytes, &r);
    }
    if (!ok) { /* there is no server, or no house: nor will there be for the next file */
        im->bad = true;
        return false;
    }
    if (r.status >= 500 || r.status == 401 || r.status == 403) {
        cli_fail(im->c, "%s: %s", file, text_of(r.json, "detail")[0] ? text_of(r.json, "detail") : "refused");
        im->bad = true;
        return false;
    }
    if (r.status >= 400 && im->walking && r.status == 400) {
        im->looked++; /* text, most likely: nothing in it */
        return true;
    }
    if (r.status >= 400) {
        cli_fail(im->c, "%s: %s", file, text_of(r.json, "detail"));
        im->bad = true;
        return true;
    }
    note(im, file, r.json);
    say_why(im, file, r.json);
    return true;
}

static void trouble(void *arg, const char *path, const char *why)
{
    struct importing *im = arg;
    im->bad = true;
    cli_fail(im->c, "%s: %s", path, why);
}

/* ---- all of them ---- */

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool import_argument(struct importing *im, const char *path)
{
    struct slice bytes;
    struct walk w = {.file = import_file, .trouble = trouble, .arg = im};
    im->walking = is_directory(path);
    if (im->walking)
        return walk_tree(&w, path) && !w.ended;
    if (cli_read_file(im->c, path, CONTAINER_OCTETS_MAX, &bytes))
        return import_file(im, path, bytes);
    im->bad = true;
    return true;
}

static int show_sum(struct importing *im)
{
    static const struct show_column columns[] = {
        {"FILE", "file"},     {"FORMAT", "format"}, {"NEW", "created"},   {"KNOWN", "known"},
        {"FAILED", "failed"}, {"KEYS", "keys"},     {"UNREAD", "unread"}, {0}};
    if (im->c->output == OUTPUT_TABLE && json_array_size(im->files) > 1)
        TM_IGNORE(show_items(im->c, im->files, columns) ? TM_EIO : TM_OK);
    json_t *sum =
        json_pack("{s:I,s:I,s:I}", "created", im->created, "known", im->known, "failed", im->failed);
    if (im->c->output != OUTPUT_TABLE)
        json_object_set(sum, "files", im->files);
    int bad = show_value(im->c, sum);
    json_decref(sum);
    return bad;
}

int cert_import(struct cli *c)
{
    struct importing im = {.c = c, .files = json_array()};
    if (!im.files)
        return cli_fail(c, "out of memory");
    bool go_on = true;
    for (int i = 0; i < c->n_args && go_on; i++)
        go_on = import_argument(&im, c->args[i]);
    int status = show_sum(&im);
    secret_done(&im.password);
    json_decref(im.files);
    return status || im.bad || im.failed || !go_on ? 1 : 0;
}
