#include "base/secret.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void test_secret_copy__holds_and_wipes(void **state)
{
    struct secret s = {0};
    assert_int_equal(secret_copy(&s, SLICE_LIT("hunter2")), TM_OK);
    assert_true(slice_eq_str(secret_slice(&s), "hunter2"));
    assert_int_equal(s.p[7], 0);
    s.n = 3; /* a holder may shorten it */
    secret_done(&s);
    assert_null(s.p);
    assert_int_equal(s.n, 0);
    secret_done(&s);
}

static void test_secret_init__zeroed(void **state)
{
    struct secret s;
    assert_int_equal(secret_init(&s, 10000), TM_OK);
    for (size_t i = 0; i <= 10000; i++)
        assert_int_equal(s.p[i], 0);
    secret_done(&s);
    assert_int_equal(secret_init(&s, 0), TM_OK);
    assert_int_equal(s.n, 0);
    secret_done(&s);
    assert_int_equal(secret_init(&s, SIZE_MAX), TM_ETOOBIG);
}

static tm_err read_bytes(struct secret *s, const char *bytes, size_t n, struct diag *d)
{
    char path[] = "/tmp/touchmark-secret-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    tm_err err = secret_read_file(s, path, d);
    unlink(path);
    return err;
}

static void test_secret_read_file__newline(void **state)
{
    static const struct {
        const char *file, *secret;
    } cases[] = {
        {"abc", "abc"}, {"abc\n", "abc"}, {"abc\r\n", "abc"}, {"abc\n\n", "abc\n"}, {" a b ", " a b "}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct secret s;
        assert_int_equal(read_bytes(&s, cases[i].file, strlen(cases[i].file), NULL), TM_OK);
        assert_true(slice_eq_str(secret_slice(&s), cases[i].secret));
        secret_done(&s);
    }
}

static void test_secret_read_file__refused(void **state)
{
    struct secret s = {0};
    struct diag d = {0};
    char big[4097];
    memset(big, 'x', sizeof big);
    assert_int_equal(read_bytes(&s, "\n", 1, &d), TM_EINVAL);
    assert_int_equal(read_bytes(&s, "", 0, &d), TM_EINVAL);
    assert_int_equal(read_bytes(&s, big, 4097, &d), TM_ETOOBIG);
    assert_int_equal(secret_read_file(&s, "/nowhere/at/all", &d), TM_EIO);
    assert_string_equal(d.field, "/nowhere/at/all");
    assert_null(s.p);
    assert_int_equal(read_bytes(&s, big, 4096, &d), TM_OK);
    assert_int_equal(s.n, 4096);
    secret_done(&s);
}

static void test_secret_read_fd__pipe(void **state)
{
    int fds[2];
    struct secret s;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "from a pipe\n", 12), 12);
    close(fds[1]);
    assert_int_equal(secret_read_fd(&s, fds[0], NULL), TM_OK);
    close(fds[0]);
    assert_true(slice_eq_str(secret_slice(&s), "from a pipe"));
    secret_done(&s);
    struct diag d = {0};
    assert_int_equal(secret_read_fd(&s, -1, &d), TM_EIO);
}

/* Plays the person at a terminal: `typed` is entered once the prompt has been shown. The child leaves with 0 when it got
 * `expected`, else with its error's low byte. */
static int prompt_on_terminal(const char *typed, const char *expected, char *shown, size_t room)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const char *name = ptsname(master);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setsid();
        int tty = open(name, O_RDWR);
        ioctl(tty, TIOCSCTTY, 0);
        struct secret s = {0};
        tm_err err = secret_prompt(&s, "Passphrase: ", NULL);
        bool same = err == TM_OK && slice_eq_str(secret_slice(&s), expected);
        struct termios after;
        bool echo_again = tcgetattr(tty, &after) == 0 && (after.c_lflag & ECHO) != 0;
        secret_done(&s);
        _exit(!echo_again ? 200 : same ? 0 : err == TM_OK ? 201 : (int)err & 0xff);
    }
    size_t n = 0;
    bool entered = false;
    int status = 0;
    while (n + 1 < room) {
        ssize_t got = read(master, shown + n, room - 1 - n);
        if (got <= 0)
            break; /* EIO: the child has left its end */
        n += (size_t)got;
        shown[n] = '\0';
        if (!entered && strstr(shown, ": ")) {
            usleep(50000); /* what is typed before the echo is off would be thrown away */
            assert_int_equal(write(master, typed, strlen(typed)), strlen(typed));
            entered = true;
        }
    }
    waitpid(child, &status, 0);
    close(master);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void test_secret_prompt__silent(void **state)
{
    char shown[256] = "";
    assert_int_equal(prompt_on_terminal("tr\xc3\xa4\x7fue\n", "true", shown, sizeof shown), 0);
    assert_null(strstr(shown, "u"));
    assert_int_equal(prompt_on_terminal("wrong\x15right\r", "right", shown, sizeof shown), 0);
}

static void test_secret_prompt__nothing_entered(void **state)
{
    char shown[256] = "";
    assert_int_equal(prompt_on_terminal("\n", "", shown, sizeof shown), TM_EINVAL & 0xff);
    assert_int_equal(prompt_on_terminal("\x04", "", shown, sizeof shown), TM_EUNAVAIL & 0xff);
    assert_int_equal(prompt_on_terminal("abc\x03", "", shown, sizeof shown), 1000 + SIGINT);
}

static void test_secret_prompt__no_terminal(void **state)
{
    pid_t child = fork();
    if (child == 0) {
        setsid();
        struct secret s;
        _exit(secret_prompt(&s, "? ", NULL) == TM_EUNAVAIL ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_copy__holds_and_wipes),
        cmocka_unit_test(test_secret_init__zeroed),
        cmocka_unit_test(test_secret_read_file__newline),
        cmocka_unit_test(test_secret_read_file__refused),
        cmocka_unit_test(test_secret_read_fd__pipe),
        cmocka_unit_test(test_secret_prompt__silent),
        cmocka_unit_test(test_secret_prompt__nothing_entered),
        cmocka_unit_test(test_secret_prompt__no_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
