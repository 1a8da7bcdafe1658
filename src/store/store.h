/* store/store.h - everything that lasts, behind one asynchronous interface.
 *
 * Layer 3. submit(operation, completion) for reads and writes alike, so that SQLite's threads and PostgreSQL's pipeline both fit behind it.
 * A write is a transaction: a list of effects that hold together or not at all. The committer takes whatever has been submitted and
 * commits it as one durable group; one bad member fails alone. A completion is posted only after the commit is durable.
 * Tenants are small numbers here (0: the house itself, 1: "default", …); the resource kind "Tenant" gives them names. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "base/task.h"
#include "x509/cert.h"
#include <stdbool.h>

struct arena;
struct store;

typedef uint32_t tenant_id;
enum { TENANT_HOUSE = 0, TENANT_DEFAULT = 1 };

/* ---- rows ------------------------------------------------------------------------------------------------------- */

enum cert_source { CERT_ISSUED, CERT_IMPORTED, CERT_DISCOVERED };

/* Look-up keys of the inventory. Text keys are compared after ASCII lower-casing. */
enum cert_key_kind {
    CERT_KEY_SUBJECT = 1, /* RFC 4514 text of the whole name */
    CERT_KEY_CN,          /* the common name alone */
    CERT_KEY_SAN, /* one a SAN: "dns:example.org", "ip:192.0.2.1", "uri:…", "email:…", "other:<oid>:<hex>" */
    CERT_KEY_FINGERPRINT, /* SHA-256 of the DER, 32 octets */
    CERT_KEY_SPKI, /* SHA-256 of the SPKI, 32 octets; of RSA keys also that of the modulus alone (cert_key_of_spki()) */
    CERT_KEY_DEVICE,         /* device id */
    CERT_KEY_FOREIGN_SERIAL, /* serial of an imported certificate */
};
struct cert_key {
    enum cert_key_kind kind;
    struct slice value;
};

enum cert_flag {
    CERT_FLAG_CA = 1,          /* basicConstraints says so */
    CERT_FLAG_SELF_SIGNED = 2, /* by its names and key identifiers */
};
struct cert_row {
    /* Of a row that was read: its number in the order in which the store's rows came, from 1. */
    uint64_t arrival;
    uint8_t id
        [CERT_SERIAL_LEN]; /* issued here: the serial. Imported: expiry/time prefix with the top bit set, random rest */
    enum cert_source source;
    struct slice serial;   /* as in the certificate (magnitude) */
    const char *authority; /* our authority's name, or the issuer's text for foreign ones */
    const char *profile;
    int64_t profile_version;
    const char *subject; /* RFC 4514 text */
    const char *device;  /* id; "" when none */
    const char *endpoint;
    int door;          /* enum door; of one that was not issued here: enum issuer_class of issue/issuer.h */
    int64_t issued_at; /* unix ms; of one that was not issued here: when it came in */
    int64_t not_before, not_after;
    uint8_t fingerprint[32], spki_hash[32];
    const char *key_alg, *sig_alg; /* x509/alg_name.h; "": not known (a row of before, without its DER) */
    unsigned flags;                /* enum cert_flag */
    int retention;                 /* enum retention of policy/profile.h */
    int64_t keep_until;            /* unix seconds: when retention may drop the row; TM_TIME_NEVER keeps it */
    struct slice der;              /* empty under minimal and metadata retention */
    /* status, joined from its own table */
    int64_t revoked_at; /* 0: not revoked */
    int reason;         /* enum crl_reason */
    int64_t
        invalid_since; /* unix seconds: since when it is known or suspected to be bad (invalidityDate); 0: not said */
    /* EFFECT_CERT_REVOKE and READ_REVOKED alone: the profile whose own revocation list the certificate names; "" or NULL: its authority's */
    const char *list;
};

struct device_row {
    const char *id; /* unique in the tenant: by default the serial number */
    const char *serial, *model, *vendor, *owner, *place, *batch;
    int state; /* enum device_state of policy/enrollment.h */
    const char *
        identifiers; /* JSON object of further identifiers: eui64, ueid, imei, urn, product-instance-uri, mac … */
    const char *tags;               /* JSON object of strings */
    int64_t created_at, updated_at; /* unix ms */
    int64_t version;
};

struct resource_row {
    const char *kind, *name; /* "Profile", "device-ldevid-1y" */
    struct slice json;       /* canonical */
    int64_t version;         /* 1, 2, … */
    int64_t updated_at;      /* unix ms */
    const char *updated_by;
    bool deleted;
};

/* One-time or limited enrollment secrets; only a hash of the secret is kept, or where it is needed again (MACs) it is sealed. */
struct token_row {
    const char *id;          /* public part */
    uint8_t secret_hash[32]; /* zero where `sealed` is there */
    struct slice sealed;     /* by the signer (issue/secrets.h); empty: none */
    const char *claims;      /* JSON: endpoint, profile, device, names */
    int64_t expires_at;      /* unix seconds */
    int64_t max_uses;        /* 1: one-time */
    int64_t uses;
    uint8_t bound_spki[32];              /* zero until first used */
    uint8_t bound_cert[CERT_SERIAL_LEN]; /* what it got */
    int64_t bound_at;
    const char *created_by;
    int64_t created_at;
    bool revoked;
};

struct event_row {
    uint64_t pos;        /* place in the tenant's log, from 0 */
    int64_t time;        /* unix ms */
    const char *type;    /* "certificate.issued", … */
    const char *subject; /* what it is about: "certificate/<hex>", "device/<id>", … */
    struct slice salt;   /* 16 octets; empty once erased */
    struct slice body;   /* canonical JSON; once erased, what register_event_stub() left of it */
    uint8_t leaf[32];    /* RFC 6962 leaf hash of the salted commitment */
};

/* A durable continuation: something that waits and that any node and any door can finish. */
struct continuation_row {
    const char *id;   /* opaque, unguessable */
    const char *kind; /* "enrollment" … */
    const char *
        key; /* what finds it again when the caller asks anew: e.g. hash of tenant, endpoint, caller and CSR */
    struct slice state;             /* JSON */
    const char *status;             /* "pending", "approved", "rejected", "done" */
    int64_t created_at, expires_at; /* unix seconds */
    int64_t version;
};

struct crl_row {
    const char *authority;
    const char *shard;   /* "full" … */
    struct slice number; /* magnitude */
    int64_t this_update, next_update;
    struct slice der;
    const char *
        file; /* its name, where it is too long for a row, and `der` is empty (status/crl_file.h); "" or NULL: it is in `der` */
    uint64_t size;   /* octets of the file */
    int64_t entries; /* -1: nobody has counted them */
};

struct checkpoint_row {
    uint64_t size;
    uint8_t root[32];
    struct slice note;  /* signed note text */
    int64_t time;       /* unix ms */
    uint64_t chain_seq; /* the signer's chain entry of this signature */
};

/* What a room keeps of its own: `state` is its JSON; the rest is what objects are found by. Where there may be many, ids begin with their time,
 * so that new ones go to the end of the tree. Numbers are for ever. */
enum object_kind {
    OBJECT_ACME_ACCOUNT = 1,
    OBJECT_ACME_ORDER,
    OBJECT_ACME_AUTHZ,
    OBJECT_RENEWAL_WINDOW,        /* issue/renewal.h; id: serial */
    OBJECT_ACME_STAR_CERT,        /* a certificate of an order that renews itself; id: serial */
    OBJECT_SCEP_TRANSACTION = 16, /* the SCEP door's, kept the same way; key: of its one-time challenge */
    OBJECT_REVOCATION,            /* jobs of status/revocation.h; key: of the request */
    OBJECT_REVOCATION_SERIALS,    /* their serials, packed; owner: the job */
    OBJECT_CMP_TRANSACTION = 24,  /* the CMP door's; due: its certificate is not confirmed */
    OBJECT_CMP_HOLD,              /* a certificate that its holder put on hold; id: serial, ref: when */
    OBJECT_ANSWER, /* a certificate that the inventory does not keep, for who asks once more for it; id: serial */
    OBJECT_INDEXED_BY_STATUS = 32, /* from here on (those of before change too often) */
    OBJECT_PLACE = 32,             /* inventory/place.h; key: its name, ref: the certificate there */
    OBJECT_CERT_NOTE = 33,         /* inventory/owner.h; id: of the certificate */
    OBJECT_VIEW = 35,              /* a saved query; id: its name, owner: who saved it */
    OBJECT_USER = 48,              /* src/identity: id: a principal's name, key: its handle */
    OBJECT_SESSION,                /* owner: the principal */
    OBJECT_CREDENTIAL,             /* a passkey; owner: the principal */
    OBJECT_INVITE,                 /* id: the principal */
    OBJECT_DEVICE_GRANT,       /* a login of the command line; id: hash of the device code, key: user code */
    OBJECT_PROVIDER_SECRET,    /* id: the identity provider's name */
    OBJECT_TOKEN_USE,          /* id: the API token's */
    OBJECT_DISCOVERY_RUN = 56, /* discover/run.h; owner: its Scan */
    OBJECT_FINDING =
        40, /* finding/finding.h; owner: its subject, key: whose it is; due: it was set aside until then */
    OBJECT_ALERT = 41,          /* alert/alert.h; owner: its subject, key: whose it is */
    OBJECT_ALERT_DELIVERY,      /* owner: the Notification; due: to be sent */
    OBJECT_NOTIFICATION_SECRET, /* id: the Notification's name; sealed */
};
struct object_row {
    tenant_id tenant; /* of a row that was read */
    enum object_kind kind;
    const char *id;
    const char *owner; /* what it belongs to, e.g. an order's account; "" nothing. It stays */
    const char *key;   /* e.g. of an account endpoint and key, of an order what it replaces; "" nothing */
    const char *ref;   /* e.g. of an order the serial of its certificate; "" nothing */
    int status;
    int64_t due_at;                 /* unix ms: when there is something to do; 0: nothing */
    int64_t created_at, keep_until; /* unix seconds; keep_until 0: for ever */
    int64_t version;
    struct slice state;
};

/* ---- writes ------------------------------------------------------------------------------------------------------ */

enum effect_kind {
    EFFECT_CERT_ADD,    /* cert + keys: append; the secondary index takes the keys */
    EFFECT_CERT_REVOKE, /* cert.id, cert.authority, cert.serial, revoked_at, reason, invalid_since; TM_ENOTFOUND; TM_ECONFLICT when revoked (hold may be changed) */
    EFFECT_CERT_UNREVOKE, /* only from certificateHold */
    EFFECT_EVENT,         /* event.type/subject/time/salt/body/leaf; pos is assigned and returned */
    EFFECT_RESOURCE_PUT, /* resource; expected_version: -1 any, 0 must not exist, n must be n; new version returned in resource.version */
    EFFECT_RESOURCE_DELETE,
    EFFECT_DEVICE_PUT, /* device; expected_version as above */
    EFFECT_TOKEN_ADD,
    EFFECT_TOKEN_USE, /* token.id, bound_spki, bound_cert: conditional: known (TM_ENOTFOUND), not expired at `now` (TM_EEXPIRED), not revoked
                             and, with max_uses 1, not bound to another key (TM_EFORBIDDEN), uses < max_uses (TM_EQUOTA). A token for
                             several uses is for several keys: it keeps the last one */
    EFFECT_TOKEN_REVOKE,
    EFFECT_TOKEN_SEAL,  /* token.id, sealed: takes the place of secret_hash, which becomes zero */
    EFFECT_QUOTA_TAKE,  /* quota: conditional: taken in the window < max; TM_EQUOTA */
    EFFECT_IDEMPOTENCY, /* idem key -> cert id; TM_ECONFLICT when it exists and is not over (the reader then answers with what it names) */
    EFFECT_CONTINUATION_PUT, /* expected_version as above */
    EFFECT_CRL_PUT, /* refuses a number that is not greater than the stored one, or an earlier thisUpdate: TM_ECONFLICT */
    EFFECT_CHECKPOINT_PUT, /* refuses a smaller size */
    EFFECT_TILE_PUT,
    EFFECT_META_PUT, /* small named values of the house: epoch, counters */
    EFFECT_EVENT_ERASE, /* event.pos: the salt becomes empty, the body what event.body says; the leaf stays; TM_ENOTFOUND */
    EFFECT_OBJECT_PUT, /* object.row; expected_version as above, new version returned in object.row.version; with object.unique TM_ECONFLICT
                             when another row has the same kind and key. Owner and created_at of a row stay what they were at first */
    EFFECT_OBJECT_DROP, /* object.row.kind and .id; expected_version as above; a row that is gone is no error */
};

struct effect {
    enum effect_kind kind;
    tenant_id tenant;
    int64_t expected_version;
    union {
        struct {
            struct cert_row row;
            const struct cert_key *keys;
            size_t n_keys;
        } cert;
        struct event_row event;
        struct resource_row resource;
        struct device_row device;
        struct {
            struct token_row row;
            int64_t now;
        } token;
        struct {
            const char *name; /* e.g. "profile/device-ldevid-1y" */
            int64_t window_start,
                window_end; /* unix seconds; the end, after which it is forgotten; 0: never */
            uint64_t max, take;
        } quota;
        struct {
            const char *key;
            uint8_t request_hash[32];
            uint8_t cert[CERT_SERIAL_LEN];
            int64_t expires_at;
        } idem;
        struct continuation_row continuation;
        struct crl_row crl;
        struct checkpoint_row checkpoint;
        struct {
            unsigned level;
            uint64_t index;
            struct slice hashes; /* 256 * 32 octets */
        } tile;
        struct {
            const char *name;
            struct slice value;
        } meta;
        struct {
            struct object_row row;
            bool unique;
        } object;
    } u;
};

/* All or nothing. Zero it, fill, submit; everything is borrowed until `done` is posted. */
struct store_txn {
    struct task done;
    struct executor *reply_to;
    struct effect *effects;
    size_t n;
    bool
        patient; /* nobody's request waits for it: it may wait some milliseconds for a commit that others need */
    /* answer */
    tm_err err;    /* TM_OK: durable */
    size_t failed; /* index of the effect that refused */
    struct diag diag;
    struct store_txn *next;
};

/* ---- questions about many certificates ---------------------------------------------------------------------------- */

/* What a driver knows of every certificate without reading its row. */
enum cert_column {
    CERT_COLUMN_EXPIRES,  /* notAfter, unix s */
    CERT_COLUMN_ISSUED,   /* unix s: when it was issued here; of others notBefore */
    CERT_COLUMN_ADDED,    /* unix s: since when the inventory has it */
    CERT_COLUMN_LIFETIME, /* s, notBefore to notAfter; beyond some 136 years all are one */
    CERT_COLUMN_SOURCE,   /* enum cert_source */
    CERT_COLUMN_REASON,   /* enum crl_reason; -1: not revoked */
    CERT_COLUMN_DEVICE,   /* 1: a device has it; 0 */
    CERT_COLUMN_ARRIVAL,  /* cert_row.arrival */
    /* texts */
    CERT_COLUMN_AUTHORITY,
    CERT_COLUMN_PROFILE,
    CERT_COLUMN_KEY,
    CERT_COLUMN_SIGNATURE,
    CERT_COLUMN_COUNT
};

enum cert_test_kind {
    CERT_TEST_ALL,   /* of parts; true without any */
    CERT_TEST_ANY,   /* of parts; false without any */
    CERT_TEST_NOT,   /* parts[0] */
    CERT_TEST_RANGE, /* a column that is a number: from..to, both inclusive */
    CERT_TEST_TEXT,  /* a column that is a text */
    CERT_TEST_FLAGS, /* all of these flags are set */
    CERT_TEST_KEY, /* has this look-up key, exactly: through the secondary index. A serial is that of any certificate, also of our own */
    CERT_TEST_NAME, /* has a name of key.kind (SUBJECT, CN, SAN) like `text`, an expression with stars; reads rows, so that what is
                        looked through in one read is bounded. Alternative names only where the DER is kept */
    CERT_TEST_ROWS, /* is one of `arrivals` */
};
struct cert_test {
    enum cert_test_kind kind;
    enum cert_column column;
    int64_t from, to;
    const char *text; /* compared after ASCII lower-casing */
    bool stars;       /* '*' in it stands for any run of characters */
    unsigned flags;
    struct cert_key key;
    const struct cert_test *parts;
    const uint64_t *arrivals; /* ascending */
    size_t n;                 /* of parts, or of arrivals */
};
/* Does a row pass that is in hand? `keys` as cert_keys_of_row() gives them, needed where cert_test_asks_octets(). */
bool cert_test_passes(const struct cert_test *t, const struct cert_row *row, const struct cert_key *keys,
                      size_t n_keys);
/* Does it ask for a key or a name that the row does not say, but the certificate? Where that is not kept only the index knows. */
bool cert_test_asks_octets(const struct cert_test *t);
/* Is the text like the test's? */
bool cert_test_like(const struct cert_test *t, struct slice text);
enum { CERT_TEST_DEPTH = 72, CERT_TEST_NODES = 16384 };

enum cert_order { CERT_NEWEST_FIRST, CERT_OLDEST_FIRST, CERT_EXPIRY_FIRST };
enum cert_group {
    CERT_GROUP_NONE, /* the number alone */
    CERT_GROUP_AUTHORITY,
    CERT_GROUP_PROFILE,
    CERT_GROUP_KEY,
    CERT_GROUP_SIGNATURE,
    CERT_GROUP_SOURCE,       /* value: enum cert_source */
    CERT_GROUP_STATUS,       /* value: enum cert_group_status, at `now` */
    CERT_GROUP_EXPIRY_DAY,   /* value: unix s at which the day begins (UTC) */
    CERT_GROUP_EXPIRY_WEEK,  /* the same of weeks, which begin on Monday */
    CERT_GROUP_EXPIRY_MONTH, /* the same */
    CERT_GROUP_ISSUED_DAY,   /* the same of CERT_COLUMN_ISSUED */
    CERT_GROUP_LIFETIME,     /* value: the least s of its class, see cert_lifetime_classes */
    CERT_GROUP_CLASS,        /* value: enum cert_group_class */
};
enum cert_group_status { CERT_STATUS_VALID, CERT_STATUS_EXPIRED, CERT_STATUS_REVOKED, CERT_STATUS_ON_HOLD };
enum cert_group_class {
    CERT_CLASS_OWN,
    CERT_CLASS_OWN_CA,
    CERT_CLASS_FOREIGN,
    CERT_CLASS_FOREIGN_CA,
    CERT_CLASS_SELF_SIGNED
};
/* 0, then the least of each class in s; ended by -1. */
extern const int64_t cert_lifetime_classes[];
struct cert_count {
    const char *text; /* of the groups by a text */
    int64_t value;    /* of the others */
    uint64_t n;
};

/* ---- reads ------------------------------------------------------------------------------------------------------- */

enum store_read_kind {
    READ_CERT,         /* by id */
    READ_CERTS_BY_KEY, /* exact look-up through the secondary index; newest first */
    READ_CERTS, /* page through the inventory by filter, ordered by id; goes on after `page_next` (rows that the filter passes over are
                            bounded, so that a page may be short or empty while there is more) */
    READ_CERTS_ARRIVED, /* in the order in which they came, those after the arrival pos_from (0: from the beginning), at most limit. Goes on at
                            pos_next, which is always set: who keeps it sees each row once. A page may be short or empty while there is
                            more, and a row that retention has dropped meanwhile is not seen. With limit 1 and pos_from UINT64_MAX: where
                            the order ends now */
    READ_CERTS_WHERE, /* those that pass `where`, in `order`; goes on after `page_next`. Knows what has been committed before it. A page may be
                            short or empty while there is more. TM_EUNAVAIL while what it looks through is being built */
    READ_CERTS_COUNTED, /* how many pass `where` (count), by `group` (counted, n). `more`: rows had to be read (CERT_TEST_NAME) and there
                            were too many; what is told is of those that could be */
    READ_REVOKED,   /* of one authority: unexpired at filter.not_after_from, ordered by id; der left out */
    READ_RESOURCE,  /* kind, name; version 0: newest; TM_ENOTFOUND (also when deleted) */
    READ_RESOURCES, /* kind ("" all); newest versions, deleted left out */
    READ_RESOURCE_HISTORY,
    READ_DEVICE,
    READ_DEVICES, /* by filter, ordered by id */
    READ_TOKEN,
    READ_TOKENS,
    READ_EVENTS, /* from pos_from, at most limit; optional type prefix (name) and subject (text); goes on at pos_next */
    READ_LEAVES,   /* leaf hashes only: [pos_from, pos_from+limit) */
    READ_LOG_SIZE, /* number of durable events of the tenant -> count */
    READ_IDEMPOTENCY,
    READ_CONTINUATION,  /* by id (name) or, with name NULL, by key (name2): the newest */
    READ_CONTINUATIONS, /* by status */
    READ_CRL,
    READ_CHECKPOINT,  /* newest, or the one of pos_from size */
    READ_CHECKPOINTS, /* ascending by size from pos_from */
    READ_TILE,
    READ_META,
    READ_COUNTS, /* certs, live, revoked, devices, events -> counts */
    READ_QUOTA,  /* name, window_start -> count */
    READ_OBJECT, /* object_kind, and id (name), key (name2, newest first) or ref (text, ordered by id; goes on after `page_next`); TM_ENOTFOUND */
    READ_OBJECTS, /* object_kind, ordered by id; goes on after `page_next`. With object_status only those, of kinds from OBJECT_INDEXED_BY_STATUS on */
    READ_OBJECTS_OWNED, /* object_kind, owner (name), ordered by id; goes on after `page_next` */
    READ_OBJECTS_DUE, /* every tenant's of object_kind with due_at <= window_start, earliest first; where there are more than fit, a few of each
                      owner, in turn: goes on after `page_next`. State left out */
    READ_OBJECTS_OLD, /* every tenant's with keep_until <= window_start, earliest first; state left out */
};

struct cert_filter {
    const char *authority, *profile, *device; /* NULL: any */
    int64_t not_after_from, not_after_to;     /* 0: open */
    int revoked;                              /* -1 any, 0 no, 1 yes */
    int source;                               /* -1 any */
};

struct store_read {
    struct task done;
    struct executor *reply_to;
    struct arena *arena; /* results live here */
    enum store_read_kind kind;
    tenant_id tenant;
    /* request */
    uint8_t id[CERT_SERIAL_LEN];
    struct cert_key key;
    struct cert_filter filter;
    const char *name, *name2; /* resource kind/name, device id, token id, meta name … */
    const char *text; /* devices: substring-free prefix of id; events: subject; continuations: status */
    int device_state; /* 0: any */
    const char *device_owner; /* NULL: whoever's; "": none */
    int64_t version;
    int64_t window_start;
    enum object_kind object_kind;
    int object_status; /* READ_OBJECTS; 0: any */
    unsigned level;
    uint64_t pos_from;
    struct slice after; /* page: continue after this id (cert id octets, or text) */
    size_t limit;       /* 0: 100; at most 10000 */
    bool with_der;
    /* READ_REVOKED: only those whose id and list pass, asked on the thread that reads; NULL: all. The others cost next to nothing. */
    bool (*keep)(const void *arg, const uint8_t id[CERT_SERIAL_LEN], const char *list);
    const void *keep_arg;
    const struct cert_test *where; /* NULL: all */
    enum cert_order order;
    enum cert_group group;
    int64_t now; /* for CERT_GROUP_STATUS */
    bool
        states_only; /* READ_CERTS(_ARRIVED): ids, serials, source, dates and states; texts and hashes may be left out, which spares half */
    /* answer */
    tm_err err;
    struct diag diag;
    size_t n;
    bool more;
    struct cert_row *certs;
    struct cert_count *counted; /* the largest first; of groups by time in their order */
    struct resource_row *resources;
    struct device_row *devices;
    struct token_row *tokens;
    struct event_row *events;
    uint8_t *leaves; /* n * 32 */
    struct continuation_row *continuations;
    struct crl_row crl;
    struct checkpoint_row *checkpoints;
    struct object_row *objects;
    struct slice value;
    struct slice page_next; /* what `after` is for the next page, while there is more */
    uint64_t pos_next;      /* events: the same for pos_from */
    uint64_t count;
    struct {
        uint64_t certs, revoked, devices, events, expired;
    } counts;
    struct {
        uint8_t cert[CERT_SERIAL_LEN];
        uint8_t request_hash[32];
    } idem;
    /* the driver's while the read is under way */
    struct store_read *next;
    struct store *store;
    void (*user_run)(struct task *t);
};

/* ---- the store --------------------------------------------------------------------------------------------------- */

struct store_config {
    const char *driver; /* "sqlite" */
    const char *path;   /* sqlite: directory for touchmark.db and index.db */
    bool create;        /* make it when absent */
    bool read_only;
    unsigned read_threads; /* 0: 2 */
    size_t group_max;      /* most transactions a commit; 0: 4096 */
    bool unsafe_async;     /* synchronous=OFF: for the test that shows that the torture can see it */
};

struct store_stats {
    uint64_t commits, txns, failed;
    uint64_t commit_us_max, commit_us_total;
    uint64_t queue; /* waiting now */
    uint64_t index_segments, index_tail;
    unsigned
        columns_percent, /* below 100: READ_CERTS_WHERE and _COUNTED answer TM_EUNAVAIL until they have been built */
        index_percent; /* below 100: look-ups by key answer TM_EUNAVAIL until the index has been built again */
};

/* One descriptor a driver, found in store_drivers[]. */
struct store_driver {
    const char *name;
    tm_err (*open)(struct store **ret, const struct store_config *c, struct diag *diag);
    void (*close)(struct store *s);
    void (*submit)(struct store *s, struct store_txn *t);
    void (*read)(struct store *s, struct store_read *r);       /* asynchronous */
    tm_err (*read_now)(struct store *s, struct store_read *r); /* on the calling thread */
    /* One file at `path` (must not exist), checked before it gets that name. */
    tm_err (*backup)(struct store *s, const char *path, void (*progress)(void *arg, int percent), void *arg,
                     struct diag *diag);
    tm_err (*expire)(struct store *s, int64_t now, uint64_t *ret_removed,
                     struct diag *diag); /* apply retention */
    void (*stats)(struct store *s, struct store_stats *ret);
    tm_err (*check)(struct store *s, struct diag *diag); /* integrity of the files */
};
extern const struct store_driver *const store_drivers[]; /* NULL-terminated */

/* Every implementation's struct store begins with this. */
struct store {
    const struct store_driver *driver;
};

/* Checks the schema: newer than this binary is TM_EUNSUPPORTED, older is migrated. Takes the writer lock: TM_EBUSY when another process has it. */
tm_err store_open(struct store **ret, const struct store_config *c, struct diag *diag);
/* Finishes what is queued. */
void store_close(struct store *s);

static inline void store_submit(struct store *s, struct store_txn *t)
{
    s->driver->submit(s, t);
}
static inline void store_read_submit(struct store *s, struct store_read *r)
{
    s->driver->read(s, r);
}
/* Blocking; never on a loop. */
tm_err store_commit(struct store *s, struct store_txn *t);
static inline tm_err store_read_now(struct store *s, struct store_read *r)
{
    return s->driver->read_now(s, r);
}
static inline void store_stats(struct store *s, struct store_stats *ret)
{
    s->driver->stats(s, ret);
}

/* Helpers shared by drivers and callers. */
/* The look-up keys of a parsed certificate, in `a`; at most 32 (the first SANs win). */
tm_err cert_keys_collect(struct cert_key **ret, size_t *ret_n, struct arena *a, const struct cert *c,
                         const char *device);
/* The hash that a key is known by however its SPKI is written: of an RSA key's modulus, whose factors another exponent does not change, else of
 * the SPKI. *ret_other: it is not the SPKI's. */
tm_err cert_key_of_spki(uint8_t ret[32], bool *ret_other, const struct spki *spki);
/* The first two octets of an id: months since 2000 of an expiry in unix seconds, 0..0x7FFF. */
uint16_t cert_id_month(int64_t not_after);
/* The same where the row is filled already: what it holds is not worked out again. */
tm_err cert_keys_of_row(struct cert_key **ret, size_t *ret_n, struct arena *a, const struct cert *c,
                        const struct cert_row *row);
/* Names of key and signature, and flags. */
tm_err cert_row_describe(struct cert_row *row, struct arena *a, const struct cert *c);
/* Fill a row from a parsed certificate (texts in `a`): subject, times, serial, hashes, key, signature, flags, der. */
tm_err cert_row_from_cert(struct cert_row *ret, struct arena *a, const struct cert *c);
