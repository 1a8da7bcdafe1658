"""Requests that wait for a person, from outside: asked over EST, looked at and decided on the command line, asked again. And certificates
that expired before they were renewed."""
import time

import pytest

from test_est import basic, certificates, enroll, post, serial, token


@pytest.fixture
def four_eyes(house):
    """An EST endpoint whose profile wants a second person; its label."""
    profile = house.cli_json("get", "profiles", "server-internal-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document.update(name="approval-four-eyes", approval={"required": True, "roles": ["operator", "admin"]})
    assert house.api("PUT", "/resources/profiles/approval-four-eyes", document).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "approval", "protocol": "est", "profiles": ["approval-four-eyes"],
                "authentication": {"token": True, "certificate": True}}
    assert house.api("PUT", "/resources/endpoints/approval", endpoint).status in (200, 201)
    yield "approval"
    house.api("DELETE", "/resources/endpoints/approval")
    house.api("DELETE", "/resources/profiles/approval-four-eyes")


def ask(house, openssl, label, name):
    """A request over EST that has to wait: (CSR, token's header)."""
    made = token(house, endpoint=label, names=["DNS:" + name])
    csr = openssl.csr(name, "/", "DNS:" + name)
    reply = post(house, openssl, f"/{label}/simpleenroll", csr, basic(made))
    assert reply.status == 202 and int(reply.headers["Retry-After"]) > 0, reply
    assert reply.body.startswith(b"approval: ")
    return csr, basic(made)


def waiting(house, name):
    """The id of the one request that waits for this name, as the command line lists it."""
    found = [r for r in house.cli_json("request", "list", "--status", "pending") if name in str(r)]
    if not found:
        pending = house.cli_json("request", "list", "--status", "pending")
        found = [r for r in pending if name in house.cli("request", "show", r["id"], "-o", "json").stdout]
    assert len(found) == 1, found
    return found[0]["id"]


def test_approve(house, openssl, four_eyes):
    name = "approve-me.example.org"
    csr, header = ask(house, openssl, four_eyes, name)
    assert post(house, openssl, f"/{four_eyes}/simpleenroll", csr, header).status == 202, "asking again changes nothing"
    number = waiting(house, name)
    house.cli("request", "approve", number, "--comment", "ticket 4711")
    reply = post(house, openssl, f"/{four_eyes}/simpleenroll", csr, header)
    assert reply.status == 200, reply
    cert, _ = certificates(openssl, reply, "approved.pem")
    assert name in openssl.text("x509", "-in", cert, "-noout", "-ext", "subjectAltName")
    # The answer was lost? The same certificate again, none besides it.
    again = post(house, openssl, f"/{four_eyes}/simpleenroll", csr, header)
    assert again.status == 200 and again.body == reply.body
    shown = house.cli_json("request", "show", number)
    assert shown["status"] == "done"
    # The register knows what was asked and who decided.
    events = house.cli("register", "show", "--type", "enrollment", "-o", "json").stdout
    assert "enrollment.pending" in events
    assert house.cli("request", "approve", number, ok=False).stderr, "a decision stands"
    assert house.cli("request", "reject", number, ok=False).stderr
    found = house.api("GET", "/certificates?san=DNS:" + name).json["items"]
    assert [c["serial"] for c in found] == [serial(openssl, cert)]


def test_reject(house, openssl, four_eyes):
    name = "reject-me.example.org"
    csr, header = ask(house, openssl, four_eyes, name)
    number = waiting(house, name)
    house.cli("request", "reject", number, "--comment", "unknown machine")
    reply = post(house, openssl, f"/{four_eyes}/simpleenroll", csr, header)
    assert reply.status == 403 and reply.body.startswith(b"approval.rejected: "), reply
    assert house.cli("request", "approve", number, ok=False).stderr
    assert post(house, openssl, f"/{four_eyes}/simpleenroll", csr, header).status == 403


def test_approve__through_the_api(house, openssl, four_eyes):
    name = "api-approve.example.org"
    csr, header = ask(house, openssl, four_eyes, name)
    number = waiting(house, name)
    assert house.api("GET", f"/requests/{number}").json["status"] == "pending"
    assert house.api("POST", f"/requests/{number}/approve", {"comment": "seen"}).status == 200
    assert post(house, openssl, f"/{four_eyes}/simpleenroll", csr, header).status == 200
    assert house.api("POST", f"/requests/{number}/approve", {"comment": "again"}).status in (404, 409)


def test_approve__only_by_whom_the_profile_names(house, openssl, four_eyes):
    name = "auditor.example.org"
    csr, header = ask(house, openssl, four_eyes, name)
    number = waiting(house, name)
    principal = {"kind": "Principal", "name": "approval-auditor", "roles": ["auditor"]}
    assert house.api("PUT", "/resources/principals/approval-auditor", principal).status in (200, 201)
    made = house.api("POST", "/tokens", {"type": "api", "principal": "approval-auditor", "roles": ["auditor"], "ttl": "1h"})
    assert made.status == 201, made
    reply = house.api("POST", f"/requests/{number}/approve", {"comment": "me"}, token=made.json["token"])
    assert reply.status == 403, reply
    assert post(house, openssl, f"/{four_eyes}/simpleenroll", csr, header).status == 202
    house.cli("request", "approve", number)


@pytest.fixture
def self_service(house):
    """A profile that owners ask for and a group decides, within an hour; tokens of those who take part."""
    profile = {"kind": "Profile", "name": "approval-self", "authority": "issuing-ca", "lifetime": {"default": "30d"},
               "callers": ["principal"], "roles": ["owner", "operator"], "subject": {"allow": [{"attr": "CN"}]}, "san": {"allow": {"dns": {"suffixes": ["self.example.org"]}}, "min": 1},
               "usage": {"key-usage": ["digitalSignature"], "eku": ["serverAuth"]},
               "approval": {"required": True, "roles": [], "groups": ["approval-plant"], "deadline": "1h"}}
    reply = house.api("PUT", "/resources/profiles/approval-self", profile)
    assert reply.status in (200, 201), reply
    rest = house.cli_json("get", "endpoints", "rest")
    endpoint = {k: v for k, v in rest.items() if k not in ("version", "metadata")}
    assert house.api("PUT", "/resources/endpoints/rest", {**endpoint, "profiles": [*rest["profiles"], "approval-self"]}).status == 200
    people = {}
    for name, more in (("owner", {"roles": ["owner"], "owner-of": "approval-team"}), ("stranger", {"roles": ["owner"], "owner-of": "else"}),
                       ("head", {"roles": ["owner"], "owner-of": "x", "groups": ["approval-plant"]}), ("operator", {"roles": ["operator"]}),
                       ("auditor", {"roles": ["auditor"]})):
        document = {"kind": "Principal", "name": "approval-" + name, **more}
        assert house.api("PUT", "/resources/principals/approval-" + name, document).status in (200, 201)
        people[name] = house.api("POST", "/tokens", {"type": "api", "principal": "approval-" + name, "ttl": "1h"}).json["token"]
    assert house.api("PUT", "/devices/APPROVAL-1", {"owner": "approval-team"}).status in (200, 201)
    yield people
    assert house.api("PUT", "/resources/endpoints/rest", endpoint).status == 200
    house.api("DELETE", "/resources/profiles/approval-self")


def test_self_service__owner_asks_group_approves_owner_fetches(house, openssl, self_service):
    who = self_service
    with open(openssl.csr("self", "/CN=one.self.example.org", "DNS:one.self.example.org"), encoding="ascii") as f:
        wanted = {"csr": f.read(), "profile": "approval-self", "device": "APPROVAL-1"}
    asked = house.api("POST", "/enroll", wanted, token=who["owner"])
    assert asked.status == 202, asked
    path = "/requests/" + asked.json["request"]
    shown = house.api("GET", path, token=who["owner"]).json
    assert shown["mine"] and not shown["may_decide"] and shown["status"] == "pending" and shown["asked_by"] == "approval-owner"
    begin, end = (time.mktime(time.strptime(shown[k], "%Y-%m-%dT%H:%M:%SZ")) for k in ("created_at", "expires_at"))
    assert end - begin == 3600, "the profile's deadline"
    # Who may see it, and in whose queue it stands.
    ids = lambda query, name: [r["id"] for r in house.api("GET", "/requests?" + query, token=who[name]).json["items"]]  # noqa: E731
    assert ids("mine=1", "owner") == ids("to_decide=1", "head") == [shown["id"]]
    assert ids("", "stranger") == [] and shown["id"] not in ids("to_decide=1", "operator")
    assert shown["id"] in ids("status=pending", "auditor")
    assert house.api("GET", path, token=who["stranger"]).status == 404
    # They talk about it; strangers don't, and auditors read.
    assert house.api("POST", path + "/comments", {"comment": "which pump?"}, token=who["head"]).status == 200
    talk = house.api("POST", path + "/comments", {"comment": "the <b>red</b> one"}, token=who["owner"]).json["comments"]
    assert [(c["by"], c["text"]) for c in talk] == [("approval-head", "which pump?"), ("approval-owner", "the <b>red</b> one")]
    for name, status in (("stranger", 404), ("auditor", 403)):
        assert house.api("POST", path + "/comments", {"comment": "x"}, token=who[name]).status == status
    assert house.api("POST", path + "/comments", {"comment": ""}, token=who["head"]).status == 422
    # Only the group's word counts, and nobody's own.
    for name, status in (("operator", 403), ("owner", 403), ("auditor", 403), ("stranger", 404)):
        assert house.api("POST", path + "/approve", {}, token=who[name]).status == status, name
    pem = {"Accept": "application/pem-certificate-chain"}
    assert house.api("GET", path, token=who["owner"], headers=pem).status == 404
    done = house.api("POST", path + "/approve", {"comment": "go"}, token=who["head"])
    assert done.status == 200 and done.json["status"] == "done", done
    assert done.json["comments"][-1] == {**done.json["comments"][-1], "by": "approval-head", "text": "go", "decision": "approved"}
    fetched = house.api("GET", path, token=who["owner"])
    assert fetched.json["certificate"].startswith("-----BEGIN CERTIFICATE-----") and fetched.json["serial"]
    chain = house.api("GET", path, token=who["owner"], headers=pem)
    assert chain.headers["Content-Type"] == "application/pem-certificate-chain"
    assert chain.body.decode() == fetched.json["certificate"] + fetched.json["chain"] and chain.body.count(b"BEGIN") == 3
    assert ids("to_decide=1", "head") == []
    said = house.api("GET", f"/register/events?subject=request/{shown['id']}").json["items"]
    assert [e["type"] for e in said] == ["enrollment.commented", "enrollment.commented", "enrollment.approved"]


def test_self_service__rejected_with_a_reason(house, openssl, self_service):
    who = self_service
    with open(openssl.csr("no", "/CN=two.self.example.org", "DNS:two.self.example.org"), encoding="ascii") as f:
        wanted = {"csr": f.read(), "profile": "approval-self", "device": "APPROVAL-1"}
    path = "/requests/" + house.api("POST", "/enroll", wanted, token=who["owner"]).json["request"]
    house.cli("request", "comment", path.split("/")[-1], "not before Monday")
    assert house.api("POST", path + "/reject", {"comment": "not this year"}, token=who["head"]).status == 200
    shown = house.api("GET", path, token=who["owner"]).json
    assert shown["status"] == "rejected" and [c["text"] for c in shown["comments"]] == ["not before Monday", "not this year"]
    assert "certificate" not in shown
    listed = house.cli_json("request", "list", "--status", "rejected")
    assert shown["id"] in [r["id"] for r in listed]


def test_unknown_request(house):
    assert house.cli("request", "approve", "nothing-of-this-name", ok=False).stderr
    assert house.api("POST", "/requests/nothing-of-this-name/reject", {}).status == 404


def test_survives_a_restart(new_house, openssl):
    """What waits is durable: asked before a restart, approved after it."""
    house = new_house()
    house.start()
    profile = house.cli_json("get", "profiles", "server-internal-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document.update(approval={"required": True})
    assert house.api("PUT", "/resources/profiles/server-internal-1y", document).status in (200, 201)
    csr, header = ask(house, openssl, "servers", "later.example.org")
    house.stop()
    house.cli("request", "approve", waiting(house, "later.example.org"))  # without a server
    house.start()
    assert post(house, openssl, "/servers/simpleenroll", csr, header).status == 200


# ---- certificates that expired ----


@pytest.fixture
def short_lived(house, factory):
    """An endpoint for devices whose certificates live three seconds and may renew four seconds more."""
    profile = house.cli_json("get", "profiles", "device-ldevid-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document.update(name="approval-brief", lifetime={"default": "3s", "min": "1s", "backdate": "0s"},
                    renewal={**document.get("renewal", {}), "grace": "4s"})
    assert house.api("PUT", "/resources/profiles/approval-brief", document).status in (200, 201), document
    devices = house.cli_json("get", "endpoints", "devices")
    endpoint = {k: v for k, v in devices.items() if k not in ("version", "metadata")}
    endpoint.update(name="brief", profiles=["approval-brief"])
    assert house.api("PUT", "/resources/endpoints/brief", endpoint).status in (200, 201)
    yield "brief"
    house.api("DELETE", "/resources/endpoints/brief")
    house.api("DELETE", "/resources/profiles/approval-brief")


def test_expired__renews_within_the_grace(house, openssl, factory, short_lived):
    birth, birth_key = factory.idevid("BRIEF-1")
    reply = post(house, openssl, f"/{short_lived}/simpleenroll", openssl.csr("brief", "/serialNumber=BRIEF-1"), cert=birth, key=birth_key)
    assert reply.status == 200, reply
    issued = time.monotonic()
    cert, _ = certificates(openssl, reply, "brief.pem")
    key = openssl.file("brief.key")
    csr = openssl.csr("brief-again", "/serialNumber=BRIEF-1")
    time.sleep(4.2)
    assert openssl.run("x509", "-in", cert, "-noout", "-checkend", "0", ok=False).returncode == 1, "it has expired"
    # For anything but its own renewal it is worth nothing any more.
    refused = post(house, openssl, f"/{short_lived}/simpleenroll", csr, cert=cert, key=key)
    assert refused.status in (401, 403), refused
    reply = post(house, openssl, f"/{short_lived}/simplereenroll", csr, cert=cert, key=key)
    assert reply.status == 200, reply
    renewed, _ = certificates(openssl, reply, "brief-renewed.pem")
    assert serial(openssl, renewed) != serial(openssl, cert)
    # Beyond the grace of the first one.
    time.sleep(max(0.0, issued + 8.5 - time.monotonic()))
    late = post(house, openssl, f"/{short_lived}/simplereenroll", openssl.csr("brief-late", "/serialNumber=BRIEF-1"), cert=cert, key=key)
    assert late.status in (401, 403) and late.body.startswith(b"renewal.grace: "), late


def test_expired__without_grace(house, openssl, factory):
    """The device's ordinary profile: its certificate renews, as long as it lives."""
    cert, key = enroll(house, openssl, factory, "BRIEF-2")
    csr = openssl.csr("usual", "/serialNumber=BRIEF-2")
    assert post(house, openssl, "/devices/simplereenroll", csr, cert=cert, key=key).status == 200
