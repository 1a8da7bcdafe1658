/* ACME (RFC 8555, RFC 9773) told step by step: what was signed and by whom, what was asked for, what was answered.
 *
 * Objects are known by their addresses, as answers have given them; requests are told apart by the last parts of their path. */
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"
#include "enroll/acme/jws.h"
#include "trace/acme_seen.h"
#include "trace/tellers.h"
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 200, URN_MAX = 200 };

/* ---- which request it is ---- */

enum what {
    W_DIRECTORY,
    W_NONCE,
    W_NEW_ACCOUNT,
    W_ACCOUNT,
    W_ORDERS,
    W_NEW_ORDER,
    W_ORDER,
    W_FINALIZE,
    W_NEW_AUTHZ,
    W_AUTHZ,
    W_CHALLENGE,
    W_CERTIFICATE,
    W_REVOKE,
    W_KEY_CHANGE,
    W_RENEWAL_INFO,
    W_UNKNOWN
};
static const char *const what_names[] = {
    "directory", "new nonce",   "new account", "account",       "list of orders",
    "new order", "order",       "finalize",    "authorization", "authorization",
    "challenge", "certificate", "revocation",  "key change",    "renewal information",
    "?"};

/* /acme/<endpoint>/<first>[/<id>[/<last>]]; the parts behind the endpoint. */
static enum what what_of(const char *path)
{
    static const struct {
        const char *first, *last; /* last "": there is one, whatever it is */
        enum what what;
    } forms[] = {
        {"directory", NULL, W_DIRECTORY},
        {"new-nonce", NULL, W_NONCE},
        {"new-account", NULL, W_NEW_ACCOUNT},
        {"new-order", NULL, W_NEW_ORDER},
        {"new-authz", NULL, W_NEW_AUTHZ},
        {"revoke-cert", NULL, W_REVOKE},
        {"key-change", NULL, W_KEY_CHANGE},
        {"account", "orders", W_ORDERS},
        {"account", NULL, W_ACCOUNT},
        {"order", "finalize", W_FINALIZE},
        {"order", NULL, W_ORDER},
        {"authz", NULL, W_AUTHZ},
        {"challenge", "", W_CHALLENGE},
        {"cert", "", W_CERTIFICATE},
        {"star", NULL, W_CERTIFICATE},
        {"cert", NULL, W_CERTIFICATE},
        {"renewal-info", NULL, W_RENEWAL_INFO},
    };
    const char *rest = strncmp(path, "/acme/", 6) == 0 ? strchr(path + 6, '/') : NULL;
    if (!rest)
        return W_UNKNOWN;
    rest++;
    const char *id = strchr(rest, '/'), *last = id ? strchr(id + 1, '/') : NULL;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t n = strlen(forms[i].first);
        if (strncmp(rest, forms[i].first, n) != 0 || (rest[n] != '\0' && rest[n] != '/'))
            continue;
        if (!forms[i].last || (last && (!forms[i].last[0] || strcmp(last + 1, forms[i].last) == 0)))
            return forms[i].what;
    }
    return W_UNKNOWN;
}

static bool ours(const char *path, const char *label)
{
    if (strncmp(path, "/acme/", 6) != 0)
        return false;
    size_t n = label ? strlen(label) : 0;
    return !label || (strncmp(path + 6, label, n) == 0 && path[6 + n] == '/');
}

/* ---- memory ---- */

static tm_err open_state(void **ret, struct trace_text *t)
{
    struct seen *s = arena_calloc(t->arena, 1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    s->accounts = arena_calloc(t->arena, SEEN_ACCOUNTS, sizeof *s->accounts);
    s->orders = arena_calloc(t->arena, SEEN_ORDERS, sizeof *s->orders);
    s->authzs = arena_calloc(t->arena, SEEN_AUTHZS, sizeof *s->authzs);
    s->nonces = arena_calloc(t->arena, SEEN_NONCES, sizeof *s->nonces);
    s->refusals = arena_calloc(t->arena, SEEN_REFUSALS, sizeof *s->refusals);
    if (!s->accounts || !s->orders || !s->authzs || !s->nonces || !s->refusals)
        return TM_ENOMEM;
    *ret = s;
    return TM_OK;
}

/* An address without scheme and host: behind a proxy or in a HAR file they may be written in two ways. */
static const char *path_of(const char *url)
{
    const char *s = strstr(url, "://");
    s = s ? strchr(s + 3, '/') : url;
    return s ? s : "/";
}

/* The id at the end of an address. */
static const char *last_part(const char *url)
{
    const char *s = strrchr(url, '/');
    return s && s[1] ? s + 1 : url;
}

static bool same_url(const char *a, const char *b)
{
    return a && b && strcmp(path_of(a), path_of(b)) == 0;
}

static struct seen_account *account_of(struct seen *s, const char *url)
{
    for (size_t i = 0; i < s->n_accounts; i++)
        if (same_url(s->accounts[i].url, url))
            return &s->accounts[i];
    return NULL;
}

/* The order at an address, or to be finalized there. */
static struct seen_order *order_of(struct seen *s, const char *url)
{
    for (size_t i = 0; i < s->n_orders; i++)
        if (same_url(s->orders[i].url, url) || same_url(s->orders[i].finalize, url))
            return &s->orders[i];
    return NULL;
}

static struct seen_authz *authz_of(struct seen *s, const char *url)
{
    for (size_t i = 0; i < s->n_authzs; i++)
        if (same_url(s->authzs[i].url, url))
            return &s->authzs[i];
    if (s->n_authzs == SEEN_AUTHZS)
        return NULL;
    s->authzs[s->n_authzs] = (struct seen_authz){.url = url};
    return &s->authzs[s->n_authzs++];
}

static struct seen_nonce *nonce_of(struct seen *s, const char *nonce)
{
    for (size_t i = s->n_nonces; i-- > 0;)
        if (strcmp(s->nonces[i].nonce, nonce) == 0)
            return &s->nonces[i];
    if (s->n_nonces == SEEN_NONCES)
        return NULL;
    s->nonces[s->n_nonces] = (struct seen_nonce){.nonce = nonce};
    return &s->nonces[s->n_nonces++];
}

/* A member that is a text, made fit to be shown; "" when there is none. */
static const char *str(struct trace_text *t, const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? trace_clean(t, s) : "";
}

static const char *type_of(struct trace_text *t, const json_t *problem)
{
    const char *s = str(t, problem, "type"), *colon = strrchr(s, ':');
    return colon ? colon + 1 : s;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of a list of identifiers, sorted. */
static const char *identifiers(struct trace_text *t, const json_t *list)
{
    const char *v[NAMES_MAX];
    size_t n = 0;
    struct buf b;
    buf_init(&b, 64 << 10);
    for (size_t i = 0; i < json_array_size(list) && n < NAMES_MAX; i++)
        v[n++] = str(t, json_array_get(list, i), "value");
    qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", v[i]);
    const char *s = arena_strdup(t->arena, buf_str(&b));
    buf_done(&b);
    return s ? s : "";
}

/* ---- the request: signature, nonce, payload ---- */

static void say_nonce(struct seen *s, struct trace_text *t, const struct trace_exchange *x, const char *nonce)
{
    struct seen_nonce *n = nonce[0] ? nonce_of(s, nonce) : NULL;
    if (!n)
        return;
    if (n->used)
        trace_say(t, "nonce", "was used already in #%u: a replay, which is answered by badNonce", n->used);
    else if (n->given)
        trace_say(t, "nonce", "given in #%u, first use", n->given);
    else
        trace_say(t, "nonce", "not given in this recording");
    n->used = x->number;
}

static void say_signature(struct seen *s, struct trace_text *t, const struct jws *j)
{
    struct diag diag = {0};
    const struct seen_account *known = j->kid ? account_of(s, j->kid) : NULL;
    const struct spki *key = j->has_jwk ? &j->jwk.spki : known ? &known->key.spki : NULL;
    const char *by = j->has_jwk ? "a key of its own"
                                : arena_printf(t->arena, "account %s", last_part(trace_clean(t, j->kid)));
    if (!by)
        return;
    if (!key)
        trace_say(t, "signed", "%s by %s; not checked: the account's key is not in this recording", j->alg,
                  by);
    else if (jws_verify(j, t->arena, key, &diag) == TM_OK)
        trace_say(t, "signed", "%s by %s; the signature verifies", j->alg, by);
    else
        trace_say(t, "signed", "%s by %s; the signature does NOT verify", j->alg, by);
}

/* What could not be taken as RFC 8555 6.2 wants it: say why, and what can be seen nevertheless. */
static void say_malformed(struct trace_text *t, struct slice body, const struct diag *why)
{
    json_t *doc = NULL, *header = NULL;
    struct slice raw;
    trace_say(t, "signed", "NOT as ACME wants it: %s%s%s%s", trace_clean(t, why->message),
              why->rule[0] ? " (" : "", why->rule, why->rule[0] ? ")" : "");
    const char *text = NULL;
    if (json_parse(&doc, body, JWS_MAX, NULL) == TM_OK)
        text = json_string_value(json_object_get(doc, "protected"));
    if (text && base64_decode(&raw, t->arena, slice_str(text), BASE64_URL) == TM_OK &&
        json_parse(&header, raw, JWS_HEADER_MAX, NULL) == TM_OK) {
        struct buf b;
        buf_init(&b, 64 << 10);
        buf_put_json(&b, header, false);
        trace_say(t, "header", "%s", trace_clean(t, buf_str(&b)));
        buf_done(&b);
    }
    json_decref(header);
    json_decref(doc);
}

static void say_new_account(struct trace_text *t, const json_t *p)
{
    struct buf b;
    buf_init(&b, 8192);
    const json_t *contact = json_object_get(p, "contact"),
                 *binding = json_object_get(p, "externalAccountBinding");
    for (size_t i = 0; i < json_array_size(contact); i++) {
        const char *one = json_string_value(json_array_get(contact, i));
        buf_printf(&b, "%s%s", i ? ", " : "; contact ", trace_clean(t, one));
    }
    const char *text = json_string_value(json_object_get(binding, "protected"));
    struct slice raw;
    json_t *header = NULL;
    if (text && base64_decode(&raw, t->arena, slice_str(text), BASE64_URL) == TM_OK &&
        json_parse(&header, raw, JWS_HEADER_MAX, NULL) == TM_OK)
        buf_printf(&b, "; bound to external key %s", str(t, header, "kid"));
    json_decref(header);
    trace_say(t, "asks", "%s%s%s",
              json_is_true(json_object_get(p, "onlyReturnExisting")) ? "which account this key has"
                                                                     : "a new account",
              json_is_true(json_object_get(p, "termsOfServiceAgreed")) ? "; agrees to the terms" : "",
              buf_str(&b));
    buf_done(&b);
}

static void say_csr(struct seen *s, struct trace_text *t, const struct trace_exchange *x, const json_t *p)
{
    struct slice der;
    struct seen_order *o = order_of(s, x->path);
    const char *text = json_string_value(json_object_get(p, "csr"));
    if (!text || base64_decode(&der, t->arena, slice_str(text), BASE64_URL) != TM_OK) {
        trace_say(t, "asks", "to finalize, without a readable \"csr\"");
        return;
    }
    trace_say(t, "asks", "to finalize the order%s%s", o && o->names ? " for " : "",
              o && o->names ? o->names : "");
    const char *names = NULL;
    trace_say_csr(t, der, &names);
    if (o && names)
        o->csr_names = names;
}

static void say_revocation(struct trace_text *t, const json_t *p)
{
    struct slice der;
    const char *text = json_string_value(json_object_get(p, "certificate"));
    const json_t *reason = json_object_get(p, "reason");
    trace_say(t, "asks", "to revoke%s", json_is_integer(reason) ? "" : ", without a reason");
    if (json_is_integer(reason))
        trace_say(t, "", "reason %d", (int)json_integer_value(reason));
    if (text && base64_decode(&der, t->arena, slice_str(text), BASE64_URL) == TM_OK)
        trace_say_certificate(t, der, NULL);
}

static void say_new_order(struct trace_text *t, const json_t *p)
{
    static const char *const members[] = {"profile", "replaces", "notBefore", "notAfter"};
    trace_say(t, "asks", "a certificate for %s", identifiers(t, json_object_get(p, "identifiers")));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_object_get(p, members[i]))
            trace_say(t, "", "%s %s", members[i], str(t, p, members[i]));
}

static void say_payload(struct seen *s, struct trace_text *t, const struct trace_exchange *x, enum what w,
                        const struct jws *j)
{
    json_t *p = NULL;
    if (j->payload_text.n == 0) {
        trace_say(t, "asks", "to see: %s", what_names[w]);
        return;
    }
    if (json_parse(&p, j->payload, JWS_MAX, NULL) != TM_OK) {
        trace_say(t, "asks", "something that is no JSON");
        return;
    }
    const char *status = str(t, p, "status");
    switch (w) {
    case W_NEW_ACCOUNT:
        say_new_account(t, p);
        break;
    case W_NEW_ORDER:
        say_new_order(t, p);
        break;
    case W_FINALIZE:
        say_csr(s, t, x, p);
        break;
    case W_REVOKE:
        say_revocation(t, p);
        break;
    case W_CHALLENGE:
        trace_say(t, "asks", "to validate by %s", trace_clean(t, strrchr(x->path, '/') + 1));
        break;
    case W_NEW_AUTHZ:
        trace_say(t, "asks", "to prove %s", str(t, json_object_get(p, "identifier"), "value"));
        break;
    case W_KEY_CHANGE:
        trace_say(t, "asks", "another key for the account");
        break;
    default:
        trace_say(t, "asks", "%s%s%s", what_names[w], status[0] ? " to become " : " to change", status);
    }
    json_decref(p);
}

static void say_request(struct seen *s, struct trace_text *t, const struct trace_exchange *x, enum what w,
                        struct jws *j)
{
    struct diag diag = {0};
    if (strcmp(x->method, "POST") != 0)
        return;
    if (x->request.omitted) {
        trace_say(t, "asks", "(not recorded: %s)", trace_clean(t, x->request.omitted));
        return;
    }
    if (jws_parse(j, t->arena, x->request.body, JWS_OUTER, &diag) != TM_OK) {
        *j = (struct jws){0};
        say_malformed(t, x->request.body, &diag);
        return;
    }
    say_signature(s, t, j);
    say_nonce(s, t, x, j->nonce);
    if (strcmp(path_of(j->url), x->target) != 0)
        trace_say(t, "url", "signed for %s, which is NOT where it was sent", trace_clean(t, j->url));
    say_payload(s, t, x, w, j);
}

/* ---- the answer ---- */

static void say_problem(struct seen *s, struct trace_text *t, const struct trace_exchange *x, enum what w,
                        const json_t *p)
{
    const char *type = type_of(t, p), *detail = str(t, p, "detail"),
               *retry = trace_header(&x->response, "Retry-After");
    trace_say(t, "refused", "%s: %s", type, detail);
    if (retry)
        trace_say(t, "", "to be tried again after %s s", trace_clean(t, retry));
    const json_t *more = json_object_get(p, "subproblems");
    for (size_t i = 0; i < json_array_size(more) && i < NAMES_MAX; i++) {
        const json_t *one = json_array_get(more, i);
        trace_say(t, "", "%s: %s: %s", str(t, json_object_get(one, "identifier"), "value"), type_of(t, one),
                  str(t, one, "detail"));
    }
    if (strcmp(type, "badNonce") == 0) {
        s->bad_nonces++; /* every client tries again with the nonce of the refusal */
        return;
    }
    if (s->n_refusals < SEEN_REFUSALS)
        s->refusals[s->n_refusals++] = (struct seen_refusal){x->number, what_names[w], type, detail};
    struct seen_order *o = w == W_FINALIZE ? order_of(s, x->path) : NULL;
    if (o) {
        o->refusal = arena_printf(t->arena, "%s: %s", type, detail);
        o->refused = x->number;
    }
}

static void see_account(struct seen *s, struct trace_text *t, const struct trace_exchange *x,
                        const json_t *doc, enum what w, const struct jws *j)
{
    const char *url = trace_header(&x->response, "Location");
    trace_say(t, "answers", "account %s, %s", url ? last_part(trace_clean(t, url)) : "",
              str(t, doc, "status"));
    if (w != W_NEW_ACCOUNT || !url || !j->has_jwk || s->n_accounts == SEEN_ACCOUNTS || account_of(s, url))
        return;
    s->accounts[s->n_accounts++] = (struct seen_account){.url = url, .key = j->jwk, .opened = x->number};
}

static void see_order(struct seen *s, struct trace_text *t, const struct trace_exchange *x, const json_t *doc)
{
    const char *url = trace_header(&x->response, "Location"),
               *finalize = json_string_value(json_object_get(doc, "finalize"));
    struct seen_order *o = order_of(s, x->path);
    o = !o && url ? order_of(s, url) : o;
    if (!o && s->n_orders < SEEN_ORDERS) {
        o = &s->orders[s->n_orders++];
        *o = (struct seen_order){.url = url ? url : x->path, .made = x->number};
    }
    trace_say(t, "answers", "order %s with %zu authorization(s)%s", str(t, doc, "status"),
              json_array_size(json_object_get(doc, "authorizations")),
              json_object_get(doc, "certificate") ? "; the certificate is there" : "");
    const json_t *error = json_object_get(doc, "error");
    if (error)
        trace_say(t, "", "its error: %s: %s", type_of(t, error), str(t, error, "detail"));
    if (!o)
        return;
    o->status = str(t, doc, "status");
    o->names = identifiers(t, json_object_get(doc, "identifiers"));
    o->finalize = finalize ? arena_strdup(t->arena, finalize) : o->finalize;
    if (error) {
        o->refusal = arena_printf(t->arena, "%s: %s", type_of(t, error), str(t, error, "detail"));
        o->refused = x->number;
    }
}

/* The error of a challenge, told and remembered. */
static const char *say_challenge(struct trace_text *t, const json_t *c)
{
    const json_t *error = json_object_get(c, "error");
    const char *status = str(t, c, "status");
    if (!error) {
        if (strcmp(status, "pending") != 0)
            trace_say(t, "", "%s: %s", str(t, c, "type"), status);
        return NULL;
    }
    trace_say(t, "", "%s: %s: %s: %s", str(t, c, "type"), status, type_of(t, error), str(t, error, "detail"));
    return arena_printf(t->arena, "%s: %s: %s", str(t, c, "type"), type_of(t, error),
                        str(t, error, "detail"));
}

static void see_authz(struct seen *s, struct trace_text *t, const struct trace_exchange *x, const json_t *doc)
{
    const char *url = trace_header(&x->response, "Location");
    struct seen_authz *z = authz_of(s, url ? url : x->path);
    const char *name = str(t, json_object_get(doc, "identifier"), "value"), *why = NULL;
    const json_t *list = json_object_get(doc, "challenges");
    struct buf b;
    buf_init(&b, 4096);
    for (size_t i = 0; i < json_array_size(list) && i < NAMES_MAX; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", str(t, json_array_get(list, i), "type"));
    trace_say(t, "answers", "authorization of %s%s: %s (%s)",
              json_is_true(json_object_get(doc, "wildcard")) ? "*." : "", name, str(t, doc, "status"),
              buf_str(&b));
    buf_done(&b);
    for (size_t i = 0; i < json_array_size(list) && i < NAMES_MAX; i++) {
        const char *one = say_challenge(t, json_array_get(list, i));
        why = one ? one : why;
    }
    if (z)
        *z = (struct seen_authz){
            .url = z->url, .name = name, .status = str(t, doc, "status"), .why = why, .told = x->number};
}

static void say_certificate(struct seen *s, struct trace_text *t, const struct trace_exchange *x)
{
    struct slice text = x->response.body, der;
    const char *serial = NULL;
    size_t n = 0;
    while (n < 10 && pem_next(&der, NULL, t->arena, &text, "CERTIFICATE") == TM_OK)
        if (n++ == 0)
            trace_say_certificate(t, der, &serial);
    if (n)
        trace_say(t, "", "with %zu issuer(s)", n - 1);
    else
        trace_say(t, "answers", "no certificate in PEM");
    /* …/cert/<id> belongs to …/order/<id>. */
    const char *id = strstr(x->path, "/cert/");
    for (size_t i = 0; id && serial && i < s->n_orders; i++) {
        const char *own = strrchr(s->orders[i].url, '/');
        size_t length = strcspn(id + 6, "/");
        if (own && strlen(own + 1) == length && strncmp(own + 1, id + 6, length) == 0)
            s->orders[i].serial = serial;
    }
}

static void say_renewal_info(struct trace_text *t, const json_t *doc)
{
    const json_t *w = json_object_get(doc, "suggestedWindow");
    trace_say(t, "answers", "to be renewed between %s and %s", str(t, w, "start"), str(t, w, "end"));
    if (json_object_get(doc, "explanationURL"))
        trace_say(t, "", "why: %s", str(t, doc, "explanationURL"));
}

static void say_directory(struct trace_text *t, const json_t *doc)
{
    const json_t *meta = json_object_get(doc, "meta");
    const char *profile;
    json_t *unused;
    struct buf b;
    buf_init(&b, 8192);
    json_object_foreach((json_t *)json_object_get(meta, "profiles"), profile, unused)
        buf_printf(&b, " %s", trace_clean(t, profile));
    trace_say(t, "answers", "directory%s%s%s",
              json_is_true(json_object_get(meta, "externalAccountRequired"))
                  ? "; an external account is required"
                  : "",
              b.n ? "; profiles" : "", buf_str(&b));
    buf_done(&b);
}

static void say_object(struct seen *s, struct trace_text *t, const struct trace_exchange *x, enum what w,
                       const json_t *doc, const struct jws *j)
{
    switch (w) {
    case W_DIRECTORY:
        say_directory(t, doc);
        break;
    case W_NEW_ACCOUNT:
    case W_ACCOUNT:
        see_account(s, t, x, doc, w, j);
        break;
    case W_NEW_ORDER:
    case W_ORDER:
    case W_FINALIZE:
        see_order(s, t, x, doc);
        break;
    case W_NEW_AUTHZ:
    case W_AUTHZ:
        see_authz(s, t, x, doc);
        break;
    case W_CHALLENGE:
        trace_say(t, "answers", "challenge %s: %s", str(t, doc, "type"), str(t, doc, "status"));
        TM_IGNORE(say_challenge(t, doc) ? TM_OK : TM_ENOTFOUND);
        break;
    case W_RENEWAL_INFO:
        say_renewal_info(t, doc);
        break;
    case W_ORDERS:
        trace_say(t, "answers", "%zu order(s)", json_array_size(json_object_get(doc, "orders")));
        break;
    default:
        break;
    }
}

/* RFC 8555 7.3.5: from here on the account signs with the key inside. */
static void see_key_change(struct seen *s, struct trace_text *t, const struct jws *outer)
{
    struct jws inner;
    struct seen_account *a = outer->kid ? account_of(s, outer->kid) : NULL;
    if (a && jws_parse(&inner, t->arena, outer->payload, JWS_INNER, NULL) == TM_OK)
        a->key = inner.jwk;
    trace_say(t, "answers", "the account has its new key");
}

static void say_answer(struct seen *s, struct trace_text *t, const struct trace_exchange *x, enum what w,
                       const struct jws *j)
{
    json_t *doc = NULL;
    if (x->status == 0)
        s->answers_lost++;
    if (x->response.omitted) {
        trace_say(t, "answers", "(not recorded: %s)", trace_clean(t, x->response.omitted));
        return;
    }
    if (w == W_CERTIFICATE && x->status == 200) {
        say_certificate(s, t, x);
        return;
    }
    bool json = x->response.body.n && json_parse(&doc, x->response.body, TRACE_LINE_MAX, NULL) == TM_OK &&
                json_is_object(doc);
    if (x->status >= 400 && json)
        say_problem(s, t, x, w, doc);
    else if (x->status >= 400)
        trace_say(t, "refused", "by HTTP status %d, without a problem document", x->status);
    else if (w == W_KEY_CHANGE)
        see_key_change(s, t, j);
    else if (w == W_REVOKE)
        trace_say(t, "answers", "revoked");
    else if (json)
        say_object(s, t, x, w, doc, j);
    json_decref(doc);
}

static void step(void *state, struct trace_text *t, const struct trace_exchange *x)
{
    struct seen *s = state;
    struct jws j = {0};
    enum what w = what_of(x->path);
    s->exchanges++;
    say_request(s, t, x, w, &j);
    say_answer(s, t, x, w, &j);
    const char *fresh = trace_header(&x->response, "Replay-Nonce");
    struct seen_nonce *n = fresh ? nonce_of(s, fresh) : NULL;
    if (n && !n->given)
        n->given = x->number;
}

const struct trace_protocol trace_acme = {
    .name = "acme",
    .title = "Automatic Certificate Management Environment (RFC 8555)",
    .door = DOOR_ACME,
    .ours = ours,
    .open = open_state,
    .step = step,
    .verdict = acme_seen_verdict,
};
