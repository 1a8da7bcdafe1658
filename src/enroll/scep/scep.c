/* The routes, and what is answered from the catalog. */
#include "enroll/scep/scep.h"
#include "base/arena.h"
#include "enroll/endpoint.h"
#include "enroll/scep/hook.h"
#include "keys/signer.h"
#include "x509/cms/certs_only.h"
#include <pthread.h>
#include <strings.h>

enum { ANSWER_MAX = 1 << 20 };

/* ---- which endpoint ---- */

/* Paths of NDES and of old gear have no place for a name: they lead to the endpoint "scep". */
static const struct endpoint *find_endpoint(const struct catalog *c, const struct http_request *r)
{
    const char *label = http_request_param(r, "label");
    return endpoint_open(c, DOOR_SCEP, label ? label : "scep");
}

static bool can_decrypt(const struct house *h, const struct authority *x)
{
    const struct signer_key *k =
        x && x->ra_key[0] && h->signer ? signer_key_find(h->signer, x->ra_key) : NULL;
    return k && (k->env.allow & (1u << SIGN_DECRYPT));
}

/* ---- operations without a message ---- */

/* RFC 8894 3.5.2. SHA-384 is no keyword of its own there, but it is taken, and pki of strongSwan 5.9, which mixes up its flags, knows by it that
 * AES and SHA-256 are there. */
static void get_caps(struct http_request *r, const struct endpoint *e, const struct authority *x)
{
    struct buf b;
    buf_init(&b, 512);
    buf_puts(&b, "AES\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n");
    if (x && x->successor[0])
        buf_puts(&b, "GetNextCACert\n");
    if (e->scep->legacy.sha1)
        buf_puts(&b, "SHA-1\n");
    if (e->scep->legacy.des3)
        buf_puts(&b, "DES3\n");
    http_reply(r, 200, "text/plain", buf_slice(&b), NULL);
    buf_done(&b);
}

size_t scep_chain(struct slice ret[SCEP_CHAIN_MAX], const struct authority *x)
{
    size_t n = 0;
    if (x->ra_key[0])
        ret[n++] = x->ra_cert.der;
    ret[n++] = x->der;
    for (size_t i = 0; i < x->n_chain && n < SCEP_CHAIN_MAX; i++)
        ret[n++] = x->chain[i];
    return n;
}

/* RFC 8894 4.2: the RA's certificate is not the CA's, so there are several in one message. */
static void get_ca_cert(struct http_request *r, const struct authority *x)
{
    struct slice v[SCEP_CHAIN_MAX];
    struct buf der;
    buf_init(&der, ANSWER_MAX);
    size_t n = scep_chain(v, x);
    if (certs_only_build(&der, v, n, NULL, 0) == TM_OK)
        http_reply(r, 200, "application/x-x509-ca-ra-cert", buf_slice(&der), NULL);
    else
        scep_reply_text(r, 500, "out of memory");
    buf_done(&der);
}

/* ---- one of each ---- */

static struct scep_exchange *begin(struct http_request *r, struct catalog *c, const struct endpoint *e,
                                   const struct authority *authority)
{
    struct scep_exchange *x = arena_calloc(r->arena, 1, sizeof *x);
    if (!x) {
        scep_reply_text(r, 500, "out of memory");
        return NULL;
    }
    x->request = r;
    x->house = r->app;
    x->catalog = catalog_ref(c);
    x->endpoint = e;
    x->authority = authority;
    return x;
}

static void get_next_ca_cert(struct http_request *r, struct catalog *c, const struct endpoint *e,
                             const struct authority *authority)
{
    if (!authority->successor[0] || !catalog_authority(c, authority->tenant, authority->successor)) {
        scep_reply_text(r, 404, "no certificate to come is known here yet");
        return;
    }
    struct scep_exchange *x = begin(r, c, e, authority);
    if (!x)
        return;
    x->work.run = scep_next_work;
    executor_post(&scep_executor, &x->work);
}

static void pki_operation(struct http_request *r, struct catalog *c, const struct endpoint *e,
                          const struct authority *authority)
{
    struct slice body = r->body;
    struct diag diag = {0};
    const char *message = http_request_query(r, "message");
    if (r->method == HTTP_M_POST ? body.n == 0
                                 : !message || scep_get_decode(&body, r->arena, message, &diag) != TM_OK) {
        refusal_note(r->app, e->tenant, DOOR_SCEP, e->name, r->peer, "scep.message",
                     "no message, or not base64");
        scep_reply_text(r, 400, "the request has no message, or one that is not base64");
        return;
    }
    struct scep_exchange *x = begin(r, c, e, authority);
    if (!x)
        return;
    x->body = body;
    x->work.run = scep_work;
    executor_post(&scep_executor, &x->work);
}

/* RFC 8894 4.1: "operation" says what; clients write the values as they like. */
static void serve(struct http_request *r, struct catalog *c)
{
    const struct endpoint *e = find_endpoint(c, r);
    const char *operation = http_request_query(r, "operation");
    const struct authority *x = e ? endpoint_authority(c, e, NULL) : NULL;
    if (!e)
        scep_reply_text(r, 404, "there is no open SCEP endpoint of this name");
    else if (!operation)
        scep_reply_text(r, 400, "this is SCEP: the query needs an operation");
    else if (strcasecmp(operation, "GetCACaps") == 0)
        get_caps(r, e, x);
    else if (!can_decrypt(r->app, x))
        scep_reply_text(r, 503,
                        "the authority's RA has no RSA key, which SCEP needs; touchmark ca ra makes one");
    else if (strcasecmp(operation, "GetCACert") == 0)
        get_ca_cert(r, x);
    else if (strcasecmp(operation, "GetNextCACert") == 0)
        get_next_ca_cert(r, c, e, x);
    else if (strcasecmp(operation, "PKIOperation") == 0)
        pki_operation(r, c, e, x);
    else
        scep_reply_text(r, 400, "this operation is none of SCEP's");
}

static void handle(struct http_request *r)
{
    struct catalog *c = house_catalog(r->app);
    serve(r, c);
    catalog_unref(c);
}

/* ---- the door ---- */

/* A thread waits for the signer and for two commits a message: the more there are under way, the more share a flush of the disk. */
enum { THREADS = 32 };
static pthread_mutex_t threads_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pool *threads;
static struct house *served;

static void post(struct executor *e, struct task *t)
{
    (void)e;
    pthread_mutex_lock(&threads_mutex);
    executor_post(pool_executor(threads ? threads : served->blocking), t);
    pthread_mutex_unlock(&threads_mutex);
}

struct executor scep_executor = {.post = post};

static tm_err open_door(struct house *h)
{
    scep_metrics_register();
    served = h;
    TM_TRY(scep_hook_open());
    tm_err e = pool_new(&threads, "scep", THREADS);
    if (e != TM_OK)
        scep_hook_stop();
    return e;
}

static void stop_door(struct house *h)
{
    scep_hook_stop();
    /* What comes from now on is worked on by the house's own threads. */
    pthread_mutex_lock(&threads_mutex);
    struct pool *p = threads;
    threads = NULL;
    pthread_mutex_unlock(&threads_mutex);
    pool_free(p);
}

#define SCEP_ROUTE(pattern_)                                                                                 \
    {.methods = HTTP_M_GET | HTTP_M_POST,                                                                    \
     .pattern = (pattern_),                                                                                  \
     .handler = handle,                                                                                      \
     .listeners = HTTP_LISTENER_PUBLIC_TLS | HTTP_LISTENER_PLAIN,                                            \
     .body_max = SCEP_BODY_MAX,                                                                              \
     .metric = "scep"}
static const struct http_route scep_routes[] = {
    SCEP_ROUTE("/scep/{label}"),
    SCEP_ROUTE("/scep/{label}/pkiclient.exe"),
    SCEP_ROUTE("/certsrv/mscep/mscep.dll"),
    SCEP_ROUTE("/certsrv/mscep/mscep.dll/pkiclient.exe"),
    SCEP_ROUTE("/cgi-bin/pkiclient.exe"),
    {0},
};

const struct door_descriptor scep_door = {
    .id = DOOR_SCEP,
    .name = "scep",
    .title = "Simple Certificate Enrolment Protocol (RFC 8894)",
    .routes = scep_routes,
    .open = open_door,
    .stop = stop_door,
    .close = scep_next_forget,
};
