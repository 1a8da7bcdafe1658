"""EST full CMC (RFC 7030 4.3) and encrypted server-made keys (4.4): messages read and written by codecs that others wrote, signed, verified
and decrypted by openssl."""
import base64
import email

import pytest
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import univ
from pyasn1_modules import rfc5652, rfc6402

from test_est import EST, PKCS10, basic, certificates, enroll, post, serial, subject, token

PKI_DATA = "1.3.6.1.5.5.7.12.2"
PKI_RESPONSE = "1.3.6.1.5.5.7.12.3"
SUCCESS, FAILED, PENDING, NO_SUPPORT = 0, 2, 3, 4
BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST, BAD_TIME, BAD_IDENTITY, POP_REQUIRED, POP_FAILED = 0, 1, 2, 3, 7, 8, 9


# ---- requests ----


def control(number, oid, value):
    c = rfc6402.TaggedAttribute()
    c["bodyPartID"] = number
    c["attrType"] = oid
    c["attrValues"][0] = encoder.encode(value)
    return c


def pkcs10(number, csr_der):
    tcr = univ.Sequence()
    tcr.setComponentByPosition(0, univ.Integer(number))
    tcr.setComponentByPosition(1, univ.Any(csr_der))
    body = encoder.encode(tcr)
    return b"\xa0" + body[1:]


def sequence(*parts):
    body = b"".join(parts)
    n = len(body)
    head = bytes([n]) if n < 128 else bytes([0x81, n]) if n < 256 else b"\x82" + n.to_bytes(2, "big")
    return b"\x30" + head + body


def pki_data(requests, controls=(), cms=b"", other=b""):
    """PKIData of ready requests and controls."""
    return sequence(sequence(*(encoder.encode(c) for c in controls)), sequence(*requests), sequence(cms), sequence(other))


def cert_request(openssl, number, device, key):
    """A CertRequest of CRMF for a device's number and a key."""
    value = device.encode()
    name = sequence(b"\x31" + sequence(sequence(b"\x06\x03\x55\x04\x05", b"\x13" + bytes([len(value)]) + value))[1:])
    spki = openssl.run("pkey", "-in", key, "-pubout", "-outform", "DER").stdout
    return sequence(bytes([2, 1, number]), sequence(b"\xa5" + bytes([len(name)]) + name, b"\xa6" + spki[1:]))


def usual(transaction=4711, nonce=b"0123456789abcdef"):
    return [control(900, rfc6402.id_cmc_transactionId, univ.Integer(transaction)),
            control(901, rfc6402.id_cmc_senderNonce, univ.OctetString(nonce))]


def sign(openssl, data, cert, key, *more, content=PKI_DATA):
    with open(openssl.file("pkidata.der"), "wb") as f:
        f.write(data)
    openssl.run("cms", "-sign", "-binary", "-nodetach", "-in", "pkidata.der", "-outform", "DER", "-out", "pkidata.p7", "-signer", cert,
                "-inkey", key, "-econtent_type", content, "-md", "sha256", *more)
    with open(openssl.file("pkidata.p7"), "rb") as f:
        return f.read()


def self_cert(openssl, name, key):
    """A certificate that nobody trusts, so that openssl can sign with the key to be certified, named by its identifier."""
    openssl.run("req", "-x509", "-new", "-key", key, "-subj", "/CN=nobody", "-out", name + ".self.pem")
    return openssl.file(name + ".self.pem")


def post_cmc(house, label, message, headers=None, cert=None, key=None):
    headers = {"Content-Type": "application/pkcs7-mime; smime-type=CMC-request", **(headers or {})}
    return house.request("POST", f"{EST}{label}/fullcmc", base64.b64encode(message), headers, cert, key)


# ---- answers ----


class Answer:
    def __init__(self, house, openssl, reply, signed=True):
        assert reply.headers["Content-Type"] == "application/pkcs7-mime; smime-type=CMC-response", reply
        der = base64.b64decode(reply.body, validate=True)
        info, rest = decoder.decode(der, asn1Spec=rfc5652.ContentInfo())
        assert not rest and info["contentType"] == rfc5652.id_signedData
        data, rest = decoder.decode(info["content"], asn1Spec=rfc5652.SignedData())
        assert not rest and str(data["encapContentInfo"]["eContentType"]) == PKI_RESPONSE
        content = bytes(data["encapContentInfo"]["eContent"])
        if signed:
            with open(openssl.file("answer.der"), "wb") as f:
                f.write(der)
            done = openssl.run("cms", "-verify", "-inform", "DER", "-in", "answer.der", "-CAfile", house.ca_bundle, "-purpose", "any",
                               "-certsout", "answer.pem", "-signer", "ra.pem", "-out", "answer.content")
            assert b"erification successful" in done.stderr
            with open(openssl.file("answer.content"), "rb") as f:
                assert f.read() == content
            purpose = openssl.text("x509", "-in", "ra.pem", "-noout", "-ext", "extendedKeyUsage,keyUsage,basicConstraints")
            assert "cmcRA" in purpose or "CMC Registration Authority" in purpose, purpose
            assert "CA:FALSE" in purpose
        else:
            assert len(data["signerInfos"]) == 0
        self.pki, rest = decoder.decode(content, asn1Spec=rfc6402.PKIResponse())
        assert not rest
        self.status = {}
        self.controls = {}
        for c in self.pki["controlSequence"]:
            value = bytes(c["attrValues"][0])
            if c["attrType"] == rfc6402.id_cmc_statusInfoV2:
                status, rest = decoder.decode(value)  # the schema in pyasn1-modules 0.2.8 can't tell the choices of otherInfo apart
                assert not rest
                self.status[int(status[1][0])] = [status[i] for i in range(len(status))]
            else:
                self.controls[str(c["attrType"])] = decoder.decode(value)[0]

    def code(self, part):
        return int(self.status[part][0])

    def fail(self, part):
        return int(self.status[part][3])

    def text(self, part):
        return str(self.status[part][2])

    def control(self, oid):
        return self.controls[str(oid)]


def chain(house, openssl):
    path, _ = certificates(openssl, house.request("GET", EST + "/devices/cacerts"), "chain.pem")
    return path


def issued(openssl, name="answer.pem"):
    """The certificates of an answer that are devices' and servers': neither the RA's nor CAs."""
    with open(openssl.file(name), encoding="ascii") as f:
        blocks = [b + "-----END CERTIFICATE-----\n" for b in f.read().split("-----END CERTIFICATE-----\n") if "BEGIN" in b]
    found = []
    for i, block in enumerate(blocks):
        path = openssl.file(f"{name}.{i}")
        with open(path, "w", encoding="ascii") as f:
            f.write(block)
        text = openssl.text("x509", "-in", path, "-noout", "-ext", "basicConstraints,extendedKeyUsage")
        if "CA:TRUE" not in text and "CMC" not in text and "cmcRA" not in text:
            found.append(path)
    return found


# ---- with a certificate ----


def test_fullcmc__birth_certificate(house, openssl, factory):
    birth, key = factory.idevid("CMC-1")
    csr = openssl.der(openssl.csr("c1", "/serialNumber=CMC-1"))
    message = sign(openssl, pki_data([pkcs10(1, csr)], usual()), birth, key)
    reply = post_cmc(house, "/devices", message, cert=birth, key=key)
    assert reply.status == 200, reply
    answer = Answer(house, openssl, reply)
    assert answer.code(1) == SUCCESS
    assert int(answer.control(rfc6402.id_cmc_transactionId)) == 4711
    assert bytes(answer.control(rfc6402.id_cmc_recipientNonce)) == b"0123456789abcdef"
    assert len(bytes(answer.control(rfc6402.id_cmc_senderNonce))) == 16
    [cert] = issued(openssl)
    assert "serialNumber=CMC-1" in subject(openssl, cert)
    assert openssl.text("x509", "-in", cert, "-noout", "-pubkey") == openssl.text("pkey", "-in", "c1.key", "-pubout")
    # What was signed stands in the register, where the signer's chain is accounted for.
    assert "cmcPkiResponse" in house.cli("register", "show", "--type", "message.signed", "--limit", "1000", "-o", "json").stdout


def test_fullcmc__signature_alone(house, openssl, factory):
    """Without a TLS client certificate the message's fresh signature says who asks."""
    birth, key = factory.idevid("CMC-2")
    csr = openssl.der(openssl.csr("c2", "/serialNumber=CMC-2"))
    data = pki_data([pkcs10(1, csr)], usual())
    reply = post_cmc(house, "/devices", sign(openssl, data, birth, key))
    assert reply.status == 200, reply
    assert Answer(house, openssl, reply).code(1) == SUCCESS
    assert "serialNumber=CMC-2" in subject(openssl, issued(openssl)[0])


def test_fullcmc__signature_alone_is_good_once(house, openssl, factory):
    """Who saw such a message can send it again: that brings no second certificate, here or at another endpoint."""
    endpoint = house.api("GET", "/resources/endpoints/devices").json
    del endpoint["metadata"]
    house.api("PUT", "/resources/endpoints/cmc-again", {**endpoint, "name": "cmc-again"})
    birth, key = factory.idevid("CMC-AGAIN")
    requests = [pkcs10(1, openssl.der(openssl.csr("again1", "/serialNumber=CMC-AGAIN")))]
    message = sign(openssl, pki_data(requests, usual()), birth, key)
    reply = post_cmc(house, "/devices", message)
    assert reply.status == 200, reply
    for label in ("/devices", "/cmc-again"):
        reply = post_cmc(house, label, message)
        assert reply.status == 403, reply
        answer = Answer(house, openssl, reply)
        assert answer.code(1) == FAILED and "cmc.replayed" in answer.text(1)
    assert len(house.api("GET", "/certificates?device=CMC-AGAIN").json["items"]) == 1
    # Signed anew it is a new message.
    assert post_cmc(house, "/cmc-again", sign(openssl, pki_data(requests, usual(4712)), birth, key)).status == 200
    house.api("DELETE", "/resources/endpoints/cmc-again")


def test_fullcmc__renewal(house, openssl, factory):
    cert, key = enroll(house, openssl, factory, "CMC-3")
    csr = openssl.der(openssl.csr("c3", subject(openssl, cert).replace("subject=", "/").replace(",", "/")))
    reply = post_cmc(house, "/devices", sign(openssl, pki_data([pkcs10(7, csr)], usual()), cert, key), cert=cert, key=key)
    assert reply.status == 200, reply
    assert Answer(house, openssl, reply).code(7) == SUCCESS
    [renewed] = issued(openssl)
    assert subject(openssl, renewed) == subject(openssl, cert) and serial(openssl, renewed) != serial(openssl, cert)


def test_fullcmc__several_requests(house, openssl, factory):
    """Each request has a status of its own: one is good, one's signature is broken, one is CRMF without proof of possession."""
    birth, key = factory.idevid("CMC-4")
    good = openssl.der(openssl.csr("c4", "/serialNumber=CMC-4"))
    broken = good[:-1] + bytes([good[-1] ^ 1])
    crm = b"\xa1" + sequence(cert_request(openssl, 3, "CMC-4", openssl.key("c4crmf")))[1:]
    message = sign(openssl, pki_data([pkcs10(1, good), pkcs10(2, broken), crm], usual()), birth, key)
    reply = post_cmc(house, "/devices", message, cert=birth, key=key)
    assert reply.status == 200, reply
    answer = Answer(house, openssl, reply)
    assert answer.code(1) == SUCCESS
    assert answer.code(2) == FAILED and answer.fail(2) == POP_FAILED and answer.text(2).startswith("pop.signature: ")
    assert answer.code(3) == FAILED and answer.fail(3) == POP_REQUIRED
    assert len(issued(openssl)) == 1


def test_fullcmc__crmf(house, openssl, factory):
    """A CRMF request with its proof of possession, over the CertRequest (RFC 4211 4.1)."""
    birth, key = factory.idevid("CMC-5")
    own = openssl.key("c5")
    request = cert_request(openssl, 5, "CMC-5", own)
    with open(openssl.file("c5.request"), "wb") as f:
        f.write(request)
    signature = openssl.run("dgst", "-sha256", "-sign", own, "c5.request").stdout
    popo = sequence(b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", b"\x03" + bytes([len(signature) + 1]) + b"\0" + signature)
    crm = b"\xa1" + sequence(request, b"\xa1" + popo[1:])[1:]
    reply = post_cmc(house, "/devices", sign(openssl, pki_data([crm], usual()), birth, key), cert=birth, key=key)
    assert reply.status == 200, reply
    assert Answer(house, openssl, reply).code(5) == SUCCESS
    assert openssl.text("x509", "-in", issued(openssl)[0], "-noout", "-pubkey") == openssl.text("pkey", "-in", own, "-pubout")


# ---- with a token ----


def test_fullcmc__token_and_own_key(house, openssl):
    """Nobody has a certificate yet: the key to be certified signs, named by its identifier, and the token says who asks."""
    made = token(house, endpoint="servers", names=["DNS:cmc-a.example.org"])
    csr = openssl.csr("t1", "/", "DNS:cmc-a.example.org")
    own = openssl.file("t1.key")
    data = pki_data([pkcs10(1, openssl.der(csr))], usual())
    message = sign(openssl, data, self_cert(openssl, "t1", own), own, "-keyid", "-nocerts")
    assert post_cmc(house, "/servers", message).status == 401
    reply = post_cmc(house, "/servers", message, basic(made))
    assert reply.status == 200, reply
    first = Answer(house, openssl, reply)
    assert first.code(1) == SUCCESS
    [cert] = issued(openssl)
    # The lost answer again, to the same key: the same certificate.
    again = post_cmc(house, "/servers", message, basic(made))
    assert again.status == 200
    Answer(house, openssl, again)
    assert serial(openssl, issued(openssl)[0]) == serial(openssl, cert)
    # A key that is not in the message can't sign it.
    other = openssl.key("t2")
    stranger = sign(openssl, data, self_cert(openssl, "t2", other), other, "-keyid", "-nocerts")
    reply = post_cmc(house, "/servers", stranger, basic(made))
    assert reply.status == 400
    assert Answer(house, openssl, reply, signed=False).fail(0) == BAD_MESSAGE_CHECK


def test_fullcmc__policy_refuses(house, openssl):
    made = token(house, endpoint="servers", names=["DNS:cmc-b.example.org"])
    csr = openssl.csr("p1", "/", "DNS:cmc-other.example.org")
    own = openssl.file("p1.key")
    message = sign(openssl, pki_data([pkcs10(1, openssl.der(csr))], usual()), self_cert(openssl, "p1", own), own, "-keyid", "-nocerts")
    reply = post_cmc(house, "/servers", message, basic(made))
    assert reply.status == 403
    answer = Answer(house, openssl, reply)
    assert answer.code(1) == FAILED and answer.fail(1) == BAD_REQUEST and answer.text(1).startswith("token.")


def test_fullcmc__approval(house, openssl):
    profile = house.cli_json("get", "profiles", "server-internal-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document.update(name="cmc-four-eyes", approval={"required": True})
    assert house.api("PUT", "/resources/profiles/cmc-four-eyes", document).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "cmc-approval", "protocol": "est", "profiles": ["cmc-four-eyes"],
                "authentication": {"token": True, "certificate": True}}
    assert house.api("PUT", "/resources/endpoints/cmc-approval", endpoint).status in (200, 201)
    made = token(house, endpoint="cmc-approval", names=["DNS:cmc-wait.example.org"])
    csr = openssl.csr("w1", "/", "DNS:cmc-wait.example.org")
    own = openssl.file("w1.key")
    cert = self_cert(openssl, "w1", own)
    data = pki_data([pkcs10(1, openssl.der(csr))], usual())
    reply = post_cmc(house, "/cmc-approval", sign(openssl, data, cert, own, "-keyid", "-nocerts"), basic(made))
    assert reply.status == 202 and int(reply.headers["Retry-After"]) > 0, reply
    answer = Answer(house, openssl, reply)
    assert answer.code(1) == PENDING
    waiting = bytes(answer.status[1][3][0]).decode()
    assert house.api("POST", f"/requests/{waiting}/approve", {"comment": "seen"}).status == 200
    # The next message of the transaction gives our nonce back.
    nonce = bytes(answer.control(rfc6402.id_cmc_senderNonce))
    for given, status in ((b"\0" * 16, 400), (nonce[:15], 400), (nonce, 200)):
        data = pki_data([pkcs10(1, openssl.der(csr))], usual() + [control(902, rfc6402.id_cmc_recipientNonce, univ.OctetString(given))])
        reply = post_cmc(house, "/cmc-approval", sign(openssl, data, cert, own, "-keyid", "-nocerts"), basic(made))
        assert reply.status == status, reply
        if status == 400:
            assert Answer(house, openssl, reply).fail(0) == BAD_MESSAGE_CHECK
        else:
            assert Answer(house, openssl, reply).code(1) == SUCCESS
    house.api("DELETE", "/resources/endpoints/cmc-approval")


# ---- bad weather ----


def test_fullcmc__strangers(house, openssl):
    """A certificate that no trust set knows: refused, and the RA lends no hand to strangers."""
    key = openssl.key("stranger")
    openssl.run("req", "-x509", "-new", "-key", key, "-subj", "/O=Factory/CN=Model 7/serialNumber=X", "-out", "stranger.pem")
    csr = openssl.der(openssl.csr("s", "/serialNumber=X"))
    reply = post_cmc(house, "/devices", sign(openssl, pki_data([pkcs10(1, csr)], usual()), "stranger.pem", key))
    assert reply.status == 401 and "WWW-Authenticate" in reply.headers
    answer = Answer(house, openssl, reply, signed=False)
    assert answer.fail(0) == BAD_IDENTITY and int(answer.control(rfc6402.id_cmc_transactionId)) == 4711


def test_fullcmc__signed_by_another_than_the_client(house, openssl, factory):
    birth, key = factory.idevid("CMC-6")
    other, other_key = factory.idevid("CMC-7")
    csr = openssl.der(openssl.csr("s6", "/serialNumber=CMC-6"))
    reply = post_cmc(house, "/devices", sign(openssl, pki_data([pkcs10(1, csr)], usual()), birth, key), cert=other, key=other_key)
    assert reply.status == 403
    assert Answer(house, openssl, reply, signed=False).fail(0) == BAD_IDENTITY


def test_fullcmc__stale_or_timeless_signature(house, openssl, factory):
    birth, key = factory.idevid("CMC-8")
    csr = openssl.der(openssl.csr("s8", "/serialNumber=CMC-8"))
    message = sign(openssl, pki_data([pkcs10(1, csr)], usual()), birth, key)
    at = message.index(b"\x17\x0d", message.index(bytes.fromhex("06092a864886f70d010905")))
    old = message[:at + 2] + b"200101000000Z" + message[at + 15:]
    reply = post_cmc(house, "/devices", old)  # the signature does not fit any more, which is seen first
    assert reply.status == 400 and Answer(house, openssl, reply, signed=False).fail(0) == BAD_MESSAGE_CHECK
    # A message without signingTime: good with the TLS client certificate, not without.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives import hashes as h
    data = pki_data([pkcs10(1, csr)], usual())
    digest = h.Hash(hashes.SHA256())
    digest.update(data)
    attrs = [sequence(bytes.fromhex("06092a864886f70d010903"), b"\x31\x0a\x06\x08" + bytes.fromhex("2b06010505070c02")),
             sequence(bytes.fromhex("06092a864886f70d010904"), b"\x31\x22\x04\x20" + digest.finalize())]
    body = b"".join(sorted(attrs))
    with open(birth, "rb") as f:
        cert = x509.load_pem_x509_certificate(f.read())
    with open(key, "rb") as f:
        private = serialization.load_pem_private_key(f.read(), None)
    signature = private.sign(b"\x31" + bytes([len(body)]) + body, ec.ECDSA(hashes.SHA256()))
    sha256 = sequence(bytes.fromhex("0609608648016503040201"))
    issuer = cert.issuer.public_bytes()
    number = cert.serial_number.to_bytes((cert.serial_number.bit_length() + 8) // 8, "big")
    info = sequence(b"\x02\x01\x01", sequence(issuer, b"\x02" + bytes([len(number)]) + number), sha256,
                    b"\xa0" + bytes([len(body)]) + body, sequence(bytes.fromhex("06082a8648ce3d040302")),
                    b"\x04" + bytes([len(signature)]) + signature)

    def tagged(t, content):
        return bytes([t]) + sequence(content)[1:]

    der = cert.public_bytes(serialization.Encoding.DER)
    signed = sequence(b"\x02\x01\x03", tagged(0x31, sha256),
                      sequence(bytes.fromhex("06082b06010505070c02"), tagged(0xa0, tagged(0x04, data))), tagged(0xa0, der), tagged(0x31, info))
    timeless = sequence(bytes.fromhex("06092a864886f70d010702"), tagged(0xa0, signed))
    reply = post_cmc(house, "/devices", timeless)
    assert reply.status == 401, reply
    assert Answer(house, openssl, reply, signed=False).fail(0) == BAD_TIME
    assert post_cmc(house, "/devices", timeless, cert=birth, key=key).status == 200


@pytest.mark.parametrize("what, status, code, fail, signed", [
    ("unknown control", 400, NO_SUPPORT, BAD_REQUEST, True),
    ("control twice", 400, FAILED, BAD_REQUEST, True),
    ("revocation", 400, NO_SUPPORT, BAD_REQUEST, True),
    ("same number twice", 400, FAILED, BAD_REQUEST, True),
    ("too many requests", 413, FAILED, BAD_REQUEST, True),
    ("no request", 400, FAILED, BAD_REQUEST, True),
    ("enclosed message", 400, FAILED, BAD_REQUEST, True),
    ("other kind of request", 400, FAILED, BAD_REQUEST, True),
    ("not PKIData", 400, FAILED, BAD_REQUEST, False),
    ("another content type", 400, FAILED, BAD_REQUEST, False),
    ("SHA-1", 400, FAILED, BAD_REQUEST, False),
    ("two signers", 400, FAILED, BAD_REQUEST, False),
])
def test_fullcmc__bad_messages(house, openssl, factory, what, status, code, fail, signed):
    name = "CMC-BAD-" + what.replace(" ", "-")
    birth, key = factory.idevid(name)
    csr = openssl.der(openssl.csr("bad", "/serialNumber=" + name))
    one = pkcs10(1, csr)
    extra = []
    content = PKI_DATA
    data = pki_data([one], usual())
    part = 0
    if what == "unknown control":
        data, part = pki_data([one], usual() + [control(77, "1.2.3.4", univ.Integer(1))]), 77
    elif what == "control twice":
        data, part = pki_data([one], usual() + [control(78, rfc6402.id_cmc_transactionId, univ.Integer(1))]), 78
    elif what == "revocation":
        data, part = pki_data([one], usual() + [control(79, rfc6402.id_cmc_revokeRequest, univ.Integer(1))]), 79
    elif what == "same number twice":
        data, part = pki_data([one, one], usual()), 1
    elif what == "too many requests":
        data = pki_data([pkcs10(i + 1, csr) for i in range(9)], usual())
    elif what == "no request":
        data = pki_data([], usual())
    elif what == "enclosed message":
        data = pki_data([one], usual(), cms=sequence(b"\x02\x01\x09", sequence(bytes.fromhex("06092a864886f70d010701"))))
    elif what == "other kind of request":
        data = pki_data([one, b"\xa2\x03\x02\x01\x05"], usual())
    elif what == "not PKIData":
        data, signed = b"\x04\x03abc", True
    elif what == "another content type":
        content = "1.2.840.113549.1.7.1"
    elif what == "SHA-1":
        extra = ["-md", "sha1"]
    elif what == "two signers":
        extra = ["-signer", birth, "-inkey", key]
    message = sign(openssl, data, birth, key, *extra, content=content)
    reply = post_cmc(house, "/devices", message, cert=birth, key=key)
    assert reply.status == status, reply
    answer = Answer(house, openssl, reply, signed=signed)
    assert answer.code(part) == code and answer.fail(part) == fail, answer.pki.prettyPrint()


@pytest.mark.parametrize("body", [b"", b"*", b"AAAA", b"MAMCAQU=", b"\x30\x82\xff\xff", b"MIAGCSqGSIb3DQEHAqCA"])
def test_fullcmc__not_a_message(house, openssl, factory, body):
    birth, key = factory.idevid("CMC-NOT")
    reply = house.request("POST", EST + "/devices/fullcmc", body, {"Content-Type": "application/pkcs7-mime"}, birth, key)
    assert reply.status == 400, reply
    assert Answer(house, openssl, reply, signed=False).fail(0) == BAD_REQUEST


def test_fullcmc__too_large(house, factory):
    birth, key = factory.idevid("CMC-LARGE")
    reply = house.request("POST", EST + "/devices/fullcmc", b"A" * (600 << 10), {"Content-Type": "application/pkcs7-mime"}, birth, key)
    assert reply.status == 413


def test_fullcmc__unknown_endpoint(house):
    assert post_cmc(house, "/nowhere", b"\x30\x00").status == 404


def test_fullcmc__indefinite_lengths(house, openssl, factory):
    """BER, as `openssl cms -stream` writes it."""
    birth, key = factory.idevid("CMC-9")
    csr = openssl.der(openssl.csr("c9", "/serialNumber=CMC-9"))
    message = sign(openssl, pki_data([pkcs10(1, csr)], usual()), birth, key, "-stream")
    assert message[1] == 0x80
    assert post_cmc(house, "/devices", message, cert=birth, key=key).status == 200


def test_fullcmc__authority_without_ra(new_house, openssl, factory):
    """An authority that has no RA answers so, and `ca ra` gives it one."""
    house = new_house()
    house.cli("ca", "create", "plain-ca", "--subject", "CN=Plain CA,O=Example", "--root")
    shown = house.cli_json("get", "endpoints", "devices")
    document = {k: v for k, v in shown.items() if k not in ("version", "metadata")}
    document.update(name="plain", authority="plain-ca")
    house.start()
    assert house.api("PUT", "/resources/endpoints/plain", document).status in (200, 201)
    birth, key = factory.idevid("CMC-10")
    csr = openssl.der(openssl.csr("c10", "/serialNumber=CMC-10"))
    message = sign(openssl, pki_data([pkcs10(1, csr)], usual()), birth, key)
    reply = post_cmc(house, "/plain", message, cert=birth, key=key)
    assert reply.status == 503 and "authority.ra" in Answer(house, openssl, reply, signed=False).text(0)
    house.stop()
    house.cli("ca", "ra", "plain-ca", "--key", "rsa-2048")
    house.start()
    reply = post_cmc(house, "/plain", message, cert=birth, key=key)
    assert reply.status == 200, reply
    house.stop()
    assert house.cli("register", "verify").returncode == 0


# ---- keys made by the house, encrypted ----


def request_with(openssl, name, number, attributes):
    """PKCS#10 with further attributes, OID → DER value; base64."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    own = openssl.key(name)
    with open(own, "rb") as f:
        private = serialization.load_pem_private_key(f.read(), None)
    spki = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    value = number.encode()
    name_der = sequence(b"\x31" + sequence(sequence(b"\x06\x03\x55\x04\x05", b"\x13" + bytes([len(value)]) + value))[1:])
    body = b"".join(sequence(encoder.encode(univ.ObjectIdentifier(oid)), b"\x31" + sequence(v)[1:]) for oid, v in attributes)
    info = sequence(b"\x02\x01\x00", name_der, spki, b"\xa0" + sequence(body)[1:])
    signature = private.sign(info, ec.ECDSA(hashes.SHA256()))
    bits = b"\0" + signature
    return base64.b64encode(sequence(info, sequence(bytes.fromhex("06082a8648ce3d040302")), b"\x03" + bytes([len(bits)]) + bits))


ASYMMETRIC_ID, SYMMETRIC_ID, CAPABILITIES = "1.2.840.113549.1.9.16.2.54", "1.2.840.113549.1.9.16.2.37", "1.2.840.113549.1.9.15"


def capabilities(*oids):
    return sequence(*(sequence(encoder.encode(univ.ObjectIdentifier(oid))) for oid in oids))


def octets(value):
    return b"\x04" + bytes([len(value)]) + value


def encrypting_idevid(factory, number, alg, usage):
    """A birth certificate whose key can be encrypted to: (certificate, key, key identifier)."""
    name = "enc-" + number
    options = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if alg == "RSA" else ["-algorithm", "EC", "-pkeyopt",
                                                                                          "ec_paramgen_curve:P-256"]
    factory.run("genpkey", *options, "-out", name + ".key")
    factory.run("req", "-new", "-key", name + ".key", "-subj", f"/O=Factory/CN=Model 7/serialNumber={number}", "-out", name + ".csr")
    with open(factory.file(name + ".ext"), "w", encoding="ascii") as f:
        f.write(f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,{usage}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    factory.run("x509", "-req", "-in", name + ".csr", "-CA", "factory-root.pem", "-CAkey", "factory-root.key", "-days", "99", "-extfile",
                name + ".ext", "-out", name + ".pem")
    text = factory.text("x509", "-in", name + ".pem", "-noout", "-ext", "subjectKeyIdentifier").split("\n")[1]
    return factory.file(name + ".pem"), factory.file(name + ".key"), bytes.fromhex(text.strip().replace(":", ""))


def keygen(house, request, cert, key):
    return house.request("POST", EST + "/devices/serverkeygen", request, PKCS10, cert, key)


@pytest.mark.parametrize("alg, usage, offered, cipher", [
    ("RSA", "digitalSignature,keyEncipherment", None, "aes-256-cbc"),
    ("RSA", "digitalSignature,keyEncipherment", ["2.16.840.1.101.3.4.1.2"], "aes-128-cbc"),
    ("RSA", "digitalSignature,keyEncipherment", ["1.2.840.113549.1.1.7", "2.16.840.1.101.3.4.1.42"], "rsaesOaep"),
    ("EC", "digitalSignature,keyAgreement", ["2.16.840.1.101.3.4.1.2", "2.16.840.1.101.3.4.1.42"], "aes-256-cbc"),
])
def test_serverkeygen__encrypted(house, openssl, factory, alg, usage, offered, cipher):
    number = f"SEAL-{alg}-{len(offered or [])}-{cipher}"
    cert, key, key_id = encrypting_idevid(factory, number, alg, usage)
    attributes = [(ASYMMETRIC_ID, octets(key_id))] + ([(CAPABILITIES, capabilities(*offered))] if offered else [])
    reply = keygen(house, request_with(openssl, "seal", number, attributes), cert, key)
    assert reply.status == 200, reply
    message = email.message_from_bytes(b"Content-Type: " + reply.headers["Content-Type"].encode() + b"\r\n\r\n" + reply.body)
    sealed, certs = message.get_payload()
    assert sealed["Content-Type"] == "application/pkcs7-mime; smime-type=server-generated-key"
    envelope = sealed.get_payload(decode=True)
    assert cipher in openssl.run("cms", "-cmsout", "-print", "-inform", "DER", data=envelope).stdout.decode()
    with open(openssl.file("envelope.der"), "wb") as f:
        f.write(envelope)
    openssl.run("cms", "-decrypt", "-inform", "DER", "-in", "envelope.der", "-recip", cert, "-inkey", key, "-binary", "-out", "inner.der")
    with open(openssl.file("inner.der"), "rb") as f:
        inner = f.read()
    with open(openssl.file("signed.der"), "wb") as f:  # the content of the envelope is SignedData without a ContentInfo around it
        f.write(sequence(bytes.fromhex("06092a864886f70d010702"), b"\xa0" + sequence(inner)[1:]))
    done = openssl.run("cms", "-verify", "-inform", "DER", "-in", "signed.der", "-CAfile", house.ca_bundle, "-purpose", "any", "-certfile",
                       chain(house, openssl), "-out", "package.der")
    assert b"erification successful" in done.stderr
    with open(openssl.file("package.der"), "rb") as f:
        package, rest = decoder.decode(f.read())
    assert not rest and len(package) == 1
    private = encoder.encode(package[0])
    public = openssl.run("pkey", "-inform", "DER", "-pubout", data=private).stdout
    pem = openssl.run("pkcs7", "-inform", "DER", "-print_certs", data=certs.get_payload(decode=True)).stdout
    assert openssl.run("x509", "-noout", "-pubkey", data=pem).stdout == public


def test_serverkeygen__cannot_be_encrypted(house, openssl, factory):
    """What can't be encrypted as it was asked to ends with an error, and with no key (RFC 7030 4.4.1)."""
    cert, key, key_id = encrypting_idevid(factory, "SEAL-NO", "RSA", "digitalSignature,keyEncipherment")
    for attributes, said in (
            ([(ASYMMETRIC_ID, octets(b"\1" * 20))], b"not the one"),
            ([(ASYMMETRIC_ID, octets(key_id)), (CAPABILITIES, capabilities("1.2.840.113549.3.7"))], b"none of the ciphers"),
            ([(SYMMETRIC_ID, octets(key_id))], b"no symmetric keys"),
            ([(ASYMMETRIC_ID, b"\x02\x01\x05")], b"not one OCTET STRING"),
    ):
        reply = keygen(house, request_with(openssl, "no", "SEAL-NO", attributes), cert, key)
        assert reply.status == 400 and b"PRIVATE" not in reply.body, reply
        assert said in reply.body, reply
    cert, key, key_id = encrypting_idevid(factory, "SEAL-SIGN", "EC", "digitalSignature")
    reply = keygen(house, request_with(openssl, "no", "SEAL-SIGN", [(ASYMMETRIC_ID, octets(key_id))]), cert, key)
    assert reply.status == 400 and b"not for encryption" in reply.body
