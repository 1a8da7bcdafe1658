#include "cli/commands.h"

/* In the order in which help shows them; one a line, whatever their number. */
/* clang-format off */
const struct command *const cli_commands[] = {
    init_commands,
    serve_commands,
    status_commands,
    resource_commands,
    profile_commands,
    cert_commands,
    revocation_commands,
    request_commands,
    token_commands,
    user_commands,
    device_commands,
    discover_files_commands,
    discover_runs_commands,
    ca_commands,
    ca_offline_commands,
    crl_commands,
    ocsp_commands,
    filter_commands,
    status_proxy_commands,
    register_commands,
    backup_commands,
    trace_commands,
    discover_scan_commands,
    bench_commands,
    bench_acme_commands,
    bench_cmp_commands,
    bench_crl_commands,
    bench_ocsp_commands,
    bench_scep_commands,
    misc_commands,
    NULL,
};
/* clang-format on */
