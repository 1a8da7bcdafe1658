/* issue/authority_lists.h - into how many CRLs an authority's certificates are spread since when, and which profiles have CRLs of their own.
 *
 * Layer 4. What a certificate names has to be found again as long as it lives: changes are kept in the store (meta "crl-lists/<authority>"), a line
 * each, "<from> <count> <profile>" in the order in which they were made, and never taken back. What the documents say now decides only
 * what the next line says, and how often the lists are made. */
#pragma once
#include "issue/catalog.h"
struct arena;
struct buf;
struct profile_crl;

enum { AUTHORITY_LIST_CHANGES_MAX = 512 };

/* While a catalog is built: meta "crl-shards/<authority>", 12 octets a change, time and count, big-endian. */
tm_err authority_shards_read(struct authority *x, struct store *s, struct arena *a);
/* The same of profiles' lists: what the store has of the authority, with room for so many more. TM_ECORRUPT. */
tm_err authority_lists_read(struct authority *x, struct store *s, struct arena *a, size_t more);
/* The document of a profile that this authority issues asks for lists. */
void authority_list_want(struct authority *x, const char *profile, const struct profile_crl *own);
/* The lines, with one more. TM_ETOOBIG. */
tm_err authority_lists_line(struct buf *out, const struct authority *x, struct store *s, struct arena *a,
                            const struct authority_list *list, int64_t from, struct diag *diag);
