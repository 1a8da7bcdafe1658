/* Which certificates a mass revocation is about: page by page, and counted beforehand. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/house.h"
#include "status/revocation_impl.h"
#include "x509/crl.h"
#include <stdlib.h>
#include <string.h>

enum { DEVICE_CERTS_MAX = 10000, LOOK_ARENA = 64 << 20 };

/* ---- does it belong there ---- */

static bool in_times(const struct revocation_set *s, const struct cert_row *row)
{
    int64_t issued = row->issued_at / 1000;
    return (!s->issued_after || issued >= s->issued_after) &&
           (!s->issued_before || issued < s->issued_before) &&
           (!s->expires_after || row->not_after >= s->expires_after) &&
           (!s->expires_before || row->not_after < s->expires_before);
}

/* Not yet revoked, or on hold and now for good. */
static bool to_be_revoked(const struct revocation *j, const struct cert_row *row)
{
    return !row->revoked_at || (row->reason == CRL_CERTIFICATE_HOLD && j->reason != CRL_CERTIFICATE_HOLD);
}

static tm_err owned(bool *ret, struct arena *a, struct house *h, const struct revocation *j,
                    const struct cert_row *row, struct diag *diag)
{
    *ret = !j->set.owner[0];
    if (*ret || !row->device[0])
        return TM_OK;
    struct store_read q = {.kind = READ_DEVICE, .tenant = j->tenant, .arena = a, .name = row->device};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_OK)
        *ret = strcmp(q.devices[0].owner, j->set.owner) == 0;
    else if (e != TM_ENOTFOUND)
        *diag = q.diag;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* A query chooses leaves that were issued here before it was made; none of CAs, RAs and responders, which have no profile. */
static tm_err chosen(bool *ret, struct arena *a, struct house *h, const struct revocation *j,
                     const struct cert_row *row, struct diag *diag)
{
    const struct revocation_set *s = &j->set;
    *ret = row->source == CERT_ISSUED && row->profile[0] && row->not_after > clock_now() &&
           row->issued_at <= j->created_ms && to_be_revoked(j, row) && in_times(s, row) &&
           (!s->authority[0] || strcmp(row->authority, s->authority) == 0) &&
           (!s->profile[0] || strcmp(row->profile, s->profile) == 0) &&
           (!s->device[0] || strcmp(row->device, s->device) == 0);
    return *ret ? owned(ret, a, h, j, row, diag) : TM_OK;
}

/* ---- a page ---- */

static tm_err take(struct revocation_page *ret, struct arena *a, struct house *h, const struct revocation *j,
                   const struct cert_row *rows, size_t n, struct diag *diag)
{
    for (size_t i = 0; i < n; i++) {
        bool yes;
        ret->looked++;
        TM_TRY(chosen(&yes, a, h, j, &rows[i], diag));
        if (yes)
            ret->rows[ret->n++] = &rows[i];
    }
    return TM_OK;
}

static tm_err by_filter(struct revocation_page *ret, struct arena *a, struct house *h,
                        const struct revocation *j, const char *at, struct diag *diag)
{
    const struct revocation_set *s = &j->set;
    struct store_read q = {.kind = READ_CERTS, .tenant = j->tenant, .arena = a, .limit = REVOCATION_PAGE};
    if (at[0])
        TM_TRY(hex_decode(&q.after, a, slice_str(at)));
    q.filter = (struct cert_filter){.authority = s->authority[0] ? s->authority : NULL,
                                    .profile = s->profile[0] ? s->profile : NULL,
                                    .device = s->device[0] ? s->device : NULL,
                                    .not_after_from = clock_now(),
                                    .not_after_to = s->expires_before,
                                    .revoked = -1,
                                    .source = CERT_ISSUED};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    TM_TRY(take(ret, a, h, j, q.certs, q.n, diag));
    ret->more = q.more;
    ret->next = q.more ? arena_hex(a, q.page_next) : "";
    return ret->next ? TM_OK : TM_ENOMEM;
}

static int id_order(const void *a, const void *b)
{
    return memcmp(((const struct cert_row *)a)->id, ((const struct cert_row *)b)->id, CERT_SERIAL_LEN);
}

/* A device's certificates are found without a walk over all: in the order of their ids, so that the place lasts. */
static tm_err by_device(struct revocation_page *ret, struct arena *a, struct house *h,
                        const struct revocation *j, const char *at, struct diag *diag)
{
    struct slice after = {0};
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .tenant = j->tenant,
                           .arena = a,
                           .key = {.kind = CERT_KEY_DEVICE, .value = slice_str(j->set.device)},
                           .limit = DEVICE_CERTS_MAX};
    if (at[0])
        TM_TRY(hex_decode(&after, a, slice_str(at)));
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    size_t from = 0, n = 0;
    if (q.n)
        qsort(q.certs, q.n, sizeof *q.certs, id_order);
    while (from < q.n && after.n && slice_cmp(SLICE_ARR(q.certs[from].id), after) <= 0)
        from++;
    n = q.n - from < REVOCATION_PAGE ? q.n - from : REVOCATION_PAGE;
    TM_TRY(take(ret, a, h, j, q.certs + from, n, diag));
    ret->more = from + n < q.n;
    ret->next = ret->more ? arena_hex(a, SLICE_ARR(q.certs[from + n - 1].id)) : "";
    return ret->next ? TM_OK : TM_ENOMEM;
}

/* The serials from position `from` on that lie in one row, at most a page of them. */
static tm_err listed_ids(struct slice *ret, struct arena *a, struct house *h, const struct revocation *j,
                         const uint8_t *ids, size_t from, struct diag *diag)
{
    size_t left = (size_t)j->set.listed - from, n = left < REVOCATION_PAGE ? left : REVOCATION_PAGE;
    if (ids) {
        *ret = slice_of(ids + from * CERT_SERIAL_LEN, n * CERT_SERIAL_LEN);
        return TM_OK;
    }
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = j->tenant,
                           .arena = a,
                           .object_kind = OBJECT_REVOCATION_SERIALS,
                           .name = revocation_chunk_id(a, j->id, from / REVOCATION_CHUNK)};
    tm_err e = q.name ? store_read_now(h->store, &q) : TM_ENOMEM;
    if (e != TM_OK) {
        *diag = q.diag;
        return e == TM_ENOTFOUND ? TM_ECORRUPT : e;
    }
    *ret = slice_sub(q.objects[0].state, from % REVOCATION_CHUNK * CERT_SERIAL_LEN, n * CERT_SERIAL_LEN);
    return ret->n && ret->n % CERT_SERIAL_LEN == 0 ? TM_OK : TM_ECORRUPT;
}

static tm_err by_list(struct revocation_page *ret, struct arena *a, struct house *h,
                      const struct revocation *j, const uint8_t *ids, const char *at, struct diag *diag)
{
    size_t from = at[0] ? (size_t)strtoull(at, NULL, 10) : 0;
    struct slice v = {0};
    if (from < (size_t)j->set.listed)
        TM_TRY(listed_ids(&v, a, h, j, ids, from, diag));
    for (size_t i = 0; i < v.n; i += CERT_SERIAL_LEN) {
        struct store_read q = {.kind = READ_CERT, .tenant = j->tenant, .arena = a};
        memcpy(q.id, v.p + i, CERT_SERIAL_LEN);
        tm_err e = store_read_now(h->store, &q);
        ret->looked++;
        const char *hex = e == TM_OK ? "" : arena_hex(a, SLICE_ARR(q.id));
        if (e == TM_ENOTFOUND && ids)
            return diag_fail(diag, e, NULL, "/serials", "there is no certificate %.80s in the inventory",
                             hex ? hex : "");
        if (e == TM_ENOTFOUND)
            continue; /* retention has dropped it since */
        if (e != TM_OK) {
            *diag = q.diag;
            return e;
        }
        const struct cert_row *row = &q.certs[0];
        if (row->source != CERT_ISSUED)
            return diag_fail(diag, TM_EFORBIDDEN, NULL, "/serials",
                             "%s was not issued here; only its issuer can revoke it",
                             arena_hex(a, SLICE_ARR(row->id)));
        if (to_be_revoked(j, row))
            ret->rows[ret->n++] = row;
        else
            ret->before++;
    }
    size_t next = from + v.n / CERT_SERIAL_LEN;
    ret->more = next < (size_t)j->set.listed;
    ret->next = ret->more ? arena_printf(a, "%zu", next) : "";
    return ret->next ? TM_OK : TM_ENOMEM;
}

tm_err revocation_page(struct revocation_page *ret, struct arena *a, struct house *h,
                       const struct revocation *j, const uint8_t *ids, const char *at, struct diag *diag)
{
    memset(ret, 0, sizeof *ret);
    return j->set.listed      ? by_list(ret, a, h, j, ids, at, diag)
           : j->set.device[0] ? by_device(ret, a, h, j, at, diag)
                              : by_filter(ret, a, h, j, at, diag);
}

/* ---- serials ---- */

static int octets_order(const void *a, const void *b)
{
    return memcmp(a, b, CERT_SERIAL_LEN);
}

tm_err revocation_serials(uint8_t **ret, size_t *ret_n, struct arena *a, const struct revocation_order *o,
                          struct diag *diag)
{
    uint8_t *ids = arena_calloc(a, o->n_serials + 1, CERT_SERIAL_LEN);
    size_t n = 0;
    if (!ids)
        return TM_ENOMEM;
    for (size_t i = 0; i < o->n_serials; i++) {
        struct slice id;
        if (hex_decode(&id, a, slice_str(o->serials[i])) != TM_OK || id.n != CERT_SERIAL_LEN)
            return diag_fail(diag, TM_EINVAL, NULL, "/serials", "\"%.60s\" is no serial: %d octets in hex",
                             o->serials[i], CERT_SERIAL_LEN);
        memcpy(ids + i * CERT_SERIAL_LEN, id.p, CERT_SERIAL_LEN);
    }
    qsort(ids, o->n_serials, CERT_SERIAL_LEN, octets_order);
    for (size_t i = 0; i < o->n_serials; i++)
        if (n == 0 ||
            memcmp(ids + (n - 1) * CERT_SERIAL_LEN, ids + i * CERT_SERIAL_LEN, CERT_SERIAL_LEN) != 0)
            memmove(ids + n++ * CERT_SERIAL_LEN, ids + i * CERT_SERIAL_LEN, CERT_SERIAL_LEN);
    *ret = ids;
    *ret_n = n;
    return TM_OK;
}

/* ---- whom it touches ---- */

static tm_err tally(struct revocation_tally *v, size_t *n, bool *more, struct arena *a, const char *name)
{
    size_t i = 0;
    while (i < *n && strcmp(v[i].name, name) != 0)
        i++;
    if (i == REVOCATION_TALLY_MAX) {
        *more = true;
        return TM_OK;
    }
    if (i == *n) {
        v[i] = (struct revocation_tally){.name = arena_strdup(a, name)};
        if (!v[i].name)
            return TM_ENOMEM;
        ++*n;
    }
    v[i].n++;
    return TM_OK;
}

/* Devices seen: open addressing over the hash of their ids, twice as large as it may fill. */
struct seen {
    uint64_t *v;
    size_t size;
};

static bool see(struct seen *s, const char *device)
{
    uint64_t h = 14695981039346656037ull; /* FNV-1a; a collision counts two devices as one */
    for (const char *p = device; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211ull;
    h += h == 0;
    size_t i = (size_t)(h % s->size);
    while (s->v[i] && s->v[i] != h)
        i = (i + 1) % s->size;
    bool fresh = s->v[i] == 0;
    s->v[i] = h;
    return fresh;
}

static tm_err touch(struct revocation_touched *ret, struct seen *s, struct arena *a, struct arena *page,
                    struct house *h, tenant_id tenant, const struct cert_row *row, struct diag *diag)
{
    ret->matched++;
    TM_TRY(tally(ret->profiles, &ret->n_profiles, &ret->more, a, row->profile));
    if (!row->device[0])
        return TM_OK;
    if (ret->devices == REVOCATION_DEVICES_MAX) {
        ret->more = true;
        return TM_OK;
    }
    if (!see(s, row->device))
        return TM_OK;
    ret->devices++;
    struct store_read q = {.kind = READ_DEVICE, .tenant = tenant, .arena = page, .name = row->device};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    return e == TM_OK && q.devices[0].owner[0]
               ? tally(ret->owners, &ret->n_owners, &ret->more, a, q.devices[0].owner)
               : TM_OK;
}

static tm_err sample(struct revocation_touched *ret, struct arena *a, const struct cert_row *row)
{
    if (ret->n_sample == REVOCATION_SAMPLE)
        return TM_OK;
    struct cert_row *copy = &ret->sample[ret->n_sample];
    *copy = *row;
    copy->der = (struct slice){0};
    copy->authority = arena_strdup(a, row->authority);
    copy->profile = arena_strdup(a, row->profile);
    copy->subject = arena_strdup(a, row->subject);
    copy->device = arena_strdup(a, row->device);
    copy->endpoint = arena_strdup(a, row->endpoint);
    if (!copy->authority || !copy->profile || !copy->subject || !copy->device || !copy->endpoint)
        return TM_ENOMEM;
    ret->n_sample++;
    return arena_copy(&copy->serial, a, row->serial);
}

static tm_err look(struct revocation_touched *ret, struct seen *s, struct arena *a, struct arena *page_arena,
                   struct house *h, const struct revocation *j, const uint8_t *ids, struct diag *diag)
{
    char at[64] = "";
    struct revocation_page p;
    do {
        TM_TRY(revocation_page(&p, page_arena, h, j, ids, at, diag));
        ret->before += p.before;
        for (size_t i = 0; i < p.n; i++) {
            TM_TRY(sample(ret, a, p.rows[i]));
            TM_TRY(touch(ret, s, a, page_arena, h, j->tenant, p.rows[i], diag));
        }
        size_t n = strlen(p.next);
        if (n >= sizeof at)
            return TM_EINTERNAL;
        memcpy(at, p.next, n + 1);
        arena_reset(page_arena);
    } while (p.more);
    return TM_OK;
}

tm_err revocation_look(struct revocation_touched *ret, struct arena *a, struct house *h,
                       const struct revocation_order *o, struct diag *diag)
{
    struct revocation j = {
        .tenant = o->tenant, .set = o->set, .reason = o->reason, .created_ms = clock_now_ms()};
    uint8_t *ids = NULL;
    size_t n = 0;
    memset(ret, 0, sizeof *ret);
    if (o->n_serials)
        TM_TRY(revocation_serials(&ids, &n, a, o, diag));
    j.set.listed = (int64_t)n;
    struct seen s = {.size = 2 * REVOCATION_DEVICES_MAX};
    struct arena *page = arena_new(LOOK_ARENA);
    s.v = calloc(s.size, sizeof *s.v);
    tm_err e = page && s.v ? look(ret, &s, a, page, h, &j, ids, diag) : TM_ENOMEM;
    free(s.v);
    arena_free(page);
    return e;
}
