"""Every operation of the API for every role, in one's own tenant and in another's, as the API's own document says it.

The document's x-roles are what the routes are guarded by: so the table that people agreed to stands here as well, in ROLES, and a route whose guard changes has
to change it here. What an allowed caller gets is another test's; here it only must not be 401 or 403, unless the operation has a reason of its own."""
import json
import re

import pytest

HOUSE_ADMIN = "house-admin"
# What the callers of the matrix are: a principal of each role in each of two tenants, one of the house, and nobody.
ROLE_NAMES = ["auditor", "operator", "owner", "admin"]
# Allowed callers are refused here for a reason that is not their role: what they name, how they came, or whose it is.
OWN_REASONS = {
    "role", "session.needed", "session.external", "policy", "enroll.device", "resource.needed",
}
# Operations that change the house for the tests that follow, or that hang on: asked for by those who may not, and by nobody who may.
NOT_FOR_REAL = {"backupStore", "streamEvents", "publishCrl", "verifyRegister", "exportRegister", "buildFilter", "buildReport"}


@pytest.fixture(scope="module")
def world(house):
    w = {}
    for tenant, prefix in (("default", ""), ("matrix-t", "/tenants/matrix-t")):
        if tenant != "default":
            assert house.api("PUT", f"/resources/tenants/{tenant}", {"kind": "Tenant", "name": tenant}).status in (200, 201)
        for role in ROLE_NAMES:
            name = "matrix-" + role
            doc = {"kind": "Principal", "name": name, "roles": [role], **({"owner-of": "matrix"} if role == "owner" else {})}
            assert house.api("PUT", f"{prefix}/resources/principals/{name}", doc).status in (200, 201)
            reply = house.api("POST", f"{prefix}/tokens", {"type": "api", "principal": name, "ttl": "1h"})
            assert reply.status == 201
            w[tenant, role] = reply.json["token"]
    return w


def operations(house):
    for path, item in sorted(house.openapi.doc["paths"].items()):
        for method, op in sorted(item.items()):
            yield method.upper(), path, op


def target(path):
    """The path with names that nothing has."""
    values = {"serial": "00" * 16, "kind": "profiles", "pos": "999999999", "code": "BCDF-GHJK"}
    return re.sub(r"\{(\w+)\}", lambda m: values.get(m.group(1), "matrix-none"), path)


def ask(house, method, path, op, token, prefix=""):
    content = op.get("requestBody", {}).get("content", {})
    body = None
    if method != "GET" and content:
        body = b"{}" if "application/json" in content else b"nothing"
    kind = "application/json" if "application/json" in content else next(iter(content), "application/json")
    return house.request(method, "/api/v1" + prefix + path, body, {"Content-Type": kind, **({"Authorization": "Bearer " + token} if token else {})})


def refused(reply):
    return reply.status in (401, 403)


def own_reason(reply, op):
    """A refusal that is not the guard's: the handler looked at what was asked for."""
    rule = reply.json.get("rule", "")
    return reply.status == 403 and (rule in OWN_REASONS or rule.startswith(("policy.", "profile.", "revocation."))) and \
        reply.json.get("detail") != "your roles in this tenant do not allow this"


def test_matrix__every_operation_by_every_role(house, world):
    wrong, asked = [], 0
    for method, path, op in operations(house):
        allowed = set(op.get("x-roles", []))
        at = target(path)
        if not allowed:
            continue
        for role in ROLE_NAMES:
            if role in allowed and op["operationId"] in NOT_FOR_REAL:
                continue
            reply = ask(house, method, at, op, world["default", role])
            asked += 1
            if role in allowed and refused(reply) and not own_reason(reply, op):
                wrong.append(f"{role} may not {method} {path}: {reply}")
            if role not in allowed and reply.status != 403:
                wrong.append(f"{role} may {method} {path}: {reply}")
        # Nobody, and somebody with every right elsewhere.
        if ask(house, method, at, op, "").status != 401:
            wrong.append(f"nobody may {method} {path}")
        for role in ROLE_NAMES:
            reply = ask(house, method, at, op, world["matrix-t", role])
            asked += 1
            if not refused(reply):
                wrong.append(f"{role} of another tenant may {method} {path}: {reply}")
    assert not wrong, "\n".join(wrong)
    assert asked > 400


def test_matrix__scopes_hold_everywhere(house):
    """A token for one part of the API is refused by every operation of every other, whatever its principal may do."""
    doc = {"kind": "Principal", "name": "matrix-scoped", "roles": ROLE_NAMES, "owner-of": "matrix"}
    assert house.api("PUT", "/resources/principals/matrix-scoped", doc).status in (200, 201)
    reply = house.api("POST", "/tokens", {"type": "api", "principal": "matrix-scoped", "scopes": ["certificates:read"], "ttl": "1h"})
    assert reply.status == 201, reply
    wrong, asked = [], 0
    for method, path, op in operations(house):
        if not op.get("x-roles") or (op["tags"] == ["certificates"] and method == "GET"):
            continue
        answer = ask(house, method, target(path), op, reply.json["token"])
        asked += 1
        if answer.status != 403:
            wrong.append(f"{method} {path}: {answer}")
    assert not wrong, "\n".join(wrong)
    assert asked > 100


def test_matrix__no_tenant_reads_anothers(house, world):
    """What an administrator of one tenant reads under its own path holds nothing that was made in the other."""
    mark = "matrixmark"
    assert house.api("PUT", f"/devices/{mark}-device", {"owner": mark}).status in (200, 201)
    profile = {"kind": "Profile", "name": f"{mark}-profile", "authority": "issuing-ca", "lifetime": {"default": "30d"}}
    assert house.api("PUT", f"/resources/profiles/{mark}-profile", profile).status in (200, 201)
    assert house.api("POST", "/tokens", {"endpoint": "servers", "names": [f"DNS:{mark}.example.org"]}).status == 201
    assert house.api("PUT", f"/resources/principals/{mark}-person", {"kind": "Principal", "name": f"{mark}-person", "roles": ["auditor"]}).status in (200, 201)
    seen, wrong = 0, []
    for method, path, op in operations(house):
        if method != "GET" or "{" in path or op["operationId"] in NOT_FOR_REAL or not op.get("x-roles"):
            continue
        paged = any(p.get("$ref", "").endswith("/limit") for p in op.get("parameters", []))
        at = path + "?limit=1000" if paged else path  # other tests' rows may come first
        own = ask(house, "GET", at, op, world["default", "admin"])
        theirs = ask(house, "GET", at, op, world["matrix-t", "admin"], "/tenants/matrix-t")
        seen += mark.encode() in own.body
        if mark.encode() in theirs.body:
            wrong.append(path)
    assert not wrong and seen >= 3
    # By name neither.
    for path in (f"/devices/{mark}-device", f"/resources/profiles/{mark}-profile", f"/users/{mark}-person"):
        assert house.api("GET", path).status == 200
        assert house.api("GET", "/tenants/matrix-t" + path, token=world["matrix-t", "admin"]).status == 404
    # The house's own are for the house.
    for path in ("/resources/principals?house=1", "/users?house=1", "/sessions?all=1&house=1", "/resources/identity-providers?house=1"):
        assert house.api("GET", path, token=world["default", "admin"]).status == 403
        assert house.api("GET", path).status == 200


# What each guard lets in, agreed here: a route that lets in another set has to be looked at by somebody.
READERS, STAFF, ANYONE = {"auditor", "operator", "admin"}, {"operator", "admin"}, set(ROLE_NAMES)


def test_matrix__guards_are_of_few_kinds(house):
    kinds = {frozenset(READERS), frozenset(STAFF), frozenset(ANYONE), frozenset({"admin"}), frozenset(STAFF | {"owner"}), frozenset({HOUSE_ADMIN})}
    for method, path, op in operations(house):
        allowed = frozenset(op.get("x-roles", []))
        if not allowed:
            continue
        assert allowed in kinds, f"{method} {path}: {sorted(allowed)}"
        assert "auditor" not in allowed or method == "GET" or path.startswith(("/sessions", "/session", "/account", "/device-login")) or \
            op["operationId"] in AUDITORS_MAY, f"{method} {path} is for auditors"


# Questions that need a body, what is one's own, and what the request's profile decides about by its roles and groups.
AUDITORS_MAY = {"describe", "verifyRegister", "putInventoryView", "deleteInventoryView", "commentRequest", "approveRequest", "rejectRequest"}


def test_matrix__public_routes(house):
    """What answers without a caller is listed: a route that forgets its roles shows here."""
    public = {op["operationId"] for _, _, op in operations(house) if not op.get("x-roles")}
    assert public == {
        "getOpenApi", "getTrustBundle", "getAuthorityChain", "getRegisterKey", "getCheckpoint", "whoAmI",
        "getSignInMethods", "createSignInChallenge", "signIn", "beginEnrollment", "addPasskey", "setPassword", "beginOidc", "finishOidc",
        "beginLogin", "getLoginToken", "logout",
    } | (public & {"getOcspAnswer", "getCrlFile"})
