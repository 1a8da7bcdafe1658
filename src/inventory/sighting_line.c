#include "inventory/sighting_line.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "inventory/place.h"

struct line_doc {
    const char *place;
    const json_t *at, *details, *chain;
};
static const struct json_field schema[] = {
    JSON_FIELD(struct line_doc, place, JSON_K_STRING, .required = true, .max = PLACE_NAME_MAX),
    JSON_FIELD(struct line_doc, at, JSON_K_ANY),
    JSON_FIELD(struct line_doc, details, JSON_K_ANY),
    JSON_FIELD(struct line_doc, chain, JSON_K_ANY),
    {0},
};

static tm_err read_at(int64_t *ret, const json_t *at, struct diag *diag)
{
    int64_t seconds;
    *ret = 0;
    if (!at || json_is_null(at))
        return TM_OK;
    if (json_is_integer(at) && json_integer_value(at) >= 0) {
        *ret = json_integer_value(at);
        return TM_OK;
    }
    if (json_is_string(at) && clock_parse_rfc3339(&seconds, slice_str(json_string_value(at))) == TM_OK) {
        *ret = seconds * 1000;
        return TM_OK;
    }
    return diag_fail(diag, TM_EINVAL, "RFC 3339", "/at",
                     "must be a time such as 2026-11-21T17:00:00Z, or unix milliseconds");
}

static tm_err read_chain(struct sighting *s, struct arena *a, const json_t *list, struct diag *diag)
{
    size_t n = json_array_size(list), i;
    const json_t *x;
    if (list && !json_is_array(list))
        return diag_fail(diag, TM_EINVAL, NULL, "/chain", "must be a list of base64 texts");
    if (n > SIGHTING_CHAIN_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/chain", "more than %d certificates", SIGHTING_CHAIN_MAX);
    struct slice *chain = arena_calloc(a, n + 1, sizeof *chain);
    if (!chain)
        return arena_err(a);
    json_array_foreach(list, i, x)
    {
        tm_err e = json_is_string(x)
                       ? base64_decode(&chain[i], a, slice_of(json_string_value(x), json_string_length(x)),
                                       BASE64_STD)
                       : TM_EMALFORMED;
        if (e == TM_ENOMEM)
            return e;
        if (e != TM_OK || chain[i].n == 0)
            return diag_fail(diag, TM_EMALFORMED, "RFC 4648 4", "/chain", "certificate %zu is not base64",
                             i + 1);
    }
    s->chain = chain;
    s->n_chain = n;
    return TM_OK;
}

static tm_err from_document(struct sighting *ret, struct arena *a, const json_t *doc, struct diag *diag)
{
    struct line_doc v = {0};
    if (!json_is_object(doc))
        return diag_fail(diag, TM_EMALFORMED, NULL, "", "not a JSON object");
    TM_TRY(json_bind(&v, schema, doc, "", a, diag));
    *ret = (struct sighting){.place = v.place, .via = "agent", .run = "", .details = v.details};
    if (!place_name_valid(v.place))
        return diag_fail(diag, TM_EINVAL, NULL, "/place",
                         "must be printing text with a ':' in it, at most %d octets", PLACE_NAME_MAX);
    if (v.details && !json_is_object(v.details))
        return diag_fail(diag, TM_EINVAL, NULL, "/details", "must be an object");
    TM_TRY(read_at(&ret->at, v.at, diag));
    return read_chain(ret, a, v.chain, diag);
}

tm_err sighting_line_read(struct sighting *ret, json_t **ret_doc, struct arena *a, struct slice line,
                          struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, line, SIGHTING_LINE_MAX, diag));
    tm_err e = from_document(ret, a, doc, diag);
    if (e == TM_OK)
        *ret_doc = doc;
    else
        json_decref(doc);
    return e;
}

void sighting_line_put(struct buf *out, const char *place, int64_t at, const char *details,
                       const struct slice *chain, size_t n_chain)
{
    buf_puts(out, "{\"place\":");
    buf_put_json_string(out, slice_str(place));
    if (at)
        buf_printf(out, ",\"at\":%lld", (long long)at);
    if (details)
        buf_printf(out, ",\"details\":%s", details);
    buf_puts(out, ",\"chain\":[");
    for (size_t i = 0; i < n_chain; i++) {
        buf_puts(out, i ? ",\"" : "\"");
        buf_put_base64(out, chain[i], BASE64_STD, 0);
        buf_putc(out, '"');
    }
    buf_puts(out, "]}\n");
}
