/* EnvelopedData as BER from outside; each recipient's certificate is recognised, and no other.
 * Dictionary: der
 * Parser: x509/cms/enveloped.c */
#include "base/arena.h"
#include "der/ber.h"
#include "der/reader.h"
#include "x509/cert.h"
#include "x509/cms/enveloped.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST_KEY_ID = 100 };

/* The certificate that a recipient names by its key, and one that lacks the name. */
static void by_key_id(const struct enveloped_recipient *r)
{
    static struct cert named, other;
    uint8_t ski[LONGEST_KEY_ID + 2] = {DER_OCTET_STRING, (uint8_t)r->key_id.n};
    if (r->key_id.n > LONGEST_KEY_ID)
        return;
    if (r->key_id.n)
        memcpy(ski + 2, r->key_id.p, r->key_id.n);
    named = (struct cert){.serial = r->serial};
    named.exts.v[named.exts.n++] = (struct ext){.id = OID_EXT_SKI, .value = slice_of(ski, 2 + r->key_id.n)};
    if (enveloped_recipient_is(r, &named) != (r->key_id.n > 0) || enveloped_recipient_is(r, &other))
        abort();
}

static void by_issuer(const struct enveloped_recipient *r)
{
    static struct cert c;
    c = (struct cert){.issuer = r->issuer, .serial = r->serial};
    if (!enveloped_recipient_is(r, &c))
        abort();
    c.serial = SLICE_LIT("the number of another certificate");
    if (!slice_eq(r->serial, c.serial) && enveloped_recipient_is(r, &c))
        abort();
    c.issuer = (struct slice){0};
    if (enveloped_recipient_is(r, &c))
        abort();
}

/* In DER it says the same. */
static void again(const struct enveloped_data *d, struct arena *a, struct slice ber)
{
    static struct enveloped_data e;
    struct slice der;
    if (ber_normalize(&der, a, ber, ENVELOPED_DATA_MAX, NULL) != TM_OK ||
        enveloped_data_parse(&e, a, der, NULL) != TM_OK || e.n_recipients != d->n_recipients ||
        !slice_eq(e.content_type, d->content_type) || !slice_eq(e.encrypted, d->encrypted))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(8 << 20);
    static struct enveloped_data d;
    struct diag diag = {0};
    if (!a)
        return 0;
    if (enveloped_data_parse(&d, a, slice_of(data, size), &diag) == TM_OK) {
        if (d.n_recipients > ENVELOPED_RECIPIENTS_MAX || d.encrypted.n > size)
            abort();
        for (size_t i = 0; i < d.n_recipients && i < ENVELOPED_RECIPIENTS_MAX; i++) {
            const struct enveloped_recipient *r = &d.recipients[i];
            if (r->encrypted_key.n > size || (r->issuer.n && r->key_id.n))
                abort();
            if (r->issuer.n)
                by_issuer(r);
            else
                by_key_id(r);
        }
        again(&d, a, slice_of(data, size));
    } else if (diag.message[0] == '\0') {
        abort();
    }
    arena_free(a);
    return 0;
}
