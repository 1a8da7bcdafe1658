/* enroll/acme/issue_value.h - the value of a CAA issue property (RFC 8659 4.2), which dns-persist-01 uses as well:
 *
 *   issue-value = *WSP [issuer-domain-name *WSP] [";" *WSP [parameters *WSP]]
 *   parameters  = (parameter *WSP ";" *WSP parameters) / parameter
 *   parameter   = tag *WSP "=" *WSP value          value = *(%x21-3A / %x3C-7E)
 *
 * Layer 5, pure. What is read borrows from the text. */
#pragma once
#include "base/json.h"
#include "base/slice.h"
#include <stdbool.h>

struct issue_value {
    struct slice issuer; /* empty: nobody */
    struct slice rest;
    bool bad; /* the text is no such value */
};
void issue_value_begin(struct issue_value *v, struct slice text);
/* The next parameter; false at the end, or where the text is broken (`bad`). */
bool issue_value_next(struct issue_value *v, struct slice *ret_tag, struct slice *ret_value);
/* Is the issuer one of these names? */
bool issue_value_is_for(const struct issue_value *v, const struct json_strings *issuers);
