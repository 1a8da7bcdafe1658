"""SCEP (RFC 8894) from outside: a small client that can do wrong, strongSwan's pki, certmonger's helper."""
import base64
import concurrent.futures
import datetime
import hashlib
import hmac
import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
import scep  # noqa: E402


@pytest.fixture
def client(house, openssl):
    return scep.Client(house.plain_url, openssl)


def token(house, *names, endpoint="scep"):
    args = [a for n in names for a in ("--name", n)]
    return house.cli("token", "create", "--for", "scep", "--endpoint", endpoint, *args, "-q").stdout.strip()


@pytest.fixture
def key():
    return scep.new_key()


def endpoint(house, name, profiles="device-ldevid-1y", **settings):
    doc = {"kind": "Endpoint", "name": name, "protocol": "scep", "profiles": [profiles], "authentication": {"certificate": True}, "scep": settings}
    done = subprocess.run([os.environ.get("TOUCHMARK", "build/touchmark"), "apply", "-f", "-", "--home", house.home], input=json.dumps(doc),
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


# --- what needs no message ---

@pytest.mark.parametrize("path", ["/scep/scep", "/scep/scep/pkiclient.exe", "/certsrv/mscep/mscep.dll", "/certsrv/mscep/mscep.dll/pkiclient.exe",
                                  "/cgi-bin/pkiclient.exe"])
def test_get_ca_caps_and_cert(house, openssl, path):
    client = scep.Client(house.plain_url, openssl, path)
    status, kind, body = client.get("GetCACaps")
    assert status == 200 and kind.startswith("text/plain")
    caps = body.decode().split()
    assert {"AES", "POSTPKIOperation", "Renewal", "SCEPStandard", "SHA-256", "SHA-512"} <= set(caps)
    assert not {"SHA-1", "DES3", "GetNextCACert"} & set(caps)
    ra, ca, root = client.ca_certs()
    assert ra.issuer == ca.subject and ca.issuer == root.subject == root.issuer
    assert ra.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment


def test_wrong_operations(house, client):
    assert client.exchange("GET", "")[0] == 400
    assert client.get("Nought")[0] == 400
    assert client.get("GetNextCACert")[0] == 404
    assert client.exchange("GET", "operation=PKIOperation&message=%21%21")[0] == 400
    assert client.exchange("POST", "operation=PKIOperation", b"")[0] == 400
    client.path = "/scep/nought"
    assert client.get("GetCACaps")[0] == 404


# --- enrollment ---

@pytest.mark.parametrize("how", [{}, {"seal": {"cipher": "aes256", "oaep": "sha256"}}, {"seal": {"oaep": "sha1"}, "digest": "sha512"},
                                 {"seal": {"ber": True}, "ber": True}])
def test_enroll(house, client, key, how):
    """Once with each way to seal; a retry, also under another transaction, has the same certificate, and another key is refused."""
    cn = "scep-" + os.urandom(4).hex()
    challenge = token(house, "CN=" + cn)
    reply = client.enroll(key, cn, challenge, transaction="t-" + cn, **how)
    cert = client.open(reply, key)[0]
    assert client.link.endswith('; rel="renewal-info"')
    window = json.loads(client.http(client.link[1:client.link.index(">")]))["suggestedWindow"]
    assert window["start"] < window["end"] <= cert.not_valid_after.isoformat() + "Z"
    assert cert.subject.rfc4514_string() == "CN=" + cn and cert.public_key() == key.public_key() or \
        cert.public_key().public_numbers() == key.public_key().public_numbers()
    for transaction in ("t-" + cn, None):
        again = client.enroll(key, cn, challenge, transaction=transaction)
        assert client.open(again, key)[0] == cert
    other = scep.new_key()
    for transaction in ("t-" + cn, None):
        stolen = client.enroll(other, cn, challenge, transaction=transaction)
        assert (stolen.status, stolen.fail) == (scep.FAILURE, scep.BAD_REQUEST) and "another key" in stolen.text


def test_enroll__by_get(house, client, key):
    cn = "scep-get"
    body = scep.message(scep.envelope(scep.request(key, cn, token(house, "CN=" + cn)), client.ra), scep.self_signed(key, cn), key, scep.PKCS_REQ, "get")
    for text in (base64.b64encode(body).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"), base64.b64encode(body).decode(),
                 base64.urlsafe_b64encode(body).decode().rstrip("=")):
        status, kind, answer = client.exchange("GET", "operation=PKIOperation&message=" + text)
        assert (status, kind) == (200, "application/x-pki-message")
        assert scep.Reply(status, answer, client.ra).status == scep.SUCCESS


def test_enroll__ec_key_by_password(house, client):
    key, cn = scep.new_key("ec"), "scep-ec"
    challenge = token(house, "CN=" + cn)
    cert = client.open(client.enroll(key, cn, challenge), key, password=challenge)[0]
    # A renewal has no challenge: the answer is for the key, by agreement.
    renewed = client.open(client.ask(scep.RENEWAL_REQ, scep.request(key, cn), cert, key), key)[0]
    assert renewed.serial_number != cert.serial_number


def test_names_of_the_challenge_are_kept_to(house, client, key):
    reply = client.enroll(key, "scep-other", token(house, "CN=scep-mine"))
    assert (reply.status, reply.fail) == (scep.FAILURE, scep.BAD_REQUEST) and "token" in reply.text


@pytest.mark.parametrize("challenge", [None, "nonsense", "abc.def", "." * 300])
def test_enroll__bad_challenge(house, client, key, challenge):
    reply = client.enroll(key, "scep-bad", challenge)
    assert (reply.status, reply.fail) == (scep.FAILURE, scep.BAD_REQUEST), reply


def test_renewal(house, client, key):
    """By RenewalReq with a new key, by PKCSReq under the certificate, and not by who has none."""
    cn = "scep-renew"
    first = client.open(client.enroll(key, cn, token(house, "CN=" + cn), transaction="same"), key)[0]
    fresh = scep.new_key()
    second = client.open(client.ask(scep.RENEWAL_REQ, scep.request(fresh, cn), first, key), key)[0]
    assert second.public_key().public_numbers() == fresh.public_key().public_numbers()
    # The same key under the same transaction, as clients name it by a hash of the key: a new certificate, once for each that signs.
    third = client.open(client.ask(scep.PKCS_REQ, scep.request(key, cn), first, key, "same"), key)[0]
    assert third.serial_number not in (first.serial_number, second.serial_number)
    assert client.open(client.ask(scep.PKCS_REQ, scep.request(key, cn), first, key, "same"), key)[0] == third
    refused = client.ask(scep.RENEWAL_REQ, scep.request(key, cn), scep.self_signed(key, cn), key)
    assert (refused.status, refused.fail) == (scep.FAILURE, scep.BAD_REQUEST)
    house.cli("cert", "revoke", f"{second.serial_number:032x}")
    revoked = client.ask(scep.RENEWAL_REQ, scep.request(fresh, cn), second, fresh)
    assert revoked.status == scep.FAILURE and "revoked" in revoked.text


def test_get_cert_and_crl(house, client, key):
    cn = "scep-fetch"
    cert = client.open(client.enroll(key, cn, token(house, "CN=" + cn)), key)[0]
    reply = client.ask(scep.GET_CRL, scep.issuer_and_serial(cert), cert, key)
    assert reply.status == scep.SUCCESS, reply
    with open(client.openssl.file("answer.der"), "wb") as f:
        f.write(reply.envelope)
    with open(client.openssl.file("answer.key"), "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    crl = [whole for tag, contents, _ in scep.inside(scep.inside(client.raw(["-inkey", "answer.key"]))[1][1]) if tag == 0xA1 for _, _, whole in scep.read(contents)]
    assert x509.load_der_x509_crl(crl[0]).issuer == cert.issuer
    unknown = scep.seq(cert.issuer.public_bytes(), scep.integer(4711))
    assert client.ask(scep.GET_CERT, unknown, cert, key).fail == scep.BAD_CERT_ID
    stranger = client.ask(scep.GET_CRL, scep.issuer_and_serial(cert), scep.self_signed(key, cn), key)
    assert (stranger.status, stranger.fail) == (scep.FAILURE, scep.BAD_MESSAGE_CHECK)


# --- approval ---

APPROVED = """kind: Profile
name: scep-approved
authority: device-ca
lifetime: { default: 30d }
key: { algorithms: ["ec-p256", "rsa-2048+"] }
subject: { template: [{ attr: CN, value: "{csr.CN}" }], required: [CN] }
usage: { key-usage: [digitalSignature], eku: [clientAuth] }
approval: { required: true }
retention: { level: full }
"""


@pytest.fixture
def approved(house, tmp_path):
    path = tmp_path / "approved.yaml"
    path.write_text(APPROVED)
    house.cli("apply", "-f", str(path))
    endpoint(house, "scep-approved", "scep-approved")


def test_pending(house, openssl, approved):
    def pending():
        return {r["id"] for r in house.cli_json("request", "list", "--status", "pending")}

    client = scep.Client(house.plain_url, openssl, "/scep/scep-approved")
    for verdict in ("approve", "reject"):
        cn, key, others = "scep-" + verdict, scep.new_key(), pending()
        reply = client.enroll(key, cn, token(house, "CN=" + cn, endpoint="scep-approved"), transaction=cn)
        assert reply.status == scep.PENDING and reply.envelope is None
        assert client.poll(key, cn, cn).status == scep.PENDING
        other = scep.new_key()
        assert client.poll(other, cn, cn).fail == scep.BAD_REQUEST
        assert client.poll(key, cn, "nought").fail == scep.BAD_CERT_ID
        [mine] = pending() - others
        house.cli("request", verdict, mine)
        reply = client.poll(key, cn, cn)
        if verdict == "reject":
            assert (reply.status, reply.fail) == (scep.FAILURE, scep.BAD_REQUEST) and "rejected" in reply.text
            continue
        cert = client.open(reply, key)[0]
        assert cert.subject.rfc4514_string() == "CN=" + cn
        assert client.open(client.poll(key, cn, cn), key)[0] == cert
        got = client.ask(scep.GET_CERT, scep.issuer_and_serial(cert), cert, key)
        assert client.open(got, key)[0] == cert


def test_pending__copies_at_once(house, openssl, approved):
    """One request, one approval; every copy is answered."""
    def pending():
        return {r["id"] for r in house.cli_json("request", "list", "--status", "pending")}

    client, key, cn, before = scep.Client(house.plain_url, openssl, "/scep/scep-approved"), scep.new_key(), "scep-copies", pending()
    challenge = token(house, "CN=" + cn, endpoint="scep-approved")
    message = scep.message(scep.envelope(scep.request(key, cn, challenge), client.ra), scep.self_signed(key, cn), key, scep.PKCS_REQ, cn)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: client.send(message), range(8)))
    assert {r.status for r in replies} == {scep.PENDING}
    [mine] = pending() - before
    house.cli("request", "approve", mine)
    assert client.open(client.poll(key, cn, cn), key)[0].subject.rfc4514_string() == "CN=" + cn


# --- rollover ---

def test_get_next_ca_cert(house, client):
    doc = yaml_of(house, "authorities", "device-ca")
    assert house.api("PUT", "/resources/authorities/device-ca", {**doc, "successor": "nought"}).status in (400, 422)
    doc["successor"] = "issuing-ca"
    apply(house, doc)
    try:
        assert "GetNextCACert" in client.get("GetCACaps")[2].decode().split()
        status, kind, body = client.get("GetNextCACert")
        assert (status, kind) == (200, "application/x-x509-next-ca-cert"), body
        with open(client.openssl.file("next.der"), "wb") as f:
            f.write(body)
        with open(client.openssl.file("cas.pem"), "wb") as f:
            for c in client.ca_certs()[1:]:
                f.write(c.public_bytes(serialization.Encoding.PEM))
        inner = client.openssl.run("cms", "-verify", "-inform", "DER", "-in", "next.der", "-CAfile", "cas.pem", "-purpose", "any").stdout
        assert any(c.subject.rfc4514_string().startswith("CN=Example Issuing CA") for c in scep.certificates(inner))
    finally:
        doc = yaml_of(house, "authorities", "device-ca")
        doc.pop("successor", None)
        apply(house, doc)


def test_get_next_ca_cert__what_a_ceremony_sealed(house, client):
    """A server alone can't have a CA of its own choice handed out."""
    openssl = client.openssl
    openssl.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "rogue.key", "-subj",
                "/CN=Rogue Root", "-days", "30", "-addext", "keyUsage=critical,keyCertSign", "-out", "rogue.pem")
    house.cli("ca", "import", "rogue-root", "--cert", openssl.file("rogue.pem"))
    doc = yaml_of(house, "authorities", "device-ca")
    apply(house, {**doc, "successor": "rogue-root"})
    try:
        status, _, body = client.get("GetNextCACert")
        assert status == 503 and b"touchmark ca anchors" in body
        done = house.cli("ca", "anchors", "rogue-root", ok=False)
        assert done.returncode == 1 and "stop it" in done.stderr
        house.stop()
        sealed = house.cli_json("ca", "anchors", "rogue-root")
        fingerprint = openssl.text("x509", "-in", "rogue.pem", "-noout", "-fingerprint", "-sha256").strip().split("=")[1]
        assert sealed["sealed"] == [{"subject": "CN=Rogue Root", "sha256": fingerprint}]
        house.start()
        client = scep.Client(house.plain_url, openssl)
        assert client.get("GetNextCACert")[0] == 200
        house.stop()
        assert house.cli_json("ca", "anchors", "rogue-root", "--remove")["removed"] == sealed["sealed"]
        house.start()
        client = scep.Client(house.plain_url, openssl)
        assert client.get("GetNextCACert")[0] == 503
    finally:
        doc = yaml_of(house, "authorities", "device-ca")
        doc.pop("successor", None)
        apply(house, doc)


def yaml_of(house, plural, name):
    return house.cli_json("get", plural, name)


def apply(house, doc):
    done = subprocess.run([os.environ.get("TOUCHMARK", "build/touchmark"), "apply", "-f", "-", "--home", house.home], input=json.dumps(doc),
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


# --- bad weather ---

def test_bad_messages(house, client, key):
    cn, cert = "scep-wrong", scep.self_signed(key, "scep-wrong")
    good = scep.envelope(scep.request(key, cn, "x"), client.ra)
    assert client.send(b"\x30\x03\x02\x01\x00").http == 400
    assert client.send(os.urandom(300)).http == 400
    assert client.send(b"\x30\x80" * 40).http == 400
    for drop in range(5):
        assert client.send(scep.message(good, cert, key, 19, "t", drop=(drop,))).http == 400
    assert client.send(scep.message(good, cert, key, 19, "t" * 129)).http == 400
    assert client.send(scep.message(good, cert, key, 19, "t", nonce=b"n" * 65)).http == 400
    assert client.send(scep.message(good, cert, key, 19, "t", spoil=lambda s: bytes([s[0] ^ 1]) + s[1:])).http == 400
    assert client.send(scep.message(good, cert, key, 19, "t", digest="md5")).http == 400
    assert client.send(scep.message(good, cert, key, 19, "t", digest="sha1")).http == 400
    for type_ in (3, 0, 18, 255):
        assert client.send(scep.message(good, cert, key, type_, "t")).fail == scep.BAD_REQUEST
    assert client.exchange("POST", "operation=PKIOperation", b"\x30" * (300 << 10))[0] == 413
    for cipher in ("des3", "unknown"):
        assert client.ask(19, b"x", cert, key, seal={"cipher": cipher}).fail == scep.BAD_ALG
    elsewhere = scep.message(scep.envelope(b"x", scep.self_signed(key, "nobody")), cert, key, 19, "t")
    assert client.send(elsewhere).fail == scep.BAD_CERT_ID
    huge = scep.message(scep.envelope(os.urandom(200 << 10), client.ra), cert, key, 19, "t")
    assert client.send(huge).fail == scep.BAD_MESSAGE_CHECK


def test_nonce__not_for_another_message(house, client, key):
    cn, nonce = "scep-nonce", os.urandom(16)
    challenge = token(house, "CN=" + cn)
    body = scep.message(scep.envelope(scep.request(key, cn, challenge), client.ra), scep.self_signed(key, cn), key, 19, "nonce", nonce=nonce)
    assert client.send(body).status == client.send(body).status == scep.SUCCESS
    reply = client.enroll(key, cn, challenge, transaction="nonce", nonce=nonce)
    assert (reply.status, reply.fail) == (scep.FAILURE, scep.BAD_REQUEST) and "nonce" in reply.text


def test_no_oracle(house, client, key):
    """A victim's envelope under another signature, whole or spoilt in every way, has one and the same answer."""
    cn = "scep-victim"
    plain = scep.request(scep.new_key(), cn, token(house, "CN=" + cn))
    flip = lambda b, i: b[:i] + bytes([b[i] ^ 1]) + b[i + 1:]  # noqa: E731
    spoilt = [None, lambda w, iv, c: (w, iv, flip(c, len(c) - 1)), lambda w, iv, c: (w, iv, flip(c, len(c) - 17)), lambda w, iv, c: (w, flip(iv, 0), c),
              lambda w, iv, c: (w, iv, c[:-16]), lambda w, iv, c: (w, iv, c[:-3]), lambda w, iv, c: (flip(w, 200), iv, c),
              lambda w, iv, c: (b"\0" * len(w), iv, c), lambda w, iv, c: (w[:-1], iv, c), lambda w, iv, c: (w, iv[:-1], c)]
    answers = set()
    for spoil in spoilt:
        reply = client.ask(19, plain, scep.self_signed(key, cn), key, "victim", seal={"spoil": spoil})
        answers.add((reply.http, reply.status, reply.fail, reply.text))
    for octets in (os.urandom(15), os.urandom(24), b""):
        reply = client.ask(19, plain, scep.self_signed(key, cn), key, "victim", seal={"key_octets": octets})
        answers.add((reply.http, reply.status, reply.fail, reply.text))
    oaep = client.ask(19, plain, scep.self_signed(key, cn), key, "victim", seal={"oaep": "sha256", "spoil": spoilt[6]})
    answers.add((oaep.http, oaep.status, oaep.fail, oaep.text))
    assert len(answers) == 1, answers
    assert answers.pop()[2] == scep.BAD_MESSAGE_CHECK


def test_no_oracle__queries(house, client, key):
    """Nor does it matter as what kind of message it is sent, by somebody whom nobody knows or by a device that is known."""
    cn = "scep-insider"
    own = client.open(client.enroll(key, cn, token(house, "CN=" + cn), transaction=cn), key)[0]
    plain = scep.request(scep.new_key(), "scep-victim", "a secret of somebody else's")
    flip = lambda b, i: b[:i] + bytes([b[i] ^ 1]) + b[i + 1:]  # noqa: E731
    spoilt = [None, lambda w, iv, c: (w, iv, flip(c, len(c) - 1)), lambda w, iv, c: (w, iv, flip(c, len(c) - 17)), lambda w, iv, c: (w, iv, c[:-16]),
              lambda w, iv, c: (flip(w, 200), iv, c)]
    nobody = scep.self_signed(key, cn)
    for type_, by, transaction, expected in ((scep.CERT_POLL, nobody, "victim", scep.BAD_CERT_ID), (scep.CERT_POLL, own, cn, ""),
                                             (scep.GET_CERT, nobody, "victim", scep.BAD_MESSAGE_CHECK),
                                             (scep.GET_CERT, own, cn, scep.BAD_MESSAGE_CHECK), (scep.GET_CRL, own, cn, scep.BAD_MESSAGE_CHECK)):
        answers = set()
        for spoil in spoilt:
            reply = client.ask(type_, plain, by, key, transaction, seal={"spoil": spoil})
            answers.add((reply.http, reply.status, reply.fail, None if reply.status == scep.SUCCESS else reply.text))
        assert len(answers) == 1, (type_, answers)
        assert answers.pop()[2] == expected


def test_legacy_and_clock_and_static(house, openssl, key):
    """SHA-1, triple DES and a static challenge, each only where the endpoint says so."""
    endpoint(house, "scep-legacy", challenges=["static"], **{"static-challenge-sha256": hashlib.sha256(b"for all").hexdigest(),
             "legacy": {"sha1": True, "des3": True}, "clock-tolerance": "1h"})
    client = scep.Client(house.plain_url, openssl, "/scep/scep-legacy")
    assert {"SHA-1", "DES3"} <= set(client.get("GetCACaps")[2].decode().split())
    reply = client.enroll(key, "scep-old", "for all", digest="sha1", seal={"cipher": "des3"})
    assert client.open(reply, key)
    assert client.enroll(key, "scep-old", "for one").fail == scep.BAD_REQUEST
    now = datetime.datetime.utcnow()
    assert client.enroll(key, "scep-old", "for all", time=now).status == scep.SUCCESS
    assert client.enroll(key, "scep-old", "for all", time=now - datetime.timedelta(hours=2)).fail == scep.BAD_TIME


@pytest.mark.parametrize("settings, where", [({"challenges": ["static"]}, "static-challenge-sha256"), ({"challenges": ["webhook"]}, "webhook/url"),
                                             ({"challenges": []}, "challenges"), ({"retention": "1s"}, "retention"), ({"nought": 1}, "nought")])
def test_settings__refused(house, tmp_path, settings, where):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"kind": "Endpoint", "name": "scep-bad", "protocol": "scep", "profiles": ["device-ldevid-1y"], "scep": settings}))
    assert where in house.cli("apply", "-f", str(path), ok=False).stderr


# --- the web hook ---

class Hook(http.server.BaseHTTPRequestHandler):
    """What an MDM vendor's service looks like from here: signed JSON in, a verdict out, outcomes noted."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = "sha256=" + hmac.new(b"hook secret", body, hashlib.sha256).hexdigest()
        doc = json.loads(body)
        self.server.seen.append((self.headers.get("Touchmark-Signature") == wanted, doc))
        self.server.event.set() if doc["event"] == "outcome" else None
        answer = json.dumps({"allow": doc["challenge"] == "signed blob", "names": ["CN=scep-mdm"], "reason": "not enrolled"}).encode()
        if doc["challenge"] == "break":
            answer = b"no JSON"
        if doc["challenge"] == "loose":
            answer = b'{"allow": true, "names": "CN=scep-mdm"}'
        if doc["challenge"] in ("long", "endless"):
            answer = json.dumps({"note": "x" * (30000 if doc["challenge"] == "long" else 33000), "allow": True, "names": ["CN=scep-mdm"]}).encode()
        self.send_response(500 if doc["challenge"] == "fail" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture
def hook(openssl):
    openssl.key("hook")
    openssl.run("req", "-x509", "-new", "-key", "hook.key", "-subj", "/CN=hook", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1", "-out", "hook.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(openssl.file("hook.pem"), openssl.file("hook.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.seen, server.event = [], threading.Event()
    with open(openssl.file("hook.pem"), encoding="ascii") as f:
        server.pem = f.read()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_webhook(house, openssl, key, hook):
    settings = {"url": f"https://127.0.0.1:{hook.server_port}/scep?x=1", "secret": "hook secret", "ca": hook.pem, "networks": ["127.0.0.0/8"], "timeout": "5s"}
    endpoint(house, "scep-mdm", challenges=["webhook"], webhook=settings)
    client = scep.Client(house.plain_url, openssl, "/scep/scep-mdm")
    cert = client.open(client.enroll(key, "scep-mdm", "signed blob"), key)[0]
    assert hook.event.wait(10)
    (good, asked), (told_good, told) = hook.seen[:2]
    assert good and told_good and asked["event"] == "validate" and asked["endpoint"] == "scep-mdm" and asked["challenge"] == "signed blob"
    assert x509.load_der_x509_csr(base64.b64decode(asked["csr"])).public_key().public_numbers() == key.public_key().public_numbers()
    assert told["outcome"] == "issued" and x509.load_der_x509_certificate(base64.b64decode(told["certificate"])) == cert
    # Names that the service did not allow, a verdict against, an answer that is none, a service that fails, and an address that it may not have.
    other = client.enroll(scep.new_key(), "scep-else", "signed blob")
    assert other.status == scep.FAILURE and "token" in other.text
    assert "not enrolled" in client.enroll(key, "scep-mdm", "wrong").text
    assert client.enroll(key, "scep-mdm", "break").fail == scep.BAD_REQUEST
    assert client.enroll(key, "scep-mdm", "fail").http == 503
    assert client.enroll(key, "scep-mdm", "loose").http == 503, "names that are no list are not no bound at all"
    # It may say much; what is more than that is not taken for a refusal.
    own = scep.new_key()
    assert client.open(client.enroll(own, "scep-mdm", "long"), own)
    assert client.enroll(scep.new_key(), "scep-mdm", "endless").http == 503
    settings["networks"] = []
    endpoint(house, "scep-mdm", challenges=["webhook"], webhook=settings)
    assert client.enroll(scep.new_key(), "scep-mdm", "signed blob").http == 503


# --- clients that others wrote ---

def pki(*args, cwd):
    done = subprocess.run(["pki", *args], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if b"no capable fetcher" in done.stderr:
        pytest.skip("strongSwan has no curl plugin here (libstrongswan-extra-plugins)")
    return done


@pytest.mark.skipif(not shutil.which("pki"), reason="strongSwan's pki is not installed")
def test_strongswan(house, tmp_path, approved):
    """Enroll, renew, and wait for approval."""
    url = house.plain_url + "/scep/scep"
    done = pki("--scepca", "--url", url, "--caout", "ca.pem", "--raout", "ra.pem", "--outform", "pem", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trust = ["--cacert-enc", "ra.pem", "--cacert-sig", "ra.pem", "--cacert", "ca.pem", "--cacert", "ca-1.pem", "--outform", "pem"]
    for name in ("one", "two", "three"):
        (tmp_path / name).write_bytes(pki("--gen", "--type", "rsa", "--size", "2048", cwd=tmp_path).stdout)
    done = pki("--scep", "--url", url, "--in", "one", "--dn", "CN=swan", "--password", token(house, "CN=swan"), *trust, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "one.pem").write_bytes(done.stdout)
    first = x509.load_pem_x509_certificate(done.stdout)
    assert first.subject.rfc4514_string() == "CN=swan"
    done = pki("--scep", "--url", url, "--in", "two", "--dn", "CN=swan", "--cert", "one.pem", "--key", "one", *trust, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert x509.load_pem_x509_certificate(done.stdout).serial_number != first.serial_number
    challenge = token(house, "CN=swan-waits", endpoint="scep-approved")
    before = {r["id"] for r in house.cli_json("request", "list", "--status", "pending")}
    process = subprocess.Popen(["pki", "--scep", "--url", house.plain_url + "/scep/scep-approved", "--in", "three", "--dn", "CN=swan-waits", "--password",
                                challenge, "--interval", "1", "--maxpolltime", "30", *trust], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for _ in range(100):
            waiting = [r["id"] for r in house.cli_json("request", "list", "--status", "pending") if r["id"] not in before]
            if waiting:
                break
            threading.Event().wait(0.1)
        house.cli("request", "approve", waiting[0])
        out, err = process.communicate(timeout=40)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert x509.load_pem_x509_certificate(out).subject.rfc4514_string() == "CN=swan-waits"


# --- one-time secrets under fire ---

def storm(house, openssl, tmp_path, count, kills, kind):
    """Many secrets, 64 clients that sometimes hang up before the answer, a server killed under them: each secret has one certificate."""
    path = tmp_path / "secrets.ndjson"
    house.cli("token", "create", "--for", "scep", "--endpoint", "scep", "--count", str(count), "--name", "CN=storm-{n}", "--out", str(path), timeout=120)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({row["token"] for row in rows}) == count
    ra = scep.Client(house.plain_url, openssl).ra
    got, todo, lock, finished = {}, list(enumerate(rows)), threading.Lock(), threading.Event()
    failures, killed = [], []

    def message(i, row, key, cn):
        return scep.message(scep.envelope(scep.request(key, cn, row["token"]), ra), scep.self_signed(key, cn), key, scep.PKCS_REQ, "storm-" + str(i))

    def once(body):
        connection = scep.http.client.HTTPConnection("127.0.0.1", house.ports["plain"], timeout=30)
        try:
            connection.request("POST", "/scep/scep?operation=PKIOperation", body)
            if os.urandom(1)[0] < 40:
                return None  # the reply is lost
            r = connection.getresponse()
            return scep.Reply(r.status, r.read(), ra)
        except (OSError, scep.http.client.HTTPException):
            return None
        finally:
            connection.close()

    def answered(body):
        """The same message until it is answered."""
        while not failures and time.monotonic() < end:
            reply = once(body)
            if reply and reply.http == 200:
                return reply
            finished.wait(0.05)
        return None

    def work():
        while not failures:
            with lock:
                if not todo:
                    return
                i, row = todo.pop()
            cn, own = row["names"][0][3:], keys[i]
            replies = [answered(message(i, row, own, cn)) for _ in range(2)]
            failures.extend((cn, r) for r in replies if not r or r.status != scep.SUCCESS)
            with lock:
                got[cn] = (own, row, replies)

    def kill():
        try:
            while not got and not failures:
                finished.wait(0.01)
            for _ in range(kills):
                if killed and finished.wait(count / 1000 + 1.5):
                    return
                house.process.kill()
                house.process.wait()
                house.start(seconds=120)
                killed.append(1)
        except AssertionError as e:
            failures.append(("restart", e))

    keys = [scep.new_key(kind) for _ in rows]
    end = time.monotonic() + 60 + count
    threads = [threading.Thread(target=work) for _ in range(64)]
    killer = threading.Thread(target=kill)
    for t in threads + [killer]:
        t.start()
    for t in threads:
        t.join()
    finished.set()
    killer.join()
    assert not failures, failures[:3]
    assert len(got) == count and len(killed) > 0
    issued = {}
    after = None
    while True:
        page = house.api("GET", "/certificates?limit=1000" + (f"&after={after}" if after else "")).json
        for c in page["items"]:
            if "storm-" in c["subject"]:
                issued.setdefault(c["subject"], []).append(c["serial"])
        after = page.get("next")
        if not after:
            break
    assert sorted(issued) == sorted("CN=" + cn for cn in got) and all(len(v) == 1 for v in issued.values())
    client = scep.Client(house.plain_url, openssl)
    for cn, (key, row, replies) in got.items():
        opened = [scep.unseal(r.envelope, key) if kind == "rsa" else client.open(r, key, password=row["token"]) for r in replies]
        assert {certs[0].serial_number for certs in opened} == {int(issued["CN=" + cn][0], 16)}
    denied = house.api("GET", "/register/events?type=enrollment.denied&limit=1000").json["items"]
    assert not any("storm-" in e["body"]["subject"] for e in denied), "who asks again for his own certificate is not refused"
    for cn, (_, row, _) in list(got.items())[:20]:
        stolen = client.enroll(scep.new_key("ec"), cn, row["token"])
        assert stolen.status == scep.FAILURE and "another key" in stolen.text


def test_one_time_secrets(house, openssl, tmp_path):
    storm(house, openssl, tmp_path, 24, 1, "ec")


@pytest.mark.slow
def test_one_time_secrets__ten_thousand(new_house, openssl, tmp_path):
    storm(new_house().start(), openssl, tmp_path, 10000, 12, "rsa")
