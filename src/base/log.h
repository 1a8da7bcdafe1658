/* base/log.h - structured log lines on stderr: JSON objects, or logfmt on a terminal.
 *
 * Layer 0, thread-safe. Only layers 4 and up log. Never log secrets, tokens or whole certificates.
 *
 *   log_info(rid, "cert.issued", LOG_S("serial", hex), LOG_I("ms", 3));
 *
 * `rid` is the request id (may be NULL). Event names are dotted and stable. */
#pragma once
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_JSON, LOG_TEXT };

struct log_field {
    const char *key;
    enum { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_INT } kind;
    const char *s;
    int64_t i;
};
#define LOG_S(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .s = (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .i = (v)})

void log_configure(enum log_level least, enum log_format format);
/* One line, written with one write(2); lines below "warn" of a thread that is corked (base/task.h) together when it is uncorked. */
void log_write(enum log_level level, const char *rid, const char *event, const struct log_field *fields);

#define LOG_FIELDS_(...)           ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_FIELD_END}})
#define log_debug(rid, event, ...) log_write(LOG_DEBUG, rid, event, LOG_FIELDS_(__VA_ARGS__))
#define log_info(rid, event, ...)  log_write(LOG_INFO, rid, event, LOG_FIELDS_(__VA_ARGS__))
#define log_warn(rid, event, ...)  log_write(LOG_WARN, rid, event, LOG_FIELDS_(__VA_ARGS__))
#define log_error(rid, event, ...) log_write(LOG_ERROR, rid, event, LOG_FIELDS_(__VA_ARGS__))
