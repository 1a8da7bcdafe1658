/* docs/profile-reference.md, written from the schema. */
#include "base/buf.h"
#include "policy/profile.h"
#include "policy/profile_doc.h"
#include "policy/template.h"
#include <stdio.h>
#include <string.h>

static const char head[] =
    "# Profile reference\n\n"
    "A profile says what a certificate of a kind looks like and who may have one. It is a YAML document; everything but `kind`,\n"
    "`name` and the lifetime has a default. Keys that are not listed here are errors. This page is generated from the\n"
    "schema in `src/policy/profile_schema.c`.\n\n"
    "```yaml\n"
    "kind: Profile\n"
    "name: printers\n"
    "authority: issuing-ca\n"
    "lifetime: {default: 180d}\n"
    "san:\n"
    "  allow:\n"
    "    dns: {suffixes: [print.example.org]}\n"
    "usage:\n"
    "  eku: [serverAuth]\n"
    "```\n\n"
    "Durations are a number and a unit: `s`, `m`, `h`, `d`, `w`, `y` (365 days). Try a profile on a request with\n"
    "`touchmark profile test --csr FILE`, which explains the decision rule by rule and issues nothing.\n";

static const char placeholders[] =
    "\n## Placeholders\n\n"
    "In `subject.template`, `san.template` and `extensions.custom[].template`. `{a|b}` takes the first that has a value. Where\n"
    "none has, the whole attribute, name or extension is left out (and the request is refused if it is required).\n\n"
    "| placeholder | value |\n|---|---|\n"
    "| `{csr.ATTR}` | attribute of the requested subject |\n"
    "| `{caller.ATTR}` | attribute of the client certificate that was shown |\n"
    "| `{san.dns}`, `{san.ip}`, `{san.uri}`, `{san.email}` | first requested name of the type |\n"
    "| `{device.id}`, `{device.serial}`, `{device.model}`, `{device.vendor}`, `{device.owner}`, `{device.place}` | the registered "
    "device |\n"
    "| `{token.id}`, `{token.cn}` | the enrollment token, and the common name that it allows |\n"
    "| `{tenant}`, `{profile}` | names of these |\n\n";

static const char order[] =
    "\n## Order of the extensions\n\n"
    "Always: basicConstraints, keyUsage, extKeyUsage, subjectKeyIdentifier, authorityKeyIdentifier, subjectAltName,\n"
    "certificatePolicies, cRLDistributionPoints, authorityInfoAccess, noRevAvail, tlsFeature, then `extensions.custom` and\n"
    "`extensions.allow-requested` in the order in which the profile lists them. Alternative names: the template's, the\n"
    "device's, the requested ones in their order, the common name; each once.\n";

static const char *kind_text(const struct json_field *f)
{
    switch (f->kind) {
    case JSON_K_INT:
        return "number";
    case JSON_K_BOOL:
        return "true or false";
    case JSON_K_ENUM:
        return "one of";
    case JSON_K_DURATION:
        return "duration";
    case JSON_K_TIME:
        return "date";
    case JSON_K_STRINGS:
        return "list of texts";
    case JSON_K_ENUMS:
        return "list of";
    case JSON_K_OBJECTS:
        return "list of objects";
    case JSON_K_OBJECT:
        return "object";
    default:
        return "text";
    }
}

/* A cell of a table: the bar would end it. */
static void put_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_putc(out, '\\');
        buf_putc(out, (uint8_t)*text);
    }
}

static void put_row(struct buf *out, const struct json_field *f, const char *path)
{
    buf_printf(out, "| `%s%s` | %s", path, f->key, kind_text(f));
    for (size_t i = 0; f->names && f->names[i]; i++)
        buf_printf(out, "%s`%s`", i ? ", " : " ", f->names[i]);
    buf_puts(out, " | ");
    if (f->required)
        buf_puts(out, "required");
    else if (f->def && *f->def)
        buf_printf(out, "`%s`", f->def);
    buf_puts(out, " | ");
    put_cell(out, f->doc);
    buf_puts(out, " |\n");
}

static void put_table(struct buf *out, const struct json_field *schema, const char *path)
{
    for (const struct json_field *f = schema; f->key; f++) {
        put_row(out, f, path);
        if (f->sub) {
            char inner[128];
            snprintf(inner, sizeof inner, "%s%s%s", path, f->key, f->kind == JSON_K_OBJECTS ? "[]." : ".");
            put_table(out, f->sub, inner);
        }
    }
}

void profile_reference(struct buf *out)
{
    static const char columns[] = "| key | type | default | meaning |\n|---|---|---|---|\n";
    buf_puts(out, head);
    buf_puts(out, "\n## Heading\n\n");
    buf_puts(out, columns);
    for (const struct json_field *f = profile_schema; f->key; f++)
        if (!f->sub)
            put_row(out, f, "");
    for (const struct json_field *f = profile_schema; f->key; f++) {
        if (!f->sub)
            continue;
        buf_printf(out, "\n## %s\n\n%c%s.\n\n", f->key, f->doc[0] - ('a' - 'A'), f->doc + 1);
        buf_puts(out, columns);
        char path[64];
        snprintf(path, sizeof path, "%s.", f->key);
        put_table(out, f->sub, path);
    }
    buf_puts(out, placeholders);
    buf_puts(out, "Attributes: ");
    for (size_t i = 0; i < attr_table_n; i++)
        buf_printf(out, "%s`%s`", i ? ", " : "", attr_table[i].name);
    buf_puts(out, ".\n");
    buf_puts(out, order);
}
