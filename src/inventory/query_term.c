/* One term of a query as a test. To add a field, add a row to `fields`. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "inventory/query.h"
#include "x509/crl.h"
#include "x509/general_name.h"
#include <arpa/inet.h>
#include <string.h>

enum { DAY_S = 86400, NUMBER_MAX = 100000, SERIAL_LEAST = 2, FINGERPRINT_LEN = 32 };

/* What a term is made with. */
struct making {
    struct arena *a;
    const struct query_term *t;
    const struct query_env *env;
    struct diag *diag;
};

struct field {
    const char *name;
    tm_err (*make)(struct cert_test *ret, const struct making *m, const struct query_word *w, int what);
    int what;
    bool lists;
};

/* ---- tests ---- */

static tm_err refuse(const struct making *m, const struct query_word *w, const char *what)
{
    if (m->diag)
        m->diag->offset = w->at;
    return diag_fail(m->diag, TM_EINVAL, NULL, "query", "at character %zu: \"%.40s\": %s", w->at + 1, w->text,
                     what);
}

static struct cert_test range_test(enum cert_column column, int64_t from, int64_t to)
{
    return (struct cert_test){.kind = CERT_TEST_RANGE, .column = column, .from = from, .to = to};
}

static struct cert_test text_test(enum cert_column column, const char *text, bool stars)
{
    return (struct cert_test){.kind = CERT_TEST_TEXT, .column = column, .text = text, .stars = stars};
}

static struct cert_test key_test(enum cert_key_kind kind, struct slice value)
{
    return (struct cert_test){.kind = CERT_TEST_KEY, .key = {.kind = kind, .value = value}};
}

/* Several as one. */
static tm_err group(struct cert_test *ret, const struct making *m, enum cert_test_kind kind,
                    const struct cert_test *v, size_t n)
{
    struct cert_test *parts = arena_calloc(m->a, n, sizeof *parts);
    if (!parts)
        return arena_err(m->a);
    memcpy(parts, v, n * sizeof *v);
    *ret = (struct cert_test){.kind = kind, .parts = parts, .n = n};
    return TM_OK;
}

static bool has_stars(const struct query_word *w)
{
    return !w->quoted && strchr(w->text, '*') != NULL;
}

static bool is_any(const struct query_word *w)
{
    return !w->quoted && strcmp(w->text, "*") == 0;
}

static bool same(const char *a, const char *b)
{
    return slice_caseeq(slice_str(a), slice_str(b));
}

/* ---- times ---- */

/* "30d": a number and h, d, w, m (30 days) or y (365 days). */
static bool span_read(int64_t *ret, const char *text)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = {{'h', 3600}, {'d', DAY_S}, {'w', 7 * DAY_S}, {'m', 30 * DAY_S}, {'y', 365 * (int64_t)DAY_S}};
    int64_t n = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9' && n <= NUMBER_MAX; i++)
        n = n * 10 + (text[i] - '0');
    if (i == 0 || n > NUMBER_MAX || !text[i] || text[i + 1])
        return false;
    for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
        if (units[k].unit == (text[i] | 0x20)) {
            *ret = n * units[k].s;
            return true;
        }
    }
    return false;
}

/* "2026", "2026-12", "2026-12-24" or an instant: its first second and the one after its last. */
static bool date_read(int64_t *from, int64_t *to, const char *text)
{
    int v[3] = {0, 1, 1}, parts = 0;
    size_t i = 0;
    if (strchr(text, 'T') || strchr(text, 't')) {
        *to = clock_parse_rfc3339(from, slice_str(text)) == TM_OK ? *from + 1 : 0;
        return *to != 0;
    }
    for (; parts < 3; parts++) {
        size_t digits = 0;
        v[parts] = 0;
        for (; text[i] >= '0' && text[i] <= '9' && digits < 4; i++, digits++)
            v[parts] = v[parts] * 10 + (text[i] - '0');
        if (digits != (parts ? 2 : 4))
            return false;
        if (text[i] != '-')
            break;
        i++;
    }
    if (text[i] || parts == 3)
        return false;
    struct civil_time c = {.year = v[0], .month = v[1], .day = v[2]}, next = c;
    if (civil_to_unix(from, &c) != TM_OK)
        return false;
    if (parts == 2) {
        *to = *from + DAY_S;
        return true;
    }
    if (parts == 1 && ++next.month > 12) {
        next.month = 1;
        next.year++;
    }
    next.year += parts == 0;
    if (civil_to_unix(to, &next) != TM_OK)
        *to = TM_TIME_NEVER + 1; /* the last year there is */
    return true;
}

/* A point in time that is said: before it, from it on, or within it. */
static tm_err dated(struct cert_test *ret, const struct making *m, enum cert_column column, int64_t from,
                    int64_t to)
{
    switch (m->t->op) {
    case QUERY_LESS:
        *ret = range_test(column, INT64_MIN, from - 1);
        break;
    case QUERY_AT_MOST:
        *ret = range_test(column, INT64_MIN, to - 1);
        break;
    case QUERY_MORE:
        *ret = range_test(column, to, INT64_MAX);
        break;
    case QUERY_AT_LEAST:
        *ret = range_test(column, from, INT64_MAX);
        break;
    default:
        *ret = range_test(column, from, to - 1);
    }
    return TM_OK;
}

static tm_err time_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    enum cert_column column = (enum cert_column)what;
    int64_t now = m->env->now, span, from, to;
    bool less = m->t->op == QUERY_LESS || m->t->op == QUERY_AT_MOST, ahead = column == CERT_COLUMN_EXPIRES;
    if (same(w->text, "never") && ahead && m->t->op == QUERY_IS) {
        *ret = range_test(column, TM_TIME_NEVER, TM_TIME_NEVER);
    } else if (same(w->text, "today")) {
        from = now - ((now % DAY_S) + DAY_S) % DAY_S;
        return dated(ret, m, column, from, from + DAY_S);
    } else if (span_read(&span, w->text)) {
        if (m->t->op == QUERY_IS)
            return refuse(m, w,
                          ahead ? "write expires<30d, expires>30d or expires:2026-12"
                                : "write issued<7d (since 7 days), issued>7d (before) or issued:2026-12");
        /* Ahead: within that time from now, or later. Back: not longer ago, or longer. */
        if (ahead)
            *ret = less ? range_test(column, now, now + span) : range_test(column, now + span + 1, INT64_MAX);
        else
            *ret = less ? range_test(column, now - span, INT64_MAX)
                        : range_test(column, INT64_MIN, now - span - 1);
    } else if (date_read(&from, &to, w->text)) {
        return dated(ret, m, column, from, to);
    } else {
        return refuse(
            m, w,
            "a time is 30d, 12h, 6w, 3m (months), 1y, 2026, 2026-12, 2026-12-24, today or an instant such as "
            "2026-12-24T18:00:00Z");
    }
    return TM_OK;
}

/* `lifetime:90d`: to the half unit, since some count the first second and some do not, and clocks are allowed for. */
static tm_err lifetime_make(struct cert_test *ret, const struct making *m, const struct query_word *w,
                            int what)
{
    int64_t span;
    (void)what;
    if (!span_read(&span, w->text))
        return refuse(m, w, "a lifetime is a number and h, d, w, m (months) or y: lifetime>398d");
    int64_t slack = span >= 2 * DAY_S ? DAY_S / 2 : 1800;
    if (m->t->op == QUERY_IS)
        *ret = range_test(CERT_COLUMN_LIFETIME, span - slack, span + slack);
    else
        return dated(ret, m, CERT_COLUMN_LIFETIME, span, span + 1);
    return TM_OK;
}

/* ---- texts ---- */

static tm_err profile_make(struct cert_test *ret, const struct making *m, const struct query_word *w,
                           int what)
{
    (void)m;
    *ret = text_test((enum cert_column)what, w->text, has_stars(w));
    return TM_OK;
}

/* As it stands in a name (RFC 4514 2.4). */
static const char *escaped(struct arena *a, const char *value)
{
    char *out = arena_alloc(a, 2 * strlen(value) + 1);
    size_t n = 0;
    for (const char *p = value; out && *p; p++) {
        if (strchr(",+\"\\<>;", *p))
            out[n++] = '\\';
        out[n++] = *p;
    }
    if (out)
        out[n] = '\0';
    return out;
}

/* An authority's name, a foreign issuer's whole name, or the value of one attribute in that. */
static tm_err issuer_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    (void)what;
    if (has_stars(w) || strchr(w->text, '*')) {
        *ret = text_test(CERT_COLUMN_AUTHORITY, w->text, has_stars(w));
        return TM_OK;
    }
    const char *value = escaped(m->a, w->text);
    if (!value)
        return arena_err(m->a);
    const struct cert_test v[] = {
        text_test(CERT_COLUMN_AUTHORITY, w->text, false),
        text_test(CERT_COLUMN_AUTHORITY, arena_printf(m->a, "*=%s", value), true),
        text_test(CERT_COLUMN_AUTHORITY, arena_printf(m->a, "*=%s,*", value), true),
    };
    return v[1].text && v[2].text ? group(ret, m, CERT_TEST_ANY, v, 3) : arena_err(m->a);
}

/* How people call keys, as the columns have them. */
static const struct {
    const char *said, *names[4];
} key_families[] = {
    {"rsa", {"rsa*"}},
    {"ec", {"p192", "p256", "p384", "p521"}},
    {"ecdsa", {"p192", "p256", "p384", "p521"}},
    {"ecc", {"p192", "p256", "p384", "p521"}},
    {"secp256r1", {"p256"}},
    {"prime256v1", {"p256"}},
    {"secp384r1", {"p384"}},
    {"secp521r1", {"p521"}},
    {"eddsa", {"ed25519", "ed448"}},
    {"mldsa", {"ml-dsa-*"}},
    {"slhdsa", {"slh-dsa-*"}},
    {"mldsa44", {"ml-dsa-44"}},
    {"mldsa65", {"ml-dsa-65"}},
    {"mldsa87", {"ml-dsa-87"}},
    {"pq", {"ml-dsa-*", "slh-dsa-*"}},
    {"dsa", {"dsa*"}},
};

static tm_err key_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    (void)what;
    char *plain = arena_strdup(m->a, w->text);
    size_t n = 0;
    if (!plain)
        return arena_err(m->a);
    for (const char *p = w->text; *p; p++)
        if (*p != '-' && *p != '_' && *p != ' ')
            plain[n++] = *p;
    plain[n] = '\0';
    for (size_t i = 0; i < sizeof key_families / sizeof *key_families; i++) {
        if (!same(plain, key_families[i].said))
            continue;
        struct cert_test v[4];
        size_t k = 0;
        for (; k < 4 && key_families[i].names[k]; k++)
            v[k] = text_test(CERT_COLUMN_KEY, key_families[i].names[k],
                             strchr(key_families[i].names[k], '*') != NULL);
        return group(ret, m, CERT_TEST_ANY, v, k);
    }
    const struct cert_test v[] = {text_test(CERT_COLUMN_KEY, w->text, has_stars(w)),
                                  text_test(CERT_COLUMN_KEY, plain, has_stars(w))};
    return group(ret, m, CERT_TEST_ANY, v, 2);
}

/* The whole name or a part of it: "sha1" is in "rsa-sha1" and "ecdsa-sha1". */
static tm_err signature_make(struct cert_test *ret, const struct making *m, const struct query_word *w,
                             int what)
{
    (void)what;
    if (has_stars(w)) {
        *ret = text_test(CERT_COLUMN_SIGNATURE, w->text, true);
        return TM_OK;
    }
    const struct cert_test v[] = {
        text_test(CERT_COLUMN_SIGNATURE, w->text, false),
        text_test(CERT_COLUMN_SIGNATURE, arena_printf(m->a, "%s-*", w->text), true),
        text_test(CERT_COLUMN_SIGNATURE, arena_printf(m->a, "*-%s", w->text), true),
        text_test(CERT_COLUMN_SIGNATURE, arena_printf(m->a, "*-%s-*", w->text), true),
    };
    return v[1].text && v[2].text && v[3].text ? group(ret, m, CERT_TEST_ANY, v, 4) : arena_err(m->a);
}

/* ---- words ---- */

static tm_err source_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    static const char *const names[] = {"issued", "imported", "discovered"};
    (void)what;
    for (int i = 0; i < 3; i++) {
        if (same(w->text, names[i])) {
            *ret = range_test(CERT_COLUMN_SOURCE, i, i);
            return TM_OK;
        }
    }
    return refuse(m, w, "a source is issued, imported or discovered");
}

static tm_err status_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    int64_t now = m->env->now;
    (void)what;
    const struct cert_test live = range_test(CERT_COLUMN_REASON, -1, -1);
    if (same(w->text, "all"))
        *ret = (struct cert_test){.kind = CERT_TEST_ALL};
    else if (same(w->text, "revoked"))
        *ret = range_test(CERT_COLUMN_REASON, 0, CRL_AA_COMPROMISE);
    else if (same(w->text, "on-hold") || same(w->text, "hold"))
        *ret = range_test(CERT_COLUMN_REASON, CRL_CERTIFICATE_HOLD, CRL_CERTIFICATE_HOLD);
    else if (same(w->text, "valid") || same(w->text, "expired")) {
        const struct cert_test v[] = {same(w->text, "valid")
                                          ? range_test(CERT_COLUMN_EXPIRES, now, INT64_MAX)
                                          : range_test(CERT_COLUMN_EXPIRES, INT64_MIN, now - 1),
                                      live};
        return group(ret, m, CERT_TEST_ALL, v, 2);
    } else
        return refuse(m, w, "a status is valid, expired, revoked, on-hold or all");
    return TM_OK;
}

static tm_err class_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    const struct cert_test own = range_test(CERT_COLUMN_SOURCE, CERT_ISSUED, CERT_ISSUED),
                           foreign = range_test(CERT_COLUMN_SOURCE, CERT_IMPORTED, CERT_DISCOVERED),
                           ca = {.kind = CERT_TEST_FLAGS, .flags = CERT_FLAG_CA},
                           self = {.kind = CERT_TEST_FLAGS, .flags = CERT_FLAG_SELF_SIGNED};
    (void)what;
    if (same(w->text, "own"))
        *ret = own;
    else if (same(w->text, "foreign"))
        *ret = foreign;
    else if (same(w->text, "ca"))
        *ret = ca;
    else if (same(w->text, "self-signed"))
        *ret = self;
    else if (same(w->text, "leaf")) {
        TM_TRY(group(ret, m, CERT_TEST_NOT, &ca, 1));
    } else
        return refuse(m, w, "a class is own, foreign, self-signed, ca or leaf");
    return TM_OK;
}

/* ---- look-ups ---- */

static tm_err device_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    (void)what;
    if (is_any(w))
        *ret = range_test(CERT_COLUMN_DEVICE, 1, 1);
    else if (same(w->text, "none") && !w->quoted)
        *ret = range_test(CERT_COLUMN_DEVICE, 0, 0);
    else if (has_stars(w))
        return refuse(m, w, "a device is looked up by its whole id; device:* is any, device:none is none");
    else
        *ret = key_test(CERT_KEY_DEVICE, slice_str(w->text));
    return TM_OK;
}

/* Hex as openssl and browsers show it: with colons, in capitals. */
static bool hex_read(struct slice *ret, struct arena *a, const char *text)
{
    char *plain = arena_strdup(a, text);
    size_t n = 0;
    for (const char *p = text; plain && *p; p++)
        if (*p != ':' && *p != ' ')
            plain[n++] = *p;
    return plain && n && hex_decode(ret, a, slice_of(plain, n)) == TM_OK;
}

static tm_err hex_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    struct slice octets;
    bool hash = what != CERT_KEY_FOREIGN_SERIAL;
    if (!hex_read(&octets, m->a, w->text) || (hash && octets.n != FINGERPRINT_LEN))
        return refuse(m, w, hash ? "must be a SHA-256 in hexadecimal, 64 digits" : "must be hexadecimal");
    while (!hash && octets.n > 1 && octets.p[0] == 0)
        octets = slice_sub(octets, 1, octets.n - 1);
    *ret = key_test((enum cert_key_kind)what, octets);
    return TM_OK;
}

static tm_err name_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    enum cert_key_kind kind = (enum cert_key_kind)what;
    (void)m;
    *ret = key_test(kind, slice_str(w->text));
    if (has_stars(w))
        *ret =
            (struct cert_test){.kind = CERT_TEST_NAME, .key = {.kind = kind}, .text = w->text, .stars = true};
    return TM_OK;
}

/* The index knows an address in one form. */
static const char *san_text(struct arena *a, const char *kind, const char *value)
{
    uint8_t octets[16];
    char text[INET6_ADDRSTRLEN];
    if (strcmp(kind, "ip") == 0) {
        int family = strchr(value, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(family, value, octets) == 1 && inet_ntop(family, octets, text, sizeof text))
            value = arena_strdup(a, text);
    }
    return value ? arena_printf(a, "%s:%s", kind, value) : NULL;
}

enum san_kind { SAN_DNS, SAN_IP, SAN_EMAIL, SAN_URI, SAN_ANY };
static const char *const san_kinds[] = {"dns", "ip", "email", "uri"};

static const char *guess_kind(const char *text)
{
    uint8_t octets[16];
    if (inet_pton(AF_INET, text, octets) == 1 || inet_pton(AF_INET6, text, octets) == 1)
        return "ip";
    return strchr(text, '@') ? "email" : strchr(text, ':') ? "uri" : "dns";
}

static tm_err san_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    const char *text = w->text, *kind = what == SAN_ANY ? guess_kind(w->text) : san_kinds[what];
    for (int i = 0; what == SAN_ANY && i < SAN_ANY; i++) {
        size_t n = strlen(san_kinds[i]);
        if (text[0] && slice_caseeq(slice_sub(slice_str(text), 0, n), slice_str(san_kinds[i])) &&
            text[n] == ':') {
            kind = san_kinds[i];
            text += n + 1;
            break;
        }
    }
    if (what == SAN_ANY && has_stars(w))
        text = text == w->text ? arena_printf(m->a, "*%s", text) : arena_printf(m->a, "%s:%s", kind, text);
    else
        text = san_text(m->a, kind, text);
    if (!text)
        return arena_err(m->a);
    *ret = key_test(CERT_KEY_SAN, slice_str(text));
    if (has_stars(w))
        *ret = (struct cert_test){
            .kind = CERT_TEST_NAME, .key = {.kind = CERT_KEY_SAN}, .text = text, .stars = true};
    return TM_OK;
}

/* ---- what no certificate says ---- */

static tm_err owned_make(struct cert_test *ret, const struct making *m, const struct query_word *w, int what)
{
    if (!m->env->owned)
        return refuse(m, w, "owners can't be asked for here");
    return m->env->owned(m->env->arg, (enum owned_field)what, is_any(w) ? "" : w->text, has_stars(w), m->a,
                         ret, m->diag);
}

/* ---- words alone: whatever they may be ---- */

static tm_err words_make(struct cert_test *ret, const struct making *m, const struct query_word *w)
{
    struct cert_test v[6];
    struct slice octets;
    size_t n = 0;
    if (is_any(w)) {
        *ret = (struct cert_test){.kind = CERT_TEST_ALL};
        return TM_OK;
    }
    if (strchr(w->text, '=') && !strchr(w->text, ':')) {
        TM_TRY(name_make(&v[n++], m, w, CERT_KEY_SUBJECT));
    } else {
        TM_TRY(san_make(&v[n++], m, w, SAN_ANY));
        TM_TRY(name_make(&v[n++], m, w, CERT_KEY_CN));
        if (!has_stars(w))
            v[n++] = key_test(CERT_KEY_DEVICE, slice_str(w->text));
    }
    if (!has_stars(w) && hex_read(&octets, m->a, w->text)) {
        if (octets.n == FINGERPRINT_LEN) {
            v[n++] = key_test(CERT_KEY_FINGERPRINT, octets);
            v[n++] = key_test(CERT_KEY_SPKI, octets);
        } else if (octets.n >= SERIAL_LEAST) {
            v[n++] = key_test(CERT_KEY_FOREIGN_SERIAL, octets);
        }
    }
    return group(ret, m, CERT_TEST_ANY, v, n);
}

/* ---- the fields ---- */

static const struct field fields[] = {
    {"issuer", issuer_make, 0, true},
    {"authority", issuer_make, 0, true},
    {"profile", profile_make, CERT_COLUMN_PROFILE, true},
    {"source", source_make, 0, true},
    {"status", status_make, 0, true},
    {"state", status_make, 0, true},
    {"class", class_make, 0, true},
    {"key", key_make, 0, true},
    {"signature", signature_make, 0, true},
    {"expires", time_make, CERT_COLUMN_EXPIRES, false},
    {"issued", time_make, CERT_COLUMN_ISSUED, false},
    {"added", time_make, CERT_COLUMN_ADDED, false},
    {"lifetime", lifetime_make, 0, false},
    {"subject", name_make, CERT_KEY_SUBJECT, false},
    {"cn", name_make, CERT_KEY_CN, false},
    {"dns", san_make, SAN_DNS, true},
    {"ip", san_make, SAN_IP, true},
    {"email", san_make, SAN_EMAIL, true},
    {"uri", san_make, SAN_URI, false},
    {"san", san_make, SAN_ANY, false},
    {"serial", hex_make, CERT_KEY_FOREIGN_SERIAL, true},
    {"fingerprint", hex_make, CERT_KEY_FINGERPRINT, true},
    {"spki", hex_make, CERT_KEY_SPKI, true},
    {"device", device_make, 0, true},
    {"owner", owned_make, OWNED_OWNER, true},
    {"technical", owned_make, OWNED_TECHNICAL, true},
    {"place", owned_make, OWNED_PLACE, true},
    {"service", owned_make, OWNED_SERVICE, true},
    {"criticality", owned_make, OWNED_CRITICALITY, true},
    {"tag", owned_make, OWNED_TAG, true},
};

static const struct field *field_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

bool query_field_lists(const char *field)
{
    const struct field *f = field_find(field);
    return f && f->lists;
}

bool query_field_known(const char *field)
{
    return field_find(field) != NULL;
}

static bool is_time(const struct field *f)
{
    return f->make == time_make || f->make == lifetime_make;
}

tm_err query_term_test(struct cert_test *ret, struct arena *a, const struct query_term *t,
                       const struct query_env *env, struct diag *diag)
{
    const struct making m = {.a = a, .t = t, .env = env, .diag = diag};
    if (!t->field)
        return words_make(ret, &m, &t->values[0]);
    const struct field *f = field_find(t->field);
    struct query_word name = {.text = t->field, .at = t->at};
    if (!f)
        return refuse(
            &m, &name,
            "there is no such field; there are issuer, profile, subject, cn, dns, ip, email, uri, san, serial, "
            "fingerprint, spki, device, owner, place, source, status, class, key, signature, expires, issued, "
            "lifetime, …");
    if (t->op != QUERY_IS && !is_time(f))
        return refuse(&m, &name,
                      "only times are compared (expires, issued, added, lifetime); write field:value");
    struct cert_test *v = arena_calloc(a, t->n, sizeof *v);
    if (!v)
        return arena_err(a);
    for (size_t i = 0; i < t->n; i++)
        TM_TRY(f->make(&v[i], &m, &t->values[i], f->what));
    *ret = t->n == 1 ? v[0] : (struct cert_test){.kind = CERT_TEST_ANY, .parts = v, .n = t->n};
    return TM_OK;
}
