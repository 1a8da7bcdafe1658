#include "policy/enrollment.h"

const char *const door_names[DOOR_COUNT + 1] = {
    [DOOR_REST] = "rest", [DOOR_EST] = "est",   [DOOR_ACME] = "acme",       [DOOR_SCEP] = "scep",
    [DOOR_CMP] = "cmp",   [DOOR_COAP] = "coap", [DOOR_FACTORY] = "factory", [DOOR_CEREMONY] = "ceremony",
};

const char *const key_origin_names[KEY_ORIGIN_COUNT + 1] = {
    [KEY_ORIGIN_UNKNOWN] = "unknown", [KEY_ORIGIN_SOFTWARE] = "software",
    [KEY_ORIGIN_SERVER] = "server",   [KEY_ORIGIN_HSM] = "hsm",
    [KEY_ORIGIN_TPM] = "tpm",         [KEY_ORIGIN_SECURE_ELEMENT] = "secure-element",
    [KEY_ORIGIN_TEE] = "tee",         [KEY_ORIGIN_PUF] = "puf",
};

const char *const caller_kind_names[CALLER_COUNT + 1] = {
    [CALLER_ANONYMOUS] = "anonymous", [CALLER_DEVICE] = "device",       [CALLER_CERTIFICATE] = "certificate",
    [CALLER_TOKEN] = "token",         [CALLER_PRINCIPAL] = "principal", [CALLER_ACCOUNT] = "account",
};

const char *const device_state_names[DEVICE_STATE_COUNT + 1] = {
    [DEVICE_NONE] = "none",           [DEVICE_MADE] = "made",           [DEVICE_SHIPPED] = "shipped",
    [DEVICE_ONBOARDED] = "onboarded", [DEVICE_OPERATING] = "operating", [DEVICE_TRANSFERRED] = "transferred",
    [DEVICE_RETIRED] = "retired",
};
