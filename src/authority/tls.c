#include "authority/tls.h"
#include "authority/file.h"
#include "authority/responder.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "http/tls.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "keys/key.h"
#include "policy/profile.h"
#include "x509/cert.h"
#include "x509/csr.h"
#include "x509/general_name.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PEM_MAX = 256 << 10, NAMES_MAX = 64, SKEW = 3600 };
static const char profile_used[] = "server-internal-1y";

static const char *pem_path(struct arena *a, const struct house *h)
{
    return arena_printf(a, "%s/tls/server.pem", h->home);
}

/* ---- issuing ---- */

static tm_err make_names(struct general_name *v, struct arena *a, const char *const *names, size_t n,
                         struct diag *diag)
{
    if (n == 0 || n > NAMES_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "/names", "a server certificate has 1 to %d names",
                         NAMES_MAX);
    for (size_t i = 0; i < n; i++)
        TM_TRY(general_name_from_text(&v[i], a, slice_str(names[i]), diag));
    return TM_OK;
}

/* The first DNS name is the common name too, as many an old client wants it. */
static tm_err make_subject(struct slice *ret, struct arena *a, const struct general_name *v, size_t n)
{
    struct buf b;
    struct der_builder d;
    buf_init(&b, 4096);
    der_builder_init(&d, &b);
    der_open(&d, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++)
        if (v[i].type == GN_DNS && v[i].value.n <= 64) {
            name_build_attr(&d, OID_CN, v[i].value);
            break;
        }
    der_close(&d);
    tm_err e = der_builder_finish(&d);
    if (e == TM_OK)
        e = arena_copy(ret, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

static tm_err make_csr(struct slice *ret, struct arena *a, struct key *k, const struct general_name *v,
                       size_t n, struct diag *diag)
{
    struct slice subject, san;
    TM_TRY(make_subject(&subject, a, v, n));
    TM_TRY(ext_encode_san(&san, a, v, n));
    struct ext ext = {.id = OID_EXT_SAN, .oid = oid_contents(OID_EXT_SAN), .value = san};
    struct buf info, signature, der;
    buf_init(&info, CSR_DER_MAX);
    buf_init(&signature, CSR_DER_MAX);
    buf_init(&der, CSR_DER_MAX);
    enum sig_alg alg = sig_alg_default(key_alg(k));
    tm_err e = csr_build_info(&info, subject, key_spki(k), &ext, 1);
    if (e == TM_OK)
        e = key_sign(&signature, k, alg, buf_slice(&info), diag);
    if (e == TM_OK)
        e = signed_assemble(&der, buf_slice(&info), sig_alg_info(alg)->algid, buf_slice(&signature));
    if (e == TM_OK)
        e = arena_copy(ret, a, buf_slice(&der));
    buf_done(&der);
    buf_done(&signature);
    buf_done(&info);
    return e;
}

static tm_err ask(struct issue_request *r, struct house *h, struct arena *a, struct slice csr_der,
                  const char *by, struct diag *diag)
{
    struct csr *csr = arena_calloc(a, 1, sizeof *csr);
    if (!csr)
        return TM_ENOMEM;
    TM_TRY(csr_parse_pkcs10(csr, csr_der, diag));
    r->house = h;
    r->arena = a;
    r->tenant = TENANT_DEFAULT;
    r->e.request_id = "tls.renew";
    r->e.tenant = "default";
    r->e.endpoint = "listeners";
    r->e.door = DOOR_CEREMONY;
    r->e.profile = profile_used;
    r->e.kind = ENROLL_NEW;
    r->e.key_origin = KEY_ORIGIN_SOFTWARE;
    r->e.caller = (struct caller){.kind = CALLER_PRINCIPAL, .id = by, .roles = "admin", .peer = ""};
    TM_TRY(issue_from_csr(r, csr, diag));
    issue_run(r);
    if (r->outcome == ISSUE_ISSUED)
        return TM_OK;
    if (r->outcome == ISSUE_FAILED) {
        if (diag)
            *diag = r->diag;
        return r->err;
    }
    return diag_fail(diag, TM_EDENIED, r->decision.rule, NULL,
                     "the listeners' certificate was not issued: %s",
                     r->decision.reason ? r->decision.reason : "it waits for approval");
}

static tm_err write_pem(const struct house *h, struct arena *a, struct key *k, const struct issue_request *r,
                        struct diag *diag)
{
    struct secret pkcs8;
    TM_TRY(key_export_pkcs8(&pkcs8, k));
    struct buf pem;
    buf_init(&pem, PEM_MAX);
    buf_put_pem(&pem, "PRIVATE KEY", secret_slice(&pkcs8));
    secret_done(&pkcs8);
    buf_put_pem(&pem, "CERTIFICATE", r->cert);
    /* Whoever verifies has the root already (RFC 8446 4.4.2). */
    for (size_t i = 0; i + 1 < r->n_chain; i++)
        buf_put_pem(&pem, "CERTIFICATE", r->chain[i]);
    const char *path = pem_path(a, h);
    tm_err e = path ? buf_err(&pem) : TM_ENOMEM;
    if (e == TM_OK)
        e = file_write(path, buf_slice(&pem), 0600, true, diag);
    if (pem.p)
        explicit_bzero(pem.p, pem.n);
    buf_done(&pem);
    return e;
}

/* ---- the present one ---- */

static tm_err present(struct cert *ret, struct arena *a, const struct house *h, struct diag *diag)
{
    struct slice text, der;
    const char *path = pem_path(a, h);
    if (!path)
        return TM_ENOMEM;
    TM_TRY(file_read(&text, a, path, PEM_MAX, diag));
    if (pem_next(&der, NULL, a, &text, "CERTIFICATE") != TM_OK)
        return diag_fail(diag, TM_ECORRUPT, NULL, NULL, "%s holds no certificate", path);
    return cert_parse(ret, der, diag);
}

static tm_err present_names(struct general_names *ret, struct arena *a, const struct house *h,
                            struct diag *diag)
{
    struct cert c;
    TM_TRY(present(&c, a, h, diag));
    return cert_san(ret, a, &c, diag);
}

static tm_err issue(struct house *h, struct arena *a, const char *const *names, size_t n, const char *by,
                    struct diag *diag)
{
    struct general_names san = {0};
    if (n == 0) {
        TM_TRY(present_names(&san, a, h, diag));
    } else {
        san.v = arena_calloc(a, n, sizeof *san.v);
        san.n = n;
        if (!san.v)
            return TM_ENOMEM;
        TM_TRY(make_names(san.v, a, names, n, diag));
    }
    struct key *k = NULL;
    struct slice csr;
    struct issue_request *r = arena_calloc(a, 1, sizeof *r);
    if (!r)
        return TM_ENOMEM;
    TM_TRY(key_generate(&k, KEY_ALG_EC_P256, 0, diag));
    tm_err e = make_csr(&csr, a, k, san.v, san.n, diag);
    if (e == TM_OK)
        e = ask(r, h, a, csr, by, diag);
    if (e == TM_OK)
        e = write_pem(h, a, k, r, diag);
    key_free(k);
    return e;
}

tm_err tls_server_issue(struct house *h, const char *const *names, size_t n, const char *by,
                        struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    tm_err e = issue(h, a, names, n, by, diag);
    arena_free(a);
    return e;
}

/* ---- the context ---- */

static tm_err load(SSL_CTX **ret, struct arena *a, const char *certificate, const char *key,
                   struct diag *diag)
{
    struct http_tls_options o = {0};
    TM_TRY(file_read(&o.chain, a, certificate, PEM_MAX, diag));
    TM_TRY(file_read(&o.key_pem, a, key, PEM_MAX, diag));
    struct diag why = {0};
    tm_err e = http_tls_context_new(ret, &o, &why);
    explicit_bzero((void *)(uintptr_t)o.key_pem.p, o.key_pem.n);
    explicit_bzero((void *)(uintptr_t)o.chain.p,
                   o.chain.n); /* the same file, where the key stands before the chain */
    return e == TM_OK
               ? TM_OK
               : diag_fail(diag, e, why.rule, NULL, "%s can't be used for TLS: %s", certificate, why.message);
}

tm_err tls_context_load(SSL_CTX **ret, const char *certificate, const char *key, struct diag *diag)
{
    struct arena *a = arena_new(4 * PEM_MAX);
    if (!a)
        return TM_ENOMEM;
    tm_err e = load(ret, a, certificate, key, diag);
    arena_free(a);
    return e;
}

tm_err tls_server_context(SSL_CTX **ret, const struct house *h, struct diag *diag)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tls/server.pem", h->home);
    return tls_context_load(ret, path, path, diag);
}

/* ---- renewal ---- */

static pthread_mutex_t renewal_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*renewal_told)(void *arg);
static void *renewal_arg;

void tls_server_on_renewal(void (*renewed)(void *arg), void *arg)
{
    pthread_mutex_lock(&renewal_lock);
    renewal_told = renewed;
    renewal_arg = arg;
    pthread_mutex_unlock(&renewal_lock);
}

static tm_err renewal_due(bool *ret, struct house *h, struct arena *a, struct diag *diag)
{
    struct cert c;
    TM_TRY(present(&c, a, h, diag));
    struct catalog *cat = house_catalog(h);
    struct profile *p = catalog_profile(cat, TENANT_DEFAULT, profile_used);
    int64_t when = p ? profile_renew_before(p, c.not_before, c.not_after)
                     : c.not_after - (c.not_after - c.not_before) / 3;
    catalog_unref(cat);
    *ret = clock_now() >= when || clock_now() >= c.not_after - SKEW;
    return TM_OK;
}

static tm_err renew(struct house *h, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    bool due = false;
    tm_err e = renewal_due(&due, h, a, diag);
    arena_free(a);
    if (e == TM_ENOTFOUND)
        return TM_OK; /* the listeners' certificate comes from elsewhere */
    if (e != TM_OK || !due)
        return e;
    TM_TRY(tls_server_issue(h, NULL, 0, "house", diag));
    log_info(NULL, "tls.renewed");
    pthread_mutex_lock(&renewal_lock);
    if (renewal_told)
        renewal_told(renewal_arg);
    pthread_mutex_unlock(&renewal_lock);
    return TM_OK;
}

static const struct job renew_job = {.name = "tls.renew", .period_ms = 3600 * 1000, .run = renew};
const struct job *const authority_jobs[] = {&renew_job, &responder_job, NULL};
