/* issue/jobs.h - the job runner: what the house does by the clock.
 *
 * Layer 4. One thread; each job has a period and runs to its end before the next begins. A failing job is logged, its failure shown in
 * /metrics, and tried again at its next turn. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct house;
struct jobs;

struct job {
    const char *name; /* "register.sequence" */
    int64_t period_ms;
    tm_err (*run)(struct house *h, struct diag *diag);
};
/* The house's own jobs: sequence the register, record refusals, apply retention, bring a dead signer back. NULL-terminated. */
extern const struct job *const house_jobs[];
extern const struct job objects_job; /* objects.c */

tm_err jobs_start(struct jobs **ret, struct house *h);
/* Add further jobs (rooms above this one); from any thread, also while it runs. */
tm_err jobs_add(struct jobs *j, const struct job *job);
/* Run it out of turn (e.g. publish a CRL after a revocation), behind those whose time has come before. Returns without waiting. */
void jobs_kick(struct jobs *j, const char *name);
/* Waits for the running job; no other begins. It may still be kicked, in vain, until it is freed. */
void jobs_stop(struct jobs *j);
void jobs_free(struct jobs *j);

struct job_state {
    const char *name;
    uint64_t runs, failures;
    int64_t last_ms; /* how long it took */
    bool failing;
    char why[256];
};
/* A copy of every job's state; at most `max`. */
size_t jobs_state(struct jobs *j, struct job_state *ret, size_t max);
