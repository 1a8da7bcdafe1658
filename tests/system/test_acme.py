"""ACME from outside: a client of our own that can also do wrong, DNS and web servers on loopback."""
import base64
import hashlib
import json
import os
import socket
import sys
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from acme import (AlpnServer, Client, HttpServer, Key, Problem, alpn_certificate, b64, cert_id, flattened, make_csr)  # noqa: E402
from dns import DnsServer  # noqa: E402

PROFILES = ["server-internal-1y", "enterprise-tls-47d", "acme-approved", "acme-times"]
APPROVED = {"kind": "Profile", "name": "acme-approved", "authority": "issuing-ca", "lifetime": {"default": "10d"},
            "subject": {"empty": "allow"}, "san": {"allow": {"dns": {}}, "min": 1}, "approval": {"required": True}}
TIMES = {"kind": "Profile", "name": "acme-times", "authority": "issuing-ca", "lifetime": {"default": "10d", "max": "30d", "requested": "honour"},
         "subject": {"empty": "allow"}, "san": {"allow": {"dns": {}}, "min": 1}}


class World:
    """A running house with open ACME endpoints, and what its validations meet."""

    def __init__(self, house, directory):
        self.house = house
        self.dns = DnsServer()
        self.web = HttpServer()
        self.alpn = AlpnServer(directory)
        for profile in (APPROVED, TIMES):
            house.cli("apply", "-f", "-", data=json.dumps(profile))
        self.open("acme")
        self.open("acme-closed", validation={"networks": []})
        self.open("acme-external", external="required")
        self.open("acme-terms", terms="https://example.org/terms")
        self.open("acme-dns", challenges=["dns-01", "dns-account-01", "dns-persist-01"], **{"caa-identities": ["ca.example"]})
        self.open("acme-limited", limits={"orders-per-hour": 3, "identifiers": 100})

    def open(self, name, external="optional", terms="", limits=None, validation=None, profiles=None, **more):
        acme = {"external-account": external, "terms-of-service": terms,
                "validation": {"resolvers": [self.dns.address], "dnssec": False, "networks": ["127.0.0.0/8", "::1/128"],
                               "http-port": self.web.port, "tls-port": self.alpn.port, "attempts": 2, **(validation or {})}}
        acme["limits"] = {"accounts-per-hour": 0, **(limits or {})}
        endpoint = {"kind": "Endpoint", "name": name, "protocol": "acme", "profiles": profiles or PROFILES, "acme": {**acme, **more}}
        self.house.cli("apply", "-f", "-", data=json.dumps(endpoint))

    def client(self, endpoint="acme", key=None, register=True, **options):
        client = Client(f"{self.house.url}/acme/{endpoint}/directory", self.house.ca_bundle, key)
        if register:
            client.register(**options)
        return client

    def name(self, name, address="127.0.0.1"):
        self.dns.add(name, "A", address)
        return name

    def issue(self, client, name, **more):
        order = client.order(self.name(name), **more)
        order.prove("http-01", self.web.provide)
        csr, key = make_csr([name])
        order.finalize(csr)
        return order, key

    def close(self):
        self.dns.close()
        self.web.close()
        self.alpn.close()


@pytest.fixture(scope="module")
def world(house, tmp_path_factory):
    w = World(house, tmp_path_factory.mktemp("acme"))
    yield w
    w.close()


def refused(call, *args, **options):
    with pytest.raises(Problem) as caught:
        call(*args, **options)
    assert caught.value.reply.headers["Content-Type"] == "application/problem+json"
    assert caught.value.reply.headers["Replay-Nonce"]
    assert caught.value.document["status"] == caught.value.status
    return caught.value


# --- directory and nonces ---

def test_directory(world):
    d = world.client(register=False).directory
    base = f"{world.house.url}/acme/acme/"
    assert d["newNonce"] == base + "new-nonce" and d["renewalInfo"] == base + "renewal-info"
    assert set(d["meta"]["profiles"]) == set(PROFILES)
    assert world.client("acme-external", register=False).directory["meta"]["externalAccountRequired"] is True
    assert world.client("acme-terms", register=False).directory["meta"]["termsOfService"] == "https://example.org/terms"
    assert world.house.request("GET", "/acme/no-such/directory").status == 404


def test_nonces(world):
    c = world.client(register=False)
    head, get = c.http("HEAD", c.directory["newNonce"]), c.http("GET", c.directory["newNonce"])
    assert (head.status, get.status) == (200, 204)
    assert head.headers["Replay-Nonce"] != get.headers["Replay-Nonce"]
    assert "no-store" in head.headers["Cache-Control"]
    assert c.directory["newNonce"].replace("new-nonce", "directory") in head.links("index")


@pytest.mark.parametrize("nonce", ["used", "AAAA", "x" * 43, ""])
def test_bad_nonce(world, nonce):
    c = world.client()
    if nonce == "used":
        jws = c.sign(c.kid, None)
        assert c.send(c.kid, jws).status == 200
    else:
        jws = c.sign(c.kid, None, header={"nonce": nonce})
    problem = Problem(c.send(c.kid, jws))
    assert (problem.status, problem.type) == (400, "badNonce")
    assert problem.reply.headers["Replay-Nonce"]


# --- signatures ---

@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "RS256", "PS256", "Ed25519", "Ed448"])
def test_account_keys(world, alg):
    c = world.client(key=Key(alg))
    assert c.post(c.kid).json["status"] == "valid"


def test_signature_rules(world):
    c = world.client()
    url = c.kid

    def outcome(jws, to=url, content_type="application/jose+json"):
        p = Problem(c.send(to, jws, content_type))
        return p.status, p.type

    good = c.sign(url, None)
    assert outcome(good, content_type="application/json") == (415, "malformed")
    assert outcome(c.sign(url + "x", None)) == (403, "unauthorized")
    assert outcome(c.sign(url, None, header={"jwk": c.key.jwk})) == (400, "malformed")  # with kid
    assert outcome(c.sign(url, None, header={"kid": None})) == (400, "malformed")  # neither
    assert outcome(c.sign(url, None, header={"alg": "none"})) == (400, "badSignatureAlgorithm")
    assert outcome(c.sign(url, None, header={"alg": "HS256"})) == (400, "badSignatureAlgorithm")
    assert outcome(c.sign(url, None, header={"alg": "RS256"})) == (400, "badSignatureAlgorithm")  # an EC key
    assert outcome(c.sign(url, None, header={"crit": ["b64"], "b64": False})) == (400, "malformed")
    assert outcome(c.sign(url, None, header={"nonce": None})) == (400, "malformed")
    assert outcome(c.sign(url, None, header={"kid": url[:-1] + ("0" if url[-1] != "0" else "1")})) == (400, "accountDoesNotExist")
    assert outcome(c.sign(url, None, key=Key())) == (403, "unauthorized")  # another key under this kid
    assert outcome(dict(good, header={"kid": url})) == (400, "malformed")  # unprotected header
    assert outcome(dict(good, payload=good["payload"] + "=")) == (400, "malformed")
    assert outcome({"protected": good["protected"], "payload": "", "signatures": []}) == (400, "malformed")
    assert outcome(b"no json") == (400, "malformed")
    assert outcome(b"[" * 5000) == (400, "malformed")
    large = Problem(c.send(url, b'{"payload":"' + b"A" * (300 << 10) + b'"}'))
    assert (large.status, large.type) == (413, "malformed") and large.reply.headers["Replay-Nonce"]
    weak = Key("RS256")
    weak.private = __import__("cryptography.hazmat.primitives.asymmetric.rsa", fromlist=["rsa"]).generate_private_key(65537, 1024)
    new = world.client(register=False, key=weak)
    assert refused(new.register).type == "badPublicKey"
    assert c.post(url).status == 200


# --- accounts ---

def test_account_life(world):
    c = world.client(register=False)
    assert refused(c.register, onlyReturnExisting=True).type == "accountDoesNotExist"
    first = c.register(contact=["mailto:one@example.org"])
    assert first.status == 201 and first.json["contact"] == ["mailto:one@example.org"]
    assert first.json["orders"] == c.kid + "/orders"
    again = c.register()
    assert (again.status, again.location) == (200, first.location)
    changed = c.post(c.kid, {"contact": ["mailto:two@example.org"], "unknown": 1})
    assert changed.json["contact"] == ["mailto:two@example.org"]
    other = world.client()
    assert refused(other.post, c.kid).type == "unauthorized"
    assert c.post(c.kid, {"status": "deactivated"}).json["status"] == "deactivated"
    assert refused(c.post, c.kid).type == "unauthorized"
    assert refused(c.register).type == "unauthorized"


@pytest.mark.parametrize("contact,problem", [("tel:+1", "unsupportedContact"), ("mailto:a@b@c", "invalidContact"),
                                             ("mailto:a@example.org?subject=x", "invalidContact"),
                                             ("mailto:a@example.org,b@example.org", "invalidContact")])
def test_contacts(world, contact, problem):
    c = world.client(register=False)
    assert refused(c.register, contact=[contact]).type == problem


def test_terms(world):
    c = world.client("acme-terms", register=False)
    p = refused(c.register, termsOfServiceAgreed=False)
    assert (p.status, p.type) == (403, "userActionRequired")
    assert p.reply.links("terms-of-service") == ["https://example.org/terms"]
    assert c.register().json["termsOfServiceAgreed"] is True


def test_key_change(world):
    c, taken = world.client(), world.client()
    url, new = c.directory["keyChange"], Key()

    def inner(key, old=None, account=None, to=url):
        return flattened(key.sign, {"alg": key.alg, "jwk": key.jwk, "url": to}, {"account": account or c.kid, "oldKey": old or c.key.jwk})

    assert refused(c.post, url, inner(new, old=new.jwk)).type == "malformed"
    assert refused(c.post, url, inner(new, account=taken.kid)).type == "malformed"
    assert refused(c.post, url, inner(new, to=url + "x")).type == "malformed"
    p = refused(c.post, url, inner(taken.key))
    assert p.status == 409 and p.reply.location == taken.kid
    assert c.post(url, inner(new)).status == 200
    assert refused(c.post, c.kid).type == "unauthorized"
    c.key = new
    assert c.post(c.kid).json["status"] == "valid"


# --- external accounts ---

def external_key(world, *options):
    out = world.house.cli_json("token", "create", "--external", "--endpoint", "acme-external", *options)
    return out["id"], out["secret"]


def test_external_account(world):
    kid, key = external_key(world)
    c = world.client("acme-external", register=False)
    p = refused(c.register)
    assert (p.status, p.type) == (403, "externalAccountRequired")
    assert refused(c.register, external=(kid, b64(b"x" * 32))).type == "unauthorized"
    assert refused(c.register, external=("nobody", key)).type == "unauthorized"
    assert c.register(external=(kid, key)).status == 201
    second = world.client("acme-external", register=False)
    assert refused(second.register, external=(kid, key)).type == "unauthorized"  # one account a key
    assert c.register().status == 200


def test_external_account_revoked(world):
    kid, key = external_key(world)
    world.house.cli("token", "revoke", kid)
    c = world.client("acme-external", register=False)
    assert refused(c.register, external=(kid, key)).type == "unauthorized"


def test_granted_names(world):
    external = external_key(world, "--name", "DNS:granted.example.test", "--profile", "enterprise-tls-47d")
    c = world.client("acme-external", external=external)
    order = c.order("granted.example.test")
    assert order.value["status"] == "ready" and order.value["profile"] == "enterprise-tls-47d"
    [authz] = order.authorizations()
    assert authz["status"] == "valid" and authz["challenges"] == []
    csr, _ = make_csr(["granted.example.test"])
    assert order.finalize(csr).json["status"] == "valid"
    assert refused(c.order, "granted.example.test", profile="server-internal-1y").type == "invalidProfile"
    assert c.order("other.example.test").value["status"] == "pending"
    assert any("granted.example.test" in line for line in world.house.cli("register", "export").stdout.splitlines() if "acme.name-authorized" in line)


def test_granted_names__key_revoked(world):
    """What a key granted goes with it: no order that stands open, and no new one, has the name without proof."""
    kid, key = external_key(world, "--name", "DNS:revoked.example.test")
    c = world.client("acme-external", external=(kid, key))
    order = c.order("revoked.example.test")
    assert order.value["status"] == "ready"
    world.house.cli("token", "revoke", kid)
    p = refused(order.finalize, make_csr(["revoked.example.test"])[0])
    assert p.type == "orderNotReady"
    assert order.refresh()["status"] == "invalid"
    assert [a["status"] for a in order.authorizations()] == ["revoked"]
    again = c.order("revoked.example.test")
    assert again.value["status"] == "pending"
    assert again.value["authorizations"] != order.value["authorizations"]


# --- orders ---

def test_http_01(world):
    c = world.client()
    order, key = world.issue(c, "one.example.test")
    leaf, issuer = order.certificates()
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["one.example.test"]
    leaf_key = leaf.public_key().public_numbers()
    assert leaf_key == key.public_key().public_numbers()
    assert issuer.subject == leaf.issuer and issuer.issuer != issuer.subject
    assert order.refresh()["status"] == "valid"
    [authz] = order.authorizations()
    assert [x["status"] for x in authz["challenges"]] == ["valid"] and authz["challenges"][0]["validated"]
    again = c.order("one.example.test")
    assert again.value["status"] == "ready"  # the authorization serves again
    listed = world.house.api("GET", "/certificates?limit=1000")
    assert listed.status == 200
    orders = c.post(c.kid + "/orders").json["orders"]
    assert orders == [order.url, again.url]


def test_dns_01_wildcard(world):
    c = world.client()
    order = c.order("*.wild.example.test", "wild.example.test")
    for authz in order.authorizations():
        assert [x["type"] for x in authz["challenges"]] == (["dns-01"] if authz.get("wildcard") else ["http-01", "dns-01", "tls-alpn-01"])
        assert authz["identifier"]["value"] == "wild.example.test"

    def provide(name, _token, authorization):
        world.dns.add_txt("_acme-challenge." + name, b64(hashlib.sha256(authorization.encode()).digest()))

    order.prove("dns-01", provide)
    csr, _ = make_csr(["wild.example.test", "*.wild.example.test"], cn="wild.example.test")
    assert order.finalize(csr).json["status"] == "valid"
    assert len(order.certificates()) == 2


def test_dns_account_01(world):
    c = world.client("acme-dns")
    order = c.order("*.shared.example.test")
    label = base64.b32encode(hashlib.sha256(c.kid.encode()).digest()[:10]).decode().lower()

    def provide(name, _token, authorization):
        world.dns.add_txt(f"_{label}._acme-challenge.{name}", b64(hashlib.sha256(authorization.encode()).digest()))

    order.prove("dns-account-01", provide)
    assert order.refresh()["status"] == "ready"


def test_dns_persist_01(world):
    c, other = world.client("acme-dns"), world.client("acme-dns")
    name = "persist.example.test"
    world.dns.set_txt("_validation-persist." + name, ["unrelated", f"ca.example; accounturi={c.kid}; persistUntil=4102444800"])

    def end(client, wanted):
        order = client.order(wanted)
        [authz] = order.authorizations()
        challenge = order.challenge(authz, "dns-persist-01")
        assert "token" not in challenge and challenge["issuer-domain-names"] == ["ca.example"]
        client.post(challenge["url"], {})
        return client.wait(order.value["authorizations"][0], lambda z: z["status"] != "pending")["status"]

    assert end(c, name) == "valid"
    assert end(other, name) == "invalid"
    assert end(c, "*." + name) == "invalid"
    world.dns.set_txt("_validation-persist." + name, [f"ca.example; accounturi={c.kid}; policy=wildcard"])
    assert end(c, "*." + name) == "valid"


def test_tls_alpn_01(world):
    c = world.client()
    order = c.order(world.name("alpn.example.test"))
    order.prove("tls-alpn-01", world.alpn.provide)
    assert world.alpn.names[-1] == "alpn.example.test"
    csr, _ = make_csr(["alpn.example.test"])
    assert order.finalize(csr).json["status"] == "valid"


@pytest.mark.parametrize("wrong", ["digest", "not critical", "another name", "two names"])
def test_tls_alpn_01__refused(world, wrong):
    c = world.client()
    name = world.name(f"bad-{wrong.replace(' ', '-')}.example.test")
    order = c.order(name)
    [authz] = order.authorizations()
    challenge = order.challenge(authz, "tls-alpn-01")
    authorization = c.key_authorization(challenge["token"])
    options = {"critical": wrong != "not critical",
               "names": {"another name": ["x.example.test"], "two names": [name, "x.example.test"]}.get(wrong)}
    world.alpn.use(*alpn_certificate(name, "x" if wrong == "digest" else authorization, **options))
    c.post(challenge["url"], {})
    authz = c.wait(order.value["authorizations"][0], lambda z: z["status"] != "pending")
    error = order.challenge(authz, "tls-alpn-01")["error"]
    assert authz["status"] == "invalid" and error["type"].endswith("incorrectResponse" if wrong == "digest" else "unauthorized"), authz
    assert order.refresh()["status"] == "invalid"


def test_ip_identifier(world):
    c = world.client()
    order = c.order({"type": "ip", "value": "127.0.0.1"})
    order.prove("http-01", world.web.provide)
    csr, _ = make_csr(["127.0.0.1"])
    assert order.finalize(csr).json["status"] == "valid"
    by_alpn = world.client().order({"type": "ip", "value": "127.0.0.1"})
    by_alpn.prove("tls-alpn-01", world.alpn.provide)
    assert world.alpn.names[-1] == "1.0.0.127.in-addr.arpa"
    for bad in ("127.0.0.01", "::0001", "127.0.0"):
        assert refused(c.order, {"type": "ip", "value": bad}).type == "rejectedIdentifier"


def test_identifiers(world):
    c = world.client()
    assert refused(c.order, "xn--a.example.test").type == "rejectedIdentifier"
    assert refused(c.order, "a_b.example.test").type == "rejectedIdentifier"
    assert refused(c.order, "*.*.example.test").type == "rejectedIdentifier"
    assert refused(c.order, {"type": "email", "value": "a@example.org"}).type == "unsupportedIdentifier"
    p = refused(c.order, "good.example.test", "bad_name.example.test", {"type": "dns", "value": "worse..example.test"})
    assert p.type == "rejectedIdentifier"
    assert [s["identifier"]["value"] for s in p.document["subproblems"]] == ["bad_name.example.test", "worse..example.test"]
    assert refused(c.order).type == "malformed"
    assert refused(c.order, *[f"n{i}.example.test" for i in range(101)]).type == "malformed"
    many = c.order(*[f"n{i}.example.test" for i in range(100)])
    assert len(many.value["authorizations"]) == 100
    twice = c.order("Twice.example.test", "twice.EXAMPLE.test")
    assert twice.value["identifiers"] == [{"type": "dns", "value": "twice.example.test"}]


def test_order_members(world):
    c = world.client()
    assert refused(c.order, "p.example.test", profile="no-such").type == "invalidProfile"
    assert refused(c.order, "p.example.test", notBefore="yesterday").type == "malformed"
    assert refused(c.order, "p.example.test", notAfter="2020-01-01T00:00:00Z").type == "malformed"
    order = c.order("p.example.test", profile="enterprise-tls-47d", unknown=True)
    assert order.value["profile"] == "enterprise-tls-47d" and order.value["status"] == "pending"
    other = world.client()
    for url in [order.url, *order.value["authorizations"]]:
        assert refused(other.post, url).status == 404


def test_times_of_an_order(world):
    c = world.client()
    name = world.name("times.example.test")
    later = lambda seconds: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    assert refused(c.order, name, notAfter=later(86400)).type == "malformed"  # the profile sets the times
    order = c.order(name, profile="acme-times", notAfter=later(86400))
    order.prove("http-01", world.web.provide)
    order.finalize(make_csr([name])[0])
    assert order.certificates()[0].not_valid_after.isoformat() + "Z" == order.value["notAfter"]
    far = c.order(name, profile="acme-times", notAfter=later(400 * 86400))
    assert "nearest" in refused(far.finalize, make_csr([name])[0]).document["detail"]


def test_finalize__refused(world):
    c = world.client()
    name = world.name("final.example.test")
    order = c.order(name)
    csr, key = make_csr([name])
    p = refused(order.finalize, csr)
    assert (p.status, p.type) == (403, "orderNotReady")
    order.prove("http-01", world.web.provide)
    assert refused(order.finalize, b"\x30\x00").type == "badCSR"
    assert refused(order.finalize, make_csr([name, "more.example.test"])[0]).type == "badCSR"
    assert refused(order.finalize, make_csr([])[0]).type == "badCSR"
    assert refused(order.finalize, make_csr([name], cn="other.example.test")[0]).type == "badCSR"
    assert refused(order.finalize, make_csr([name], key=c.key.private)[0]).type == "badCSR"
    flipped = bytearray(csr)
    flipped[-1] ^= 1
    assert refused(order.finalize, bytes(flipped)).type == "badCSR"
    assert order.finalize(csr).json["status"] == "valid"
    assert refused(order.finalize, csr).type == "orderNotReady"


def test_finalize__twice_at_once(world):
    c = world.client()
    name = world.name("race.example.test")
    order = c.order(name)
    order.prove("http-01", world.web.provide)
    clients = [Client(f"{world.house.url}/acme/acme/directory", world.house.ca_bundle, c.key) for _ in range(4)]
    outcomes = []

    def run(client):
        client.kid = c.kid
        try:
            outcomes.append(client.post(order.value["finalize"], {"csr": b64(make_csr([name])[0])}).json["status"])
        except Problem as p:
            outcomes.append(p.type)

    threads = [threading.Thread(target=run, args=(x,)) for x in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(outcomes) == ["orderNotReady"] * 3 + ["valid"]
    assert len(order.refresh()["certificate"]) > 0


def test_pre_authorization(world):
    c = world.client()
    reply = c.post(c.directory["newAuthz"], {"identifier": {"type": "dns", "value": "pre.example.test"}})
    assert reply.status == 201 and reply.json["status"] == "pending"
    order = c.order("pre.example.test")
    assert order.value["authorizations"] == [reply.location]
    p = refused(c.post, c.directory["newAuthz"], {"identifier": {"type": "dns", "value": "*.pre.example.test"}})
    assert p.type == "rejectedIdentifier"


def test_authorization_deactivated(world):
    c = world.client()
    order = c.order(world.name("gone.example.test"))
    order.prove("http-01", world.web.provide)
    url = order.value["authorizations"][0]
    assert order.refresh()["status"] == "ready"
    assert c.post(url, {"status": "deactivated"}).json["status"] == "deactivated"
    assert order.refresh()["status"] == "invalid"
    assert c.order("gone.example.test").value["authorizations"] != [url]


def test_limits(world):
    c = world.client("acme-limited")
    for i in range(3):
        c.order(f"l{i}.example.test")
    p = refused(c.order, "l4.example.test")
    assert (p.status, p.type) == (429, "rateLimited")
    assert 0 < int(p.reply.headers["Retry-After"]) <= 3600
    p = refused(c.post, c.directory["newAuthz"], {"identifier": {"type": "dns", "value": "l5.example.test"}})
    assert (p.status, p.type) == (429, "rateLimited")


def test_approval(world):
    c = world.client()
    name = world.name("wait.example.test")
    order = c.order(name, profile="acme-approved")
    order.prove("http-01", world.web.provide)
    reply = order.finalize(make_csr([name])[0])
    assert reply.json["status"] == "processing" and reply.headers["Retry-After"]
    assert order.refresh()["status"] == "processing"
    [mine] = [r["id"] for r in world.house.api("GET", "/requests?status=pending").json["items"] if name in str(r)]
    world.house.cli("request", "approve", mine)
    assert order.refresh()["status"] == "valid"
    assert len(order.certificates()) == 2


# --- validation in bad weather ---

def failed(world, c, name, kind="http-01"):
    order = c.order(name)
    [authz] = order.authorizations()
    c.post(order.challenge(authz, kind)["url"], {})
    authz = c.wait(order.value["authorizations"][0], lambda z: z["status"] != "pending", 60)
    assert authz["status"] == "invalid"
    return order.challenge(authz, kind)["error"]


def test_private_addresses_are_refused(world):
    c = world.client("acme-closed")
    error = failed(world, c, world.name("inside.example.test"))
    assert error["type"].endswith("connection") and "127.0.0.1" in error["detail"]
    for i, address in enumerate(["10.0.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"]):
        assert failed(world, c, world.name(f"inside{i}.example.test", address))["type"].endswith("connection")
    world.dns.add("mapped.example.test", "AAAA", "::ffff:127.0.0.1")
    assert failed(world, c, "mapped.example.test")["type"].endswith("connection")
    assert world.web.hits == [] or all("inside" not in h[0] for h in world.web.hits)


def test_dns_trouble(world):
    c = world.client()
    world.dns.faults["servfail.example.test"] = "servfail"
    world.dns.faults["loop.example.test"] = "loop"
    for name in ("nothing.example.test", "servfail.example.test", "loop.example.test"):
        assert failed(world, c, name)["type"].endswith("dns")
    assert failed(world, c, "no-record.example.test", "dns-01")["type"].endswith("dns")
    world.dns.set_txt("_acme-challenge.wrong.example.test", ["x", "y" * 300])
    assert failed(world, c, "wrong.example.test", "dns-01")["type"].endswith("incorrectResponse")


def redirecting(world, c, name, target):
    """Order `name`, whose web server redirects to `target` (a function of token and authorization); the authorization's end."""
    order = c.order(world.name(name))
    [authz] = order.authorizations()
    challenge = order.challenge(authz, "http-01")
    token = challenge["token"]
    world.web.paths["/.well-known/acme-challenge/" + token] = (302, {"Location": target(token)}, b"")
    world.web.paths["/elsewhere/" + token] = c.key_authorization(token).encode() + b"\r\n"
    c.post(challenge["url"], {})
    authz = c.wait(order.value["authorizations"][0], lambda z: z["status"] != "pending", 60)
    return authz["status"], order.challenge(authz, "http-01").get("error", {}).get("detail", "")


def test_redirects(world):
    c, port = world.client(), world.web.port
    assert redirecting(world, c, "r1.example.test", lambda t: "/elsewhere/" + t)[0] == "valid"
    assert redirecting(world, c, "r2.example.test", lambda t: f"http://r2.example.test:{port}/elsewhere/{t}")[0] == "valid"
    assert redirecting(world, c, "r3.example.test", lambda t: "ftp://r3.example.test/")[0] == "invalid"
    assert redirecting(world, c, "r4.example.test", lambda t: f"http://r4.example.test:{port + 1}/")[0] == "invalid"
    status, why = redirecting(world, c, "r5.example.test", lambda t: "http://10.0.0.1/elsewhere/" + t)
    assert status == "invalid" and "10.0.0.1" in why
    status, why = redirecting(world, c, "r6.example.test", lambda t: "/.well-known/acme-challenge/" + t)
    assert status == "invalid" and "more than" in why
    assert redirecting(world, c, "r7.example.test", lambda t: f"http://user@r7.example.test:{port}/elsewhere/{t}")[0] == "invalid"


def test_web_trouble(world):
    c = world.client()
    assert failed(world, c, world.name("missing.example.test"))["type"].endswith("unauthorized")

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100000)

    def garbage(handler):
        handler.wfile.write(b"\x00\x01\x02 not http at all\r\n\r\n")

    for name, answer, problem in (("endless", endless, "incorrectResponse"), ("garbage", garbage, "connection")):
        order = c.order(world.name(name + ".example.test"))
        [authz] = order.authorizations()
        challenge = order.challenge(authz, "http-01")
        world.web.paths["/.well-known/acme-challenge/" + challenge["token"]] = answer
        c.post(challenge["url"], {})
        authz = c.wait(order.value["authorizations"][0], lambda z: z["status"] != "pending", 60)
        assert order.challenge(authz, "http-01")["error"]["type"].endswith(problem)


# --- certificates afterwards ---

def test_revocation(world):
    c, other = world.client(), world.client()
    order, key = world.issue(c, "rev1.example.test")
    leaf = order.certificates()[0].public_bytes(Encoding.DER)
    assert refused(other.revoke, leaf).type == "unauthorized"
    assert refused(c.revoke, leaf, reason=99).type == "badRevocationReason"
    assert c.revoke(leaf, reason=4).status == 200
    assert refused(c.revoke, leaf).type == "alreadyRevoked"
    # by its own key
    order, key = world.issue(c, "rev2.example.test")
    leaf = order.certificates()[0].public_bytes(Encoding.DER)
    assert refused(other.revoke, leaf, key=Key()).type == "unauthorized"
    assert other.revoke(leaf, key=Key(private=key)).status == 200
    # by an account that has proven its names
    order, _ = world.issue(c, "rev3.example.test")
    leaf = order.certificates()[0].public_bytes(Encoding.DER)
    assert refused(other.revoke, leaf).type == "unauthorized"
    other.order("rev3.example.test").prove("http-01", world.web.provide)
    assert other.revoke(leaf).status == 200
    assert refused(c.revoke, b"\x30\x00").type == "malformed"


def test_renewal_information(world):
    c = world.client()
    order, _ = world.issue(c, "ari.example.test", profile="enterprise-tls-47d")
    [leaf, _] = order.certificates()
    ident = cert_id(leaf)
    reply = c.get(c.directory["renewalInfo"] + "/" + ident)
    assert reply.status == 200 and 3600 < int(reply.headers["Retry-After"]) < 86400
    window = reply.json["suggestedWindow"]
    begin = leaf.not_valid_before.isoformat() + "Z"
    assert begin < window["start"] < window["end"] < leaf.not_valid_after.isoformat() + "Z"
    assert c.get(c.directory["renewalInfo"] + "/" + ident[:-4] + "AAAA").status == 404
    assert c.get(c.directory["renewalInfo"] + "/nonsense").status == 400
    # an operator asks for renewal now
    world.house.cli("cert", "renew-now", f"{leaf.serial_number:032x}", "--explanation", "https://example.org/why", "--comment", "4711")
    told = c.get(c.directory["renewalInfo"] + "/" + ident).json
    assert told["explanationURL"] == "https://example.org/why"
    assert told["suggestedWindow"]["start"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) < window["start"]
    assert world.house.cli("cert", "renew-now", "--profile", "enterprise-tls-47d").returncode == 0
    assert world.house.api("POST", "/renewals", {}).status == 422
    # replaced by an order that names it, once
    assert refused(world.client().order, "ari.example.test", replaces=ident).type == "unauthorized"
    assert refused(c.order, "another.example.test", replaces=ident).type == "malformed"
    new = c.order("ari.example.test", replaces=ident)
    assert new.value["replaces"] == ident
    p = refused(c.order, "ari.example.test", replaces=ident)
    assert (p.status, p.type) == (409, "alreadyReplaced")
    new.finalize(make_csr(["ari.example.test"])[0])
    assert refused(c.order, "ari.example.test", replaces=ident).type == "alreadyReplaced"
    # revoked: at once
    c.revoke(leaf.public_bytes(Encoding.DER))
    window = c.get(c.directory["renewalInfo"] + "/" + ident).json["suggestedWindow"]
    assert window["end"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_orders_in_pages(world):
    c = world.client()
    urls = [c.order(f"page{i}.example.test").url for i in range(60)]
    got, url = [], c.kid + "/orders"
    while url:
        reply = c.post(url)
        got += reply.json["orders"]
        url = (reply.links("next") or [None])[0]
    assert sorted(got) == sorted(urls)


def test_restart(world, new_house, tmp_path):
    """Accounts, orders and proofs are there after the server was killed; a validation under way goes on."""
    house = new_house()
    w = World.__new__(World)
    w.house, w.dns, w.web, w.alpn = house, world.dns, world.web, world.alpn
    for profile in (APPROVED, TIMES):
        house.cli("apply", "-f", "-", data=json.dumps(profile))
    World.open(w, "acme")
    house.start()
    c = w.client()
    done, _ = w.issue(c, "kept.example.test")
    ready = c.order(w.name("kept2.example.test"))
    ready.prove("http-01", w.web.provide)
    pending = c.order("late.example.test")
    [authz] = pending.authorizations()
    challenge = pending.challenge(authz, "http-01")
    w.web.provide("", challenge["token"], c.key_authorization(challenge["token"]))
    c.post(challenge["url"], {})  # the name has no address yet: it will be tried again
    house.process.kill()
    house.process.wait()
    world.dns.add("late.example.test", "A", "127.0.0.1")
    house.start()
    c.close()
    old = house.url
    relocate = lambda url: old + "/acme/" + url.split("/acme/", 1)[1]
    c.directory = {k: relocate(v) if isinstance(v, str) else v for k, v in c.directory.items()}
    c.kid, c.nonce = relocate(c.kid), None
    assert c.post(relocate(done.url)).json["status"] == "valid"
    value = c.post(relocate(ready.url)).json
    assert value["status"] == "ready"
    assert c.post(value["finalize"], {"csr": b64(make_csr(["kept2.example.test"])[0])}).json["status"] == "valid"
    assert c.wait(relocate(pending.url), lambda o: o["status"] != "pending")["status"] == "ready"


def test_metrics(world):
    world.client()
    text = world.house.plain("/metrics", port="admin").body.decode()
    assert 'touchmark_acme_requests_total{endpoint="acme",outcome="ok"}' in text
    assert "touchmark_acme_certificates_total" in text


def test_validations__one_account_s_silent_hosts_hold_up_nobody_else(world):
    world.open("acme-silent", validation={"attempts": 1})
    silent = socket.create_server(("127.0.0.2", world.web.port), backlog=128)  # takes connections and says nothing
    try:
        mallory, alice = world.client("acme-silent"), world.client("acme-silent")
        order = mallory.order(*(world.name(f"silent-{i}.example.com", "127.0.0.2") for i in range(60)))
        for url in order.value["authorizations"]:
            mallory.post(order.challenge(mallory.post(url).json, "http-01")["url"], {})
        world.issue(alice, "alice.example.com")
        states = {mallory.post(url).json["status"] for url in order.value["authorizations"]}
        assert states == {"pending"}, "alice came after the silent hosts"
    finally:
        silent.close()


def test_new_account__without_an_external_key_so_many_from_one_address(world):
    world.open("acme-few", limits={"accounts-per-hour": 2})
    first = world.client("acme-few")
    world.client("acme-few")
    with pytest.raises(Problem) as refused:
        world.client("acme-few")
    assert refused.value.type == "rateLimited" and int(refused.value.reply.headers["Retry-After"]) <= 3600
    assert world.client("acme-few", key=first.key, register=False).register().status == 200  # known ones come in as ever
