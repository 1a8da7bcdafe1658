/* starve.h - put before every fuzz target (-include): runs each input a second time, in which one allocation fails.
 *
 * Which one follows from the input and from how many the first run made, so that a stored input always fails the same one. What a target
 * holds to be true need not hold without memory: its abort() counts only while nothing has been refused. A crash, a leak or undefined
 * behaviour counts always. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int starve_target(const uint8_t *data, size_t size);
/* abort() of a target: returns when an allocation has been refused in this run. */
void starve_abort(void);

#ifndef STARVE_IMPLEMENTATION
#define LLVMFuzzerTestOneInput starve_target
#define abort()                starve_abort()
#endif
