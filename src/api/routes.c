/* The table of tables: every group of the API. */
#include "api/enroll.h"
#include "api/groups.h"
#include "api/resources.h"

const struct api_route *const api_routes[] = {
    system_api_routes,      enroll_api_routes,
    certificate_api_routes, token_api_routes,
    request_api_routes,     device_api_routes,
    crl_api_routes,         register_api_routes,
    resource_api_routes,    backup_api_routes,
    summary_api_routes,     describe_api_routes,
    openapi_api_routes,     NULL,
};
