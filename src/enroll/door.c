#include "enroll/door.h"
#include "enroll/acme/acme.h"
#include "enroll/cmp/cmp.h"
#include "enroll/est/est.h"
#include "enroll/scep/scep.h"
#include "issue/jobs.h"
#include <string.h>

const struct door_descriptor *const doors[] = {&acme_door, &cmp_door, &est_door, &scep_door, NULL};

tm_err doors_open(struct house *h)
{
    for (size_t i = 0; doors[i]; i++) {
        if (doors[i]->open)
            TM_TRY(doors[i]->open(h));
        for (size_t k = 0; doors[i]->jobs && doors[i]->jobs[k]; k++)
            TM_TRY(jobs_add(h->jobs, doors[i]->jobs[k]));
    }
    return TM_OK;
}

void doors_stop(struct house *h)
{
    for (size_t i = 0; doors[i]; i++)
        if (doors[i]->stop)
            doors[i]->stop(h);
}

void doors_close(void)
{
    for (size_t i = 0; doors[i]; i++)
        if (doors[i]->close)
            doors[i]->close();
}

bool doors_error(struct http_request *r, int status, const char *detail)
{
    const char *path = r->path[0] ? r->path : r->raw_target;
    for (size_t i = 0; doors[i]; i++) {
        if (!doors[i]->on_error || strncmp(path, doors[i]->prefix, strlen(doors[i]->prefix)) != 0)
            continue;
        doors[i]->on_error(r, status, detail);
        return true;
    }
    return false;
}
