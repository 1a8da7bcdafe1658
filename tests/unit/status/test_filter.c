/* Filters of a house: random histories with a model beside them, what is published, and who signed it. */
#include "base/digest.h"
#include "filter_test.h"
#include "issue/issue.h"
#include "issue/message.h"
#include "status/filter.h"
#include "status/filter_verify.h"

static struct house *house;
static struct arena *arena;
static struct catalog *catalog;
static const struct authority *ca;
static uint8_t issuer[TMF_ISSUER_LEN];

static int begin(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){0});
    arena = arena_new(0);
    house = open_home();
    catalog = house_catalog(house);
    ca = authority_of(catalog, "issuing-ca");
    assert_int_equal(sha256(issuer, ca->cert.spki.der), TM_OK);
    return 0;
}

static int end(void **state)
{
    (void)state;
    clock_fix(0);
    catalog_unref(catalog);
    house_close(house);
    arena_free(arena);
    free_home();
    test_dir_remove();
    return 0;
}

static struct filter_def def_of(const char *name)
{
    struct filter_def d;
    struct diag diag = {0};
    CHECK_OK(filter_def_find(&d, arena, house, TENANT_DEFAULT, name, &diag), diag);
    return d;
}

static void make(enum tmf_kind kind)
{
    struct filter_def d = def_of("issuing-ca");
    struct diag diag = {0};
    CHECK_OK(filter_publish(house, &d, kind, &diag), diag);
}

static struct tmf_filter current(enum tmf_kind kind)
{
    struct crl_row row;
    struct tmf_filter f;
    assert_int_equal(filter_current(&row, &f, arena, house, TENANT_DEFAULT, "issuing-ca", kind), TM_OK);
    return f;
}

/* Every certificate that has not expired: the register's state as of the filter, or not covered if it was issued since. */
static void check_all(const struct tmf_filter *full, const struct tmf_filter *delta)
{
    int64_t now = (delta ? delta : full)->this_update;
    for (size_t i = 0; i < n_members; i++) {
        const struct member *m = &members[i];
        if (m->not_after < now)
            continue;
        enum tmf_answer wanted = !m->imported && m->issued >= now ? TMF_NOT_COVERED
                                 : m->revoked                     ? TMF_REVOKED
                                                                  : TMF_GOOD;
        assert_int_equal(tmf_query(full, delta, issuer, m->serial, sizeof m->serial), wanted);
    }
}

static void random_step(void)
{
    uint64_t dice = members_random() % 100;
    clock_fix(clock_now() + (int64_t)(members_random() % 40000));
    for (unsigned i = 0; i < 1 + dice % 8; i++)
        member_add(house, "issuing-ca", (int)(1 + members_random() % 90), members_random() % 10 == 0);
    member_add(house, "device-ca", 10, false)->not_after = 0; /* another's: not asked about */
    for (unsigned i = 0; i < 3; i++) {
        struct member *m = &members[members_random() % n_members];
        if (m->not_after < clock_now())
            continue;
        if (m->on_hold && dice % 2)
            member_release(house, m, "issuing-ca");
        else if (!m->revoked)
            member_revoke(house, m, "issuing-ca", dice % 3 == 0);
    }
    clock_fix(clock_now() + 1);
}

static void test_filter_publish__random_histories(void **state)
{
    (void)state;
    clock_fix(clock_now());
    struct tmf_filter full = {0};
    for (unsigned i = 0; i < 24; i++) {
        random_step();
        if (i % 8 == 0) {
            make(TMF_FULL);
            full = current(TMF_FULL);
            check_all(&full, NULL);
            continue;
        }
        make(TMF_DELTA);
        struct tmf_filter delta = current(TMF_DELTA);
        uint8_t digest[SHA256_LEN];
        assert_int_equal(sha256(digest, slice_of(full.p, full.body)), TM_OK);
        assert_int_equal(tmf_fits(&delta, &full, digest), 1);
        check_all(&full, &delta);
    }
    assert_true(n_members > 80);
}

static void test_filter_publish__number_grows_when_the_clock_goes_back(void **state)
{
    (void)state;
    int64_t now = clock_now();
    make(TMF_FULL);
    uint64_t before = current(TMF_FULL).number;
    clock_fix(now - 86400);
    make(TMF_FULL);
    assert_true(current(TMF_FULL).number > before);
    clock_fix(now);
}

static tm_err verify(const struct tmf_filter *f, const struct cert *cas, size_t n, int64_t now,
                     struct diag *diag)
{
    const struct filter_trust t = {.cas = cas, .n_cas = n};
    return filter_verify(f, &t, now, NULL, diag);
}

static void test_filter_verify__who_and_what(void **state)
{
    (void)state;
    struct tmf_filter f = current(TMF_FULL);
    struct diag diag = {0};
    uint8_t digest[SHA256_LEN], wanted[SHA256_LEN];
    int64_t now = clock_now();
    const struct filter_trust t = {.cas = &ca->cert, .n_cas = 1};
    CHECK_OK(filter_verify(&f, &t, now, digest, &diag), diag);
    assert_int_equal(sha256(wanted, slice_of(f.p, f.body)), TM_OK);
    assert_memory_equal(digest, wanted, sizeof digest);
    const struct authority *other = authority_of(catalog, "device-ca");
    assert_int_equal(verify(&f, &other->cert, 1, now, &diag), TM_EBADSIG);
    assert_int_equal(verify(&f, NULL, 0, now, &diag), TM_EBADSIG);
    assert_int_equal(verify(&f, &ca->cert, 1, now + 400ll * 365 * 86400, &diag), TM_EEXPIRED);
    /* Any octet of the body changed, or of the signature's value, which ends the file. */
    uint8_t *copy = malloc(f.n);
    assert_non_null(copy);
    for (size_t i = 0; i < f.n; i += i < f.body ? 7 : 1) {
        struct tmf_filter bad;
        memcpy(copy, f.p, f.n);
        copy[i] ^= 0x20;
        bool good = tmf_open(&bad, copy, f.n) == 0 && verify(&bad, &ca->cert, 1, now, NULL) == TM_OK;
        if (good && (i < f.body || i >= f.n - 40))
            fail_msg("octet %zu of %zu", i, f.n);
    }
    struct tmf_filter unsigned_one = f;
    unsigned_one.signature = NULL;
    unsigned_one.signature_n = 0;
    assert_int_equal(verify(&unsigned_one, &ca->cert, 1, now, &diag), TM_EBADSIG);
    free(copy);
}

/* A message by the RA of `by` over the filter's body, in the place of those that are there. */
static struct tmf_filter signed_by(const struct tmf_filter *f, const struct authority *const *by, size_t n)
{
    struct buf file;
    struct slice all;
    struct tmf_filter again;
    uint8_t digest[SHA256_LEN];
    buf_init(&file, FILTER_FILE_MAX);
    buf_put(&file, f->p, f->body);
    assert_int_equal(sha256(digest, buf_slice(&file)), TM_OK);
    for (size_t i = 0; i < n; i++) {
        const struct message m = {.tenant = TENANT_DEFAULT,
                                  .authority = by[i],
                                  .content_type = OID_CT_TOUCHMARK_FILTER,
                                  .content = SLICE_ARR(digest)};
        struct diag diag = {0};
        struct slice signature;
        CHECK_OK(message_sign(&signature, arena, house, &m, &diag), diag);
        buf_put_slice(&file, signature);
    }
    assert_int_equal(arena_copy(&all, arena, buf_slice(&file)), TM_OK);
    buf_done(&file);
    assert_int_equal(tmf_open(&again, all.p, all.n), 0);
    return again;
}

/* Each authority vouches for itself. */
static void test_filter_verify__nobody_speaks_for_another(void **state)
{
    (void)state;
    static const char *const names[] = {"issuing-ca", "device-ca"};
    const struct authority *both[] = {ca, authority_of(catalog, "device-ca")};
    const struct cert cas[] = {both[0]->cert, both[1]->cert};
    struct filter_def d = def_of("issuing-ca");
    struct diag diag = {0};
    struct crl_row row;
    struct tmf_filter f, other;
    int64_t now = clock_now();
    d.name = "both";
    d.authorities = names;
    d.n_authorities = 2;
    CHECK_OK(filter_publish(house, &d, TMF_FULL, &diag), diag);
    assert_int_equal(filter_current(&row, &f, arena, house, TENANT_DEFAULT, "both", TMF_FULL), TM_OK);
    CHECK_OK(verify(&f, cas, 2, now, &diag), diag);
    CHECK_OK(verify(&f, &cas[0], 1, now, &diag), diag); /* who knows one of them asks about that one only */
    CHECK_OK(verify(&f, &cas[1], 1, now, &diag), diag);
    for (size_t i = 0; i < 2; i++) {
        other = signed_by(&f, &both[i], 1);
        CHECK_OK(verify(&other, &cas[i], 1, now, &diag), diag);
        assert_int_equal(verify(&other, cas, 2, now, &diag), TM_EBADSIG);
        assert_non_null(strstr(diag.message, "vouched"));
    }
    /* A filter about issuing-ca alone, by the RA of another that is trusted as well. */
    f = current(TMF_FULL);
    other = signed_by(&f, &both[1], 1);
    assert_int_equal(verify(&other, cas, 2, now, &diag), TM_EBADSIG);
    assert_int_equal(verify(&other, &cas[0], 1, now, &diag), TM_EBADSIG);
    assert_int_equal(verify(&f, &cas[1], 1, now, &diag), TM_EBADSIG);
    assert_non_null(strstr(diag.message, "about no authority"));
}

static bool all_revoked(const struct filter_trust *t, size_t i, struct slice serial)
{
    (void)t;
    return i == 0 && slice_eq(serial, ca->ra_cert.serial);
}

static void test_filter_verify__revoked_signers(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct tmf_filter f = current(TMF_FULL);
    uint8_t id[CERT_SERIAL_LEN];
    int64_t now = clock_now();
    const struct filter_trust t = {.cas = &ca->cert, .n_cas = 1, .revoked = all_revoked};
    CHECK_OK(verify(&f, &ca->cert, 1, now, &diag), diag);
    assert_int_equal(filter_verify(&f, &t, now, NULL, &diag), TM_EBADSIG);
    assert_non_null(strstr(diag.message, "revoked"));
    /* By its own account. */
    memcpy(id, ca->ra_cert.serial.p, sizeof id);
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, id, CRL_KEY_COMPROMISE, "test", "", NULL, &diag), diag);
    clock_fix(clock_now() + 60);
    make(TMF_FULL);
    f = current(TMF_FULL);
    assert_int_equal(verify(&f, &ca->cert, 1, clock_now(), &diag), TM_EBADSIG);
    assert_non_null(strstr(diag.message, "revoked"));
}

static void test_filter_def__names(void **state)
{
    (void)state;
    struct filter_def d = def_of("issuing-ca");
    struct diag diag = {0};
    assert_false(d.scheduled);
    assert_int_equal(filter_def_find(&d, arena, house, TENANT_DEFAULT, "nobody", &diag), TM_ENOTFOUND);
    struct crl_row row;
    assert_int_equal(filter_current(&row, NULL, arena, house, TENANT_DEFAULT, "device-ca", TMF_FULL),
                     TM_ENOTFOUND);
    assert_string_equal(filter_path(arena, house, TENANT_DEFAULT, "x", TMF_DELTA), "/filter/x.delta.tmf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_publish__random_histories),
        cmocka_unit_test(test_filter_publish__number_grows_when_the_clock_goes_back),
        cmocka_unit_test(test_filter_verify__who_and_what),
        cmocka_unit_test(test_filter_verify__nobody_speaks_for_another),
        cmocka_unit_test(test_filter_def__names),
        cmocka_unit_test(test_filter_verify__revoked_signers),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
