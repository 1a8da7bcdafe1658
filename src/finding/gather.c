/* The facts about certificates. */
#include "finding/gather.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "finding/public_roots.h"
#include "inventory/owner.h"
#include "inventory/succession.h"
#include "policy/profile.h"
#include <stdlib.h>
#include <string.h>

enum {
    KEY_ROWS = 64,
    PLACES = 16,
    NAME_OCTETS = FINDING_NAME_MAX / 2,
    SUCCESSORS = 32,
    LOOK_AHEAD = 31 * 86400,
    LOOK_BACK = 31 * 86400,
    ISSUERS = 4,
    STEPS = 4,
    ARENA = 64 << 20
};

static tm_err none_there(bool *ret, struct gatherer *g, enum store_read_kind kind)
{
    struct store_read q = {.kind = kind, .object_kind = OBJECT_PLACE, .limit = 1};
    tm_err e = gather_read(g, &q);
    *ret = q.n == 0;
    return e;
}

tm_err gatherer_new(struct gatherer **ret, struct house *h, tenant_id tenant, struct diag *diag)
{
    struct gatherer *g = calloc(1, sizeof *g);
    if (!g)
        return TM_ENOMEM;
    g->house = h;
    g->tenant = tenant;
    g->diag = diag;
    g->catalog = house_catalog(h);
    g->a = arena_new(ARENA);
    g->device_room = arena_new(1 << 20);
    g->owners_room = arena_new(0);
    if (!g->catalog || !g->a || !g->device_room || !g->owners_room) {
        gatherer_free(g);
        return TM_ENOMEM;
    }
    tm_err e = none_there(&g->no_places, g, READ_OBJECTS);
    if (e == TM_OK)
        e = none_there(&g->no_devices, g, READ_DEVICES);
    if (e != TM_OK) {
        gatherer_free(g);
        return e;
    }
    *ret = g;
    return TM_OK;
}

void gatherer_free(struct gatherer *g)
{
    if (!g)
        return;
    if (g->catalog)
        catalog_unref(g->catalog);
    arena_free(g->a);
    arena_free(g->device_room);
    arena_free(g->owners_room);
    free(g);
}

void gatherer_reset(struct gatherer *g)
{
    arena_reset(g->a);
    arena_reset(g->device_room);
    g->device_id[0] = '\0';
    g->device = NULL;
}

tm_err gather_read(struct gatherer *g, struct store_read *q)
{
    q->tenant = g->tenant;
    q->arena = q->arena ? q->arena : g->a;
    tm_err e = store_read_now(g->house->store, q);
    if (e == TM_ENOTFOUND) {
        q->n = 0;
        return TM_OK;
    }
    if (e != TM_OK && g->diag)
        *g->diag = q->diag;
    return e;
}

bool gather_knows(const struct gatherer *g, tenant_id owner)
{
    return owner == g->tenant || owner == TENANT_HOUSE;
}

/* ---- whose it is ---- */

/* Certificates of one device often follow each other. */
tm_err gather_device(const struct device_row **ret, struct gatherer *g, const char *id)
{
    *ret = NULL;
    if (g->no_devices || !id[0] || strlen(id) >= sizeof g->device_id)
        return TM_OK;
    if (strcmp(g->device_id, id) != 0) {
        arena_reset(g->device_room);
        struct store_read q = {.kind = READ_DEVICE, .name = id, .arena = g->device_room};
        g->device_id[0] = '\0';
        TM_TRY(gather_read(g, &q));
        g->device = q.n ? &q.devices[0] : NULL;
        memcpy(g->device_id, id, strlen(id) + 1);
    }
    *ret = g->device;
    return TM_OK;
}

/* By hand, by rule, by the device: as the inventory says it (inventory/owner.h). */
static tm_err gather_owner(struct finding_facts *f, struct gatherer *g)
{
    const struct device_row *d;
    if (!g->owners)
        TM_TRY(owners_new(&g->owners, g->owners_room, g->house, g->tenant, g->diag));
    TM_TRY(owners_find(&f->owner, g->owners, g->a, f->row, g->diag));
    if (f->owner[0])
        return TM_OK;
    TM_TRY(gather_device(&d, g, f->row->device));
    if (d && d->owner[0])
        f->owner = d->owner;
    return TM_OK;
}

/* ---- names ---- */

static const char *name_text(struct arena *a, const struct general_name *gn)
{
    struct buf b;
    buf_init(&b, 1024);
    general_name_print(&b, gn);
    const char *text = buf_str(&b), *colon = strchr(text, ':');
    const char *s = arena_strdup(a, gn->type == GN_OTHER || !colon ? text : colon + 1);
    buf_done(&b);
    return s;
}

/* Names in certificates are as long as whoever made them wanted; what is kept of a finding and read again has a limit. */
static const char *short_name(struct arena *a, const char *name)
{
    size_t n = strlen(name);
    if (n <= NAME_OCTETS)
        return name;
    for (n = NAME_OCTETS; n && ((unsigned char)name[n] & 0xc0) == 0x80;)
        n--;
    const char *cut = arena_printf(a, "%.*s…", (int)n, name);
    return cut ? cut : "";
}

static void gather_names(struct finding_facts *f, struct gatherer *g)
{
    const struct cert_row *row = f->row;
    if (f->cert && cert_san(&f->names, g->a, f->cert, NULL) != TM_OK)
        f->names = (struct general_names){0};
    f->name = row->subject && row->subject[0] ? row->subject : "";
    for (size_t i = 0; i < f->names.n; i++) {
        const struct general_name *gn = &f->names.v[i];
        bool readable = gn->type == GN_DNS || gn->type == GN_IP || gn->type == GN_URI || gn->type == GN_EMAIL;
        f->wildcard |= gn->type == GN_DNS && gn->value.n > 2 && gn->value.p[0] == '*';
        if (i == 0 && (readable || !f->name[0]))
            f->name = name_text(g->a, gn);
    }
    if (!f->name || !f->name[0])
        f->name = arena_hex(g->a, SLICE_ARR(row->id));
    f->name = f->name ? short_name(g->a, f->name) : "";
}

/* ---- octets ---- */

static void gather_extensions(struct finding_facts *f)
{
    struct eku eku;
    const struct ext *x = exts_find(&f->cert->exts, OID_EXT_EKU);
    f->is_ca = cert_is_ca(f->cert);
    if (!x || ext_decode_eku(&eku, x->value, NULL) != TM_OK)
        return;
    f->has_purposes = true;
    for (size_t i = 0; i < eku.n; i++) {
        enum oid id = oid_find(eku.oid[i]);
        f->purposes |= id == OID_EKU_SERVER_AUTH   ? FINDING_SERVER_AUTH
                       : id == OID_EKU_CLIENT_AUTH ? FINDING_CLIENT_AUTH
                                                   : 0;
    }
}

static tm_err gather_octets(struct finding_facts *f, struct gatherer *g, bool deep)
{
    struct cert *c = f->row->der.n ? arena_alloc(g->a, sizeof *c) : NULL;
    if (!c || cert_parse(c, f->row->der, NULL) != TM_OK)
        return TM_OK;
    f->cert = c;
    gather_extensions(f);
    f->key_known = pubkey_info(&f->key, &c->spki, NULL) == TM_OK;
    /* pubkey_info() turns down what is too weak to be issued for; a modulus is a modulus. */
    if (!deep || !f->live)
        return TM_OK;
    if (!f->key_known && c->spki.alg.id == OID_RSA && spki_rsa_modulus(&f->key.rsa_modulus, &c->spki)) {
        static const uint8_t usual[] = {1, 0, 1};
        f->key.alg = KEY_ALG_RSA;
        f->key.rsa_exponent = SLICE_ARR(usual);
    }
    if (f->key.alg == KEY_ALG_NONE)
        return TM_OK;
    tm_err e = key_quality_check(&f->quality, &f->key, &c->spki, g->house->blocklist);
    return tm_err_class(e) == TM_CLASS_CALLER ? TM_OK : e;
}

/* ---- the issuer ---- */

static bool in_set(const struct cert *v, size_t n, struct slice der)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(v[i].der, der))
            return true;
    return false;
}

/* Ours, or one that an operator has named. */
static bool named_here(const struct gatherer *g, const struct cert *c)
{
    const struct authority *const *authorities;
    const struct trust_set *const *sets;
    for (size_t i = 0, n = catalog_authorities(g->catalog, &authorities); i < n; i++) {
        const struct authority *x = authorities[i];
        if (!gather_knows(g, x->tenant))
            continue;
        bool same = slice_eq(x->der, c->der) ||
                    (slice_eq(x->cert.subject, c->subject) && slice_eq(x->cert.spki.der, c->spki.der));
        for (size_t k = 0; k < x->n_chain && !same; k++)
            same = slice_eq(x->chain[k], c->der);
        for (size_t k = 0; k < x->n_links && !same; k++)
            same = slice_eq(x->links[k], c->der);
        if (same)
            return true;
    }
    for (size_t i = 0, n = catalog_trust_sets(g->catalog, &sets); i < n; i++)
        if (gather_knows(g, sets[i]->tenant) &&
            (in_set(sets[i]->anchors, sets[i]->n_anchors, c->der) ||
             in_set(sets[i]->intermediates, sets[i]->n_intermediates, c->der)))
            return true;
    return false;
}

/* Do signatures lead from it to a public root, over certificates that the inventory has? */
static bool leads_to_public(struct gatherer *g, const struct cert *c)
{
    struct cert up = *c;
    for (unsigned step = 0; step < STEPS; step++) {
        if (public_root(&up) || public_root_signed(&up))
            return true;
        struct buf subject;
        buf_init(&subject, 16 << 10);
        name_print_der(&subject, up.issuer);
        struct store_read q = {.kind = READ_CERTS_BY_KEY,
                               .key = {.kind = CERT_KEY_SUBJECT, .value = buf_slice(&subject)},
                               .limit = ISSUERS,
                               .with_der = true};
        tm_err e = buf_err(&subject) == TM_OK && subject.n ? gather_read(g, &q) : TM_ENOTFOUND;
        buf_done(&subject);
        bool found = false;
        for (size_t i = 0; e == TM_OK && i < q.n && !found; i++) {
            struct cert next;
            found = q.certs[i].der.n && !slice_eq(q.certs[i].der, up.der) &&
                    cert_parse(&next, q.certs[i].der, NULL) == TM_OK && slice_eq(next.subject, up.issuer) &&
                    cert_verify_signature(&up, &next.spki, NULL) == TM_OK;
            if (found)
                up = next;
        }
        if (!found)
            return false;
    }
    return false;
}

static tm_err gather_issuer(struct finding_facts *f, struct gatherer *g)
{
    const struct cert_row *row = f->row;
    TM_TRY(issuer_class_now(&f->issuer, g->a, g->house->store, g->catalog, g->tenant, row, &g->nobodys,
                            g->diag));
    /* Signatures of keys that are too weak are verified nowhere here: what names itself is its own. */
    if (f->issuer == ISSUER_UNKNOWN && f->cert && slice_eq(f->cert->subject, f->cert->issuer)) {
        struct slice akid = cert_akid(f->cert);
        if (akid.n == 0 || slice_eq(akid, cert_ski(f->cert)))
            f->issuer = ISSUER_SELF_SIGNED;
    }
    if (row->source == CERT_ISSUED)
        f->authority = catalog_authority(g->catalog, g->tenant, row->authority);
    else if (f->cert && f->issuer == ISSUER_OWN)
        f->authority = catalog_authority_by_key_id(g->catalog, cert_akid(f->cert));
    if (f->authority && f->authority->tenant != g->tenant)
        f->authority = NULL;
    if (f->authority && slice_eq(f->authority->der, row->der))
        f->authority = NULL; /* a root of ours, which issued itself */
    f->issuer_is_root = f->authority && f->authority->is_root;
    if (!f->cert || f->issuer == ISSUER_OWN)
        f->known_ca = f->is_ca;
    else if (f->issuer == ISSUER_VENDOR || f->issuer == ISSUER_PUBLIC)
        f->known_ca = f->is_ca;
    else if (f->is_ca && f->live)
        f->known_ca = named_here(g, f->cert) || leads_to_public(g, f->cert);
    if (f->issuer == ISSUER_UNKNOWN && f->cert && public_rules(f->cert) && !f->is_ca &&
        leads_to_public(g, f->cert))
        f->issuer = ISSUER_PUBLIC;
    return TM_OK;
}

/* ---- renewal ---- */

static bool renews_itself(int door)
{
    return door == DOOR_ACME || door == DOOR_EST || door == DOOR_SCEP || door == DOOR_CMP;
}

static void gather_renewal(struct finding_facts *f, struct gatherer *g)
{
    const struct cert_row *row = f->row;
    f->profile = row->source == CERT_ISSUED && row->profile[0]
                     ? catalog_profile(g->catalog, g->tenant, row->profile)
                     : NULL;
    f->profile_for_devices = f->profile && profile_needs_device(f->profile);
    /* Made in ceremonies are authorities, whose end is announced as such, and certificates of RAs and responders, which the house renews. */
    f->house_own = row->source == CERT_ISSUED && row->door == DOOR_CEREMONY;
    f->automatic = row->source == CERT_ISSUED && renews_itself(row->door);
    if (!f->automatic || row->not_after >= TM_TIME_NEVER)
        return;
    f->renew_from = f->profile ? profile_renew_before(f->profile, row->not_before, row->not_after)
                               : row->not_after - (row->not_after - row->not_before) / 3;
    /* The window that ACME clients are told (RFC 9773), and a measure for the others. */
    f->renew_end = f->renew_from + (row->not_after - f->renew_from) / 3;
}

/* Asked where it matters: the window has begun, the end is near or was lately. */
static tm_err gather_successor(struct finding_facts *f, struct gatherer *g)
{
    const struct cert_row *row = f->row;
    int64_t from = row->not_after - LOOK_AHEAD;
    if (f->renew_from && f->renew_from < from)
        from = f->renew_from;
    if (f->now < from || f->now - row->not_after > LOOK_BACK || row->revoked_at ||
        row->not_after >= TM_TIME_NEVER)
        return TM_OK;
    struct store_read q = {.kind = READ_CERTS_BY_KEY, .limit = SUCCESSORS};
    TM_TRY(succession_key(&q.key, g->a, f->cert, row));
    if (q.key.value.n == 0)
        return TM_OK;
    TM_TRY(gather_read(g, &q));
    for (size_t i = 0; i < q.n && !f->successor; i++)
        f->successor = succession_follows(&q.certs[i], row, f->now);
    return TM_OK;
}

/* ---- others of the same key ---- */

/* A device by the register, or by the serial number in the certificate's name; "" none. */
static const char *holder_of(struct arena *a, const struct cert_row *row)
{
    static const char mark[] = "serialNumber=";
    if (row->device[0])
        return row->device;
    const char *at = strstr(row->subject, mark);
    if (!at || (at != row->subject && at[-1] != ',' && at[-1] != '+'))
        return "";
    at += sizeof mark - 1;
    const char *s = arena_strndup(a, at, strcspn(at, ",+"));
    return s ? s : "";
}

static bool older(const struct cert_row *x, const struct cert_row *y)
{
    return x->issued_at != y->issued_at ? x->issued_at < y->issued_at
                                        : memcmp(x->id, y->id, CERT_SERIAL_LEN) < 0;
}

/* Anybody can show a certificate with another's public key in it. An issuer that somebody has named asks for the private one first. */
static bool proves_nothing(const struct cert_row *row)
{
    enum issuer_class issuer = issuer_class_of_row(row);
    return row->source == CERT_DISCOVERED && (issuer == ISSUER_UNKNOWN || issuer == ISSUER_SELF_SIGNED);
}

static tm_err gather_holders(struct finding_facts *f, struct gatherer *g)
{
    const char *mine = holder_of(g->a, f->row);
    if (!f->live || !mine[0] || proves_nothing(f->row))
        return TM_OK;
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .key = {.kind = CERT_KEY_SPKI, .value = SLICE_ARR(f->row->spki_hash)},
                           .limit = KEY_ROWS};
    TM_TRY(gather_read(g, &q));
    f->holders[f->n_holders++] = mine;
    f->first_of_key = true;
    const struct cert_row *oldest = f->row;
    for (size_t i = 0; i < q.n; i++) {
        const struct cert_row *other = &q.certs[i];
        const char *holder = holder_of(g->a, other);
        bool known = !holder[0] || other->revoked_at || other->not_after < f->now || proves_nothing(other) ||
                     memcmp(other->id, f->row->id, CERT_SERIAL_LEN) == 0;
        if (known)
            continue;
        if (older(other, oldest))
            oldest = other;
        for (size_t k = 0; k < f->n_holders && !known; k++)
            known = strcmp(f->holders[k], holder) == 0;
        if (!known && f->n_holders < FINDING_HOLDERS_MAX)
            f->holders[f->n_holders++] = holder;
    }
    f->first_of_key = oldest == f->row;
    memcpy(f->oldest_of_key, oldest->id, CERT_SERIAL_LEN);
    return TM_OK;
}

/* ---- where it is met ---- */

static tm_err gather_seen(struct finding_facts *f, struct gatherer *g)
{
    char id[33];
    struct store_read q = {.kind = READ_OBJECT, .object_kind = OBJECT_PLACE, .limit = PLACES};
    if (g->no_places)
        return TM_OK;
    if (g->census && g->places_counted) {
        f->n_hosts = census_hosts(id, g->census, f->row->id);
        if (!f->n_hosts)
            return TM_OK;
        q.name = id;
    } else {
        q.text = arena_hex(g->a, SLICE_ARR(f->row->id));
        if (!q.text)
            return TM_ENOMEM;
    }
    TM_TRY(gather_read(g, &q));
    for (size_t i = 0; i < q.n && (!f->seen_at || f->seen_in_file); i++) {
        struct finding_place p;
        if (!gather_place_row(&p, g, &q.objects[i]) || !p.met || (f->seen_at && p.file))
            continue;
        f->seen_at = p.text;
        f->seen_in_file = p.file;
        f->seen_last = p.last / 1000;
        /* What no device was issued is whose machine it is met at. */
        const struct device_row *d = NULL;
        if (!f->owner[0])
            TM_TRY(gather_device(&d, g, p.host));
        if (d && !(f->owner = arena_strdup(g->a, d->owner)))
            return TM_ENOMEM;
    }
    return TM_OK;
}

/* ---- all together ---- */

void gather_now(struct finding_facts *ret, struct gatherer *g)
{
    *ret = (struct finding_facts){.now = clock_now(), .arena = g->a, .name = "", .owner = ""};
}

static tm_err gather_basics(struct finding_facts *f, struct gatherer *g, const struct cert_row *row,
                            bool deep)
{
    f->row = row;
    f->live = row->not_after >= f->now && !row->revoked_at;
    TM_TRY(gather_octets(f, g, deep));
    gather_names(f, g);
    gather_renewal(f, g);
    return gather_owner(f, g);
}

tm_err gather_cert(struct finding_facts *ret, struct gatherer *g, const struct cert_row *row, bool deep,
                   bool key_twice, struct diag *diag)
{
    g->diag = diag;
    gather_now(ret, g);
    TM_TRY(gather_basics(ret, g, row, deep));
    TM_TRY(gather_issuer(ret, g));
    TM_TRY(gather_successor(ret, g));
    if (key_twice)
        TM_TRY(gather_holders(ret, g));
    return gather_seen(ret, g);
}

tm_err gather_leaf(struct finding_facts *f, struct gatherer *g, const struct cert_row *row)
{
    TM_TRY(gather_basics(f, g, row, false));
    return gather_issuer(f, g);
}
