#include "inventory/place.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "http/address.h"
#include <string.h>

bool place_name_valid(const char *name)
{
    struct slice s = slice_str(name);
    if (s.n < 3 || s.n > PLACE_NAME_MAX || !utf8_valid(s) || !memchr(s.p + 1, ':', s.n - 1))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

tm_err place_id(char ret[PLACE_ID_LEN + 1], const char *name)
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, slice_str(name)));
    hex_encode(ret, slice_of(hash, PLACE_ID_LEN / 2));
    return TM_OK;
}

/* ---- rows ---- */

static const char *text_of(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return s ? s : "";
}

static int64_t int_of(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

static tm_err read_state(struct place *p, struct arena *a, const json_t *doc)
{
    size_t i;
    const json_t *x;
    struct buf details;
    buf_init(&details, PLACE_STATE_MAX);
    buf_put_json(&details, json_object_get(doc, "details"), false);
    p->details = arena_strdup(a, details.n ? buf_str(&details) : "{}");
    buf_done(&details);
    p->via = arena_strdup(a, text_of(doc, "via"));
    p->run = arena_strdup(a, text_of(doc, "run"));
    p->found_by = arena_strdup(a, text_of(doc, "found_by"));
    p->refused = arena_strdup(a, text_of(doc, "refused"));
    p->first = int_of(doc, "first");
    p->since = int_of(doc, "since");
    p->last = int_of(doc, "last");
    json_array_foreach(json_object_get(doc, "chain"), i, x)
    {
        if (p->n_chain < PLACE_CHAIN_MAX)
            p->chain[p->n_chain++] = arena_strdup(a, json_string_value(x) ? json_string_value(x) : "");
    }
    json_array_foreach(json_object_get(doc, "before"), i, x)
    {
        if (p->n_before < PLACE_BEFORE_MAX)
            p->before[p->n_before++] = (struct place_before){.leaf = arena_strdup(a, text_of(x, "leaf")),
                                                             .cert = arena_strdup(a, text_of(x, "cert")),
                                                             .run = arena_strdup(a, text_of(x, "run")),
                                                             .since = int_of(x, "since"),
                                                             .last = int_of(x, "last")};
    }
    return arena_err(a);
}

tm_err place_from_row(struct place *ret, struct arena *a, const struct object_row *row)
{
    json_t *doc = NULL;
    if (json_parse(&doc, row->state, PLACE_STATE_MAX, NULL) != TM_OK)
        return TM_ECORRUPT;
    *ret = (struct place){.id = row->id,
                          .name = row->key,
                          .cert = row->ref,
                          .status = row->status,
                          .version = row->version,
                          .created_at = row->created_at};
    tm_err e = read_state(ret, a, doc);
    json_decref(doc);
    return e;
}

static void put_before(struct buf *out, const struct place_before *b)
{
    buf_puts(out, "{\"leaf\":");
    buf_put_json_string(out, slice_str(b->leaf));
    buf_puts(out, ",\"cert\":");
    buf_put_json_string(out, slice_str(b->cert));
    buf_puts(out, ",\"run\":");
    buf_put_json_string(out, slice_str(b->run));
    buf_printf(out, ",\"since\":%lld,\"last\":%lld}", (long long)b->since, (long long)b->last);
}

static void put_state(struct buf *out, const struct place *p)
{
    buf_puts(out, "{\"via\":");
    buf_put_json_string(out, slice_str(p->via));
    buf_puts(out, ",\"run\":");
    buf_put_json_string(out, slice_str(p->run));
    buf_puts(out, ",\"found_by\":");
    buf_put_json_string(out, slice_str(p->found_by));
    buf_printf(out, ",\"first\":%lld,\"since\":%lld,\"last\":%lld,\"details\":%s", (long long)p->first,
               (long long)p->since, (long long)p->last, p->details);
    if (p->refused[0]) {
        buf_puts(out, ",\"refused\":");
        buf_put_json_string(out, slice_str(p->refused));
    }
    buf_puts(out, ",\"chain\":[");
    for (size_t i = 0; i < p->n_chain; i++) {
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_str(p->chain[i]));
    }
    buf_puts(out, "],\"before\":[");
    for (size_t i = 0; i < p->n_before; i++) {
        buf_puts(out, i ? "," : "");
        put_before(out, &p->before[i]);
    }
    buf_puts(out, "]}");
}

bool place_address(struct address *ret, const char *name)
{
    char text[ADDRESS_TEXT_MAX];
    struct address_range one;
    const char *host = strchr(name, ':');
    if (!host)
        return false;
    host++;
    bool six = host[0] == '[';
    host += six;
    size_t n = strcspn(host, six ? "]" : ":/");
    if (n == 0 || n >= sizeof text || (six && host[n] != ']'))
        return false;
    memcpy(text, host, n);
    text[n] = '\0';
    if (address_range_parse(&one, text, NULL) != TM_OK || one.base.family == ADDRESS_UNIX)
        return false;
    *ret = one.base.family == ADDRESS_V6 ? address_from_v6(one.base.ip) : one.base; /* mapped IPv4 is IPv4 */
    return true;
}

tm_err place_effect(struct effect *ret, struct arena *a, tenant_id tenant, const struct place *p)
{
    struct buf state;
    struct slice kept;
    const char *end = strchr(p->name, '/');
    const char *host = arena_strndup(a, p->name, end ? (size_t)(end - p->name) : strlen(p->name));
    if (!host)
        return TM_ENOMEM;
    buf_init(&state, PLACE_STATE_MAX);
    put_state(&state, p);
    tm_err e = buf_err(&state);
    if (e == TM_OK)
        e = arena_copy(&kept, a, buf_slice(&state));
    buf_done(&state);
    TM_TRY(e);
    *ret = (struct effect){
        .kind = EFFECT_OBJECT_PUT,
        .tenant = tenant,
        .expected_version = p->version,
        .u.object.row = {.kind = OBJECT_PLACE,
                         .id = p->id,
                         .owner = host,
                         .key = p->name,
                         .ref = p->cert,
                         .status = p->status,
                         .created_at = p->created_at,
                         .keep_until = p->status == PLACE_GONE ? p->since / 1000 + PLACE_GONE_KEEP : 0,
                         .state = kept}};
    return TM_OK;
}

/* ---- what is seen ---- */

static const char *leaf_of(const struct place *p)
{
    return p->n_chain ? p->chain[0] : "";
}

static bool same_chain(const struct place *p, const struct place_seen *s)
{
    bool same = p->n_chain == s->n_chain;
    for (size_t i = 0; same && i < p->n_chain; i++)
        same = strcmp(p->chain[i], s->chain[i]) == 0;
    return same;
}

static void push_before(struct place *p)
{
    size_t keep = p->n_before < PLACE_BEFORE_MAX ? p->n_before : PLACE_BEFORE_MAX - 1;
    memmove(&p->before[1], &p->before[0], keep * sizeof p->before[0]);
    p->before[0] = (struct place_before){
        .leaf = leaf_of(p), .cert = p->cert, .run = p->found_by, .since = p->since, .last = p->last};
    p->n_before = keep + 1;
}

static void take_over(struct place *p, const struct place_seen *s)
{
    p->via = s->via;
    p->run = p->found_by = s->run;
    p->details = s->details;
    p->refused = s->refused;
    p->cert = s->cert;
    p->n_chain = s->n_chain;
    for (size_t i = 0; i < s->n_chain; i++)
        p->chain[i] = s->chain[i];
    p->status = s->n_chain ? PLACE_PRESENT : PLACE_GONE;
    p->since = p->last = s->at;
}

enum place_change place_meet(struct place *p, const struct place_seen *s, int64_t touch_ms)
{
    if (p->version == 0) {
        if (s->n_chain == 0)
            return PLACE_SAME; /* nothing was ever there */
        take_over(p, s);
        p->first = s->at;
        p->created_at = s->now / 1000;
        return PLACE_NEW;
    }
    if (s->at < p->last)
        return PLACE_SAME; /* old news: it was seen later already */
    if (!same_chain(p, s)) {
        push_before(p);
        take_over(p, s);
        return s->n_chain ? PLACE_CHANGED : PLACE_WENT;
    }
    bool news = strcmp(p->details, s->details) != 0 || strcmp(p->cert, s->cert) != 0;
    if (!news && (s->n_chain == 0 || s->at - p->last < touch_ms))
        return PLACE_SAME;
    p->details = s->details;
    p->cert = s->cert;
    p->refused = s->refused;
    p->via = s->via;
    p->run = s->run;
    p->last = s->at;
    return PLACE_TOUCHED;
}

const struct place_before *place_at(const struct place *p, struct place_before *ret, int64_t at)
{
    *ret = (struct place_before){
        .leaf = leaf_of(p), .cert = p->cert, .run = p->found_by, .since = p->since, .last = p->last};
    if (ret->since <= at)
        return ret;
    for (size_t i = 0; i < p->n_before; i++)
        if (p->before[i].since <= at)
            return &p->before[i];
    return NULL;
}
