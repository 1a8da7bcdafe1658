/* cli/admin.h - what the admin listener shows: /healthz, /readyz, /metrics. Layer 6; http_request.app is the struct house. */
#pragma once
#include "http/server.h"
struct buf;
struct house;

extern const struct http_route admin_routes[];
/* The server whose own numbers /metrics shows; set once after it has started. */
void admin_watch(struct http_server *s);
/* One reply: counted by route and status, its time observed. From any thread. */
void admin_count(const char *route, int status, uint64_t micros);
