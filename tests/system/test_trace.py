"""touchmark trace: what goes through an endpoint is recorded, and told in plain words."""
import base64
import json
import os
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
import cmp  # noqa: E402
from acme import Client, HttpServer, Problem, make_csr  # noqa: E402
from dns import DnsServer  # noqa: E402

ENDPOINT = "trace-acme"


@pytest.fixture(scope="module")
def world(house):
    dns, web = DnsServer(), HttpServer()
    validation = {"resolvers": [dns.address], "dnssec": False, "networks": ["127.0.0.0/8"], "http-port": web.port, "attempts": 1}
    house.cli("apply", "-f", "-", data=json.dumps({"kind": "Endpoint", "name": ENDPOINT, "protocol": "acme", "profiles": ["server-internal-1y"],
                                                   "acme": {"external-account": "optional", "validation": validation}}))
    dns.add("www.trace.test", "A", "127.0.0.1")
    dns.add("api.trace.test", "A", "127.0.0.1")
    yield house, web
    dns.close()
    web.close()


class Recording:
    """`touchmark trace record` in the background."""

    def __init__(self, house, program, path, endpoint):
        self.path = str(path)
        self.house = house
        self.process = subprocess.Popen([program, "trace", "record", "--home", house.home, "--endpoint", endpoint, "--out", self.path, "--for", "60s"],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "recording endpoint" in self.process.stderr.readline()
        self.wait("touchmark")

    def wait(self, text, seconds=20):
        end = time.monotonic() + seconds
        while not (os.path.exists(self.path) and text in open(self.path, encoding="utf-8").read()):
            assert time.monotonic() < end and self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.05)

    def told(self, *options):
        self.process.send_signal(2)
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0 and "exchange(s) in" in out, err
        return self.house.cli("trace", "show", self.path, *options).stdout


def test_trace__acme(world, program, tmp_path):
    """A whole life of an order, then one whose request names something else."""
    house, web = world
    recording = Recording(house, program, tmp_path / "acme.trace", ENDPOINT)
    c = Client(f"{house.url}/acme/{ENDPOINT}/directory", house.ca_bundle)
    c.register()
    order = c.order("www.trace.test").prove("http-01", web.provide)
    order.finalize(make_csr(["www.trace.test"])[0])
    [leaf, *_] = order.certificates()
    other = c.order("www.trace.test", "api.trace.test").prove("http-01", web.provide)
    with pytest.raises(Problem):
        other.finalize(make_csr(["www.trace.test", "mail.trace.test"])[0])
    told = recording.told()
    assert "ES256 by a key of its own; the signature verifies" in told
    assert "ES256 by account " in told and "does NOT" not in told
    assert f"certificate {leaf.serial_number:032x} was handed out" in told
    verdict = told[told.index("Verdict (acme)"):]
    assert "for api.trace.test, www.trace.test: last seen pending" in verdict
    assert "badCSR" in verdict and "only in the order: api.trace.test" in verdict and "only in the request: mail.trace.test" in verdict
    events = house.cli_json("register", "show", "--type", "trace.", "--limit", "1000")
    assert [e["type"] for e in events][-2:] == ["trace.started", "trace.stopped"]


def test_trace__failed_validation(world, program, tmp_path):
    house, _ = world
    recording = Recording(house, program, tmp_path / "failed.trace", ENDPOINT)
    c = Client(f"{house.url}/acme/{ENDPOINT}/directory", house.ca_bundle)
    c.register()
    order = c.order("nowhere.trace.test")
    [url] = order.value["authorizations"]
    challenge = order.challenge(c.post(url).json, "http-01")
    c.post(challenge["url"], {})
    c.wait(url, lambda z: z["status"] != "pending")
    verdict = recording.told().partition("Verdict (acme)")[2]
    assert "nowhere.trace.test is invalid" in verdict and "http-01: dns" in verdict


def test_trace__est(house, openssl, program, tmp_path):
    """A refused enrollment; the token that was sent is not recorded."""
    recording = Recording(house, program, tmp_path / "est.trace", "servers")
    csr = openssl.der(openssl.csr("est", "/CN=est.trace.test"))
    reply = house.request("POST", "/.well-known/est/servers/simpleenroll", base64.b64encode(csr),
                          {"Content-Type": "application/pkcs10", "Authorization": "Basic " + base64.b64encode(b"x:verysecret").decode()})
    assert reply.status == 401
    recording.wait("simpleenroll")
    told = recording.told("--protocol", "est", "--full")
    assert "subject CN=est.trace.test" in told and "Basic (not recorded)" in told and "1 refused" in told
    with open(recording.path, encoding="utf-8") as f:
        assert base64.b64encode(b"x:verysecret").decode() not in f.read()


def test_trace__scep(house, openssl, program, tmp_path):
    """A certificate, one that is refused, and what nobody can read: the subject is told, no challenge is, neither is one recorded."""
    import scep
    key, cn = scep.new_key(), "trace-scep"
    secret = house.cli("token", "create", "--for", "scep", "--endpoint", "scep", "--name", "CN=" + cn, "-q").stdout.strip()
    recording = Recording(house, program, tmp_path / "scep.trace", "scep")
    c = scep.Client(house.plain_url, openssl)
    c.get("GetCACaps")
    cert = c.open(c.enroll(key, cn, secret, transaction="trace-1"), key)[0]
    assert c.enroll(key, cn, "wrong-and-secret", transaction="trace-2").status == scep.FAILURE
    assert c.ask(scep.PKCS_REQ, scep.request(scep.new_key(), "trace-victim", "other-secret"), scep.self_signed(key, cn), key, "trace-3").fail
    assert c.ask(scep.GET_CRL, scep.issuer_and_serial(cert), cert, key, "trace-4").status == scep.SUCCESS
    assert c.send(b"nonsense").http == 400
    recording.wait("status\":400")
    told = recording.told()
    assert "can do: AES" in told and told.count("as GetCACert showed in #1") == 4 and "does NOT" not in told
    assert told.count("subject CN=trace-scep") == 3 and "whose certificate signed the request" in told
    assert "RSA with PKCS #1 v1.5" in told and "inside     not known" in told and "the revocation list" in told
    assert f"certificate {cert.serial_number:032x} was given" in told
    verdict = told.partition("Verdict (scep)")[2]
    assert "trace-1 (#3) for CN=trace-scep: success" in verdict and "scep.challenge" in verdict and "touchmark token create" in verdict
    assert "trace-3" in verdict and "badMessageCheck: scep.envelope" in verdict and "1 message(s) by HTTP" in verdict
    with open(recording.path, encoding="utf-8") as f:
        bodies = [base64.b64decode(v) for line in f for part in ("request", "response") for v in [json.loads(line).get(part, {}).get("inside", "")]]
    assert any(b"*" * len(secret) in b for b in bodies) and not any(s.encode() in b for b in bodies for s in (secret, "wrong-and-secret", "other-secret"))
    for s in (secret, "wrong-and-secret", "other-secret", "trace-victim"):
        assert s not in told and s not in house.cli("trace", "show", "--full", recording.path).stdout


def test_trace__cmp(house, factory, program, tmp_path):
    """A certificate that is confirmed, one that is not, a secret that is wrong, a revocation: each transaction's end in words."""
    recording = Recording(house, program, tmp_path / "cmp.trace", "cmp")
    device = cmp.Device(house, factory, "SN-trace-cmp")
    reply = device.enroll()
    device.go_on("certConf", cmp.confirm(reply.cert), reply)
    device.enroll()
    device.ask(by=cmp.Mac("no-such-reference", "wrong"))
    device.ask(content=device.ir(wrong=True))
    own = device.signer(device.enroll(infos=[cmp.IMPLICIT]))
    device.ask("rr", cmp.revocation(own.cert, 4), by=own)
    device.ask("genm", cmp.seq(cmp.info("caCerts")))
    key = rsa.generate_private_key(65537, 2048)
    sealed = lambda popo, **options: device.ask(content=cmp.seq(cmp.request(key, cmp.name("SN-trace-cmp"), popo=popo)), **options)  # noqa: E731
    sealed("challengeResp")
    device.transaction = os.urandom(16)
    reply_2 = sealed("encrCert", transaction=device.transaction)
    device.go_on("certConf", cmp.confirm(cmp.opened(reply_2.encrypted, key)), reply_2)
    told = recording.told()
    assert "the signature verifies" in told and "does NOT verify" not in told
    assert "PBM, hmacWithSHA256, 1000 iterations), reference no-such-reference" in told
    assert "its signature does NOT prove that the key is there" in told
    assert "subject CN=SN-trace-cmp" in told and "superseded" in told and "caCerts" in told.lower().replace("cacerts", "caCerts")
    verdict = told[told.index("Verdict (cmp)"):]
    serial = f"{x509.load_der_x509_certificate(reply.cert).serial_number:032x}"
    assert f"has its certificate: {serial}" in verdict
    assert "did NOT confirm it" in verdict and "badMessageCheck" in verdict and "badPOP" in verdict and "revoked what it wanted to" in verdict
    assert "possession is to be proven by decrypting" in told and "an encrypted certificate" in told and "a number encrypted to the key" in told
    assert "was to decrypt a number first, and did not" in verdict
    assert "9 transaction(s) in 11 exchange(s)" in verdict


def test_recordings__who_may(house):
    """Only administrators, only endpoints that are there, only so many and so long at once."""
    doc = {"kind": "Principal", "name": "trace-operator", "roles": ["operator"]}
    assert house.api("PUT", "/resources/principals/trace-operator", doc).status in (200, 201)
    token = house.api("POST", "/tokens", {"principal": "trace-operator", "type": "api", "ttl": "1h"}).json["token"]
    assert house.api("POST", "/recordings", {"endpoint": "servers"}, token=token).status == 403
    assert house.api("POST", "/recordings", {"endpoint": "no-such"}).status == 404
    assert house.api("POST", "/recordings", {"endpoint": "servers", "for": "2h"}).status == 422
    made = [house.api("POST", "/recordings", {"endpoint": "servers"}) for _ in range(5)]
    assert [r.status for r in made] == [201, 201, 201, 201, 429]
    for r in made[:4]:
        assert house.api("GET", "/recordings/" + r.json["id"]).json["items"] == []
        assert house.api("GET", "/recordings/" + r.json["id"] + "?from=7").status == 422
        assert house.api("DELETE", "/recordings/" + r.json["id"]).status == 200
        assert house.api("DELETE", "/recordings/" + r.json["id"]).status == 404


def test_trace_show__har_and_wrong_files(house, tmp_path):
    har = {"log": {"version": "1.2", "entries": [
        {"startedDateTime": "2026-11-21T10:42:07.113Z", "request": {"method": "GET", "url": "https://ca.example/acme/x/directory", "headers": []},
         "response": {"status": 200, "headers": [{"name": "Content-Type", "value": "application/json"}],
                      "content": {"text": json.dumps({"meta": {"externalAccountRequired": True}})}}}]}}
    path = tmp_path / "x.har"
    path.write_text(json.dumps(har))
    assert "an external account is required" in house.cli("trace", "show", str(path)).stdout
    path.write_text('{"touchmark":"trace","version":2}\n')
    assert "version" in house.cli("trace", "show", str(path), ok=False).stderr
    path.write_text('{"at":1}\n')
    assert "line 1" in house.cli("trace", "show", str(path), ok=False).stderr
