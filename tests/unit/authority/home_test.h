/* A house made by house_init() in a directory of its own, and other people's tools to look at what it makes. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "authority/ceremony.h"
#include "authority/init.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "keys/key.h"
#include "keys/signer.h"
#include "register/register.h"
#include "status/crl.h"
#include "x509/csr.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char test_dir[64];
static const char test_passphrase[] = "correct horse";
static const char test_root_passphrase[] = "battery staple";

#define CHECK_OK(expr, diag)                                                                                 \
    do {                                                                                                     \
        tm_err check_err_ = (expr);                                                                          \
        if (check_err_ != TM_OK)                                                                             \
            fail_msg("%s: %s [%s] %s: %s", #expr, tm_err_name(check_err_), (diag).rule, (diag).field,        \
                     (diag).message);                                                                        \
    } while (0)

[[maybe_unused]] static struct secret text_secret(const char *s)
{
    struct secret x;
    assert_int_equal(secret_copy(&x, slice_str(s)), TM_OK);
    return x;
}

[[maybe_unused]] static const char *in_test(const char *name)
{
    static char path[8][256];
    static unsigned next;
    char *p = path[next++ % 8];
    snprintf(p, 256, "%s/%s", test_dir, name);
    return p;
}

[[maybe_unused]] static void test_dir_make(void)
{
    strcpy(test_dir, "/tmp/touchmark-test-XXXXXX");
    assert_non_null(mkdtemp(test_dir));
}

[[maybe_unused]] static void test_dir_remove(void)
{
    file_remove_tree(test_dir, true);
}

[[maybe_unused]] static void write_test_file(const char *name, struct slice contents)
{
    int fd = open(in_test(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, contents.p, contents.n), (ssize_t)contents.n);
    close(fd);
}

[[maybe_unused]] static void write_pem(const char *name, const char *label, struct slice der)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_put_pem(&b, label, der);
    write_test_file(name, buf_slice(&b));
    buf_done(&b);
}

/* A shell command in the test's directory; its exit status. */
[[gnu::format(printf, 1, 2), maybe_unused]] static int run(const char *fmt, ...)
{
    char command[4096];
    int n = snprintf(command, sizeof command, "cd %s && (", test_dir);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command + n, sizeof command - (size_t)n - 40, fmt, ap);
    va_end(ap);
    strcat(command, ") >tool.log 2>&1");
    int status = system(command);
    return status == -1 ? -1 : WEXITSTATUS(status);
}

/* 0, or fail with what the tool said. */
#define RUN_OK(...)                                                                                          \
    do {                                                                                                     \
        if (run(__VA_ARGS__) != 0) {                                                                         \
            char show_[160];                                                                                 \
            snprintf(show_, sizeof show_, "tail -c 2000 %s/tool.log >&2", test_dir);                         \
            TM_IGNORE((tm_err)(system(show_) == 0 ? TM_OK : TM_EIO));                                        \
            fail_msg("failed: " __VA_ARGS__);                                                                \
        }                                                                                                    \
    } while (0)

[[maybe_unused]] static bool have_tool(const char *name)
{
    return run("command -v %s", name) == 0;
}

/* A home, made once a test program. */
static struct arena *home_arena;
[[maybe_unused]] static int64_t home_begun_at; /* before it was made, however long that took */
static struct init_result home;
static struct secret home_passphrase, root_passphrase;

[[maybe_unused]] static void make_home_with(const struct init_config *more)
{
    struct diag diag = {0};
    home_arena = arena_new(0);
    home_passphrase = text_secret(test_passphrase);
    root_passphrase = text_secret(test_root_passphrase);
    struct init_config c = *more;
    if (!c.home)
        c.home = in_test("home");
    if (!c.public_base)
        c.public_base = "http://pki.example.org";
    c.passphrase = &home_passphrase;
    c.root_passphrase = &root_passphrase;
    home_begun_at = clock_now();
    CHECK_OK(house_init(&home, home_arena, &c, NULL, NULL, &diag), diag);
}

[[maybe_unused]] static struct house *open_home(void)
{
    struct house *h = NULL;
    struct diag diag = {0};
    struct house_config c = {.home = in_test("home"),
                             .mode = HOUSE_OFFLINE,
                             .passphrase = &home_passphrase,
                             .public_base = home.public_base,
                             .origin = home.origin};
    CHECK_OK(house_open(&h, &c, &diag), diag);
    return h;
}

[[maybe_unused]] static void free_home(void)
{
    arena_free(home_arena);
    secret_done(&home_passphrase);
    secret_done(&root_passphrase);
}

/* For a group of tests: a home with three CRLs of its root signed ahead. */
[[maybe_unused]] static int home_setup(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){.root_crls = 3});
    return 0;
}

[[maybe_unused]] static int home_teardown(void **state)
{
    (void)state;
    free_home();
    test_dir_remove();
    return 0;
}

/* A PKCS#10 of a fresh P-256 key in `a`. */
[[maybe_unused]] static struct slice make_csr(struct arena *a, const char *subject, const char *const *names,
                                              size_t n)
{
    struct key *k = NULL;
    struct diag diag = {0};
    struct slice name, san = {0}, out;
    struct general_name v[8];
    struct buf info, sig, der;
    CHECK_OK(key_generate(&k, KEY_ALG_EC_P256, 0, &diag), diag);
    CHECK_OK(name_from_text(&name, a, slice_str(subject), &diag), diag);
    for (size_t i = 0; i < n; i++)
        CHECK_OK(general_name_from_text(&v[i], a, slice_str(names[i]), &diag), diag);
    if (n)
        CHECK_OK(ext_encode_san(&san, a, v, n), diag);
    struct ext ext = {.id = OID_EXT_SAN, .oid = oid_contents(OID_EXT_SAN), .value = san};
    buf_init(&info, 1 << 16);
    buf_init(&sig, 1 << 16);
    buf_init(&der, 1 << 16);
    CHECK_OK(csr_build_info(&info, name, key_spki(k), &ext, n ? 1 : 0), diag);
    CHECK_OK(key_sign(&sig, k, SIG_ECDSA_SHA256, buf_slice(&info), &diag), diag);
    CHECK_OK(signed_assemble(&der, buf_slice(&info), sig_alg_info(SIG_ECDSA_SHA256)->algid, buf_slice(&sig)),
             diag);
    CHECK_OK(arena_copy(&out, a, buf_slice(&der)), diag);
    buf_done(&info);
    buf_done(&sig);
    buf_done(&der);
    key_free(k);
    return out;
}

/* A leaf under `profile`; the request stays in `a`. */
[[maybe_unused]] static struct issue_request *issue_leaf_from(struct arena *a, struct house *h,
                                                              const char *profile, const char *authority,
                                                              const char *dns)
{
    struct diag diag = {0};
    const char *names[] = {dns};
    char subject[128];
    snprintf(subject, sizeof subject, "CN=%s", dns);
    struct csr *csr = arena_calloc(a, 1, sizeof *csr);
    struct issue_request *r = arena_calloc(a, 1, sizeof *r);
    CHECK_OK(csr_parse_pkcs10(csr, make_csr(a, subject, names, 1), &diag), diag);
    r->house = h;
    r->arena = a;
    r->tenant = TENANT_DEFAULT;
    r->authority = authority;
    r->e = (struct enrollment){
        .request_id = "test",
        .tenant = "default",
        .endpoint = "test",
        .door = DOOR_REST,
        .profile = profile,
        .caller = {.kind = CALLER_PRINCIPAL, .id = "tester", .roles = "admin", .peer = ""}};
    CHECK_OK(issue_from_csr(r, csr, &diag), diag);
    issue_run(r);
    return r;
}

[[maybe_unused]] static struct issue_request *issue_leaf(struct arena *a, struct house *h, const char *dns)
{
    struct issue_request *r = issue_leaf_from(a, h, "server-internal-1y", NULL, dns);
    if (r->outcome != ISSUE_ISSUED)
        fail_msg("not issued: %d %s: %s %s", r->outcome, tm_err_name(r->err), r->diag.message,
                 r->decision.reason ? r->decision.reason : "");
    return r;
}

[[maybe_unused]] static const struct authority *authority_of(struct catalog *c, const char *name)
{
    const struct authority *x = catalog_authority(c, TENANT_DEFAULT, name);
    assert_non_null(x);
    return x;
}
