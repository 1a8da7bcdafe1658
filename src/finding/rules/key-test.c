#include "base/arena.h"
#include "finding/rules/rules.h"
#include <string.h>

/* Names that programs and vendors give to certificates which come with them: their private keys are in the package, or were never meant to leave
 * a test bench. */
static const char *const marks[] = {
    "do not trust",          "do not ship",        "kubernetes ingress controller fake certificate",
    "traefik default cert",  "snakeoil",           "internet widgits pty ltd",
    "default company ltd",   "some-state",         "acme co",
    "testing certificate",   "test certificate",   "example corp test",
    "default certificate",   "fake le ",           "(staging)",
    "localhost.localdomain", "sample certificate", "changeme",
};

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->row || f->row->source == CERT_ISSUED)
        return false;
    char *subject = arena_strdup(f->arena, f->row->subject),
         *issuer = arena_strdup(f->arena, f->row->authority);
    if (!subject || !issuer)
        return false;
    for (char *s = subject; *s; s++)
        *s = *s >= 'A' && *s <= 'Z' ? (char)(*s + 32) : *s;
    for (char *s = issuer; *s; s++)
        *s = *s >= 'A' && *s <= 'Z' ? (char)(*s + 32) : *s;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        bool in_subject = strstr(subject, marks[i]) != NULL;
        if (!in_subject && !strstr(issuer, marks[i]))
            continue;
        found_text(out, "mark", marks[i]);
        found_text(out, "in", in_subject ? "subject" : "issuer");
        return found_say(
            out, FINDING_HIGH,
            "its %s says \"%s\": it came with a product or is for tests, and others have its key",
            in_subject ? "subject" : "issuer", marks[i]);
    }
    return false;
}

const struct finding_rule finding_key_test = {
    .id = "key.test",
    .title = "a default or vendor's test certificate",
    .severity = FINDING_HIGH,
    .flags = FINDING_BY_BYTES,
    .true_when =
        "Subject or issuer of a certificate that was not issued here bears the name of one that comes with a product or a test "
        "bench (snakeoil, \"Internet Widgits Pty Ltd\", \"DO NOT TRUST\" …).",
    .remedy = "Put a certificate of your own in its place, with a key made on that machine.",
    .controls = (const char *const[]){"NIST CSF 2.0 PR.AA-01", "PCI DSS 4.0.1 2.2.2", "IEC 62443-4-2 CR 1.5",
                                      "ETSI EN 303 645 5.1-1", NULL},
    .broken = broken,
};
