/* What a query means, as text: (all …), (any …), (not …), column=from..to, column~text, key:kind=value. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "inventory/csv.h"
#include "inventory/query.h"
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#define NOW ((int64_t)1795000000) /* 2026-11-18 */
enum { DAY = 86400 };

static void tell(struct buf *b, const struct cert_test *t)
{
    static const char *const columns[] = {"expires",   "issued",  "added",  "lifetime",
                                          "source",    "reason",  "device", "arrival",
                                          "authority", "profile", "key",    "signature"};
    static const char *const keys[] = {"", "subject", "cn", "san", "fingerprint", "spki", "device", "serial"};
    static const char *const groups[] = {"(all", "(any", "(not"};
    switch (t->kind) {
    case CERT_TEST_ALL:
    case CERT_TEST_ANY:
    case CERT_TEST_NOT:
        buf_puts(b, groups[t->kind]);
        for (size_t i = 0; i < t->n; i++) {
            buf_putc(b, ' ');
            tell(b, &t->parts[i]);
        }
        buf_putc(b, ')');
        break;
    case CERT_TEST_RANGE:
        buf_printf(b, "%s=", columns[t->column]);
        if (t->from != INT64_MIN)
            buf_printf(b, "%lld", (long long)(t->column <= CERT_COLUMN_ADDED ? t->from - NOW : t->from));
        buf_puts(b, "..");
        if (t->to != INT64_MAX)
            buf_printf(b, "%lld", (long long)(t->column <= CERT_COLUMN_ADDED ? t->to - NOW : t->to));
        break;
    case CERT_TEST_TEXT:
        buf_printf(b, "%s%s%s", columns[t->column], t->stars ? "~" : "=", t->text);
        break;
    case CERT_TEST_FLAGS:
        buf_printf(b, "flags=%u", t->flags);
        break;
    case CERT_TEST_KEY:
        buf_printf(b, "key:%s=", keys[t->key.kind]);
        if (t->key.kind == CERT_KEY_FOREIGN_SERIAL || t->key.kind == CERT_KEY_FINGERPRINT ||
            t->key.kind == CERT_KEY_SPKI)
            buf_put_hex(b, t->key.value);
        else
            buf_put_slice(b, t->key.value);
        break;
    default:
        buf_printf(b, "key:%s~%s", keys[t->key.kind], t->text);
    }
}

static tm_err owned(void *arg, enum owned_field field, const char *value, bool stars, struct arena *a,
                    struct cert_test *ret, struct diag *diag)
{
    (void)arg;
    (void)stars;
    (void)diag;
    *ret = (struct cert_test){.kind = CERT_TEST_TEXT,
                              .column = CERT_COLUMN_PROFILE,
                              .text = arena_printf(a, "owned%d/%s", (int)field, value)};
    return TM_OK;
}

static const struct query_env env = {.now = NOW, .owned = owned};

static void means(const char *text, const char *meaning)
{
    struct arena *a = arena_new(0);
    struct cert_test t;
    struct diag diag = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    if (query_parse(&t, a, slice_str(text), &env, &diag) != TM_OK)
        fail_msg("%s: %s", text, diag.message);
    tell(&b, &t);
    assert_string_equal(buf_str(&b), meaning);
    buf_done(&b);
    arena_free(a);
}

static void refused(const char *text, size_t at, const char *why)
{
    struct arena *a = arena_new(0);
    struct cert_test t;
    struct diag diag = {0};
    assert_int_equal(query_parse(&t, a, slice_str(text), &env, &diag), TM_EINVAL);
    assert_string_equal(diag.field, "query");
    assert_int_equal(diag.offset, at);
    if (!strstr(diag.message, why))
        fail_msg("%s: %s", text, diag.message);
    arena_free(a);
}

static void test_query_parse__terms(void **state)
{
    (void)state;
    means("", "(all)");
    means("   ", "(all)");
    means("profile:server", "profile=server");
    means("PROFILE:Server*", "profile~Server*");
    means("profile:\"a*b\"", "profile=a*b");
    means("profile:\"say \\\"x\\\"\"", "profile=say \"x\"");
    means("profile:a,b", "(any profile=a profile=b)");
    means("source:imported", "source=1..1");
    means("status:revoked", "reason=0..10");
    means("status:valid", "(all expires=0.. reason=-1..-1)");
    means("status:all", "(all)");
    means("class:ca", "flags=1");
    means("class:leaf", "(not flags=1)");
    means("key:rsa", "(any key~rsa*)");
    means("key:RSA-2048", "(any key=RSA-2048 key=RSA2048)");
    means("key:mldsa65", "(any key=ml-dsa-65)");
    means("signature:sha1", "(any signature=sha1 signature~sha1-* signature~*-sha1 signature~*-sha1-*)");
    means("device:*", "device=1..1");
    means("device:none", "device=0..0");
    means("device:SN-1", "key:device=SN-1");
    means("serial:00:0A:1b", "key:serial=0a1b");
    means("cn:gw", "key:cn=gw");
    means("cn:gw*", "key:cn~gw*");
    means("subject:\"CN=a b,O=c\"", "key:subject=CN=a b,O=c");
    means("dns:a.example", "key:san=dns:a.example");
    means("dns:*.example", "key:san~dns:*.example");
    means("ip:2001:DB8:0:0::1", "key:san=ip:2001:db8::1");
    means("san:192.0.2.1", "key:san=ip:192.0.2.1");
    means("san:dns:x", "key:san=dns:x");
    means("owner:facilities", "profile=owned0/facilities");
    means("owner:*", "profile=owned0/");
    means("issuer:ca", "(any authority=ca authority~*=ca authority~*=ca,*)");
}

static void test_query_parse__times(void **state)
{
    (void)state;
    means("expires<30d", "expires=0..2592000");
    means("expires>30d", "expires=2592001..");
    means("issued<7d", "issued=-604800..");
    means("issued>7d", "issued=..-604801");
    means("added<=12h", "added=-43200..");
    means("lifetime>398d", "lifetime=34387201..");
    means("lifetime:90d", "lifetime=7732800..7819200");
    means("expires<2w", "expires=0..1209600");
    means("expires:2026-11-18", "expires=-40000..46399");
    means("expires:today", "expires=-40000..46399");
    means("expires<2026-11-18", "expires=..-40001");
    means("expires<=2026-11-18", "expires=..46399");
    means("expires>=2026-11-18", "expires=-40000..");
    means("expires>2026-11-18", "expires=46400..");
    means("expires:2026-11-18T11:06:40Z", "expires=0..0");
}

static void test_query_parse__grammar(void **state)
{
    (void)state;
    means("-profile:a", "(not profile=a)");
    means("NOT profile:a", "(not profile=a)");
    means("profile:a profile:b", "(all profile=a profile=b)");
    means("profile:a AND profile:b", "(all profile=a profile=b)");
    means("profile:a OR profile:b profile:c", "(any profile=a (all profile=b profile=c))");
    means("(profile:a OR profile:b) -(profile:c profile:d)",
          "(all (any profile=a profile=b) (not (all profile=c profile=d)))");
}

static void test_query_parse__words(void **state)
{
    (void)state;
    means("gw-1", "(any key:san=dns:gw-1 key:cn=gw-1 key:device=gw-1)");
    means("printer 7", "(any key:san=dns:printer 7 key:cn=printer 7 key:device=printer 7)");
    means("\"printer 7\" profile:x",
          "(all (any key:san=dns:printer 7 key:cn=printer 7 key:device=printer 7) profile=x)");
    means("192.0.2.1", "(any key:san=ip:192.0.2.1 key:cn=192.0.2.1 key:device=192.0.2.1)");
    means("urn:dev:1", "(any key:san=uri:urn:dev:1 key:cn=urn:dev:1 key:device=urn:dev:1)");
    means("CN=x", "(any key:subject=CN=x)");
    means("*", "(all)");
    means("OR-gate", "(any key:san=dns:OR-gate key:cn=OR-gate key:device=OR-gate)");
}

static void test_query_parse__refused(void **state)
{
    (void)state;
    refused("ownr:x", 0, "no such field");
    refused("profile:a ownr:x", 10, "no such field");
    refused("expires<soon", 8, "a time is");
    refused("expires:30d", 8, "write expires<30d");
    refused("status:fine", 7, "a status is");
    refused("source:x", 7, "issued, imported or discovered");
    refused("class:x", 6, "own, foreign");
    refused("profile<x", 0, "only times are compared");
    refused("profile:", 8, "value is missing");
    refused("profile: x", 8, "value is missing");
    refused("profile:\"x", 8, "no end");
    refused("profile:\"x\"y", 11, "space is missing");
    refused("(profile:x", 0, "no end");
    refused("profile:x)", 9, "no beginning");
    refused("()", 1, "nothing in these");
    refused("profile:x OR", 12, "missing");
    refused("-", 1, "missing");
    refused("serial:xyz", 7, "hexadecimal");
    refused("fingerprint:00", 12, "64 digits");
    refused("device:SN*", 7, "whole id");
    refused("profile:a\x01", 9, "control character");
    refused("lifetime:x", 9, "a lifetime is");
    refused("expires:2026-13", 8, "a time is");
    refused("expires<99999999999999999999d", 8, "a time is");
}

static void test_query_parse__bounded(void **state)
{
    (void)state;
    struct arena *a = arena_new(64 << 20);
    static char text[QUERY_MAX + 2];
    struct cert_test t;
    struct diag diag = {0};
    memset(text, '(', QUERY_MAX);
    assert_int_equal(query_parse(&t, a, slice_str(text), &env, &diag), TM_EINVAL);
    memset(text, '-', QUERY_MAX); /* no word of a name, but a word */
    assert_int_equal(query_parse(&t, a, slice_str(text), &env, &diag), TM_OK);
    for (size_t i = 0; i + 2 <= QUERY_MAX; i += 2)
        memcpy(text + i, "* ", 2);
    assert_int_equal(query_parse(&t, a, slice_str(text), &env, &diag), TM_OK);
    text[QUERY_MAX] = 'x';
    assert_int_equal(query_parse(&t, a, slice_str(text), &env, &diag), TM_EINVAL);
    text[0] = '\0';
    for (int i = 0; i < QUERY_TERMS_MAX + 1; i++)
        strcat(text, "key:a ");
    assert_int_equal(query_parse(&t, a, slice_str(text), &env, &diag), TM_EINVAL);
    assert_non_null(strstr(diag.message, "too many terms"));
    const struct query_env without = {.now = NOW};
    assert_int_equal(query_parse(&t, a, SLICE_LIT("owner:x"), &without, &diag), TM_EINVAL);
    arena_free(a);
}

static void cell(const char *text, const char *shown)
{
    struct buf b;
    buf_init(&b, 4096);
    csv_put_cell(&b, text, true);
    assert_string_equal(buf_str(&b), shown);
    buf_done(&b);
}

static void test_csv_put_cell__harmless(void **state)
{
    (void)state;
    cell("", "");
    cell("plain", "plain");
    cell("a,b", "\"a,b\"");
    cell("say \"x\"", "\"say \"\"x\"\"\"");
    cell("=1+1", "\"'=1+1\"");
    cell("  @x", "\"'  @x\"");
    cell("\t-2", "\"'\\u{9}-2\"");
    cell("a\r\nb", "\"a\\u{d}\\u{a}b\"");
    cell("a\x80z", "a\\x80z");
    cell("\u202egnp.exe", "\\u{202e}gnp.exe");
    cell("Zürich", "Zürich");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_parse__terms),     cmocka_unit_test(test_query_parse__times),
        cmocka_unit_test(test_query_parse__grammar),   cmocka_unit_test(test_query_parse__words),
        cmocka_unit_test(test_query_parse__refused),   cmocka_unit_test(test_query_parse__bounded),
        cmocka_unit_test(test_csv_put_cell__harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
