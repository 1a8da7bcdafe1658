/* finding/subjects.h - which subjects have findings, by hash, and whether a pass has seen them. Layer 5, one thread, private to finding/. */
#pragma once
#include "base/err.h"
#include "store/store.h"
struct house;
struct subjects;

/* Of all findings that are not gone; *open by rule index. */
tm_err subjects_load(struct subjects **ret, uint64_t open[64], struct house *h, tenant_id tenant,
                     struct diag *diag);
void subjects_free(struct subjects *s);
/* May it have findings? It counts as seen then. */
bool subjects_meet(struct subjects *s, const char *subject);
bool subjects_seen(const struct subjects *s, const char *subject);
