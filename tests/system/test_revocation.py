"""Mass revocation as a job: who is touched, done once, gone on with after kill -9, approved by a second person, stopped, planned; and how long
each model took to say so."""
import base64
import datetime
import json
import os
import signal
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conftest import House

SECONDS = 60  # a deadline for a machine that is busy with other things


def csr_of(name, key=None):
    """DER of a request; python makes a thousand of them while openssl starts ten times."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def add_profile(house, name, **changes):
    """A profile of its own for each test, open at the REST endpoint."""
    doc = {k: v for k, v in house.cli_json("get", "profile", "server-internal-1y").items() if k != "version"}
    house.cli("apply", "-f", "-", data=json.dumps(doc | {"name": name} | changes))
    door = house.cli_json("get", "endpoint", "rest")
    door["profiles"].append(name)
    house.cli("apply", "-f", "-", data=json.dumps(door))


def issue_many(house, profile, names, device=None):
    """Serials in the order of the names."""
    lines = [json.dumps({"id": name, "csr": base64.b64encode(csr_of(name)).decode()} | ({"device": device(name)} if device else {}))
             for name in names]
    reply = house.api("POST", "/enroll/bulk?endpoint=rest&profile=" + profile, "\n".join(lines) + "\n", content_type="application/x-ndjson")
    assert reply.status == 200, reply
    results = {r["id"]: r for r in map(json.loads, reply.body.splitlines())}
    assert all(r["status"] == "issued" for r in results.values()), list(results.values())[:2]
    return [results[name]["serial"] for name in names]


def names_of(stem, n):
    return [f"{stem}-{i}.example.org" for i in range(n)]


def until(what, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > deadline:
            assert found, "it never came"
            return found
        time.sleep(0.05)


def job_of(house, id_):
    return house.api("GET", "/revocations/" + id_).json


def operator(house, name):
    """A second person: its token."""
    doc = {"kind": "Principal", "name": name, "roles": ["operator"]}
    assert house.api("PUT", "/resources/principals/" + name, doc).status in (200, 201)
    made = house.api("POST", "/tokens", {"type": "api", "principal": name, "ttl": "1h"}).json
    return made["id"] + "." + made["secret"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A house that these tests kill, stop and set up as they need it."""
    h = House(tmp_path_factory.mktemp("revocation") / "home")
    try:
        yield h.start()
    finally:
        h.stop()


def test_query__counted_and_told_whom_it_touches(house):
    add_profile(house, "touch-a")
    for n in range(3):
        house.api("PUT", f"/devices/touch-dev-{n}", {"owner": "ops" if n else "lab"})
    issue_many(house, "touch-a", names_of("touch", 6), device=lambda name: f"touch-dev-{int(name.split('-')[1].split('.')[0]) % 3}")
    dry = house.cli_json("cert", "revoke", "--query", "profile=touch-a", "--dry-run")
    assert dry["matched"] == 6 and dry["touched"]["devices"] == 3
    assert dry["touched"]["profiles"] == [{"name": "touch-a", "n": 6}]
    assert sorted((o["name"], o["n"]) for o in dry["touched"]["owners"]) == [("lab", 1), ("ops", 2)]
    dry = house.cli_json("cert", "revoke", "--query", "owner=lab profile=touch-a", "--dry-run")
    assert dry["matched"] == 2 and len(dry["first"]) == 2
    past = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert house.cli_json("cert", "revoke", "--query", f"profile=touch-a issued-before={past}", "--dry-run")["matched"] == 0
    assert house.cli_json("cert", "revoke", "--query", f"profile=touch-a,issued-after={past}", "--dry-run")["matched"] == 6
    assert "takes authority=" in house.cli("cert", "revoke", "--query", "colour=red", "--dry-run", ok=False).stderr
    done = house.cli_json("cert", "revoke", "--device", "touch-dev-0", "--expect", "2", "--reason", "keyCompromise", "--wait")
    assert done["revoked"] == 2 and done["job"]["which"] == "device=touch-dev-0"
    assert house.cli_json("cert", "revoke", "--query", "profile=touch-a", "--dry-run")["matched"] == 4


def test_key__asked_twice_done_once(house):
    add_profile(house, "once")
    serials = issue_many(house, "once", names_of("once", 4))
    body = {"serials": serials[:2], "reason": "superseded"}
    first = house.api("POST", "/revocations", body, headers={"Idempotency-Key": "ticket-1"}).json
    again = house.api("POST", "/revocations", body, headers={"Idempotency-Key": "ticket-1"}).json
    assert first["job"]["id"] == again["job"]["id"] and again["revoked"] == 2
    other = house.api("POST", "/revocations", {"serials": serials[2:], "key": "ticket-1"})
    assert other.status == 409 and first["job"]["id"] in other.json["detail"]
    assert house.api("GET", "/certificates/" + serials[3]).json["status"] == "valid"


def test_wrong__said(house):
    add_profile(house, "wrong")
    serial = issue_many(house, "wrong", ["wrong.example.org"])[0]
    for body, status in (({"serials": ["00" * 16]}, 404), ({"serials": ["xy"]}, 422), ({}, 422), ({"profile": "wrong"}, 422),
                         ({"serials": [serial], "profile": "wrong"}, 422), ({"serials": [serial], "reason": "boredom"}, 422),
                         ({"profile": "wrong", "expect": 2}, 409), ({"serials": [serial], "reason": "keyCompromise", "after": "1h"}, 422),
                         ({"serials": [serial], "after": "1h", "explanation": "ftp://x"}, 422)):
        assert house.api("POST", "/revocations", body).status == status, body
    assert house.api("GET", "/revocations/nothing").status == 404
    assert house.api("GET", "/certificates/" + serial).json["status"] == "valid"


def test_four_eyes(own):
    house = own
    add_profile(house, "eyes")
    issue_many(house, "eyes", names_of("eyes", 6))
    tenant = house.cli_json("get", "tenant", "default")
    house.cli("apply", "-f", "-", data=json.dumps({k: v for k, v in tenant.items() if k != "version"} | {"revocation": {"approve-above": 3}}))
    second = operator(house, "second")
    asked = house.api("POST", "/revocations", {"profile": "eyes", "expect": 6, "reason": "superseded"}).json["job"]
    assert asked["status"] == "waits-for-approval" and asked["needs_approval"] and asked["revoked"] == 0
    refused = house.api("POST", f"/revocations/{asked['id']}/approve")
    assert refused.status == 403 and refused.json["rule"] == "approval.four-eyes"
    assert house.api("POST", f"/revocations/{asked['id']}/cancel", token=second).json["status"] == "canceled"
    assert house.api("POST", f"/revocations/{asked['id']}/approve", token=second).status == 409
    waiting = house.cli("cert", "revoke", "--query", "profile=eyes", "--expect", "6", "--reason", "superseded", "--wait")
    assert "somebody else" in waiting.stderr
    id_ = house.cli_json("revocation", "list", "--status", "waits-for-approval")[0]["id"]
    assert house.cli("revocation", "approve", id_, ok=False).returncode == 1, "the same person again"
    assert house.api("POST", f"/revocations/{id_}/approve", {"comment": "ticket 7"}, token=second).status == 200
    done = until(lambda: (j := job_of(house, id_))["revoked_at"] and j)
    assert done["revoked"] == 6 and done["approved_by"] == "second"
    # Few are nobody else's business.
    more = issue_many(house, "eyes", ["few.example.org"])
    assert house.cli_json("cert", "revoke", *more, "--wait")["revoked"] == 1
    events = [e["type"] for e in json.loads(house.cli("register", "show", "--type", "revocation", "-o", "json").stdout)]
    assert {"revocation.started", "revocation.approved", "revocation.canceled", "revocation.done"} <= set(events)
    house.cli("apply", "-f", "-", data=json.dumps({k: v for k, v in tenant.items() if k != "version"}))


def test_kill__goes_on_where_it_was(own):
    """Killed while it runs, twice; in the end each certificate is revoked once, and the job's sums say so."""
    house = own
    add_profile(house, "killed")
    n = 1000
    serials = issue_many(house, "killed", names_of("killed", n))
    started = house.api("POST", "/revocations", {"serials": serials, "reason": "cessationOfOperation", "wait": "0s"}).json["job"]
    for _ in range(2):
        until(lambda: job_of(house, started["id"])["revoked"] > 0)
        os.kill(house.process.pid, signal.SIGKILL)
        house.process.wait()
        house.start()
    done = until(lambda: (j := job_of(house, started["id"]))["revoked_at"] and j)
    assert (done["matched"], done["revoked"], done["revoked_before"]) == (n, n, 0)
    events = json.loads(house.cli("register", "show", "--type", "certificate.revoked", "-o", "json", "--limit", "100000", timeout=120).stdout)
    revoked = [e["body"]["serial"] for e in events if e["body"].get("job") == started["id"]]
    assert sorted(revoked) == sorted(serials), "each once"
    assert until(lambda: (j := job_of(house, started["id"]))["status"] == "done" and j, 60)["effects"]


def test_cancel__what_is_revoked_stays(house):
    add_profile(house, "stopped")
    serials = issue_many(house, "stopped", names_of("stopped", 5))
    planned = house.cli_json("cert", "revoke", *serials, "--after", "1h", "--reason", "superseded")["job"]
    until(lambda: job_of(house, planned["id"])["status"] == "planned")
    assert job_of(house, planned["id"])["asked_to_renew"] == 5
    house.cli("cert", "revoke", serials[0])
    assert house.cli_json("revocation", "cancel", planned["id"])["status"] == "canceled"
    assert house.cli("revocation", "cancel", planned["id"], ok=False).returncode == 1
    states = [house.api("GET", "/certificates/" + s).json["status"] for s in serials]
    assert states == ["revoked"] + 4 * ["valid"]


def test_planned__who_renewed_is_superseded(house):
    """One holder renews in time, one does not; the deadline passes."""
    add_profile(house, "planned")
    old = issue_many(house, "planned", names_of("planned", 2))
    asked = house.cli_json("cert", "revoke", "--query", "profile=planned", "--after", "4s", "--expect", "2", "--reason", "cessationOfOperation")
    until(lambda: job_of(house, asked["job"]["id"])["status"] == "planned")
    time.sleep(1.1)  # what was issued in the same second as the job may be older
    fresh = issue_many(house, "planned", names_of("planned", 1))
    assert house.api("GET", "/certificates/" + old[0]).json["status"] == "valid"
    done = json.loads(house.cli("revocation", "show", asked["job"]["id"], "--wait", "-o", "json").stdout)
    assert (done["revoked"], done["superseded"], done["asked_to_renew"]) == (2, 1, 2)
    rows = [house.api("GET", "/certificates/" + s).json for s in old + fresh]
    assert [r.get("reason") for r in rows] == ["superseded", "cessationOfOperation", None]


def test_planned__replace_first(house):
    """Whoever has renewed is revoked at once; the others have until the deadline, also over a restart."""
    add_profile(house, "replaced")
    old = issue_many(house, "replaced", names_of("replaced", 2))
    asked = house.cli_json("cert", "revoke", *old, "--replace-first", "--after", "100s", "--reason", "superseded")["job"]
    until(lambda: job_of(house, asked["id"])["status"] == "planned")
    time.sleep(1.1)
    issue_many(house, "replaced", names_of("replaced", 1))
    assert house.api("POST", "/renewals", {"serials": [old[1]]}).status == 200, "an operator may move the window again"
    until(lambda: house.api("GET", "/certificates/" + old[0]).json["status"] == "revoked", 90)
    assert house.api("GET", "/certificates/" + old[1]).json["status"] == "valid"
    assert job_of(house, asked["id"])["superseded"] == 1
    house.cli("revocation", "cancel", asked["id"])


def test_offline__done_before_it_returns(own):
    house = own
    add_profile(house, "offline")
    serials = issue_many(house, "offline", names_of("offline", 3))
    house.stop()
    done = house.cli_json("cert", "revoke", *serials, "--reason", "superseded")
    assert done["revoked"] == 3 and done["job"]["status"] == "taking-effect"
    planned = house.cli_json("cert", "revoke", *serials, "--reason", "superseded", "--after", "1s", "--key", "k")
    assert planned["job"]["status"] == "planned" and planned["revoked_before"] == 0
    house.start()
    assert until(lambda: job_of(house, done["job"]["id"])["status"] == "done")
    assert until(lambda: job_of(house, planned["job"]["id"])["status"] == "done"), "there was nothing left to revoke"


def test_effect__of_each_model(own):
    """CRL shard, delta, OCSP, filter and expiry: each says after how long, in the job and in the metrics."""
    house = own
    add_profile(house, "all-models")
    add_profile(house, "untold", revocation={"model": "none"},
                extensions={"no-rev-avail": True}, lifetime={"default": "1d", "max": "1d"}, renewal={"before": "33%"})
    authority = {k: v for k, v in house.cli_json("get", "authority", "issuing-ca").items() if k != "version"}
    authority["crl"] = authority.get("crl", {}) | {"delta": "60s", "shards": 4}
    house.cli("apply", "-f", "-", data=json.dumps(authority))
    house.cli("apply", "-f", "-", data=json.dumps({"kind": "Filter", "name": "models", "authorities": ["issuing-ca"], "every": "1d",
                                                   "delta-every": "60s"}))
    until(lambda: house.cli("crl", "show", "issuing-ca", "--list", "4-0", ok=None).returncode == 0)
    until(lambda: house.cli_json("ocsp", "show", "issuing-ca")["certificate_ends"])
    serials = issue_many(house, "all-models", names_of("models", 3)) + issue_many(house, "untold", ["untold.example.org"])
    asked = house.cli_json("cert", "revoke", *serials, "--reason", "superseded", "--wait")["job"]

    def took():
        job = job_of(house, asked["id"])
        return {e["model"]: e["seconds"] for e in job["effects"]}

    fast = until(lambda: (t := took()) and all(t.get(m) is not None for m in ("delta", "ocsp", "expiry")) and t)
    assert 0 <= fast["ocsp"] < 60 and 0 <= fast["delta"] < 60 and 80000 < fast["expiry"] <= 86400
    # A certificate younger than some seconds is in no filter yet; the complete list comes by the clock beside a delta.
    time.sleep(6)
    house.cli("filter", "build", "models")
    house.cli("crl", "publish", "issuing-ca")
    assert until(lambda: job_of(house, asked["id"])["status"] == "done")
    done = took()
    assert set(done) >= {"crl", "delta", "ocsp", "filter", "expiry"} and all(v is not None for v in done.values())
    metrics = house.plain("/metrics", port="admin").body.decode()
    for model in done:
        assert f'touchmark_revocation_effect_seconds_count{{model="{model}"}}' in metrics, model


@pytest.mark.slow
def test_many__a_hundred_thousand_in_a_minute(new_house):
    house = new_house().start()
    add_profile(house, "flood")
    serials = []
    for i in range(10):
        serials += issue_many(house, "flood", names_of(f"flood{i}", 10000))
    begun = time.monotonic()
    started = house.cli_json("cert", "revoke", "--query", "profile=flood", "--expect", str(len(serials)), "--reason", "superseded")["job"]
    until(lambda: job_of(house, started["id"])["revoked_at"], 600)
    print(f"{len(serials)} revoked in {time.monotonic() - begun:.1f} s")
