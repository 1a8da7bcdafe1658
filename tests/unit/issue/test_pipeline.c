/* What comes of a request: issued, refused, waiting, answered again, lost on the way; each as the store and the register have it. */
#include "base/digest.h"
#include "base/task.h"
#include "issue/continuation.h"
#include "issue/jobs.h"
#include "issue_test.h"
#include "x509/crl.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usual[] = "server-internal-1y";

static struct slice fresh_spki(struct arena *a)
{
    struct key *k = new_key(KEY_ALG_EC_P256, 0);
    struct slice spki;
    assert_int_equal(arena_copy(&spki, a, key_spki(k)), TM_OK);
    key_free(k);
    return spki;
}

static tm_err stored(struct arena *a, const uint8_t serial[CERT_SERIAL_LEN], struct cert_row *ret)
{
    struct store_read q = {.kind = READ_CERT, .tenant = TENANT_DEFAULT, .arena = a, .with_der = true};
    memcpy(q.id, serial, CERT_SERIAL_LEN);
    tm_err e = store_read_now(house->store, &q);
    if (e == TM_OK)
        *ret = q.certs[0];
    return e;
}

static void verify_register(void)
{
    struct diag diag = {0};
    struct register_report report;
    CHECK_OK(house_sequence(house, &diag), diag);
    CHECK_OK(register_verify(&report, house->reg, TENANT_DEFAULT, NULL, NULL, &diag), diag);
    CHECK_OK(register_verify(&report, house->reg, TENANT_HOUSE, NULL, NULL, &diag), diag);
}

static void test_issue__is_stored_and_recorded(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    size_t before = events_of(a, TENANT_DEFAULT, "certificate.issued");
    struct issue_request *r = ask(a, fresh_spki(a), usual, "one.example.org");
    struct cert_row row = {0};
    assert_issued(r);
    assert_int_equal(stored(a, r->serial, &row), TM_OK);
    assert_true(slice_eq(row.der, r->cert));
    assert_string_equal(row.profile, usual);
    assert_int_equal(events_of(a, TENANT_DEFAULT, "certificate.issued"), before + 1);
    /* From the issuer to the root. */
    struct cert c, ca;
    assert_true(r->n_chain == 2);
    assert_int_equal(cert_parse(&c, r->cert, NULL), TM_OK);
    assert_int_equal(cert_parse(&ca, r->chain[0], NULL), TM_OK);
    assert_true(slice_eq(c.issuer, ca.subject));
    assert_int_equal(atomic_load(&house->in_flight), 0);
    verify_register();
    arena_free(a);
}

static void test_issue__dry_run_leaves_nothing(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    size_t before = events_of(a, TENANT_DEFAULT, "");
    struct issue_request *r = request_for(a, fresh_spki(a), usual, "dry.example.org");
    r->dry_run = true;
    issue_run(r);
    assert_int_equal(r->outcome, ISSUE_ISSUED);
    struct issue_request *no = request_for(a, fresh_spki(a), "no-such-profile", "dry.example.org");
    no->dry_run = true;
    issue_run(no);
    assert_denied(no, "profile.unknown");
    assert_int_equal(events_of(a, TENANT_DEFAULT, ""), before);
    arena_free(a);
}

static void test_deny__is_recorded_with_its_rule(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    size_t before = events_of(a, TENANT_DEFAULT, "enrollment.denied");
    assert_denied(ask(a, fresh_spki(a), "no-such-profile", "x.example.org"), "profile.unknown");
    struct issue_request *r = request_for(a, fresh_spki(a), usual, "x.example.org");
    r->e.pop_verified = false;
    issue_run(r);
    assert_denied(r, "key.possession");
    assert_int_equal(events_of(a, TENANT_DEFAULT, "enrollment.denied"), before + 2);
    arena_free(a);
}

static void test_quota__the_window_is_full(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    put("Profile",
        "{\"kind\":\"Profile\",\"name\":\"few\",\"authority\":\"issuing-ca\",\"lifetime\":{\"default\":\"30d\"},"
        "\"subject\":{\"allow\":[{\"attr\":\"CN\"}]},\"san\":{\"allow\":{\"dns\":{}}},"
        "\"quota\":{\"max\":2,\"window\":\"3650d\"}}");
    assert_issued(ask(a, fresh_spki(a), "few", "a.example.org"));
    assert_issued(ask(a, fresh_spki(a), "few", "b.example.org"));
    assert_denied(ask(a, fresh_spki(a), "few", "c.example.org"), "quota.max");
    arena_free(a);
}

static void test_idempotency__answered_again(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct slice spki = fresh_spki(a);
    struct issue_request *first = request_for(a, spki, usual, "idem.example.org"),
                         *again = request_for(a, spki, usual, "idem.example.org"),
                         *other = request_for(a, fresh_spki(a), usual, "idem.example.org");
    first->e.idempotency_key = again->e.idempotency_key = other->e.idempotency_key = "4711";
    issue_run(first);
    assert_issued(first);
    assert_false(first->replayed);
    issue_run(again);
    assert_issued(again);
    assert_true(again->replayed);
    assert_memory_equal(first->serial, again->serial, CERT_SERIAL_LEN);
    assert_true(slice_eq(first->cert, again->cert));
    issue_run(other);
    assert_int_equal(other->outcome, ISSUE_FAILED);
    assert_int_equal(other->err, TM_ECONFLICT);
    arena_free(a);
}

/* ---- what waits ---- */

static void put_watched(void)
{
    put("Profile",
        "{\"kind\":\"Profile\",\"name\":\"watched\",\"authority\":\"issuing-ca\",\"lifetime\":{\"default\":\"30d\"},"
        "\"subject\":{\"allow\":[{\"attr\":\"CN\"}]},\"san\":{\"allow\":{\"dns\":{}}},"
        "\"approval\":{\"required\":true}}");
}

/* Asked with a PKCS#10, as what waits is kept. */
static struct issue_request *ask_csr(struct arena *a, struct slice der)
{
    struct diag diag = {0};
    struct csr *csr = arena_calloc(a, 1, sizeof *csr);
    CHECK_OK(csr_parse_pkcs10(csr, der, &diag), diag);
    struct issue_request *r = request_for(a, csr->spki.der, "watched", "unused.example.org");
    r->e.pop_verified = false;
    CHECK_OK(issue_from_csr(r, csr, &diag), diag);
    issue_run(r);
    return r;
}

static void test_approve__issues_what_was_asked_for(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    const char *names[] = {"DNS:wait.example.org"};
    struct slice der = make_csr(a, "CN=wait.example.org", names, 1);
    put_watched();
    struct issue_request *r = ask_csr(a, der);
    assert_int_equal(r->outcome, ISSUE_PENDING);
    assert_true(r->pending_id[0] && r->retry_after > 0);
    /* Asked again it waits still, as the same. */
    struct issue_request *again = ask_csr(a, der);
    assert_int_equal(again->outcome, ISSUE_PENDING);
    assert_string_equal(again->pending_id, r->pending_id);
    assert_int_equal(issue_approve(house, TENANT_DEFAULT, r->pending_id, true, "tester", "", &diag),
                     TM_EFORBIDDEN);
    assert_string_equal(diag.rule, "approval.four-eyes");
    CHECK_OK(issue_approve(house, TENANT_DEFAULT, r->pending_id, true, "boss", "", &diag), diag);
    again = ask_csr(a, der);
    assert_issued(again);
    assert_true(again->replayed);
    /* Once is enough. */
    assert_int_equal(issue_approve(house, TENANT_DEFAULT, r->pending_id, true, "boss", "", &diag),
                     TM_ECONFLICT);
    assert_int_equal(issue_approve(house, TENANT_DEFAULT, "nothing", true, "boss", "", &diag), TM_ENOTFOUND);
    arena_free(a);
}

static void *ask_at_once(void *der)
{
    struct arena *a = arena_new(0);
    struct issue_request *r = ask_csr(a, *(struct slice *)der);
    assert_int_equal(r->outcome, ISSUE_PENDING);
    char *id = strdup(r->pending_id);
    arena_free(a);
    return id;
}

/* One request, one approval, however many copies came at once. */
static void test_pend__copies_wait_for_the_same(void **state)
{
    (void)state;
    enum { COPIES = 8 };
    struct arena *a = arena_new(0);
    const char *names[] = {"DNS:copies.example.org"};
    struct slice der = make_csr(a, "CN=copies.example.org", names, 1);
    size_t before = events_of(a, TENANT_DEFAULT, "enrollment.pending");
    pthread_t threads[COPIES];
    void *id[COPIES];
    put_watched();
    for (size_t i = 0; i < COPIES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_at_once, &der), 0);
    for (size_t i = 0; i < COPIES; i++)
        assert_int_equal(pthread_join(threads[i], &id[i]), 0);
    for (size_t i = 0; i < COPIES; i++) {
        assert_string_equal(id[i], id[0]);
        if (i)
            free(id[i]);
    }
    free(id[0]);
    assert_int_equal(events_of(a, TENANT_DEFAULT, "enrollment.pending"), before + 1);
    /* Once the time of one is over, another takes its place. */
    struct issue_request *r = ask_csr(a, der);
    struct continuation_row one, same, next;
    CHECK_OK(continuation_row_make(&one, r, 0, NULL), r->diag);
    CHECK_OK(continuation_row_make(&same, r, 0, NULL), r->diag);
    CHECK_OK(continuation_row_make(&next, r, 0, one.id), r->diag);
    assert_string_equal(one.id, r->pending_id);
    assert_string_equal(one.id, same.id);
    assert_string_not_equal(one.id, next.id);
    arena_free(a);
}

static void test_reject__is_told_to_who_asks_again(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    const char *names[] = {"DNS:no.example.org"};
    struct slice der = make_csr(a, "CN=no.example.org", names, 1);
    put_watched();
    struct issue_request *r = ask_csr(a, der);
    assert_int_equal(r->outcome, ISSUE_PENDING);
    CHECK_OK(issue_approve(house, TENANT_DEFAULT, r->pending_id, false, "boss", "not ours", &diag), diag);
    assert_denied(ask_csr(a, der), "approval.rejected");
    arena_free(a);
}

/* ---- what is lost on the way ---- */

/* The door's own effect does not hold: the whole issue does not. */
static tm_err impossible(struct issue_request *r, struct effect *ret, size_t *ret_n)
{
    ret[0] = (struct effect){
        .kind = EFFECT_RESOURCE_DELETE,
        .tenant = r->tenant,
        .expected_version = 7,
        .u.resource = {.kind = "Profile", .name = "no-such", .updated_by = "", .deleted = true}};
    *ret_n = 1;
    return TM_OK;
}

static void test_orphan__a_signature_without_its_certificate(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    size_t before = events_of(a, TENANT_HOUSE, "signature.orphaned");
    struct issue_request *r = request_for(a, fresh_spki(a), usual, "lost.example.org");
    struct cert_row row = {0};
    r->also = impossible;
    issue_run(r);
    assert_int_equal(r->outcome, ISSUE_FAILED);
    assert_int_equal(r->cert.n, 0);
    assert_int_equal(stored(a, r->serial, &row), TM_ENOTFOUND);
    /* Its record is written by itself. */
    for (int i = 0; i < 1000 && atomic_load(&house->in_flight); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(atomic_load(&house->in_flight), 0);
    assert_int_equal(events_of(a, TENANT_HOUSE, "signature.orphaned"), before + 1);
    verify_register();
    arena_free(a);
}

/* The door's own part fails: nothing is issued, and what the request would have consumed is not. */
static tm_err no_way(struct issue_request *r, struct effect *ret, size_t *ret_n)
{
    (void)ret;
    (void)ret_n;
    return diag_fail(&r->diag, TM_EUNAVAIL, "test.door", NULL, "no way");
}

static struct token_row token_of(struct arena *a, const char *id)
{
    struct store_read q = {.kind = READ_TOKEN, .tenant = TENANT_DEFAULT, .arena = a, .name = id};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.tokens[0];
}

static const char *new_token(struct arena *a)
{
    struct diag diag = {0};
    char *id, *secret;
    const struct token_spec spec = {
        .endpoint = "", .profile = "", .device = "", .ttl = 3600, .max_uses = 1, .by = "tester"};
    CHECK_OK(token_create(&id, &secret, a, house, TENANT_DEFAULT, &spec, &diag), diag);
    return id;
}

static void test_also__that_fails_costs_nothing(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct issue_request *r = request_for(a, fresh_spki(a), usual, "also.example.org");
    struct cert_row row = {0};
    r->token_id = new_token(a);
    r->also = no_way;
    issue_run(r);
    assert_int_equal(r->outcome, ISSUE_FAILED);
    assert_int_equal(r->err, TM_EUNAVAIL);
    assert_string_equal(r->diag.rule, "test.door");
    assert_int_equal(token_of(a, r->token_id).uses, 0);
    assert_int_equal(stored(a, r->serial, &row), TM_ENOTFOUND);
    arena_free(a);
}

/* ---- two copies of a request at once ---- */

/* What the copy that is quicker commits between the other one's decision and its commit. */
static struct effect quicker;

static tm_err be_quicker(struct issue_request *r, struct effect *ret, size_t *ret_n)
{
    struct diag diag = {0};
    (void)r;
    (void)ret;
    *ret_n = 0;
    CHECK_OK(house_commit(house, &quicker, 1, &diag), diag);
    return TM_OK;
}

static void assert_same_answer(const struct issue_request *first, const struct issue_request *r)
{
    assert_issued(r);
    assert_true(r->replayed);
    assert_memory_equal(r->serial, first->serial, CERT_SERIAL_LEN);
    assert_true(slice_eq(r->cert, first->cert));
}

static void test_copies__token(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct slice spki = fresh_spki(a);
    size_t denied = events_of(a, TENANT_DEFAULT, "enrollment.denied");
    struct issue_request *first = ask(a, spki, usual, "copy.example.org"),
                         *r = request_for(a, spki, usual, "copy.example.org"),
                         *other = request_for(a, fresh_spki(a), usual, "copy.example.org");
    assert_issued(first);
    r->token_id = new_token(a);
    quicker = (struct effect){.kind = EFFECT_TOKEN_USE, .tenant = TENANT_DEFAULT};
    quicker.u.token.now = quicker.u.token.row.bound_at = clock_now();
    quicker.u.token.row.id = r->token_id;
    assert_int_equal(sha256(quicker.u.token.row.bound_spki, spki), TM_OK);
    memcpy(quicker.u.token.row.bound_cert, first->serial, CERT_SERIAL_LEN);
    r->also = be_quicker;
    issue_run(r);
    assert_same_answer(first, r);
    assert_int_equal(events_of(a, TENANT_DEFAULT, "enrollment.denied"), denied);
    /* Another key's request that was as quick is refused, as bound. */
    other->token_id = quicker.u.token.row.id = new_token(a);
    other->also = be_quicker;
    issue_run(other);
    assert_denied(other, "token.bound");
    assert_int_equal(events_of(a, TENANT_DEFAULT, "enrollment.denied"), denied + 1);
    /* And one whose token was revoked meanwhile, as that. */
    struct issue_request *late = request_for(a, fresh_spki(a), usual, "copy.example.org");
    late->token_id = new_token(a);
    quicker = (struct effect){.kind = EFFECT_TOKEN_REVOKE, .tenant = TENANT_DEFAULT};
    quicker.u.token.row.id = late->token_id;
    quicker.u.token.now = clock_now();
    late->also = be_quicker;
    issue_run(late);
    assert_denied(late, "token.secret");
    arena_free(a);
}

/* The inventory keeps no certificate, but who asks again with the same secret and key, or the same idempotency key, gets it for a while. */
static void test_replay__of_what_is_not_kept(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct cert_row row = {0};
    size_t denied = events_of(a, TENANT_DEFAULT, "enrollment.denied");
    for (int i = 0; i < 2; i++) {
        struct slice spki = fresh_spki(a);
        struct issue_request *first = request_for(a, spki, "forgets", "forgotten.example.org"),
                             *again = request_for(a, spki, "forgets", "forgotten.example.org"),
                             *copy = request_for(a, spki, "forgets", "forgotten.example.org");
        put("Profile",
            "{\"kind\":\"Profile\",\"name\":\"forgets\",\"authority\":\"issuing-ca\",\"lifetime\":{\"default\":\"30d\"},"
            "\"subject\":{\"allow\":[{\"attr\":\"CN\"}]},\"san\":{\"allow\":{\"dns\":{}}},"
            "\"retention\":{\"level\":\"metadata\"}}");
        if (i == 0)
            first->token_id = again->token_id = copy->token_id = new_token(a);
        else
            first->e.idempotency_key = again->e.idempotency_key = copy->e.idempotency_key = "forgotten/1";
        issue_run(first);
        assert_issued(first);
        assert_int_equal(stored(a, first->serial, &row), TM_OK);
        assert_int_equal(row.der.n, 0);
        issue_run(again);
        assert_same_answer(first, again);
        if (i == 1)
            continue;
        /* One that was as quick finds its secret used when it commits. */
        copy->token_id = new_token(a);
        quicker = (struct effect){.kind = EFFECT_TOKEN_USE, .tenant = TENANT_DEFAULT};
        quicker.u.token.now = quicker.u.token.row.bound_at = clock_now();
        quicker.u.token.row.id = copy->token_id;
        assert_int_equal(sha256(quicker.u.token.row.bound_spki, spki), TM_OK);
        memcpy(quicker.u.token.row.bound_cert, first->serial, CERT_SERIAL_LEN);
        copy->also = be_quicker;
        issue_run(copy);
        assert_same_answer(first, copy);
    }
    assert_int_equal(events_of(a, TENANT_DEFAULT, "enrollment.denied"), denied);
    arena_free(a);
}

static void test_copies__idempotency_key(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct slice spki = fresh_spki(a);
    struct issue_request *first = request_for(a, spki, usual, "twin.example.org"),
                         *r = request_for(a, spki, usual, "twin.example.org"),
                         *other = request_for(a, fresh_spki(a), usual, "twin.example.org");
    first->e.idempotency_key = "twin/1";
    issue_run(first);
    assert_issued(first);
    struct store_read q = {.kind = READ_IDEMPOTENCY, .tenant = TENANT_DEFAULT, .arena = a, .name = "twin/1"};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    quicker = (struct effect){.kind = EFFECT_IDEMPOTENCY, .tenant = TENANT_DEFAULT};
    quicker.u.idem.key = r->e.idempotency_key = "twin/2";
    quicker.u.idem.expires_at = clock_now() + 1000;
    memcpy(quicker.u.idem.request_hash, q.idem.request_hash, SHA256_LEN);
    memcpy(quicker.u.idem.cert, first->serial, CERT_SERIAL_LEN);
    r->also = be_quicker;
    issue_run(r);
    assert_same_answer(first, r);
    /* Another request under the key is refused by the one name that this has. */
    quicker.u.idem.key = other->e.idempotency_key = "twin/3";
    other->also = be_quicker;
    issue_run(other);
    assert_int_equal(other->outcome, ISSUE_FAILED);
    assert_int_equal(other->err, TM_ECONFLICT);
    assert_string_equal(other->diag.rule, "idempotency-key");
    verify_register();
    arena_free(a);
}

/* ---- stopped while requests are under way ---- */

struct crowd {
    struct arena *a[40];
    struct issue_request *r[40];
    struct waiter *w;
    size_t answered;
    bool done;
};
static struct crowd crowd;

static void crowd_answered(struct task *t)
{
    (void)t;
    crowd.done = ++crowd.answered == 40;
}

static void test_stop__each_is_whole_or_refused(void **state)
{
    (void)state;
    struct cert_row row = {0};
    struct diag diag = {0};
    crowd = (struct crowd){.w = waiter_new()};
    for (size_t i = 0; i < 40; i++) {
        char cn[64];
        crowd.a[i] = arena_new(0);
        snprintf(cn, sizeof cn, "crowd-%zu.example.org", i);
        crowd.r[i] = request_for(crowd.a[i], fresh_spki(crowd.a[i]), usual, cn);
        crowd.r[i]->reply_to = waiter_executor(crowd.w);
        crowd.r[i]->done.run = crowd_answered;
        crowd.r[i]->bulk = i % 2;
    }
    for (size_t i = 0; i < 40; i++) {
        issue_submit(crowd.r[i]);
        if (i == 20)
            house_read_only(house, "a test");
    }
    waiter_run(crowd.w, &crowd.done);
    waiter_free(crowd.w);
    assert_int_equal(atomic_load(&house->in_flight), 0);
    assert_int_equal(house_may_sign(house, &diag), TM_EUNAVAIL);
    assert_non_null(strstr(diag.message, "a test"));
    for (size_t i = 0; i < 40; i++) {
        const struct issue_request *r = crowd.r[i];
        if (r->outcome == ISSUE_ISSUED)
            assert_int_equal(stored(crowd.a[i], r->serial, &row), TM_OK);
        else
            assert_int_equal(r->err, TM_EUNAVAIL);
        assert_true(i <= 20 || r->outcome != ISSUE_ISSUED);
    }
    /* Open again, it goes on. */
    house_read_only(house, NULL);
    assert_issued(ask(crowd.a[0], fresh_spki(crowd.a[0]), usual, "after.example.org"));
    verify_register();
    for (size_t i = 0; i < 40; i++)
        arena_free(crowd.a[i]);
}

static void test_revoke__once_and_with_its_event(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct cert_row row = {0};
    int64_t at = 0;
    struct issue_request *r = ask(a, fresh_spki(a), usual, "gone.example.org");
    assert_issued(r);
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, r->serial, CRL_CERTIFICATE_HOLD, "tester", "", &at, &diag),
             diag);
    CHECK_OK(issue_unrevoke(house, TENANT_DEFAULT, r->serial, "tester", &diag), diag);
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, r->serial, CRL_SUPERSEDED, "tester", "", &at, &diag), diag);
    assert_int_equal(issue_revoke(house, TENANT_DEFAULT, r->serial, CRL_SUPERSEDED, "tester", "", &at, &diag),
                     TM_ECONFLICT);
    assert_int_equal(issue_unrevoke(house, TENANT_DEFAULT, r->serial, "tester", &diag), TM_ECONFLICT);
    assert_int_equal(stored(a, r->serial, &row), TM_OK);
    assert_int_equal(row.reason, CRL_SUPERSEDED);
    assert_int_equal(row.revoked_at, at);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_issue__is_stored_and_recorded),
        cmocka_unit_test(test_issue__dry_run_leaves_nothing),
        cmocka_unit_test(test_deny__is_recorded_with_its_rule),
        cmocka_unit_test(test_quota__the_window_is_full),
        cmocka_unit_test(test_idempotency__answered_again),
        cmocka_unit_test(test_approve__issues_what_was_asked_for),
        cmocka_unit_test(test_pend__copies_wait_for_the_same),
        cmocka_unit_test(test_reject__is_told_to_who_asks_again),
        cmocka_unit_test(test_orphan__a_signature_without_its_certificate),
        cmocka_unit_test(test_also__that_fails_costs_nothing),
        cmocka_unit_test(test_copies__token),
        cmocka_unit_test(test_replay__of_what_is_not_kept),
        cmocka_unit_test(test_copies__idempotency_key),
        cmocka_unit_test(test_stop__each_is_whole_or_refused),
        cmocka_unit_test(test_revoke__once_and_with_its_event),
    };
    return cmocka_run_group_tests(tests, issue_setup, issue_teardown);
}
