/* Backup of the store by the process that has it open. */
#include "api/groups.h"
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

static tm_err backup(struct api_call *c, struct diag *diag)
{
    TM_TRY(may_backup(c, diag));
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    const char *text = json_string_value(json_object_get(doc, "path"));
    char *path = arena_strdup(c->arena, text ? text : "");
    json_decref(doc);
    if (!path)
        return TM_ENOMEM;
    if (path[0] != '/' || strlen(path) > BACKUP_PATH_MAX)
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

const struct api_route backup_api_routes[] = {
    {HTTP_M_POST, "/api/v1/backup", ROLE_HOUSE_ADMIN, backup, BACKUP_BODY, "backupStore",
     "Copy the store to a new file of this machine; over the admin socket only", "system", NULL, NULL},
    {0},
};
