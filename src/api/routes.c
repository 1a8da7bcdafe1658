/* The table of tables: every group of the API. */
#include "api/enroll.h"
#include "api/groups.h"
#include "api/resources.h"

const struct api_route *const api_routes[] = {
    enroll_api_routes,
    resource_api_routes,
    NULL,
};
