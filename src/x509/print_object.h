/* x509/print_object.h - the facts of one object or extension, into a sink. Layer 2. */
#pragma once
#include "base/slice.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include "x509/csr.h"
#include "x509/print_sink.h"
struct arena;

void print_cert(struct print_sink *s, struct arena *a, const struct cert *c);
void print_csr(struct print_sink *s, struct arena *a, const struct csr *c);
void print_crl(struct print_sink *s, struct arena *a, const struct crl *c);

/* Each extension as a fact of its own, then the names of the critical ones. */
void print_exts(struct print_sink *s, struct arena *a, const struct exts *e);
