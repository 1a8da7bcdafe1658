/* status/crl_make.h - from the inventory to a list that is ready to be signed: whole, as a delta, or the one before with what has changed since.
 * Layer 4, private to status/. Blocking. */
#pragma once
#include "issue/house.h"
#include "status/crl_file.h"
#include "status/crl_impl.h"
#include "status/scope.h"

struct crl_making {
    struct house *h;
    const struct authority *x;
    const struct crl_scope *scope;
    const struct crl_dirty *dirty; /* what has been revoked or released since; NULL: nobody knows */
    struct arena *a;               /* of this publication */
    const struct crl_row *last;    /* the list before; NULL: none */
    struct crl_row base;           /* of a delta: the complete one that it goes with */
    uint64_t begun_ns;             /* clock_mono_ns() */
    int64_t number, this_update, next_update;
    int64_t as_of_ms; /* everything that was revoked until then is on it */
    uint8_t number_octets[7];
    struct crl_out out; /* once it is made */
    size_t n;           /* entries of it */
};
/* thisUpdate and nextUpdate from m->as_of_ms. */
void crl_making_date(struct crl_making *m);
/* Make them anew: m->out of each is then ready to be signed. Several, none of them a delta or of several issuers and all of one authority, are made in one walk through the
 * inventory. */
tm_err crl_make(struct crl_making *const *v, size_t n, struct diag *diag);
/* The same from m->last and m->dirty; *ret_changed says whether there is a difference. TM_EUNSUPPORTED where that can't be told. */
tm_err crl_make_merged(bool *ret_changed, struct crl_making *m, struct diag *diag);
/* Would one made anew say anything else than m->last does? What has only expired does not count. */
tm_err crl_changed(bool *ret, struct crl_making *m, struct diag *diag);
/* Forget what was made. */
void crl_making_reset(struct crl_making *m);
