/* The table of tables: every group of the API. */
#include "api/enroll.h"
#include "api/groups.h"
#include "api/resources.h"

/* One a line, so that changes meet on as few lines as can be. */
/* clang-format off */
const struct api_route *const api_routes[] = {
    system_api_routes,
    enroll_api_routes,
    inventory_api_routes, /* before the certificates', one of which "export" would be */
    certificate_api_routes,
    import_api_routes,
    discovery_api_routes,
    gap_api_routes,
    token_api_routes,
    session_api_routes,
    account_api_routes,
    user_api_routes,
    request_api_routes,
    device_api_routes,
    crl_api_routes,
    register_api_routes,
    authority_api_routes,
    resource_api_routes,
    backup_api_routes,
    summary_api_routes,
    describe_api_routes,
    openapi_api_routes,
    renewal_api_routes,
    filter_api_routes,
    trace_api_routes,
    ocsp_api_routes,
    revocation_api_routes,
    scan_api_routes,
    live_api_routes,
    view_api_routes,
    NULL,
};

const struct api_schema *const api_schemas[] = {
    problem_api_schemas,
    system_api_schemas,
    enroll_api_schemas,
    certificate_api_schemas,
    inventory_api_schemas,
    import_api_schemas,
    discovery_api_schemas,
    gap_api_schemas,
    token_api_schemas,
    session_api_schemas,
    account_api_schemas,
    user_api_schemas,
    request_api_schemas,
    device_api_schemas,
    crl_api_schemas,
    register_api_schemas,
    authority_api_schemas,
    resource_api_schemas,
    backup_api_schemas,
    summary_api_schemas,
    describe_api_schemas,
    renewal_api_schemas,
    filter_api_schemas,
    trace_api_schemas,
    ocsp_api_schemas,
    revocation_api_schemas,
    scan_api_schemas,
    view_api_schemas,
    NULL,
};
/* clang-format on */
