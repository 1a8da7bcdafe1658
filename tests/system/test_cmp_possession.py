"""Keys for encryption prove themselves by decrypting: the certificate, or a number before there is one (RFC 4211 4.2, RFC 9810 5.2.8.3)."""
import concurrent.futures
import hashlib
import os
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from cmp import (IMPLICIT, Answer, Device, Signer, confirm, elements, explicit, integer, message, name, opened, post, read, request,  # noqa: E402
                 secret, seq, spki)

NAME = "cmp-decrypts"


class Keys(dict):
    def __missing__(self, kind):
        curves = {"p256": ec.SECP256R1, "p521": ec.SECP521R1}
        self[kind] = ec.generate_private_key(curves[kind]()) if kind in curves else rsa.generate_private_key(65537, 2048)
        return self[kind]


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture(scope="module")
def endpoint(house):
    """One whose profile has keys for encryption alone, and one for approval."""
    profile = house.cli_json("get", "profiles", "device-ldevid-1y")
    profile = {k: v for k, v in profile.items() if k != "version"}
    profile.update(key={"algorithms": ["ec-p256", "ec-p521", "rsa-2048+"]}, lint={"families": ["rfc5280"]},
                   usage={"key-usage": ["keyEncipherment", "keyAgreement"], "eku": ["serverAuth"]})
    for label, more in ((NAME, {}), (NAME + "-waits", {"approval": {"required": True, "roles": ["operator", "admin"]}})):
        assert house.api("PUT", "/resources/profiles/" + label, {**profile, **more, "name": label}).status in (200, 201)
        document = {"kind": "Endpoint", "name": label, "protocol": "cmp", "profiles": [label], "cmp": {"unconfirmed": "keep", "confirm-within": "10m"},
                    "authentication": {"token": True, "trust-sets": ["factory"]}}
        assert house.api("PUT", "/resources/endpoints/" + label, document).status in (200, 201)
    return NAME


def ask(house, by, key, popo, cn, body="ir", label=NAME, transaction=None, **options):
    options.setdefault("pvno", 2)
    return post(house, message(body, seq(request(key, name(cn), popo=popo)), by, transaction=transaction, **options), label)


def go_on(house, by, transaction, reply, body, content, label=NAME, **options):
    options.setdefault("recip_nonce", reply.nonce)
    return post(house, message(body, content, by, transaction=transaction, **options), label)


def own(der, key):
    cert = x509.load_der_x509_certificate(der)
    assert cert.public_key().public_numbers() == key.public_key().public_numbers()
    return cert


def status(house, cert):
    return house.cli_json("cert", "get", f"{cert.serial_number:032x}")["status"]


def events(house, type_, cert):
    items = house.api("GET", f"/register/events?type={type_}&subject=certificate/{cert.serial_number:032x}").json["items"]
    return [e["body"] for e in items]


def number(reply, key):
    """What is in a popdecc."""
    _, (_, witness, _), (_, challenge, _), *rest = elements(elements(reply.content[1])[0][1])
    if rest:
        assert challenge == b"" and rest[0][0] == 0xA0 and reply.pvno == 3
        enveloped = read(rest[0][1])[1]
        recipient = elements(elements(enveloped)[1][1])[0]
        assert seq(seq(), integer(0)) in recipient[2], "no name, and the certReqId"
        rand = opened(enveloped, key)
    else:
        assert reply.pvno == 2
        rand = key.decrypt(challenge, padding.PKCS1v15())
    (tag, value, _), (_, sender, _) = elements(read(rand)[1])
    assert tag == 2 and hashlib.sha256(value).digest() == witness and explicit(4, sender) == reply.sender
    return int.from_bytes(value, "big")


# ---- the certificate, encrypted ----


@pytest.mark.parametrize("kind", ["rsa", "p256", "p521"])
@pytest.mark.parametrize("body", ["ir", "cr"])
def test_encrypted(house, factory, endpoint, keys, kind, body):
    by, transaction, key = Signer(*factory.idevid(f"SN-enc-{kind}-{body}")), os.urandom(16), keys[kind]
    reply = ask(house, by, key, "encrCert", f"SN-enc-{kind}-{body}", body, transaction=transaction, infos=[IMPLICIT])
    assert reply.status in (0, 1) and reply.cert is None and reply.pvno == 3 and reply.signed_by(), reply
    assert b"\x2b\x06\x01\x05\x05\x07\x04\x0d" not in reply.infos, "the confirmation is the proof: it is not waived"
    der = opened(reply.encrypted, key)
    cert = own(der, key)
    assert der not in reply.der and events(house, "certificate.confirmed", cert) == []
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage).value
    assert not usage.digital_signature and usage.key_encipherment == (kind == "rsa") and usage.key_agreement == (kind != "rsa")
    wrong = go_on(house, by, transaction, reply, "certConf", confirm(der, digest=b"\0" * 32))
    assert wrong.fail == "badCertId"
    assert go_on(house, by, transaction, reply, "certConf", confirm(der)).body == "pkiconf"
    assert "proves possession" in events(house, "certificate.confirmed", cert)[0]["how"] and status(house, cert) == "valid"


def test_encrypted__copies_and_a_lost_answer(house, endpoint, keys):
    """The same message has the same answer, the same secret in another transaction the same certificate; never in the clear."""
    by, key = secret(house, NAME, NAME), keys["rsa"]
    asked = message("ir", seq(request(key, name("enc-copies"), popo="encrCert")), by)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: post(house, asked, NAME), range(6)))
    assert len({r.der for r in replies}) == 1 and replies[0].encrypted, replies
    der, transaction = opened(replies[0].encrypted, key), os.urandom(16)
    again = ask(house, by, key, "encrCert", "enc-copies", transaction=transaction)
    assert again.cert is None and opened(again.encrypted, key) == der
    assert go_on(house, by, transaction, again, "certConf", confirm(der)).body == "pkiconf"
    assert ask(house, by, key, "none", "enc-copies").fail == "badPOP", "what was issued once is not given to who proves nothing"


@pytest.fixture(scope="module")
def plant_ra(house, endpoint, tmp_path_factory):
    """A registration authority, known to an endpoint."""
    from conftest import Openssl
    tool = Openssl(tmp_path_factory.mktemp("decrypts-ra"))
    tool.key("root")
    tool.run("req", "-x509", "-new", "-key", "root.key", "-subj", "/CN=RA Root D", "-days", "30", "-addext", "keyUsage=critical,keyCertSign", "-out", "root.pem")
    tool.csr("ra", "/CN=Plant RA D")
    with open(tool.file("ra.ext"), "w", encoding="ascii") as f:
        f.write("keyUsage=critical,digitalSignature\nextendedKeyUsage=1.3.6.1.5.5.7.3.28\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    tool.run("x509", "-req", "-in", "ra.csr", "-CA", "root.pem", "-CAkey", "root.key", "-days", "20", "-extfile", "ra.ext", "-out", "ra.pem")
    with open(tool.file("root.pem"), encoding="ascii") as f:
        trust = {"kind": "TrustSet", "name": NAME + "-ras", "anchors": [f.read()]}
    assert house.api("PUT", f"/resources/trust-sets/{NAME}-ras", trust).status in (200, 201)
    profile = {k: v for k, v in house.cli_json("get", "profiles", NAME).items() if k not in ("version", "device")}
    assert house.api("PUT", f"/resources/profiles/{NAME}-ra", {**profile, "name": NAME + "-ra"}).status in (200, 201)
    document = {"kind": "Endpoint", "name": NAME + "-ra", "protocol": "cmp", "profiles": [NAME + "-ra"], "authentication": {"trust-sets": ["factory"]},
                "cmp": {"ra-trust-sets": [NAME + "-ras"]}}
    assert house.api("PUT", f"/resources/endpoints/{NAME}-ra", document).status in (200, 201)
    return Signer(tool.file("ra.pem"), tool.file("ra.key"))


def test_encrypted__in_a_batch_of_an_ra(house, plant_ra, endpoint, keys):
    """The RA's messages are answered in one, which the signer looks into as well."""
    inner = [message("ir", seq(request(keys[k], name(f"enc-batch-{k}"), popo="encrCert")), plant_ra) for k in ("rsa", "p256")]
    for _ in range(2):  # once more: what was answered is answered again
        reply = post(house, message("nested", seq(*inner), plant_ra), NAME + "-ra")
        assert reply.body == "nested" and reply.signed_by()
        answers = [Answer(e[2]) for e in elements(reply.content[1])]
        assert [own(opened(a.encrypted, keys[k]), keys[k]) for a, k in zip(answers, ("rsa", "p256"))]


def test_encrypted__nobody_confirms(house, factory, endpoint, keys):
    """Not even where the endpoint keeps what nobody confirms: it is nobody's."""
    document = house.cli_json("get", "endpoints", NAME)
    document = {k: v for k, v in document.items() if k != "version"}
    document.update(name=NAME + "-soon", cmp={"unconfirmed": "keep", "confirm-within": "1s"})
    assert house.api("PUT", "/resources/endpoints/" + NAME + "-soon", document).status in (200, 201)
    by = Signer(*factory.idevid("SN-enc-late"))
    reply = ask(house, by, keys["p256"], "encrCert", "SN-enc-late", label=NAME + "-soon")
    cert, transaction = own(opened(reply.encrypted, keys["p256"]), keys["p256"]), os.urandom(16)
    challenge = ask(house, by, keys["rsa"], "challengeResp", "SN-enc-late", label=NAME + "-soon", transaction=transaction)
    asked = time.monotonic()
    end = asked + 30
    while status(house, cert) != "revoked":
        assert time.monotonic() < end, "nobody confirmed the certificate, and it is still good"
        time.sleep(0.25)
    time.sleep(max(0, asked + 2.5 - time.monotonic()))
    late = go_on(house, by, transaction, challenge, "popdecr", seq(integer(number(challenge, keys["rsa"]))), NAME + "-soon")
    assert late.fail == "badRequest" and "cmp.confirm-within" in late.text, "what is to be decrypted has its time as well"


def test_encrypted__waits_for_approval(house, factory, endpoint, keys):
    by, transaction, key, label = Signer(*factory.idevid("SN-enc-waits")), os.urandom(16), keys["p256"], NAME + "-waits"
    reply = ask(house, by, key, "encrCert", "SN-enc-waits", label=label, transaction=transaction)
    assert reply.status == 3, reply
    waiting = [r for r in house.cli_json("request", "list", "--status", "pending") if r["request"]["endpoint"] == label]
    assert waiting[0]["request"]["pop"] == "pending", "who approves sees it"
    house.cli("request", "approve", waiting[0]["id"])
    reply = go_on(house, by, transaction, reply, "pollReq", seq(seq(integer(0))), label)
    assert reply.cert is None, reply
    der = opened(reply.encrypted, key)
    assert go_on(house, by, transaction, reply, "certConf", confirm(der), label).body == "pkiconf"


def test_encrypted__update(house, factory, endpoint, keys):
    """kur: from a key that signed its request to one that decrypts, where the profile has both."""
    device = Device(house, factory, "SN-enc-kur")
    mine = device.signer(device.enroll(infos=[IMPLICIT]))
    transaction = os.urandom(16)
    reply = ask(house, mine, keys["rsa"], "encrCert", "SN-enc-kur", "kur", "cmp", transaction)
    assert reply.body == "kup" and reply.encrypted, reply
    der = opened(reply.encrypted, keys["rsa"])
    assert go_on(house, mine, transaction, reply, "certConf", confirm(der), "cmp").body == "pkiconf"


# ---- a number ----


@pytest.mark.parametrize("kind,pvno", [("rsa", 2), ("rsa", 3), ("p256", 2), ("p521", 3)])
def test_challenge(house, factory, endpoint, keys, kind, pvno):
    cn = f"SN-chall-{kind}-{pvno}"
    by, transaction, key = Signer(*factory.idevid(cn)), os.urandom(16), keys[kind]
    asked = message("ir", seq(request(key, name(cn), popo="challengeResp")), by, transaction=transaction, pvno=pvno, infos=[IMPLICIT])
    reply = post(house, asked, NAME)
    assert reply.body == "popdecc" and reply.signed_by() and post(house, asked, NAME).der == reply.der, reply
    answer = message("popdecr", seq(integer(number(reply, key))), by, transaction=transaction, recip_nonce=reply.nonce, pvno=pvno)
    done = post(house, answer, NAME)
    assert done.body == "ip" and own(done.cert, key) and post(house, answer, NAME).der == done.der, done
    assert b"\x2b\x06\x01\x05\x05\x07\x04\x0d" in done.infos, "possession is proven: implicitConfirm is granted"
    assert go_on(house, by, transaction, done, "popdecr", seq(integer(1))).fail == "badRequest", "played back it does nothing"


def test_challenge__wrong(house, endpoint, keys):
    """One guess; the secret is not spent by it."""
    by, transaction, key = secret(house, NAME, NAME), os.urandom(16), keys["rsa"]
    reply = ask(house, by, key, "challengeResp", "chall-wrong", transaction=transaction)
    right = number(reply, key)
    assert go_on(house, by, transaction, reply, "popdecr", seq(integer(right)), recip_nonce=b"x" * 16).fail == "badRecipientNonce"
    assert go_on(house, secret(house, NAME, NAME), transaction, reply, "popdecr", seq(integer(right))).fail == "notAuthorized"
    assert go_on(house, by, transaction, reply, "popdecr", seq()).fail == "badDataFormat"
    assert go_on(house, by, transaction, reply, "popdecr", seq(integer(right), integer(right))).fail == "badRequest"
    assert go_on(house, by, transaction, reply, "pollReq", seq(seq(integer(0)))).fail == "badRequest"
    assert go_on(house, by, transaction, reply, "certConf", confirm(b"")).fail == "badRequest"
    bad = go_on(house, by, transaction, reply, "popdecr", seq(integer(right ^ 1)))
    assert bad.body == "ip" and bad.fail == "badPOP" and "pop.decryption" in bad.text
    assert go_on(house, by, transaction, bad, "popdecr", seq(integer(right))).fail == "badRequest"
    other = os.urandom(16)
    reply = ask(house, by, key, "challengeResp", "chall-wrong", transaction=other)
    assert go_on(house, by, other, reply, "popdecr", seq(integer(number(reply, key)))).cert


def test_challenge__waits_for_approval(house, factory, endpoint, keys):
    by, transaction, key, label = Signer(*factory.idevid("SN-chall-waits")), os.urandom(16), keys["rsa"], NAME + "-waits"
    reply = ask(house, by, key, "challengeResp", "SN-chall-waits", label=label, transaction=transaction)
    pending = lambda: [r for r in house.cli_json("request", "list", "--status", "pending") if r["request"]["endpoint"] == label]  # noqa: E731
    assert reply.body == "popdecc" and not pending(), "who has proven nothing is not shown to those who approve"
    reply = go_on(house, by, transaction, reply, "popdecr", seq(integer(number(reply, key))), label)
    assert reply.status == 3, reply
    assert pending()[0]["request"]["pop"] == "decrypted"
    house.cli("request", "approve", pending()[0]["id"])
    reply = go_on(house, by, transaction, reply, "pollReq", seq(seq(integer(0))), label)
    assert own(reply.cert, key)
    assert go_on(house, by, transaction, reply, "certConf", confirm(reply.cert), label).body == "pkiconf"


def test_challenge__outlives_the_server(new_house, factory, keys):
    """Any process answers the next message."""
    house = new_house().start()
    by, transaction, key = Signer(*factory.idevid("SN-chall-dies")), os.urandom(16), keys["rsa"]
    reply = ask(house, by, key, "challengeResp", "SN-chall-dies", label="cmp", transaction=transaction)
    house.process.kill()
    house.process.wait()
    house.start()
    done = go_on(house, by, transaction, reply, "popdecr", seq(integer(number(reply, key))), "cmp")
    assert own(done.cert, key)


# ---- refused ----

OTHERWISE = {"thisMessage": b"\x80\2\0x", "dhMAC": b"\x82\2\0x", "subsequentMessage 2": b"\x81\1\2", "encryptedKey": b"\xa4\3\2\1\0"}


@pytest.mark.parametrize("case", OTHERWISE)
def test_refused__other_methods(house, endpoint, keys, case):
    by, key = secret(house, NAME, NAME), keys["rsa"]
    public = spki(key)
    asked = seq(integer(0), seq(explicit(5, name("enc-no")), b"\xa6" + public[1:]))
    reply = post(house, message("ir", seq(seq(asked, explicit(2, OTHERWISE[case]))), by), NAME)
    assert reply.fail == "badPOP" and "pop.method" in reply.text, reply


@pytest.mark.parametrize("popo", ["encrCert", "challengeResp"])
def test_refused__profile_for_other_keys(house, factory, endpoint, keys, popo):
    """device-ldevid-1y has keyEncipherment, which is RSA's; of an EC key it would certify what nobody has proven."""
    by, transaction = Signer(*factory.idevid("SN-enc-signs")), os.urandom(16)
    reply = ask(house, by, keys["p256"], popo, "SN-enc-signs", label="cmp", transaction=transaction)
    if popo == "challengeResp":
        reply = go_on(house, by, transaction, reply, "popdecr", seq(integer(number(reply, keys["p256"]))), "cmp")
    assert reply.fail == "badPOP" and "key.possession" in reply.text, reply
    reply = ask(house, by, keys["rsa"], "encrCert", "SN-enc-signs", label="cmp")
    assert own(opened(reply.encrypted, keys["rsa"]), keys["rsa"])


# ---- openssl cmp ----


@pytest.mark.parametrize("alg,popo", [("RSA", "2"), ("EC", "2"), ("EC", "1")])
def test_openssl(house, openssl, factory, endpoint, alg, popo):
    """-popo 2 is keyEncipherment with encrCert, whatever the key; 3.5 decrypts what comes back."""
    if alg == "RSA":
        openssl.run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "popo.key")
    else:
        openssl.key("popo")
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", NAME, "--profile", NAME, "--name", "CN=popo")
    done = openssl.run("cmp", "-config", "", "-cmd", "ir", "-server", f"{house.plain_url}/.well-known/cmp/p/{NAME}", "-recipient", "/CN=CA",
                       "-ref", made["id"], "-secret", "pass:" + made["secret"], "-mac", "hmacWithSHA256", "-newkey", "popo.key",
                       "-subject", "/CN=popo", "-popo", popo, "-certout", "popo.pem")
    assert done.returncode == 0
    public = openssl.text("pkey", "-in", "popo.key", "-pubout")
    assert openssl.text("x509", "-in", "popo.pem", "-noout", "-pubkey") == public


def test_openssl__without_proof(house, openssl, endpoint):
    """-popo 0 (raVerified) is for RAs; -popo -1 is openssl's word for a key that is to be made here."""
    openssl.key("popo0")
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", NAME, "--profile", NAME)
    done = openssl.run("cmp", "-config", "", "-cmd", "ir", "-server", f"{house.plain_url}/.well-known/cmp/p/{NAME}", "-recipient", "/CN=CA",
                       "-ref", made["id"], "-secret", "pass:" + made["secret"], "-mac", "hmacWithSHA256", "-newkey", "popo0.key",
                       "-subject", "/CN=popo", "-popo", "0", "-certout", "popo0.pem", ok=False)
    assert done.returncode != 0 and "pop.ra-verified" in (done.stdout + done.stderr).decode(), done
