"""Revocation seen from outside: on the CRL at the certificate's own address, in the inventory, and no second time."""
import base64
import json
import re
import time

import pytest

CRL_SECONDS = 30


def issue(house, openssl, name):
    csr = openssl.csr(name, f"/CN={name}.example.org", f"DNS:{name}.example.org")
    path = openssl.file(name + ".pem")
    house.cli("cert", "issue", "--profile", "server-internal-1y", "--csr", csr, "--out", path)
    serial = openssl.text("x509", "-in", path, "-noout", "-serial").strip().split("=")[1]
    return path, serial


def crl_of(house, openssl, cert):
    text = openssl.text("x509", "-in", cert, "-noout", "-text")
    url = re.search(r"URI:(http://\S+\.crl)", text).group(1)
    reply = house.plain(url)
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/pkix-crl"
    return reply.body


def wait_for_crl(house, openssl, cert, serial):
    deadline = time.monotonic() + CRL_SECONDS
    while time.monotonic() < deadline:
        der = crl_of(house, openssl, cert)
        text = openssl.run("crl", "-inform", "DER", "-noout", "-text", data=der).stdout.decode()
        if serial in text:
            return der, text
        time.sleep(0.2)
    raise AssertionError("the CRL never listed " + serial)


def test_revoke__on_the_crl(house, openssl):
    cert, serial = issue(house, openssl, "revoke-one")
    _, other = issue(house, openssl, "revoke-other")
    house.cli("cert", "revoke", serial, "--reason", "keyCompromise")
    der, text = wait_for_crl(house, openssl, cert, serial)
    entry = text[text.index(serial):]
    assert "Key Compromise" in entry[:300]
    assert other not in text
    # OpenSSL agrees: the signature is the issuing CA's, and a verification with CRLs fails for this reason.
    with open(openssl.file("ca.pem"), "w", encoding="ascii") as f:
        f.write(house.cli("ca", "export", "issuing-ca").stdout)
    openssl.run("crl", "-inform", "DER", "-out", "crl.pem", data=der)
    verified = openssl.run("crl", "-in", "crl.pem", "-CAfile", "ca.pem", "-noout")
    assert b"verify OK" in verified.stderr + verified.stdout
    done = openssl.run("verify", "-partial_chain", "-trusted", "ca.pem", "-crl_check", "-CRLfile", "crl.pem", cert, ok=False)
    assert done.returncode != 0 and b"revoked" in done.stderr + done.stdout


def test_revoke__a_compromised_key_is_not_certified_again(house, openssl):
    """Whoever has the stolen key and still another way in (a token, a proven name) gets nothing for it."""
    _, kept = issue(house, openssl, "revoke-kept")
    _, stolen = issue(house, openssl, "revoke-stolen")
    house.cli("cert", "revoke", kept, "--reason", "superseded")
    house.cli("cert", "revoke", stolen, "--reason", "keyCompromise")
    again = ("cert", "issue", "--profile", "server-internal-1y", "--csr")
    house.cli(*again, openssl.file("revoke-kept.csr"))
    assert "key.compromised" in house.cli(*again, openssl.file("revoke-stolen.csr"), ok=False).stderr
    house.cli(*again, openssl.csr("revoke-fresh", "/CN=revoke-stolen.example.org", "DNS:revoke-stolen.example.org"))


def test_revoke__found_by_each_of_its_names(house, openssl):
    """Whoever looks for what has to be revoked finds it by its last name as well as by its first."""
    names = [f"n{i}.many.example.org" for i in range(100)]
    csr = openssl.csr("revoke-many", "/CN=" + names[0], ",".join("DNS:" + n for n in names))
    house.cli("cert", "issue", "--profile", "server-internal-1y", "--csr", csr)
    for name in (names[0], names[50], names[-1]):
        assert len(house.api("GET", "/certificates?san=dns:" + name).json["items"]) == 1, name


def test_revoke__shown_in_the_inventory(house, openssl):
    _, serial = issue(house, openssl, "revoke-row")
    house.cli("cert", "revoke", serial, "--reason", "superseded")
    row = house.api("GET", "/certificates/" + serial).json
    assert row["status"] == "revoked" and row["reason"] == "superseded"
    # Within a day of now: a time in the wrong unit would be far off.
    assert row["revoked_at"].startswith(time.strftime("%Y-", time.gmtime()))


def test_revoke__rest(house, openssl):
    _, serial = issue(house, openssl, "revoke-rest")
    assert house.api("POST", f"/certificates/{serial}/revoke", {"reason": "cessationOfOperation"}).status == 200
    assert house.api("GET", "/certificates/" + serial).json["status"] == "revoked"


def test_revoke__unknown(house):
    done = house.cli("cert", "revoke", "00" * 16, ok=False)
    assert done.returncode == 1


def test_revoke__bad_reason(house, openssl):
    _, serial = issue(house, openssl, "revoke-reason")
    assert house.cli("cert", "revoke", serial, "--reason", "boredom", ok=False).returncode in (1, 2)
    assert house.api("GET", "/certificates/" + serial).json["status"] == "valid"


def test_revoked__cannot_renew(house, openssl, factory):
    birth, key = factory.idevid("SN-revoked")
    csr = openssl.csr("dev", "/CN=SN-revoked.example.org")
    body = openssl.run("base64", data=openssl.der(csr)).stdout
    headers = {"Content-Type": "application/pkcs10"}
    reply = house.request("POST", "/.well-known/est/devices/simpleenroll", body, headers, birth, key)
    assert reply.status == 200, reply
    pem = openssl.run("pkcs7", "-inform", "DER", "-print_certs", data=base64.b64decode(reply.body)).stdout
    with open(openssl.file("dev.pem"), "wb") as f:
        f.write(openssl.run("x509", data=pem).stdout)
    serial = openssl.text("x509", "-in", "dev.pem", "-noout", "-serial").strip().split("=")[1]
    house.cli("cert", "revoke", serial, "--reason", "keyCompromise")
    reply = house.request("POST", "/.well-known/est/devices/simplereenroll", body, headers, openssl.file("dev.pem"), openssl.file("dev.key"))
    assert reply.status in (401, 403), reply


def test_ca_certificate__at_its_aia_address(house, openssl):
    cert, _ = issue(house, openssl, "revoke-aia")
    url = re.search(r"CA Issuers - URI:(\S+)", openssl.text("x509", "-in", cert, "-noout", "-text")).group(1)
    reply = house.plain(url)
    assert reply.status == 200
    assert b"Issuing CA" in openssl.run("x509", "-inform", "DER", "-noout", "-subject", data=reply.body).stdout


def test_crl__conditional_get(house, openssl):
    cert, _ = issue(house, openssl, "revoke-etag")
    url = re.search(r"URI:(http://\S+\.crl)", openssl.text("x509", "-in", cert, "-noout", "-text")).group(1)
    first = house.plain(url)
    assert house.plain(url, headers={"If-None-Match": first.headers["ETag"]}).status in (200, 304)


@pytest.mark.parametrize("path", ["/crl/" + "00" * 20 + "/full.crl", "/crl/x/full.crl", "/ca/..%2Ftls.cer"])
def test_crl__unknown(house, path):
    assert house.plain(path).status in (400, 404)


def test_revoke__a_ca_that_is_held_issues_nothing_until_it_is_released(house, openssl, tmp_path):
    exported = str(tmp_path / "issuing.pem")
    house.cli("ca", "export", "issuing-ca", "--out", exported)
    serial = openssl.text("x509", "-in", exported, "-noout", "-serial").strip().split("=")[1]
    csr = openssl.csr("below-held", "/CN=held.example.org", "DNS:held.example.org")
    issue = ("cert", "issue", "--csr", csr, "--profile", "server-internal-1y", "--out", str(tmp_path / "held.pem"))
    house.cli("cert", "revoke", serial, "--reason", "certificateHold")
    assert "authority.revoked" in house.cli(*issue, ok=False).stderr
    house.cli("cert", "release", serial)
    house.cli(*issue)


def test_revoke__many(house, openssl, tmp_path):
    """A profile's certificates: counted first, not without the count, then all of them; a second time nothing is left."""
    doc = house.cli_json("get", "profile", "server-internal-1y")
    doc["name"] = "revoke-many"
    house.cli("apply", "-f", "-", data=json.dumps(doc))
    door = house.cli_json("get", "endpoint", "rest")
    door["profiles"].append("revoke-many")
    house.cli("apply", "-f", "-", data=json.dumps(door))
    serials = []
    for name in ("many-a", "many-b", "many-c"):
        path = openssl.file(name + ".pem")
        house.cli("cert", "issue", "--profile", "revoke-many", "--csr", openssl.csr(name, f"/CN={name}.example.org", f"DNS:{name}.example.org"),
                  "--out", path)
        serials.append(openssl.text("x509", "-in", path, "-noout", "-serial").strip().split("=")[1])
    dry = house.cli_json("cert", "revoke", "--profile", "revoke-many", "--dry-run")
    assert dry["matched"] == 3 and dry["revoked"] == 0 and len(dry["first"]) == 3
    assert "expected" in house.cli("cert", "revoke", "--profile", "revoke-many", ok=False).stderr
    assert "there are 3" in house.cli("cert", "revoke", "--profile", "revoke-many", "--expect", "2", ok=False).stderr
    listed = tmp_path / "serials"
    listed.write_text("# two of them\n" + serials[0] + "\n" + serials[0] + ",again\n")
    done = house.cli_json("cert", "revoke", "--file", str(listed), "--reason", "keyCompromise")
    assert (done["matched"], done["revoked"], done["revoked_before"]) == (1, 1, 0)
    done = house.cli_json("cert", "revoke", "--profile", "revoke-many", "--reason", "superseded", "--expect", "2")
    assert done["revoked"] == 2
    assert house.cli_json("cert", "revoke", "--profile", "revoke-many", "--dry-run")["matched"] == 0
    reasons = [house.cli_json("cert", "list", "--profile", "revoke-many")]
    rows = reasons[0]["items"] if isinstance(reasons[0], dict) else reasons[0]
    assert sorted(row["reason"] for row in rows) == ["keyCompromise", "superseded", "superseded"]
