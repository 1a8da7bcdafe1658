/* enroll/scep/hook.h - the service that judges challenges: asking it, telling it, and the way there.
 *
 * Layer 5, thread-safe. hook.c has what is said, hook_call.c how it gets there. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
struct arena;
struct caller;
struct response;
struct scep_exchange;
struct scep_settings;

/* Ask what it says of the challenge, blocking. TM_EDENIED, TM_EUNAVAIL. */
tm_err scep_hook_ask(struct scep_exchange *x, struct diag *diag);
/* Tell it what came of it, some time. */
void scep_hook_tell(struct scep_exchange *x);
/* The threads that tell. After the stop nothing is told, and who still asks has no answer (TM_EUNAVAIL). */
tm_err scep_hook_open(void);
void scep_hook_stop(void);

/* What an answer means. Fills names, in `a`, where it bounds them. TM_EAUTH: it refuses. TM_EUNAVAIL: it is no answer. */
tm_err scep_hook_judge(struct caller *ret, struct arena *a, int status, struct slice body, struct diag *diag);

enum { SCEP_HOOK_ANSWER_MAX = 32 << 10 };
/* hook_call.c: one POST and its answer, blocking, within the settings' timeout. TM_EUNAVAIL, also where the answer is longer than that. */
tm_err scep_hook_post(struct response *ret, struct arena *a, const struct scep_settings *s, struct slice body,
                      struct diag *diag);
/* False: exchanges under way end soon, without an answer. */
void scep_hook_reachable(bool is);
