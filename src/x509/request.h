/* x509/request.h - what the readers of the three request formats share. Layer 2. */
#pragma once
#include "x509/csr.h"
struct der_reader;

/* Empty the request but for its format and DER. */
void csr_clear(struct csr *c, enum csr_format format, struct slice der);
/* Append an attribute; one that is there already is refused at r's position. */
tm_err csr_attr_add(struct csr *c, struct der_reader *r, struct slice oid, struct slice values);
