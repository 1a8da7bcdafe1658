/* policy/lint/rules.h - every rule there is. To add one: copy a neighbour's file, add a line here, one in table.c, one in
 * meson.build, and a case in tests/unit/policy/test_lint.c. Layer 3, private to lint/. */
#pragma once
#include "policy/lint/view.h"

extern const struct lint_rule lint_rfc5280_decodes, lint_rfc5280_version, lint_rfc5280_serial_positive,
    lint_rfc5280_issuer_not_empty, lint_rfc5280_issuer_matches, lint_rfc5280_validity_order,
    lint_rfc5280_validity_encodable, lint_rfc5280_subject_or_san, lint_rfc5280_san_not_empty,
    lint_rfc5280_san_dns_form, lint_rfc5280_san_uri_form, lint_rfc5280_san_email_form,
    lint_rfc5280_san_no_repetition, lint_rfc5280_akid_present, lint_rfc5280_akid_matches,
    lint_rfc5280_ski_present, lint_rfc5280_key_ids_not_critical, lint_rfc5280_key_usage_not_zero,
    lint_rfc5280_key_usage_critical, lint_rfc5280_cert_sign_is_ca, lint_rfc5280_key_usage_fits_key,
    lint_rfc5280_ca_constraints_critical, lint_rfc5280_eku_any_not_critical, lint_rfc5280_eku_fits_key_usage,
    lint_rfc5280_eku_no_repetition, lint_rfc5280_aia_not_critical, lint_rfc5280_cdp_not_critical,
    lint_rfc5280_policies_no_repetition, lint_rfc5280_name_constraints_is_ca, lint_rfc5280_critical_known,
    lint_rfc5280_name_string_types, lint_rfc5280_name_lengths, lint_br_san_required, lint_br_cn_in_san,
    lint_br_lifetime, lint_br_no_internal_names, lint_br_no_reserved_address, lint_br_eku_server_auth,
    lint_br_eku_server_auth_alone, lint_br_key_algorithm, lint_br_policy, lint_br_serial_entropy,
    lint_br_aia_issuers, lint_8021ar_not_ca, lint_8021ar_subject, lint_8021ar_serial_number,
    lint_8021ar_key_usage, lint_8021ar_key_algorithm, lint_8021ar_hardware_module_name,
    lint_touchmark_no_rev_avail, lint_touchmark_serial_form, lint_touchmark_cdp_form, lint_touchmark_aia_form,
    lint_touchmark_never_expires, lint_touchmark_status, lint_touchmark_ocsp_signing_alone,
    lint_touchmark_any_purpose, lint_touchmark_leaf, lint_touchmark_visible_names, lint_touchmark_size,
    lint_touchmark_backdate;
