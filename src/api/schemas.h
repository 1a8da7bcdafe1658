/* api/schemas.h - schemas of request bodies that the OpenAPI document shows. Layer 5, private to api/. */
#pragma once
#include "base/json.h"

extern const struct json_field enroll_schema[];
extern const struct json_field revoke_schema[];
extern const struct json_field view_schema[];
extern const struct json_field note_schema[];
extern const struct json_field import_schema[];
extern const struct json_field run_begin_schema[], run_end_schema[];
extern const struct json_field token_schema[], token_batch_schema[];
extern const struct json_field signin_schema[], enrollment_schema[], new_passkey_schema[],
    new_password_schema[], invite_schema[], user_state_schema[], oidc_schema[], provider_secret_schema[];
extern const struct json_field login_schema[], login_code_schema[], logout_schema[];
extern const struct json_field device_schema[];
extern const struct json_field device_state_schema[];
extern const struct json_field comment_schema[];
extern const struct json_field backup_schema[];
