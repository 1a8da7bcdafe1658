/* A test over one row that is in hand. */
#include "base/text.h"
#include "store/store.h"

bool cert_test_like(const struct cert_test *t, struct slice text)
{
    return t->stars ? stars_match(text, slice_str(t->text)) : slice_caseeq(text, slice_str(t->text));
}

static int64_t number_of(const struct cert_row *row, enum cert_column column)
{
    int64_t span = row->not_after - row->not_before;
    switch (column) {
    case CERT_COLUMN_EXPIRES:
        return row->not_after;
    case CERT_COLUMN_ISSUED:
        return row->source == CERT_ISSUED ? row->issued_at / 1000 : row->not_before;
    case CERT_COLUMN_ADDED:
        return row->issued_at / 1000;
    case CERT_COLUMN_LIFETIME:
        return span < 0 ? 0 : span > UINT32_MAX ? UINT32_MAX : span;
    case CERT_COLUMN_SOURCE:
        return row->source;
    case CERT_COLUMN_REASON:
        return row->revoked_at ? row->reason : -1;
    case CERT_COLUMN_DEVICE:
        return row->device[0] != '\0';
    default:
        return (int64_t)row->arrival;
    }
}

static const char *text_of(const struct cert_row *row, enum cert_column column)
{
    return column == CERT_COLUMN_AUTHORITY ? row->authority
           : column == CERT_COLUMN_PROFILE ? row->profile
           : column == CERT_COLUMN_KEY     ? row->key_alg
                                           : row->sig_alg;
}

/* As the index compares: texts without regard to capitals. A serial is that of any certificate, also of our own. */
static bool has_key(const struct cert_row *row, const struct cert_key *keys, size_t n,
                    const struct cert_key *wanted)
{
    switch (wanted->kind) {
    case CERT_KEY_FOREIGN_SERIAL:
        return slice_eq(SLICE_ARR(row->id), wanted->value) ||
               (row->serial.n && slice_eq(row->serial, wanted->value));
    case CERT_KEY_FINGERPRINT:
        return slice_eq(SLICE_ARR(row->fingerprint), wanted->value);
    case CERT_KEY_SUBJECT:
        return slice_caseeq(slice_str(row->subject), wanted->value);
    case CERT_KEY_DEVICE:
        return slice_caseeq(slice_str(row->device), wanted->value);
    default:
        break;
    }
    for (size_t i = 0; i < n; i++)
        if (keys[i].kind == wanted->kind &&
            (wanted->kind == CERT_KEY_SPKI ? slice_eq(keys[i].value, wanted->value)
                                           : slice_caseeq(keys[i].value, wanted->value)))
            return true;
    return false;
}

static bool has_name(const struct cert_row *row, const struct cert_key *keys, size_t n,
                     const struct cert_test *t)
{
    if (t->key.kind == CERT_KEY_SUBJECT)
        return cert_test_like(t, slice_str(row->subject));
    for (size_t i = 0; i < n; i++)
        if (keys[i].kind == t->key.kind && cert_test_like(t, keys[i].value))
            return true;
    return false;
}

static bool is_among(const struct cert_test *t, uint64_t arrival)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (t->arrivals[mid] < arrival)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->n && t->arrivals[lo] == arrival;
}

bool cert_test_passes(const struct cert_test *t, const struct cert_row *row, const struct cert_key *keys,
                      size_t n)
{
    int64_t v;
    switch (t->kind) {
    case CERT_TEST_NOT:
        return !cert_test_passes(&t->parts[0], row, keys, n);
    case CERT_TEST_ALL:
    case CERT_TEST_ANY:
        for (size_t i = 0; i < t->n; i++)
            if (cert_test_passes(&t->parts[i], row, keys, n) == (t->kind == CERT_TEST_ANY))
                return t->kind == CERT_TEST_ANY;
        return t->kind == CERT_TEST_ALL;
    case CERT_TEST_RANGE:
        v = number_of(row, t->column);
        return v >= t->from && v <= t->to;
    case CERT_TEST_TEXT:
        return cert_test_like(t, slice_str(text_of(row, t->column)));
    case CERT_TEST_FLAGS:
        return (row->flags & t->flags) == t->flags;
    case CERT_TEST_ROWS:
        return is_among(t, row->arrival);
    case CERT_TEST_KEY:
        return has_key(row, keys, n, &t->key);
    default:
        return has_name(row, keys, n, t);
    }
}

bool cert_test_asks_octets(const struct cert_test *t)
{
    if (t->kind == CERT_TEST_KEY || t->kind == CERT_TEST_NAME)
        return t->key.kind == CERT_KEY_CN || t->key.kind == CERT_KEY_SAN || t->key.kind == CERT_KEY_SPKI;
    bool branch = t->kind == CERT_TEST_ALL || t->kind == CERT_TEST_ANY || t->kind == CERT_TEST_NOT;
    for (size_t i = 0, n = t->kind == CERT_TEST_NOT ? 1 : t->n; branch && i < n; i++)
        if (cert_test_asks_octets(&t->parts[i]))
            return true;
    return false;
}
