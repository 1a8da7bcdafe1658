/* The table of protocols that are told. */
#include "trace/tellers.h"
#include "trace/trace.h"
#include <string.h>

const struct trace_protocol *const trace_protocols[] = {&trace_acme, &trace_cmp, &trace_est, &trace_scep,
                                                        NULL};

const struct trace_protocol *trace_protocol_by_name(const char *name)
{
    for (size_t i = 0; trace_protocols[i]; i++)
        if (strcmp(trace_protocols[i]->name, name) == 0)
            return trace_protocols[i];
    return NULL;
}
