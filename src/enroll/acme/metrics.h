/* enroll/acme/metrics.h - what /metrics shows of the ACME door. Layer 5, thread-safe. */
#pragma once
#include "http/metrics.h"

/* `outcome`: "ok" or the name of a problem. */
void acme_count_request(const char *endpoint, const char *outcome);
/* `outcome`: "valid", "retry" or the name of a problem. */
void acme_count_validation(const char *challenge, const char *outcome);
void acme_count_issued(const char *endpoint);
void acme_metrics_register(void);
