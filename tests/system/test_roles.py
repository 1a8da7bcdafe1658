"""Who may do what: every role against a representative set of actions, scoped tokens, client certificates, and tenants apart."""
import base64
import hashlib
import json

import pytest

ALL = {"auditor", "operator", "owner", "admin"}
READERS = {"auditor", "operator", "admin"}
STAFF = {"operator", "admin"}
ADMIN = {"admin"}
NOBODY = set()


@pytest.fixture(scope="module")
def world(house, tmp_path_factory):
    """Two tenants, one principal a role in the default one, devices of two owners, a certificate for each device."""
    from conftest import Openssl

    ssl = Openssl(tmp_path_factory.mktemp("roles"))
    w = {"ssl": ssl}
    for tenant in ("roles-other",):
        doc = {"kind": "Tenant", "name": tenant, "title": "another"}
        assert house.api("PUT", f"/resources/tenants/{tenant}", doc).status in (200, 201)
    w["tokens"] = {}
    for role in sorted(ALL):
        name = "roles-" + role
        doc = {"kind": "Principal", "name": name, "roles": [role]}
        if role == "owner":
            doc["owner-of"] = "plant-9"
        assert house.api("PUT", f"/resources/principals/{name}", doc).status in (200, 201)
        w["tokens"][role] = token(house, name)
    doc = {"kind": "Principal", "name": "roles-stranger", "roles": sorted(ALL), "owner-of": "plant-9"}
    assert house.api("PUT", "/tenants/roles-other/resources/principals/roles-stranger", doc).status in (200, 201)
    w["stranger"] = token(house, "roles-stranger", "/tenants/roles-other")
    w["serial"] = {}
    for device, owner in (("ROLES-OWN", "plant-9"), ("ROLES-OTHER", "plant-8")):
        assert house.api("PUT", "/devices/" + device, {"owner": owner}).status in (200, 201)
        reply = house.api("POST", "/enroll", {"csr": csr(ssl, device), "profile": "server-internal-1y", "device": device})
        assert reply.status == 201, reply
        w["serial"][device] = reply.json["serial"]
    return w


def csr(ssl, name):
    dns = name.lower() + ".example.org"
    with open(ssl.csr(name, "/CN=" + dns, "DNS:" + dns), encoding="ascii") as f:
        return f.read()


def token(house, principal, tenant="", **more):
    reply = house.api("POST", tenant + "/tokens", {"type": "api", "principal": principal, "ttl": "1h", **more})
    assert reply.status == 201, reply
    return reply.json["token"]


OWN, OTHER = "ROLES-OWN", "ROLES-OTHER"
HOLD = {"reason": "certificateHold"}
PROFILE = {"kind": "Profile", "name": "roles-x", "authority": "issuing-ca", "lifetime": {"default": "30d"}}
# Method, path, body, and who may. "{own}" and "{other}" are the serials of the two devices' certificates, "@" a request for one of them.
ACTIONS = [
    ("GET", "/whoami", None, ALL),
    ("GET", "/status", None, READERS),
    ("GET", "/summary", None, READERS),
    ("GET", "/certificates", None, READERS),
    ("GET", "/certificates?q=example.org", None, READERS),
    ("GET", "/certificates?device=ROLES-OWN", None, ALL),
    ("GET", "/certificates?device=ROLES-OTHER", None, READERS),
    ("GET", "/certificates/{own}", None, ALL),
    ("GET", "/certificates/{other}", None, READERS),
    ("POST", "/certificates/{other}/revoke", HOLD, STAFF),
    ("POST", "/certificates/{other}/release", {}, STAFF),
    ("POST", "/certificates/import", b"nothing", STAFF),
    ("POST", "/enroll", {"csr": "@", "profile": "server-internal-1y", "dry_run": True}, STAFF),
    ("POST", "/enroll", {"csr": "@", "profile": "server-internal-1y", "dry_run": True, "device": OWN}, STAFF | {"owner"}),
    ("POST", "/enroll", {"csr": "@", "profile": "server-internal-1y", "dry_run": True, "device": OTHER}, STAFF),
    ("POST", "/enroll", {"csr": "@", "profile": "server-internal-1y", "dry_run": True, "device": OWN, "renews": "{other}"}, STAFF),
    ("POST", "/enroll", {"csr": "@", "profile": "server-internal-1y", "dry_run": True, "device": OWN, "renews": "{own}"}, STAFF | {"owner"}),
    ("POST", "/enroll/bulk", b"\n", STAFF),
    ("GET", "/devices", None, ALL),
    ("GET", "/devices/ROLES-OWN", None, ALL),
    ("GET", "/devices/ROLES-OTHER", None, READERS),
    ("PUT", "/devices/ROLES-OWN", {"place": "here"}, STAFF),
    ("POST", "/devices/ROLES-OWN/state", {"state": "made"}, STAFF),
    ("POST", "/devices/import", b"id\nROLES-OTHER\n", STAFF),
    ("GET", "/discovery/runs", None, READERS),
    ("POST", "/discovery/runs", {"via": "agent"}, STAFF),
    ("GET", "/discovery/runs/none", None, READERS),
    ("POST", "/discovery/runs/none/end", {}, STAFF),
    ("GET", "/discovery/runs/none/diff", None, READERS),
    ("POST", "/sightings", b"\n", STAFF),
    ("GET", "/places", None, READERS),
    ("GET", "/inventory/gaps?kind=devices-without-certificate", None, READERS),
    ("GET", "/inventory/gaps?kind=certificates-without-device", None, READERS),
    ("GET", "/places/none", None, READERS),
    ("GET", "/tokens", None, READERS),
    ("POST", "/tokens", {"endpoint": "servers"}, STAFF),
    ("POST", "/tokens", {"type": "api", "principal": "roles-auditor"}, ADMIN),
    ("GET", "/tokens/none", None, READERS),
    ("DELETE", "/tokens/none", None, STAFF),
    ("GET", "/requests", None, ALL),
    ("GET", "/requests/none", None, ALL),
    ("POST", "/requests/none/comments", {"comment": "x"}, ALL),
    ("POST", "/requests/none/approve", {}, ALL),  # of one that is there, the profile says whose word counts
    ("POST", "/requests/none/reject", {}, ALL),
    ("GET", "/enroll/choices", None, STAFF | {"owner"}),
    ("GET", "/posture", None, READERS),
    ("GET", "/resources/profiles", None, READERS),
    ("GET", "/resources/profiles/vpn/history", None, READERS),
    ("PUT", "/resources/profiles/roles-x?dry_run=1", PROFILE, ADMIN),
    ("DELETE", "/resources/profiles/roles-none", None, ADMIN),
    ("PUT", "/resources/tenants/roles-y?dry_run=1", {"kind": "Tenant", "name": "roles-y"}, NOBODY),
    ("GET", "/resources/principals?house=1", None, NOBODY),
    ("GET", "/authorities", None, READERS),
    ("GET", "/authorities/root", None, READERS),
    ("POST", "/authorities/roles-z/import", b"nothing", ADMIN),
    ("GET", "/alerts", None, ALL),
    ("GET", "/alerts/none", None, ALL),
    ("POST", "/alerts/none/acknowledge", {}, STAFF | {"owner"}),
    ("POST", "/notifications/none/test", None, STAFF),
    ("PUT", "/notifications/none/secret", {"secret": "x"}, ADMIN),
    ("GET", "/findings", None, ALL),
    ("GET", "/findings/none", None, ALL),
    ("POST", "/findings/none/accept", {"reason": "x", "for": "1d"}, STAFF | {"owner"}),
    ("POST", "/findings/none/snooze", {"reason": "x", "for": "1d"}, STAFF | {"owner"}),
    ("POST", "/findings/none/reopen", {}, STAFF | {"owner"}),
    ("GET", "/finding-rules", None, ALL),
    ("GET", "/finding-counts", None, READERS),
    ("GET", "/finding-pass", None, READERS),
    ("POST", "/finding-pass", {}, STAFF),
    ("GET", "/crls/issuing-ca", None, READERS),
    ("POST", "/crls/issuing-ca/publish", None, STAFF),
    ("POST", "/crls/root/series", b"nothing", ADMIN),
    ("GET", "/register/events", None, READERS),
    ("GET", "/register/export", None, READERS),
    ("GET", "/register/proofs/0", None, READERS),
    ("POST", "/register/verify", None, READERS),
    ("POST", "/describe", b"nothing", ALL),
    ("POST", "/backup", {"path": "/nowhere/at/all"}, NOBODY),
]
PUBLIC = ["/openapi.json", "/trust-bundle", "/authorities/issuing-ca/chain", "/register/key", "/register/checkpoint"]


def filled(world, value):
    text = json.dumps(value) if not isinstance(value, str) else value
    text = text.replace("{own}", world["serial"][OWN]).replace("{other}", world["serial"][OTHER])
    return text if isinstance(value, str) else json.loads(text)


def ask(house, world, action, bearer, prefix=""):
    method, path, body, _ = action
    if isinstance(body, dict):
        body = filled(world, body)
        if body.get("csr") == "@":
            body["csr"] = csr(world["ssl"], OWN)
    kind = "application/json" if isinstance(body, dict) else "text/csv" if "devices" in path else "application/octet-stream"
    return house.api(method, prefix + filled(world, path), body, token=bearer, content_type=kind)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: f"{a[0]} {a[1]}")
def test_role(house, world, action):
    for role in sorted(ALL, key=["owner", "auditor", "operator", "admin"].index):
        reply = ask(house, world, action, world["tokens"][role])
        allowed = reply.status not in (401, 403)
        assert allowed == (role in action[3]), f"{role}: {reply}"
        assert reply.status < 500 or reply.status == 503, reply
    # Nobody and a stranger get nothing.
    assert ask(house, world, action, "").status == 401
    # All roles of another tenant are none here.
    assert ask(house, world, action, world["stranger"]).status in (401, 403)


@pytest.mark.parametrize("path", PUBLIC)
def test_public(house, path):
    assert house.api("GET", path, token="").status == 200


def test_owner__sees_own_devices_only(house, world):
    reply = house.api("GET", "/devices?prefix=ROLES-", token=world["tokens"]["owner"])
    assert [d["id"] for d in reply.json["items"]] == [OWN]


def test_owner__enrolls_and_revokes_own(house, world):
    bearer = world["tokens"]["owner"]
    wanted = {"csr": csr(world["ssl"], "roles-mine"), "device": OWN, "profile": "roles-owned", "endpoint": "roles-owned"}
    profile = {"kind": "Profile", "name": "roles-owned", "authority": "issuing-ca", "lifetime": {"default": "30d"}, "usage": {"eku": ["serverAuth"]},
               "san": {"allow": {"dns": {"suffixes": ["example.org"]}}}}
    endpoint = {"kind": "Endpoint", "name": "roles-owned", "protocol": "rest", "profiles": ["roles-owned"]}
    assert house.api("PUT", "/resources/profiles/roles-owned", profile).status in (200, 201)
    assert house.api("PUT", "/resources/endpoints/roles-owned", endpoint).status in (200, 201)
    # The profile says whose word counts: by default not an owner's.
    assert house.api("POST", "/enroll", wanted, token=bearer).json["rule"] == "profile.roles"
    profile["roles"] = ["owner", "operator"]
    assert house.api("PUT", "/resources/profiles/roles-owned", profile).status == 200
    reply = house.api("POST", "/enroll", wanted, token=bearer)
    assert reply.status == 201, reply
    serial = reply.json["serial"]
    assert house.api("GET", "/certificates/" + serial, token=bearer).json["device"] == OWN
    # The profile says for which reasons owners may.
    assert house.api("POST", f"/certificates/{serial}/revoke", {"reason": "cACompromise"}, token=bearer).status == 403
    reply = house.api("POST", f"/certificates/{serial}/revoke", {"reason": "superseded"}, token=bearer)
    assert reply.status == 200 and reply.json["status"] == "revoked", reply
    event = house.api("GET", f"/register/events?type=certificate.revoked&subject=certificate/{serial}").json["items"][0]
    assert event["body"]["by"] == "roles-owner"


def test_token__only_some_of_the_roles(house, world):
    doc = {"kind": "Principal", "name": "roles-both", "roles": ["auditor", "operator"]}
    assert house.api("PUT", "/resources/principals/roles-both", doc).status in (200, 201)
    narrow = token(house, "roles-both", roles=["auditor"])
    assert house.api("GET", "/whoami", token=narrow).json["roles"] == ["auditor"]
    assert house.api("POST", "/tokens", {"endpoint": "servers"}, token=narrow).status == 403
    # Roles that the principal has not are not had by writing them into a token.
    wide = token(house, "roles-both", roles=["admin", "operator"])
    assert house.api("GET", "/whoami", token=wide).json["roles"] == ["operator"]
    assert house.api("POST", "/tokens", {"type": "api", "principal": "roles-both", "roles": ["amdin"]}).status == 422


def test_principal__disabled_or_gone(house, world):
    doc = {"kind": "Principal", "name": "roles-brief", "roles": ["auditor"]}
    house.api("PUT", "/resources/principals/roles-brief", doc)
    bearer = token(house, "roles-brief")
    assert house.api("GET", "/status", token=bearer).status == 200
    house.api("PUT", "/resources/principals/roles-brief", {**doc, "disabled": True})
    assert house.api("GET", "/status", token=bearer).status == 401
    house.api("DELETE", "/resources/principals/roles-brief")
    assert house.api("GET", "/status", token=bearer).status == 401


def test_token__revoked(house, world):
    reply = house.api("POST", "/tokens", {"type": "api", "principal": "roles-auditor"})
    assert house.api("GET", "/status", token=reply.json["token"]).status == 200
    assert house.api("GET", "/tokens/" + reply.json["id"]).json["status"] == "open"
    assert house.api("DELETE", "/tokens/" + reply.json["id"]).status == 204
    assert house.api("GET", "/tokens/" + reply.json["id"]).json["status"] == "revoked"
    assert house.api("GET", "/status", token=reply.json["token"]).status == 401


def client_certificate(house, world, name):
    """A certificate and key for a principal, and its fingerprint."""
    ssl = world["ssl"]
    reply = house.api("POST", "/enroll", {"csr": csr(ssl, name), "profile": "enterprise-tls-47d"})
    if reply.status != 201:
        reply = house.api("POST", "/enroll", {"csr": csr(ssl, name), "profile": "server-internal-1y"})
    assert reply.status == 201, reply
    path = ssl.file(name + ".pem")
    with open(path, "w", encoding="ascii") as f:
        f.write(reply.json["certificate"])
    der = base64.b64decode("".join(reply.json["certificate"].splitlines()[1:-1]))
    return path, ssl.file(name + ".key"), hashlib.sha256(der).hexdigest()


def test_client_certificate(house, world):
    cert, key, fingerprint = client_certificate(house, world, "roles-mtls")
    # Until a principal names it, it is nobody's.
    assert house.api("GET", "/status", token="", cert=cert, key=key).status == 401
    doc = {"kind": "Principal", "name": "roles-mtls", "roles": ["operator"], "certificate-fingerprint": fingerprint}
    assert house.api("PUT", "/resources/principals/roles-mtls", doc).status in (200, 201)
    who = house.api("GET", "/whoami", token="", cert=cert, key=key).json
    assert who["principal"] == "roles-mtls" and who["roles"] == ["operator"]
    assert house.api("POST", "/tokens", {"endpoint": "servers"}, token="", cert=cert, key=key).status == 201
    assert house.api("PUT", "/resources/profiles/roles-x?dry_run=1", PROFILE, token="", cert=cert, key=key).status == 403
    # In another tenant it is nobody, and a principal there with the same certificate changes nothing here.
    assert house.api("GET", "/tenants/roles-other/status", token="", cert=cert, key=key).status == 401
    other = {"kind": "Principal", "name": "roles-thief", "roles": ["auditor"], "certificate-fingerprint": fingerprint}
    assert house.api("PUT", "/tenants/roles-other/resources/principals/roles-thief", other).status in (200, 201)
    assert house.api("GET", "/whoami", token="", cert=cert, key=key).json["principal"] == "roles-mtls"
    there = house.api("GET", "/tenants/roles-other/whoami", token="", cert=cert, key=key).json
    assert there["principal"] == "roles-thief" and there["roles"] == ["auditor"]
    house.api("PUT", "/resources/principals/roles-mtls", {**doc, "disabled": True})
    assert house.api("GET", "/status", token="", cert=cert, key=key).status == 401


# ---- tenants apart ----


@pytest.fixture(scope="module")
def tenant_admin(house, world):
    """An administrator of the other tenant alone."""
    doc = {"kind": "Principal", "name": "roles-ruler", "roles": ["admin"]}
    assert house.api("PUT", "/tenants/roles-other/resources/principals/roles-ruler", doc).status in (200, 201)
    return token(house, "roles-ruler", "/tenants/roles-other")


def test_tenants__nothing_of_the_other(house, world, tenant_admin):
    at = "/tenants/roles-other"
    assert house.api("GET", at + "/status", token=tenant_admin).json["tenant"] == "roles-other"
    assert house.api("GET", at + "/certificates", token=tenant_admin).json["items"] == []
    assert house.api("GET", f"{at}/certificates/{world['serial'][OWN]}", token=tenant_admin).status == 404
    assert house.api("POST", f"{at}/certificates/{world['serial'][OWN]}/revoke", HOLD, token=tenant_admin).status == 404
    assert house.api("GET", at + "/devices", token=tenant_admin).json["items"] == []
    assert house.api("GET", at + "/devices/" + OWN, token=tenant_admin).status == 404
    assert house.api("GET", at + "/resources/profiles/server-internal-1y", token=tenant_admin).status == 404
    assert house.api("GET", at + "/authorities", token=tenant_admin).json["items"] == []
    ids = {t["id"] for t in house.api("GET", at + "/tokens", token=tenant_admin).json["items"]}
    assert world["tokens"]["auditor"].split(".")[0] not in ids
    for path in ("/status", "/certificates", "/devices", "/tenants/house/status", "/tenants/roles-none/status"):
        assert house.api("GET", path, token=tenant_admin).status in (401, 403, 404)
    events = house.api("GET", at + "/register/events", token=tenant_admin).json["items"]
    assert all(OWN not in e["subject"] for e in events)


def test_tenants__names_are_not_for_everybody(house, world, tenant_admin):
    at = "/tenants/roles-other"
    names = [t["name"] for t in house.api("GET", at + "/resources/tenants", token=tenant_admin).json["items"]]
    assert names == ["roles-other"]
    assert house.api("GET", at + "/resources/tenants/default", token=tenant_admin).status == 404
    assert house.api("GET", at + "/resources/tenants/roles-other", token=tenant_admin).status == 200
    assert [t["name"] for t in house.api("GET", at + "/whoami", token=tenant_admin).json["tenants"]] == ["roles-other"]
    assert len(house.api("GET", "/resources/tenants").json["items"]) >= 2


def test_tenants__no_way_up(house, world, tenant_admin):
    at = "/tenants/roles-other"
    great = {"kind": "Principal", "name": "roles-great", "roles": ["admin"], "all-tenants": True}
    reply = house.api("PUT", at + "/resources/principals/roles-great", great, token=tenant_admin)
    assert reply.status == 422 and reply.json["field"] == "/all-tenants"
    assert house.api("PUT", at + "/resources/principals/roles-great?house=1", great, token=tenant_admin).status == 403
    assert house.api("PUT", at + "/resources/tenants/roles-new", {"kind": "Tenant", "name": "roles-new"}, token=tenant_admin).status == 403
    assert house.api("DELETE", at + "/resources/tenants/default", token=tenant_admin).status == 403
    assert house.api("POST", at + "/tokens", {"type": "api", "principal": "admin"}, token=tenant_admin).status == 404
    # A document that names another tenant is not put into this one, nor into that.
    reply = house.api("PUT", at + "/resources/principals/roles-odd", {"kind": "Principal", "name": "roles-odd", "roles": ["admin"], "tenant": "default"},
                      token=tenant_admin)
    assert reply.status == 422 and reply.json["field"] == "/tenant"
