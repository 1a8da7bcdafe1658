/* store/schema/schema.h - the numbered migrations of the embedded store, built into the binary from *.sql. Layer 3, constant. */
#pragma once
#include <stdint.h>

struct schema_step {
    const char *name; /* NULL ends the table; the number is the index + 1 */
    uint8_t sha256[32];
    const char *sql;
};
extern const struct schema_step schema_steps[];
