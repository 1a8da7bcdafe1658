/* A planned revocation: holders are asked to renew first, and it is seen who has. */
#include "base/arena.h"
#include "base/clock.h"
#include "issue/house.h"
#include "issue/renewal.h"
#include "status/revocation_impl.h"
#include <string.h>

enum { CANDIDATES_MAX = 100 };

/* Clients renew at a random time in the window (RFC 9773 4.2), and ask for it a few times a day: the last quarter is for those that come late. */
tm_err revocation_window(struct effect *ret, struct arena *a, const struct revocation *j,
                         const struct cert_row *row)
{
    int64_t start = j->begun_ms / 1000;
    struct renewal_window w = {
        .start = start, .end = start + (j->deadline - start) * 3 / 4, .explanation = j->explanation};
    return renewal_window_put(ret, a, j->tenant, row, j->id, &w);
}

tm_err revocation_windows_drop(bool *ret_more, struct arena *a, struct house *h, const struct revocation *j,
                               struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECTS_OWNED,
                           .tenant = j->tenant,
                           .arena = a,
                           .object_kind = OBJECT_RENEWAL_WINDOW,
                           .name = j->id,
                           .limit = REVOCATION_PAGE};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    struct effect *v = q.n ? arena_calloc(a, q.n, sizeof *v) : NULL;
    *ret_more = q.more;
    if (!q.n)
        return TM_OK;
    for (size_t i = 0; v && i < q.n; i++)
        v[i] = (struct effect){.kind = EFFECT_OBJECT_DROP,
                               .tenant = j->tenant,
                               .expected_version = -1,
                               .u.object.row = q.objects[i]};
    return v ? house_commit(h, v, q.n, diag) : TM_ENOMEM;
}

/* ---- who has renewed ---- */

static bool has_key(const struct cert_key *v, size_t n, const struct cert_key *k)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].kind == k->kind && slice_eq(v[i].value, k->value))
            return true;
    return false;
}

/* Are all alternative names of `old` in `fresh`? Where either certificate is not kept nobody knows. */
static tm_err same_names(bool *ret, struct arena *a, const struct cert_key *old, size_t n_old,
                         const struct cert_row *fresh)
{
    struct cert c;
    struct cert_key *keys;
    size_t n;
    *ret = false;
    if (fresh->der.n == 0)
        return TM_OK;
    TM_TRY(cert_parse(&c, fresh->der, NULL));
    TM_TRY(cert_keys_collect(&keys, &n, a, &c, ""));
    *ret = true;
    for (size_t i = 0; i < n_old && *ret; i++)
        *ret = old[i].kind != CERT_KEY_SAN || has_key(keys, n, &old[i]);
    return TM_OK;
}

/* What it is found by: its device, else its first alternative name, else its subject. */
static tm_err holder_key(struct cert_key *ret, struct cert_key **ret_names, size_t *ret_n, struct arena *a,
                         const struct cert_row *row)
{
    struct cert c;
    *ret_n = 0;
    *ret = (struct cert_key){.kind = CERT_KEY_DEVICE, .value = slice_str(row->device)};
    if (ret->value.n)
        return TM_OK;
    *ret = (struct cert_key){.kind = CERT_KEY_SUBJECT, .value = slice_str(row->subject)};
    if (row->der.n == 0)
        return TM_OK;
    TM_TRY(cert_parse(&c, row->der, NULL));
    struct cert_key *names = NULL;
    TM_TRY(cert_keys_collect(&names, ret_n, a, &c, ""));
    *ret_names = names;
    for (size_t i = 0; names && i < *ret_n; i++)
        if (names[i].kind == CERT_KEY_SAN) {
            *ret = names[i];
            break;
        }
    return TM_OK;
}

tm_err revocation_renewed(bool *ret, struct arena *a, struct house *h, const struct revocation *j,
                          const struct cert_row *row, struct diag *diag)
{
    struct cert_key *names = NULL, key;
    size_t n_names = 0;
    struct store_read whole = {.kind = READ_CERT, .tenant = j->tenant, .arena = a, .with_der = true};
    *ret = false;
    memcpy(whole.id, row->id, sizeof whole.id);
    tm_err e = store_read_now(h->store, &whole);
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? TM_OK : e;
    TM_TRY(holder_key(&key, &names, &n_names, a, &whole.certs[0]));
    if (key.value.n == 0)
        return TM_OK;
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .tenant = j->tenant,
                           .arena = a,
                           .key = key,
                           .limit = CANDIDATES_MAX,
                           .with_der = true};
    e = store_read_now(h->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    for (size_t i = 0; i < q.n && !*ret; i++) {
        const struct cert_row *fresh = &q.certs[i];
        if (fresh->source != CERT_ISSUED || fresh->issued_at <= j->created_ms || fresh->revoked_at ||
            fresh->not_after <= clock_now() || strcmp(fresh->profile, row->profile) != 0)
            continue;
        *ret = key.kind != CERT_KEY_SAN;
        if (!*ret)
            TM_TRY(same_names(ret, a, names, n_names, fresh));
    }
    return TM_OK;
}
