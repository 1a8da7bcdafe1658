#include "enroll/acme/metrics.h"

static struct metric requests = {.name = "acme_requests_total",
                                 .help = "Signed ACME requests by endpoint and outcome.",
                                 .kind = METRIC_COUNTER,
                                 .labels = {"endpoint", "outcome"}};
static struct metric validations = {.name = "acme_validations_total",
                                    .help = "Attempts to validate a challenge by kind and outcome.",
                                    .kind = METRIC_COUNTER,
                                    .labels = {"challenge", "outcome"}};
static struct metric issued = {.name = "acme_certificates_total",
                               .help = "Orders that got their certificate.",
                               .kind = METRIC_COUNTER,
                               .labels = {"endpoint"}};
static struct metric *const table[] = {&requests, &validations, &issued, NULL};

void acme_metrics_register(void)
{
    metrics_register(table);
}

void acme_count_request(const char *endpoint, const char *outcome)
{
    metric_add(&requests, METRIC_LABELS(endpoint, outcome), 1);
}

void acme_count_validation(const char *challenge, const char *outcome)
{
    metric_add(&validations, METRIC_LABELS(challenge, outcome), 1);
}

void acme_count_issued(const char *endpoint)
{
    metric_add(&issued, METRIC_LABELS(endpoint), 1);
}
