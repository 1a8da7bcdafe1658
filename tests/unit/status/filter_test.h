/* Certificates as rows of a house's store, with a model of their states beside them: for tests of what is made out of many. */
#pragma once
#include "unit/authority/home_test.h"

enum { MEMBERS_MAX = 4000, MEMBERS_DAY = 86400 };

struct member {
    uint8_t serial[CERT_SERIAL_LEN], id[CERT_SERIAL_LEN];
    int64_t not_after, issued;
    bool imported, revoked, on_hold;
};
static struct member members[MEMBERS_MAX];
static size_t n_members;
static uint64_t members_state = 0x2545f4914f6cdd1du;

[[maybe_unused]] static uint64_t members_random(void)
{
    members_state ^= members_state << 13;
    members_state ^= members_state >> 7;
    members_state ^= members_state << 17;
    return members_state * 0x9e3779b97f4a7c15u >> 11;
}

static void member_commit(struct house *h, enum effect_kind kind, const struct member *m,
                          const char *authority, int reason)
{
    struct effect e = {.kind = kind, .tenant = TENANT_DEFAULT};
    struct diag diag = {0};
    e.u.cert.row = (struct cert_row){
        .source = m->imported ? CERT_IMPORTED : CERT_ISSUED,
        .serial = SLICE_ARR(m->serial),
        .authority = authority,
        .profile = "server-internal-1y",
        .profile_version = 1,
        .subject = "CN=member",
        .device = "",
        .endpoint = "rest",
        .issued_at = m->issued * 1000,
        .not_before = m->issued,
        .not_after = m->not_after,
        .keep_until = TM_TIME_NEVER,
        .revoked_at = kind == EFFECT_CERT_ADD ? 0 : clock_now(),
        .reason = reason,
    };
    memcpy(e.u.cert.row.id, m->id, sizeof m->id);
    memcpy(e.u.cert.row.fingerprint, m->serial, CERT_SERIAL_LEN);
    memcpy(e.u.cert.row.spki_hash, m->serial, CERT_SERIAL_LEN);
    CHECK_OK(house_commit(h, &e, 1, &diag), diag);
}

/* A new one, that ends in `days`. */
[[maybe_unused]] static struct member *member_add(struct house *h, const char *authority, int days,
                                                  bool imported)
{
    struct member *m = &members[n_members++];
    assert_true(n_members <= MEMBERS_MAX);
    *m = (struct member){
        .imported = imported, .issued = clock_now(), .not_after = clock_now() + (int64_t)days * MEMBERS_DAY};
    uint16_t month = cert_id_month(m->not_after);
    uint32_t at = (uint32_t)m->issued;
    for (int i = 0; i < CERT_SERIAL_LEN; i++)
        m->serial[i] = (uint8_t)members_random();
    m->serial[0] = (uint8_t)(month >> 8);
    m->serial[1] = (uint8_t)month;
    for (int i = 0; i < 4; i++)
        m->serial[2 + i] = (uint8_t)(at >> (24 - 8 * i));
    memcpy(m->id, m->serial, sizeof m->id);
    if (imported) { /* any serial, and an id of its own */
        for (int i = 0; i < CERT_SERIAL_LEN; i++)
            m->serial[i] = (uint8_t)members_random();
        m->serial[0] &= 0x7f;
        m->serial[2] &= 0x3f; /* reads as a time of issue that has passed */
        m->id[0] |= 0x80;
    }
    member_commit(h, EFFECT_CERT_ADD, m, authority, 0);
    return m;
}

[[maybe_unused]] static void member_revoke(struct house *h, struct member *m, const char *authority,
                                           bool hold)
{
    member_commit(h, EFFECT_CERT_REVOKE, m, authority, hold ? 6 : 1);
    m->revoked = true;
    m->on_hold = hold;
}

[[maybe_unused]] static void member_release(struct house *h, struct member *m, const char *authority)
{
    member_commit(h, EFFECT_CERT_UNREVOKE, m, authority, 0);
    m->revoked = m->on_hold = false;
}
