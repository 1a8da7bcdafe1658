#include "api/selection.h"
#include "base/arena.h"
#include "base/clock.h"
#include <string.h>

enum { PAGE = 200, POSITION_MAX = 256 };

typedef tm_err (*visitor)(void *arg, const struct cert_row *const *rows, size_t n, struct diag *diag);

static bool chosen(const struct selection *s)
{
    return s->authority[0] || s->profile[0] || s->device[0];
}

tm_err selection_check(const struct selection *s, struct diag *diag)
{
    if (chosen(s) == (s->serials.n > 0))
        return diag_fail(diag, TM_EINVAL, NULL, "",
                         "needs serials, or an authority, a profile or a device, and not both");
    return TM_OK;
}

bool selection_concerns(const struct cert_row *row)
{
    return row->source == CERT_ISSUED && row->revoked_at == 0 && row->not_after > clock_now();
}

static tm_err one(const struct cert_row **ret, struct api_call *c, const char *serial, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT};
    tm_err e = api_cert_id(q.id, c, serial, diag);
    if (e == TM_OK)
        e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "/serials", "there is no certificate %.80s in the inventory", serial);
    *ret = q.certs;
    return e;
}

static tm_err by_serials(struct api_call *c, const struct selection *s, visitor visit, void *arg,
                         struct diag *diag)
{
    const struct cert_row *rows[PAGE];
    size_t n = 0;
    for (size_t i = 0; i < s->serials.n; i++) {
        TM_TRY(one(&rows[n++], c, s->serials.v[i], diag));
        if (n < PAGE && i + 1 < s->serials.n)
            continue;
        TM_TRY(visit(arg, rows, n, diag));
        arena_reset(c->arena);
        n = 0;
    }
    return TM_OK;
}

static tm_err by_filter(struct api_call *c, const struct selection *s, visitor visit, void *arg,
                        struct diag *diag)
{
    const struct cert_row *rows[PAGE];
    uint8_t position[POSITION_MAX];
    struct slice after = {0};
    for (bool more = true; more;) {
        struct store_read q = {.kind = READ_CERTS, .limit = PAGE, .after = after};
        q.filter = (struct cert_filter){.authority = s->authority[0] ? s->authority : NULL,
                                        .profile = s->profile[0] ? s->profile : NULL,
                                        .device = s->device[0] ? s->device : NULL,
                                        .not_after_from = clock_now(),
                                        .revoked = 0,
                                        .source = CERT_ISSUED};
        TM_TRY(api_read(c, &q, diag));
        size_t n = 0;
        for (size_t i = 0; i < q.n; i++)
            if (selection_concerns(&q.certs[i]) && q.certs[i].profile[0]) /* none of RAs and responders */
                rows[n++] = &q.certs[i];
        if (n)
            TM_TRY(visit(arg, rows, n, diag));
        more = q.more;
        if (more && q.page_next.n > sizeof position)
            return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "a position of the inventory is too long");
        if (more)
            memcpy(position, q.page_next.p, q.page_next.n);
        after = (struct slice){.p = position, .n = q.page_next.n};
        arena_reset(c->arena);
    }
    return TM_OK;
}

tm_err selection_each(struct api_call *c, const struct selection *s, visitor visit, void *arg,
                      struct diag *diag)
{
    struct arena *of_call = c->arena;
    struct arena *of_page = arena_new(0);
    if (!of_page)
        return TM_ENOMEM;
    c->arena = of_page;
    tm_err e = s->serials.n ? by_serials(c, s, visit, arg, diag) : by_filter(c, s, visit, arg, diag);
    c->arena = of_call;
    arena_free(of_page);
    return e;
}
