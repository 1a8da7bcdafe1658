/* backup and restore: the store, the keys as they lie (encrypted), configuration, TLS files and lists of weak keys, in one directory
 * with a list of what is in it. The keys' passphrase is not, unless asked for, and an offline root's bundle never is. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/show.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "register/register.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_CHUNK = 1 << 18, MANIFEST_MAX = 16 << 20, CONFIG_MAX = 1 << 20, TENANTS_MAX = 100000 };

static const char backup_format[] = "touchmark-backup-1";
static const char store_name[] = "store.db";
static const char *const backup_dirs[] = {"keys", "tls", "weak-keys", NULL};

/* ---- files ---- */

static int fail_path(struct cli *c, const char *path)
{
    return cli_fail(c, "%s: %s", path, strerror(errno));
}

enum { SHOWN_FROM = 64 << 20 }; /* files below it are there at once */

/* Copy `from` to the descriptor `to` (-1: only digest it). */
static bool pump(struct cli *c, const char *name, int from, int to, uint8_t hash[SHA256_LEN],
                 uint64_t *ret_size)
{
    struct stat st;
    struct cli_progress p = {0};
    if (fstat(from, &st) == 0 && st.st_size >= SHOWN_FROM)
        cli_progress_begin(&p, c, name, (uint64_t)st.st_size);
    uint8_t *chunk = malloc(COPY_CHUNK);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = chunk && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    *ret_size = 0;
    while (ok) {
        ssize_t n = read(from, chunk, COPY_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            ok = n == 0;
            break;
        }
        *ret_size += (uint64_t)n;
        cli_progress_step(&p, *ret_size);
        ok = EVP_DigestUpdate(md, chunk, (size_t)n) == 1 &&
             (to < 0 || fd_write_all(to, slice_of(chunk, (size_t)n)));
    }
    ok = ok && EVP_DigestFinal_ex(md, hash, NULL) == 1 && (to < 0 || fsync(to) == 0);
    cli_progress_end(&p);
    EVP_MD_CTX_free(md);
    free(chunk);
    return ok;
}

/* The list of files of a backup as it grows: {"path", "size", "sha256", "mode"}. */
static bool list_file(json_t *files, const char *name, uint64_t size, const uint8_t hash[SHA256_LEN],
                      mode_t mode)
{
    char hex[2 * SHA256_LEN + 1];
    hex_encode(hex, slice_of(hash, SHA256_LEN));
    return json_array_append_new(files, json_pack("{s:s,s:I,s:s,s:i}", "path", name, "size", (json_int_t)size,
                                                  "sha256", hex, "mode", (int)(mode & 0777))) == 0;
}

/* One file from home to backup or back, on disk when this returns. `files` may be NULL. */
static bool copy_file(struct cli *c, const char *from_dir, const char *from_name, const char *to_dir,
                      const char *to_name, json_t *files, uint8_t ret_hash[SHA256_LEN])
{
    const char *from = arena_printf(c->arena, "%s/%s", from_dir, from_name);
    const char *to = arena_printf(c->arena, "%s/%s", to_dir, to_name);
    struct stat st;
    uint64_t size;
    if (!from || !to)
        return false;
    TM_CLEANUP(tm_close_p) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0 || fstat(in, &st) != 0)
        return fail_path(c, from) == 0;
    TM_CLEANUP(tm_close_p) int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0 || !pump(c, from_name, in, out, ret_hash, &size) || fchmod(out, st.st_mode & 0700) != 0)
        return fail_path(c, to) == 0;
    /* Whoever may read it here may read it there; only root can give files away, and only root has to. */
    if (geteuid() == 0 && fchown(out, st.st_uid, st.st_gid) != 0)
        return fail_path(c, to) == 0;
    return !files || list_file(files, to_name, size, ret_hash, st.st_mode);
}

/* ---- backup ---- */

static bool copy_dir(struct cli *c, const char *name, const char *to, json_t *files)
{
    const char *from = arena_printf(c->arena, "%s/%s", c->home, name);
    const char *into = arena_printf(c->arena, "%s/%s", to, name);
    DIR *d = from && into ? opendir(from) : NULL;
    if (!d && errno == ENOTDIR) { /* weak-keys may be one list */
        uint8_t hash[SHA256_LEN];
        return copy_file(c, c->home, name, to, name, files, hash);
    }
    if (!d)
        return errno == ENOENT || fail_path(c, from ? from : name) == 0;
    struct stat st;
    bool ok = mkdir(into, 0700) == 0 && stat(from, &st) == 0;
    if (ok && geteuid() == 0)
        ok = chown(into, st.st_uid, st.st_gid) == 0;
    if (!ok)
        fail_path(c, into);
    for (const struct dirent *e; ok && (e = readdir(d));) {
        const char *file = arena_printf(c->arena, "%s/%s", name, e->d_name);
        const char *path = arena_printf(c->arena, "%s/%s", from, e->d_name);
        uint8_t hash[SHA256_LEN];
        if (e->d_name[0] == '.' || !path || lstat(path, &st) != 0)
            continue;
        if (S_ISLNK(st.st_mode))
            fprintf(stderr, "%s is a link and is left out: see to what it points to yourself.\n", path);
        if (!S_ISREG(st.st_mode))
            continue;
        ok = file && copy_file(c, c->home, file, to, file, files, hash);
    }
    closedir(d);
    return ok;
}

/* The running server copies its store itself; without one this process does, as the store's only user. */
static bool backup_store(struct cli *c, const char *dir)
{
    const char *path = arena_printf(c->arena, "%s/%s", dir, store_name);
    struct buf body;
    struct cli_reply r;
    buf_init(&body, 64 << 10);
    buf_puts(&body, "{\"path\":");
    buf_put_json_string(&body, slice_str(path));
    buf_puts(&body, "}");
    cli_call_patience(CLI_PATIENCE_DAY); /* a large store takes its time */
    bool ok = path && buf_err(&body) == TM_OK &&
              cli_call_ok(c, "POST", "/api/v1/backup", buf_slice(&body), "application/json", &r);
    buf_done(&body);
    return ok;
}

static bool list_store(struct cli *c, const char *dir, json_t *files)
{
    const char *path = arena_printf(c->arena, "%s/%s", dir, store_name);
    uint8_t hash[SHA256_LEN];
    uint64_t size;
    TM_CLEANUP(tm_close_p) int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    return fd >= 0 && pump(c, store_name, fd, -1, hash, &size) &&
           list_file(files, store_name, size, hash, 0600);
}

static bool write_manifest(struct cli *c, const char *dir, json_t *files)
{
    char now[21];
    clock_format_rfc3339(now, clock_now());
    char *home = realpath(c->home, NULL);
    json_t *v = json_pack("{s:s,s:s,s:s,s:s,s:O}", "format", backup_format, "time", now, "version",
                          TM_VERSION, "home", home ? home : c->home, "files", files);
    free(home);
    struct buf b;
    buf_init(&b, MANIFEST_MAX);
    if (v)
        buf_put_json(&b, v, true);
    buf_putc(&b, '\n');
    const char *path = arena_printf(c->arena, "%s/backup.json", dir);
    bool ok = v && path && buf_err(&b) == TM_OK && cli_write_file(c, path, buf_slice(&b), 0600);
    buf_done(&b);
    json_decref(v);
    return ok;
}

static bool backup_into(struct cli *c, const char *dir, json_t *files)
{
    uint8_t hash[SHA256_LEN];
    /* The store first: a signer's memory that is newer than the store shows after a restore, an older one would not. */
    bool ok = backup_store(c, dir) && list_store(c, dir, files) &&
              copy_file(c, c->home, "touchmark.yaml", dir, "touchmark.yaml", files, hash);
    for (size_t i = 0; ok && backup_dirs[i]; i++)
        ok = copy_dir(c, backup_dirs[i], dir, files);
    if (ok && cli_has(c, "with-passphrase"))
        ok = copy_file(c, c->home, "passphrase", dir, "passphrase", files, hash);
    return ok && write_manifest(c, dir, files);
}

static int backup(struct cli *c)
{
    struct stat st;
    if (stat(c->home, &st) != 0)
        return fail_path(c, c->home);
    if (mkdir(c->args[0], 0700) != 0)
        return errno == EEXIST ? cli_fail(c, "%s exists already: a backup is a new directory", c->args[0])
                               : fail_path(c, c->args[0]);
    /* The server writes its part itself. */
    if (geteuid() == 0 && chown(c->args[0], st.st_uid, st.st_gid) != 0)
        return fail_path(c, c->args[0]);
    char *dir = realpath(c->args[0], NULL);
    json_t *files = json_array();
    int status = dir && files && backup_into(c, dir, files) ? 0 : 1;
    if (status == 0) {
        json_t *v = json_pack("{s:s,s:I}", "backup", dir, "files", (json_int_t)json_array_size(files));
        status = show_value(c, v);
        json_decref(v);
        if (!cli_has(c, "with-passphrase"))
            fprintf(
                stderr,
                "The keys are in it, encrypted; their passphrase is not. Keep that elsewhere: without it the backup is of no "
                "use.\n");
    } else {
        cli_fail(c, "%s is not whole: remove it and try again", c->args[0]);
    }
    json_decref(files);
    free(dir);
    return status;
}

/* ---- restore ---- */

/* A name in a list that somebody may have altered: it must stay inside. */
static bool name_inside(const char *name)
{
    return name && name[0] && name[0] != '/' && !strstr(name, "..") && strlen(name) < 512;
}

static json_t *read_manifest(struct cli *c, const char *dir)
{
    const char *path = arena_printf(c->arena, "%s/backup.json", dir);
    struct slice text;
    json_t *v = NULL;
    struct diag diag = {0};
    if (!path || !cli_read_file(c, path, MANIFEST_MAX, &text))
        return NULL;
    tm_err e = json_parse(&v, text, MANIFEST_MAX, &diag);
    const char *format = e == TM_OK ? json_string_value(json_object_get(v, "format")) : NULL;
    if (format && strcmp(format, backup_format) == 0 && json_is_array(json_object_get(v, "files")))
        return v;
    cli_fail(c, "%s is not the list of a backup that this version reads", path);
    json_decref(v);
    return NULL;
}

/* Copy one listed file into the home and compare what arrived with the list. */
static bool restore_file(struct cli *c, const char *dir, const json_t *file)
{
    const char *name = json_string_value(json_object_get(file, "path"));
    const char *want = json_string_value(json_object_get(file, "sha256"));
    if (!name_inside(name) || !want)
        return cli_fail(c, "%s: the list of files is damaged", dir) == 0;
    bool is_store = strcmp(name, store_name) == 0;
    const char *to = is_store ? "store/touchmark.db" : name;
    const char *slash = strrchr(to, '/');
    if (slash) {
        const char *sub = arena_printf(c->arena, "%s/%.*s", c->home, (int)(slash - to), to);
        struct stat st;
        const char *was = arena_printf(c->arena, "%s/%.*s", dir, (int)(slash - to), to);
        if (!sub || !was || (mkdir(sub, 0700) != 0 && errno != EEXIST))
            return fail_path(c, sub ? sub : dir) == 0;
        if (geteuid() == 0 && !is_store && stat(was, &st) == 0 && chown(sub, st.st_uid, st.st_gid) != 0)
            return fail_path(c, sub) == 0;
    }
    uint8_t hash[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    if (!copy_file(c, dir, name, c->home, to, NULL, hash))
        return false;
    hex_encode(hex, SLICE_ARR(hash));
    if (strcmp(hex, want) != 0)
        return cli_fail(c, "%s/%s is not what was backed up: its SHA-256 differs from the list", dir, name) ==
               0;
    return true;
}

/* Where touchmark.yaml names files of the home by their whole path, those move along. */
static bool move_config(struct cli *c, const char *old_home)
{
    const char *path = arena_printf(c->arena, "%s/touchmark.yaml", c->home);
    char *home = realpath(c->home, NULL);
    struct slice text;
    bool ok = path && home && old_home && cli_read_file(c, path, CONFIG_MAX, &text);
    if (ok && strcmp(home, old_home) != 0) {
        struct buf b;
        size_t n = strlen(old_home);
        buf_init(&b, 2 * CONFIG_MAX);
        for (size_t i = 0; i < text.n; i++) {
            bool here = text.n - i > n && memcmp(text.p + i, old_home, n) == 0 && text.p[i + n] == '/';
            if (here) {
                buf_puts(&b, home);
                i += n - 1;
            } else {
                buf_putc(&b, text.p[i]);
            }
        }
        ok = buf_err(&b) == TM_OK && cli_write_file(c, path, buf_slice(&b), 0600);
        buf_done(&b);
    }
    free(home);
    return ok;
}

/* What the signer signed after the copy was made is in no log of it: a new epoch says so, and everything before it is checked. */
static tm_err begin_epoch(struct cli *c, struct house *h, uint64_t *ret_epoch, struct diag *diag)
{
    struct catalog *cat = house_catalog(h);
    const struct tenant *v;
    size_t n = catalog_tenants(cat, &v), k = 0;
    tenant_id *ids = arena_calloc(c->arena, n + 1, sizeof *ids);
    for (size_t i = 0; ids && i < n; i++)
        if (v[i].id != TENANT_HOUSE)
            ids[k++] = v[i].id;
    catalog_unref(cat);
    if (!ids)
        return TM_ENOMEM;
    ids[k++] = TENANT_HOUSE; /* it anchors the others */
    uint64_t seq;
    uint8_t hash[32];
    chain_position(h->chain, &seq, hash);
    TM_TRY(register_new_epoch(h->reg, ids, k, seq, hash, ret_epoch, diag));
    TM_TRY(house_sequence(h, diag));
    for (size_t i = 0; i < k; i++) {
        struct register_report r;
        TM_TRY(register_verify(&r, h->reg, ids[i], NULL, NULL, diag));
    }
    return TM_OK;
}

static bool lies_in(const char *file, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(file, dir, n) == 0 && file[n] == '/';
}

/* The passphrase is in no backup unless asked for, but touchmark.yaml may say that it is read from a file of the home: then the one that
 * opened the keys just now goes there again. The file's path when it stands where it is looked for, else NULL with a word on what to do. */
static const char *bring_passphrase(struct cli *c)
{
    const char *file = cli_passphrase_configured(c), *given = cli_get(c, "passphrase-file");
    if (file && access(file, R_OK) == 0)
        return file;
    struct secret s = {0};
    struct diag diag = {0};
    struct stat st;
    const char *yaml = arena_printf(c->arena, "%s/touchmark.yaml", c->home);
    char *home = realpath(c->home, NULL);
    bool inside = file && home && (lies_in(file, home) || lies_in(file, c->home));
    free(home);
    if (inside && given && secret_read_file(&s, given, &diag) == TM_OK) {
        bool ok = cli_write_file(c, file, secret_slice(&s), 0400);
        if (ok && geteuid() == 0 && yaml && stat(yaml, &st) == 0)
            ok = chown(file, st.st_uid, st.st_gid) == 0;
        secret_done(&s);
        if (ok)
            return file;
    }
    if (file)
        fprintf(
            stderr,
            "The keys' passphrase is not in the backup. touchmark.yaml reads it from %s: put it there (mode 0400), or give\n"
            "--passphrase-file to \"touchmark serve\" and to every command while no server runs.\n",
            file);
    return NULL;
}

static int restore_in(struct cli *c, const char *dir, const json_t *manifest)
{
    size_t i;
    const json_t *file;
    json_array_foreach(json_object_get(manifest, "files"), i, file) if (!restore_file(c, dir, file)) return 1;
    if (!move_config(c, json_string_value(json_object_get(manifest, "home"))))
        return cli_fail(c, "%s/touchmark.yaml could not be written", c->home);
    struct house *h = cli_house(c, HOUSE_OFFLINE);
    if (!h)
        return cli_fail(
            c, "the files are in %s, but the house did not open: remove them, mend that and restore again",
            c->home);
    struct diag diag = {0};
    uint64_t epoch = 0;
    tm_err e = begin_epoch(c, h, &epoch, &diag);
    if (e != TM_OK)
        return cli_fail_diag(c, e, &diag, "the restored register does not verify");
    const char *passphrase = bring_passphrase(c);
    json_t *v = json_pack("{s:s,s:s,s:I,s:I,s:b,s:s?}", "home", c->home, "backup_of",
                          json_string_value(json_object_get(manifest, "time")), "files",
                          (json_int_t)json_array_size(json_object_get(manifest, "files")), "epoch",
                          (json_int_t)epoch, "verified", 1, "passphrase_file", passphrase);
    int status = v ? show_value(c, v) : 1;
    json_decref(v);
    return status;
}

/* Absent or an empty directory. */
static bool home_is_free(struct cli *c)
{
    DIR *d = opendir(c->home);
    if (!d)
        return errno == ENOENT || fail_path(c, c->home) == 0;
    bool empty = true;
    for (const struct dirent *e; (e = readdir(d));)
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    closedir(d);
    if (!empty)
        cli_fail(c, "%s is not empty: a backup is restored into an empty home; name another with --home",
                 c->home);
    return empty;
}

/* The passphrase opens what is to be restored: known before anything is copied. */
static bool unlock_backup(struct cli *c, const char *dir, const json_t *manifest)
{
    const char *key = NULL, *usual = NULL, *home = c->home;
    size_t i;
    const json_t *file;
    json_array_foreach(json_object_get(manifest, "files"), i, file)
    {
        const char *name = json_string_value(json_object_get(file, "path"));
        size_t n = name_inside(name) ? strlen(name) : 0;
        if (!key && n > 9 && strncmp(name, "keys/", 5) == 0 && strcmp(name + n - 4, ".key") == 0)
            key = arena_strndup(c->arena, name + 5, n - 9);
        if (n && strcmp(name, "passphrase") == 0)
            usual = arena_printf(c->arena, "%s/passphrase", dir);
    }
    if (!key)
        return cli_fail(c, "%s: there is no key in this backup", dir) == 0;
    c->home = dir; /* whose touchmark.yaml says where it is usually read */
    const char *configured = usual ? NULL : cli_passphrase_configured(c);
    c->home = home;
    if (!usual && configured && access(configured, R_OK) == 0)
        usual = configured;
    const char *keys = arena_printf(c->arena, "%s/keys", dir);
    return keys && cli_unlock(c, usual, keys, key);
}

static int restore(struct cli *c)
{
    json_t *manifest = read_manifest(c, c->args[0]);
    if (!manifest)
        return 1;
    int status = 1;
    if (home_is_free(c) && unlock_backup(c, c->args[0], manifest)) {
        if (mkdir(c->home, 0700) != 0 && errno != EEXIST)
            fail_path(c, c->home);
        else
            status = restore_in(c, c->args[0], manifest);
    }
    json_decref(manifest);
    return status;
}

static const struct cli_option backup_options[] = {
    {"with-passphrase", 0, NULL, "put <home>/passphrase into it: whoever has the backup then has the keys",
     false},
    {"passphrase-file", 0, "FILE", "the house's passphrase, where no server runs", false},
    {0},
};
static const struct cli_option restore_options[] = {
    {"passphrase-file", 0, "FILE", "the passphrase of the keys in the backup", false},
    {0},
};

const struct command backup_commands[] = {
    {.noun = "backup",
     .verb = "",
     .summary = "back the house up into a new directory",
     .arguments = "DIR",
     .description =
         "While the server runs, without stopping it. Store, keys (encrypted), configuration, TLS files and weak-keys/,\n"
         "and a list of them with SHA-256. Neither the passphrase nor an offline root's bundle goes along.",
     .example = "touchmark backup /media/backup/2026-11-21",
     .options = backup_options,
     .min_args = 1,
     .max_args = 1,
     .run = backup},
    {.noun = "restore",
     .verb = "",
     .summary = "make a house out of a backup",
     .arguments = "DIR",
     .description =
         "Into an empty home. The passphrase is tried first. Every file is compared with the list; then the register begins a new epoch, which names the last\n"
         "root before it, and all of it is verified. Where touchmark.yaml reads the passphrase from a file of the home, the one\n"
         "given with --passphrase-file is put back there. The old house must not go on beside the new one.",
     .example = "touchmark restore /media/backup/2026-11-21 --home /var/lib/touchmark --passphrase-file pass",
     .options = restore_options,
     .min_args = 1,
     .max_args = 1,
     .run = restore},
    {0},
};
