/* policy/rendering.h - small printers that explanations and snapshots share. Layer 3, private to policy/. */
#pragma once
#include "base/slice.h"
#include "der/oid.h"

enum { RENDER_OID_MAX = 128 };
/* The table's name or dotted text; may use `out`. */
const char *render_oid(char out[RENDER_OID_MAX], enum oid id, struct slice oid);
