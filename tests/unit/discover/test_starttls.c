#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/starttls.h"
#include <cmocka.h>
#include <string.h>

struct turn {
    const char *said; /* by the service; NULL: nothing yet */
    size_t n;         /* 0: strlen */
    enum starttls_state state;
    const char *answer; /* begins so; NULL: nothing is said */
};

static void play(const struct starttls *p, const struct turn *turns)
{
    unsigned step = 0;
    for (; turns->said || turns->answer; turns++) {
        struct slice said = turns->said ? slice_of(turns->said, turns->n ? turns->n : strlen(turns->said))
                                        : (struct slice){0};
        /* Whatever is missing at its end, it waits; and nothing is said before it is all there. */
        for (size_t n = 0; n < said.n && turns->state != STARTTLS_FOREIGN; n++) {
            size_t used = 0;
            const char *hint = NULL;
            struct buf out;
            buf_init(&out, 4096);
            if (p->step(step, slice_of(said.p, n), &used, "www.example.org", &out, &hint) == STARTTLS_MORE)
                assert_int_equal(out.n, 0);
            buf_done(&out);
        }
        size_t used = 0;
        const char *hint = NULL;
        struct buf out;
        buf_init(&out, 4096);
        assert_int_equal(p->step(step, said, &used, "www.example.org", &out, &hint), turns->state);
        if (turns->state == STARTTLS_SENT || turns->state == STARTTLS_READY)
            assert_int_equal(used, said.n);
        if (turns->state == STARTTLS_REFUSED)
            assert_non_null(hint);
        assert_string_equal(turns->answer ? turns->answer : "", buf_str(&out));
        buf_done(&out);
        step++;
    }
}

static void test_starttls_step__smtp(void **state)
{
    (void)state;
    play(&starttls_smtp,
         (const struct turn[]){
             {"220-mail.example.org\r\n220 ESMTP\r\n", 0, STARTTLS_SENT, "EHLO touchmark.invalid\r\n"},
             {"250-mail\r\n250-PIPELINING\r\n250 STARTTLS\r\n", 0, STARTTLS_SENT, "STARTTLS\r\n"},
             {"220 go ahead\r\n", 0, STARTTLS_READY, NULL},
             {0}});
    play(&starttls_smtp, (const struct turn[]){{"220 x\r\n", 0, STARTTLS_SENT, "EHLO touchmark.invalid\r\n"},
                                               {"250 x\r\n", 0, STARTTLS_SENT, "STARTTLS\r\n"},
                                               {"502 not here\r\n", 0, STARTTLS_REFUSED, NULL},
                                               {0}});
    play(&starttls_smtp, (const struct turn[]){{"554 go away\r\n", 0, STARTTLS_REFUSED, NULL}, {0}});
    play(&starttls_smtp, (const struct turn[]){{"SSH-2.0-x\r\n", 0, STARTTLS_FOREIGN, NULL}, {0}});
}

/* A line that is too long is that in whatever pieces it comes. */
static void test_starttls_step__long_line(void **state)
{
    (void)state;
    static char text[STARTTLS_LINE_MAX + 3];
    memset(text, 'x', sizeof text);
    text[0] = '2';
    text[1] = '2';
    text[2] = '0';
    for (size_t n = STARTTLS_LINE_MAX - 1; n <= STARTTLS_LINE_MAX + 1; n++) {
        size_t used = 0;
        const char *hint = NULL;
        struct buf out;
        buf_init(&out, 4096);
        bool too_long = n > STARTTLS_LINE_MAX;
        assert_int_equal(starttls_smtp.step(0, slice_of(text, n), &used, "x", &out, &hint),
                         too_long ? STARTTLS_FOREIGN : STARTTLS_MORE);
        text[n] = '\n';
        assert_int_equal(starttls_smtp.step(0, slice_of(text, n + 1), &used, "x", &out, &hint),
                         too_long ? STARTTLS_FOREIGN : STARTTLS_SENT);
        text[n] = 'x';
        buf_done(&out);
    }
}

static void test_starttls_step__imap_and_pop3(void **state)
{
    (void)state;
    play(&starttls_imap, (const struct turn[]){{"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", 0,
                                                STARTTLS_SENT, "a STARTTLS\r\n"},
                                               {"* CAPABILITY x\r\na OK begin\r\n", 0, STARTTLS_READY, NULL},
                                               {0}});
    play(&starttls_imap, (const struct turn[]){{"* OK\r\n", 0, STARTTLS_SENT, "a STARTTLS\r\n"},
                                               {"a BAD no\r\n", 0, STARTTLS_REFUSED, NULL},
                                               {0}});
    play(&starttls_imap, (const struct turn[]){{"* BYE busy\r\n", 0, STARTTLS_REFUSED, NULL}, {0}});
    play(&starttls_pop3, (const struct turn[]){{"+OK ready\r\n", 0, STARTTLS_SENT, "STLS\r\n"},
                                               {"+OK begin\r\n", 0, STARTTLS_READY, NULL},
                                               {0}});
    play(&starttls_pop3, (const struct turn[]){{"+OK ready\r\n", 0, STARTTLS_SENT, "STLS\r\n"},
                                               {"-ERR no\r\n", 0, STARTTLS_REFUSED, NULL},
                                               {0}});
}

static void test_starttls_step__ldap(void **state)
{
    (void)state;
    static const char *const request = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
                                       "1.3.6.1.4.1.1466.20037";
    play(&starttls_ldap, (const struct turn[]){{NULL, 0, STARTTLS_SENT, request},
                                               {"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
                                                14, STARTTLS_READY, NULL},
                                               {0}});
    /* Lengths as Active Directory writes them */
    play(&starttls_ldap, (const struct turn[]){
                             {NULL, 0, STARTTLS_SENT, request},
                             {"\x30\x84\0\0\0\x10\x02\x01\x01\x78\x84\0\0\0\x07\x0a\x01\x00\x04\x00\x04\x00",
                              22, STARTTLS_READY, NULL},
                             {0}});
    play(&starttls_ldap, (const struct turn[]){{NULL, 0, STARTTLS_SENT, request},
                                               {"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00",
                                                14, STARTTLS_REFUSED, NULL},
                                               {0}});
    play(&starttls_ldap, (const struct turn[]){{NULL, 0, STARTTLS_SENT, request},
                                               {"HTTP/1.1 400", 0, STARTTLS_FOREIGN, NULL},
                                               {0}});
}

static void test_starttls_step__databases(void **state)
{
    (void)state;
    struct buf out;
    size_t used = 0;
    const char *hint = NULL;
    buf_init(&out, 64);
    assert_int_equal(starttls_postgres.step(0, (struct slice){0}, &used, NULL, &out, &hint), STARTTLS_SENT);
    assert_memory_equal(out.p, "\0\0\0\x08\x04\xd2\x16\x2f", 8);
    buf_reset(&out);
    assert_int_equal(starttls_postgres.step(1, SLICE_LIT("S"), &used, NULL, &out, &hint), STARTTLS_READY);
    assert_int_equal(starttls_postgres.step(1, SLICE_LIT("N"), &used, NULL, &out, &hint), STARTTLS_REFUSED);
    assert_int_equal(starttls_postgres.step(1, SLICE_LIT("H"), &used, NULL, &out, &hint), STARTTLS_FOREIGN);

    static const char greeting[] = "\x1c\0\0\0\x0a"
                                   "8.0.36\0"
                                   "\x01\0\0\0"
                                   "12345678\0"
                                   "\xff\xff\x21\x02\0";
    struct slice said = slice_of(greeting, 4 + 28);
    for (size_t n = 0; n < said.n; n++)
        assert_int_equal(starttls_mysql.step(0, slice_of(said.p, n), &used, NULL, &out, &hint),
                         STARTTLS_MORE);
    assert_int_equal(starttls_mysql.step(0, said, &used, NULL, &out, &hint), STARTTLS_READY);
    assert_int_equal(used, said.n);
    assert_int_equal(out.n, 36);
    buf_done(&out);
}

static void test_starttls_step__xmpp(void **state)
{
    (void)state;
    static const char
        *const open = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
                      "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='www.example.org'>",
               *const ask = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    play(&starttls_xmpp, (const struct turn[]){
                             {NULL, 0, STARTTLS_SENT, open},
                             {"<stream:stream id='1'><stream:features><starttls "
                              "xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
                              0, STARTTLS_SENT, ask},
                             {"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", 0, STARTTLS_READY, NULL},
                             {0}});
    play(&starttls_xmpp, (const struct turn[]){{NULL, 0, STARTTLS_SENT, open},
                                               {"<stream:stream><stream:features></stream:features>", 0,
                                                STARTTLS_REFUSED, NULL},
                                               {0}});
}

static void test_starttls_find(void **state)
{
    (void)state;
    for (size_t i = 0; starttls_protocols[i]; i++)
        assert_ptr_equal(starttls_find(starttls_protocols[i]->name), starttls_protocols[i]);
    assert_null(starttls_find("gopher"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starttls_step__smtp),
        cmocka_unit_test(test_starttls_step__long_line),
        cmocka_unit_test(test_starttls_step__imap_and_pop3),
        cmocka_unit_test(test_starttls_step__ldap),
        cmocka_unit_test(test_starttls_step__databases),
        cmocka_unit_test(test_starttls_step__xmpp),
        cmocka_unit_test(test_starttls_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
