#include "base/file.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static char base[] = "/tmp/test-file-XXXXXX";

static const char *at(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static void touch(const char *name)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void test_file_remove_tree__below_and_itself(void **state)
{
    assert_non_null(mkdtemp(base));
    assert_int_equal(mkdir(at("kept"), 0700), 0);
    touch("kept/file");
    assert_int_equal(mkdir(at("tree"), 0700), 0);
    assert_int_equal(mkdir(at("tree/deeper"), 0700), 0);
    touch("tree/deeper/file");
    assert_int_equal(symlink("../kept", at("tree/link")), 0);

    file_remove_tree(at("tree"), false);
    assert_int_equal(access(at("tree"), F_OK), 0);
    assert_int_not_equal(access(at("tree/deeper"), F_OK), 0);
    assert_int_not_equal(access(at("tree/link"), F_OK), 0);
    assert_int_equal(access(at("kept/file"), F_OK), 0);

    file_remove_tree(base, true);
    assert_int_not_equal(access(base, F_OK), 0);
    file_remove_tree(base, true); /* is not there: nothing to do */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_remove_tree__below_and_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
