/* The facts about places. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "finding/gather.h"
#include "finding/public_roots.h"
#include "inventory/place.h"
#include "keys/pubkey.h"
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* What was not looked at for longer says nothing of today. */
enum { STEPS = FINDING_CHAIN_MAX + 1, LATELY = 90 * 86400 };

/* Under these something answers that was asked for TLS; what goes on inside starts otherwise but ends the same. */
static const char *const server_schemes[] = {"tls",      "https",      "smtp",  "imap", "pop3", "ldap",
                                             "postgres", "postgresql", "mysql", "xmpp", "ftp",  "dtls",
                                             "nntp",     "sieve",      "rdp",   NULL};

static bool is_address(const char *host)
{
    uint8_t ip[16];
    return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

static bool is_one_of(const char *scheme, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        if (strcmp(words[i], scheme) == 0)
            return true;
    return false;
}

/* "host:port", "[2001:db8::1]:port", "host": without the port. */
static struct slice without_port(struct slice s)
{
    const uint8_t *close = s.n && s.p[0] == '[' ? memchr(s.p, ']', s.n) : NULL;
    if (close)
        return slice_of(s.p + 1, (size_t)(close - s.p) - 1);
    for (size_t i = s.n; i-- > 0;)
        if (s.p[i] == ':')
            return slice_sub(s, 0, i);
    return s;
}

/* Up to the next slash; *text moves behind it. */
static struct slice step(const char **text)
{
    size_t n = strcspn(*text, "/");
    struct slice s = slice_of(*text, n);
    *text += n + ((*text)[n] == '/');
    return s;
}

/* "tls:[2001:db8::1]:443/www.example.org", "file:host/path#alias", "pcap:file/192.0.2.1:443/name", "pcap:file/client/192.0.2.1" */
bool finding_place_parse(struct finding_place *ret, struct arena *a, const char *text)
{
    static const char *const records[] = {"ct", "import", "ca", NULL};
    *ret = (struct finding_place){.text = text, .scheme = "", .host = "", .name = "", .via = ""};
    const char *colon = strchr(text, ':');
    if (!colon || colon == text)
        return false;
    const char *rest = colon + 1;
    ret->scheme = arena_strndup(a, text, (size_t)(colon - text));
    if (!ret->scheme)
        return false;
    ret->server = is_one_of(ret->scheme, server_schemes);
    ret->on_record = is_one_of(ret->scheme, records);
    ret->file = strcmp(ret->scheme, "file") == 0;
    struct slice host = step(&rest);
    if (strcmp(ret->scheme, "pcap") == 0) {
        host = step(&rest);
        if (slice_eq(host, SLICE_LIT("client")))
            host = step(&rest);
        else
            host = without_port(host);
    } else if (ret->server) {
        host = without_port(host);
        ret->name = rest;
    }
    ret->host = arena_strndup(a, (const char *)host.p, host.n);
    if (!ret->host)
        return false;
    ret->host_is_address = is_address(ret->host);
    /* An address that was asked for as a name is no name. */
    if (is_address(ret->name))
        ret->name = "";
    return true;
}

/* A scan asks every target for all names that it was told: by those that are not the target's own nobody reaches it. */
static bool is_only_tried(const struct place *p, const json_t *details)
{
    const char *name = json_string_value(json_object_get(details, "name")),
               *host = json_string_value(json_object_get(details, "host"));
    return strcmp(p->via, "scan") == 0 && name && (!host || strcasecmp(name, host) != 0);
}

static void take_details(struct finding_place *ret, const struct place *p)
{
    json_t *doc = NULL;
    if (json_parse(&doc, slice_str(p->details), PLACE_DETAILS_MAX, NULL) != TM_OK)
        return;
    ret->has_key = json_is_true(json_object_get(doc, "has_key"));
    if (is_only_tried(p, doc))
        ret->name = "";
    json_decref(doc);
}

bool gather_place_row(struct finding_place *ret, struct gatherer *g, const struct object_row *row)
{
    struct place p;
    if (place_from_row(&p, g->a, row) != TM_OK || !finding_place_parse(ret, g->a, p.name))
        return false;
    ret->via = p.via;
    ret->first = p.first;
    ret->last = p.last;
    ret->answers = p.status == PLACE_PRESENT && p.cert[0];
    ret->met = ret->answers && !ret->on_record && p.last / 1000 >= clock_now() - LATELY;
    take_details(ret, &p);
    return true;
}

/* ---- the chain ---- */

static tm_err gather_chain(struct finding_facts *f, struct gatherer *g, const struct place *p)
{
    f->n_chain = p->n_chain;
    for (size_t i = 1; i < p->n_chain && f->n_known < FINDING_CHAIN_MAX; i++) {
        struct slice fingerprint;
        if (hex_decode(&fingerprint, g->a, slice_str(p->chain[i])) != TM_OK)
            continue;
        struct store_read q = {.kind = READ_CERTS_BY_KEY,
                               .key = {.kind = CERT_KEY_FINGERPRINT, .value = fingerprint},
                               .limit = 1,
                               .with_der = true};
        TM_TRY(gather_read(g, &q));
        if (q.n && q.certs[0].der.n && cert_parse(&f->chain[f->n_known], q.certs[0].der, NULL) == TM_OK)
            f->n_known++;
    }
    return TM_OK;
}

/* Is the issuer of `c` a root that clients may know? Public roots sign no servers' certificates, but their intermediates'. */
static bool root_signed(const struct gatherer *g, const struct cert *c)
{
    const struct authority *const *v;
    const struct trust_set *const *sets;
    for (size_t i = 0, n = catalog_authorities(g->catalog, &v); i < n; i++)
        if (gather_knows(g, v[i]->tenant) && slice_eq(v[i]->cert.subject, c->issuer) &&
            (v[i]->is_root || slice_eq(v[i]->cert.subject, v[i]->cert.issuer)))
            return true;
    for (size_t i = 0, n = catalog_trust_sets(g->catalog, &sets); i < n; i++)
        for (size_t k = 0; k < sets[i]->n_anchors && gather_knows(g, sets[i]->tenant); k++)
            if (slice_eq(sets[i]->anchors[k].subject, c->issuer))
                return true;
    return public_root_signed(c);
}

static bool signed_by_our_intermediate(const struct gatherer *g, const struct cert *c)
{
    const struct authority *const *v;
    struct slice akid = cert_akid(c);
    for (size_t i = 0, n = catalog_authorities(g->catalog, &v); i < n; i++)
        if (gather_knows(g, v[i]->tenant) && !v[i]->is_root && slice_eq(v[i]->cert.subject, c->issuer) &&
            (akid.n == 0 || slice_eq(v[i]->key_id, akid)))
            return true;
    return false;
}

static const struct cert *issuer_in(const struct finding_facts *f, const struct cert *c)
{
    for (size_t i = 0; i < f->n_known; i++)
        if (slice_eq(f->chain[i].subject, c->issuer) && !slice_eq(f->chain[i].der, c->der))
            return &f->chain[i];
    return NULL;
}

static void judge_chain(struct finding_facts *f, const struct gatherer *g)
{
    const struct cert *c = f->cert;
    for (unsigned step = 0; c && step < STEPS; step++) {
        if (slice_eq(c->subject, c->issuer) || root_signed(g, c)) {
            f->chain_ends = f->chain_told = true;
            return;
        }
        const struct cert *next = issuer_in(f, c);
        if (!next) {
            /* All that was sent has to be known, and of the missing one that it is no root. */
            f->chain_told = f->n_known + 1 >= f->n_chain &&
                            (signed_by_our_intermediate(g, c) || f->issuer == ISSUER_PUBLIC);
            return;
        }
        c = next;
    }
}

/* ---- all together ---- */

tm_err gather_place(struct finding_facts *ret, struct gatherer *g, const struct object_row *row,
                    struct diag *diag)
{
    struct place p;
    struct slice id;
    struct finding_place *place = arena_alloc(g->a, sizeof *place);
    g->diag = diag;
    gather_now(ret, g);
    if (!place)
        return TM_ENOMEM;
    if (!gather_place_row(place, g, row) || place_from_row(&p, g->a, row) != TM_OK)
        return TM_OK;
    ret->place = place;
    ret->name = place->text;
    bool machine = strcmp(place->scheme, "file") == 0 || strcmp(place->scheme, "agent") == 0;
    if (machine) {
        const struct device_row *d;
        TM_TRY(gather_device(&d, g, place->host));
        if (d) { /* the leaf's device is asked for next, in the same room */
            struct device_row *copy = arena_alloc(g->a, sizeof *copy);
            if (!copy)
                return TM_ENOMEM;
            *copy =
                (struct device_row){.id = arena_strdup(g->a, d->id), .owner = arena_strdup(g->a, d->owner)};
            if (!copy->id || !copy->owner)
                return TM_ENOMEM;
            ret->place_device = copy;
        }
    }
    if (!place->answers || hex_decode(&id, g->a, slice_str(p.cert)) != TM_OK || id.n != CERT_SERIAL_LEN)
        return TM_OK;
    struct store_read q = {.kind = READ_CERT, .with_der = true};
    memcpy(q.id, id.p, CERT_SERIAL_LEN);
    TM_TRY(gather_read(g, &q));
    if (q.n == 0)
        return TM_OK;
    TM_TRY(gather_leaf(ret, g, &q.certs[0]));
    if (!ret->owner[0] && ret->place_device)
        ret->owner = ret->place_device->owner;
    TM_TRY(gather_chain(ret, g, &p));
    judge_chain(ret, g);
    return TM_OK;
}
