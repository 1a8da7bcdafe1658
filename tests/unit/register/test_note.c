/* Signed notes and checkpoints, against a note that Python signed. */
#include "register_test.h"

static json_t *vectors;

static struct slice public_key(void)
{
    return test_hex(test_str(vectors, "public"));
}

static void test_checkpoint_parse__vector(void **state)
{
    struct checkpoint c;
    struct diag diag = {0};
    const char *body = test_str(vectors, "checkpoint"), *note = test_str(vectors, "note");
    assert_ok(checkpoint_parse(&c, test_arena, slice_str(note), &diag));
    assert_string_equal(c.origin, "pki.example.org/touchmark/1");
    assert_int_equal(c.size, 5);
    assert_bytes(SLICE_ARR(c.root), test_hex(test_str(vectors, "root")));
    assert_false(c.has_chain);
    assert_int_equal(c.epoch, 0);
    assert_bytes(c.body, slice_str(body));
    assert_ok(checkpoint_parse(&c, test_arena, slice_str(body), &diag));
    assert_bytes(c.body, slice_str(body));

    const json_t *chain = json_object_get(vectors, "chain");
    assert_ok(checkpoint_parse(&c, test_arena, slice_str(test_str(vectors, "house_note")), &diag));
    assert_true(c.has_chain);
    assert_int_equal(c.chain_seq, 5);
    assert_bytes(SLICE_ARR(c.chain_hash), test_hex(test_str(json_array_get(chain, 4), "hash")));
}

static void assert_rebuilt(const char *body)
{
    struct checkpoint c;
    struct buf b;
    assert_ok(checkpoint_parse(&c, test_arena, slice_str(body), NULL));
    buf_init(&b, 4096);
    checkpoint_body_build(&b, &c);
    assert_ok(buf_err(&b));
    assert_string_equal(buf_str(&b), body);
    buf_done(&b);
}

static void test_checkpoint_body_build__round_trip(void **state)
{
    assert_rebuilt(test_str(vectors, "checkpoint"));
    assert_rebuilt(test_str(vectors, "epoch_checkpoint"));
    assert_rebuilt("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nsigner-chain 0 "
                   "0000000000000000000000000000000000000000000000000000000000000000\n");
}

#define ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define HEX  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_checkpoint_parse__refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "origin",
        "origin\n",
        "origin\n1\n",
        "origin\n1\n" ROOT,
        "\n1\n" ROOT "\n",
        "ori gin\n1\n" ROOT "\n",
        "ori+gin\n1\n" ROOT "\n",
        "ori\u2003gin\n1\n" ROOT "\n",
        "ori\u00a0gin\n1\n" ROOT "\n",
        "ori\x01gin\n1\n" ROOT "\n",
        "ori\xff\n1\n" ROOT "\n",
        "origin\n01\n" ROOT "\n",
        "origin\n-1\n" ROOT "\n",
        "origin\n+1\n" ROOT "\n",
        "origin\n1 \n" ROOT "\n",
        "origin\n9223372036854775808\n" ROOT "\n",
        "origin\n99999999999999999999\n" ROOT "\n",
        "origin\n1\r\n" ROOT "\n",
        "origin\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n", /* unused bits set */
        "origin\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==\n",
        "origin\n1\n47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "origin\n1\n" ROOT "AAAA\n",
        "origin\n1\n" ROOT "\nunfinished",
        "origin\n1\n" ROOT "\nsigner-chain 1\n",
        "origin\n1\n" ROOT "\nsigner-chain 01 " HEX "\n",
        "origin\n1\n" ROOT "\nsigner-chain 1 " HEX "00\n",
        "origin\n1\n" ROOT "\nsigner-chain 1 " HEX " \n",
        "origin\n1\n" ROOT
        "\nsigner-chain 1 E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\n",
        "origin\n1\n" ROOT "\nsigner-chain 1 " HEX "\nsigner-chain 1 " HEX "\n",
        "origin\n1\n" ROOT "\nepoch 0 " HEX "\n",
        "origin\n1\n" ROOT "\nepoch 1 " HEX "\nepoch 2 " HEX "\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct checkpoint c;
        struct diag diag = {0};
        if (checkpoint_parse(&c, test_arena, slice_str(bad[i]), &diag) != TM_EMALFORMED)
            fail_msg("taken: %s", bad[i]);
        assert_int_not_equal(diag.rule[0], 0);
    }
    struct checkpoint c;
    /* An extension line of somebody else's is no business of ours. */
    assert_ok(checkpoint_parse(&c, test_arena, slice_str("origin\n1\n" ROOT "\nother line\n"), NULL));
    char *big = arena_alloc(test_arena, NOTE_MAX + 2);
    memset(big, 'a', NOTE_MAX + 1);
    assert_err(TM_ETOOBIG, checkpoint_parse(&c, test_arena, slice_of(big, NOTE_MAX + 1), NULL));
}

static void test_note_verify__vector(void **state)
{
    struct diag diag = {0};
    const char *note = test_str(vectors, "note");
    struct slice key = public_key();
    assert_ok(note_verify(slice_str(note), "pki.example.org/touchmark/1", key.p, &diag));
    assert_err(TM_EBADSIG, note_verify(slice_str(note), "pki.example.org/touchmark", key.p, &diag));
    uint8_t other[32];
    memcpy(other, key.p, 32);
    other[0] ^= 1;
    assert_err(TM_EBADSIG, note_verify(slice_str(note), "pki.example.org/touchmark/1", other, &diag));
}

/* No bit of text or signature line can change without the note ceasing to verify. */
static void test_note_verify__every_bit(void **state)
{
    const char *note = test_str(vectors, "note");
    struct slice key = public_key();
    size_t n = strlen(note);
    char *copy = arena_strdup(test_arena, note);
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            copy[i] ^= (char)(1 << bit);
            assert_int_not_equal(note_verify(slice_of(copy, n), "pki.example.org/touchmark/1", key.p, NULL),
                                 TM_OK);
            copy[i] ^= (char)(1 << bit);
        }
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(note_verify(slice_of(note, i), "pki.example.org/touchmark/1", key.p, NULL),
                             TM_OK);
}

/* Lines of witnesses, other keys and other types are passed over; lines that are no signatures are not. */
static void test_note_verify__others(void **state)
{
    const char *note = test_str(vectors, "note"), name[] = "pki.example.org/touchmark/1";
    struct slice key = public_key();
    const char *with = arena_printf(test_arena, "%s\u2014 witness.example AAAAAAQFBgc=\n", note);
    assert_ok(note_verify(slice_str(with), name, key.p, NULL));
    with = arena_printf(test_arena, "%s\u2014 %s AAAAAAQFBgc=\n", note, name);
    assert_ok(note_verify(slice_str(with), name, key.p, NULL));
    static const char *const bad[] = {"- w AAAAAAQFBgc=\n",
                                      "\u2014 w\n",
                                      "\u2014 w \n",
                                      "\u2014  AAAAAAQFBgc=\n",
                                      "\n",
                                      "\u2014 w AAAAAAQFBg=c\n",
                                      "\u2014 w AAAAAAQFBgc\n",
                                      "\u2014 w AA===AQF\n",
                                      "\u2014 w AAAAAAQFBgc="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        with = arena_printf(test_arena, "%s%s", note, bad[i]);
        assert_err(TM_EMALFORMED, note_verify(slice_str(with), name, key.p, NULL));
    }
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, note);
    for (int i = 0; i < NOTE_SIGNATURES_MAX; i++)
        buf_puts(&b, "\u2014 w AAAAAAQFBgc=\n");
    assert_err(TM_EMALFORMED, note_verify(buf_slice(&b), name, key.p, NULL));
    buf_done(&b);
}

static void test_note_vkey__vector(void **state)
{
    struct buf b;
    struct slice key = public_key();
    const char *vkey = test_str(vectors, "vkey");
    buf_init(&b, 4096);
    note_vkey_build(&b, test_str(vectors, "origin"), key.p);
    assert_string_equal(buf_str(&b), vkey);
    buf_done(&b);

    char *name;
    uint8_t public[32];
    struct diag diag = {0};
    assert_ok(note_vkey_parse(&name, public, test_arena, slice_str(vkey), &diag));
    assert_string_equal(name, test_str(vectors, "origin"));
    assert_bytes(SLICE_ARR(public), key);
    assert_ok(note_vkey_parse(&name, public, test_arena, slice_str(arena_printf(test_arena, " %s\n", vkey)),
                              &diag));

    char *copy = arena_strdup(test_arena, vkey);
    for (size_t i = 0; copy[i]; i++) {
        copy[i] ^= 4;
        assert_int_not_equal(note_vkey_parse(&name, public, test_arena, slice_str(copy), &diag), TM_OK);
        copy[i] ^= 4;
        assert_int_not_equal(note_vkey_parse(&name, public, test_arena, slice_of(vkey, i), &diag), TM_OK);
    }
}

static void test_note_signature_build__vector(void **state)
{
    /* The signature out of the vector's last line, put together again. */
    const char *note = test_str(vectors, "note");
    const char *line = strstr(note, "\n\n") + 2;
    struct slice blob;
    assert_ok(base64_decode(&blob, test_arena, slice_str(strrchr(line, ' ') + 1), BASE64_STD));
    struct buf b;
    buf_init(&b, 4096);
    note_signature_build(&b, "pki.example.org/touchmark/1", public_key().p, slice_sub(blob, 4, 64));
    assert_string_equal(buf_str(&b), line);
    buf_reset(&b);
    note_signature_build(&b, "x", public_key().p, slice_sub(blob, 4, 63));
    assert_err(TM_ECRYPTO, buf_err(&b));
    buf_done(&b);
}

static int open_vectors(void **state)
{
    vectors = test_vectors("register");
    return 0;
}

static int close_vectors(void **state)
{
    json_decref(vectors);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTER_TEST(test_checkpoint_parse__vector),  REGISTER_TEST(test_checkpoint_body_build__round_trip),
        REGISTER_TEST(test_checkpoint_parse__refuses), REGISTER_TEST(test_note_verify__vector),
        REGISTER_TEST(test_note_verify__every_bit),    REGISTER_TEST(test_note_verify__others),
        REGISTER_TEST(test_note_vkey__vector),         REGISTER_TEST(test_note_signature_build__vector),
    };
    return cmocka_run_group_tests_name("register/note", tests, open_vectors, close_vectors);
}
