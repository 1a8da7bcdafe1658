#include "store/store.h"
#include "base/task.h"
#include "store/sqlite/driver.h"
#include <string.h>

const struct store_driver *const store_drivers[] = {&store_sqlite, NULL};

tm_err store_open(struct store **ret, const struct store_config *c, struct diag *diag)
{
    const char *name = c->driver ? c->driver : store_drivers[0]->name;
    for (size_t i = 0; store_drivers[i]; i++)
        if (strcmp(store_drivers[i]->name, name) == 0)
            return store_drivers[i]->open(ret, c, diag);
    return diag_fail(diag, TM_EUNSUPPORTED, "store.driver", "store.driver", "there is no store \"%s\"", name);
}

void store_close(struct store *s)
{
    if (s)
        s->driver->close(s);
}

/* A transaction of our own with the caller's effects: its completion ends the wait. */
struct waiting_txn {
    struct store_txn txn;
    bool done;
};

static void commit_done(struct task *t)
{
    TM_CONTAINER(t, struct waiting_txn, txn.done)->done = true;
}

tm_err store_commit(struct store *s, struct store_txn *t)
{
    struct waiter *w = waiter_new();
    if (!w)
        return TM_ENOMEM;
    struct waiting_txn inner = {.txn = {.done = {.run = commit_done},
                                        .reply_to = waiter_executor(w),
                                        .effects = t->effects,
                                        .n = t->n,
                                        .patient = t->patient}};
    store_submit(s, &inner.txn);
    waiter_run(w, &inner.done);
    waiter_free(w);
    t->err = inner.txn.err;
    t->failed = inner.txn.failed;
    t->diag = inner.txn.diag;
    return t->err;
}
