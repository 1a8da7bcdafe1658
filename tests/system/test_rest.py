"""The REST API from outside: enrollment, idempotency, bulk streams, roles, its own description."""
import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest


def enroll(house, openssl, name, **more):
    csr = openssl.csr(name, f"/CN={name}.example.org", f"DNS:{name}.example.org")
    with open(csr, encoding="ascii") as f:
        return house.api("POST", "/enroll", {"csr": f.read(), "profile": "server-internal-1y", **more})


def test_enroll(house, openssl):
    reply = enroll(house, openssl, "rest-one", id="mine")
    assert reply.status == 201, reply
    got = reply.json
    assert got["id"] == "mine" and got["status"] == "issued" and len(got["serial"]) == 32
    chain = openssl.file("chain.pem")
    with open(chain, "w", encoding="ascii") as f:
        f.write(got["chain"])
    with open(openssl.file("leaf.pem"), "w", encoding="ascii") as f:
        f.write(got["certificate"])
    assert "leaf.pem: OK" in openssl.text("verify", "-CAfile", house.ca_bundle, "-untrusted", chain, "leaf.pem")
    row = house.api("GET", "/certificates/" + got["serial"]).json
    assert row["status"] == "valid" and "rest-one.example.org" in row["subject"]


@pytest.mark.parametrize("accept, form", [("application/pkix-cert", "DER"), ("application/pem-certificate-chain", "PEM")])
def test_enroll__forms(house, openssl, accept, form):
    csr = openssl.csr("form", "/CN=form.example.org", "DNS:form.example.org")
    reply = house.api("POST", "/enroll?profile=server-internal-1y", openssl.der(csr), content_type="application/pkcs10",
                      headers={"Accept": accept})
    assert reply.status == 201 and reply.headers["Content-Type"].startswith(accept)
    assert b"form.example.org" in openssl.run("x509", "-inform", form, "-noout", "-text", data=reply.body).stdout


def test_enroll__idempotency_key(house, openssl):
    csr = openssl.csr("idem", "/CN=idem.example.org", "DNS:idem.example.org")
    with open(csr, encoding="ascii") as f:
        body = {"csr": f.read(), "profile": "server-internal-1y"}
    first = house.api("POST", "/enroll", body, headers={"Idempotency-Key": "order-1"})
    again = house.api("POST", "/enroll", body, headers={"Idempotency-Key": "order-1"})
    assert first.status == 201 and again.status == 200
    assert again.json["serial"] == first.json["serial"] and again.json["replayed"] is True


def test_enroll__refused_with_its_rule(house, openssl):
    openssl.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521", "-out", "p521.key")
    csr = openssl.csr("weak", "/CN=weak.example.org", "DNS:weak.example.org", key=openssl.file("p521.key"))
    reply = house.api("POST", "/enroll?profile=server-internal-1y", openssl.der(csr), content_type="application/pkcs10")
    assert 400 <= reply.status < 500
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert reply.json.get("rule", "").startswith("key."), reply
    assert reply.json["request_id"]


def test_enroll__dry_run_issues_nothing(house, openssl):
    reply = enroll(house, openssl, "rest-dry", dry_run=True)
    assert reply.status == 200 and "decision" in reply.json and "serial" not in reply.json
    assert house.api("GET", "/certificates?cn=rest-dry.example.org").json["items"] == []


def test_enroll__rubbish(house):
    for body in ({"csr": "AAAA"}, {"csr": "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"},
                 {"crs": ""}, [], b"{"):
        reply = house.api("POST", "/enroll", body)
        assert reply.status in (400, 422), (body, reply)
        assert reply.headers["Content-Type"].startswith("application/problem+json")


def test_bulk(house, openssl):
    lines = []
    for i in range(20):
        csr = openssl.csr(f"bulk{i}", f"/CN=bulk{i}.example.org", f"DNS:bulk{i}.example.org")
        lines.append(json.dumps({"id": f"n{i}", "csr": base64.b64encode(openssl.der(csr)).decode()}))
    lines.insert(7, "this is no JSON")
    lines.insert(9, json.dumps({"id": "bad", "csr": "AAAA"}))
    reply = house.api("POST", "/enroll/bulk?profile=server-internal-1y", "\n".join(lines) + "\n", content_type="application/x-ndjson")
    assert reply.status == 200
    results = [json.loads(line) for line in reply.body.decode().splitlines()]
    issued = {r["id"]: r for r in results if r["status"] == "issued"}
    assert sorted(issued) == sorted(f"n{i}" for i in range(20))
    assert len({r["serial"] for r in issued.values()}) == 20
    others = [r for r in results if r["status"] != "issued"]
    assert len(others) == 2 and "bad" in {r.get("id") for r in others}
    der = base64.b64decode(issued["n3"]["certificate"])
    assert b"bulk3.example.org" in openssl.run("x509", "-inform", "DER", "-noout", "-text", data=der).stdout


def test_nobody(house):
    assert house.api("GET", "/certificates", token="").status == 401
    assert house.api("GET", "/certificates", token="aaaa.bbbb").status == 401


@pytest.fixture(scope="module")
def auditor(house):
    """A token of a principal who may read and nothing else."""
    doc = {"kind": "Principal", "name": "rest-auditor", "roles": ["auditor"]}
    assert house.api("PUT", "/resources/principals/rest-auditor", doc).status in (200, 201)
    reply = house.api("POST", "/tokens", {"type": "api", "principal": "rest-auditor", "ttl": "1h"})
    assert reply.status == 201, reply
    return reply.json["token"]


def test_roles(house, auditor, openssl):
    assert house.api("GET", "/certificates", token=auditor).status == 200
    assert house.api("GET", "/resources/profiles/server-internal-1y", token=auditor).status == 200
    with open(openssl.csr("aud", "/CN=a.example.org", "DNS:a.example.org"), encoding="ascii") as f:
        assert house.api("POST", "/enroll", {"csr": f.read(), "profile": "server-internal-1y"}, token=auditor).status == 403
    assert house.api("POST", "/tokens", {"endpoint": "servers"}, token=auditor).status == 403
    assert house.api("DELETE", "/resources/profiles/vpn", token=auditor).status == 403


def test_resources__put_again_is_no_new_version(house):
    path = "/resources/profiles/rest-again"
    doc = {"kind": "Profile", "name": "rest-again", "authority": "issuing-ca", "lifetime": {"default": "30d"}}
    # All at once: one of them writes.
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: house.api("PUT", path, doc), range(8)))
    assert sorted(r.status for r in replies) == [200] * 7 + [201]
    assert all(r.json["version"] == 1 and r.headers["ETag"] == '"1"' for r in replies)
    assert sum("unchanged" in r.json for r in replies) == 7
    assert len(house.api("GET", path + "/history").json["items"]) == 1
    # What was read may be put back as it is; a condition that does not hold is refused all the same.
    assert house.api("PUT", path, house.api("GET", path).json, headers={"If-Match": '"1"'}).json["unchanged"]
    assert house.api("PUT", path, doc, headers={"If-Match": '"7"'}).status in (409, 412)
    assert house.api("DELETE", path).status == 204


def test_resources__tenants_put_at_once_have_numbers_of_their_own(house):
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda i: house.api("PUT", f"/resources/tenants/rest-t{i}", {"kind": "Tenant", "name": f"rest-t{i}"}),
                                range(8)))
    assert [r.status for r in replies] == [201] * 8
    numbers = [t["number"] for t in house.api("GET", "/resources/tenants").json["items"]]
    assert len(numbers) == len(set(numbers))


def test_register__an_event_is_erased(house, openssl, auditor):
    serial = enroll(house, openssl, "rest-erased").json["serial"]
    [event] = house.api("GET", f"/register/events?type=certificate.issued&subject=certificate/{serial}").json["items"]
    assert "rest-erased" in json.dumps(event["body"])
    path = f"/register/events/{event['pos']}/erase"
    assert house.api("POST", path, {"reason": "asked to"}, token=auditor).status == 403
    assert house.api("POST", path, {}).status == 422
    assert "erased" in house.cli("register", "erase", str(event["pos"]), "--reason", "asked to").stdout
    [after] = house.api("GET", f"/register/events?type=certificate.issued&subject=certificate/{serial}").json["items"]
    assert after["leaf"] == event["leaf"] and after["pos"] == event["pos"]
    # What the signer's chain is verified by stays, and nothing else.
    assert after["body"] == {k: event["body"][k] for k in ("chain", "kind", "tbs")}
    [told] = house.api("GET", f"/register/events?type=register.erased&subject=event/{event['pos']}").json["items"]
    assert told["body"]["reason"] == "asked to" and told["body"]["leaf"] == event["leaf"] and told["body"]["by"]
    assert house.api("POST", path, {"reason": "again"}).status == 409
    assert house.api("POST", f"/register/events/{told['pos']}/erase", {"reason": "hide"}).status == 403
    assert house.api("POST", "/register/events/999999999/erase", {"reason": "x"}).status == 404
    # All of it still verifies, and that the event stood there can still be proven.
    house.cli("register", "verify")
    proof = openssl.file("erased.json")
    house.cli("register", "prove", str(event["pos"]), "-O", proof)
    key = house.cli("register", "key").stdout.strip()
    assert "erased" in house.cli("register", "verify-proof", proof, "--key", key).stdout


@pytest.mark.parametrize("method, path, allow", [
    ("DELETE", "/certificates", {"GET", "HEAD"}),
    ("POST", "/resources/profiles/vpn", {"GET", "HEAD", "PUT", "DELETE"}),
    ("GET", "/enroll", {"POST"}),
])
def test_method_that_a_path_does_not_take(house, method, path, allow):
    reply = house.api(method, path)
    assert reply.status == 405 and reply.json["status"] == 405, reply
    assert set(reply.headers["Allow"].split(", ")) == allow


def test_resources__if_match(house):
    path = "/resources/trustsets/rest-set"
    kinds = house.api("GET", path)
    assert kinds.status == 404
    doc = {"kind": "Profile", "name": "rest-profile", "authority": "issuing-ca", "lifetime": {"default": "30d"}}
    assert house.api("PUT", "/resources/profiles/rest-profile", doc).status in (200, 201)
    etag = house.api("GET", "/resources/profiles/rest-profile").headers["ETag"]
    assert house.api("PUT", "/resources/profiles/rest-profile", doc, headers={"If-Match": '"999"'}).status in (409, 412)
    assert house.api("PUT", "/resources/profiles/rest-profile", doc, headers={"If-Match": etag}).status == 200
    assert house.api("DELETE", "/resources/profiles/rest-profile").status in (200, 204)


@pytest.mark.parametrize("profile, subject, san, ends", [
    ("enterprise-tls-47d", "/CN=ready.example.com", "DNS:ready.example.com", None),
    ("device-idevid-20y", "/CN=RDY-1/serialNumber=RDY-1", None, None),
    ("device-idevid-never", "/CN=RDY-1/serialNumber=RDY-1", None, "Dec 31 23:59:59 9999 GMT"),
    ("device-ldevid-1y", "/CN=RDY-1", None, None),
])
def test_ready_profiles__side_by_side(house, openssl, profile, subject, san, ends):
    csr = openssl.csr("ready-" + profile, subject, san)
    reply = house.api("POST", "/enroll?profile=" + profile, openssl.der(csr), content_type="application/pkcs10",
                      headers={"Accept": "application/pkix-cert"})
    assert reply.status == 201, reply
    text = openssl.run("x509", "-inform", "DER", "-noout", "-text", data=reply.body).stdout.decode()
    days = {"enterprise-tls-47d": 47, "device-idevid-20y": 7300, "device-ldevid-1y": 365}.get(profile)
    if ends:
        assert ends in text
    else:
        end = openssl.run("x509", "-inform", "DER", "-noout", "-checkend", str((days + 1) * 86400), data=reply.body, ok=False)
        assert end.returncode == 1
        openssl.run("x509", "-inform", "DER", "-noout", "-checkend", str((days - 2) * 86400), data=reply.body)


def test_authorities__one_known_by_its_certificate(house, openssl):
    openssl.run("req", "-x509", "-new", "-key", openssl.key("old-ca"), "-subj", "/O=Old/CN=Old REST CA", "-days", "400", "-out", "old-ca.pem",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    with open(openssl.file("old-ca.pem"), "rb") as f:
        pem = f.read()
    path = "/authorities/rest-old/import?title=the%20old%20one"
    assert house.api("POST", path, b"nothing", content_type="application/x-pem-file").status == 400
    reply = house.api("POST", path, pem, content_type="application/x-pem-file")
    assert reply.status == 201 and reply.json["key"] == "elsewhere" and reply.json["kind"] == "root", reply
    assert house.api("POST", path, pem, content_type="application/x-pem-file").status == 409
    assert "rest-old" in {a["name"] for a in house.api("GET", "/authorities").json["items"]}
    assert house.api("GET", "/authorities/rest-old").json["fingerprint"] == reply.json["fingerprint"]
    # In the inventory it is found by its own serial too; only its issuer can revoke it.
    found = house.api("GET", "/certificates/" + reply.json["serial"])
    assert found.status == 200, (found, reply)
    row = found.json
    assert row["source"] == "imported" and row["foreign_serial"] == reply.json["serial"]
    assert "only its issuer" in house.api("POST", f"/certificates/{row['serial']}/revoke", {"reason": "cACompromise"}).json["detail"]
    assert [c["serial"] for c in house.api("GET", "/certificates?q=" + reply.json["serial"]).json["items"]] == [row["serial"]]
    assert house.api("DELETE", "/resources/authorities/rest-old").status == 204


def test_search(house, openssl):
    serial = enroll(house, openssl, "rest-search").json["serial"]
    spaced = ":".join(serial[i:i + 2] for i in range(0, 32, 2)).upper()
    for q in (serial, spaced, "rest-search.example.org", "CN=rest-search.example.org"):
        assert [c["serial"] for c in house.api("GET", "/certificates?q=" + q).json["items"]] == [serial], q
    # The name alone finds what has it as an alternative name only, with its kind or without.
    for san in ("rest-search.example.org", "dns:REST-search.example.org"):
        assert [c["serial"] for c in house.api("GET", "/certificates?san=" + san).json["items"]] == [serial], san
    assert house.api("GET", "/certificates?q=rest-nobody").json["items"] == []
    assert house.api("GET", "/certificates?q=rest-search&cn=x").status == 422


def test_get__pkcs12(house, openssl, tmp_path):
    csr = openssl.csr("p12", "/CN=p12.example.org", "DNS:p12.example.org")
    house.cli("cert", "issue", "--csr", csr, "--profile", "server-internal-1y", "--out", openssl.file("p12.pem"))
    serial = openssl.text("x509", "-in", "p12.pem", "-noout", "-serial").strip().split("=")[1]
    password, out = tmp_path / "password", tmp_path / "p12.p12"
    password.write_text("correct horse\n")
    options = ["--form", "pkcs12", "--out", str(out), "--password-file", str(password)]
    house.cli("cert", "get", serial, *options, "--key", openssl.file("p12.key"))
    assert out.stat().st_mode & 0o777 == 0o600
    shown = openssl.text("pkcs12", "-in", str(out), "-passin", "pass:correct horse", "-nodes")
    assert shown.count("BEGIN CERTIFICATE") >= 2 and "BEGIN PRIVATE KEY" in shown
    openssl.run("rsa", "-in", openssl.key("p12-other", "RSA"), "-aes256", "-passout", "pass:else", "-out", "p12-locked.key")
    other = house.cli("cert", "get", serial, *options, "--key", openssl.file("p12-other.key"), ok=False)
    assert "key" in other.stderr
    (tmp_path / "else").write_text("wrong\n")
    locked = house.cli("cert", "get", serial, *options, "--key", openssl.file("p12-locked.key"), "--key-password-file",
                       str(tmp_path / "else"), ok=False)
    assert "p12-locked.key" in locked.stderr
