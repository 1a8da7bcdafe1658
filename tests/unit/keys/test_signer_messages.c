/* A taken-over server has messages signed (docs/adr/0008): what it may ask of the RAs' keys, and which certificates it can't hand out. */
#include "base/digest.h"
#include "base/text.h"
#include "der/builder.h"
#include "keys/cms.h"
#include "signer_test.h"
#include "x509/cmc.h"
#include "x509/cmp.h"
#include "x509/cms/certs_only.h"
#include "x509/cms/signed.h"

#define CA   "CN=Test CA,O=Example"
#define ACME "CN=Acme CA,O=Acme"

static struct signer *signer;
static struct slice root, acme_root, rogue_root;      /* self-signed by keys that the signer never had */
static struct slice ca, early_leaf, ra, ra_elsewhere; /* signed by a signer that ran before */
static struct key *elsewhere, *rogue;

static struct slice assembled(struct slice tbs, struct slice signature)
{
    struct buf b;
    struct slice der;
    buf_init(&b, 64 << 10);
    assert_ok(signed_assemble(&b, tbs, sig_alg_info(SIG_ECDSA_SHA256)->algid, signature));
    assert_ok(arena_copy(&der, test_arena, buf_slice(&b)));
    buf_done(&b);
    return der;
}

/* Signed by a key that the signer has not. */
static struct slice forged(const struct test_cert *t, struct key *by, struct slice spki)
{
    struct buf signature;
    size_t offset;
    struct slice tbs = test_tbs(t, spki, &offset);
    buf_init(&signature, 1024);
    assert_ok(key_sign(&signature, by, SIG_ECDSA_SHA256, tbs, NULL));
    struct slice der = assembled(tbs, buf_slice(&signature));
    buf_done(&signature);
    return der;
}

static struct slice forged_root(const char *name, struct key *k)
{
    const struct test_cert t = {.issuer = name, .subject = name, .ca = true};
    return forged(&t, k, key_spki(k));
}

/* Signed by the signer. */
static struct slice issued(const char *key_id, const struct test_cert *t, struct slice spki)
{
    struct sign_op op = {.kind = t->ca ? SIGN_CA : SIGN_LEAF, .key_id = key_id};
    op.ra = t->ekus[0] == OID_EKU_CMC_RA;
    op.tbs = test_tbs(t, spki, &op.serial_offset);
    if (signer_sign(signer, &op) != TM_OK)
        fail_msg("%s: %s", op.diag.rule, op.diag.message);
    memcpy((uint8_t *)(uintptr_t)op.tbs.p + op.serial_offset, op.serial, sizeof op.serial);
    return assembled(op.tbs, slice_of(op.signature, op.signature_n));
}

static void store_ca(const char *id, const char *name, struct slice anchor)
{
    uint8_t hash[32];
    assert_ok(sha256(hash, anchor));
    const char *anchors[] = {arena_hex(test_arena, SLICE_ARR(hash))};
    struct envelope e = test_envelope(id);
    e.allow |= 1u << SIGN_CA;
    e.issuer = test_name(name);
    e.anchors = anchors;
    e.n_anchors = 1;
    test_store_key(&e, KEY_ALG_EC_P256, 0);
}

static void store_ra(const char *id)
{
    struct envelope e = {
        .key_id = id, .origin = "", .allow = 1u << SIGN_CMS | 1u << SIGN_CMP, .max_path_len = -1};
    test_store_key(&e, KEY_ALG_EC_P256, 0);
}

static int setup(void **state)
{
    if (test_setup(state) != 0 || key_generate(&elsewhere, KEY_ALG_EC_P256, 0, NULL) != TM_OK ||
        key_generate(&rogue, KEY_ALG_EC_P256, 0, NULL) != TM_OK)
        return -1;
    root = forged_root("CN=Root", elsewhere);
    acme_root = forged_root("CN=Acme Root", rogue);
    rogue_root = forged_root("CN=Root", rogue);
    store_ca("ca", CA, root);
    store_ra("ca-ra");
    store_ca("acme.ca", ACME, acme_root);
    store_ra("acme.ca-ra");
    /* RAs are certified in ceremonies only. */
    signer = test_signer_start(true);
    const struct test_cert is_ca = {.subject = "CN=Below", .ca = true, .has_path_len = true};
    const struct test_cert is_ra = {.subject = "CN=RA", .ekus = {OID_EKU_CMC_RA}}, leaf = {0};
    ca = issued("ca", &is_ca, key_spki(elsewhere));
    early_leaf = issued("ca", &leaf, key_spki(elsewhere));
    ra = issued("ca", &is_ra, signer_key_find(signer, "ca-ra")->spki);
    ra_elsewhere = issued("ca", &is_ra, key_spki(elsewhere));
    signer_free(signer);
    signer = test_signer_start(false);
    return 0;
}

static int teardown(void **state)
{
    signer_free(signer);
    key_free(elsewhere);
    key_free(rogue);
    return test_teardown(state);
}

static void check(const struct sign_op *op, const char *rule)
{
    if (op->err != (rule ? TM_EDENIED : TM_OK) || (rule && strcmp(op->diag.rule, rule) != 0))
        fail_msg("%s, not %s: %s: %s", tm_err_name(op->err), rule ? rule : "good", op->diag.rule,
                 op->diag.message);
}

/* ---- CMP ---- */

static struct slice finished(struct buf *b)
{
    struct slice s;
    assert_ok(buf_err(b));
    assert_ok(arena_copy(&s, test_arena, buf_slice(b)));
    buf_done(b);
    return s;
}

static struct cmp_header header(void)
{
    return (struct cmp_header){.pvno = 2,
                               .sender = test_name("CN=RA"),
                               .recipient = SLICE_LIT("\xa4\x02\x30\x00"),
                               .time = clock_now(),
                               .protection_alg = sig_alg_info(SIG_ECDSA_SHA256)->algid,
                               .transaction_id = SLICE_LIT("transaction"),
                               .implicit_confirm = true};
}

static struct slice part_of(const struct cmp_header *h, unsigned body, struct slice content)
{
    struct buf b;
    struct slice head, tail, part;
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_header_build(&b, h);
    head = finished(&b);
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_body_build(&b, body, content);
    tail = finished(&b);
    assert_ok(cmp_protected_part(&part, test_arena, head, tail));
    return part;
}

static struct slice message_of(unsigned body, struct slice content)
{
    struct cmp_header h = header();
    struct buf head, tail, b;
    buf_init(&head, CMP_MESSAGE_MAX);
    buf_init(&tail, CMP_MESSAGE_MAX);
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_header_build(&head, &h);
    cmp_body_build(&tail, body, content);
    assert_ok(cmp_message_build(&b, buf_slice(&head), buf_slice(&tail), SLICE_LIT("MAC"), &rogue_root, 1));
    buf_done(&head);
    buf_done(&tail);
    return finished(&b);
}

static const struct sign_op *answer(const char *key_id, unsigned body, struct slice content)
{
    struct cmp_header h = header();
    return test_ask(signer, SIGN_CMP, key_id, part_of(&h, body, content));
}

static struct slice response(struct slice cert, struct slice ca_pub)
{
    struct buf b;
    struct cmp_cert_response r = {.cert = cert,
                                  .ca_pubs = &ca_pub,
                                  .n_ca_pubs = ca_pub.n ? 1 : 0,
                                  .status = {.fail = CMP_FAIL_NONE, .text = "there it is"}};
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_cert_response_build(&b, &r);
    return finished(&b);
}

static struct slice list_of(const struct slice *v, size_t n)
{
    struct buf b;
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_list_build(&b, v, n);
    return finished(&b);
}

static struct slice general(enum oid type, struct slice value)
{
    struct buf b;
    struct cmp_info info = {.type = type, .oid = oid_contents(type), .value = value};
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_infos_build(&b, &info, 1);
    return finished(&b);
}

static void test_signer__cmp_hands_out_what_it_signed(void **state)
{
    (void)state;
    const struct slice none = {0};
    const struct test_cert t = {0}, of_acme = {.issuer = ACME};
    struct slice leaf = issued("ca", &t, key_spki(elsewhere));
    static const unsigned bodies[] = {CMP_IP, CMP_CP, CMP_KUP};
    for (size_t i = 0; i < 3; i++) {
        check(answer("ca-ra", bodies[i], response(leaf, none)), NULL);
        check(answer("ca-ra", bodies[i], response(early_leaf, none)), NULL); /* by its signature alone */
        check(answer("ca-ra", bodies[i], response(none, none)), NULL);
        check(answer("ca-ra", bodies[i], response(forged(&t, elsewhere, key_spki(elsewhere)), none)),
              "envelope.anchors");
    }
    /* Signed for another tenant, by a signer that does not remember. */
    struct slice theirs = issued("acme.ca", &of_acme, key_spki(elsewhere));
    signer_free(signer);
    signer = test_signer_start(false);
    check(answer("ca-ra", CMP_IP, response(theirs, none)), "envelope.anchors");
    check(answer("acme.ca-ra", CMP_IP, response(theirs, none)), NULL);
    check(answer("acme.ca-ra", CMP_IP, response(early_leaf, none)), NULL); /* of the default tenant's CA */
    check(answer("ca-ra", CMP_IP, response(SLICE_LIT("\x30\x00"), none)), "RFC 5280 4.1");
}

/* A certificate in an answer, encrypted to `to`; *ret_key is what opens it. */
static struct slice encrypted_response(uint8_t ret_key[CMS_KEY_LEN], struct key *to, struct slice cert)
{
    struct spki spki;
    struct buf b;
    struct cmp_cert_response r = {.status = {.fail = CMP_FAIL_NONE}};
    assert_ok(spki_parse(&spki, key_spki(to), NULL));
    buf_init(&b, CMP_MESSAGE_MAX);
    assert_ok(cms_seal_to_key(&b, ret_key, &spki, (struct slice){0}, cert, NULL));
    r.encrypted_cert = finished(&b);
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_cert_response_build(&b, &r);
    return finished(&b);
}

static const struct sign_op *shown(unsigned body, struct slice content, struct slice keys)
{
    struct sign_op *op = arena_calloc(test_arena, 1, sizeof *op);
    struct cmp_header h = header();
    op->kind = SIGN_CMP;
    op->key_id = "ca-ra";
    op->tbs = part_of(&h, body, content);
    op->content = keys;
    TM_IGNORE(signer_sign(signer, op));
    return op;
}

/* What only its holder can read the signer reads as well (RFC 9810 5.2.8.3.2). */
static void test_signer__cmp_encrypted_certificates(void **state)
{
    (void)state;
    const struct test_cert t = {0};
    struct slice leaf = issued("ca", &t, key_spki(elsewhere));
    uint8_t keys[2 * CMS_KEY_LEN], other[CMS_KEY_LEN] = {0};
    struct slice good = encrypted_response(keys, elsewhere, leaf), key = slice_of(keys, CMS_KEY_LEN);
    check(shown(CMP_IP, good, key), NULL);
    check(shown(CMP_CP, good, SLICE_ARR(keys)), NULL);
    check(shown(CMP_IP, good, (struct slice){0}), "envelope.encrypted-cert");
    check(shown(CMP_IP, good, slice_of(keys, CMS_KEY_LEN - 1)), "envelope.encrypted-cert");
    check(shown(CMP_IP, good, SLICE_ARR(other)), "RFC 9810 5.3.4");
    struct slice both[] = {
        message_of(CMP_IP, good),
        message_of(CMP_KUP, encrypted_response(keys + CMS_KEY_LEN, elsewhere, early_leaf))};
    check(shown(CMP_NESTED, list_of(both, 2), SLICE_ARR(keys)), NULL);
    check(shown(CMP_NESTED, list_of(both, 2), key), "envelope.encrypted-cert");
    struct slice forgery = encrypted_response(keys, elsewhere, forged(&t, elsewhere, key_spki(elsewhere)));
    check(shown(CMP_IP, forgery, key), "envelope.anchors");
    check(shown(CMP_IP, encrypted_response(keys, elsewhere, SLICE_LIT("no certificate")), key),
          "RFC 5280 4.1");
}

static void test_signer__cmp_trust_anchors(void **state)
{
    (void)state;
    const struct test_cert t = {0};
    struct slice leaf = issued("ca", &t, key_spki(elsewhere));
    const struct test_cert link = {.issuer = "CN=Old Root", .subject = "CN=Root", .ca = true},
                           old = {.issuer = "CN=Root", .subject = "CN=Old Root", .ca = true};
    const struct {
        struct slice cert;
        const char *rule, *as_link;
    } cases[] = {
        {root, NULL, NULL},
        {ca, NULL, NULL},
        {rogue_root, "envelope.anchors", "envelope.anchors"},
        {acme_root, "envelope.anchors", "envelope.anchors"},
        {leaf, "envelope.anchors", "RFC 9810 5.3.20"},
        {ra, "envelope.anchors", "RFC 9810 5.3.20"},
        {forged_root(CA, rogue), "envelope.anchors", "envelope.anchors"},
        /* newWithOld and oldWithNew of the root that is known, and of another key. */
        {forged(&link, rogue, key_spki(elsewhere)), "envelope.anchors", NULL},
        {forged(&old, elsewhere, key_spki(rogue)), "envelope.anchors", NULL},
        {forged(&link, rogue, key_spki(rogue)), "envelope.anchors", "envelope.anchors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice two[] = {root, cases[i].cert};
        struct buf update;
        struct der_builder b;
        buf_init(&update, CMP_MESSAGE_MAX);
        der_builder_init(&b, &update);
        der_open(&b, DER_SEQUENCE);
        der_put_tlv(&b, root);
        der_open(&b, DER_CONTEXT_CONS(1));
        der_put_tlv(&b, cases[i].cert);
        der_close(&b);
        der_close(&b);
        assert_ok(der_builder_finish(&b));
        check(answer("ca-ra", CMP_IP, response(leaf, cases[i].cert)), cases[i].rule);
        check(answer("ca-ra", CMP_GENP, general(OID_IT_CA_CERTS, list_of(two, 2))), cases[i].rule);
        check(answer("ca-ra", CMP_GENP, general(OID_IT_ROOT_CA_KEY_UPDATE, list_of(two + 1, 1))),
              cases[i].rule);
        check(answer("ca-ra", CMP_GENP, general(OID_IT_ROOT_CA_KEY_UPDATE, finished(&update))),
              cases[i].as_link);
    }
    check(answer("acme.ca-ra", CMP_GENP, general(OID_IT_CA_CERTS, list_of(&acme_root, 1))), NULL);
    check(answer("ca-ra", CMP_GENP, general(OID_IT_CA_CERTS, (struct slice){0})), NULL);
    check(answer("ca-ra", CMP_GENP, general(OID_IT_ROOT_CA_CERT, root)), "RFC 9810 5.3.20");
    check(answer("ca-ra", CMP_GENP, general(OID_IT_CURRENT_CRL, SLICE_LIT("\x30\x00"))), NULL);
}

static void test_signer__cmp_bodies(void **state)
{
    (void)state;
    const struct slice none = {0}, null = SLICE_LIT("\x05\x00");
    const struct cmp_status refused = {.code = CMP_REJECTION, .text = "no", .fail = CMP_BAD_REQUEST};
    struct buf b;
    buf_init(&b, 1024);
    cmp_error_build(&b, &refused);
    check(answer("ca-ra", CMP_ERROR, finished(&b)), NULL);
    buf_init(&b, 1024);
    cmp_revocation_response_build(&b, &refused, 1);
    check(answer("ca-ra", CMP_RP, finished(&b)), NULL);
    buf_init(&b, 1024);
    cmp_poll_response_build(&b, 0, 60, "later");
    check(answer("ca-ra", CMP_POLLREP, finished(&b)), NULL);
    check(answer("ca-ra", CMP_PKICONF, null), NULL);
    const struct cmp_challenge challenge = {.witness = root, .challenge = root},
                               sealed = {.encrypted_rand = root};
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_challenge_build(&b, &challenge);
    check(answer("ca-ra", CMP_POPDECC, finished(&b)), NULL);
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_challenge_build(&b, &sealed);
    check(answer("ca-ra", CMP_POPDECC, finished(&b)), NULL);
    /* What it never sends: requests, announcements of a CA's new key, key recovery. */
    for (unsigned body = 0; body < CMP_BODY_COUNT; body++)
        if (body != CMP_PKICONF)
            assert_int_equal(answer("ca-ra", body, null)->err, TM_EDENIED);
    struct slice inner[] = {message_of(CMP_PKICONF, null), message_of(CMP_IP, response(early_leaf, root))};
    check(answer("ca-ra", CMP_NESTED, list_of(inner, 2)), NULL);
    inner[1] = message_of(CMP_IP, response(early_leaf, rogue_root));
    check(answer("ca-ra", CMP_NESTED, list_of(inner, 2)), "envelope.anchors");
    inner[1] = message_of(CMP_NESTED, list_of(&inner[1], 1));
    check(answer("ca-ra", CMP_NESTED, list_of(inner, 2)), "envelope.anchors");
    for (int i = 0; i < 3; i++)
        inner[0] = message_of(CMP_NESTED, list_of(inner, 1));
    check(answer("ca-ra", CMP_NESTED, list_of(inner, 1)), "RFC 9810 5.1.3.4");
    /* A certificate that nobody can see, and one beside the protected part. */
    struct cmp_cert_response hidden = {.encrypted_cert = null, .status = {.fail = CMP_FAIL_NONE}};
    buf_init(&b, 1024);
    cmp_cert_response_build(&b, &hidden);
    check(answer("ca-ra", CMP_IP, finished(&b)), "RFC 9810 5.3.4");
    check(test_ask(signer, SIGN_CMP, "ca-ra", message_of(CMP_PKICONF, null)), "RFC 9810 5.1.3");
    check(test_ask(signer, SIGN_CMP, "ca-ra", none), "RFC 9810 5.1.3");
    struct cmp_header h = header();
    h.time -= 7200;
    check(test_ask(signer, SIGN_CMP, "ca-ra", part_of(&h, CMP_PKICONF, null)), "envelope.cmp");
}

/* Each octet of a good answer changed, and each of its beginnings: refused or still harmless, and the signer lives on. */
static void test_signer__cmp_flips(void **state)
{
    (void)state;
    struct cmp_header h = header();
    struct slice good = part_of(&h, CMP_GENP, general(OID_IT_CA_CERTS, list_of(&root, 1)));
    const uint8_t *in_good = memmem(good.p, good.n, root.p, root.n);
    assert_non_null(in_good);
    for (size_t i = 0; i < good.n; i += 3) {
        uint8_t *copy = arena_alloc(test_arena, good.n);
        memcpy(copy, good.p, good.n);
        copy[i] ^= 0x55;
        tm_err err = test_ask(signer, SIGN_CMP, "ca-ra", slice_of(copy, good.n))->err;
        if (i >= (size_t)(in_good - good.p))
            assert_int_equal(err, TM_EDENIED);
        assert_int_equal(test_ask(signer, SIGN_CMP, "ca-ra", slice_sub(good, 0, i))->err, TM_EDENIED);
    }
    check(test_ask(signer, SIGN_CMP, "ca-ra", good), NULL);
}

/* ---- CMS ---- */

static const struct sign_op *message(const char *key_id, enum oid type, struct slice of, struct slice shown)
{
    struct sign_op *op = arena_calloc(test_arena, 1, sizeof *op);
    uint8_t digest[CMS_DIGEST_MAX];
    struct slice algid;
    size_t n;
    struct buf attrs;
    assert_ok(cms_digest(&algid, digest, &n, SIG_ECDSA_SHA256, of));
    buf_init(&attrs, 8192);
    assert_ok(signed_attrs_build(&attrs, oid_contents(type), slice_of(digest, n), clock_now()));
    op->kind = SIGN_CMS;
    op->key_id = key_id;
    op->tbs = finished(&attrs);
    op->content = shown;
    TM_IGNORE(signer_sign(signer, op));
    return op;
}

static struct slice certs_only(const struct slice *v, size_t n, const struct slice *crls, size_t n_crls)
{
    struct buf b;
    buf_init(&b, SIGNED_DATA_MAX);
    assert_ok(certs_only_build(&b, v, n, crls, n_crls));
    return finished(&b);
}

static const struct sign_op *next_certs(struct slice second)
{
    struct slice v[] = {root, second};
    struct slice content = certs_only(v, 2, NULL, 0);
    return message("ca-ra", OID_SIGNED_DATA, content, content);
}

static void test_signer__next_ca_certificates(void **state)
{
    (void)state;
    struct slice good = certs_only(&root, 1, NULL, 0), forgery = certs_only(&rogue_root, 1, NULL, 0);
    struct slice with_crl = certs_only(&root, 1, &root, 1),
                 with_rest = slice_of(arena_calloc(test_arena, 1, good.n + 1), good.n + 1);
    check(next_certs(ca), NULL);
    check(next_certs(ra), NULL);
    check(next_certs(rogue_root), "envelope.anchors");
    check(next_certs(acme_root), "envelope.anchors");
    check(next_certs(early_leaf), "envelope.anchors");
    check(next_certs(ra_elsewhere), "envelope.anchors"); /* an RA whose key somebody else has */
    check(next_certs(SLICE_LIT("\x30\x00")), "RFC 5280 4.1");
    check(message("ca-ra", OID_SIGNED_DATA, forgery, (struct slice){0}), "envelope.content");
    check(message("ca-ra", OID_SIGNED_DATA, forgery, good), "envelope.content");
    check(message("ca-ra", OID_SIGNED_DATA, with_crl, with_crl), "RFC 8894 4.7.1");
    memcpy((uint8_t *)(uintptr_t)with_rest.p, good.p, good.n);
    check(message("ca-ra", OID_SIGNED_DATA, with_rest, with_rest), "RFC 8894 4.7.1");
    struct slice empty = certs_only(NULL, 0, NULL, 0);
    check(message("ca-ra", OID_SIGNED_DATA, empty, empty), "RFC 8894 4.7.1");
    check(message("ca-ra", OID_CT_ASYMMETRIC_KEY_PACKAGE, good, (struct slice){0}), NULL);
    check(message("ca-ra", OID_CT_ASYMMETRIC_KEY_PACKAGE, good, good), "envelope.cms");
}

/* PKIResponse with one control of the type and an empty SET, or one message inside. */
static struct slice pki_response(enum oid control, bool inner)
{
    struct buf b;
    struct der_builder d;
    buf_init(&b, 4096);
    der_builder_init(&d, &b);
    der_open(&d, DER_SEQUENCE);
    der_open(&d, DER_SEQUENCE);
    der_open(&d, DER_SEQUENCE);
    der_put_uint(&d, 1);
    der_put_oid(&d, oid_contents(control));
    der_put(&d, DER_SET, (struct slice){0});
    der_close(&d);
    der_close(&d);
    der_open(&d, DER_SEQUENCE);
    if (inner)
        der_put_null(&d);
    der_close(&d);
    der_put(&d, DER_SEQUENCE, (struct slice){0});
    der_close(&d);
    assert_ok(der_builder_finish(&d));
    return finished(&b);
}

static void test_signer__cmc_responses(void **state)
{
    (void)state;
    const struct cmc_status done = {
        .body_part = 1, .code = CMC_FAILED, .fail = CMC_BAD_REQUEST, .text = "no"};
    struct pki_response r = {.status = &done, .n_status = 1, .sender_nonce = SLICE_LIT("nonce")};
    struct buf b;
    buf_init(&b, 4096);
    assert_ok(pki_response_build(&b, &r));
    struct slice good = finished(&b);
    check(message("ca-ra", OID_CT_PKI_RESPONSE, good, good), NULL);
    check(message("ca-ra", OID_CT_PKI_RESPONSE, good, (struct slice){0}), "envelope.content");
    const struct {
        struct slice content;
        const char *rule;
    } cases[] = {
        {pki_response(OID_CMC_SENDER_NONCE, false), NULL},
        {pki_response(OID_CMC_SENDER_NONCE, true), "RFC 5272 3.2.2"},
        {pki_response(OID_CMC_IDENTITY_PROOF, false), "RFC 5272 3.2.2"},
        {SLICE_LIT("\x30\x00"), "RFC 5272 3.2.2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(message("ca-ra", OID_CT_PKI_RESPONSE, cases[i].content, cases[i].content), cases[i].rule);
}

/* ---- ceremonies ---- */

static void test_signer_reload__anchors_change(void **state)
{
    (void)state;
    struct key *k;
    struct envelope e;
    struct secret pass = test_passphrase("pass");
    struct slice content = general(OID_IT_CA_CERTS, list_of(&acme_root, 1));
    check(answer("acme.ca-ra", CMP_GENP, content), NULL);
    assert_ok(key_load(&k, &e, test_arena, test_dir, "acme.ca", &pass, NULL));
    for (int round = 0; round < 2; round++) {
        e.n_anchors = (size_t)round;
        assert_ok(key_reseal(test_dir, k, &e, NULL));
        assert_ok(signer_reload(signer, NULL));
        check(answer("acme.ca-ra", CMP_GENP, content), round ? NULL : "envelope.anchors");
    }
    key_free(k);
    secret_done(&pass);
}

int main(int argc, char **argv)
{
    test_signer_program(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signer__cmp_hands_out_what_it_signed),
        cmocka_unit_test(test_signer__cmp_encrypted_certificates),
        cmocka_unit_test(test_signer__cmp_trust_anchors),
        cmocka_unit_test(test_signer__cmp_bodies),
        cmocka_unit_test(test_signer__cmp_flips),
        cmocka_unit_test(test_signer__next_ca_certificates),
        cmocka_unit_test(test_signer__cmc_responses),
        cmocka_unit_test(test_signer_reload__anchors_change),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
