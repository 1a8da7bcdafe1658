/* trace/record.h - recording what goes through one endpoint of a running server.
 *
 * Layer 5, thread-safe. A recording is bounded in time and size and lives in memory only, until it is fetched and stopped or has been over
 * for ten minutes. Credentials of headers and answers that may hold private keys are left out (trace.h says how a recording reads). */
#pragma once
#include "http/server.h"
#include "store/store.h"
#include "trace/trace.h"

enum {
    TRACE_RECORDINGS_MAX = 4,
    TRACE_RECORDING_OCTETS = 8 << 20,
    TRACE_RECORDING_SECONDS = 3600,
    TRACE_RECORDING_KEPT_S = 600, /* after its end */
    TRACE_BODY_KEPT = 64 << 10,   /* larger bodies are left out */
    TRACE_ID_LEN = 16,
};

struct trace_recording {
    char id[TRACE_ID_LEN + 1];
    bool running;
    const char *ended_by; /* "time", "size"; "" while it runs */
    size_t exchanges;
    size_t next; /* where the next look goes on */
};

/* `label` as in the endpoint's addresses. TM_EQUOTA: as many as there may be are under way. */
tm_err trace_record_start(char ret_id[TRACE_ID_LEN + 1], tenant_id tenant, const struct trace_protocol *p,
                          const char *label, int64_t seconds, struct diag *diag);
/* Append the exchanges from octet `after` of the recording on, with commas between them, as many as fit into `most` octets (but one at
 * least). TM_ENOTFOUND; TM_EINVAL when no exchange begins there. */
tm_err trace_record_read(struct trace_recording *ret, struct buf *out, tenant_id tenant, const char *id,
                         size_t after, size_t most);
/* End and forget it. */
tm_err trace_record_stop(struct trace_recording *ret, tenant_id tenant, const char *id);
/* Forget all: the server ends. */
void trace_record_close(void);

/* on_exchange of http/server.h. Where nothing is recorded it costs one load. */
void trace_record_exchange(void *app, const struct http_request *r, int status, const char *type,
                           struct slice body, const struct http_header *headers);
