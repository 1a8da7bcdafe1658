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

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

/* As words of their own: "Acme Co" is not in "Acme Cooling", nor "test certificate" in "latest certificates". */
static bool says(const char *name, const char *mark)
{
    size_t n = strlen(mark);
    for (size_t i = 0; name[i]; i++) {
        size_t k = 0;
        while (k < n && lower(name[i + k]) == mark[k])
            k++;
        bool begins = i == 0 || !is_word(lower(name[i - 1])) || !is_word(mark[0]),
             ends = k < n || !is_word(lower(name[i + n])) || !is_word(mark[n - 1]);
        if (k == n && begins && ends)
            return true;
    }
    return false;
}

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->row || f->row->source == CERT_ISSUED)
        return false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        bool in_subject = says(f->row->subject, marks[i]);
        if (!in_subject && !says(f->row->authority, marks[i]))
            continue;
        found_text(out, "mark", marks[i]);
        found_text(out, "in", in_subject ? "subject" : "issuer");
        return found_say(
            out, FINDING_HIGH,
            "its %s says \"%s\", as certificates do that come with a product or were made for tests: others may have its key",
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
        "Subject or issuer of a certificate that was not issued here bears as words of their own what stands in one that comes with a product or a "
        "test bench (snakeoil, \"Internet Widgits Pty Ltd\", \"DO NOT TRUST\" …).",
    .remedy = "Put a certificate of your own in its place, with a key made on that machine.",
    .controls = (const char *const[]){"NIST CSF 2.0 PR.AA-01", "PCI DSS 4.0.1 2.2.2", "IEC 62443-4-2 CR 1.5",
                                      "ETSI EN 303 645 5.1-1", NULL},
    .broken = broken,
};
