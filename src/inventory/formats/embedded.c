/* Certificates as values in YAML and JSON: kubeconfig's "…-certificate-data", Kubernetes secrets, settings of all kinds. Base64 of PEM, or PEM that is indented
 * or has its line ends escaped. The text is not parsed: a value is known by how it begins, its name by what stands before it. */
#include "base/arena.h"
#include "base/text.h"
#include "inventory/formats/formats.h"

enum { NAME_MAX_OCTETS = 100, GAP_MAX = 64 };

#define MARK_PEM    SLICE_LIT("-----BEGIN ")
#define MARK_END    SLICE_LIT("-----END ")
#define MARK_BASE64 SLICE_LIT("LS0tLS1CRUdJTi") /* base64 of "-----BEGIN" */

/* PEM at the beginning of a line is a file of its own, not a value. */
static bool is_value(struct slice text, size_t at)
{
    return at > 0 && text.p[at - 1] != '\n' && text.p[at - 1] != '\r';
}

static bool looks(struct slice bytes)
{
    if (container_find(bytes, 0, MARK_BASE64) < bytes.n)
        return true;
    for (size_t at = container_find(bytes, 0, MARK_PEM); at < bytes.n;
         at = container_find(bytes, at + 1, MARK_PEM))
        if (is_value(bytes, at))
            return true;
    return false;
}

static bool is_name(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* "name: value", "name": "value", or a block under "name: |"; empty where there is no such thing. */
static struct slice name_before(struct slice text, size_t at)
{
    size_t i = at, end;
    for (size_t gap = 0; i > 0 && gap < GAP_MAX; gap++, i--) {
        uint8_t c = text.p[i - 1];
        if (!is_blank(c) && c != '"' && c != '\'' && c != '|' && c != '>' && c != '=')
            break;
    }
    if (i == 0 || text.p[i - 1] != ':')
        return (struct slice){0};
    i--;
    if (i > 0 && (text.p[i - 1] == '"' || text.p[i - 1] == '\''))
        i--;
    for (end = i; i > 0 && end - i < NAME_MAX_OCTETS && is_name(text.p[i - 1]); i--)
        ;
    return slice_of(text.p + i, end - i);
}

/* Where base64 that begins here ends; it may go on in further lines that have nothing else. */
static size_t base64_end(struct slice text, size_t at)
{
    size_t i = at;
    while (i < text.n) {
        uint8_t c = text.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
            c == '/') {
            i++;
            continue;
        }
        while (i < text.n && text.p[i] == '=')
            i++;
        if (c == '=' || !is_blank(c))
            return i;
        size_t next = i, word;
        while (next < text.n && is_blank(text.p[next]))
            next++;
        for (word = next;
             word < text.n && (is_name(text.p[word]) || text.p[word] == '+' || text.p[word] == '/');)
            word++;
        while (word < text.n && text.p[word] == '=')
            word++;
        /* A line that ends behind the word is the value's; a name has its colon there. */
        bool whole = word > next && (word == text.n || text.p[word] == '\n' || text.p[word] == '\r');
        if (!whole)
            return i;
        i = next;
    }
    return i;
}

/* "\n" and "\r" written with a backslash, as JSON has them. */
static tm_err unescape(struct slice *ret, struct arena *a, struct slice text)
{
    uint8_t *out = arena_alloc(a, text.n + 1);
    size_t n = 0;
    if (!out)
        return arena_err(a);
    for (size_t i = 0; i < text.n; i++) {
        bool escaped = text.p[i] == '\\' && i + 1 < text.n;
        uint8_t next = escaped ? text.p[i + 1] : 0;
        if (escaped && (next == 'n' || next == 'r')) {
            out[n++] = '\n';
            i++;
        } else if (!escaped || next != '\\') {
            out[n++] = escaped && next == '/' ? '/' : text.p[i];
            i += escaped && next == '/';
        }
    }
    *ret = slice_of(out, n);
    return TM_OK;
}

/* From the first BEGIN to the END behind which no other BEGIN stands near: a chain is one value. */
static size_t pem_end(struct slice text, size_t at)
{
    for (;;) {
        size_t end = container_find(text, at + 1, MARK_END), tail;
        if (end == text.n)
            return at + MARK_PEM.n;
        for (tail = end + MARK_END.n; tail + 5 <= text.n && tail < end + NAME_MAX_OCTETS; tail++)
            if (slice_eq(slice_sub(text, tail, 5), SLICE_LIT("-----")))
                break;
        tail = tail + 5 < text.n ? tail + 5 : text.n;
        size_t next = container_find(slice_sub(text, 0, tail + GAP_MAX), tail, MARK_PEM);
        size_t limit = tail + GAP_MAX < text.n ? tail + GAP_MAX : text.n;
        for (size_t i = tail; i < next && next < limit; i++) /* nothing but line ends between the two */
            if (!is_blank(text.p[i]) && text.p[i] != '\\' && text.p[i] != 'n' && text.p[i] != 'r')
                next = limit;
        if (next >= limit)
            return tail;
        at = next;
    }
}

static tm_err take_value(struct container_out *o, struct slice text, size_t at, bool pem, size_t *ret_end)
{
    struct arena *a = container_arena(o);
    struct slice name = name_before(text, at), value;
    const char *alias = arena_strndup(a, (const char *)name.p, name.n);
    size_t n = 0;
    if (!alias)
        return arena_err(a);
    *ret_end = pem ? pem_end(text, at) : base64_end(text, at);
    value = slice_sub(text, at, *ret_end - at);
    if (!pem)
        return container_text(o, alias, value);
    TM_TRY(unescape(&value, a, value));
    return container_pem(o, alias, value, &n);
}

static tm_err read(struct container_out *o, const struct container_input *in, struct diag *diag)
{
    struct slice text = in->bytes;
    (void)diag;
    size_t pem = container_find(text, 0, MARK_PEM), base64 = container_find(text, 0, MARK_BASE64);
    while (pem < text.n || base64 < text.n) {
        bool is_pem = pem < base64;
        if (is_pem && container_find(text, pem, MARK_END) == text.n) {
            container_refuse(o, "", "a PEM block without an end");
            pem = text.n;
            continue;
        }
        size_t end = text.n;
        TM_TRY(take_value(o, text, is_pem ? pem : base64, is_pem, &end));
        if (pem < end)
            pem = container_find(text, end, MARK_PEM);
        if (base64 < end)
            base64 = container_find(text, end, MARK_BASE64);
    }
    return TM_OK;
}

const struct cert_format embedded_format = {"yaml", "values in YAML or JSON (kubeconfig, secrets)", looks,
                                            read};
