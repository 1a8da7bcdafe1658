#include "issue/orphan.h"
#include "base/arena.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "issue/record.h"
#include "keys/signer.h"

/* Lives on after its request. */
struct orphan {
    struct store_txn txn;
    struct effect effect;
    struct arena *arena;
    struct house *house;
    uint64_t seq;
};

static void written(struct task *t)
{
    struct orphan *o = TM_CONTAINER(t, struct orphan, txn.done);
    if (o->txn.err == TM_OK)
        chain_recorded(o->house->chain, o->seq);
    house_signing_end(o->house);
    arena_free(o->arena);
}

void orphan_record(struct house *h, const struct sign_op *sign, const char *why)
{
    struct arena *a = arena_new(0);
    struct orphan *o = a ? arena_calloc(a, 1, sizeof *o) : NULL;
    if (!o || record_orphaned(&o->effect, a, sign, why) != TM_OK) {
        arena_free(a);
        return;
    }
    o->arena = a;
    o->house = h;
    o->seq = sign->chain_seq;
    o->txn = (struct store_txn){.effects = &o->effect, .n = 1, .reply_to = pool_executor(h->crypto)};
    o->txn.done.run = written;
    house_signing_goes_on(h);
    store_submit(h->store, &o->txn);
}
