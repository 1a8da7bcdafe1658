#include "keys/signer_checkpoint.h"
#include "base/digest.h"
#include "register/merkle.h"
#include "register/note.h"

static size_t digits(const char *s)
{
    size_t n = 0;
    while (s[n] >= '0' && s[n] <= '9')
        n++;
    return n;
}

/* "<origin>", "<origin>/<number>", each perhaps with "#epoch-<number>" behind it. */
static bool origin_fits(const char *origin, const char *allowed)
{
    static const char epoch[] = "#epoch-";
    size_t n = strlen(allowed);
    if (n == 0 || strncmp(origin, allowed, n) != 0)
        return false;
    origin += n;
    if (origin[0] == '/') {
        size_t d = digits(origin + 1);
        if (d == 0 || d > 20)
            return false;
        origin += 1 + d;
    }
    if (strncmp(origin, epoch, sizeof epoch - 1) == 0) {
        size_t d = digits(origin + sizeof epoch - 1);
        if (d == 0 || d > 20)
            return false;
        origin += sizeof epoch - 1 + d;
    }
    return origin[0] == '\0';
}

static tm_err check_text(struct checkpoint *c, const struct envelope *env, struct arena *a, struct slice text,
                         struct diag *diag)
{
    if (!(env->allow & (1u << SIGN_CHECKPOINT)))
        return diag_fail(diag, TM_EDENIED, "envelope.allow", NULL, "key %s may not sign for \"checkpoint\"",
                         env->key_id);
    if (checkpoint_parse(c, a, text, diag) != TM_OK)
        return TM_EDENIED;
    if (!slice_eq(c->body, text))
        return diag_fail(diag, TM_EDENIED, "signer.checkpoint", NULL,
                         "only the body of a checkpoint is signed");
    if (!origin_fits(c->origin, env->origin))
        return diag_fail(diag, TM_EDENIED, "envelope.origin", "origin", "key %s does not sign for the log %s",
                         env->key_id, c->origin);
    return TM_OK;
}

/* The new tree must hold the old one. A refusal has the size that was signed last in diag->offset: after a crash between signature and
 * record, the register needs it to make the proof from there. */
static tm_err check_growth(const struct journal_log *last, const struct checkpoint *c, struct slice proof,
                           struct diag *diag)
{
    uint8_t empty[32];
    TM_TRY(merkle_empty_root(empty));
    if (diag)
        diag->offset = (size_t)last->size;
    if (c->size < last->size)
        return diag_fail(diag, TM_EDENIED, "signer.checkpoint", "size",
                         "the log had %llu entries already, now it shall have %llu",
                         (unsigned long long)last->size, (unsigned long long)c->size);
    bool extends = c->size == last->size
                       ? memcmp(c->root, last->root, 32) == 0
                       : merkle_verify_consistency(last->size, last->root, c->size, c->root, proof) == TM_OK;
    if (!extends || (c->size == 0 && memcmp(c->root, empty, 32) != 0))
        return diag_fail(diag, TM_EDENIED, "signer.checkpoint", "root",
                         "the log of %llu entries does not extend the one of %llu that was signed last",
                         (unsigned long long)c->size, (unsigned long long)last->size);
    return TM_OK;
}

tm_err checkpoint_sign(struct journal *j, struct key *key, enum sig_alg alg, const struct envelope *env,
                       struct arena *a, const struct proto_op *op, struct signer_entry *e, uint8_t *signature,
                       size_t *ret_n, uint8_t ret_chain[32], struct diag *diag)
{
    struct checkpoint c;
    struct journal_log log = {0};
    TM_TRY(check_text(&c, env, a, op->tbs, diag));
    TM_TRY(sha256(log.origin, slice_str(c.origin)));
    tm_err err = journal_checkpoint_begin(j, &log);
    if (err == TM_OK)
        err = check_growth(&log, &c, op->proof, diag);
    if (err == TM_OK && c.has_chain)
        err = journal_covers(j, c.chain_seq, c.chain_hash, diag);
    if (err == TM_OK)
        err = key_sign_raw(signature, ret_n, key, alg, op->tbs, e->tbs_hash, diag);
    if (err == TM_OK) {
        log.size = c.size;
        memcpy(log.root, c.root, sizeof log.root);
        err = journal_checkpoint_commit(j, &log, c.has_chain ? c.chain_seq : 0, e, ret_chain, diag);
    }
    journal_checkpoint_end(j);
    return err;
}
