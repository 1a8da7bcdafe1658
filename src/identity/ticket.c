#include "identity/ticket.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include <pthread.h>
#include <string.h>

enum { NONCE = 16, END = 8, OCTETS = NONCE + END + SHA256_LEN, SPENT_MAX = 8192, MESSAGE_MAX = 1024 };

static struct {
    pthread_mutex_t lock;
    bool ready;
    uint8_t key[SHA256_LEN];
    struct {
        uint8_t mac[16];
        int64_t until;
    } spent[SPENT_MAX];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static tm_err key(uint8_t ret[SHA256_LEN])
{
    tm_err e = TM_OK;
    pthread_mutex_lock(&state.lock);
    if (!state.ready)
        e = random_bytes(state.key, sizeof state.key);
    state.ready = e == TM_OK;
    memcpy(ret, state.key, SHA256_LEN);
    pthread_mutex_unlock(&state.lock);
    return e;
}

/* Under a label of its own each, so that no ticket can stand for another thing. */
static tm_err keyed(uint8_t ret[SHA256_LEN], const char *label, struct slice head, const char *text)
{
    uint8_t k[SHA256_LEN];
    struct buf b;
    TM_TRY(key(k));
    buf_init(&b, MESSAGE_MAX);
    buf_put(&b, label, strlen(label) + 1);
    buf_put_slice(&b, head);
    buf_puts(&b, text);
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = hmac_sha256(ret, SLICE_ARR(k), buf_slice(&b));
    buf_done(&b);
    explicit_bzero(k, sizeof k);
    return e;
}

tm_err ticket_make(char ret[TICKET_TEXT], const char *purpose, int64_t ttl)
{
    uint8_t octets[OCTETS];
    uint64_t end = (uint64_t)(clock_now() + ttl);
    struct buf b;
    TM_TRY(random_bytes(octets, NONCE));
    for (int i = 0; i < END; i++)
        octets[NONCE + i] = (uint8_t)(end >> (56 - 8 * i));
    TM_TRY(keyed(octets + NONCE + END, "ticket", slice_of(octets, NONCE + END), purpose));
    buf_init(&b, 2 * TICKET_TEXT);
    buf_put_base64(&b, SLICE_ARR(octets), BASE64_URL, 0);
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        memcpy(ret, buf_str(&b), TICKET_TEXT - 1);
    ret[TICKET_TEXT - 1] = '\0';
    buf_done(&b);
    return e;
}

static tm_err check(uint8_t ret_mac[SHA256_LEN], int64_t *ret_end, const char *purpose, const char *text,
                    struct diag *diag)
{
    uint64_t end = 0;
    struct slice octets = {0};
    struct arena *a = arena_new(4096);
    if (!a)
        return TM_ENOMEM;
    bool good = strlen(text) == TICKET_TEXT - 1 &&
                base64_decode(&octets, a, slice_str(text), BASE64_URL) == TM_OK && octets.n == OCTETS;
    tm_err e = good ? keyed(ret_mac, "ticket", slice_of(octets.p, NONCE + END), purpose) : TM_OK;
    good = good && e == TM_OK &&
           slice_ct_eq(slice_of(ret_mac, SHA256_LEN), slice_sub(octets, NONCE + END, SHA256_LEN));
    for (int i = 0; good && i < END; i++)
        end = end << 8 | octets.p[NONCE + i];
    arena_free(a);
    TM_TRY(e);
    if (!good)
        return diag_fail(diag, TM_EAUTH, "ticket.unknown", NULL,
                         "this is not what the house said before; begin again");
    if ((int64_t)end < clock_now())
        return diag_fail(diag, TM_EEXPIRED, "ticket.expired", NULL, "it took too long; begin again");
    *ret_end = (int64_t)end;
    return TM_OK;
}

tm_err ticket_check(const char *purpose, const char *text, struct diag *diag)
{
    uint8_t mac[SHA256_LEN];
    int64_t end;
    return check(mac, &end, purpose, text, diag);
}

tm_err ticket_spend(const char *purpose, const char *text, struct diag *diag)
{
    uint8_t mac[SHA256_LEN];
    int64_t end, now = clock_now();
    TM_TRY(check(mac, &end, purpose, text, diag));
    size_t place = SPENT_MAX;
    bool known = false;
    pthread_mutex_lock(&state.lock);
    for (size_t i = 0; i < SPENT_MAX && !known; i++) {
        if (state.spent[i].until < now)
            place = i;
        else
            known = memcmp(state.spent[i].mac, mac, sizeof state.spent[i].mac) == 0;
    }
    if (!known && place < SPENT_MAX) {
        memcpy(state.spent[place].mac, mac, sizeof state.spent[place].mac);
        state.spent[place].until = end;
    }
    pthread_mutex_unlock(&state.lock);
    if (known)
        return diag_fail(diag, TM_EAUTH, "ticket.spent", NULL, "this was used already; begin again");
    return place < SPENT_MAX ? TM_OK
                             : diag_fail(diag, TM_EBUSY, "ticket.many", NULL,
                                         "too many sign in at this moment; try again in some minutes");
}

tm_err ticket_secret(uint8_t ret[TICKET_SECRET], const char *label, const char *text)
{
    return keyed(ret, "ticket-secret", slice_of(label, strlen(label) + 1), text);
}
