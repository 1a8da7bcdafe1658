"""The description of the API: valid OpenAPI, whole, and the same as what the command line does."""
import json
import os
import re

import jsonschema
import pytest
import yaml

from test_cli import commands

SPECIFICATION = "/usr/share/openapi-specification/schemas"


@pytest.fixture(scope="module")
def document(house):
    reply = house.api("GET", "/openapi.json", token="")
    assert reply.status == 200
    return reply.json


def operations(document):
    for path, item in document["paths"].items():
        for method, op in item.items():
            yield path, method, op


def as_3_0(node):
    """The same document as OpenAPI 3.0 says it, for the schema that Debian 12 has: no type lists, no const, no other contents."""
    if isinstance(node, list):
        return [as_3_0(x) for x in node]
    if not isinstance(node, dict):
        return node
    out = {k: as_3_0(v) for k, v in node.items() if k not in ("contentEncoding", "contentMediaType", "examples", "identifier")}
    if isinstance(out.get("type"), list):
        out["type"] = next(t for t in out["type"] if t != "null")
        out["nullable"] = True
    if out.get("type") == "null":
        return {"nullable": True}
    if "const" in out:
        out["enum"] = [out.pop("const")]
    return out


def test_openapi__is_valid(document):
    """By the specification's own schema, as Debian packages it."""
    newer = os.path.join(SPECIFICATION, "v3.1", "schema.yaml")
    if os.path.exists(newer):
        with open(newer, encoding="utf-8") as f:
            jsonschema.Draft202012Validator(yaml.safe_load(f)).validate(document)
    older = os.path.join(SPECIFICATION, "v3.0", "schema.yaml")
    if not os.path.exists(older):
        pytest.skip("package openapi-specification is not installed")
    down = as_3_0(document)
    down["openapi"] = "3.0.3"
    del down["components"]["securitySchemes"]["mutualTLS"]  # new in 3.1
    with open(older, encoding="utf-8") as f:
        jsonschema.Draft4Validator(yaml.safe_load(f)).validate(down)


def test_openapi__schemas_and_examples_fit(house, document):
    check = house.openapi
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert "properties" in schema or "oneOf" in schema, name
    checked = 0

    def walk(node):
        nonlocal checked
        if isinstance(node, dict):
            if "schema" in node and "example" in node:
                check.validator(node["schema"]).validate(node["example"])
                checked += 1
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    assert checked > 60


def test_openapi__references_lead_somewhere(document):
    for ref in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(document)):
        at = document
        for part in ref.split("/"):
            at = at[part]


def test_openapi__every_operation_is_whole(house, document):
    ids = [op["operationId"] for _, _, op in operations(document)]
    assert len(ids) == len(set(ids)) > 40
    for path, method, op in operations(document):
        where = f"{method} {path}"
        assert op["summary"] and op["description"], where
        declared = {house.openapi.resolve(p)["name"] for p in op["parameters"] if house.openapi.resolve(p)["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), where
        good = [s for s in op["responses"] if s < "400"]
        assert good, where
        for status in good:
            assert status in ("204", "303") or op["responses"][status].get("content"), where
        for status, response in op["responses"].items():
            if status >= "400":
                assert "application/problem+json" in house.openapi.resolve(response)["content"], where
        if op.get("security") != []:
            assert op["x-roles"] and {"401", "403"} <= set(op["responses"]), where


def test_openapi__tenants_have_a_server(document):
    assert [s["url"] for s in document["servers"]] == ["/api/v1", "/api/v1/tenants/{tenant}"]
    assert document["servers"][1]["variables"]["tenant"]["default"] == "default"


def test_unknown_parameter_is_refused(house):
    reply = house.api("GET", "/certificates?expires-before=2027-01-01")
    assert reply.status == 422 and "expires-before" in reply.json["detail"]


def test_errors_of_the_server_itself_are_problems(house):
    for method, path, status in (("PATCH", "/api/v1/devices", 405), ("GET", "/api/v1/../x", 400)):
        reply = house.request(method, path)
        assert reply.status == status
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json["status"] == status and reply.json["request_id"] == reply.headers["X-Request-Id"]


# Every command, and the operations that it is made of: what the command line can do, REST can. The rest says why it is not there.
FILES_ONLY = "reads and writes files, needs no house"
PROCESS = "starts, makes or measures the house itself"
CEREMONY = "a ceremony: it needs the keys' passphrase, which no running server has"
VERBS = {
    "init": PROCESS, "serve": PROCESS, "status-proxy": PROCESS, "bench": PROCESS, "bench acme": PROCESS, "bench crl": PROCESS,
    "bench cmp": PROCESS, "bench ocsp": PROCESS, "bench scan": PROCESS, "bench scep": PROCESS,
    "bench inventory": PROCESS, "bench finding": PROCESS, "restore": PROCESS,
    "completion": FILES_ONLY, "man": FILES_ONLY, "ca offline": FILES_ONLY, "register verify-proof": FILES_ONLY, "trace show": FILES_ONLY,
    "trace record": ["startRecording", "readRecording", "stopRecording"],
    "ca create": CEREMONY, "ca install": CEREMONY, "ca ra": CEREMONY, "ca anchors": CEREMONY, "ca ocsp": CEREMONY,
    "ca import": ["importAuthority"],
    "status": ["getStatus", "getPosture"],
    "backup": ["backupStore"],
    "apply": ["putResource"], "get": ["listResources", "getResource", "resourceHistory"], "delete": ["deleteResource"],
    "profile list": ["listResources"], "profile show": ["getResource"], "profile test": ["enroll"],
    "endpoint list": ["listResources"], "endpoint show": ["getResource"],
    "tenant list": ["listResources"], "tenant show": ["getResource"],
    "principal list": ["listResources"], "principal show": ["getResource"],
    "trust-set list": ["listResources"], "trust-set show": ["getResource"],
    "cert show": ["describe"], "cert list": ["listCertificates"], "cert get": ["getCertificate"], "cert find": ["listCertificates"],
    "cert issue": ["enroll", "enrollBulk"], "cert revoke": ["revokeCertificate", "revokeCertificates"], "cert release": ["releaseCertificate"],
    "cert hold": ["revokeCertificate"], "ocsp show": ["getOcsp"], "ocsp answer": ["getOcspAnswer"],
    "discover files": ["beginDiscoveryRun", "reportSightings", "endDiscoveryRun", "listPlaces"],
    "discover pcap": ["beginDiscoveryRun", "reportSightings", "endDiscoveryRun"],
    "discover ct": ["listDiscoveryRuns", "beginDiscoveryRun", "reportSightings", "endDiscoveryRun"],
    "discover list": ["listDiscoveryRuns"], "discover show": ["getDiscoveryRun"], "discover diff": ["diffDiscoveryRuns"],
    "cert export": ["exportCertificates"], "cert count": ["countCertificates"],
    "cert note": ["getCertificateNote", "putCertificateNote"],
    "view save": ["putInventoryView"], "view list": ["listInventoryViews"], "view show": ["getInventoryView", "listCertificates"],
    "view delete": ["deleteInventoryView"],
    "cert import": ["importCertificates"], "cert renew-now": ["askForRenewal"],
    "token create": ["createToken", "createTokens"], "token list": ["listTokens"], "token show": ["getToken"], "token revoke": ["revokeToken"],
    "login": ["beginLogin", "getLoginToken"], "logout": ["logout"],
    "provider list": ["listResources"], "provider secret": ["setProviderSecret", "removeProviderSecret"], "provider test": ["testProvider"],
    "user list": ["listUsers"], "user show": ["getUser"], "user credentials": ["getUser"], "user invite": ["inviteUser"], "user withdraw": ["withdrawInvite"],
    "user disable": ["setUserState"], "user enable": ["setUserState"], "user sessions": ["listSessions", "endUsersSessions"],
    "user remove-credential": ["removeUsersPasskey", "removeUsersPassword"],
    "request list": ["listRequests"], "request show": ["getRequest"], "request comment": ["commentRequest"], "request approve": ["approveRequest"],
    "request reject": ["rejectRequest"],
    "device register": ["putDevice"], "device import": ["importDevices"], "device list": ["listDevices"], "device show": ["getDevice"], "device gaps": ["listGaps"],
    "device state": ["stepDevice"], "device retire": ["stepDevice"],
    "ca list": ["listAuthorities"], "ca show": ["getAuthority", "getResource"], "ca export": ["getAuthorityChain", "getAuthority"],
    "ca import-crls": ["importCrlSeries"],
    "filter build": ["buildFilter"], "filter delta": ["buildFilter"], "filter info": ["getFilter", "listFilters"], "filter query": FILES_ONLY,
    "revocation list": ["listRevocations"], "revocation show": ["getRevocation"], "revocation approve": ["approveRevocation"],
    "revocation cancel": ["cancelRevocation"],
    "discover scan": ["startScan", "getDiscoveryRun", "getScanResults"], "discover cancel": ["cancelScan"],
    "alert list": ["listAlerts"], "alert show": ["getAlert"], "alert ack": ["acknowledgeAlert"], "alert test": ["testNotification"],
    "alert secret": ["setNotificationSecret"],
    "finding list": ["listFindings"], "finding show": ["getFinding"], "finding accept": ["acceptFinding"], "finding snooze": ["snoozeFinding"],
    "finding reopen": ["reopenFinding"], "finding rules": ["listFindingRules"], "finding run": ["startFindingPass", "getFindingPass"],
    "crl show": ["getCrl"], "crl publish": ["publishCrl"],
    "register verify": ["verifyRegister"], "register prove": ["proveEvent", "proveCertificate"], "register export": ["exportRegister"],
    "register erase": ["eraseEvent"],
    "register show": ["listEvents"], "register key": ["getRegisterKey"],
}
# What no command asks for: machines and pages do.
WITHOUT_COMMAND = {"addPasskey", "approveLogin", "beginEnrollment", "beginOidc", "countFindings", "createSignInChallenge", "denyLogin",
                   "endSession", "finishOidc", "getCheckpoint", "getCredentials", "getLogin", "getOpenApi", "getPlace", "getSession",
                   "getSignInMethods", "getSummary", "getTrustBundle", "listChoices", "removePasskey", "removePassword", "setPassword",
                   "signIn", "signOut", "streamEvents", "whoAmI"}


def test_every_command_has_its_operations(program, document):
    assert set(commands(program)) == set(VERBS)
    known = {op["operationId"] for _, _, op in operations(document)}
    used = {name for names in VERBS.values() if isinstance(names, list) for name in names}
    assert used <= known
    assert known - used == WITHOUT_COMMAND
