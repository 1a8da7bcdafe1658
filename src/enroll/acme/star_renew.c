/* What renews orders by the clock (RFC 8739). An order's row says when its next certificate is due; whatever a crash interrupts begins
 * again. Each certificate takes the way of all others, through policy, CAA where the profile wants it, and one durable commit that also says
 * when the next is due: of two that try, or of one that tries and an account that ends the order, one is refused. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "enroll/acme/caa_order.h"
#include "enroll/acme/grounds.h"
#include "enroll/acme/metrics.h"
#include "enroll/acme/star.h"
#include "enroll/acme/validate.h"
#include "enroll/endpoint.h"
#include "policy/profile.h"
#include "register/register.h"
#include <stdlib.h>
#include <string.h>

/* Seconds, but for SWEEP_MAX (orders), GIVEN_UP (lifetimes) and FAILURES_MIN. */
enum { SWEEP_MAX = 512, RETRY_MIN = 1, PAUSE_MAX = 86400, SOON = 30, GIVEN_UP = 4, FAILURES_MIN = 8 };

struct renewal {
    struct errand errand;
    struct house *house;
    tenant_id tenant;
    char id[ACME_ID_MAX + 1];
    /* while it runs */
    struct arena *arena;
    struct catalog *catalog;
    const struct endpoint *endpoint;
    struct acme_order order;
    struct acme_account account;
    struct diag diag;
};

/* ---- ended or put off ---- */

static tm_err write_order(struct renewal *k, const struct effect *more)
{
    struct acme_order *o = &k->order;
    struct effect effects[2] = {{.kind = EFFECT_OBJECT_PUT, .tenant = k->tenant}};
    TM_TRY(acme_order_write(o, k->arena));
    effects[0].expected_version = o->row.version;
    effects[0].u.object.row = o->row;
    if (more)
        effects[1] = *more;
    return house_commit(k->house, effects, more ? 2 : 1, &k->diag);
}

static tm_err end(struct renewal *k, const char *why)
{
    struct event_field fields[] = {
        {.key = "account", .kind = EVENT_STR, .s = slice_str(k->order.row.owner)},
        {.key = "order", .kind = EVENT_STR, .s = slice_str(k->order.id)},
        {.key = "why", .kind = EVENT_STR, .s = slice_str(why)},
        {0},
    };
    struct slice body;
    struct effect event;
    const char *about = arena_printf(k->arena, "acme-account/%s", k->order.row.owner);
    k->order.row.status = ACME_CANCELED;
    k->order.row.due_at = 0;
    k->order.expires = clock_now();
    TM_TRY(about ? register_event_body(&body, k->arena, fields) : TM_ENOMEM);
    TM_TRY(register_event_effect(&event, k->arena, k->tenant, "acme.order-canceled", about, body,
                                 clock_now_ms()));
    return write_order(k, &event);
}

/* Nothing is wrong with the order: the signer, say, is coming back. */
static tm_err wait_for(struct renewal *k, int64_t seconds)
{
    k->order.row.due_at = clock_now_ms() + seconds * 1000;
    return write_order(k, NULL);
}

/* Tried again after an eighth of a certificate's life, then after twice as long each time: several tries before the present one ends, few records of
 * refusals after that, and an end when nothing has come of it for long. */
static tm_err put_off(struct renewal *k, enum acme_problem p, const char *why)
{
    struct acme_order *o = &k->order;
    int64_t pause = o->star.lifetime / 8, now = clock_now();
    struct buf b;
    if (o->star.failures >= FAILURES_MIN && now > o->cert_not_after + GIVEN_UP * o->star.lifetime + PAUSE_MAX)
        return end(k, "it could not be renewed for long");
    buf_init(&b, 4096);
    acme_put_problem(&b, p, 0, why, (struct slice){0});
    o->error = arena_strdup(k->arena, buf_str(&b));
    buf_done(&b);
    pause = pause < RETRY_MIN ? RETRY_MIN : pause;
    for (int64_t i = 0; i < o->star.failures && pause < PAUSE_MAX; i++)
        pause *= 2;
    pause = pause > PAUSE_MAX ? PAUSE_MAX : pause;
    o->star.failures++;
    o->row.due_at = now + pause < o->star.end ? clock_now_ms() + pause * 1000 : 0;
    log_warn(NULL, "acme.renewal-put-off", LOG_S("order", o->id), LOG_S("why", why));
    return o->error ? write_order(k, NULL) : TM_ENOMEM;
}

/* ---- one certificate ---- */

static tm_err issue(struct renewal *k, const struct profile *p)
{
    struct issue_request *i = arena_calloc(k->arena, 1, sizeof *i);
    struct acme_issuing *issuing = arena_calloc(k->arena, 1, sizeof *issuing);
    struct csr *csr = arena_calloc(k->arena, 1, sizeof *csr);
    struct acme_order *o = &k->order;
    int64_t now = clock_now();
    if (!i || !issuing || !csr)
        return TM_ENOMEM;
    issuing->order = o;
    issuing->retention = k->endpoint->acme->retention;
    issuing->keep = profile_retention(p) != RETAIN_FULL;
    issuing->star_index = star_index(&o->star, now);
    if (star_not_after(&o->star, issuing->star_index) <= now) {
        o->row.due_at = 0;
        return write_order(k, NULL);
    }
    i->house = k->house;
    i->arena = k->arena;
    TM_TRY(csr_parse_pkcs10(csr, o->csr, &k->diag));
    TM_TRY(issue_from_csr(i, csr, &k->diag));
    acme_issue_fill(i, k->catalog, k->endpoint, issuing, &k->account);
    i->e.request_id = o->id;
    i->e.not_after = star_not_after(&o->star, issuing->star_index);
    if (profile_needs_caa(p)) {
        struct caa_order names;
        TM_TRY(caa_order_begin(&names, k->arena, k->house, k->tenant, o, &k->diag));
        TM_TRY(caa_order_look(&i->e.caa, &names, k->arena, validator_resolvers(k->house->acme->validator),
                              k->endpoint->acme, &k->diag));
    }
    issue_run(i);
    if (i->outcome == ISSUE_ISSUED) {
        acme_count_issued(k->endpoint->name);
        return TM_OK;
    }
    /* Ended, or renewed, meanwhile. */
    if (i->outcome == ISSUE_FAILED && i->err == TM_ECONFLICT)
        return TM_OK;
    if (i->outcome == ISSUE_PENDING)
        return end(k, "the profile needs approval now");
    bool denied = i->outcome == ISSUE_DENIED;
    if (!denied && tm_err_class(i->err) == TM_CLASS_UNAVAILABLE)
        return wait_for(k, SOON);
    return put_off(k, denied ? ACME_P_UNAUTHORIZED : ACME_P_SERVER_INTERNAL,
                   denied ? i->diag.message : "something went wrong here; it is tried again");
}

static tm_err renew(struct renewal *k)
{
    const char *why;
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = k->tenant,
                           .arena = k->arena,
                           .object_kind = OBJECT_ACME_ORDER,
                           .name = k->id};
    tm_err e = store_read_now(k->house->store, &q);
    if (e != TM_OK) {
        k->diag = q.diag;
        return e == TM_ENOTFOUND ? TM_OK : e;
    }
    const struct object_row row = q.objects[0];
    TM_TRY(acme_order_read(&k->order, k->arena, &row));
    if (!star_is(&k->order) || row.status != ACME_VALID || row.due_at == 0 || row.due_at > clock_now_ms())
        return TM_OK;
    TM_TRY(grounds_account(&k->account, &why, k->arena, k->house, k->tenant, &k->order, &k->diag));
    if (why)
        return end(k, why);
    /* An account's key begins with its endpoint. */
    const char *key = k->account.row.key, *slash = strchr(key, '/');
    char *name = slash ? arena_strndup(k->arena, key, (size_t)(slash - key)) : NULL;
    if (!name)
        return slash ? TM_ENOMEM : TM_ECORRUPT;
    k->endpoint = endpoint_of_tenant(k->catalog, k->arena, k->tenant, DOOR_ACME, name);
    if (!k->endpoint)
        return put_off(k, ACME_P_UNAUTHORIZED, "the endpoint is closed");
    if (k->endpoint->acme->star.max_duration == 0)
        return end(k, "orders that renew themselves are not offered here any more");
    const struct profile *p = catalog_profile(k->catalog, k->tenant, k->order.profile);
    if (!p || !endpoint_offers(k->endpoint, slice_str(k->order.profile)))
        return put_off(k, ACME_P_INVALID_PROFILE, "the profile of this order is not offered any more");
    return issue(k, p);
}

static void run(struct errand *errand, tm_err err)
{
    struct renewal *k = TM_CONTAINER(errand, struct renewal, errand);
    if (err == TM_OK) {
        k->arena = arena_new(0);
        k->catalog = house_catalog(k->house);
        err = k->arena ? renew(k) : TM_ENOMEM;
        /* It stays due: the sweep comes back to it. */
        if (err != TM_OK && err != TM_ECONFLICT)
            log_error(NULL, "acme.renewal-failed", LOG_S("order", k->id), LOG_S("error", tm_err_name(err)),
                      LOG_S("why", k->diag.message));
        catalog_unref(k->catalog);
        arena_free(k->arena);
    }
    free(k);
}

/* ---- the job ---- */

static void begin(struct house *h, const struct object_row *row)
{
    struct renewal *k = strlen(row->id) <= ACME_ID_MAX ? calloc(1, sizeof *k) : NULL;
    if (!k)
        return;
    k->house = h;
    k->tenant = row->tenant;
    k->errand.run = run;
    memcpy(k->id, row->id, strlen(row->id) + 1);
    if (validator_errand(h->acme->validator, row->tenant, row->id, row->owner, &k->errand) != TM_OK)
        free(k); /* under way, or no place: it stays due */
}

tm_err star_sweep(struct house *h, struct diag *diag)
{
    struct acme *door = h->acme;
    struct arena *a = door ? arena_new(0) : NULL;
    if (!a)
        return door ? TM_ENOMEM : TM_OK;
    struct store_read q = {.kind = READ_OBJECTS_DUE,
                           .arena = a,
                           .object_kind = OBJECT_ACME_ORDER,
                           .window_start = clock_now_ms(),
                           .limit = SWEEP_MAX,
                           .after = slice_str(door->star_turn)};
    tm_err e = store_read_now(h->store, &q);
    for (size_t i = 0; e == TM_OK && i < q.n; i++)
        begin(h, &q.objects[i]);
    if (e != TM_OK)
        *diag = q.diag;
    else if (q.more && q.page_next.n < sizeof door->star_turn)
        memcpy(door->star_turn, q.page_next.p, q.page_next.n + 1); /* a text */
    arena_free(a);
    return e;
}
