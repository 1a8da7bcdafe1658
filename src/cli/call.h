/* cli/call.h - how commands reach the house: over the admin socket of a running server, else in-process.
 *
 * Layer 6. The same API either way (api/api.h). In-process means: the house is opened offline under the writer lock, with the signer in-process. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include <jansson.h>

struct cli;
struct house;

struct cli_reply {
    int status;
    const char *type;
    struct slice body; /* in the cli's arena; empty when it was streamed */
    json_t *json;      /* parsed where the body is JSON; borrowed until the next call or cli_call_close() */
};

/* Method "GET", "POST", "PUT", "DELETE"; `path` without the tenant prefix ("/api/v1/devices"), which --tenant adds. Returns false after
 * complaining when the house can't be reached or opened; an HTTP error is a reply. */
bool cli_call(struct cli *c, const char *method, const char *path, struct slice body,
              const char *content_type, struct cli_reply *ret);
/* The same, but complains on a status of 400 and above with the problem's own words, and returns false. */
bool cli_call_ok(struct cli *c, const char *method, const char *path, struct slice body,
                 const char *content_type, struct cli_reply *ret);
/* cli_call_ok() with `v` (taken) as the JSON body. */
bool cli_send_json(struct cli *c, const char *method, const char *path, json_t *v, struct cli_reply *ret);
/* cli_call_ok() of a GET that asks for a media type. */
bool cli_get_as(struct cli *c, const char *path, const char *accept, struct cli_reply *ret);
/* Streaming answers: `write` gets the body piece by piece. */
bool cli_call_stream(struct cli *c, const char *method, const char *path, struct slice body,
                     const char *content_type, bool (*write)(void *arg, struct slice data), void *arg,
                     struct cli_reply *ret);
/* How long the server may work on the next call before it answers; 10 minutes when nothing is said. */
enum { CLI_PATIENCE_DAY = 86400 };
void cli_call_patience(unsigned seconds);
/* Is a server running on this home (it holds the admin socket)? */
bool cli_server_running(const struct cli *c);
/* The house itself, for offline commands (ca ceremonies, verify): NULL after complaining, also when a server runs. `mode` is enum house_mode. */
struct house *cli_house(struct cli *c, int mode);
/* Closes what calls have opened; cli_main() does it. */
void cli_call_close(struct cli *c);
/* The passphrase for the signer's keys: --passphrase-file, config (file, systemd credential), TOUCHMARK_PASSPHRASE_FD, prompt. */
struct secret;
bool cli_passphrase(struct cli *c, struct secret *ret, const char **ret_file);
/* Get the passphrase now and try it on one key: what opens the house later has it from here. `usual` is the file to read where neither an
 * option nor the environment says otherwise; NULL: ask. False after complaining. */
bool cli_unlock(struct cli *c, const char *usual, const char *key_dir, const char *key_id);
/* The file that touchmark.yaml or a systemd credential names, whether it is there or not; NULL when they name none. */
const char *cli_passphrase_configured(struct cli *c);
