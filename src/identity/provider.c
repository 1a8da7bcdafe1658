#include "identity/provider.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/outbound/https.h"
#include "identity/id_token.h"
#include "identity/rows.h"
#include "issue/house.h"
#include "issue/resources.h"
#include "issue/secrets.h"
#include "register/register.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONFIG_SECONDS = 600,
    KEYS_SECONDS = 3600,
    KEYS_AGAIN = 10, /* so often at most, whatever tokens name */
    KEPT = 32,
    AT_ONCE =
        2, /* questions to providers that are under way: each holds one of the few threads that serve the API */
    SILENT_SECONDS = 10, /* so long one that did not answer is not asked again */
    WHY_MAX = 256,
    NONCE = 12,
    TAG = 16,
};

tm_err provider_read(struct provider *ret, struct arena *a, struct house *h, tenant_id tenant,
                     const char *name, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_RESOURCE, .tenant = tenant, .arena = a, .name = "IdentityProvider", .name2 = name};
    struct provider p = {.tenant = tenant};
    json_t *doc = NULL;
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "provider", "there is no identity provider \"%s\"", name);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    TM_TRY(json_parse(&doc, q.resources[0].json, 1 << 20, diag));
    e = json_bind(&p.doc, provider_schema, doc, "", a, diag);
    json_decref(doc);
    TM_TRY(e);
    if (p.doc.disabled)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "provider", "identity provider \"%s\" is disabled", name);
    *ret = p;
    return TM_OK;
}

tm_err provider_vouches(struct arena *a, struct house *h, tenant_id tenant, const char *name,
                        const char *issuer, struct diag *diag)
{
    struct provider p;
    struct diag why = {0};
    tm_err e = provider_read(&p, a, h, tenant, name, &why);
    if (e == TM_OK && strcmp(p.doc.issuer, issuer) == 0)
        return TM_OK;
    if (e != TM_OK && tm_err_class(e) != TM_CLASS_CALLER) {
        *diag = why;
        return e;
    }
    return diag_fail(diag, TM_EAUTH, "provider.gone", NULL,
                     "the identity provider \"%.63s\" that vouched for you is gone, disabled or has another "
                     "issuer; sign in again",
                     name);
}

/* ---- its secret ---- */

/* The signer seals 32 octets: a key of its own for each secret, which may be longer. */
struct sealed {
    const char *key, *nonce, *text; /* base64; text with its tag */
};
static const struct json_field sealed_schema[] = {
    JSON_FIELD(struct sealed, key, JSON_K_STRING, .required = true),
    JSON_FIELD(struct sealed, nonce, JSON_K_STRING, .required = true),
    JSON_FIELD(struct sealed, text, JSON_K_STRING, .required = true),
    {0},
};

/* It is for the issuer that it was given for: a resource that names another one later does not send it there. */
static const char *record(struct arena *a, const struct provider *p)
{
    uint8_t hash[SHA256_LEN];
    const char *hex =
        sha256(hash, slice_str(p->doc.issuer)) == TM_OK ? arena_hex(a, slice_of(hash, 16)) : NULL;
    return hex ? arena_printf(a, "provider/%s/%s", p->doc.name, hex) : NULL;
}

static bool crypt(uint8_t *out, uint8_t tag[TAG], const uint8_t key[32], const uint8_t nonce[NONCE],
                  struct slice in, bool seal)
{
    EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
    int n = 0, rest = 0;
    bool ok = x && EVP_CipherInit_ex(x, EVP_aes_256_gcm(), NULL, key, nonce, seal) == 1 &&
              (seal || EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1) &&
              EVP_CipherUpdate(x, out, &n, in.p, (int)in.n) == 1 &&
              EVP_CipherFinal_ex(x, out + n, &rest) == 1 &&
              (!seal || EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
    EVP_CIPHER_CTX_free(x);
    return ok;
}

static tm_err seal(struct sealed *ret, struct arena *a, struct house *h, const struct provider *p,
                   struct slice secret, struct diag *diag)
{
    uint8_t key[SHARED_SECRET_LEN], nonce[NONCE], text[PROVIDER_SECRET_MAX + TAG];
    struct slice sealed;
    const char *about = record(a, p);
    if (!about)
        return TM_ENOMEM;
    TM_TRY(random_bytes(key, sizeof key));
    TM_TRY(random_bytes(nonce, sizeof nonce));
    tm_err e = crypt(text, text + secret.n, key, nonce, secret, true) ? TM_OK : TM_ECRYPTO;
    if (e == TM_OK)
        e = secrets_seal(&sealed, a, h, p->tenant, about, key, diag);
    OPENSSL_cleanse(key, sizeof key);
    TM_TRY(e);
    ret->key = arena_base64(a, sealed);
    ret->nonce = arena_base64(a, SLICE_ARR(nonce));
    ret->text = arena_base64(a, slice_of(text, secret.n + TAG));
    return ret->key && ret->nonce && ret->text ? TM_OK : TM_ENOMEM;
}

static struct object_row secret_row(tenant_id tenant, const char *name)
{
    return (struct object_row){.tenant = tenant,
                               .kind = OBJECT_PROVIDER_SECRET,
                               .id = name,
                               .owner = "",
                               .key = "",
                               .ref = "",
                               .status = 1,
                               .created_at = clock_now(),
                               .version = -1};
}

static tm_err commit_secret(struct arena *a, struct house *h, tenant_id tenant, const char *name,
                            struct effect effects[2], const char *type, const char *by, struct diag *diag)
{
    struct event_field fields[] = {{.key = "by", .kind = EVENT_STR, .s = slice_str(by)}, {0}};
    TM_TRY(row_event(&effects[1], a, tenant, type, arena_printf(a, "identity-provider/%s", name), fields));
    return house_commit(h, effects, 2, diag);
}

tm_err provider_set_secret(struct house *h, const struct provider *p, struct slice secret, const char *by,
                           struct diag *diag)
{
    struct effect effects[2];
    struct sealed s;
    if (secret.n < 1 || secret.n > PROVIDER_SECRET_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "/secret", "a secret has 1 to %d octets",
                         PROVIDER_SECRET_MAX);
    struct arena *a = arena_new(0);
    struct object_row row = secret_row(p->tenant, p->doc.name);
    tm_err e = a ? seal(&s, a, h, p, secret, diag) : TM_ENOMEM;
    if (e == TM_OK)
        e = row_put(&effects[0], a, &row,
                    json_pack("{s:s,s:s,s:s}", "key", s.key, "nonce", s.nonce, "text", s.text));
    if (e == TM_OK)
        e = commit_secret(a, h, p->tenant, p->doc.name, effects, "provider.secret-set", by, diag);
    arena_free(a);
    return e;
}

tm_err provider_drop_secret(struct house *h, tenant_id tenant, const char *name, const char *by,
                            struct diag *diag)
{
    struct effect effects[2];
    struct object_row row;
    struct sealed s = {0};
    struct arena *a = arena_new(0);
    tm_err e =
        a ? row_read(&row, &s, sealed_schema, a, h, tenant, OBJECT_PROVIDER_SECRET, name, diag) : TM_ENOMEM;
    if (e == TM_OK) {
        row = secret_row(tenant, name);
        row_drop(&effects[0], &row);
        e = commit_secret(a, h, tenant, name, effects, "provider.secret-removed", by, diag);
    }
    arena_free(a);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

tm_err provider_secret(char ret[PROVIDER_SECRET_MAX + 1], struct arena *a, struct house *h,
                       const struct provider *p, struct diag *diag)
{
    struct object_row row;
    struct sealed s = {0};
    struct slice sealed, nonce, text;
    uint8_t key[SHARED_SECRET_LEN], tag[TAG];
    const char *about = record(a, p);
    if (!about)
        return TM_ENOMEM;
    tm_err e = row_read(&row, &s, sealed_schema, a, h, p->tenant, OBJECT_PROVIDER_SECRET, p->doc.name, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, TM_EUNAVAIL, "provider.secret", NULL,
                         "the house has no secret for this provider: touchmark provider secret %s",
                         p->doc.name);
    TM_TRY(e);
    TM_TRY(base64_decode(&sealed, a, slice_str(s.key), BASE64_STD));
    TM_TRY(base64_decode(&nonce, a, slice_str(s.nonce), BASE64_STD));
    TM_TRY(base64_decode(&text, a, slice_str(s.text), BASE64_STD));
    if (nonce.n != NONCE || text.n <= TAG || text.n > PROVIDER_SECRET_MAX + TAG)
        return TM_ECORRUPT;
    e = secrets_open(key, a, h, p->tenant, about, sealed, diag);
    if (e == TM_EDENIED)
        return diag_fail(diag, TM_EUNAVAIL, "provider.secret", NULL,
                         "the secret was given for another issuer: touchmark provider secret %s",
                         p->doc.name);
    TM_TRY(e);
    memcpy(tag, text.p + text.n - TAG, TAG);
    bool ok = crypt((uint8_t *)ret, tag, key, nonce.p, slice_sub(text, 0, text.n - TAG), false);
    ret[text.n - TAG] = '\0';
    OPENSSL_cleanse(key, sizeof key);
    return ok ? TM_OK : TM_ECORRUPT;
}

/* ---- what it says of itself ---- */

/* Each resource's own, as its trust and the networks that it may go to are. */
static struct {
    pthread_mutex_t lock;
    struct {
        uint8_t key[SHA256_LEN];
        char *text;
        int64_t at;
    } v[KEPT];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static tm_err kept_key(uint8_t ret[SHA256_LEN], const struct provider *p, const char *url)
{
    struct slice parts[5 + PROVIDER_NETWORKS_MAX] = {slice_of(&p->tenant, sizeof p->tenant),
                                                     slice_str(p->doc.name), SLICE_LIT("\0"),
                                                     slice_str(p->doc.ca), slice_str(url)};
    size_t n = 5;
    for (size_t i = 0; i < p->doc.networks.n && i < PROVIDER_NETWORKS_MAX; i++)
        parts[n++] = slice_str(p->doc.networks.v[i]);
    return sha256_many(ret, parts, n);
}

/* Not older than `seconds`; NULL: none. */
static json_t *recall(const uint8_t key[SHA256_LEN], int64_t seconds)
{
    json_t *doc = NULL;
    int64_t now = clock_now();
    pthread_mutex_lock(&kept.lock);
    for (size_t i = 0; i < KEPT && !doc; i++)
        if (kept.v[i].text && memcmp(kept.v[i].key, key, SHA256_LEN) == 0 && now - kept.v[i].at < seconds &&
            json_parse(&doc, slice_str(kept.v[i].text), JWKS_MAX, NULL) != TM_OK)
            doc = NULL;
    pthread_mutex_unlock(&kept.lock);
    return doc;
}

static void keep(const uint8_t key[SHA256_LEN], struct slice text)
{
    char *copy = strndup((const char *)text.p, text.n);
    size_t place = 0;
    if (!copy)
        return;
    pthread_mutex_lock(&kept.lock);
    for (size_t i = 0; i < KEPT; i++) {
        if (kept.v[i].text && memcmp(kept.v[i].key, key, SHA256_LEN) == 0) {
            place = i;
            break;
        }
        if (kept.v[i].at < kept.v[place].at)
            place = i;
    }
    free(kept.v[place].text);
    memcpy(kept.v[place].key, key, SHA256_LEN);
    kept.v[place].text = copy;
    kept.v[place].at = clock_now();
    pthread_mutex_unlock(&kept.lock);
}

static tm_err unavailable(const struct provider *p, struct diag *diag, const char *what)
{
    char why[sizeof diag->message];
    snprintf(why, sizeof why, "%s", what);
    return diag_fail(diag, TM_EUNAVAIL, "provider.unavailable", "provider", "identity provider \"%s\": %s",
                     p->doc.name, why);
}

/* Who did not answer, and why. */
static struct {
    pthread_mutex_t lock;
    struct {
        uint8_t key[SHA256_LEN];
        int64_t until;
        char why[WHY_MAX];
    } v[KEPT];
} silent = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_silent(char ret_why[WHY_MAX], const uint8_t key[SHA256_LEN])
{
    bool yes = false;
    int64_t now = clock_now();
    pthread_mutex_lock(&silent.lock);
    for (size_t i = 0; i < KEPT && !yes; i++) {
        yes = silent.v[i].until > now && silent.v[i].until <= now + SILENT_SECONDS &&
              memcmp(silent.v[i].key, key, SHA256_LEN) == 0;
        if (yes)
            memcpy(ret_why, silent.v[i].why, WHY_MAX);
    }
    pthread_mutex_unlock(&silent.lock);
    return yes;
}

static void note_silence(const uint8_t key[SHA256_LEN], const char *why)
{
    size_t place = 0;
    pthread_mutex_lock(&silent.lock);
    for (size_t i = 0; i < KEPT; i++)
        if (silent.v[i].until < silent.v[place].until)
            place = i;
    memcpy(silent.v[place].key, key, SHA256_LEN);
    silent.v[place].until = clock_now() + SILENT_SECONDS;
    snprintf(silent.v[place].why, WHY_MAX, "%s", why);
    pthread_mutex_unlock(&silent.lock);
}

/* Of all under way no tenant's may be all that there may be: its administrator may have named a server that never answers. */
static bool enter(tenant_id tenant, bool leave)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static tenant_id running[AT_ONCE];
    static size_t n;
    size_t mine = 0, last = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n; i++)
        if (running[i] == tenant) {
            mine++;
            last = i;
        }
    bool ok = leave || (n < AT_ONCE && mine < AT_ONCE - 1);
    if (leave)
        running[last] = running[--n];
    else if (ok)
        running[n++] = tenant;
    pthread_mutex_unlock(&lock);
    return ok;
}

/* People who have not signed in make the house ask: a provider that is slow or down must not take the threads of those who have. */
tm_err provider_ask(struct https_answer *ret, struct arena *a, const struct provider *p,
                    const struct https_request *q, struct diag *diag)
{
    uint8_t key[SHA256_LEN];
    char why[WHY_MAX];
    TM_TRY(kept_key(key, p, q->url));
    if (is_silent(why, key))
        return unavailable(p, diag, why);
    if (!enter(p->tenant, false))
        return diag_fail(diag, TM_EBUSY, "provider.busy", "provider",
                         "others sign in through a provider at this moment; try again in a second");
    tm_err e = https_exchange(ret, a, q, diag);
    enter(p->tenant, true);
    if (e == TM_OK || e == TM_ENOMEM)
        return e;
    /* Only what is asked for everybody: how a code or a token is answered is up to who brought it. */
    if (!q->headers && q->body.n == 0)
        note_silence(key, diag->message);
    return unavailable(p, diag, diag->message);
}

static struct https_request request_to(const struct provider *p, const char *url)
{
    return (struct https_request){.method = "GET",
                                  .url = url,
                                  .accept = "application/json",
                                  .ca = p->doc.ca,
                                  .networks = &p->doc.networks,
                                  .timeout_s = (unsigned)p->doc.timeout,
                                  .max = JWKS_MAX};
}

static tm_err fetch(json_t **ret, struct arena *a, const struct provider *p, const char *url, int64_t seconds,
                    struct diag *diag)
{
    uint8_t key[SHA256_LEN];
    struct https_answer answer;
    const struct https_request q = request_to(p, url);
    TM_TRY(kept_key(key, p, url));
    json_t *known = recall(key, seconds);
    if (known) {
        *ret = known;
        return TM_OK;
    }
    TM_TRY(provider_ask(&answer, a, p, &q, diag));
    if (answer.status != 200 || json_parse(ret, answer.body, JWKS_MAX, diag) != TM_OK)
        return unavailable(p, diag, "what it says of itself is not a JSON document");
    if (!json_is_object(*ret)) {
        json_decref(*ret);
        return unavailable(p, diag, "what it says of itself is not an object");
    }
    keep(key, answer.body);
    return TM_OK;
}

tm_err provider_config(struct provider_config *ret, struct arena *a, const struct provider *p,
                       struct diag *diag)
{
    json_t *doc = NULL;
    size_t n = strlen(p->doc.issuer);
    bool slash = n && p->doc.issuer[n - 1] == '/';
    const char *url =
        arena_printf(a, "%s%s.well-known/openid-configuration", p->doc.issuer, slash ? "" : "/");
    if (!url)
        return TM_ENOMEM;
    TM_TRY(fetch(&doc, a, p, url, CONFIG_SECONDS, diag));
    tm_err e = discovery_read(ret, a, p->doc.issuer, doc, diag);
    json_decref(doc);
    return e == TM_EUNAVAIL ? unavailable(p, diag, diag->message) : e;
}

tm_err provider_keys(json_t **ret, struct arena *a, const struct provider *p, bool fresh, struct diag *diag)
{
    struct provider_config c;
    TM_TRY(provider_config(&c, a, p, diag));
    return fetch(ret, a, p, c.jwks, fresh ? KEYS_AGAIN : KEYS_SECONDS, diag);
}
