"""Findings from outside: imported certificates, what the rules say of them, what people decide, and who sees what."""
import json
import time

import pytest

SECONDS = 30


def wait_for(house, rule, name, count=1, status="open"):
    """The findings of a rule about a name, once there are so many: a server looks by itself."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        reply = house.api("GET", f"/findings?rule={rule}&status={status}&limit=1000")
        assert reply.status == 200, reply
        found = [f for f in reply.json["items"] if name in f["name"]]
        if len(found) == count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{rule} about {name}: {found}")


def certificate(openssl, name, *options, key=None, bits=2048):
    key = key or name + ".key"
    if bits:
        openssl.run("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", key)
    openssl.run("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "100", "-out", name + ".pem", *options)
    return openssl.file(name + ".pem")


def bring(house, path):
    with open(path, "rb") as f:
        reply = house.api("POST", "/certificates/import", f.read(), content_type="application/x-pem-file")
    assert reply.status == 200 and reply.json["failed"] == 0, reply
    return reply.json["items"][0]["serial"]


def test_findings__open_and_are_explained(house, openssl):
    serial = bring(house, certificate(openssl, "weak.findings.example", "-addext", "basicConstraints=critical,CA:FALSE", bits=1024))
    f = wait_for(house, "key.weak", "weak.findings.example")[0]
    assert f["subject"] == "certificate/" + serial and f["severity"] == "critical" and f["status"] == "open"
    assert "1024 bits" in f["why"] and f["evidence"]["bits"] == 1024 and f["evidence"]["issuer_class"] == "self-signed"
    assert "NIST SP 800-131A" in f["controls"] and f["remedy"]
    assert wait_for(house, "self-signed", "weak.findings.example")
    assert house.api("GET", "/findings/" + f["id"]).json == f
    counts = house.api("GET", "/finding-counts").json
    assert counts["by_status"]["open"] >= 2 and any(r["rule"] == "key.weak" and r["open"] >= 1 for r in counts["by_rule"])
    # A CA that nobody named is a shadow until somebody names it.
    path = certificate(openssl, "Shadow CA of findings", "-addext", "basicConstraints=critical,CA:TRUE")
    bring(house, path)
    wait_for(house, "ca.shadow", "Shadow CA of findings")
    with open(path, encoding="ascii") as pem:
        doc = {"kind": "TrustSet", "name": "findings-known", "anchors": [pem.read()]}
    assert house.api("PUT", "/resources/trust-sets/findings-known", doc).status in (200, 201)
    house.cli("finding", "run", "--wait")
    wait_for(house, "ca.shadow", "Shadow CA of findings", 0)
    assert wait_for(house, "ca.shadow", "Shadow CA of findings", status="gone")[0]["closed_at"]
    assert house.api("DELETE", "/resources/trust-sets/findings-known").status in (200, 204)


def test_findings__decisions(house, openssl):
    bring(house, certificate(openssl, "decide.findings.example", "-addext", "basicConstraints=critical,CA:FALSE", bits=1024))
    f = wait_for(house, "key.weak", "decide.findings.example")[0]
    path = "/findings/" + f["id"]
    assert house.api("POST", path + "/accept", {"reason": "lab"}).status == 422
    assert house.api("POST", path + "/snooze", {"reason": "lab", "for": "200d"}).status == 422
    assert house.api("POST", path + "/accept", {"for": "20d"}).status == 422
    taken = house.api("POST", path + "/accept", {"reason": "lab <b>", "for": "200d"})
    assert taken.status == 200 and taken.json["status"] == "accepted" and taken.json["reason"] == "lab <b>"
    wait_for(house, "key.weak", "decide.findings.example", 0)
    shown = json.loads(house.cli("finding", "list", "--status", "accepted", "--rule", "key.weak", "-o", "json").stdout)
    assert f["id"] in [x["id"] for x in (shown["items"] if isinstance(shown, dict) else shown)]
    house.cli("finding", "reopen", f["id"], "--comment", "again")
    house.cli("finding", "snooze", f["id"], "--reason", "later", "--for", "3d")
    assert house.api("GET", path).json["status"] == "snoozed"
    assert house.cli("finding", "accept", f["id"], ok=None).returncode == 2
    for kind in ("finding.opened", "finding.accepted", "finding.reopened", "finding.snoozed"):
        assert kind in house.cli("register", "show", "--type", kind, "-o", "json").stdout
    assert "key.weak" in house.cli("finding", "rules").stdout
    assert "DSA" in house.cli("finding", "rules", "key.weak").stdout
    assert house.cli("finding", "rules", "nothing", ok=None).returncode == 1
    assert house.api("GET", "/findings?rule=nothing").status == 422
    assert house.api("GET", "/findings/" + "0" * 32).status == 404


def test_findings__devices_and_owners(house, openssl, factory):
    """The same key on two devices, and who may see that."""
    for device, owner in (("FIND-1", "plant-find"), ("FIND-2", "plant-other")):
        assert house.api("PUT", "/devices/" + device, {"owner": owner}).status in (200, 201)
    profile = {"kind": "Profile", "name": "findings-any-key", "authority": "issuing-ca", "lifetime": {"default": "30d"}, "key": {"reuse": "any"},
               "subject": {"allow": [{"attr": "CN"}]}, "san": {"allow": {"dns": {}}}}
    assert house.api("PUT", "/resources/profiles/findings-any-key", profile).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "findings-rest", "protocol": "rest", "profiles": ["findings-any-key"]}
    assert house.api("PUT", "/resources/endpoints/findings-rest", endpoint).status in (200, 201)
    key = openssl.key("same")
    for device in ("FIND-1", "FIND-2"):
        csr = openssl.csr(device, f"/CN={device}", f"DNS:{device.lower()}.findings.example", key=key)
        with open(csr, encoding="ascii") as f:
            body = {"csr": f.read(), "device": device, "profile": "findings-any-key", "endpoint": "findings-rest"}
        reply = house.api("POST", "/enroll", body)
        assert reply.status in (200, 201), reply
    deadline = time.monotonic() + SECONDS
    found = []
    while not found and time.monotonic() < deadline:
        found = house.api("GET", "/findings?rule=key.reuse&owner=plant-find").json["items"]
        time.sleep(0.1)
    assert len(found) == 1 and found[0]["evidence"]["devices"] == ["FIND-1", "FIND-2"]
    assert house.api("GET", "/findings?rule=key.reuse&owner=plant-other").json["items"] == []
    # Its owner sees it and may put it off, not accept it; another owner sees nothing.
    tokens = {}
    for name, owner in (("find-owner", "plant-find"), ("find-stranger", "plant-none")):
        doc = {"kind": "Principal", "name": name, "roles": ["owner"], "owner-of": owner}
        assert house.api("PUT", "/resources/principals/" + name, doc).status in (200, 201)
        tokens[name] = house.api("POST", "/tokens", {"type": "api", "principal": name}).json
    bearer = {n: t.get("bearer") or t.get("token") or t["id"] + "." + t["secret"] for n, t in tokens.items()}
    path = "/findings/" + found[0]["id"]
    assert house.api("GET", path, token=bearer["find-owner"]).status == 200
    assert house.api("GET", path, token=bearer["find-stranger"]).status == 403
    mine = house.api("GET", "/findings?status=any", token=bearer["find-owner"]).json["items"]
    assert mine and {f["owner"] for f in mine} == {"plant-find"}
    assert house.api("GET", "/findings?status=any", token=bearer["find-stranger"]).json["items"] == []
    aside = {"reason": "copy found", "for": "2d"}
    assert house.api("POST", path + "/accept", aside, token=bearer["find-owner"]).status == 403
    assert house.api("POST", path + "/snooze", aside, token=bearer["find-stranger"]).status == 403
    assert house.api("POST", path + "/snooze", aside, token=bearer["find-owner"]).status == 200


def test_findings__offline_and_after_a_restart(new_house, openssl):
    h = new_house()
    path = certificate(openssl, "offline.findings.example", "-addext", "basicConstraints=critical,CA:FALSE", bits=1024)
    h.cli("cert", "import", path)
    assert "offline" not in h.cli("finding", "list").stdout
    h.cli("finding", "run")
    assert "offline.findings.example" in h.cli("finding", "list", "--rule", "key.weak").stdout
    h.start()
    f = h.api("GET", "/findings?rule=key.weak").json["items"]
    assert len(f) == 1
    before = h.api("GET", "/finding-pass").json["last_ended_ms"]
    h.stop()
    h.start()
    # Nothing is found anew, and what arrives goes on being seen.
    bring(h, certificate(openssl, "later.findings.example", "-addext", "basicConstraints=critical,CA:FALSE", bits=1024))
    wait_for(h, "key.weak", "later.findings.example")
    again = h.api("GET", "/findings?rule=key.weak&status=any").json["items"]
    assert len(again) == 2 and f[0] in again
    assert h.api("GET", "/finding-pass").json["last_ended_ms"] == before
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        metrics = h.plain("/metrics", port="admin").body.decode()
        if 'touchmark_findings_open{rule="key.weak",severity="critical"} 2' in metrics:
            break
        time.sleep(0.2)
    else:
        pytest.fail(metrics)
    assert 'touchmark_certificates{state="valid"}' in metrics and "touchmark_renewals_overdue 0" in metrics
