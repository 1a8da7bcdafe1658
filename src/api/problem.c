#include "api/problem.h"
#include "api/groups.h"
#include "base/buf.h"
#include <string.h>

struct row {
    tm_err err;
    int status;
    const char *title;
};
static const struct row table[] = {
    {TM_EMALFORMED, 400, "The request could not be read"},
    {TM_EINVAL, 422, "A value is not acceptable"},
    {TM_ETOOBIG, 413, "The request is too large"},
    {TM_EUNSUPPORTED, 422, "Not supported"},
    {TM_ENOTFOUND, 404, "Not found"},
    {TM_ECONFLICT, 409, "Conflict with what is there"},
    {TM_EBADSIG, 422, "A signature does not verify"},
    {TM_EUSAGE, 405, "The method is not allowed here"},
    {TM_EDENIED, 403, "Policy refused the request"},
    {TM_EAUTH, 401, "Not authenticated"},
    {TM_EFORBIDDEN, 403, "Not allowed"},
    {TM_EQUOTA, 429, "An allowance is used up"},
    {TM_EEXPIRED, 403, "Expired"},
    {TM_EBUSY, 503, "Busy"},
    {TM_EUNAVAIL, 503, "Not available now"},
    {TM_ETIMEOUT, 504, "Timed out"},
    {TM_EFULL, 507, "No room left"},
    {TM_ELOCKED, 503, "Locked"},
    {TM_EPENDING, 202, "Waiting"},
    {TM_EINTERNAL, 500, "Something went wrong here"},
};

enum { ROWS = sizeof table / sizeof *table };

/* The last row stands for whatever has none of its own. */
static const struct row *row_of(tm_err e)
{
    size_t i = 0;
    while (i + 1 < ROWS && table[i].err != e)
        i++;
    return &table[i];
}

static const struct api_field problem_fields[] = {
    {"type", "string", "urn:touchmark:error: and the error's name", "urn:touchmark:error:denied"},
    {"title", "string", "what kind of error", "Policy refused the request"},
    {"status", "integer", NULL, "403"},
    {"detail?", "string", "this one, in words", "the key is weaker than the profile allows"},
    {"rule?", "string", "the rule that said so: of the profile, or the section of a standard",
     "key.strength"},
    {"field?", "string", "JSON pointer or name of the part that is wrong", "/csr"},
    {"request_id?", "string", "as in X-Request-Id and in the server's log", "6e1f9c04d2a7b358"},
    {0},
};
const struct api_schema problem_api_schemas[] = {
    {"Problem", "RFC 9457", problem_fields, NULL, NULL},
    {0},
};

bool api_problem_row(size_t i, tm_err *ret_err, int *ret_status, const char **ret_title)
{
    if (i >= ROWS)
        return false;
    *ret_err = table[i].err;
    *ret_status = table[i].status;
    *ret_title = table[i].title;
    return true;
}

int api_status_of(tm_err e)
{
    return row_of(e)->status;
}

static void put(struct buf *out, const char *key, const char *value)
{
    if (!value || !value[0])
        return;
    buf_printf(out, ",\"%s\":", key);
    buf_put_json_string(out, slice_str(value));
}

void api_problem(struct buf *out, tm_err e, const struct diag *diag, const char *request_id)
{
    const struct row *r = row_of(e);
    buf_printf(out, "{\"type\":\"urn:touchmark:error:%s\",\"title\":", tm_err_name(e));
    buf_put_json_string(out, slice_str(r->title));
    buf_printf(out, ",\"status\":%d", r->status);
    bool internal = tm_err_class(e) == TM_CLASS_INTERNAL;
    if (diag && !internal) {
        put(out, "detail", diag->message);
        put(out, "rule", diag->rule);
        put(out, "field", diag->field);
    }
    put(out, "request_id", request_id);
    buf_puts(out, "}\n");
}
