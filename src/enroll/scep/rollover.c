/* GetNextCACert (RFC 8894 4.7): the certificates to come, in a message that the present authority's RA signs.
 *
 * Anybody may ask, and each signature stands in the register: so one is made for each content and signer and given to all who ask, and new
 * ones come out of what strangers may have signed. */
#include "base/arena.h"
#include "base/digest.h"
#include "enroll/scep/scep.h"
#include "issue/message.h"
#include "x509/cms/certs_only.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 1 << 20, KEPT_MAX = 16 };

struct kept {
    uint8_t of[SHA256_LEN]; /* signer's certificate and content */
    uint8_t *der;
    size_t n;
};

/* Held while one is made, too: who wants the same waits for it. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct kept kept[KEPT_MAX];
static size_t next_place;

static const struct kept *find(const uint8_t of[SHA256_LEN])
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (kept[i].der && memcmp(kept[i].of, of, SHA256_LEN) == 0)
            return &kept[i];
    return NULL;
}

/* Without memory it is made anew the next time. */
static void keep(const uint8_t of[SHA256_LEN], struct slice der)
{
    uint8_t *copy = malloc(der.n);
    if (!copy)
        return;
    struct kept *k = &kept[next_place++ % KEPT_MAX];
    free(k->der);
    memcpy(copy, der.p, der.n);
    memcpy(k->of, of, SHA256_LEN);
    k->der = copy;
    k->n = der.n;
}

static tm_err sign(struct scep_exchange *x, struct slice content)
{
    if (!scep_budget_take())
        return diag_fail(&x->diag, TM_EQUOTA, "scep.budget", NULL, "too much is asked for; come later");
    struct message m = {.tenant = x->endpoint->tenant,
                        .authority = x->authority,
                        .request_id = x->request->id,
                        .endpoint = x->endpoint->name,
                        .content_type = OID_SIGNED_DATA,
                        .content = content,
                        .rsa_encryption = true};
    return message_sign(&x->reply, x->request->arena, x->house, &m, &x->diag);
}

static tm_err kept_or_signed(struct scep_exchange *x, struct slice content)
{
    uint8_t of[SHA256_LEN];
    const struct slice parts[] = {x->authority->ra_cert.der, content};
    TM_TRY(sha256_many(of, parts, sizeof parts / sizeof *parts));
    pthread_mutex_lock(&mutex);
    const struct kept *k = find(of);
    tm_err e = k ? arena_copy(&x->reply, x->request->arena, slice_of(k->der, k->n)) : sign(x, content);
    if (!k && e == TM_OK)
        keep(of, x->reply);
    pthread_mutex_unlock(&mutex);
    return e;
}

static void answered(struct task *t)
{
    struct scep_exchange *x = TM_CONTAINER(t, struct scep_exchange, answered);
    struct catalog *c = x->catalog;
    if (x->err == TM_OK)
        http_reply(x->request, 200, "application/x-x509-next-ca-cert", x->reply, NULL);
    else
        scep_reply_text(x->request, x->err == TM_EQUOTA ? 429 : 503, x->diag.message);
    catalog_unref(c);
}

void scep_next_work(struct task *t)
{
    struct scep_exchange *x = TM_CONTAINER(t, struct scep_exchange, work);
    const struct authority *next =
        catalog_authority(x->catalog, x->authority->tenant, x->authority->successor);
    struct slice v[SCEP_CHAIN_MAX];
    struct buf der;
    buf_init(&der, ANSWER_MAX);
    size_t n = scep_chain(v, next);
    x->err = certs_only_build(&der, v, n, NULL, 0);
    if (x->err == TM_OK)
        x->err = kept_or_signed(x, buf_slice(&der));
    buf_done(&der);
    x->answered.run = answered;
    executor_post(http_request_executor(x->request), &x->answered);
}

void scep_next_forget(void)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < KEPT_MAX; i++) {
        free(kept[i].der);
        kept[i] = (struct kept){0};
    }
    pthread_mutex_unlock(&mutex);
}
