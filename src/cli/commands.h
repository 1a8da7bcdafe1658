/* cli/commands.h - the tables of commands, one a file. Layer 6. */
#pragma once
#include "cli/cli.h"

extern const struct command serve_commands[];
extern const struct command init_commands[];
extern const struct command resource_commands[];
extern const struct command cert_commands[];
extern const struct command inventory_commands[];
extern const struct command profile_commands[];
extern const struct command token_commands[];
extern const struct command user_commands[];
extern const struct command login_commands[];
extern const struct command provider_commands[];
extern const struct command request_commands[];
extern const struct command discover_files_commands[];
extern const struct command discover_pcap_commands[];
extern const struct command discover_ct_commands[];
extern const struct command discover_runs_commands[];
extern const struct command ca_commands[];
extern const struct command ca_offline_commands[];
extern const struct command device_commands[];
extern const struct command register_commands[];
extern const struct command crl_commands[];
extern const struct command revocation_commands[];
extern const struct command finding_commands[];
extern const struct command alert_commands[];
extern const struct command filter_commands[];
extern const struct command ocsp_commands[];
extern const struct command status_proxy_commands[];
extern const struct command status_commands[];
extern const struct command backup_commands[];
extern const struct command trace_commands[];
extern const struct command discover_scan_commands[];
extern const struct command bench_commands[];
extern const struct command bench_acme_commands[];
extern const struct command bench_cmp_commands[];
extern const struct command bench_crl_commands[];
extern const struct command bench_inventory_commands[];
extern const struct command bench_finding_commands[];
extern const struct command bench_ocsp_commands[];
extern const struct command bench_scan_commands[];
extern const struct command bench_scep_commands[];
extern const struct command misc_commands[];
