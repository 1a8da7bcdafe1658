/* base/fd.h - file descriptors. Layer 0. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>

/* Write all of it, however often a signal or a small piece gets in between. False with errno. */
bool fd_write_all(int fd, struct slice s);
