/* tests/unit/store/suite.h - what every store has to do, whatever it is made of.
 *
 * A driver's test program makes a `struct suite_place` and runs the groups below on it; each test gets a fresh, empty store. */
#pragma once
#include "base/arena.h"
#include "base/clock.h"
#include "store/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

/* Where a driver's stores live. */
struct suite_place {
    struct store_config config;
    tm_err (*wipe)(struct suite_place *p); /* make it empty */
};

struct suite {
    struct suite_place *place;
    struct store *store;
    struct arena *arena;
};

int suite_setup(void **state); /* *state is a suite_place at first, a suite afterwards */
int suite_teardown(void **state);
void suite_reopen(struct suite *s);
/* A directory of its own under $TMPDIR; removed by suite_directory_remove(). */
char *suite_directory(void);
void suite_directory_remove(const char *path);

#define SUITE_TEST(f) cmocka_unit_test_setup_teardown(f, suite_setup, suite_teardown)
extern const struct CMUnitTest suite_objects[], suite_certs[], suite_columns[], suite_concurrency[],
    suite_devices[], suite_log[], suite_resources[], suite_retention[], suite_tokens[];
extern const size_t suite_objects_n, suite_certs_n, suite_columns_n, suite_concurrency_n, suite_devices_n,
    suite_log_n, suite_resources_n, suite_retention_n, suite_tokens_n;
#define SUITE_END(name) const size_t name##_n = sizeof name / sizeof name[0]

/* ---- short hands ---- */

tm_err commit(struct suite *s, struct effect *effects, size_t n);
tm_err commit1(struct suite *s, struct effect *e);
/* A read with the suite's arena. */
tm_err look(struct suite *s, struct store_read *r);

/* A certificate effect: everything derived from `number`; its id begins with the month of not_after and has `number` in its end. */
struct effect suite_cert(struct suite *s, tenant_id tenant, unsigned number, int64_t not_after);
struct effect suite_event(tenant_id tenant, const char *type, const char *subject, unsigned number);
void suite_cert_id(uint8_t id[CERT_SERIAL_LEN], unsigned number, int64_t not_after);
struct store_read suite_by_key(tenant_id tenant, enum cert_key_kind kind, const char *text);

#define assert_ok(expr)     assert_int_equal((expr), TM_OK)
#define assert_err(e, expr) assert_int_equal((expr), (e))
enum { SUITE_YEAR = 31536000 };
#define SUITE_NOW ((int64_t)1795000000) /* 2026-11-18 */
