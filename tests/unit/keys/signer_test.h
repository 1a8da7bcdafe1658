/* What the tests of a running signer share: its start over the scratch directory's keys, and what a server asks it for. */
#pragma once
#include "keys/signer.h"
#include "keys_test.h"

[[maybe_unused]] static char test_passphrase_file[96];

[[maybe_unused]] static void test_write_passphrase(const char *text)
{
    snprintf(test_passphrase_file, sizeof test_passphrase_file, "%s.pass", test_dir);
    FILE *f = fopen(test_passphrase_file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

[[maybe_unused]] static struct signer *test_signer_start(bool in_process)
{
    struct signer *s = NULL;
    struct diag diag = {0};
    struct secret pass = test_passphrase("pass");
    struct signer_config c = {.key_dir = test_dir,
                              .passphrase = &pass,
                              .passphrase_file = test_passphrase_file[0] ? test_passphrase_file : NULL,
                              .program = "/proc/self/exe",
                              .in_process = in_process};
    tm_err err = signer_start(&s, &c, &diag);
    if (err != TM_OK)
        print_error("%s: %s\n", tm_err_name(err), diag.message);
    assert_ok(err);
    secret_done(&pass);
    return s;
}

/* One operation, in the test's arena. */
[[maybe_unused]] static struct sign_op *test_ask(struct signer *s, enum sign_kind kind, const char *key_id,
                                                 struct slice tbs)
{
    struct sign_op *op = arena_calloc(test_arena, 1, sizeof *op);
    assert_non_null(op);
    op->kind = kind;
    op->key_id = key_id;
    op->tbs = tbs;
    TM_IGNORE(signer_sign(s, op));
    return op;
}

/* First in main(): the program is its own signer. */
[[maybe_unused]] static void test_signer_program(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], SIGNER_ARGUMENT) == 0)
        signer_program();
}
