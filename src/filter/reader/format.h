/* filter/reader/format.h - where things stand in a filter file, and the hashing that writer and reader share (docs/filter-format.md).
 * Layer 1, private to filter/. */
#ifndef TOUCHMARK_FILTER_FORMAT_H
#define TOUCHMARK_FILTER_FORMAT_H
#include "touchmark_filter.h"

#define TMF_MAGIC "TMKF"
enum {
    TMF_VERSION = 1,
    /* the head */
    TMF_H_NUMBER = 8,
    TMF_H_THIS_UPDATE = 16,
    TMF_H_NEXT_UPDATE = 24,
    TMF_H_BASE_NUMBER = 32,
    TMF_H_BASE_DIGEST = 40,
    TMF_H_ISSUERS = 72,
    TMF_H_SECTIONS = 76,
    TMF_H_BODY = 80,
    TMF_H_NAME = 88,
    TMF_HEAD = 152,
    /* a row of the issuers, in the order of their ids */
    TMF_I_COVERED = 32,
    TMF_I_MEMBERS = 40,
    TMF_I_REVOKED = 48,
    TMF_I_SECTIONS = 56, /* first and count, once for each role */
    TMF_ISSUER_ROW = 72,
    TMF_SECTION_ROW = 72,
    TMF_ROLE_REVOKED = 0,  /* keys: revoked; in a delta: revoked since its base */
    TMF_ROLE_RELEASED = 1, /* keys: what the base says is revoked and is so no more */
    /* limits */
    TMF_COLUMNS_MAX = 24,
    TMF_ROWS_MAX = 1536, /* unknowns of a block's exact system: 192 octets of stack */
    TMF_WIDTH_MAX = 16,
    TMF_GROUP = 16, /* blocks that share a pointer */
    /* hashing */
    TMF_APPROXIMATE = 0,
    TMF_EXACT = 1,
    TMF_SEARCHED = 3, /* the last columns of the approximate system, whose targets have a seed of their own */
    TMF_TARGET_FIXED = 1 << 16,
};

/* What the directory says of a block. */
enum { TMF_F_KEYS, TMF_F_PASSING, TMF_F_ROW_SEED, TMF_F_TARGET_SEED, TMF_F_EXACT_SEED, TMF_FIELDS };

/* A row of the sections. */
struct tmf_section {
    uint8_t first[TMF_SERIAL_LEN]; /* lowest serial, padded with zeros in front */
    uint64_t key[2];               /* of the hash */
    uint64_t offset;               /* of its data in the file */
    uint32_t octets;
    uint32_t members, revoked;
    uint32_t n_blocks; /* 0: has no keys */
    unsigned r_min, f_min;
    unsigned inverted; /* 1: the keys are those that are not revoked */
    unsigned k;        /* columns of the approximate system */
    uint8_t width[TMF_FIELDS];
};
void tmf_section_read(struct tmf_section *s, const uint8_t *row);
int tmf_section_sound(const struct tmf_section *s);
/* Where in a section's data the blocks' bits begin. */
uint64_t tmf_payload_at(const struct tmf_section *s);
/* Is the serial one of the section's keys? 1, 0, or -1 where the section contradicts itself. */
int tmf_section_has(const struct tmf_section *s, const uint8_t *data, const uint8_t serial[TMF_SERIAL_LEN]);
uint64_t tmf_block_bits(unsigned k, unsigned keys, unsigned passing);

void tmf_hash(uint64_t out[2], const uint64_t key[2], const uint8_t serial[TMF_SERIAL_LEN]);
uint64_t tmf_mix(uint64_t x);
uint32_t tmf_block_of(const uint64_t hash[2], uint32_t n_blocks);
uint64_t tmf_row_word(uint64_t hash, unsigned domain, unsigned seed, unsigned i);
/* Bit j is the target of column j. */
uint32_t tmf_target(const uint64_t hash[2], unsigned seed);
/* Is this one of the last columns, whose target is searched for? */
int tmf_searched(unsigned k, unsigned column);
#endif
