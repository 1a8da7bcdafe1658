#include "http/metrics.h"
#include "enroll/scep/scep.h"

static struct metric messages = {.name = "scep_messages_total",
                                 .help = "SCEP messages by endpoint, type and outcome.",
                                 .kind = METRIC_COUNTER,
                                 .labels = {"endpoint", "type", "outcome"}};
static struct metric *const table[] = {&messages, NULL};

void scep_metrics_register(void)
{
    metrics_register(table);
}

void scep_count(const char *endpoint, const char *operation, const char *outcome)
{
    metric_add(&messages, METRIC_LABELS(endpoint, operation, outcome), 1);
}
