/* Text is fit for a terminal and JSON is JSON, whatever went in.
 * Dictionary: der
 * Parser: x509/print.c x509/print_object.c x509/print_ext.c */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "der/builder.h"
#include "x509/cert.h"
#include "x509/print.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(struct slice in)
{
    struct buf out;
    struct diag d = {0};
    buf_init(&out, 1 << 22);
    if (x509_print_any(&out, in, &d) == TM_OK) {
        struct slice s = buf_slice(&out);
        if (!utf8_valid(s))
            abort();
        for (size_t i = 0; i < s.n; i++)
            if ((s.p[i] < 0x20 && s.p[i] != '\n') || s.p[i] == 0x7f)
                abort();
    }
    buf_reset(&out);
    if (x509_print_any_json(&out, in, &d) == TM_OK) {
        json_error_t err;
        json_t *v = json_loadb((const char *)out.p, out.n, JSON_ALLOW_NUL, &err);
        if (!v)
            abort();
        json_decref(v);
    }
    buf_done(&out);
}

/* The rest of the input as the value of one extension of a certificate, so that layouts are reached without a certificate around. */
static struct slice certificate_around(struct arena *a, enum oid id, struct slice value)
{
    static const uint8_t name[] = {0x30, 0x00}, alg[] = {0x30, 0x03, 0x06, 0x01, 0x2a},
                         spki[] = {0x30, 0x09, 0x30, 0x03, 0x06, 0x01, 0x2a, 0x03, 0x02, 0x00, 0x01};
    struct ext ext = {.id = id, .oid = oid_contents(id), .critical = value.n & 1, .value = value};
    struct tbs_cert t = {.serial = SLICE_LIT("\x01"),
                         .sigalg = SLICE_ARR(alg),
                         .issuer = SLICE_ARR(name),
                         .subject = SLICE_ARR(name),
                         .spki = SLICE_ARR(spki),
                         .exts = &ext,
                         .n_exts = 1};
    struct buf tbs, der;
    struct slice s = {0};
    buf_init(&tbs, CERT_DER_MAX);
    buf_init(&der, CERT_DER_MAX);
    if (tbs_cert_build(&tbs, &t, NULL) == TM_OK &&
        signed_assemble(&der, buf_slice(&tbs), t.sigalg, SLICE_LIT("s")) == TM_OK &&
        arena_copy(&s, a, buf_slice(&der)) != TM_OK)
        s = (struct slice){0};
    buf_done(&tbs);
    buf_done(&der);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    if (!a)
        return 0;
    /* Neither DER nor text begins with these: the extension of that place in the table, and its value. */
    if (size > 2 && data[0] >= 0xc0)
        print(certificate_around(a, (enum oid)(((data[0] & 0x3fu) << 8 | data[1]) % OID_COUNT),
                                 slice_of(data + 2, size - 2)));
    else
        print(slice_of(data, size));
    arena_free(a);
    return 0;
}
