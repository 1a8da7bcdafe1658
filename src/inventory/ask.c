#include "inventory/ask.h"
#include "base/arena.h"
#include "base/clock.h"
#include "inventory/owner.h"
#include "inventory/query.h"
#include "issue/house.h"
#include <string.h>

enum { DEVICES_MAX = 2000, PAGE = 500 };

tm_err inventory_ask(struct cert_test *ret, struct arena *a, struct house *h, tenant_id tenant,
                     struct slice text, struct diag *diag)
{
    struct owner_asked who = {.house = h, .tenant = tenant};
    const struct query_env env = {.now = clock_now(), .owned = owner_test, .arg = &who};
    return query_parse(ret, a, text, &env, diag);
}

tm_err inventory_of_owner(struct cert_test *ret, struct arena *a, struct house *h, tenant_id tenant,
                          const char *owner, struct diag *diag)
{
    struct cert_test *v = arena_calloc(a, DEVICES_MAX, sizeof *v);
    size_t n = 0;
    if (!v)
        return arena_err(a);
    struct store_read q = {.kind = READ_DEVICES,
                           .tenant = tenant,
                           .arena = a,
                           .text = "",
                           .device_owner = owner,
                           .limit = PAGE,
                           .more = true};
    while (q.more) {
        tm_err e = store_read_now(h->store, &q);
        if (e != TM_OK) {
            *diag = q.diag;
            return e;
        }
        for (size_t i = 0; i < q.n; i++) {
            if (n == DEVICES_MAX)
                return diag_fail(
                    diag, TM_EINVAL, NULL, "query",
                    "this owner has more than %d devices, too many for one question: write a rule of kind "
                    "Ownership",
                    DEVICES_MAX);
            v[n++] = (struct cert_test){
                .kind = CERT_TEST_KEY, .key = {.kind = CERT_KEY_DEVICE, .value = slice_str(q.devices[i].id)}};
        }
        q.after = q.page_next;
    }
    *ret = (struct cert_test){.kind = CERT_TEST_ANY, .parts = v, .n = n};
    return TM_OK;
}
