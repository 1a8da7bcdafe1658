/* finding/facts.h - what rules look at: everything known about one certificate, or about one place, gathered before they are asked.
 *
 * Layer 5. The facts are plain data and borrow from the gatherer's arena and catalog; absent things are zero. */
#pragma once
#include "finding/finding.h"
#include "issue/issuer.h"
#include "keys/pubkey.h"
#include "keys/quality.h"
#include "x509/cert.h"
struct device_row;
struct profile;

enum { FINDING_HOLDERS_MAX = 8, FINDING_CHAIN_MAX = 10, FINDING_SERVER_AUTH = 1, FINDING_CLIENT_AUTH = 2 };

/* A place as its name says. */
struct finding_place {
    const char *text;   /* "tls:192.0.2.1:443/www.example.org" */
    const char *scheme; /* "tls" */
    const char *host;   /* "192.0.2.1", "www.example.org"; of files and agents the machine; "" none */
    const char *name;   /* the server name by which it is reached; "" none */
    bool server;        /* it answers as a TLS server */
    bool file;          /* the certificate lies there; whether anything uses it is not known */
    bool has_key;       /* of a file: the key lies there, too */
    bool on_record;     /* a log, an import, an authority's list: nobody uses what these have */
    bool host_is_address;
    const char *via;
    int64_t first, last; /* unix ms */
    bool answers;        /* it had a certificate when it was last looked at */
    bool met;            /* it does, and is no record, and was looked at lately */
};
/* False for a text that names no place. */
bool finding_place_parse(struct finding_place *ret, struct arena *a, const char *text);

struct finding_facts {
    int64_t now; /* unix seconds */
    struct arena *arena;

    /* the certificate; of a place its leaf */
    const struct cert_row *row; /* NULL: a place without one */
    bool live;                  /* neither ended nor revoked */
    const struct cert *cert;    /* NULL: it is not kept, or does not parse */
    const char *name;           /* for people */
    struct general_names names;
    struct pubkey_info key;
    bool key_known; /* `key` says which */
    struct key_quality quality;
    bool is_ca, wildcard;
    unsigned purposes; /* FINDING_SERVER_AUTH … as extendedKeyUsage says; 0 without one */
    bool has_purposes;
    enum issuer_class issuer;
    const struct authority *authority; /* the issuer, where it is one of ours; NULL */
    bool issuer_is_root;               /* it is known to be signed by a root */
    bool known_ca;  /* is_ca: one of ours or one that somebody here named, or a public one */
    bool house_own; /* made by the house for itself: it renews that */
    const struct profile *profile;
    bool profile_for_devices;
    const char *owner; /* "" nobody's */

    /* its renewal */
    bool automatic;                /* it came through a protocol whose clients renew */
    int64_t renew_from, renew_end; /* the window, unix seconds; 0: none */
    bool successor;                /* asked for where it matters */

    /* others */
    const char
        *holders[FINDING_HOLDERS_MAX]; /* devices of the same key; the first of them is in this certificate */
    size_t n_holders;
    bool first_of_key; /* no older certificate of the key lives */
    uint8_t oldest_of_key[CERT_SERIAL_LEN];
    const char *shares_with; /* id of a certificate whose RSA key has a prime in common; NULL none */
    const char *seen_at; /* a place where it was met lately, rather one that uses it than a file; NULL none */
    bool seen_in_file;   /* that is a file */
    int64_t seen_last;   /* when it was, unix seconds */
    size_t n_hosts;      /* how many machines have it, as far as is known; CENSUS_HOSTS_MAX + 1: more */

    /* the place; NULL of a certificate */
    const struct finding_place *place;
    const struct device_row *place_device; /* the device that the place's host is; NULL none */
    size_t n_chain;                        /* as it was sent, the leaf counted */
    struct cert chain[FINDING_CHAIN_MAX];  /* those that are known */
    size_t n_known;
    bool chain_ends; /* from the leaf to what a root signed, nothing is missing */
    bool chain_told; /* enough is known to say so */
};

struct gatherer;
/* Facts come from the house as it is now; `diag` is where errors are told until the next call says otherwise. */
tm_err gatherer_new(struct gatherer **ret, struct house *h, tenant_id tenant, struct diag *diag);
void gatherer_free(struct gatherer *g);
/* Forget the facts handed out. */
void gatherer_reset(struct gatherer *g);

/* `deep`: also what costs a look at the octets of the key; `key_twice`: others may have the same key. Facts stay until gatherer_reset(). */
tm_err gather_cert(struct finding_facts *ret, struct gatherer *g, const struct cert_row *row, bool deep,
                   bool key_twice, struct diag *diag);
tm_err gather_place(struct finding_facts *ret, struct gatherer *g, const struct object_row *place,
                    struct diag *diag);
