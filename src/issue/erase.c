/* An event's contents taken out of the register: its place, its leaf and all proofs stay, and who did it is an event itself. */
#include "base/arena.h"
#include "base/clock.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "register/register.h"
#include <inttypes.h>
#include <string.h>

static tm_err find(struct event_row *ret, struct arena *a, struct house *h, tenant_id tenant, uint64_t pos,
                   struct diag *diag)
{
    struct store_read q = {.kind = READ_EVENTS, .tenant = tenant, .arena = a, .pos_from = pos, .limit = 1};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    if (q.n == 0 || q.events[0].pos != pos)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "pos", "the register has no event at this position");
    *ret = q.events[0];
    return TM_OK;
}

/* Anchors, epochs and erasures are what the other logs, restores and gaps are verified by. */
static tm_err check(const struct event_row *row, struct diag *diag)
{
    if (strncmp(row->type, "register.", 9) == 0)
        return diag_fail(diag, TM_EFORBIDDEN, "register.erase", "pos",
                         "an event of the register itself stays: what else happened is verified by it");
    if (row->salt.n == 0)
        return diag_fail(diag, TM_ECONFLICT, "register.erase", "pos", "this event is erased already");
    return TM_OK;
}

static tm_err erase(struct house *h, struct arena *a, tenant_id tenant, const struct event_row *row,
                    const char *reason, const char *by, struct diag *diag)
{
    struct effect effects[2] = {{.kind = EFFECT_EVENT_ERASE, .tenant = tenant}};
    effects[0].u.event.pos = row->pos;
    TM_TRY(register_event_stub(&effects[0].u.event.body, a, row->body));
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by ? by : "")},
        {.key = "leaf", .kind = EVENT_HEX, .s = SLICE_ARR(row->leaf)},
        {.key = "pos", .kind = EVENT_INT, .i = (int64_t)row->pos},
        {.key = "reason", .kind = EVENT_STR, .s = slice_str(reason)},
        {.key = "what", .kind = EVENT_STR, .s = slice_str(row->type)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *about = arena_printf(a, "event/%" PRIu64, row->pos);
    if (!about)
        return TM_ENOMEM;
    TM_TRY(register_event_effect(&effects[1], a, tenant, "register.erased", about, body, clock_now_ms()));
    return house_commit(h, effects, 2, diag);
}

tm_err issue_erase(struct house *h, tenant_id tenant, uint64_t pos, const char *reason, const char *by,
                   struct diag *diag)
{
    if (!reason || !reason[0])
        return diag_fail(diag, TM_EINVAL, NULL, "/reason", "say why: it is all that stays to be read");
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct event_row row;
    tm_err e = find(&row, a, h, tenant, pos, diag);
    if (e == TM_OK)
        e = check(&row, diag);
    if (e == TM_OK)
        e = erase(h, a, tenant, &row, reason, by, diag);
    arena_free(a);
    return e;
}
