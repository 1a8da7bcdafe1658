"""Revocation lists seen from outside: dates of invalidity, lists of several issuers, parts of a list, as other people's tools read them."""
import json
import re
import shutil
import subprocess
import time

SECONDS = 40


def issue(house, openssl, name, profile="server-internal-1y"):
    csr = openssl.csr(name, f"/CN={name}.example.org", f"DNS:{name}.example.org")
    path = openssl.file(name + ".pem")
    house.cli("cert", "issue", "--profile", profile, "--csr", csr, "--out", path)
    return path, openssl.text("x509", "-in", path, "-noout", "-serial").strip().split("=")[1]


def export(house, openssl, name):
    path = openssl.file(name + ".ca.pem")
    with open(path, "w", encoding="ascii") as f:
        f.write(house.cli("ca", "export", name).stdout)
    return path


def text_of(openssl, der):
    return openssl.run("crl", "-inform", "DER", "-noout", "-text", data=der).stdout.decode()


def wait_for_list(house, openssl, path, what):
    deadline = time.monotonic() + SECONDS
    text = ""
    while time.monotonic() < deadline:
        reply = house.plain(path)
        if reply.status == 200:
            text = text_of(openssl, reply.body)
            if what in text:
                return reply.body, text
        time.sleep(0.3)
    raise AssertionError(f"{path} never had {what}: {text}")


def url_of(openssl, cert):
    return re.search(r"URI:(http://\S+\.crl)", openssl.text("x509", "-in", cert, "-noout", "-text")).group(1)


def test_crl__invalidity_date(house, openssl):
    cert, serial = issue(house, openssl, "crl-invalid")
    tomorrow = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86400))
    refused = house.cli("cert", "revoke", serial, "--invalid-since", tomorrow, ok=False)
    assert refused.returncode == 1 and "future" in refused.stderr
    assert house.cli("cert", "revoke", serial, "--invalid-since", "last week", ok=False).returncode in (1, 2)
    house.cli("cert", "revoke", serial, "--reason", "keyCompromise", "--invalid-since", "2026-01-02T03:04:05Z")
    assert house.api("GET", "/certificates/" + serial).json["invalid_since"] == "2026-01-02T03:04:05Z"
    _, text = wait_for_list(house, openssl, url_of(openssl, cert), serial)
    entry = text[text.index(serial):][:400]
    assert "Invalidity Date" in entry and "Jan  2 03:04:05 2026 GMT" in entry and "Key Compromise" in entry
    _, other = issue(house, openssl, "crl-invalid-rest")
    reply = house.api("POST", f"/certificates/{other}/revoke", {"reason": "superseded", "invalid-since": "2026-02-03T00:00:00Z"})
    assert reply.status == 200 and reply.json["invalid_since"] == "2026-02-03T00:00:00Z"


def test_crl__parts(house, openssl):
    cert, _ = issue(house, openssl, "crl-parts")
    url = url_of(openssl, cert)
    whole = house.plain(url)
    part = house.plain(url, headers={"Range": "bytes=4-19", "If-Range": whole.headers["ETag"]})
    assert part.status == 206 and part.body == whole.body[4:20]
    assert part.headers["Content-Range"] == f"bytes 4-19/{len(whole.body)}"
    assert house.plain(url, headers={"Range": "bytes=100000000-"}).status == 416
    assert house.plain(url, headers={"Range": "bytes=4-19", "If-Range": '"of old"'}).status == 200
    assert house.plain(url, headers={"If-Modified-Since": whole.headers["Last-Modified"]}).status == 304


def test_crl__of_a_profile(house, openssl):
    """A list of its own, by its own clock; that certificates name it from a minute later on is in the unit tests and the history."""
    doc = {k: v for k, v in house.cli_json("get", "profile", "server-internal-1y").items() if k != "version"} | {"name": "crl-own"}
    for wrong, where in (({"crl": {"every": "2d", "lifetime": "1d"}}, "/revocation/crl/every"),
                         ({"crl": {"delta": "1h", "shards": 2}}, "/revocation/crl/delta"),
                         ({"crl": {}, "model": "none"}, "/revocation/crl")):
        assert where in house.cli("apply", "-f", write(openssl, doc | {"revocation": wrong}), ok=False).stderr
    house.cli("apply", "-f", write(openssl, doc | {"revocation": {"crl": {"lifetime": "3d", "every": "6h", "delta": "1h"}}}))
    ca = openssl.text("x509", "-in", export(house, openssl, "issuing-ca"), "-noout", "-ext", "subjectKeyIdentifier")
    ski = "".join(re.findall(r"\b[0-9A-F]{2}\b", ca)).lower()
    body, text = wait_for_list(house, openssl, f"/crl/{ski}/profile-crl-own.crl", "Issuing Distribution Point: critical")
    assert f"/crl/{ski}/profile-crl-own.crl" in text and f"/crl/{ski}/profile-crl-own.delta.crl" in text
    shown = house.cli_json("crl", "show", "issuing-ca", "--list", "profile-crl-own")
    assert shown["revoked"] == 0 and shown["url"].endswith("/profile-crl-own.crl")
    _, delta = wait_for_list(house, openssl, f"/crl/{ski}/profile-crl-own.delta.crl", "Delta CRL Indicator: critical")
    assert f"/crl/{ski}/profile-crl-own.crl" in delta
    assert house.plain(f"/crl/{ski}/profile-nobody.crl").status == 404
    events = json.loads(house.cli("register", "show", "--type", "authority.crl-list", "-o", "json").stdout)
    assert [e["body"]["shards"] for e in events if e["body"]["profile"] == "crl-own"] == [1]


def test_crl__indirect(new_house, openssl):
    """The device CA's certificates name a list that the issuing CA signs, with the issuer of each entry in it."""
    house = new_house("indirect")
    house.start()
    doc = house.cli_json("get", "authority", "device-ca")
    doc["crl"]["issuer"] = "nobody"
    assert "nobody" in house.cli("apply", "-f", write(openssl, doc), ok=False).stderr
    doc["crl"]["issuer"] = "issuing-ca"
    house.cli("apply", "-f", write(openssl, doc))
    deadline = time.monotonic() + SECONDS
    while True:
        name = f"indirect-{int(time.monotonic() * 1000)}"
        good, _ = issue(house, openssl, name, "device-ldevid-1y")
        if url_of(openssl, good).endswith("/indirect.crl"):
            break
        assert time.monotonic() < deadline, house.log()
        time.sleep(0.5)
    assert "CRL Issuer" in openssl.text("x509", "-in", good, "-noout", "-text")
    bad, serial = issue(house, openssl, "indirect-bad", "device-ldevid-1y")
    own, own_serial = issue(house, openssl, "indirect-own")
    house.cli("cert", "revoke", serial, "--reason", "keyCompromise", "--invalid-since", "2026-01-01")
    house.cli("cert", "revoke", own_serial, "--reason", "superseded")
    der, text = wait_for_list(house, openssl, url_of(openssl, bad), serial)
    der, text = wait_for_list(house, openssl, url_of(openssl, bad), own_serial)
    assert "Indirect CRL" in text and "X509v3 Certificate Issuer: critical" in text
    # openssl: the device certificate is judged by the issuing CA's list, whose certificate it finds by the name in cRLIssuer.
    openssl.run("crl", "-inform", "DER", "-out", openssl.file("indirect.crl"), data=der)
    root, device, issuing = (export(house, openssl, n) for n in ("root", "device-ca", "issuing-ca"))
    lists = [openssl.file("indirect.crl")]
    for authority in ("root", "issuing-ca"):
        path = openssl.file(authority + ".crl")
        with open(path, "wb") as f:
            f.write(house.cli("crl", "show", authority, "--pem").stdout.encode())
        lists.append(path)
    with open(openssl.file("lists.pem"), "wb") as out:
        for path in lists:
            with open(path, "rb") as f:
                out.write(f.read())
    with open(openssl.file("between.pem"), "wb") as out:
        for path in (device, issuing):
            with open(path, "rb") as f:
                out.write(f.read())

    def verify(cert, *options):
        done = openssl.run("verify", "-CAfile", root, "-untrusted", openssl.file("between.pem"), "-extended_crl", *options, "-CRLfile",
                           openssl.file("lists.pem"), cert, ok=False)
        return (done.stdout + done.stderr).decode()

    assert ": OK" in verify(good, "-crl_check_all")
    assert "certificate revoked" in verify(bad, "-crl_check_all")
    assert "certificate revoked" in verify(own, "-crl_check_all")
    # Without indirect lists it can't be judged at all, rather than be taken for good.
    done = openssl.run("verify", "-CAfile", root, "-untrusted", openssl.file("between.pem"), "-crl_check", "-CRLfile", openssl.file("lists.pem"),
                       good, ok=False)
    assert done.returncode != 0
    if shutil.which("certtool"):
        done = subprocess.run(["certtool", "--verify-crl", "--load-ca-certificate", issuing, "--infile", openssl.file("indirect.crl")],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0 and "Verified" in done.stdout, done.stdout
    # The document no longer says so: certificates name their own CA's list again, and those that named the other one stay on it.
    doc = house.cli_json("get", "authority", "device-ca")
    doc["crl"]["issuer"] = ""
    house.cli("apply", "-f", write(openssl, doc))
    back, _ = issue(house, openssl, "indirect-back", "device-ldevid-1y")
    assert url_of(openssl, back).endswith("/full.crl")
    house.cli("crl", "publish", "issuing-ca")
    assert serial in text_of(openssl, house.plain(url_of(openssl, bad)).body)
    assert json.loads(house.cli("crl", "show", "issuing-ca", "--list", "indirect", "-o", "json").stdout)["revoked"] == 2


def write(openssl, doc):
    path = openssl.file("authority.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(doc, f)
    return path
