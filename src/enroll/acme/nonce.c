#include "enroll/acme/nonce.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/text.h"
#include "keys/jwk.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 2 + 6, SIGNED = HEAD + 8, MAC = 16 };

struct nonces {
    pthread_mutex_t lock;
    uint64_t next;                    /* counter of the next nonce */
    uint64_t used[NONCE_WINDOW / 64]; /* bit c % NONCE_WINDOW: counter c of the window was redeemed */
    uint8_t head[HEAD];               /* node, epoch */
    uint8_t key[SHA256_LEN];
};

tm_err nonces_new(struct nonces **ret, unsigned node)
{
    struct nonces *n = calloc(1, sizeof *n);
    if (!n)
        return TM_ENOMEM;
    n->head[0] = (uint8_t)(node >> 8);
    n->head[1] = (uint8_t)node;
    tm_err e = random_bytes(n->head + 2, HEAD - 2);
    if (e == TM_OK)
        e = random_bytes(n->key, sizeof n->key);
    if (e != TM_OK) {
        free(n);
        return e;
    }
    pthread_mutex_init(&n->lock, NULL);
    *ret = n;
    return TM_OK;
}

void nonces_free(struct nonces *n)
{
    if (!n)
        return;
    pthread_mutex_destroy(&n->lock);
    explicit_bzero(n->key, sizeof n->key);
    free(n);
}

static tm_err mac(uint8_t ret[SHA256_LEN], const struct nonces *n, const uint8_t *octets)
{
    return hmac_sha256(ret, SLICE_ARR(n->key), slice_of(octets, SIGNED));
}

tm_err nonce_issue(struct nonces *n, char ret[NONCE_TEXT + 1])
{
    uint8_t octets[NONCE_OCTETS], full[SHA256_LEN];
    pthread_mutex_lock(&n->lock);
    uint64_t c = n->next++;
    /* The counter takes the place of the one that leaves the window. */
    n->used[c % NONCE_WINDOW / 64] &= ~((uint64_t)1 << c % 64);
    pthread_mutex_unlock(&n->lock);
    memcpy(octets, n->head, HEAD);
    for (int i = 0; i < 8; i++)
        octets[HEAD + i] = (uint8_t)(c >> (56 - 8 * i));
    TM_TRY(mac(full, n, octets));
    memcpy(octets + SIGNED, full, MAC);
    struct buf b;
    buf_init(&b, 128);
    buf_put_base64(&b, SLICE_ARR(octets), BASE64_URL, 0);
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        memcpy(ret, b.p, NONCE_TEXT + 1);
    buf_done(&b);
    return e;
}

/* One bit, once. */
static bool take(struct nonces *n, uint64_t c)
{
    pthread_mutex_lock(&n->lock);
    uint64_t *word = &n->used[c % NONCE_WINDOW / 64], bit = (uint64_t)1 << c % 64;
    bool fresh = c < n->next && n->next - c <= NONCE_WINDOW && !(*word & bit);
    if (fresh)
        *word |= bit;
    pthread_mutex_unlock(&n->lock);
    return fresh;
}

bool nonce_redeem(struct nonces *n, struct arena *a, struct slice text)
{
    uint8_t full[SHA256_LEN];
    struct slice octets;
    if (text.n != NONCE_TEXT)
        return false;
    bool good = base64url_strict(&octets, a, text) == TM_OK && octets.n == NONCE_OCTETS &&
                memcmp(octets.p, n->head, HEAD) == 0 && mac(full, n, octets.p) == TM_OK &&
                slice_ct_eq(slice_of(full, MAC), slice_of(octets.p + SIGNED, MAC));
    uint64_t c = 0;
    for (int i = 0; good && i < 8; i++)
        c = c << 8 | octets.p[HEAD + i];
    return good && take(n, c);
}
