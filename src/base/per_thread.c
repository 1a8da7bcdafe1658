#include "base/per_thread.h"
#include <stdlib.h>
#include <string.h>

enum { NOT_MADE, MADE, IMPOSSIBLE };

/* What a thread has, with what it is of. */
struct own {
    const struct per_thread *of;
    max_align_t contents[];
};

static void own_free(void *arg)
{
    struct own *o = arg;
    o->of->end(o->contents);
    free(o);
}

static int make(struct per_thread *p)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    int state = atomic_load(&p->state);
    if (state == NOT_MADE) {
        state = pthread_key_create(&p->key, own_free) == 0 ? MADE : IMPOSSIBLE;
        atomic_store(&p->state, state);
    }
    pthread_mutex_unlock(&lock);
    return state;
}

tm_err per_thread_get(void *ret, struct per_thread *p)
{
    int state = atomic_load_explicit(&p->state, memory_order_acquire);
    if (state == NOT_MADE)
        state = make(p);
    if (state != MADE)
        return TM_EINTERNAL;
    struct own *o = pthread_getspecific(p->key);
    if (!o) {
        o = calloc(1, sizeof *o + p->size);
        if (!o)
            return TM_ENOMEM;
        o->of = p;
        if (pthread_setspecific(p->key, o) != 0) {
            free(o);
            return TM_ENOMEM;
        }
    }
    void *contents = o->contents;
    memcpy(ret, &contents, sizeof contents);
    return TM_OK;
}
