/* What a service says of a challenge: the first octet is the status' hundreds. A list of names is a bound or a refusal, never nothing.
 * Parser: enroll/scep/hook.c:scep_hook_judge */
#include "base/arena.h"
#include "base/json.h"
#include "enroll/scep/hook.h"
#include "policy/enrollment.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct caller c = {0};
    struct diag diag = {0};
    json_t *doc = NULL;
    if (size == 0 || size > SCEP_HOOK_ANSWER_MAX)
        return 0;
    struct slice body = slice_of(data + 1, size - 1);
    struct arena *a = arena_new(1 << 20);
    if (!a)
        return 0;
    tm_err e = scep_hook_judge(&c, a, (data[0] - '0') * 100, body, &diag);
    if (e == TM_OK && json_parse(&doc, body, SCEP_HOOK_ANSWER_MAX, NULL) == TM_OK) {
        json_t *names = json_object_get(doc, "names");
        if (!json_is_true(json_object_get(doc, "allow")) || json_array_size(names) != c.n_names ||
            (names && c.n_names == 0))
            abort();
    }
    json_decref(doc);
    arena_free(a);
    return 0;
}
