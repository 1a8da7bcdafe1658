/* Backup of the store by the process that has it open. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "issue/house.h"
#include "register/register.h"
#include <string.h>
#include <unistd.h>

enum { BACKUP_BODY = 8192, BACKUP_PATH_MAX = 4000 };

/* The path is of this machine, so only whoever sits at it may name one: the caller of the admin socket, which has no tokens. */
static tm_err may_backup(const struct api_call *c, struct diag *diag)
{
    if (!c->principal || strncmp(c->principal, "local:", 6) != 0)
        return diag_fail(diag, TM_EFORBIDDEN, "backup.local", NULL,
                         "a backup is made on the house's own machine: touchmark backup");
    return TM_OK;
}

struct backup_doc {
    const char *path;
};
const struct json_field backup_schema[] = {
    JSON_FIELD(struct backup_doc, path, JSON_K_STRING, .required = true, .max = BACKUP_PATH_MAX,
               .doc = "of this machine, absolute, and not there yet"),
    {0},
};

static tm_err backup(struct api_call *c, struct diag *diag)
{
    TM_TRY(may_backup(c, diag));
    json_t *doc = NULL;
    struct backup_doc d = {0};
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, backup_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    const char *path = d.path;
    if (path[0] != '/')
        return diag_fail(diag, TM_EINVAL, NULL, "/path", "must be an absolute path");
    if (access(path, F_OK) == 0)
        return diag_fail(diag, TM_ECONFLICT, NULL, "/path", "there is something at %s already", path);
    struct store *s = c->house->store;
    if (!s->driver->backup)
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, NULL, "this store has backups of its own");
    /* What happened up to now should stand under a checkpoint of the copy. */
    TM_TRY(house_sequence(c->house, diag));
    TM_TRY(s->driver->backup(s, path, NULL, NULL, diag));
    struct event_field fields[] = {{.key = "by", .kind = EVENT_STR, .s = slice_str(c->principal)}, {0}};
    TM_TRY(house_event(c->house, TENANT_HOUSE, "house.backup", "house", fields, diag));
    buf_puts(&c->out, "{\"path\":");
    buf_put_json_string(&c->out, slice_str(path));
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static const struct api_field backup_fields[] = {
    {"path", "string", NULL, "/media/backup/2026-11-21/store.db"},
    {0},
};
const struct api_schema backup_api_schemas[] = {
    {"BackupRequest", NULL, NULL, backup_schema, "{\"path\":\"/media/backup/2026-11-21/store.db\"}"},
    {"Backup", NULL, backup_fields, NULL, NULL},
    {0},
};

const struct api_route backup_api_routes[] = {
    {HTTP_M_POST, "/api/v1/backup", ROLE_HOUSE_ADMIN, backup, BACKUP_BODY, "backupStore",
     "Copy the store to a new file of this machine; over the admin socket only", "system", "BackupRequest",
     "Backup", API_LOCAL},
    {0},
};
