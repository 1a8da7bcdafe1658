#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "trace/trace.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct buf out;

/* What is told of one exchange: a request's and an answer's JSON. */
static const char *tell(const char *target, const char *request, int status, const char *response)
{
    char path[256];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(target, "?"), target);
    const struct trace_exchange x = {.number = 1,
                                     .method = request ? "POST" : "GET",
                                     .target = target,
                                     .path = path,
                                     .status = status,
                                     .request = {.body = slice_str(request ? request : "")},
                                     .response = {.body = slice_str(response)}};
    const struct trace t = {&x, 1};
    struct diag diag = {0};
    buf_reset(&out);
    assert_int_equal(trace_tell(&out, &t, NULL, false, &diag), TM_OK);
    return buf_str(&out);
}

static int setup(void **state)
{
    (void)state;
    buf_init(&out, TRACE_TEXT_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

static void test_trace_tell__directory(void **state)
{
    (void)state;
    const char *s = tell("/acme/x/directory", NULL, 200,
                         "{\"meta\":{\"externalAccountRequired\":true,\"profiles\":{\"a\":\"b\"}}}");
    assert_non_null(strstr(s, "GET /acme/x/directory"));
    assert_non_null(strstr(s, "an external account is required; profiles a"));
    assert_non_null(strstr(s, "was ordered and nothing was refused"));
}

static void test_trace_tell__problem(void **state)
{
    (void)state;
    const char *s = tell(
        "/acme/x/new-account", "{}", 403,
        "{\"type\":\"urn:ietf:params:acme:error:externalAccountRequired\",\"detail\":\"this endpoint wants a key\"}");
    assert_non_null(strstr(s, "NOT as ACME wants it"));
    assert_non_null(strstr(s, "externalAccountRequired: this endpoint wants a key"));
    assert_non_null(strstr(s, "touchmark token create --external")); /* what to do */
}

/* An attacker's texts don't get at the terminal of whoever reads. */
static void test_trace_tell__control_characters(void **state)
{
    (void)state;
    const char *s =
        tell("/acme/x/new-order", "{}", 400, "{\"type\":\"x:y\",\"detail\":\"a\\u001b[2Jb\\u009bc\"}");
    assert_null(strchr(s, '\x1b'));
    assert_null(strstr(s, "\xc2\x9b"));
    assert_non_null(strstr(s, "a?[2Jb"));
}

static void test_trace_tell__est(void **state)
{
    (void)state;
    const char *s =
        tell("/.well-known/est/servers/simpleenroll", "nonsense", 400, "the request can't be read");
    assert_non_null(strstr(s, "a first certificate"));
    assert_non_null(strstr(s, "is no certificate request"));
    assert_non_null(strstr(s, "1 refused"));
    assert_non_null(strstr(s, "the request can't be read"));
}

static void test_trace_tell__scep(void **state)
{
    (void)state;
    const char *s = tell("/scep/one", "nonsense", 400, "this is SCEP\n");
    assert_non_null(strstr(s, "the address has no \"operation\""));
    s = tell("/scep/one/pkiclient.exe?operation=GetCACaps", NULL, 200, "AES\r\nSHA-256\n");
    assert_non_null(strstr(s, "can do: AES, SHA-256"));
    assert_non_null(strstr(s, "nothing was refused"));
    s = tell("/scep/one?operation=GetCACert", NULL, 200, "no certificate");
    assert_non_null(strstr(s, "no certs-only PKCS #7"));
    s = tell("/scep/one?operation=PKIOperation", "nonsense", 400, "no message\n");
    assert_non_null(strstr(s, "a message that is NOT as SCEP wants it"));
    assert_non_null(strstr(s, "by HTTP status 400: no message"));
    assert_non_null(strstr(s, "1 message(s) by HTTP"));
    s = tell("/scep/one?operation=PKIOperation&message=%21", NULL, 200, "no message");
    assert_non_null(strstr(s, "missing, or not base64"));
    assert_non_null(strstr(s, "NOT a message of SCEP's"));
}

static void test_trace_tell__cmp(void **state)
{
    (void)state;
    const char *s = tell("/.well-known/cmp/p/plant/initialization", "nonsense", 415, "the content type");
    assert_non_null(strstr(s, "what is no message of CMP"));
    assert_non_null(strstr(s, "by HTTP: the content type"));
    assert_non_null(strstr(s, "0 transaction(s) in 1 exchange(s), 1 of which can't be read"));
}

static void test_trace_tell__of_no_protocol(void **state)
{
    (void)state;
    assert_non_null(strstr(tell("/healthz", NULL, 200, ""), "of no protocol known here"));
}

static void test_trace_protocol__ours(void **state)
{
    (void)state;
    const struct trace_protocol *acme = trace_protocol_by_name("acme"), *est = trace_protocol_by_name("est");
    assert_true(acme->ours("/acme/one/directory", "one"));
    assert_false(acme->ours("/acme/one/directory", "on"));
    assert_false(acme->ours("/acme/one.two/directory", "one"));
    assert_true(est->ours("/.well-known/est/one/cacerts", "one"));
    assert_false(est->ours("/.well-known/est/one/cacerts", "default"));
    assert_true(est->ours("/.well-known/est/cacerts", "default"));
    assert_true(est->secret("/.well-known/est/one/serverkeygen"));
    assert_false(est->secret("/.well-known/est/one/simpleenroll"));
    const struct trace_protocol *scep = trace_protocol_by_name("scep");
    assert_true(scep->ours("/scep/one", "one"));
    assert_true(scep->ours("/scep/one/pkiclient.exe", "one"));
    assert_false(scep->ours("/scep/one/other", "one"));
    assert_false(scep->ours("/scep/one", "on"));
    assert_false(scep->ours("/scep/", NULL));
    assert_true(scep->ours("/certsrv/mscep/mscep.dll", "scep"));
    assert_false(scep->ours("/certsrv/mscep/mscep.dll", "one"));
    const struct trace_protocol *cmp = trace_protocol_by_name("cmp");
    assert_true(cmp->ours("/.well-known/cmp", NULL));
    assert_true(cmp->ours("/.well-known/cmp", "cmp"));
    assert_true(cmp->ours("/.well-known/cmp/initialization", "cmp"));
    assert_false(cmp->ours("/.well-known/cmp/initialization", "plant"));
    assert_true(cmp->ours("/.well-known/cmp/p/plant", "plant"));
    assert_true(cmp->ours("/.well-known/cmp/p/plant/keyupdate", "plant"));
    assert_false(cmp->ours("/.well-known/cmp/p/plant-2/keyupdate", "plant"));
    assert_false(cmp->ours("/.well-known/cmpx", NULL));
    assert_null(trace_protocol_by_name("nonsense"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_tell__directory),
        cmocka_unit_test(test_trace_tell__problem),
        cmocka_unit_test(test_trace_tell__control_characters),
        cmocka_unit_test(test_trace_tell__est),
        cmocka_unit_test(test_trace_tell__scep),
        cmocka_unit_test(test_trace_tell__cmp),
        cmocka_unit_test(test_trace_tell__of_no_protocol),
        cmocka_unit_test(test_trace_protocol__ours),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
