/* trace/tellers.h - the descriptors, one a protocol. Layer 5, private to trace/. */
#pragma once
struct trace_protocol;

extern const struct trace_protocol trace_acme, trace_cmp, trace_est, trace_scep;
