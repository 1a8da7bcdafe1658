/* inventory/formats/container.h - files that hold certificates, whatever their format: what is in them, without the keys.
 *
 * Layer 5, pure, any thread. One file a format, each with one descriptor in one table; which one it is, is told by content. Private keys are counted
 * and left where they are: none is ever decrypted or kept. What can't be read is left out with a reason; the rest is taken. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
struct arena;

enum {
    CONTAINER_OCTETS_MAX = 32 << 20, /* of a file */
    CONTAINER_CERTS_MAX = 20000,
    CONTAINER_CHAIN_MAX = 16,
    CONTAINER_REFUSALS_MAX = 100, /* that are told; all are counted */
    CONTAINER_ALIAS_MAX = 200
};

/* Certificates that belong together: one, and what came with it as its issuers. */
struct container_item {
    const char *
        alias; /* how the container calls it, or something that stays the same while its certificate does; "" it is the only one */
    const struct slice *chain; /* DER, or what stood in its place; leaf first */
    size_t n_chain;
    bool has_key; /* its private key stands beside it */
};
struct container_refusal {
    const char *where, *why;
};

struct container {
    const char *format; /* "pem" … */
    const char *note; /* what else is to be said, e.g. that its integrity could not be verified; "" nothing */
    struct container_item *items;
    size_t n_items, certs;
    size_t keys; /* private and secret keys that were passed over */
    struct container_refusal refusals[CONTAINER_REFUSALS_MAX];
    size_t refused; /* how many, also those that have no room above */
    struct arena *arena;
};

struct container_input {
    struct slice bytes; /* stays while the container is used */
    const char *form;   /* of this format; NULL or "": tell by content */
    bool has_password;
    struct slice password; /* UTF-8 */
};

/* TM_ENOTFOUND: nothing in it is of any known format. TM_ELOCKED: it needs a password, or another one. TM_EMALFORMED, TM_ETOOBIG,
 * TM_EUNSUPPORTED, TM_EINVAL (there is no such form). *ret is to be done with after TM_OK alone. */
tm_err container_read(struct container *ret, const struct container_input *in, struct diag *diag);
void container_done(struct container *c);
/* Could it be one of the formats? Cheap, for walks through files: `head` is the beginning of a file of `size` octets. */
bool container_likely(struct slice head, size_t size);
/* "pem, der, …": the formats' names. */
const char *container_forms(void);

/* ---- for the formats ---- */

struct container_out;
struct cert_format {
    const char *name, *title;
    /* Is it this one? The whole file. */
    bool (*looks)(struct slice bytes);
    tm_err (*read)(struct container_out *o, const struct container_input *in, struct diag *diag);
};
extern const struct cert_format
    *const cert_formats[]; /* NULL-terminated, in the order in which they are tried */

/* For what a format makes of its input; lives as long as the container. */
struct arena *container_arena(struct container_out *o);
/* A new item, to which container_put() adds. `alias` is cut and made printable. */
tm_err container_begin(struct container_out *o, const char *alias, bool has_key);
tm_err container_put(struct container_out *o, struct slice der);
/* One of a row of certificates without names: the issuer of the one before goes into its item, else it is a new one. */
tm_err container_loose(struct container_out *o, struct slice der);
void container_saw_key(struct container_out *o);
[[gnu::format(printf, 3, 4)]] void container_refuse(struct container_out *o, const char *where,
                                                    const char *fmt, ...);
void container_note(struct container_out *o, const char *note);
/* One text as another format holds it: PEM, or base64 of PEM or DER. `alias` names it. */
tm_err container_text(struct container_out *o, const char *alias, struct slice text);
/* PEM blocks; *ret_n grows by the certificates there were. `alias` is what the first is called; "" none of them has a name. */
tm_err container_pem(struct container_out *o, const char *alias, struct slice text, size_t *ret_n);
/* Certificates of a CMS or PKCS#7 message. */
tm_err container_pkcs7(struct container_out *o, struct slice ber, struct diag *diag);
/* A row of a table or an object of a list. Is this the name of the member that holds the certificate, or of one that says what it is called? */
bool container_is_cert_column(struct slice name);
bool container_is_name_column(struct slice name);
