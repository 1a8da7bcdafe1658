#include "cli/pkcs12_out.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/cli.h"
#include "keys/key.h"
#include "x509/pkcs12.h"
#include <stdlib.h>
#include <string.h>

enum { KEY_FILE_MAX = 64 << 10, FILE_MODE = 0600 };

static bool complain(struct cli *c, const char *what, tm_err e, const struct diag *diag)
{
    cli_fail(c, "%s: %s", what, diag->message[0] ? diag->message : tm_err_name(e));
    return false;
}

static bool read_key(struct cli *c, const char *path, struct secret *ret_pkcs8)
{
    struct slice bytes;
    struct diag diag = {0};
    struct secret pass = {0};
    struct key *key = NULL;
    const char *file = cli_get(c, "key-password-file");
    if (!cli_read_file(c, path, KEY_FILE_MAX, &bytes))
        return false;
    tm_err e = file ? secret_read_file(&pass, file, &diag) : TM_OK;
    if (e != TM_OK)
        return complain(c, file, e, &diag);
    e = key_import(&key, bytes, file ? &pass : NULL, &diag);
    if (e == TM_ELOCKED && !file) {
        diag_clear(&diag);
        e = secret_prompt(&pass, "Password of the key: ", &diag);
        if (e == TM_OK)
            e = key_import(&key, bytes, &pass, &diag);
    }
    secret_done(&pass);
    if (e == TM_OK)
        e = key_export_pkcs8(ret_pkcs8, key);
    key_free(key);
    return e == TM_OK || complain(c, path, e, &diag);
}

static bool read_password(struct cli *c, struct secret *ret)
{
    struct diag diag = {0};
    const char *file = cli_get(c, "password-file");
    if (file) {
        tm_err e = secret_read_file(ret, file, &diag);
        return e == TM_OK || complain(c, file, e, &diag);
    }
    struct secret again = {0};
    tm_err e = secret_prompt(ret, "Password for the PKCS#12 file: ", &diag);
    if (e == TM_EUNAVAIL) {
        cli_fail(c, "no terminal to ask for a password; give --password-file");
        return false;
    }
    if (e == TM_OK)
        e = secret_prompt(&again, "The same again: ", &diag);
    bool same = e == TM_OK && slice_eq(secret_slice(ret), secret_slice(&again));
    secret_done(&again);
    if (e != TM_OK)
        return complain(c, "the password", e, &diag);
    if (!same)
        cli_fail(c, "the two passwords differ");
    return same;
}

static bool read_chain(struct cli *c, struct slice pem, struct slice *ret, size_t *ret_n)
{
    size_t n = 0;
    while (n < PKCS12_CHAIN_MAX && pem_next(&ret[n], NULL, c->arena, &pem, "CERTIFICATE") == TM_OK)
        n++;
    if (n == 0)
        cli_fail(c, "the certificate itself is not kept, by its profile's retention");
    *ret_n = n;
    return n > 0;
}

bool pkcs12_write(struct cli *c, struct slice chain, const char *name)
{
    struct slice v[PKCS12_CHAIN_MAX];
    size_t n;
    struct secret key = {0}, password = {0};
    struct diag diag = {0};
    struct buf out;
    buf_init(&out, 1 << 20);
    bool good =
        read_chain(c, chain, v, &n) && read_key(c, cli_get(c, "key"), &key) && read_password(c, &password);
    if (good) {
        tm_err e = pkcs12_build(&out, secret_slice(&key), v, n, secret_slice(&password), name, &diag);
        good = e == TM_OK || complain(c, "PKCS#12", e, &diag);
    }
    good = good && cli_write_file(c, cli_get(c, "out"), buf_slice(&out), FILE_MODE);
    secret_done(&key);
    secret_done(&password);
    buf_done(&out);
    return good;
}
