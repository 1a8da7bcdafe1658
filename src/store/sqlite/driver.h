/* store/sqlite/driver.h - the embedded store: two SQLite files in one directory. Layer 3; see internal.h for how it works. */
#pragma once
#include "store/store.h"

extern const struct store_driver store_sqlite;
