"""EST (RFC 7030) from outside: plain HTTPS clients, openssl for requests and answers, strongSwan's client where it is installed."""
import base64
import email
import http.client
import json
import re
import shutil
import ssl
import subprocess

import pytest

EST = "/.well-known/est"
PKCS10 = {"Content-Type": "application/pkcs10"}


def post(house, openssl, path, csr, headers=None, cert=None, key=None):
    body = base64.b64encode(openssl.der(csr))
    return house.request("POST", EST + path, body, {**PKCS10, **(headers or {})}, cert, key)


def certificates(openssl, reply, name):
    """The certificates of a certs-only answer as a PEM file; (path, how many)."""
    assert b"\n" not in reply.body, "base64 has no line feeds here (RFC 8951)"
    der = base64.b64decode(reply.body, validate=True)
    pem = openssl.run("pkcs7", "-inform", "DER", "-print_certs", data=der).stdout.decode()
    with open(openssl.file(name), "w", encoding="ascii") as f:
        f.write("".join(re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S)))
    return openssl.file(name), pem.count("BEGIN CERTIFICATE")


def subject(openssl, cert):
    return openssl.text("x509", "-in", cert, "-noout", "-subject", "-nameopt", "RFC2253").strip()


def serial(openssl, cert):
    return openssl.text("x509", "-in", cert, "-noout", "-serial").strip().split("=")[1].lower()


def token(house, **claims):
    reply = house.api("POST", "/tokens", claims)
    assert reply.status == 201, reply
    return reply.json


def basic(made):
    return {"Authorization": "Basic " + base64.b64encode(f"{made['id']}:{made['secret']}".encode()).decode()}


def enroll(house, openssl, factory, device):
    """A device with its first certificate: (certificate, key)."""
    birth, birth_key = factory.idevid(device)
    csr = openssl.csr(device, f"/serialNumber={device}")
    reply = post(house, openssl, "/devices/simpleenroll", csr, cert=birth, key=birth_key)
    assert reply.status == 200, reply
    cert, n = certificates(openssl, reply, device + ".pem")
    assert n == 1
    return cert, openssl.file(device + ".key")


# ---- without authentication ----


@pytest.mark.parametrize("label", ["", "/devices", "/servers"])
def test_cacerts__chain_up_to_the_root(house, openssl, label):
    reply = house.request("GET", EST + label + "/cacerts")
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/pkcs7-mime"
    assert reply.headers["Content-Transfer-Encoding"] == "base64"
    path, n = certificates(openssl, reply, "ca.pem")
    assert n == 2
    assert "OK" in openssl.text("verify", "-CAfile", house.ca_bundle, path)


def test_cacerts__unknown_endpoint(house):
    assert house.request("GET", EST + "/nowhere/cacerts").status == 404
    assert house.request("GET", EST + "/rest/cacerts").status == 404


def test_csrattrs(house, openssl):
    reply = house.request("GET", EST + "/devices/csrattrs")
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/csrattrs"
    text = openssl.run("asn1parse", "-inform", "DER", data=base64.b64decode(reply.body)).stdout.decode()
    assert "id-ecPublicKey" in text and "prime256v1" in text


def test_simpleenroll__nobody(house, openssl):
    reply = post(house, openssl, "/devices/simpleenroll", openssl.csr("nobody", "/serialNumber=N"))
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert reply.body.startswith(b"authentication.missing: ")


# ---- devices with birth certificates ----


def test_simpleenroll__birth_certificate(house, openssl, factory):
    cert, _ = enroll(house, openssl, factory, "EST-1")
    assert "serialNumber=EST-1" in subject(openssl, cert)
    ca, _ = certificates(openssl, house.request("GET", EST + "/devices/cacerts"), "ca.pem")
    assert "OK" in openssl.text("verify", "-CAfile", house.ca_bundle, "-untrusted", ca, cert)
    device = house.api("GET", "/devices/EST-1")
    assert device.status == 200 and device.json["state"] == "onboarded"


def test_simpleenroll__for_another_device(house, openssl, factory):
    birth, key = factory.idevid("EST-2")
    reply = post(house, openssl, "/devices/simpleenroll", openssl.csr("other", "/serialNumber=EST-OTHER"), cert=birth, key=key)
    if reply.status == 200:  # the profile writes the device's own number, whatever was asked for
        cert, _ = certificates(openssl, reply, "other.pem")
        assert "serialNumber=EST-2" in subject(openssl, cert) and "OTHER" not in subject(openssl, cert)
    else:
        assert reply.status == 403


def test_simpleenroll__foreign_certificate(house, openssl):
    key = openssl.key("stranger")
    openssl.run("req", "-x509", "-new", "-key", key, "-subj", "/O=Factory/CN=Model 7/serialNumber=X", "-out", "stranger.pem")
    reply = post(house, openssl, "/devices/simpleenroll", openssl.csr("x", "/serialNumber=X"), cert=openssl.file("stranger.pem"), key=key)
    assert reply.status == 401


@pytest.mark.parametrize("form", ["lines", "crlf", "pem", "der"])
def test_simpleenroll__forms_of_the_body(house, openssl, factory, form):
    birth, key = factory.idevid("EST-" + form)
    csr = openssl.csr("form", "/serialNumber=EST-" + form)
    with open(csr, "rb") as f:
        pem = f.read()
    lines = base64.encodebytes(openssl.der(csr))
    body = {"lines": lines, "crlf": lines.replace(b"\n", b"\r\n"), "pem": pem, "der": openssl.der(csr)}[form]
    assert house.request("POST", EST + "/devices/simpleenroll", body, PKCS10, birth, key).status == 200


def test_simpleenroll__not_a_request(house, factory):
    birth, key = factory.idevid("EST-BAD")
    for body in (b"", b"*", b"AAAA", b"MAMCAQU=", b"\x30\x82\xff\xff"):
        reply = house.request("POST", EST + "/devices/simpleenroll", body, PKCS10, birth, key)
        assert reply.status == 400, reply


def test_simplereenroll(house, openssl, factory):
    cert, key = enroll(house, openssl, factory, "EST-3")
    reply = post(house, openssl, "/devices/simplereenroll", openssl.csr("again", "/serialNumber=EST-3"), cert=cert, key=key)
    assert reply.status == 200, reply
    renewed, _ = certificates(openssl, reply, "renewed.pem")
    assert subject(openssl, renewed) == subject(openssl, cert) and serial(openssl, renewed) != serial(openssl, cert)


def test_renewal_info__without_acme(house, openssl, factory):
    """Answers name where to ask when to renew (RFC 9773); an operator's word is heard there."""
    birth, birth_key = factory.idevid("est-window")
    csr = openssl.csr("est-window", "/serialNumber=est-window")
    reply = post(house, openssl, "/devices/simpleenroll", csr, cert=birth, key=birth_key)
    link = re.fullmatch(r'<(/renewal-info/[\w.-]+)>; rel="renewal-info"', reply.headers["Link"])
    assert link, reply.headers["Link"]
    cert, _ = certificates(openssl, reply, "est-window.pem")
    key = openssl.file("est-window.key")
    before = house.plain(link.group(1))
    assert before.status == 200 and before.headers["Content-Type"] == "application/json" and int(before.headers["Retry-After"]) > 3600
    window = json.loads(before.body)["suggestedWindow"]
    row = house.api("GET", "/certificates/" + serial(openssl, cert)).json
    assert row["not_before"] < window["start"] < window["end"] <= row["not_after"]
    # A device that looks for CA certificates now and then, showing its own, is told where.
    assert house.request("GET", EST + "/devices/cacerts", cert=cert, key=key).headers["Link"] == reply.headers["Link"]
    assert house.request("GET", EST + "/devices/cacerts").headers["Link"] is None
    house.cli("cert", "renew-now", serial(openssl, cert), "--spread", "1h", "--explanation", "https://status.example.org/1")
    moved = json.loads(house.plain(link.group(1)).body)
    assert moved["suggestedWindow"]["end"] < window["start"] and moved["explanationURL"] == "https://status.example.org/1"
    assert house.plain("/renewal-info/nonsense").status == 400
    assert house.plain("/renewal-info/AAAA.AAAA").status == 404
    known = link.group(1).rsplit(".", 1)
    assert house.plain(known[0] + "." + base64.urlsafe_b64encode(b"\x01" * 16).decode().rstrip("=")).status == 404


def test_simplereenroll__revoked(house, openssl, factory):
    cert, key = enroll(house, openssl, factory, "EST-4")
    assert house.api("POST", f"/certificates/{serial(openssl, cert)}/revoke", {"reason": "superseded"}).status == 200
    reply = post(house, openssl, "/devices/simplereenroll", openssl.csr("late", "/serialNumber=EST-4"), cert=cert, key=key)
    assert reply.status == 401 and b"certificate.revoked" in reply.body


def test_simplereenroll__needs_the_certificate(house, openssl):
    made = token(house, endpoint="devices", device="EST-5")
    reply = post(house, openssl, "/devices/simplereenroll", openssl.csr("bare", "/serialNumber=EST-5"), basic(made))
    assert reply.status == 401


def test_serverkeygen(house, openssl, factory):
    cert, key = enroll(house, openssl, factory, "EST-6")
    reply = post(house, openssl, "/devices/serverkeygen", openssl.csr("skg", "/serialNumber=EST-6"), cert=cert, key=key)
    assert reply.status == 200, reply
    message = email.message_from_bytes(b"Content-Type: " + reply.headers["Content-Type"].encode() + b"\r\n\r\n" + reply.body)
    made, certs = message.get_payload()
    assert made.get_content_type() == "application/pkcs8" and certs.get_content_type() == "application/pkcs7-mime"
    public = openssl.run("pkey", "-inform", "DER", "-pubout", data=made.get_payload(decode=True)).stdout
    pem = openssl.run("pkcs7", "-inform", "DER", "-print_certs", data=certs.get_payload(decode=True)).stdout
    assert openssl.run("x509", "-noout", "-pubkey", data=pem).stdout == public


# ---- servers with tokens ----


def test_token__once_for_its_names(house, openssl):
    made = token(house, endpoint="servers", names=["DNS:est-a.example.org"])
    other = openssl.csr("b", "/", "DNS:est-b.example.org")
    reply = post(house, openssl, "/servers/simpleenroll", other, basic(made))
    assert reply.status == 403 and reply.body.startswith(b"token.")
    csr = openssl.csr("a", "/", "DNS:est-a.example.org")
    first = post(house, openssl, "/servers/simpleenroll", csr, basic(made))
    assert first.status == 200, first
    again = post(house, openssl, "/servers/simpleenroll", csr, {"Authorization": "Bearer " + made["token"]})
    assert again.status == 200 and again.body == first.body, "a lost reply is given again to the same key"
    fresh = openssl.csr("a2", "/", "DNS:est-a.example.org")
    assert post(house, openssl, "/servers/simpleenroll", fresh, basic(made)).status == 403


@pytest.mark.parametrize("header", ["Basic !!!", "Basic eDp5", "Bearer x", "Bearer a.b", "Digest x", "Basic " + "QUFB" * 1000])
def test_token__wrong(house, openssl, header):
    csr = openssl.csr("w", "/", "DNS:est-w.example.org")
    assert post(house, openssl, "/servers/simpleenroll", csr, {"Authorization": header}).status == 401


def test_token__another_endpoint(house, openssl):
    made = token(house, endpoint="devices")
    reply = post(house, openssl, "/servers/simpleenroll", openssl.csr("e", "/", "DNS:est-e.example.org"), basic(made))
    assert reply.status == 401 and reply.body.startswith(b"token.endpoint")


def test_token__profile(house, openssl):
    made = token(house, endpoint="servers", profile="gateway", names=["DNS:est-g.example.org"])
    reply = post(house, openssl, "/servers/simpleenroll", openssl.csr("g", "/", "DNS:est-g.example.org"), basic(made))
    assert reply.status == 403 and reply.body.startswith(b"endpoint.profiles")


# ---- a client that others wrote ----


@pytest.fixture
def pki(openssl):
    path = shutil.which("pki")
    help_text = subprocess.run([path, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout if path else b""
    if b"--estca" not in help_text:
        pytest.skip("strongSwan's pki with EST is not installed")
    return lambda *args: subprocess.run([path, *args], cwd=openssl.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)


def test_strongswan(house, openssl, factory, pki):
    birth, birth_key = factory.idevid("EST-SWAN")
    done = pki("--estca", "--url", house.url, "--cacert", house.ca_bundle, "--caout", "ca", "--outform", "pem", "--force")
    assert done.returncode == 0, done.stderr
    ca = openssl.file("all.pem")
    with open(ca, "w", encoding="ascii") as f:
        f.write(openssl.text("x509", "-in", "ca-1.pem"))
    trust = ["--cacert", house.ca_bundle, "--cacert", ca, "--outform", "pem"]
    first = pki("--est", "--url", house.url, "--in", openssl.csr("s1", "/serialNumber=EST-SWAN"), *trust,
                "--cert", birth, "--key", birth_key)
    assert first.returncode == 0, first.stderr
    with open(openssl.file("s1.pem"), "wb") as f:
        f.write(first.stdout)
    again = pki("--est", "--url", house.url, "--in", openssl.csr("s2", "/serialNumber=EST-SWAN"), *trust,
                "--cert", "s1.pem", "--key", "s1.key")
    assert again.returncode == 0 and b"BEGIN CERTIFICATE" in again.stdout, again.stderr


# ---- endpoints that want more ----


@pytest.fixture
def strict(house):
    """Makes an EST endpoint for servers with further demands; its label."""
    made = []

    def make(name, profile="server-internal-1y", **authentication):
        document = {"kind": "Endpoint", "name": name, "protocol": "est", "profiles": [profile],
                    "authentication": {"token": True, "certificate": True, **authentication}}
        reply = house.api("PUT", "/resources/endpoints/" + name, document)
        assert reply.status in (200, 201), reply
        made.append(name)
        return name

    yield make
    for name in made:
        house.api("DELETE", "/resources/endpoints/" + name)


def test_both(house, openssl, strict):
    label = strict("est-both", both=True)
    first = token(house, endpoint="servers", names=["DNS:est-both.example.org"])
    csr = openssl.csr("both", "/", "DNS:est-both.example.org")
    cert, _ = certificates(openssl, post(house, openssl, "/servers/simpleenroll", csr, basic(first)), "both.pem")
    second = token(house, endpoint=label, names=["DNS:est-both.example.org"])
    shown = {"cert": cert, "key": openssl.file("both.key")}
    again = openssl.csr("both2", "/", "DNS:est-both.example.org")
    assert post(house, openssl, f"/{label}/simpleenroll", again, **shown).status == 401
    assert post(house, openssl, f"/{label}/simpleenroll", again, basic(second)).status == 401
    assert post(house, openssl, f"/{label}/simpleenroll", again, basic(second), **shown).status == 200


@pytest.mark.parametrize("verdict, status", [("approve", 200), ("reject", 403)])
def test_approval(house, openssl, strict, verdict, status):
    profile = house.cli_json("get", "profiles", "server-internal-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document.update(name="est-four-eyes", approval={"required": True})
    assert house.api("PUT", "/resources/profiles/est-four-eyes", document).status in (200, 201)
    label = strict("est-approval", profile="est-four-eyes")
    name = f"est-{verdict}.example.org"
    made = token(house, endpoint=label, names=["DNS:" + name])
    csr = openssl.csr(verdict, "/", "DNS:" + name)
    before = {r["id"] for r in house.api("GET", "/requests?status=pending").json["items"]}  # other tests' in the same house
    waiting = post(house, openssl, f"/{label}/simpleenroll", csr, basic(made))
    assert waiting.status == 202 and int(waiting.headers["Retry-After"]) > 0, waiting
    assert post(house, openssl, f"/{label}/simpleenroll", csr, basic(made)).status == 202
    requests = [r for r in house.api("GET", "/requests?status=pending").json["items"] if r["id"] not in before]
    assert len(requests) == 1, requests
    assert house.api("POST", f"/requests/{requests[0]['id']}/{verdict}", {"comment": "seen"}).status == 200
    reply = post(house, openssl, f"/{label}/simpleenroll", csr, basic(made))
    assert reply.status == status, reply


def bound_request(openssl, name, san, binding):
    """PKCS#10 with the binding as its challengePassword, base64."""
    with open(openssl.file(name + ".cnf"), "w", encoding="ascii") as f:
        f.write("[req]\nprompt=no\ndistinguished_name=dn\nattributes=attrs\nreq_extensions=exts\n[dn]\nO=Example\n"
                f"[attrs]\nchallengePassword={base64.b64encode(binding).decode()}\n[exts]\nsubjectAltName={san}\n")
    openssl.run("req", "-new", "-key", openssl.key(name), "-config", name + ".cnf", "-outform", "DER", "-out", name + ".der")
    with open(openssl.file(name + ".der"), "rb") as f:
        return base64.b64encode(f.read())


def test_channel_binding(house, openssl, strict):
    label = strict("est-bound", **{"channel-binding": True})
    made = token(house, endpoint=label, names=["DNS:est-bound.example.org"])
    plain = openssl.csr("unbound", "/", "DNS:est-bound.example.org")
    reply = post(house, openssl, f"/{label}/simpleenroll", plain, basic(made))
    assert reply.status == 403 and reply.body.startswith(b"RFC 7030 3.5")
    context = house.tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # Python tells tls-unique only
    for wrong in (True, False):
        connection = http.client.HTTPSConnection("127.0.0.1", house.ports["enrollment"], context=context, timeout=30)
        connection.connect()
        binding = bytes(12) if wrong else connection.sock.get_channel_binding("tls-unique")
        body = bound_request(openssl, f"bound-{wrong}", "DNS:est-bound.example.org", binding)
        connection.request("POST", f"{EST}/{label}/simpleenroll", body, {**PKCS10, **basic(made)})
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        assert reply.status == (403 if wrong else 200), text


def test_serverkeygen__asked_to_encrypt(house, openssl, factory):
    cert, key = enroll(house, openssl, factory, "EST-7")
    with open(openssl.file("enc.cnf"), "w", encoding="ascii") as f:
        f.write("oid_section=oids\n[oids]\nasymmDecryptKeyID=1.2.840.113549.1.9.16.2.54\n[req]\nprompt=no\ndistinguished_name=dn\n"
                "attributes=attrs\n[dn]\nserialNumber=EST-7\n[attrs]\nasymmDecryptKeyID=some key\n")
    openssl.run("req", "-new", "-key", openssl.key("enc"), "-config", "enc.cnf", "-out", "enc.csr")
    reply = post(house, openssl, "/devices/serverkeygen", openssl.file("enc.csr"), cert=cert, key=key)
    assert reply.status == 400 and b"RFC 7030 4.4.1" in reply.body


# ---- keys that nobody should have ----


def test_simpleenroll__small_rsa_key(house, openssl, factory):
    """A key too small for any profile is refused by name and recorded, like any other refusal."""
    birth, key = factory.idevid("EST-SMALL")
    openssl.run("genrsa", "-out", "small.key", "1024")
    reply = post(house, openssl, "/devices/simpleenroll", openssl.csr("small", "/serialNumber=EST-SMALL", key=openssl.file("small.key")),
                 cert=birth, key=key)
    assert reply.status == 400 and reply.body.startswith(b"key.size: an RSA modulus of 1024 bits"), reply
    shown = house.cli("register", "show", "--type", "enrollment.denied", "-o", "json").stdout
    assert "key.size" in shown and "EST-SMALL" in shown


def test_csrattrs__rsa_size_and_binding(house, openssl, strict):
    """RFC 9908 3.4 says an RSA key's size by a placeholder of that size; RFC 7030 4.5.2 says that a binding is wanted."""
    profile = house.cli_json("get", "profiles", "server-internal-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document.update(name="est-rsa", key={"algorithms": ["rsa-3072"]})
    assert house.api("PUT", "/resources/profiles/est-rsa", document).status in (200, 201)
    label = strict("est-rsa-only", profile="est-rsa", **{"channel-binding": True})
    reply = house.request("GET", EST + f"/{label}/csrattrs")
    der = base64.b64decode(reply.body)
    text = openssl.run("asn1parse", "-inform", "DER", data=der).stdout.decode()
    assert "challengePassword" in text and "rsaEncryption" in text and "1.2.840.113549.1.9.16.2.61" in text
    # [0] IMPLICIT SubjectPublicKeyInfoTemplate: swapping its tag for SEQUENCE gives a whole SubjectPublicKeyInfo.
    at = der.index(b"\xa0\x82")
    length = int.from_bytes(der[at + 2:at + 4], "big")
    spki = b"\x30" + der[at + 1:at + 4 + length]
    assert "(3072 bit)" in openssl.run("pkey", "-pubin", "-inform", "DER", "-noout", "-text_pub", data=spki).stdout.decode()
