/* keys/signer_release.h - inside the signer: answers wait here until the journal is on the disk.
 *
 * Layer 3. A thread of its own flushes, so that the next batch is signed while the last one is written; what comes meanwhile goes with
 * the next flush. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>
struct core_shared;

/* After the sandbox is closed: its rules hold for threads that are made later. Without a thread each answer flushes for itself. */
void release_start(struct core_shared *s);
/* Send a whole frame of n answers once everything that is in the journal by now is on the disk; copied. Should the disk fail, nothing is sent and the
 * connection ends. A patient frame waits some milliseconds for a flush that others need, before it has one of its own. */
void release_frame(struct core_shared *s, struct slice frame, size_t n, bool patient);
/* What waits is still sent. */
void release_stop(struct core_shared *s);
