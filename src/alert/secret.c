/* The password or key of a notification: AES-256-GCM under a key of its own, which the signer seals (docs/adr/0009). */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/secrets.h"
#include "register/register.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

enum { NONCE = 12, TAG = 16, SECRET_MAX = 512 };

/* 2 octets of length, the sealed key, then nonce, tag and text. */
static tm_err crypt(bool seal, uint8_t *out, struct slice in, const uint8_t key[32],
                    const uint8_t nonce[NONCE], uint8_t tag[TAG])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    bool good = c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce, seal) == 1 &&
                (seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1) &&
                EVP_CipherUpdate(c, out, &n, in.p, (int)in.n) == 1 &&
                EVP_CipherFinal_ex(c, out + n, &last) == 1 &&
                (!seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1);
    EVP_CIPHER_CTX_free(c);
    return good ? TM_OK : TM_ECRYPTO;
}

/* It is for the server that it was given for: a document that names another one later does not send it there. */
static const char *record_of(struct arena *a, const struct notification_doc *d)
{
    uint8_t hash[SHA256_LEN];
    const char *where = d->channel == NOTIFY_MAIL
                            ? arena_printf(a, "mail/%s/%lld/%d/%s", d->mail.server, (long long)d->mail.port,
                                           d->mail.tls, d->mail.user)
                            : arena_printf(a, "webhook/%s", d->webhook.url ? d->webhook.url : "");
    const char *hex =
        where && sha256(hash, slice_str(where)) == TM_OK ? arena_hex(a, slice_of(hash, 16)) : NULL;
    return hex ? arena_printf(a, "notification/%s/%s", d->name, hex) : NULL;
}

static tm_err state_make(struct slice *ret, struct arena *a, struct house *h, tenant_id tenant,
                         const struct notification_doc *d, const char *secret, struct diag *diag)
{
    uint8_t key[SHARED_SECRET_LEN];
    struct slice sealed;
    const char *record = record_of(a, d);
    size_t n = strlen(secret);
    TM_TRY(record ? random_bytes(key, sizeof key) : TM_ENOMEM);
    tm_err e = secrets_seal(&sealed, a, h, tenant, record, key, diag);
    uint8_t *p = e == TM_OK ? arena_alloc(a, 2 + sealed.n + NONCE + TAG + n) : NULL;
    if (p) {
        uint8_t *at = p + 2 + sealed.n;
        p[0] = (uint8_t)(sealed.n >> 8);
        p[1] = (uint8_t)sealed.n;
        memcpy(p + 2, sealed.p, sealed.n);
        e = random_bytes(at, NONCE);
        if (e == TM_OK)
            e = crypt(true, at + NONCE + TAG, slice_str(secret), key, at, at + NONCE);
        *ret = slice_of(p, 2 + sealed.n + NONCE + TAG + n);
    } else if (e == TM_OK) {
        e = TM_ENOMEM;
    }
    OPENSSL_cleanse(key, sizeof key);
    return e;
}

tm_err secret_read(char **ret, struct arena *a, struct house *h, tenant_id tenant,
                   const struct notification_doc *d, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_NOTIFICATION_SECRET,
                           .name = d->name};
    uint8_t key[SHARED_SECRET_LEN];
    tm_err e = store_read_now(h->store, &q);
    *ret = arena_strdup(a, "");
    if (e == TM_ENOTFOUND)
        return *ret ? TM_OK : TM_ENOMEM;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    struct slice s = q.objects[0].state;
    size_t sealed = s.n > 2 ? (size_t)s.p[0] << 8 | s.p[1] : 0;
    if (s.n < 2 + sealed + NONCE + TAG)
        return TM_ECORRUPT;
    struct slice text = slice_sub(s, 2 + sealed + NONCE + TAG, s.n);
    const char *record = record_of(a, d);
    char *out = arena_alloc(a, text.n + 1);
    if (!record || !out)
        return TM_ENOMEM;
    e = secrets_open(key, a, h, tenant, record, slice_sub(s, 2, sealed), diag);
    if (e == TM_EDENIED)
        return diag_fail(diag, e, "notification.secret", "secret",
                         "it was given for another server or address: touchmark alert secret %s", d->name);
    TM_TRY(e);
    uint8_t tag[TAG];
    memcpy(tag, s.p + 2 + sealed + NONCE, TAG);
    e = crypt(false, (uint8_t *)out, text, key, s.p + 2 + sealed, tag);
    OPENSSL_cleanse(key, sizeof key);
    out[text.n] = '\0';
    *ret = out;
    return e == TM_OK ? e
                      : diag_fail(diag, TM_EDENIED, NULL, "secret", "it was not sealed here: set it again");
}

/* Without `state` it is taken away. */
static tm_err keep(struct arena *a, struct house *h, tenant_id tenant, const char *name, struct slice state,
                   const char *by, struct diag *diag)
{
    struct effect effects[2];
    struct slice body;
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
        {.key = "set", .kind = EVENT_RAW, .s = state.n ? SLICE_LIT("true") : SLICE_LIT("false")},
        {0}};
    const char *about = arena_printf(a, "notification/%s", name);
    effects[0] = (struct effect){
        .kind = state.n ? EFFECT_OBJECT_PUT : EFFECT_OBJECT_DROP, .tenant = tenant, .expected_version = -1};
    effects[0].u.object.row = (struct object_row){.kind = OBJECT_NOTIFICATION_SECRET,
                                                  .id = name,
                                                  .owner = "",
                                                  .key = "",
                                                  .ref = "",
                                                  .status = 1,
                                                  .created_at = clock_now(),
                                                  .state = state};
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    TM_TRY(register_event_effect(&effects[1], a, tenant, "notification.secret", about, body, clock_now_ms()));
    return house_commit(h, effects, 2, diag);
}

tm_err alert_secret(struct house *h, tenant_id tenant, const char *notification, const char *secret,
                    const char *by, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct notification_doc d;
    struct slice state = {0};
    tm_err e = a ? notification_read(&d, a, h, tenant, notification, diag) : TM_ENOMEM;
    if (e == TM_OK && strlen(secret) > SECRET_MAX)
        e = diag_fail(diag, TM_EINVAL, NULL, "/secret", "at most %d octets", SECRET_MAX);
    if (e == TM_OK && strpbrk(secret, "\r\n"))
        e = diag_fail(diag, TM_EINVAL, NULL, "/secret", "one line");
    if (e == TM_OK && secret[0])
        e = state_make(&state, a, h, tenant, &d, secret, diag);
    if (e == TM_OK)
        e = keep(a, h, tenant, notification, state, by, diag);
    arena_free(a);
    return e;
}

tm_err alert_secret_forget(struct house *h, tenant_id tenant, const char *notification, const char *by,
                           struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_NOTIFICATION_SECRET,
                           .name = notification};
    tm_err e = a ? store_read_now(h->store, &q) : TM_ENOMEM;
    if (e == TM_OK)
        e = keep(a, h, tenant, notification, (struct slice){0}, by, diag);
    else if (e == TM_ENOTFOUND)
        e = TM_OK;
    else if (a)
        *diag = q.diag;
    arena_free(a);
    return e;
}
