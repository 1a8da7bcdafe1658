/* The suite of every store, on the embedded one. */
#include "suite.h"
#include <stdlib.h>

static tm_err wipe(struct suite_place *p)
{
    suite_directory_remove(p->config.path);
    return TM_OK;
}

static struct suite_place place = {.config = {.driver = "sqlite", .create = true}, .wipe = wipe};

static int setup(void **state)
{
    *state = &place;
    return 0;
}

/* cmocka hands a group's state to its tests: each group begins with the place. */
static int run(const char *name, const struct CMUnitTest *tests, size_t n)
{
    return _cmocka_run_group_tests(name, tests, n, setup, NULL);
}

int main(void)
{
    char *path = suite_directory();
    place.config.path = path;
    int failed = run("certs", suite_certs, suite_certs_n);
    failed += run("columns", suite_columns, suite_columns_n);
    failed += run("log", suite_log, suite_log_n);
    failed += run("resources", suite_resources, suite_resources_n);
    failed += run("devices", suite_devices, suite_devices_n);
    failed += run("tokens", suite_tokens, suite_tokens_n);
    failed += run("objects", suite_objects, suite_objects_n);
    failed += run("retention", suite_retention, suite_retention_n);
    failed += run("concurrency", suite_concurrency, suite_concurrency_n);
    suite_directory_remove(path);
    free(path);
    return failed != 0;
}
