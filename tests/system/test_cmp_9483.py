"""What RFC 9483 demands of a server, sentence by sentence: each case names the section, sends a message and says what comes back."""
import hashlib
import os
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from cmp import (IMPLICIT, Answer, Device, Mac, Signer, Unprotected, confirm, explicit, info, integer, message, name, octets, oid, post,  # noqa: E402
                 read, request, revocation, secret, seq, tlv, utf8)


@pytest.fixture(scope="module")
def device(house, factory):
    return Device(house, factory, "SN-9483")


@pytest.fixture(scope="module")
def enrolled(device):
    """The certificate that the device has, confirmed."""
    reply = device.enroll(infos=[IMPLICIT])
    assert reply.link.startswith("</renewal-info/"), "where to ask when to renew (RFC 9773) stands beside the message"
    return device.signer(reply)


# ---- 3: messages ----

CN = seq(tlv(0x31, seq(oid("2.5.4.3"), utf8("somebody"))))

# case: (failInfo, what is wrong with an ir)
HEADERS = {
    "3.1 pvno is 2 or 3": ("unsupportedVersion", lambda d: {"pvno": 1}),
    "3.1 pvno of the future": ("unsupportedVersion", lambda d: {"pvno": 4}),
    "3.1 transactionID is there": ("badDataFormat", lambda d: {"drop": ["transactionID"]}),
    "3.1 senderNonce is there": ("badSenderNonce", lambda d: {"drop": ["senderNonce"]}),
    "3.1 senderNonce has 128 bits": ("badSenderNonce", lambda d: {"nonce": b"short"}),
    "3.1 recipNonce is absent from the first message": ("badRecipientNonce", lambda d: {"recip_nonce": b"x" * 16}),
    "3.1 senderKID is that of the certificate": ("badMessageCheck", lambda d: {"by": Signer(d.by.cert, d.by.key, kid=b"another")}),
    "3.1 senderKID is there": ("badMessageCheck", lambda d: {"drop": ["senderKID"]}),
    "3.1 sender is the certificate's subject": ("badMessageCheck", lambda d: {"by": Signer(d.by.cert, d.by.key, sender=CN)}),
    "3.1 messageTime is near": ("badTime", lambda d: {"when": -7200}),
    "3.1 messageTime is not ahead": ("badTime", lambda d: {"when": 7200}),
    "3.2 protection is there": ("badMessageCheck", lambda d: {"drop": ["protection"]}),
    "3.2 protectionAlg is there": ("badMessageCheck", lambda d: {"drop": ["protectionAlg"]}),
    "3.2 unprotected": ("badMessageCheck", lambda d: {"by": Unprotected()}),
    "3.2 the signature verifies": ("badMessageCheck", lambda d: {"by": Signer(d.by.cert, ec.generate_private_key(ec.SECP256R1()))}),
    "3.3 extraCerts has the certificate": ("signerNotTrusted", lambda d: {"drop": ["extraCerts"]}),
    "3.5 one certProfile a request": ("badRequest", lambda d: {"infos": [info("certProfile", seq(utf8("a"), utf8("b")))]}),
    "3.5 certProfile is one that is offered": ("badRequest", lambda d: {"infos": [info("certProfile", seq(utf8("no-such")))]}),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header(device, case):
    fail, wrong = HEADERS[case]
    reply = device.ask(**wrong(device))
    assert reply.fail == fail and reply.status == 2, reply
    assert reply.body in ("error", "ip")


def test_header__3_1_of_answers(device, house):
    transaction, nonce = os.urandom(16), os.urandom(16)
    reply = device.ask(transaction=transaction, nonce=nonce, infos=[IMPLICIT])
    assert reply.pvno == 2 and reply.transaction == transaction and reply.recip_nonce == nonce and len(reply.nonce) == 16
    assert reply.time and reply.recipient == explicit(4, device.by.sender)
    ra = reply.signed_by()
    assert reply.kid == ra.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert reply.sender == explicit(4, ra.subject.public_bytes())
    assert device.ask(pvno=3, infos=[IMPLICIT]).pvno == 3


def test_errors__3_6_4(device):
    """An error is protected like any answer, and carries the transaction."""
    transaction, nonce = os.urandom(16), os.urandom(16)
    reply = device.ask("genp", seq(), transaction=transaction, nonce=nonce)
    assert reply.body == "error" and reply.fail == "badRequest" and reply.text
    assert reply.transaction == transaction and reply.recip_nonce == nonce and reply.signed_by()


@pytest.mark.parametrize("garbage", [b"", b"\x30", b"\x30\x80\x00\x00", b"\x30\x03\x02\x01\x02", b"x" * 100], ids=range(5))
def test_errors__3_6_4_what_is_no_message(house, garbage):
    reply = post(house, garbage) if garbage else None
    assert reply is None or (reply.body == "error" and reply.fail == "badDataFormat" and reply.protection is None)


def test_transport__6_1(house, device):
    assert post(house, device.ir(), content_type="text/plain", whole=True)[0].status == 415
    assert post(house, device.ir(), label="nobody", whole=True)[0].status == 404


# ---- 3.5 and 4: transactions ----


def test_transaction__3_5_id_in_use(device):
    device.enroll()
    assert device.ask(transaction=device.transaction).fail == "transactionIdInUse"


def test_transaction__3_5_the_same_message_again(device):
    asked = message("ir", device.ir(), device.by, infos=[IMPLICIT])
    first, again = post(device.house, asked), post(device.house, asked)
    assert first.der == again.der, "the same answer, byte by byte"


# case: (failInfo, body, content, options), of what comes after an ip
FOLLOWING = {
    "3.5 recipNonce is the answer's": ("badRecipientNonce", lambda d, r: ("certConf", confirm(r.cert), {"recip_nonce": b"y" * 16})),
    "3.5 recipNonce is there": ("badRecipientNonce", lambda d, r: ("certConf", confirm(r.cert), {"recip_nonce": b""})),
    "3.5 transactionID is one that is known": ("badRequest", lambda d, r: ("certConf", confirm(r.cert), {"transaction": os.urandom(16)})),
    "4.1.1 certHash is the certificate's": ("badCertId", lambda d, r: ("certConf", confirm(r.cert, digest=b"\0" * 32), {})),
    "4.1.1 certReqId is the request's": ("badRequest", lambda d, r: ("certConf", confirm(r.cert, 7), {})),
    "4.4 nothing to poll for": ("badRequest", lambda d, r: ("pollReq", seq(seq(integer(0))), {})),
    "4.1.1 one certificate is confirmed": ("badRequest",
                                           lambda d, r: ("certConf", seq(read(confirm(r.cert))[1], read(confirm(r.cert))[1]), {})),
}


@pytest.mark.parametrize("case", FOLLOWING)
def test_following(device, case):
    reply = device.enroll()
    fail, wrong = FOLLOWING[case]
    body, content, options = wrong(device, reply)
    assert device.go_on(body, content, reply, **options).fail == fail
    # It did no harm: the transaction goes on with the nonce of the latest answer that counted.
    assert device.go_on("certConf", confirm(reply.cert), reply).body == "pkiconf"


def test_following__3_5_by_somebody_else(device, house, factory):
    reply = device.enroll()
    other = Signer(*factory.idevid("SN-9483-other"))
    assert device.go_on("certConf", confirm(reply.cert), reply, by=other).fail == "notAuthorized"


def test_confirm__4_1_1(house, device):
    reply = device.enroll()
    assert b"\x2b\x06\x01\x05\x05\x07\x04\x0e" in reply.infos, "confirmWaitTime"
    done = device.go_on("certConf", confirm(reply.cert), reply)
    assert done.body == "pkiconf" and done.signed_by()
    assert device.go_on("certConf", confirm(reply.cert), done).fail == "certConfirmed"


def test_confirm__4_1_1_implicit(device):
    reply = device.enroll(infos=[IMPLICIT])
    assert b"\x2b\x06\x01\x05\x05\x07\x04\x0d" in reply.infos and b"\x2b\x06\x01\x05\x05\x07\x04\x0e" not in reply.infos
    assert device.go_on("certConf", confirm(reply.cert), reply).fail == "certConfirmed"


@pytest.mark.parametrize("content", ["rejection", "empty"])
def test_confirm__4_1_1_rejected_is_revoked(house, device, content):
    reply = device.enroll()
    serial = f"{x509.load_der_x509_certificate(reply.cert).serial_number:032x}"
    assert device.go_on("certConf", confirm(reply.cert, status=2) if content == "rejection" else seq(), reply).body == "pkiconf"
    assert house.cli_json("cert", "get", serial)["status"] == "revoked"


def test_confirm__5_3_18_hash_algorithm(device):
    algorithm = explicit(0, seq(oid("2.16.840.1.101.3.4.2.2")))
    reply = device.enroll(pvno=3)
    content = seq(seq(octets(hashlib.sha384(reply.cert).digest()), integer(0), algorithm))
    assert device.go_on("certConf", content, reply).fail == "badRequest", "it is of version 3"
    assert device.go_on("certConf", content, reply, pvno=3).body == "pkiconf"


# ---- 4.1: requests ----

# case: (failInfo, content)
REQUESTS = {
    "4.1.1 one request a message": ("badRequest", lambda d: seq(request(d.key, name("a")), request(d.key, name("b"), 1))),
    "4.1.1 no request at all": ("badDataFormat", lambda d: seq()),
    "4.1.1 possession is proven": ("badPOP", lambda d: d.ir(popo="none")),
    "4.1.1 the proof verifies": ("badPOP", lambda d: d.ir(wrong=True)),
    "5.2.3 raVerified is for RAs": ("badPOP", lambda d: d.ir(popo="ra")),
    "4.1.1 the template's version is 3": ("badCertTemplate", lambda d: d.ir(version=b"\x80\x01\x01")),
    "4.1.1 no serial number in the template": ("badCertTemplate", lambda d: d.ir(version=b"\x81\x01\x05")),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_request(device, case):
    fail, content = REQUESTS[case]
    assert device.ask(content=content(device)).fail == fail


@pytest.mark.parametrize("body,answer", [("ir", "ip"), ("cr", "cp")])
def test_request__4_1(device, enrolled, body, answer):
    reply = device.ask(body, by=enrolled, infos=[IMPLICIT], content=device.ir(request_id=0))
    assert reply.body == answer and reply.request_id == 0 and reply.cert and reply.extra[0] != reply.cert


def test_update__4_1_3(device, enrolled):
    new = ec.generate_private_key(ec.SECP256R1())
    issuer = explicit(4, enrolled.cert.issuer.public_bytes())
    named = lambda serial: seq(seq(oid("1.3.6.1.5.5.7.5.1.5"), seq(issuer, integer(serial))))  # noqa: E731
    ask = lambda serial, by: device.ask("kur", seq(request(new, name("SN-9483"), controls=named(serial))), by=by, infos=[IMPLICIT])  # noqa: E731
    assert ask(enrolled.cert.serial_number + 1, enrolled).fail == "badCertId"
    assert ask(enrolled.cert.serial_number, enrolled).body == "kup"


def test_update__4_1_3_by_secret(house, device):
    assert device.ask("kur", by=secret(house)).fail == "wrongIntegrity"


# ---- 3.2 and 4.1.5: shared secrets ----

MACS = {
    "pbm": ({}, None), "pbmac1": ({"pbmac1": True}, None),
    "pbm weak": ({"iterations": 99}, "badAlg"), "pbmac1 weak": ({"pbmac1": True, "iterations": 999}, "badAlg"),
    "pbm absurd": ({"iterations": 2**31}, "badAlg"), "pbmac1 absurd": ({"pbmac1": True, "iterations": 2**31}, "badAlg"),
    "pbm salt": ({"salt": b"short"}, "badAlg"), "unknown mac": ({"mac": "1.2.3.4"}, "badAlg"),
}


@pytest.mark.parametrize("case", MACS)
def test_secret__3_2(house, case):
    options, fail = MACS[case]
    by, key = secret(house, **options), ec.generate_private_key(ec.SECP256R1())
    reply = post(house, message("ir", seq(request(key, name("SN-9483-mac"))), by, infos=[IMPLICIT]))
    if fail:
        assert reply.fail == fail and reply.protection is None, reply
        return
    assert reply.kid == by.kid and reply.algorithm[:16] == by.algorithm()[:16], "answered with the same kind of MAC and the same reference"
    assert reply.protection and reply.status is not None


def test_secret__not_for_another_endpoint(house, device):
    by = secret(house)
    wrong = Mac(by.kid.decode(), "wrong")
    assert device.ask(by=wrong).fail == "badMessageCheck"
    assert device.ask(by=Mac("unknown", "wrong")).fail == "badMessageCheck"


def test_mac__work_is_bounded(house, device):
    """Strangers who know a reference say how many iterations are to be done: some at once, and the house goes on."""
    from concurrent.futures import ThreadPoolExecutor
    mine = secret(house)
    dear = message("ir", device.ir(), Mac(mine.kid.decode(), "wrong", iterations=100000))
    with ThreadPoolExecutor(24) as pool:
        answers = [pool.submit(post, house, dear) for _ in range(48)]
        assert device.ask("genm", seq(info("caCerts"))).body == "genp"
        fails = {a.result().fail for a in answers}
    assert "badMessageCheck" in fails and fails <= {"badMessageCheck", "systemUnavail"}
    assert device.ask(by=Mac(mine.kid.decode(), "wrong", iterations=100000)).fail == "badMessageCheck", "places are given back"


# ---- 4.2: revocation ----


def test_revocation__4_2(house, device):
    by = device.signer(device.enroll(infos=[IMPLICIT]))
    assert device.ask("rr", revocation(by.cert, serial=12345), by=by).fail == "badCertId"
    assert device.ask("rr", seq(seq(seq())), by=by).fail == "addInfoNotAvailable"
    twice = seq(read(revocation(by.cert))[1], read(revocation(by.cert))[1])
    assert device.ask("rr", twice, by=by).fail == "badRequest"
    done = device.ask("rr", revocation(by.cert), by=by)
    assert done.body == "rp" and done.status == 0, done
    assert device.ask("rr", revocation(by.cert), by=by).fail == "certRevoked", "its own signature is worth nothing now"
    assert device.ask("rr", revocation(by.cert)).fail == "certRevoked", "the birth certificate may, but it is done"


# ---- 4.3: information ----


def test_information__4_3_1(house, device):
    reply = device.ask("genm", seq(info("caCerts")))
    assert reply.body == "genp" and b"\x2b\x06\x01\x05\x05\x07\x04\x11" in reply.content[1] and reply.signed_by()
    stranger = device.ask("genm", seq(info("caCerts")), by=Unprotected())
    assert stranger.body == "genp" and stranger.protection is None, "anybody may know, and nothing is signed for just anybody"


def test_information__unknown(device):
    reply = device.ask("genm", seq(info("1.2.3.4")))
    assert reply.body == "genp" and b"\x2b\x06\x01\x05\x05\x07\x04\x07" in reply.content[1], "unsupportedOIDs"


# ---- 5.2: registration authorities ----


@pytest.fixture(scope="module")
def registrar(house, factory, tmp_path_factory):
    """An endpoint with a trust set of RAs, and a RA: (label, Signer)."""
    from conftest import Openssl
    tool = Openssl(tmp_path_factory.mktemp("ra"))
    for who, subject, extensions in (("ra-root", "/O=Example/CN=RA Root", ["keyUsage=critical,keyCertSign"]),):
        tool.key(who)
        tool.run("req", "-x509", "-new", "-key", who + ".key", "-subj", subject, "-days", "300", "-addext", extensions[0], "-out", who + ".pem")
    tool.csr("ra", "/O=Example/CN=Plant RA")
    with open(tool.file("ra.ext"), "w", encoding="ascii") as f:
        f.write("keyUsage=critical,digitalSignature\nextendedKeyUsage=1.3.6.1.5.5.7.3.28\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    tool.run("x509", "-req", "-in", "ra.csr", "-CA", "ra-root.pem", "-CAkey", "ra-root.key", "-days", "200", "-extfile", "ra.ext", "-out", "ra.pem")
    with open(tool.file("ra-root.pem"), encoding="ascii") as f:
        anchors = f.read()
    trust = {"kind": "TrustSet", "name": "plant-ras", "anchors": [anchors]}
    assert house.api("PUT", "/resources/trust-sets/plant-ras", trust).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "cmp-ra", "protocol": "cmp", "profiles": ["device-ldevid-1y"],
                "authentication": {"trust-sets": ["factory"]}, "cmp": {"ra-trust-sets": ["plant-ras"]}}
    assert house.api("PUT", "/resources/endpoints/cmp-ra", endpoint).status in (200, 201)
    return "cmp-ra", Signer(tool.file("ra.pem"), tool.file("ra.key"))


def test_nested__5_2_2_1_added_protection(house, device, registrar):
    label, ra = registrar
    transaction = os.urandom(16)
    inner = message("ir", device.ir(), device.by, transaction=transaction, infos=[IMPLICIT])
    reply = post(house, message("nested", seq(inner), ra, transaction=transaction), label)
    assert reply.body == "ip" and reply.cert and reply.transaction == transaction, reply


def test_nested__5_2_2_1_whole_transaction(house, device, registrar):
    """The RA adds its protection to every message of a transaction."""
    label, ra = registrar
    transaction = os.urandom(16)
    wrap = lambda inner, **options: post(house, message("nested", seq(inner), ra, transaction=transaction, **options), label)  # noqa: E731
    reply = wrap(message("ir", device.ir(), device.by, transaction=transaction))
    assert reply.body == "ip" and reply.cert, reply
    sure = message("certConf", confirm(reply.cert), device.by, transaction=transaction, recip_nonce=reply.nonce)
    assert wrap(sure, recip_nonce=reply.nonce).body == "pkiconf"


def test_nested__5_2_2_2_batch(house, device, registrar):
    label, ra = registrar
    inner = [message("ir", device.ir(), device.by, infos=[IMPLICIT]) for _ in range(2)] + [message("ir", device.ir(), device.by, pvno=9)]
    reply = post(house, message("nested", seq(*inner), ra), label)
    assert reply.body == "nested" and reply.signed_by()
    from cmp import elements
    answers = [Answer(e[2]) for e in elements(reply.content[1])]
    assert [a.body for a in answers] == ["ip", "ip", "error"] and answers[0].cert and answers[2].fail == "unsupportedVersion"


def test_nested__5_2_2_depth(house, device, registrar):
    label, ra = registrar
    inner = message("ir", device.ir(), device.by, infos=[IMPLICIT])
    for _ in range(6):
        inner = message("nested", seq(inner), ra)
    reply = post(house, inner, label)
    while reply.body == "nested":
        reply = Answer(reply.content[1])
    assert reply.body == "error" and reply.fail == "badRequest"


def test_nested__5_2_2_by_a_device(device):
    inner = message("ir", device.ir(), device.by)
    assert device.ask("nested", seq(inner)).fail == "notAuthorized"


def test_forwarded__5_2_3_2_raverified(house, device, registrar):
    """The RA has proven possession, and says so in its own name."""
    label, ra = registrar
    birth = seq(tlv(0x31, seq(oid("2.5.4.3"), utf8("SN-9483"))), tlv(0x31, seq(oid("2.5.4.5"), tlv(0x13, b"SN-9483"))))
    reply = post(house, message("ir", seq(request(device.key, birth, popo="ra")), ra, infos=[IMPLICIT]), label)
    assert reply.body == "ip" and reply.cert, reply
    assert post(house, message("ir", seq(request(device.key, birth, popo="ra")), device.by), label).fail == "badPOP"


def test_forwarded__5_2_3_1_kept_proof(house, device, registrar):
    label, ra = registrar
    birth = seq(tlv(0x31, seq(oid("2.5.4.3"), utf8("SN-9483"))), tlv(0x31, seq(oid("2.5.4.5"), tlv(0x13, b"SN-9483"))))
    assert post(house, message("ir", seq(request(device.key, birth)), ra, infos=[IMPLICIT]), label).cert
    assert post(house, message("ir", seq(request(device.key, birth, wrong=True)), ra, infos=[IMPLICIT]), label).fail == "badPOP"


def test_forwarded__5_3_2_revocation(house, device, registrar):
    label, ra = registrar
    mine = device.signer(device.enroll(infos=[IMPLICIT]))
    reply = post(house, message("rr", revocation(mine.cert, 4), ra), label)
    assert reply.body == "rp" and reply.status == 0, reply
    # Not what other endpoints issue.
    key = ec.generate_private_key(ec.SECP256R1())
    assert key and post(house, message("rr", revocation(mine.cert, 4), ra), label).fail == "certRevoked"


def test_forwarded__4_1_3_update_of_what_is_not_kept(house, device, registrar):
    """The inventory keeps no certificates of the profile: the RA that names one sends it along."""
    label, ra = registrar
    profile = {k: v for k, v in house.cli_json("get", "profiles", "device-ldevid-1y").items() if k != "version"}
    profile.update(name="cmp-sparse", retention={"level": "metadata"})
    assert house.api("PUT", "/resources/profiles/cmp-sparse", profile).status in (200, 201)
    sparse = {"kind": "Endpoint", "name": "cmp-sparse", "protocol": "cmp", "profiles": ["cmp-sparse"],
              "authentication": {"trust-sets": ["factory"]}, "cmp": {"ra-trust-sets": ["plant-ras"]}}
    assert house.api("PUT", "/resources/endpoints/cmp-sparse", sparse).status in (200, 201)
    old = x509.load_der_x509_certificate(post(house, message("ir", device.ir(), device.by, infos=[IMPLICIT]), "cmp-sparse").cert)
    issuer, new = explicit(4, old.issuer.public_bytes()), ec.generate_private_key(ec.SECP256R1())
    named = seq(seq(oid("1.3.6.1.5.5.7.5.1.5"), seq(issuer, integer(old.serial_number))))
    content = seq(request(new, old.subject.public_bytes(), controls=named))
    refused = post(house, message("kur", content, ra), "cmp-sparse")
    assert refused.fail == "badCertId" and "extraCerts" in refused.text, refused
    along = Signer(ra.cert, ra.key, chain=[old.public_bytes(serialization.Encoding.DER)])
    reply = post(house, message("kur", content, along, infos=[IMPLICIT]), "cmp-sparse")
    assert reply.body == "kup" and reply.cert, reply


# ---- trust sets ----


def test_birth_certificate_of_this_house__revoked(house, device):
    """A trust set of the house's own CAs says nothing of what has been revoked; the inventory does."""
    anchor = house.cli_json("get", "authorities", "device-ca")["certificate"]
    trust = {"kind": "TrustSet", "name": "own-cas", "anchors": [anchor], "device-id": "cn"}
    assert house.api("PUT", "/resources/trust-sets/own-cas", trust).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "cmp-own", "protocol": "cmp", "profiles": ["device-ldevid-1y"], "authentication": {"trust-sets": ["own-cas"]}}
    assert house.api("PUT", "/resources/endpoints/cmp-own", endpoint).status in (200, 201)
    mine = device.signer(device.enroll(infos=[IMPLICIT]))
    assert post(house, message("ir", device.ir(), mine, infos=[IMPLICIT]), "cmp-own").cert
    house.cli("cert", "revoke", f"{mine.cert.serial_number:032x}")
    assert post(house, message("ir", device.ir(), mine, infos=[IMPLICIT]), "cmp-own").fail == "certRevoked"


# ---- nobody confirms ----


def test_unconfirmed(house, device):
    endpoint = {"kind": "Endpoint", "name": "cmp-quick", "protocol": "cmp", "profiles": ["device-ldevid-1y"],
                "authentication": {"trust-sets": ["factory"]}, "cmp": {"confirm-within": "1s"}}
    assert house.api("PUT", "/resources/endpoints/cmp-quick", endpoint).status in (200, 201)
    reply = post(house, message("ir", device.ir(), device.by), "cmp-quick")
    serial = f"{x509.load_der_x509_certificate(reply.cert).serial_number:032x}"
    import time
    for _ in range(60):
        if house.cli_json("cert", "get", serial)["status"] == "revoked":
            return
        time.sleep(0.25)
    pytest.fail("the certificate was never confirmed, and is still good")


def test_restart__the_transaction_goes_on(new_house, factory):
    """Any process answers the next message."""
    house = new_house().start()
    device = Device(house, factory, "SN-9483-restart")
    reply = device.enroll()
    house.process.kill()
    house.process.wait()
    house.start()
    assert device.go_on("certConf", confirm(reply.cert), reply).body == "pkiconf"
