#include "policy/lint.h"
#include "base/arena.h"
#include "base/buf.h"
#include "keys/alg.h"
#include "policy/decide.h"
#include "policy/lint/view.h"
#include <string.h>

const char *const lint_family_names[] = {"rfc5280", "br", "802.1ar", "touchmark", NULL};

const struct lint_rule *lint_rule_find(const char *id)
{
    for (const struct lint_rule *const *r = lint_rules; *r; r++)
        if (strcmp((*r)->id, id) == 0)
            return *r;
    return NULL;
}

static void report_add(struct lint_report *report, const struct lint_rule *rule, const char *detail)
{
    report->failed |= rule->severity == LINT_FAIL;
    if (report->n == LINT_FINDINGS_MAX)
        return;
    struct lint_finding *f = &report->v[report->n++];
    f->rule = rule;
    memcpy(f->detail, detail, sizeof f->detail);
}

void lint_run(struct lint_report *ret, const struct lint_subject *s, unsigned families)
{
    struct lint_view view;
    struct lint_subject with_view = *s;
    if (!s->view) {
        lint_view_make(&view, s);
        with_view.view = &view;
    }
    ret->n = 0;
    ret->failed = false;
    char detail[160];
    for (const struct lint_rule *const *r = lint_rules; *r; r++) {
        if (!((unsigned)(*r)->family & families))
            continue;
        detail[0] = '\0';
        if ((*r)->broken(&with_view, detail))
            report_add(ret, *r, detail);
    }
}

tm_err lint_plan(struct lint_report *ret, struct cert **ret_cert, struct arena *a, const struct plan *p,
                 struct slice tbs, unsigned families, int64_t now)
{
    static const uint8_t signature[1];
    const struct sig_alg_info *alg = sig_alg_info(p->sig_alg);
    struct cert *cert = arena_alloc(a, sizeof *cert);
    if (!cert)
        return TM_ENOMEM;
    if (!alg)
        return TM_EUNSUPPORTED;
    struct buf whole;
    struct slice der;
    buf_init(&whole, CERT_DER_MAX);
    tm_err err = signed_assemble(&whole, tbs, alg->algid, SLICE_ARR(signature));
    if (err == TM_OK)
        err = arena_copy(&der, a, buf_slice(&whole));
    buf_done(&whole);
    TM_TRY(err);
    TM_TRY(cert_parse(cert, der, NULL));
    const struct lint_subject s = {.cert = cert, .arena = a, .now = now};
    lint_run(ret, &s, families);
    *ret_cert = cert;
    return TM_OK;
}

static const char *family_title(enum lint_family family)
{
    switch (family) {
    case LINT_RFC5280:
        return "rfc5280: what every certificate must be";
    case LINT_BR:
        return "br: CA/Browser Forum baseline requirements, for profiles that ask for them";
    case LINT_8021AR:
        return "802.1ar: device identities (IEEE 802.1AR)";
    case LINT_TOUCHMARK:
        return "touchmark: the house's own";
    }
    return "";
}

void lint_reference(struct buf *out)
{
    buf_puts(
        out,
        "# Lint rules\n\n"
        "Each certificate is held against these rules in the moment before it is signed, over the very bytes that will be\n"
        "signed. A profile chooses its families under `lint.families`; a broken rule of severity fail stops the issue, unless\n"
        "the profile says `mode: warn`. One file a rule in `src/policy/lint/`. This page is generated from their table.\n");
    for (unsigned i = 0; lint_family_names[i]; i++) {
        enum lint_family family = (enum lint_family)(1U << i);
        buf_printf(out, "\n## %s\n\n| rule | severity | says | source |\n|---|---|---|---|\n",
                   family_title(family));
        for (const struct lint_rule *const *r = lint_rules; *r; r++)
            if ((*r)->family == family)
                buf_printf(out, "| `%s` | %s | %s | %s |\n", (*r)->id,
                           (*r)->severity == LINT_FAIL ? "fail" : "warn", (*r)->title, (*r)->source);
    }
}
