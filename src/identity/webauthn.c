#include "identity/webauthn.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"
#include "identity/cbor.h"
#include <string.h>

enum { TEXT_MAX = 1024, DIGEST_INPUT_MAX = WEBAUTHN_OBJECT_MAX + SHA256_LEN };

/* 6.1: flags of authenticator data */
enum {
    FLAG_PRESENT = 0x01,
    FLAG_VERIFIED = 0x04,
    FLAG_BACKUP_ELIGIBLE = 0x08,
    FLAG_BACKED_UP = 0x10,
    FLAG_CREDENTIAL = 0x40,
    FLAG_EXTENSIONS = 0x80,
};
enum { RP_HASH = 32, FLAGS_AT = 32, COUNT_AT = 33, HEAD = 37, AAGUID = 16, ID_LENGTH = 2 };

/* ---- client data ---- */

static const char *member(const json_t *doc, const char *name)
{
    const json_t *v = json_object_get(doc, name);
    const char *s = json_string_value(v);
    return s && json_string_length(v) <= TEXT_MAX && strlen(s) == json_string_length(v) ? s : NULL;
}

static tm_err check_client_data(const json_t *doc, bool making, const struct webauthn_place *where,
                                struct diag *diag)
{
    const char *type = member(doc, "type"), *origin = member(doc, "origin");
    if (!type || strcmp(type, making ? "webauthn.create" : "webauthn.get") != 0)
        return diag_fail(diag, TM_EDENIED, "WebAuthn 7.1.7", "clientDataJSON.type",
                         "this was made for another purpose");
    if (!origin || strcmp(origin, where->origin) != 0)
        return diag_fail(diag, TM_EDENIED, "WebAuthn 7.1.9", "clientDataJSON.origin",
                         "this was made for another address than %s", where->origin);
    /* 5.8.1: said only by those who were framed in somebody else's page */
    if (json_is_true(json_object_get(doc, "crossOrigin")) || json_object_get(doc, "topOrigin"))
        return diag_fail(diag, TM_EDENIED, "WebAuthn 7.1.10", "clientDataJSON.crossOrigin",
                         "this was made inside another page");
    if (!member(doc, "challenge"))
        return diag_fail(diag, TM_EMALFORMED, "WebAuthn 5.8.1", "clientDataJSON.challenge",
                         "the challenge is missing");
    return TM_OK;
}

tm_err webauthn_client_data(const char **ret_challenge, struct arena *a, struct slice json, bool making,
                            const struct webauthn_place *where, struct diag *diag)
{
    json_t *doc = NULL;
    tm_err e = json_parse(&doc, json, WEBAUTHN_CLIENT_DATA_MAX, diag);
    if (e != TM_OK)
        return e;
    e = check_client_data(doc, making, where, diag);
    if (e == TM_OK) {
        const char *challenge = arena_strdup(a, member(doc, "challenge"));
        if (challenge)
            *ret_challenge = challenge;
        else
            e = TM_ENOMEM;
    }
    json_decref(doc);
    return e;
}

/* ---- authenticator data ---- */

struct auth_data {
    unsigned flags;
    uint32_t count;
    struct slice rest; /* attested credential data and extensions */
};

static tm_err read_auth_data(struct auth_data *ret, struct slice octets, const struct webauthn_place *where,
                             struct diag *diag)
{
    uint8_t rp[SHA256_LEN];
    if (octets.n < HEAD)
        return diag_fail(diag, TM_EMALFORMED, "WebAuthn 6.1", "authenticatorData", "it is too short");
    TM_TRY(sha256(rp, slice_str(where->rp_id)));
    if (memcmp(octets.p, rp, RP_HASH) != 0)
        return diag_fail(diag, TM_EDENIED, "WebAuthn 7.1.13", "authenticatorData.rpIdHash",
                         "this passkey is for another name than \"%s\"", where->rp_id);
    unsigned flags = octets.p[FLAGS_AT];
    if (!(flags & FLAG_PRESENT) || !(flags & FLAG_VERIFIED))
        return diag_fail(
            diag, TM_EDENIED, "WebAuthn 7.1.15", "authenticatorData.flags",
            "the authenticator has not verified its user: it needs a PIN, a fingerprint or the like");
    if ((flags & FLAG_BACKED_UP) && !(flags & FLAG_BACKUP_ELIGIBLE))
        return diag_fail(diag, TM_EMALFORMED, "WebAuthn 6.1.3", "authenticatorData.flags",
                         "backed up, but not eligible for it");
    *ret = (struct auth_data){
        .flags = flags,
        .count = (uint32_t)octets.p[COUNT_AT] << 24 | (uint32_t)octets.p[COUNT_AT + 1] << 16 |
                 (uint32_t)octets.p[COUNT_AT + 2] << 8 | octets.p[COUNT_AT + 3],
        .rest = slice_sub(octets, HEAD, SIZE_MAX),
    };
    return TM_OK;
}

/* 6.1: behind the head stand the attested credential data and the extensions, each where its flag says so, and nothing else. */
static tm_err check_extensions(unsigned flags, struct slice rest, struct diag *diag)
{
    struct cbor c;
    cbor_init(&c, rest);
    if (flags & FLAG_EXTENSIONS)
        for (size_t n = cbor_map(&c); n > 0 && c.err == TM_OK; n--) {
            cbor_text(&c);
            cbor_skip(&c);
        }
    return cbor_end(&c) == TM_OK ? TM_OK
                                 : diag_fail(diag, TM_EMALFORMED, "WebAuthn 6.1", "authenticatorData",
                                             "what stands at its end is not a map of extensions");
}

/* 6.5.2: aaguid, length of the id, the id, the public key as a COSE key */
static tm_err read_credential(struct webauthn_credential *ret, struct arena *a, const struct auth_data *d,
                              struct diag *diag)
{
    struct slice s = d->rest;
    size_t n = s.n >= AAGUID + ID_LENGTH ? (size_t)s.p[AAGUID] << 8 | s.p[AAGUID + 1] : 0;
    if (!(d->flags & FLAG_CREDENTIAL) || n == 0 || n > WEBAUTHN_CREDENTIAL_ID_MAX ||
        s.n - AAGUID - ID_LENGTH < n)
        return diag_fail(diag, TM_EMALFORMED, "WebAuthn 6.5.2", "attestedCredentialData",
                         "the authenticator names no credential of 1 to %d octets",
                         WEBAUTHN_CREDENTIAL_ID_MAX);
    struct webauthn_credential c = {
        .id = slice_sub(s, AAGUID + ID_LENGTH, n),
        .count = d->count,
        .backup_eligible = d->flags & FLAG_BACKUP_ELIGIBLE,
        .backed_up = d->flags & FLAG_BACKED_UP,
    };
    memcpy(c.aaguid, s.p, AAGUID);
    struct cbor cursor;
    cbor_init(&cursor, slice_sub(s, AAGUID + ID_LENGTH + n, SIZE_MAX));
    struct slice key = cbor_skip(&cursor);
    if (cursor.err != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "WebAuthn 6.5.2", "credentialPublicKey",
                         "the public key is not CBOR");
    TM_TRY(check_extensions(d->flags, slice_of(cursor.p, (size_t)(cursor.end - cursor.p)), diag));
    TM_TRY(cose_key_parse(&c.key, a, key, diag));
    *ret = c;
    return TM_OK;
}

/* What is signed: authenticator data, then the hash of the client data (6.3.3, 8.2). */
static tm_err check_signature(const struct spki *key, int alg, struct slice auth_data,
                              struct slice client_data, struct slice signature, struct diag *diag)
{
    uint8_t hash[SHA256_LEN];
    struct buf b;
    TM_TRY(sha256(hash, client_data));
    buf_init(&b, DIGEST_INPUT_MAX);
    buf_put_slice(&b, auth_data);
    buf_put(&b, hash, sizeof hash);
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = cose_verify(key, alg, buf_slice(&b), signature, diag);
    buf_done(&b);
    return e;
}

/* ---- making ---- */

struct attestation {
    struct slice format, auth_data, signature;
    int64_t alg;
    bool certified; /* x5c is there */
};

/* 8.2: attStmt of "packed": alg, sig, x5c; of the others all is passed over */
static void read_statement(struct cbor *c, struct attestation *at)
{
    for (size_t n = cbor_map(c); n > 0 && c->err == TM_OK; n--) {
        struct slice name = cbor_text(c);
        if (slice_eq_str(name, "alg") && cbor_is_int(c)) {
            at->alg = cbor_int(c);
        } else if (slice_eq_str(name, "sig")) {
            at->signature = cbor_bytes(c);
        } else {
            at->certified |= slice_eq_str(name, "x5c") || slice_eq_str(name, "ecdaaKeyId");
            cbor_skip(c);
        }
    }
}

static tm_err read_object(struct attestation *ret, struct slice octets, struct diag *diag)
{
    struct attestation at = {0};
    struct cbor c;
    if (octets.n > WEBAUTHN_OBJECT_MAX)
        return diag_fail(diag, TM_ETOOBIG, "WebAuthn 6.5.4", "attestationObject", "at most %d octets",
                         WEBAUTHN_OBJECT_MAX);
    cbor_init(&c, octets);
    for (size_t n = cbor_map(&c); n > 0 && c.err == TM_OK; n--) {
        struct slice name = cbor_text(&c);
        if (slice_eq_str(name, "fmt"))
            at.format = cbor_text(&c);
        else if (slice_eq_str(name, "attStmt"))
            read_statement(&c, &at);
        else if (slice_eq_str(name, "authData"))
            at.auth_data = cbor_bytes(&c);
        else
            cbor_skip(&c);
    }
    if (cbor_end(&c) != TM_OK || at.format.n == 0)
        return diag_fail(diag, TM_EMALFORMED, "WebAuthn 6.5.4", "attestationObject",
                         "it is not an attestation object");
    *ret = at;
    return TM_OK;
}

tm_err webauthn_made(struct webauthn_credential *ret, struct arena *a, struct slice attestation_object,
                     struct slice client_data, const struct webauthn_place *where, struct diag *diag)
{
    struct attestation at = {0};
    struct auth_data d = {0};
    struct webauthn_credential c = {0};
    TM_TRY(read_object(&at, attestation_object, diag));
    TM_TRY(read_auth_data(&d, at.auth_data, where, diag));
    TM_TRY(read_credential(&c, a, &d, diag));
    if (slice_eq_str(at.format, "packed") && !at.certified) {
        if (at.alg != c.key.alg)
            return diag_fail(diag, TM_EDENIED, "WebAuthn 8.2", "attStmt.alg",
                             "it attests itself by another algorithm than its key's");
        TM_TRY(check_signature(&c.key.spki, c.key.alg, at.auth_data, client_data, at.signature, diag));
    }
    *ret = c;
    return TM_OK;
}

/* ---- use ---- */

tm_err webauthn_used(struct webauthn_use *ret, const struct spki *key, int alg, struct slice auth_data,
                     struct slice client_data, struct slice signature, const struct webauthn_place *where,
                     struct diag *diag)
{
    struct auth_data d = {0};
    if (auth_data.n > WEBAUTHN_OBJECT_MAX)
        return diag_fail(diag, TM_ETOOBIG, "WebAuthn 6.1", "authenticatorData", "at most %d octets",
                         WEBAUTHN_OBJECT_MAX);
    TM_TRY(read_auth_data(&d, auth_data, where, diag));
    if (d.flags & FLAG_CREDENTIAL)
        return diag_fail(diag, TM_EMALFORMED, "WebAuthn 6.1", "authenticatorData",
                         "an assertion names no new credential");
    TM_TRY(check_extensions(d.flags, d.rest, diag));
    TM_TRY(check_signature(key, alg, auth_data, client_data, signature, diag));
    *ret = (struct webauthn_use){.count = d.count, .backed_up = d.flags & FLAG_BACKED_UP};
    return TM_OK;
}
