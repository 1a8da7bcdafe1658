/* What CMP does with messages that come again, late, or not at all. */
#include "base/digest.h"
#include "der/builder.h"
#include "enroll/cmp/cmp.h"
#include "issue/cmp_settings.h"
#include "issue/jobs.h"
#include "unit/issue/issue_test.h"
#include "x509/crl.h"

enum { RETENTION = 86400, SKEW = 3600 };

static struct cmp_settings settings;
static const char *const offered[] = {"cmp-test"};
static const struct endpoint endpoint = {
    .tenant = TENANT_DEFAULT, .name = "cmp", .profiles = offered, .n_profiles = 1, .cmp = &settings};

static int setup(void **state)
{
    if (issue_setup(state) != 0)
        return -1;
    put("Profile",
        "{\"kind\":\"Profile\",\"name\":\"cmp-test\",\"authority\":\"issuing-ca\",\"lifetime\":{\"default\":\"30d\"},"
        "\"subject\":{\"allow\":[{\"attr\":\"CN\"}]},\"san\":{\"allow\":{\"dns\":{}}},"
        "\"revocation\":{\"reasons\":[\"keyCompromise\",\"certificateHold\"]}}");
    return 0;
}

/* A certificate, and who holds it. */
struct holder {
    struct arena *a;
    struct catalog *catalog;
    struct slice cert;
    struct http_request http;
    uint8_t serial[CERT_SERIAL_LEN];
};

static struct holder *new_holder(struct arena *a, const char *cn)
{
    struct holder *h = arena_calloc(a, 1, sizeof *h);
    struct key *k = new_key(KEY_ALG_EC_P256, 0);
    struct issue_request *r = ask(a, key_spki(k), "cmp-test", cn);
    assert_issued(r);
    key_free(k);
    *h = (struct holder){.a = a, .catalog = house_catalog(house), .cert = r->cert};
    h->http = (struct http_request){.id = "test", .peer = "", .arena = a};
    memcpy(h->serial, r->serial, sizeof h->serial);
    settings = (struct cmp_settings){
        .retention = RETENTION, .clock_skew = SKEW, .confirm_within = 600, .revocation = true};
    return h;
}

static void holder_free(struct holder *h)
{
    struct arena *a = h->a;
    catalog_unref(h->catalog);
    arena_free(a);
}

static struct cmp_exchange *message_of(struct holder *h, unsigned body, struct slice content)
{
    struct cmp_exchange *x = arena_calloc(h->a, 1, sizeof *x);
    struct diag diag = {0};
    *x = (struct cmp_exchange){.http = &h->http,
                               .a = h->a,
                               .house = house,
                               .catalog = h->catalog,
                               .endpoint = &endpoint,
                               .by = CMP_BY_SIGNATURE,
                               .known = true,
                               .credential = "cert:test",
                               .fail = CMP_FAIL_NONE};
    x->who.caller.id = "holder";
    x->who.caller.device_id = "";
    CHECK_OK(cert_parse(&x->who.peer, h->cert, &diag), diag);
    x->m = (struct cmp_message){
        .body = body, .content = content, .time = clock_now(), .pvno = 2, .der = content};
    x->m.transaction_id = SLICE_LIT("0123456789abcdef");
    x->t.endpoint = endpoint.name;
    x->t.row.id = "cmp-test";
    return x;
}

static struct cert_row row_of(struct holder *h)
{
    struct store_read q = {.kind = READ_CERT, .tenant = TENANT_DEFAULT, .arena = h->a};
    memcpy(q.id, h->serial, sizeof q.id);
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.certs[0];
}

/* What the answer would do. */
static void commit(struct cmp_exchange *x)
{
    struct diag diag = {0};
    if (x->n_effects)
        CHECK_OK(house_commit(house, x->effects, x->n_effects, &diag), diag);
}

/* ---- rr ---- */

/* RevReqContent with one RevDetails (RFC 9810 5.3.9). */
static struct slice revocation(struct holder *h, uint8_t reason)
{
    struct der_builder b;
    struct buf buf;
    struct cert c;
    struct slice out;
    const uint8_t enumerated[] = {0x0a, 1, reason};
    assert_int_equal(cert_parse(&c, h->cert, NULL), TM_OK);
    buf_init(&buf, 4096);
    der_builder_init(&b, &buf);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_put(&b, DER_CONTEXT(1), c.serial);
    der_open(&b, DER_CONTEXT_CONS(3));
    der_put_tlv(&b, c.issuer);
    der_close(&b);
    der_close(&b);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, oid_contents(OID_EXT_REASON));
    der_put(&b, DER_OCTET_STRING, SLICE_ARR(enumerated));
    der_close(&b);
    der_close(&b);
    der_close(&b);
    der_close(&b);
    assert_int_equal(der_builder_finish(&b), TM_OK);
    assert_int_equal(arena_copy(&out, h->a, buf_slice(&buf)), TM_OK);
    buf_done(&buf);
    return out;
}

static struct cmp_exchange *rr(struct holder *h, uint8_t reason)
{
    struct cmp_exchange *x = message_of(h, CMP_RR, revocation(h, reason));
    CHECK_OK(cmp_revoke(x), x->diag);
    commit(x);
    return x;
}

/* The row that remembers the message. */
static int64_t remembered_until(struct cmp_exchange *x)
{
    struct effect e;
    assert_int_equal(cmp_transaction_effect(&e, x), TM_OK);
    return e.u.object.row.keep_until;
}

static void test_cmp_revoke__hold_and_release(void **state)
{
    struct holder *h = new_holder(arena_new(0), "hold.example.org");
    (void)state;
    struct cmp_exchange *x = rr(h, CRL_CERTIFICATE_HOLD);
    assert_int_equal(x->n_effects, 1);
    assert_int_equal(row_of(h).reason, CRL_CERTIFICATE_HOLD);
    assert_true(row_of(h).revoked_at != 0);
    /* Released, it leaves nothing behind. */
    x = rr(h, CRL_REMOVE_FROM_CRL);
    assert_int_equal(row_of(h).revoked_at, 0);
    struct store_read q = {.kind = READ_OBJECT,
                           .object_kind = OBJECT_CMP_HOLD,
                           .tenant = TENANT_DEFAULT,
                           .arena = h->a,
                           .name = arena_hex(h->a, SLICE_ARR(h->serial))};
    assert_int_equal(store_read_now(house->store, &q), TM_ENOTFOUND);
    /* The operator's is not the holder's to end. */
    CHECK_OK(
        issue_revoke(house, TENANT_DEFAULT, h->serial, CRL_CERTIFICATE_HOLD, "operator", "", NULL, &x->diag),
        x->diag);
    x = rr(h, CRL_REMOVE_FROM_CRL);
    assert_int_equal(x->fail, CMP_NOT_AUTHORIZED);
    assert_true(row_of(h).revoked_at != 0);
    holder_free(h);
}

static void test_cmp_revoke__expired_certificate(void **state)
{
    struct holder *h = new_holder(arena_new(0), "expired.example.org");
    struct cmp_exchange *x = message_of(h, CMP_RR, revocation(h, CRL_KEY_COMPROMISE));
    (void)state;
    x->who.caller.cert_expired = true;
    assert_int_equal(cmp_revoke(x), TM_EAUTH);
    assert_int_equal(x->fail, CMP_SIGNER_NOT_TRUSTED);
    assert_string_equal(x->diag.rule, "certificate.expired");
    assert_int_equal(row_of(h).revoked_at, 0);
    holder_free(h);
}

/* A message that says no time could be played back at any time. */
static void test_cmp_revoke__time_is_missing(void **state)
{
    struct holder *h = new_holder(arena_new(0), "timeless.example.org");
    struct cmp_exchange *x = message_of(h, CMP_RR, revocation(h, CRL_KEY_COMPROMISE));
    (void)state;
    x->m.time = 0;
    assert_int_equal(cmp_revoke(x), TM_EINVAL);
    assert_int_equal(x->fail, CMP_MISSING_TIME_STAMP);
    assert_int_equal(row_of(h).revoked_at, 0);
    holder_free(h);
}

/* For as long as the message's time is near enough it is remembered, however short the retention; of a device without a clock, for as long as
 * it could put on hold or release. */
static void test_cmp_revoke__is_remembered(void **state)
{
    struct holder *h = new_holder(arena_new(0), "remembered.example.org");
    int64_t now = clock_now();
    (void)state;
    clock_fix(now);
    settings.retention = 600;
    struct cmp_exchange *x = message_of(h, CMP_RR, revocation(h, CRL_CERTIFICATE_HOLD));
    x->m.time = now + SKEW - 10;
    CHECK_OK(cmp_revoke(x), x->diag);
    commit(x);
    assert_int_equal(remembered_until(x), now + 2 * SKEW - 10);
    settings.clock_skew = 0;
    x = message_of(h, CMP_RR, revocation(h, CRL_REMOVE_FROM_CRL));
    x->m.time = 0;
    CHECK_OK(cmp_revoke(x), x->diag);
    commit(x);
    assert_int_equal(remembered_until(x), row_of(h).not_after);
    /* Also where it is refused today: tomorrow it might not be. */
    x = message_of(h, CMP_RR, revocation(h, CRL_REMOVE_FROM_CRL));
    CHECK_OK(cmp_revoke(x), x->diag);
    assert_int_equal(x->fail, CMP_BAD_REQUEST);
    assert_int_equal(remembered_until(x), row_of(h).not_after);
    /* What is revoked for good stays so. */
    x = rr(h, CRL_KEY_COMPROMISE);
    assert_int_equal(remembered_until(x), now + 600);
    clock_fix(0);
    holder_free(h);
}

/* ---- certificates that are to be confirmed ---- */

static struct cmp_exchange *unconfirmed(struct holder *h, enum cmp_state state, int64_t by)
{
    struct cmp_exchange *x = message_of(h, CMP_IR, SLICE_LIT("ir"));
    x->t.state = state;
    x->t.serial = arena_hex(h->a, SLICE_ARR(h->serial));
    x->t.cert = h->cert;
    x->t.confirm_by = by;
    x->t.credential = "cert:test";
    x->t.row.id = arena_printf(h->a, "cmp-%s", x->t.serial);
    assert_int_equal(cmp_transaction_effect(&x->effects[0], x), TM_OK);
    x->n_effects = 1;
    commit(x);
    return x;
}

static struct cmp_transaction stored(struct cmp_exchange *x)
{
    struct cmp_transaction t = {0};
    struct store_read q = {.kind = READ_OBJECT,
                           .object_kind = OBJECT_CMP_TRANSACTION,
                           .tenant = TENANT_DEFAULT,
                           .arena = x->a,
                           .name = x->t.row.id};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    assert_int_equal(cmp_transaction_read(&t, x->a, &q.objects[0]), TM_OK);
    return t;
}

/* What is to be decrypted lasts from one message to the next; a row of before says nothing of it. */
static void test_cmp_transaction__of_keys_that_decrypt(void **state)
{
    struct holder *h = new_holder(arena_new(0), "decrypts.example.org");
    struct cmp_exchange *x = message_of(h, CMP_IR, SLICE_LIT("ir"));
    int64_t by = clock_now() + 2 * RETENTION;
    (void)state;
    x->t.state = CMP_T_CHALLENGED;
    x->t.pop = CMP_POP_CHALLENGED;
    x->t.witness = SLICE_LIT("witness");
    x->t.opening = SLICE_LIT("key");
    x->t.confirm_by = by;
    x->t.row.id = "cmp-decrypts";
    assert_int_equal(cmp_transaction_effect(&x->effects[0], x), TM_OK);
    x->n_effects = 1;
    commit(x);
    struct cmp_transaction t = stored(x);
    assert_int_equal(t.state, CMP_T_CHALLENGED);
    assert_int_equal(t.pop, CMP_POP_CHALLENGED);
    assert_true(slice_eq_str(t.witness, "witness") && slice_eq_str(t.opening, "key"));
    assert_int_equal(t.confirm_by, by);
    assert_int_equal(t.row.due_at, 0);
    assert_int_equal(t.row.keep_until, by + RETENTION);
    t = stored(unconfirmed(h, CMP_T_UNCONFIRMED, by));
    assert_int_equal(t.pop, CMP_POP_USUAL);
    assert_int_equal(t.witness.n + t.opening.n, 0);
    holder_free(h);
}

static void run_job(void)
{
    struct diag diag = {0};
    CHECK_OK(cmp_unconfirmed_job.run(house, &diag), diag);
}

static void test_cmp_unconfirmed__is_revoked(void **state)
{
    struct holder *h = new_holder(arena_new(0), "late.example.org"),
                  *soon = new_holder(arena_new(0), "soon.example.org");
    int64_t now = clock_now();
    (void)state;
    struct cmp_exchange *x = unconfirmed(h, CMP_T_UNCONFIRMED, now - 10),
                        *y = unconfirmed(soon, CMP_T_UNCONFIRMED, now + 100);
    size_t before = events_of(h->a, TENANT_DEFAULT, "certificate.unconfirmed");
    run_job();
    assert_int_equal(row_of(h).reason, CRL_CESSATION_OF_OPERATION);
    assert_int_equal(stored(x).state, CMP_T_DONE);
    assert_int_equal(stored(x).cert.n, 0);
    assert_int_equal(row_of(soon).revoked_at, 0);
    assert_int_equal(stored(y).state, CMP_T_UNCONFIRMED);
    run_job();
    assert_int_equal(events_of(h->a, TENANT_DEFAULT, "certificate.unconfirmed"), before + 1);
    holder_free(h);
    holder_free(soon);
}

/* Between the claim and the revocation: nobody can confirm any more, and the job goes on. */
static void test_cmp_unconfirmed__claimed(void **state)
{
    struct holder *h = new_holder(arena_new(0), "claimed.example.org");
    struct cmp_exchange *x = unconfirmed(h, CMP_T_OVERDUE, clock_now() - 10);
    uint8_t hash[SHA256_LEN];
    struct buf b;
    (void)state;
    assert_int_equal(sha256(hash, h->cert), TM_OK);
    buf_init(&b, 1024);
    buf_put(&b, "\x30\x27\x30\x25\x04\x20", 6);
    buf_put(&b, hash, sizeof hash);
    buf_put(&b, "\x02\x01\x00", 3);
    struct cmp_exchange *late = message_of(h, CMP_CERTCONF, buf_slice(&b));
    late->t = stored(x);
    assert_int_equal(cmp_confirm(late), TM_EEXPIRED);
    buf_done(&b);
    run_job();
    assert_true(row_of(h).revoked_at != 0);
    assert_int_equal(stored(x).state, CMP_T_DONE);
    holder_free(h);
}

/* CertConfirmContent of one CertStatus with this status. */
static tm_err confirm(struct holder *h, struct cmp_exchange *x, char status)
{
    struct buf b;
    uint8_t hash[SHA256_LEN];
    assert_int_equal(sha256(hash, h->cert), TM_OK);
    buf_init(&b, 1024);
    buf_put(&b, "\x30\x2c\x30\x2a\x04\x20", 6);
    buf_put(&b, hash, sizeof hash);
    buf_put(&b, "\x02\x01\x00\x30\x03\x02\x01", 7);
    buf_put(&b, &status, 1);
    struct cmp_exchange *y = message_of(h, CMP_CERTCONF, buf_slice(&b));
    y->t = stored(x);
    tm_err e = cmp_confirm(y);
    buf_done(&b);
    return e;
}

static void test_cmp_confirm__statuses(void **state)
{
    struct holder *h = new_holder(arena_new(0), "status.example.org");
    struct cmp_exchange *x = unconfirmed(h, CMP_T_UNCONFIRMED, clock_now() + 100);
    (void)state;
    for (char status = 3; status <= 6; status++) /* waiting, and what is said of revocations */
        assert_int_equal(confirm(h, x, status), TM_EINVAL);
    assert_int_equal(row_of(h).revoked_at, 0);
    assert_int_equal(confirm(h, x, 0), TM_OK);
    assert_int_equal(confirm(h, x, 1), TM_OK);
    assert_int_equal(row_of(h).revoked_at, 0);
    assert_int_equal(confirm(h, x, 2), TM_OK);
    assert_int_equal(row_of(h).reason, CRL_CESSATION_OF_OPERATION);
    holder_free(h);
}

/* ---- the client gives up ---- */

static struct issue_request *ask_and_wait(struct arena *a, const char *cn)
{
    struct diag diag = {0};
    struct csr *csr = arena_calloc(a, 1, sizeof *csr);
    const char *names[] = {arena_printf(a, "DNS:%s", cn)};
    put("Profile",
        "{\"kind\":\"Profile\",\"name\":\"watched\",\"authority\":\"issuing-ca\",\"lifetime\":{\"default\":\"30d\"},"
        "\"subject\":{\"allow\":[{\"attr\":\"CN\"}]},\"san\":{\"allow\":{\"dns\":{}}},"
        "\"approval\":{\"required\":true}}");
    CHECK_OK(csr_parse_pkcs10(csr, make_csr(a, arena_printf(a, "CN=%s", cn), names, 1), &diag), diag);
    struct issue_request *r = request_for(a, csr->spki.der, "watched", cn);
    r->e.pop_verified = false;
    CHECK_OK(issue_from_csr(r, csr, &diag), diag);
    issue_run(r);
    assert_int_equal(r->outcome, ISSUE_PENDING);
    return r;
}

static struct continuation_row request_of(struct arena *a, const char *id)
{
    struct store_read q = {.kind = READ_CONTINUATION, .tenant = TENANT_DEFAULT, .arena = a, .name = id};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.continuations[0];
}

static void give_up(struct holder *h, const char *id)
{
    struct cmp_exchange *x = message_of(h, CMP_ERROR, SLICE_LIT("error"));
    x->t.state = CMP_T_WAITING;
    x->t.pending = id;
    CHECK_OK(cmp_confirm(x), x->diag);
    assert_int_equal(x->t.state, CMP_T_DONE);
    assert_int_equal(x->body, CMP_PKICONF);
}

static void test_cmp_confirm__given_up_while_waiting(void **state)
{
    struct holder *h = new_holder(arena_new(0), "gives-up.example.org");
    struct issue_request *r = ask_and_wait(h->a, "waits.example.org");
    struct diag diag = {0};
    (void)state;
    give_up(h, r->pending_id);
    assert_string_equal(request_of(h->a, r->pending_id).status, "rejected");
    give_up(h, r->pending_id);
    /* Approved before the client said so: a certificate that nobody comes for. */
    r = ask_and_wait(h->a, "approved.example.org");
    CHECK_OK(issue_approve(house, TENANT_DEFAULT, r->pending_id, true, "boss", "", &diag), diag);
    give_up(h, r->pending_id);
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .tenant = TENANT_DEFAULT,
                           .arena = h->a,
                           .key = {.kind = CERT_KEY_CN, .value = SLICE_LIT("approved.example.org")}};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    assert_int_equal(q.n, 1);
    assert_int_equal(q.certs[0].reason, CRL_CESSATION_OF_OPERATION);
    assert_true(q.certs[0].revoked_at != 0);
    holder_free(h);
}

/* ---- genm ---- */

/* The signer signs no such long message; who is given none can have it from elsewhere. */
static void test_cmp_general__too_long_to_be_signed(void **state)
{
    struct holder *h = new_holder(arena_new(0), "general.example.org");
    struct effect e = {.kind = EFFECT_CRL_PUT, .tenant = TENANT_DEFAULT};
    static const uint8_t current_crl[] = {0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b,
                                          0x06, 0x01, 0x05, 0x05, 0x07, 0x04, 0x06};
    size_t n = 300 << 10;
    uint8_t *der = arena_calloc(h->a, 1, n);
    struct diag diag = {0};
    (void)state;
    assert_non_null(der);
    e.u.crl = (struct crl_row){.authority = "issuing-ca",
                               .shard = "full",
                               .number = SLICE_LIT("\x7f\xff\xff\xff\xff\xff\xff\xff"),
                               .this_update = clock_now(),
                               .next_update = clock_now() + 1000,
                               .der = slice_of(der, n)};
    CHECK_OK(house_commit(house, &e, 1, &diag), diag);
    struct cmp_exchange *x = message_of(h, CMP_GENM, SLICE_ARR(current_crl));
    x->authority = catalog_authority(h->catalog, TENANT_DEFAULT, "issuing-ca");
    assert_int_equal(cmp_general(x), TM_ETOOBIG);
    assert_string_equal(x->diag.rule, "cmp.answer-size");
    x->known = false;
    CHECK_OK(cmp_general(x), x->diag);
    assert_true(x->content.n > n);
    holder_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cmp_revoke__hold_and_release),
        cmocka_unit_test(test_cmp_revoke__expired_certificate),
        cmocka_unit_test(test_cmp_revoke__time_is_missing),
        cmocka_unit_test(test_cmp_revoke__is_remembered),
        cmocka_unit_test(test_cmp_transaction__of_keys_that_decrypt),
        cmocka_unit_test(test_cmp_unconfirmed__is_revoked),
        cmocka_unit_test(test_cmp_unconfirmed__claimed),
        cmocka_unit_test(test_cmp_confirm__statuses),
        cmocka_unit_test(test_cmp_confirm__given_up_while_waiting),
        cmocka_unit_test(test_cmp_general__too_long_to_be_signed),
    };
    return cmocka_run_group_tests(tests, setup, issue_teardown);
}
