#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "enroll/outbound/response.h"
#include "enroll/scep/hook.h"
#include "issue/scep_settings.h"
#include "policy/enrollment.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HANG_SECONDS = 60 };

static tm_err judge(struct caller *c, struct arena *a, int status, const char *body)
{
    struct diag diag = {0};
    *c = (struct caller){0};
    return scep_hook_judge(c, a, status, slice_str(body), &diag);
}

static void test_scep_hook_judge__names(void **state)
{
    struct arena *a = arena_new(0);
    struct caller c;
    (void)state;
    assert_int_equal(judge(&c, a, 200, "{\"allow\":true}"), TM_OK);
    assert_int_equal(c.n_names, 0);
    assert_int_equal(judge(&c, a, 200, "{\"allow\":true,\"names\":[\"CN=a\",\"DNS:b\"]}"), TM_OK);
    assert_int_equal(c.n_names, 2);
    assert_string_equal(c.names[1], "DNS:b");
    arena_free(a);
}

/* What was meant as a bound is never read as none. */
static void test_scep_hook_judge__no_bound_by_mistake(void **state)
{
    static const char *const no_answer[] = {
        "{\"allow\":true,\"names\":\"CN=a\"}",
        "{\"allow\":true,\"names\":null}",
        "{\"allow\":true,\"names\":{}}",
        "{\"allow\":true,\"names\":[1]}",
        "{\"allow\":true,\"names\":[\"CN=a\",null]}",
        "{\"allow\":true,\"names\":[\"\"]}",
    };
    struct arena *a = arena_new(0);
    struct caller c;
    (void)state;
    for (size_t i = 0; i < sizeof no_answer / sizeof *no_answer; i++) {
        assert_int_equal(judge(&c, a, 200, no_answer[i]), TM_EUNAVAIL);
        assert_int_equal(c.n_names, 0);
    }
    assert_int_equal(judge(&c, a, 200, "{\"allow\":true,\"names\":[]}"), TM_EAUTH);
    arena_free(a);
}

static void test_scep_hook_judge__refusals(void **state)
{
    struct arena *a = arena_new(0);
    struct caller c;
    (void)state;
    assert_int_equal(judge(&c, a, 200, "{\"allow\":false,\"reason\":\"no\"}"), TM_EAUTH);
    assert_int_equal(judge(&c, a, 200, "{\"allow\":\"true\"}"), TM_EAUTH);
    assert_int_equal(judge(&c, a, 200, "no JSON"), TM_EAUTH);
    assert_int_equal(judge(&c, a, 200, "[]"), TM_EAUTH);
    assert_int_equal(judge(&c, a, 403, "{\"allow\":true}"), TM_EAUTH);
    assert_int_equal(judge(&c, a, 302, "{\"allow\":true}"), TM_EUNAVAIL);
    assert_int_equal(judge(&c, a, 500, "{\"allow\":true}"), TM_EUNAVAIL);
    arena_free(a);
}

/* ---- the way there ---- */

static const struct scep_settings *settings(const char *url)
{
    static const char *const networks[] = {"127.0.0.0/8", "::1/128"};
    static struct scep_settings s;
    s = (struct scep_settings){
        .webhook = {.url = url, .secret = "x", .bearer = "", .ca = "", .timeout = HANG_SECONDS}};
    s.webhook.networks = (struct json_strings){.v = (const char **)networks, .n = 2};
    return &s;
}

static tm_err post(struct diag *diag, const char *url)
{
    struct arena *a = arena_new(0);
    struct response *r = arena_calloc(a, 1, sizeof *r);
    *diag = (struct diag){0};
    tm_err e = scep_hook_post(r, a, settings(url), SLICE_LIT("{}"), diag);
    arena_free(a);
    return e;
}

static void test_scep_hook_post__names_of_the_machine(void **state)
{
    struct diag diag;
    (void)state;
    /* Nobody listens on port 1, but the name of the hosts file was resolved. */
    assert_int_equal(post(&diag, "https://localhost:1/"), TM_EUNAVAIL);
    assert_non_null(strstr(diag.message, "connected"));
    assert_int_equal(post(&diag, "https://127.0.0.1:1/"), TM_EUNAVAIL);
    assert_non_null(strstr(diag.message, "connected"));
    assert_int_equal(post(&diag, "https://192.168.255.254:1/"), TM_EUNAVAIL);
    assert_non_null(strstr(diag.message, "not public"));
}

static void test_scep_hook_post__ends_when_the_server_stops(void **state)
{
    struct diag diag;
    (void)state;
    /* One that listens and says nothing. */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (fd < 0)
        return;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", ntohs(at.sin_port));
    alarm(HANG_SECONDS / 2);
    scep_hook_reachable(false);
    assert_int_equal(post(&diag, url), TM_EUNAVAIL);
    scep_hook_reachable(true);
    alarm(0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_hook_judge__names),
        cmocka_unit_test(test_scep_hook_judge__no_bound_by_mistake),
        cmocka_unit_test(test_scep_hook_judge__refusals),
        cmocka_unit_test(test_scep_hook_post__names_of_the_machine),
        cmocka_unit_test(test_scep_hook_post__ends_when_the_server_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
