"""CAA (RFC 8659, 8657): an ACME profile that asks for it issues only what the owners of the names let it."""
import base64
import json
import uuid

import pytest

from test_acme import make_csr, refused, world  # noqa: F401 (a fixture)

PROFILE = {"kind": "Profile", "name": "acme-caa", "authority": "issuing-ca", "lifetime": {"default": "10d"}, "caa": "required",
           "subject": {"empty": "allow"}, "san": {"allow": {"dns": {"wildcards": True}, "ip": {}}, "min": 1}}


@pytest.fixture(scope="module")
def client(world):
    approved = {**PROFILE, "name": "acme-caa-approved", "approval": {"required": True}}
    for profile in (PROFILE, approved):
        world.house.cli("apply", "-f", "-", data=json.dumps(profile))
    world.open("acme-caa", profiles=["acme-caa", "acme-caa-approved"], challenges=["http-01", "dns-01", "dns-persist-01"],
               **{"caa-identities": ["ca.example", "second.example"]})
    return world.client("acme-caa")


def ready(world, client, *names, **more):
    for name in names:
        world.name(name.removeprefix("*."))
        world.dns.set_txt("_validation-persist." + name.removeprefix("*."), [f"ca.example; accounturi={client.kid}; policy=wildcard"])
    order = client.order(*names, **more)
    for url in order.value["authorizations"]:
        authz = client.post(url).json
        if authz["status"] == "pending":
            kind = "dns-persist-01" if authz.get("wildcard") else "http-01"
            challenge = order.challenge(authz, kind)
            if kind == "http-01":
                world.web.provide("", challenge["token"], client.key_authorization(challenge["token"]))
            client.post(challenge["url"], {})
            assert client.wait(url, lambda z: z["status"] != "pending")["status"] == "valid"
    return order


def outcome(world, client, name, *records, at=None):
    """Finalize an order of one name whose zone has these records; "valid" or the problem's type and detail."""
    for record in records:
        world.dns.add(at or name.removeprefix("*."), "CAA", record)
    order = ready(world, client, name)
    try:
        return order.finalize(make_csr([name])[0]).json["status"]
    except Exception as problem:
        assert problem.status in (403, 400) and order.refresh()["status"] == "ready"
        return problem.type + ": " + problem.document["detail"]


def fresh():
    return f"{uuid.uuid4().hex[:10]}.caa.example.test"


def test_directory(client):
    assert client.directory["meta"]["caaIdentities"] == ["ca.example", "second.example"]


@pytest.mark.parametrize("records,expected", [
    ([], "valid"),
    (["issue ca.example"], "valid"),
    (["issue other.example", "issue SECOND.example; policy=ev"], "valid"),
    (["issue other.example"], "name other authorities"),
    (["issue ;"], "let nobody issue"),
    (["iodef mailto:a@example.org"], "valid"),
    (["issuewild other.example"], "valid"),
    (["issuemail ;"], "valid"),
    (["unknown x"], "valid"),
    (["critical unknown x", "issue ca.example"], "critical property"),
    (["critical issue ca.example"], "valid"),
    (["issue ca.example; accounturi=https://elsewhere.example/1"], "another account"),
    (["issue ca.example; accounturi=KID"], "valid"),
    (["issue ca.example; accounturi=KID; accounturi=KID"], "can't be read"),
    (["issue ca.example; validationmethods=dns-01,http-01"], "valid"),
    (["issue ca.example; validationmethods=dns-01"], "other challenges"),
    (["issue ca.example; broken"], "can't be read"),
])
def test_records(world, client, records, expected):
    got = outcome(world, client, fresh(), *(r.replace("KID", client.kid) for r in records))
    assert got == expected if expected == "valid" else got.startswith("caa: ") and expected in got, got


@pytest.mark.parametrize("records,expected", [
    (["issue ca.example"], "valid"),
    (["issuewild ca.example", "issue other.example"], "valid"),
    (["issuewild ;", "issue ca.example"], "let nobody issue"),
    (["issuewild ca.example; validationmethods=dns-persist-01"], "valid"),
])
def test_wildcard(world, client, records, expected):
    got = outcome(world, client, "*." + fresh(), *records)
    assert got == expected if expected == "valid" else expected in got, got


def test_tree(world, client):
    name = fresh()
    assert "other authorities" in outcome(world, client, "a.b." + name, "issue other.example", at=name)
    assert outcome(world, client, "c." + name, "issue ca.example", at="c." + name) == "valid"  # the nearest set counts
    world.dns.add("alias." + name, "CNAME", "target.caa.example.test")
    world.dns.add("target.caa.example.test", "CAA", "issue ca.example")
    world.dns.add("target.caa.example.test", "A", "127.0.0.1")
    assert outcome(world, client, "alias." + name) == "valid"  # an alias' records are its target's, before the parent's


def test_no_answer(world, client):
    name = fresh()
    order = ready(world, client, name)
    world.dns.faults[name] = "servfail"
    problem = refused(order.finalize, make_csr([name])[0])
    assert (problem.status, problem.type) == (400, "dns") and "SERVFAIL" in problem.document["detail"]
    del world.dns.faults[name]
    assert client.wait(order.url, lambda o: o["status"] == "ready")


def test_several_names(world, client):
    good, bad, worse = fresh(), fresh(), fresh()
    world.dns.add(bad, "CAA", "issue other.example")
    order = ready(world, client, good, bad, worse)
    world.dns.add(worse, "CAA", "issue ;")
    csr = make_csr([good, bad, worse])[0]
    problem = refused(order.finalize, csr)
    assert (problem.status, problem.type) == (403, "caa")
    assert [(s["identifier"]["value"], s["type"].rpartition(":")[2]) for s in problem.document["subproblems"]] == [(bad, "caa"), (worse, "caa")]
    world.dns.faults[worse] = "servfail"
    assert refused(order.finalize, csr).type == "compound"
    denied = [line for line in world.house.cli("register", "export").stdout.splitlines() if "enrollment.denied" in line]
    assert any('"caa' in line.replace("\\", "") and bad in line for line in denied), denied[-1:]
    assert order.refresh()["status"] == "ready"


def test_addresses(world, client):
    order = client.order({"type": "ip", "value": "127.0.0.1"})
    order.prove("http-01", world.web.provide)
    assert order.finalize(make_csr(["127.0.0.1"])[0]).json["status"] == "valid"


def test_other_doors(world, client):
    csr = make_csr([fresh()])[0]
    pem = "-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(csr).decode() + "-----END CERTIFICATE REQUEST-----\n"
    endpoint = {"kind": "Endpoint", "name": "rest-caa", "protocol": "rest", "profiles": ["acme-caa"]}
    world.house.cli("apply", "-f", "-", data=json.dumps(endpoint))
    reply = world.house.api("POST", "/enroll", {"endpoint": "rest-caa", "profile": "acme-caa", "csr": pem})
    assert reply.status in (403, 422) and "ACME" in json.dumps(reply.json), reply.body


def test_approval(world, client):
    """What waits for approval is looked at again when that comes."""
    name = fresh()
    world.dns.add(name, "CAA", "issue ca.example")
    order = ready(world, client, name, profile="acme-caa-approved")
    before = {r["id"] for r in world.house.api("GET", "/requests?status=pending").json["items"]}
    assert order.finalize(make_csr([name])[0]).json["status"] == "processing"
    [waiting] = {r["id"] for r in world.house.api("GET", "/requests?status=pending").json["items"]} - before
    world.dns.remove(name, "CAA")
    world.dns.add(name, "CAA", "issue other.example")
    assert "other authorities" in world.house.cli("request", "approve", waiting, ok=False).stderr
    assert order.refresh()["status"] == "processing"
    world.dns.remove(name, "CAA")
    world.dns.add(name, "CAA", "issue ca.example")
    world.house.cli("request", "approve", waiting)
    assert order.refresh()["status"] == "valid" and len(order.certificates()) == 2


def test_dnssec(world):
    """An answer that does not verify is none, and the error says what to do about a domain that exists inside only."""
    world.open("acme-caa-signed", profiles=["acme-caa"], validation={"dnssec": True, "insecure-domains": ["example.test"], "attempts": 1})
    c = world.client("acme-caa-signed")
    outside = c.order("host.signed.test")
    challenge = outside.challenge(outside.authorizations()[0], "dns-01")
    c.post(challenge["url"], {})
    authz = c.wait(outside.value["authorizations"][0], lambda z: z["status"] != "pending")
    error = outside.challenge(authz, "dns-01")["error"]
    assert error["type"].endswith(":dns") and "insecure-domains" in error["detail"], error
    order = ready(world, c, fresh())  # the domain is excepted, its parent is not
    problem = refused(order.finalize, make_csr([order.value["identifiers"][0]["value"]])[0])
    assert problem.type == "dns" and "insecure-domains" in problem.document["detail"], problem.document
