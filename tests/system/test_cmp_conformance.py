"""What RFC 9483 demands of the answers of a server, sentence by sentence: tables of cases, each named for its section. What it demands that a server
refuses is in test_cmp_9483.py."""
import datetime
import hashlib
import hmac
import os
import sys
import time
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from cmp import (IMPLICIT, OID, Device, Mac, confirm, elements, explicit, info, integer, message, name, octets, oid, post, read,  # noqa: E402
                 request, revocation, secret, seq, tlv)


# ---- every answer, of every kind ----


class World:
    """A device, the certificate that it has, and an endpoint where all has to be approved."""

    def __init__(self, house, factory):
        self.house = house
        self.device = Device(house, factory, "SN-conform")
        self.own = self.device.signer(self.device.enroll(infos=[IMPLICIT]))
        profile = {k: v for k, v in house.cli_json("get", "profiles", "device-ldevid-1y").items() if k != "version"}
        profile.update(name="cmp-conform-wait", approval={"required": True, "roles": ["operator", "admin"]})
        self.put("profiles", profile)
        self.put("endpoints", {"kind": "Endpoint", "name": "cmp-conform-wait", "protocol": "cmp", "profiles": ["cmp-conform-wait"],
                               "authentication": {"trust-sets": ["factory"]}, "cmp": {"poll-after": "2s"}})
        self.waiting = Device(house, factory, "SN-conform-wait", "cmp-conform-wait")

    def put(self, kind, document):
        assert self.house.api("PUT", f"/resources/{kind}/{document['name']}", document).status in (200, 201)

    def exchange(self, body, content, by=None, device=None, **options):
        """What was asked, and the answer."""
        device = device or self.device
        asked = SimpleNamespace(by=by or device.by, transaction=options.pop("transaction", os.urandom(16)), nonce=os.urandom(16),
                                pvno=options.get("pvno", 2))
        reply = device.ask(body, content, by=asked.by, transaction=asked.transaction, nonce=asked.nonce, **options)
        return asked, reply

    def confirmed(self, by=None, **options):
        asked, reply = self.exchange("ir", self.device.ir(), by)
        return self.exchange("certConf", confirm(reply.cert), by, transaction=asked.transaction, recip_nonce=reply.nonce, **options)

    def polled(self):
        asked, reply = self.exchange("ir", self.waiting.ir(), device=self.waiting)
        return self.exchange("pollReq", seq(seq(integer(0))), device=self.waiting, transaction=asked.transaction, recip_nonce=reply.nonce)

    def secret(self):
        return secret(self.house, device="SN-conform")

    def revoked(self):
        mine = self.device.signer(self.device.enroll(infos=[IMPLICIT]))
        return self.exchange("rr", revocation(mine.cert), mine)

    def p10(self):
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SN-conform")]))
        return builder.sign(self.device.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="module")
def world(house, factory):
    return World(house, factory)


ANSWERS = {
    "ip": lambda w: w.exchange("ir", w.device.ir(), infos=[IMPLICIT]),
    "ip-version-3": lambda w: w.exchange("ir", w.device.ir(), infos=[IMPLICIT], pvno=3),
    "ip-waiting": lambda w: w.exchange("ir", w.waiting.ir(), device=w.waiting),
    "ip-rejection": lambda w: w.exchange("ir", w.device.ir(wrong=True)),
    "ip-by-secret": lambda w: w.exchange("ir", w.device.ir(), w.secret(), infos=[IMPLICIT]),
    "cp": lambda w: w.exchange("cr", w.device.ir(), w.own, infos=[IMPLICIT]),
    "cp-of-p10cr": lambda w: w.exchange("p10cr", w.p10(), w.own, infos=[IMPLICIT]),
    "kup": lambda w: w.exchange("kur", seq(request(w.device.key, w.own.cert.subject.public_bytes())), w.own, infos=[IMPLICIT]),
    "rp": World.revoked,
    "genp": lambda w: w.exchange("genm", seq(info("caCerts"))),
    "pkiconf": World.confirmed,
    "pkiconf-by-secret": lambda w: w.confirmed(w.secret()),
    "pollRep": World.polled,
    "error": lambda w: w.exchange("genp", seq()),
    "error-by-secret": lambda w: w.exchange("genp", seq(), w.secret()),
}


@pytest.fixture(scope="module")
def answers(world):
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = ANSWERS[kind](world)
        return made[kind]

    return get


def by_secret(asked):
    return hasattr(asked.by, "secret")


def protecting(reply):
    return x509.load_der_x509_certificate(reply.extra[0])


def check_sender(asked, reply):
    assert by_secret(asked) or reply.sender == explicit(4, protecting(reply).subject.public_bytes())


def check_time(asked, reply):
    at = datetime.datetime.strptime(reply.time.decode(), "%Y%m%d%H%M%SZ")
    assert abs((at - datetime.datetime.utcnow()).total_seconds()) < 600


def check_algorithm(asked, reply):
    """The same kind of protection as the request's."""
    mac = oid(OID["pbm"]) in reply.algorithm
    assert mac == by_secret(asked)


def check_sender_kid(asked, reply):
    wanted = asked.by.kid if by_secret(asked) else protecting(reply).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert reply.kid == wanted


def check_protection(asked, reply):
    if not by_secret(asked):
        reply.signed_by()
        return
    salt, _, iterations, _ = [e[1] for e in elements(elements(read(reply.algorithm)[1])[1][1])]
    key = asked.by.secret + salt
    for _ in range(int.from_bytes(iterations, "big")):
        key = hashlib.sha256(key).digest()
    assert hmac.compare_digest(hmac.new(key, reply.part(), hashlib.sha256).digest(), reply.protection)
    assert salt != asked.by.salt, "a salt of its own"


def check_extra_first(asked, reply):
    if not by_secret(asked):
        usage = protecting(reply).extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.digital_signature


def check_extra_chain(asked, reply):
    """Each certificate's issuer is there, but for roots, which the client has to have already."""
    certs = [x509.load_der_x509_certificate(der) for der in reply.extra]
    assert all(c.subject != c.issuer for c in certs)
    assert len({c.fingerprint(hashes.SHA256()) for c in certs}) == len(certs), "none of them twice"
    if not by_secret(asked):
        assert any(c.subject == certs[0].issuer for c in certs[1:]) or len(certs) == 1


CHECKS = {
    "3.1-pvno-is-the-request's": lambda a, r: r.pvno == a.pvno,
    "3.1-sender-is-who-protects": check_sender,
    "3.1-recipient-is-the-request's-sender": lambda a, r: r.recipient == explicit(4, a.by.sender),
    "3.1-messageTime-is-now": check_time,
    "3.1-protectionAlg-is-of-the-request's-kind": check_algorithm,
    "3.1-senderKID-names-the-key-or-the-reference": check_sender_kid,
    "3.1-transactionID-is-the-request's": lambda a, r: r.transaction == a.transaction,
    "3.1-senderNonce-has-128-bits": lambda a, r: len(r.nonce) == 16,
    "3.1-senderNonce-is-new": lambda a, r: r.nonce not in (a.nonce, a.transaction),
    "3.1-recipNonce-is-the-request's-senderNonce": lambda a, r: r.recip_nonce == a.nonce,
    "3.2-protection-verifies": check_protection,
    "3.3-extraCerts-begin-with-who-protects": check_extra_first,
    "3.3-extraCerts-have-the-chain-and-no-roots": check_extra_chain,
}


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("check", CHECKS)
def test_answer(answers, check, kind):
    asked, reply = answers(kind)
    assert reply.body == kind.partition("-")[0], reply
    assert CHECKS[check](asked, reply) is not False


# ---- what stands in an answer ----


def key_pair(reply):
    """CertifiedKeyPair's members of an ip, cp or kup; none."""
    response = elements([e for e in elements(reply.content[1]) if e[0] == 0x30][-1][1])
    fields = elements(response[0][1])
    return elements(fields[2][1]) if len(fields) > 2 else []


def ca_pubs(reply):
    return [e for e in elements(reply.content[1]) if e[0] == 0xA1]


def info_values(reply):
    """Of a genp: {dotted OID's contents: value TLV or b""}."""
    out = {}
    for _, body, _ in elements(reply.content[1]):
        parts = elements(body)
        out[parts[0][2]] = parts[1][2] if len(parts) > 1 else b""
    return out


def header_infos(reply):
    return {elements(body)[0][2]: elements(body)[1][2] for _, body, _ in elements(reply.infos)}


def public_key(cert):
    return x509.load_der_x509_certificate(cert).public_key().public_numbers()


def rejected(reply):
    return reply.status == 2 and reply.fail and reply.text and not key_pair(reply) and not header_infos(reply)


def one_response(reply):
    return len(elements([e for e in elements(reply.content[1]) if e[0] == 0x30][-1][1])) == 1


# name: (answer, what holds of it)
CONTENTS = {
    "4.1.1-one-response": ("ip", lambda w, r: one_response(r)),
    "4.1.1-certReqId-0": ("ip", lambda w, r: r.request_id == 0),
    "4.1.1-accepted-or-with-mods": ("ip", lambda w, r: r.status in (0, 1) and r.fail is None),
    "4.1.1-certificate-for-the-key-that-was-asked-for": ("ip", lambda w, r: public_key(r.cert) == w.device.key.public_key().public_numbers()),
    "4.1.1-no-private-key": ("ip", lambda w, r: len(key_pair(r)) == 1),
    "4.1.1-no-caPubs-under-a-signature": ("ip", lambda w, r: not ca_pubs(r)),
    "4.1.1-implicitConfirm-is-granted-by-NULL": ("ip", lambda w, r: header_infos(r) == {oid(OID["implicitConfirm"]): b"\5\0"}),
    "4.1.1-rejection-says-why-and-has-no-certificate": ("ip-rejection", lambda w, r: rejected(r) and r.fail == "badPOP"),
    "4.1.1-pkiconf-is-NULL": ("pkiconf", lambda w, r: r.content[0] == 5 and r.content[1] == b""),
    "4.1.2-certReqId-0": ("cp", lambda w, r: r.request_id == 0 and one_response(r)),
    "4.1.2-no-caPubs": ("cp", lambda w, r: not ca_pubs(r)),
    "4.1.3-certReqId-0": ("kup", lambda w, r: r.request_id == 0 and one_response(r)),
    "4.1.3-no-caPubs": ("kup", lambda w, r: not ca_pubs(r)),
    "4.1.3-the-same-subject": ("kup", lambda w, r: x509.load_der_x509_certificate(r.cert).subject == w.own.cert.subject),
    "4.1.4-certReqId--1": ("cp-of-p10cr", lambda w, r: r.request_id == -1 and one_response(r)),
    "4.1.4-no-caPubs": ("cp-of-p10cr", lambda w, r: not ca_pubs(r)),
    "4.1.5-caPubs-under-a-MAC": ("ip-by-secret", lambda w, r: len(ca_pubs(r)) == 1),
    "4.2-one-status": ("rp", lambda w, r: len(elements(elements(r.content[1])[0][1])) == 1 and r.status == 0),
    "4.4-waiting-without-certificate": ("ip-waiting", lambda w, r: r.status == 3 and r.request_id == 0 and not key_pair(r)),
    "4.4-no-confirmation-of-what-waits": ("ip-waiting", lambda w, r: not r.infos),
    "4.4-pollRep-names-the-request": ("pollRep", lambda w, r: elements(elements(r.content[1])[0][1])[0][1] == b"\0"),
    "4.4-checkAfter-in-seconds": ("pollRep", lambda w, r: elements(elements(r.content[1])[0][1])[1][1] == b"\2"),
    "3.6.4-error-is-a-rejection-with-failInfo": ("error", lambda w, r: r.status == 2 and r.fail == "badRequest" and r.text),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_content(answers, world, case):
    kind, holds = CONTENTS[case]
    reply = answers(kind)[1]
    assert holds(world, reply), reply


# ---- whole operations ----


def test_operation__4_1_1_confirmWaitTime_is_to_come(world):
    """Where no implicit confirmation was asked for there is none, and a time until when to confirm."""
    reply = world.exchange("ir", world.device.ir())[1]
    [(kind, value)] = header_infos(reply).items()
    until = datetime.datetime.strptime(read(value)[1].decode(), "%Y%m%d%H%M%SZ")
    assert kind == oid(OID["confirmWaitTime"]) and until > datetime.datetime.utcnow()


def test_operation__4_1_3_the_old_one_stays_valid(house, world):
    """An update does not revoke what it updates."""
    mine = world.device.signer(world.device.enroll(infos=[IMPLICIT]))
    key = ec.generate_private_key(ec.SECP256R1())
    reply = world.exchange("kur", seq(request(key, mine.cert.subject.public_bytes())), mine, infos=[IMPLICIT])[1]
    assert reply.body == "kup" and reply.cert, reply
    assert house.cli_json("cert", "get", f"{mine.cert.serial_number:032x}")["status"] == "valid"


def test_operation__4_1_4_confirmed_with_certReqId_minus_1(world):
    asked, reply = world.exchange("p10cr", world.p10(), world.own)
    done = world.exchange("certConf", confirm(reply.cert, -1), world.own, transaction=asked.transaction, recip_nonce=reply.nonce)[1]
    assert done.body == "pkiconf"


def test_operation__4_1_6_3_central_key_by_password(house, world):
    """A key made here: in EnvelopedData for whoever knows the secret, in a message of version 3 (RFC 9810 7)."""
    common = "central.conform.example.org"
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp", "--profile", "server-internal-1y", "--name", "DNS:" + common,
                          "--name", "CN=" + common)
    san = seq(oid("2.5.29.17"), octets(seq(tlv(0x82, common.encode()))))
    template = seq(explicit(5, name(common)), tlv(0xA9, san))
    reply = world.exchange("ir", seq(seq(seq(integer(0), template))), Mac(made["id"], made["secret"]), infos=[IMPLICIT], pvno=3)[1]
    assert reply.pvno == 3 and reply.cert, reply
    pair = key_pair(reply)
    assert len(pair) == 2 and pair[1][0] == 0xA0
    [(tag, enveloped, _)] = elements(pair[1][1])
    recipients = next(body for kind, body, _ in elements(enveloped) if kind == 0x31)
    assert tag == 0xA0 and [e[0] for e in elements(recipients)] == [0xA3], "envelopedData [0], pwri [3]"


# ---- 4.3: information ----


def test_information__4_3_1_caCerts(house, world):
    value = info_values(world.exchange("genm", seq(info("caCerts")))[1])[oid(OID["caCerts"])]
    certs = [x509.load_der_x509_certificate(e[2]) for e in elements(read(value)[1])]
    assert certs and all(c.extensions.get_extension_for_class(x509.BasicConstraints).value.ca for c in certs)


def test_information__4_3_2_no_update(house, world):
    """A root that is the latest has no update: the value is absent."""
    root = x509.load_pem_x509_certificate(open(house.ca_bundle, "rb").read()).public_bytes(serialization.Encoding.DER)
    values = info_values(world.exchange("genm", seq(info("rootCaCert", root)))[1])
    assert values == {oid(OID["rootCaKeyUpdate"]): b""}


def root_of(openssl, name, subject, days):
    openssl.key(name)
    openssl.run("req", "-x509", "-new", "-key", name + ".key", "-subj", subject, "-days", str(days), "-out", name + ".pem", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")
    return open(openssl.file(name + ".pem"), encoding="ascii").read()


def link(openssl, name, of, by, subject):
    """A certificate for the key of one root, signed by the other."""
    openssl.run("req", "-new", "-key", of + ".key", "-subj", subject, "-out", name + ".csr")
    with open(openssl.file("link.ext"), "w", encoding="ascii") as f:
        f.write("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n")
    openssl.run("x509", "-req", "-in", name + ".csr", "-CA", by + ".pem", "-CAkey", by + ".key", "-days", "100", "-extfile", "link.ext", "-out", name + ".pem")
    return open(openssl.file(name + ".pem"), encoding="ascii").read()


def test_information__4_3_2_rootCaKeyUpdate(house, world, openssl):
    """newWithNew, newWithOld [0] and oldWithNew [1] for a root that has a successor; links that lead elsewhere are no links."""
    subject = "/O=Rollover/CN=Root"
    old, new, other = root_of(openssl, "old", subject, 300), root_of(openssl, "new", subject, 400), root_of(openssl, "other", "/CN=Other", 300)
    links = [link(openssl, "new-with-old", "new", "old", subject), link(openssl, "old-with-new", "old", "new", subject)]
    authority = lambda name, pem, **more: {"kind": "Authority", "name": name, "certificate": pem, "root": True, **more}  # noqa: E731
    wrong = house.api("PUT", "/resources/authorities/cmp-root-new", authority("cmp-root-new", new, links=[other]))
    assert wrong.status == 422 and "/links" in str(wrong.json), wrong
    world.put("authorities", authority("cmp-root-new", new, links=links))
    world.put("authorities", authority("cmp-root-old", old, successor="cmp-root-new"))
    der = {name: openssl.der(name + ".pem", "x509") for name in ("old", "new", "new-with-old", "old-with-new")}
    ask = lambda name: info_values(world.exchange("genm", seq(info("rootCaCert", der[name])), world.secret())[1])  # noqa: E731
    update = seq(der["new"], explicit(0, der["new-with-old"]), explicit(1, der["old-with-new"]))
    assert ask("old") == {oid(OID["rootCaKeyUpdate"]): update} and ask("new") == {oid(OID["rootCaKeyUpdate"]): b""}
    unsealed = world.exchange("genm", seq(info("rootCaCert", der["old"])))[1]
    assert "envelope.anchors" in unsealed.text, "the signer signs nothing of a root that no ceremony has made known"
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp")
    openssl.run("cmp", "-config", "", "-cmd", "genm", "-server", house.plain_url + "/.well-known/cmp/getrootupdate", "-recipient", "/CN=CA", "-ref",
                made["id"], "-secret", "pass:" + made["secret"], "-infotype", "rootCaCert", "-oldwithold", "old.pem", "-newwithnew", "1.pem",
                "-newwithold", "2.pem", "-oldwithnew", "3.pem", "-batch")
    assert [openssl.der(f, "x509") for f in ("1.pem", "2.pem", "3.pem")] == [der["new"], der["new-with-old"], der["old-with-new"]]
    for name in ("cmp-root-old", "cmp-root-new"):
        house.api("DELETE", "/resources/authorities/" + name)


def test_information__4_3_2_rootCaKeyUpdate_by_ceremony(new_house, openssl, factory):
    """The same with a root that was made here and links that the bundles signed: under the RA's signature."""
    house = new_house()
    bundle = lambda name: ["--bundle", os.path.join(house.home, "root", f"root-{name}.bundle")]  # noqa: E731
    phrase = openssl.file("root-2.passphrase")
    with open(phrase, "w", encoding="ascii") as f:
        f.write("a passphrase for the new root\n")
    house.cli("ca", "create", "--root", "--name", "root-2", "--subject", house.cli_json("ca", "show", "root")["subject"], *bundle("root-2"),
              "--bundle-passphrase-file", phrase)
    for name in ("root", "root-2"):
        house.cli("ca", "export", name, "--out", openssl.file(name + ".pem"))
    passphrases = {"root": os.path.join(house.home, "root", "root.passphrase"), "root-2": phrase}
    links = []
    for by, of in (("root", "root-2"), ("root-2", "root")):
        house.cli("ca", "offline", "link", *bundle(by), "--passphrase-file", passphrases[by], "--root", openssl.file(of + ".pem"), "--out",
                  openssl.file(f"link-{by}.pem"))
        links.append(open(openssl.file(f"link-{by}.pem"), encoding="ascii").read())
    house.start()
    document = {k: v for k, v in house.cli_json("get", "authorities", "root-2").items() if k != "version"}
    assert house.api("PUT", "/resources/authorities/root-2", {**document, "links": links}).status == 200
    der = [openssl.der(f, "x509") for f in ("root-2.pem", "link-root.pem", "link-root-2.pem")]
    device = Device(house, factory, "SN-conform-rollover")
    reply = device.ask("genm", seq(info("rootCaCert", openssl.der("root.pem", "x509"))))
    assert reply.signed_by() and info_values(reply) == {oid(OID["rootCaKeyUpdate"]): seq(der[0], explicit(0, der[1]), explicit(1, der[2]))}


def test_information__4_3_2_what_is_no_certificate(world):
    assert world.exchange("genm", seq(info("rootCaCert", seq())))[1].fail == "badDataFormat"
    assert world.exchange("genm", seq(info("rootCaCert")))[1].fail == "badDataFormat"


def test_information__4_3_3_certReqTemplate(world):
    """CertReqTemplateContent: a template without a key, and what keys there may be."""
    value = info_values(world.exchange("genm", seq(info("certReqTemplate")))[1])[oid(OID["certReqTemplate"])]
    template, *specs = elements(read(value)[1])
    assert not any(tag == 0xA6 for tag, _, _ in elements(template[1])), "publicKey is left out"
    assert specs and all(elements(body)[0][2] in (oid("1.3.6.1.5.5.7.5.1.11"), oid("1.3.6.1.5.5.7.5.1.12")) for _, body, _ in elements(specs[0][1]))


def crl_status(world, *more):
    return seq(info("crlStatusList", seq(seq(explicit(1, seq(explicit(4, world.own.cert.issuer.public_bytes()))), *more))))


def test_information__4_3_4_crls(world):
    values = info_values(world.exchange("genm", crl_status(world))[1])
    crl = x509.load_der_x509_crl(elements(read(values[oid(OID["crls"])])[1])[0][2])
    assert crl.issuer == world.own.cert.issuer
    later = (crl.last_update + datetime.timedelta(days=1)).strftime("%y%m%d%H%M%SZ").encode()
    values = info_values(world.exchange("genm", crl_status(world, tlv(0x17, later)))[1])
    assert values == {oid(OID["crls"]): b""}, "none that is newer"
    earlier = (crl.last_update - datetime.timedelta(days=1)).strftime("%y%m%d%H%M%SZ").encode()
    assert info_values(world.exchange("genm", crl_status(world, tlv(0x17, earlier)))[1])[oid(OID["crls"])]


# ---- 4.4: delayed delivery ----


def test_delayed__4_4_whole(house, world, factory):
    """waiting, pollRep, approval, the certificate in an ip, certConf, pkiconf: in one transaction."""
    device = Device(house, factory, "SN-conform-delay", "cmp-conform-wait")
    asked, reply = world.exchange("ir", device.ir(), device=device)
    assert reply.status == 3
    [waiting] = [r["id"] for r in house.cli_json("request", "list", "--status", "pending") if "SN-conform-delay" in str(r)]
    poll = lambda last: world.exchange("pollReq", seq(seq(integer(0))), device=device, transaction=asked.transaction,  # noqa: E731
                                       recip_nonce=last.nonce)[1]
    reply = poll(reply)
    assert reply.body == "pollRep"
    house.cli("request", "approve", waiting)
    reply = poll(reply)
    assert reply.body == "ip" and reply.cert and reply.request_id == 0, reply
    done = world.exchange("certConf", confirm(reply.cert), device=device, transaction=asked.transaction, recip_nonce=reply.nonce)[1]
    assert done.body == "pkiconf"


# ---- 3.6.2: errors of the client ----


def test_error__3_6_2_of_the_client_is_acknowledged(world):
    """A client's error ends the transaction, and is answered by pkiconf; what it was given is no more."""
    asked, reply = world.exchange("ir", world.device.ir())
    problem = seq(seq(integer(2)))
    done = world.exchange("error", problem, transaction=asked.transaction, recip_nonce=reply.nonce)[1]
    assert done.body == "pkiconf", done
    serial = f"{x509.load_der_x509_certificate(reply.cert).serial_number:032x}"
    assert world.house.cli_json("cert", "get", serial)["status"] == "revoked"


# ---- 3.5: strangers learn nothing ----


def test_stranger__3_5_references_look_alike(house, world):
    """Unknown, expired, of another endpoint, revoked, wrong: one answer to who does not know the secret; the register tells them apart."""
    make = lambda *more: house.cli_json("token", "create", "--for", "cmp", *more)  # noqa: E731
    good, foreign, gone = make("--endpoint", "cmp"), make("--endpoint", "cmp-conform-wait"), make("--endpoint", "cmp", "--ttl", "1s")
    revoked = make("--endpoint", "cmp")
    house.cli("token", "revoke", revoked["id"])
    time.sleep(2)
    cases = [Mac(good["id"], "wrong"), Mac("no-such-reference", "wrong"), Mac(foreign["id"], foreign["secret"]), Mac(gone["id"], gone["secret"]),
             Mac(revoked["id"], revoked["secret"])]
    told = {(r.body, r.status, r.fail, r.text, r.protection) for r in (world.exchange("ir", world.device.ir(), by)[1] for by in cases)}
    assert len(told) == 1 and told.pop()[2] == "badMessageCheck"
    wanted, rules, until = {"token.expired", "token.endpoint", "token.secret", "cmp.mac"}, "", time.monotonic() + 30
    while not all(rule in rules for rule in wanted) and time.monotonic() < until:
        time.sleep(0.5)
        rules = str(house.cli_json("register", "show", "--type", "enrollment.refused", "--limit", "1000"))
    assert all(rule in rules for rule in wanted)


# ---- 5: registration authorities ----


def test_transport__5_1_content_type(world):
    reply, _ = post(world.house, message("genm", seq(info("caCerts")), world.device.by), whole=True)
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/pkixcmp"
