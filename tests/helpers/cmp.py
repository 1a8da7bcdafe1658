"""Messages of CMP, built and read byte by byte: what no client sends by itself, for tests of what a server has to refuse."""
import datetime
import hashlib
import hmac
import http.client
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

OID = {"pbm": "1.2.840.113533.7.66.13", "pbmac1": "1.2.840.113549.1.5.14", "pbkdf2": "1.2.840.113549.1.5.12", "sha256": "2.16.840.1.101.3.4.2.1",
       "hmac-sha256": "1.2.840.113549.2.9", "ecdsa-sha256": "1.2.840.10045.4.3.2", "implicitConfirm": "1.3.6.1.5.5.7.4.13",
       "caCerts": "1.3.6.1.5.5.7.4.17", "rootCaKeyUpdate": "1.3.6.1.5.5.7.4.18", "certReqTemplate": "1.3.6.1.5.5.7.4.19",
       "rootCaCert": "1.3.6.1.5.5.7.4.20", "crlStatusList": "1.3.6.1.5.5.7.4.22", "crls": "1.3.6.1.5.5.7.4.23",
       "unsupportedOIDs": "1.3.6.1.5.5.7.4.7", "confirmWaitTime": "1.3.6.1.5.5.7.4.14", "certProfile": "1.3.6.1.5.5.7.4.21", "oldCertID": "1.3.6.1.5.5.7.5.1.5"}
BODIES = ("ir ip cr cp p10cr popdecc popdecr kur kup krr krp rr rp ccr ccp ckuann cann rann crlann pkiconf nested genm genp error certConf "
          "pollReq pollRep").split()
FAILS = ("badAlg badMessageCheck badRequest badTime badCertId badDataFormat wrongAuthority incorrectData missingTimeStamp badPOP certRevoked "
         "certConfirmed wrongIntegrity badRecipientNonce timeNotAvailable unacceptedPolicy unacceptedExtension addInfoNotAvailable badSenderNonce "
         "badCertTemplate signerNotTrusted transactionIdInUse unsupportedVersion notAuthorized systemUnavail systemFailure duplicateCertReq").split()


# ---- DER ----


def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    head = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + head + body


def seq(*parts):
    return tlv(0x30, *parts)


def explicit(n, *parts):
    return tlv(0xA0 | n, *parts)


def integer(v):
    return tlv(2, v.to_bytes(v.bit_length() // 8 + 1, "big", signed=True))


def octets(b):
    return tlv(4, b)


def bits(b):
    return tlv(3, b"\0" + b)


def oid(dotted):
    arcs = [int(a) for a in dotted.split(".")]
    out = bytearray()
    for arc in [arcs[0] * 40 + arcs[1], *arcs[2:]]:
        part = [arc & 0x7F]
        while arc := arc >> 7:
            part.append(0x80 | arc & 0x7F)
        out += bytes(reversed(part))
    return tlv(6, bytes(out))


def utf8(text):
    return tlv(0x0C, text.encode())


def time(seconds=0):
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return tlv(0x18, now.strftime("%Y%m%d%H%M%SZ").encode())


def read(der):
    """The first element: (tag, contents, rest)."""
    n, at = der[1], 2
    if n & 0x80:
        at = 2 + (n & 0x7F)
        n = int.from_bytes(der[2:at], "big")
    return der[0], der[at:at + n], der[at + n:]


def elements(contents):
    out = []
    while contents:
        tag, body, rest = read(contents)
        out.append((tag, body, contents[:len(contents) - len(rest)]))
        contents = rest
    return out


# ---- who protects ----


class Unprotected:
    sender, kid, extra = seq(), b"", ()

    def algorithm(self):
        return None

    def protect(self, part):
        return b""


class Signer:
    """A certificate and its key (EC), with further certificates."""

    def __init__(self, cert, key, chain=(), kid=None, sender=None):
        self.cert = cert if isinstance(cert, x509.Certificate) else load_cert(cert)
        self.key = key if not isinstance(key, (str, os.PathLike)) else load_key(key)
        self.extra = [self.cert.public_bytes(serialization.Encoding.DER), *chain]
        self.kid = self.cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest if kid is None else kid
        self.sender = self.cert.subject.public_bytes() if sender is None else sender

    def algorithm(self):
        return seq(oid(OID["ecdsa-sha256"]))

    def protect(self, part):
        return self.key.sign(part, ec.ECDSA(hashes.SHA256()))


class Mac:
    """A reference and its secret; PBM, or PBMAC1."""

    extra = ()

    def __init__(self, reference, secret, iterations=1000, pbmac1=False, salt=b"salt" * 4, mac="hmac-sha256"):
        self.kid, self.secret, self.iterations, self.pbmac1, self.salt, self.mac = reference.encode(), secret.encode(), iterations, pbmac1, salt, mac
        self.sender = seq(tlv(0x31, seq(oid("2.5.4.3"), utf8("device"))))

    def algorithm(self):
        if self.pbmac1:
            kdf = seq(oid(OID["pbkdf2"]), seq(octets(self.salt), integer(self.iterations), seq(oid(OID["hmac-sha256"]))))
            return seq(oid(OID["pbmac1"]), seq(kdf, seq(oid(OID.get(self.mac, self.mac)))))
        return seq(oid(OID["pbm"]), seq(octets(self.salt), seq(oid(OID["sha256"])), integer(self.iterations), seq(oid(OID.get(self.mac, self.mac)))))

    def protect(self, part):
        if self.iterations > 200000:
            return b"\0" * 32  # nobody should ever compute it
        if self.pbmac1:
            key = hashlib.pbkdf2_hmac("sha256", self.secret, self.salt, self.iterations, 32)
        else:
            key = self.secret + self.salt
            for _ in range(self.iterations):
                key = hashlib.sha256(key).digest()
        return hmac.new(key, part, hashlib.sha256).digest()


def load_cert(path):
    with open(path, "rb") as f:
        return x509.load_pem_x509_certificate(f.read())


def load_key(path):
    with open(path, "rb") as f:
        return serialization.load_pem_private_key(f.read(), None)


# ---- messages ----


def name(common_name):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)]).public_bytes()


def message(body, content, by, transaction=None, nonce=None, recip_nonce=b"", pvno=2, when=0, infos=(), drop=(), protection=None):
    """A PKIMessage. `drop` leaves out fields of the header: "transactionID", "senderNonce", "messageTime", "protectionAlg", "senderKID",
    "extraCerts", "protection"."""
    algorithm = by.algorithm()
    header = seq(
        integer(pvno), explicit(4, by.sender), explicit(4, seq()),
        b"" if "messageTime" in drop else explicit(0, time(when)),
        explicit(1, algorithm) if algorithm and "protectionAlg" not in drop else b"",
        explicit(2, octets(by.kid)) if by.kid and "senderKID" not in drop else b"",
        b"" if "transactionID" in drop else explicit(4, octets(transaction or os.urandom(16))),
        b"" if "senderNonce" in drop else explicit(5, octets(os.urandom(16) if nonce is None else nonce)),
        explicit(6, octets(recip_nonce)) if recip_nonce else b"",
        explicit(8, seq(*infos)) if infos else b"")
    whole = explicit(BODIES.index(body), content)
    value = by.protect(seq(header, whole)) if protection is None else protection
    return seq(header, whole, explicit(0, bits(value)) if value and "protection" not in drop else b"",
               explicit(1, seq(*by.extra)) if by.extra and "extraCerts" not in drop else b"")


def info(kind, value=b""):
    return seq(oid(OID.get(kind, kind)), value)


IMPLICIT = info("implicitConfirm", b"\5\0")


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def request(key, subject, request_id=0, popo="signature", wrong=False, controls=b"", version=b"", extra=b""):
    """One CertReqMsg with a template of subject and key."""
    public = spki(key)
    template = seq(version, explicit(5, subject), b"\xa6" + public[1:], extra)
    asked = seq(integer(request_id), template, controls)
    later = {"encrCert": b"\x81\1\0", "challengeResp": b"\x81\1\1"}
    if popo in later:
        proof = explicit(2 if isinstance(key, rsa.RSAPrivateKey) else 3, later[popo])
    elif popo == "signature":
        value = key.sign(b"something else" if wrong else asked, ec.ECDSA(hashes.SHA256()))
        proof = explicit(1, seq(oid(OID["ecdsa-sha256"])), bits(value))
    else:
        proof = {"ra": b"\x80\0", "none": b""}[popo]
    return seq(asked, proof)


def confirm(cert_der, request_id=0, digest=None, status=None):
    return seq(seq(octets(hashlib.sha256(cert_der).digest() if digest is None else digest), integer(request_id),
                   seq(integer(status)) if status is not None else b""))


def revocation(cert, reason=5, serial=None):
    issuer = cert.issuer.public_bytes()
    number = integer(cert.serial_number if serial is None else serial)
    template = seq(b"\x81" + number[1:], explicit(3, issuer))
    crl_entry = seq(seq(oid("2.5.29.21"), octets(tlv(10, bytes([reason])))))
    return seq(seq(template, crl_entry))


def opened(enveloped, key):
    """The content of an EnvelopedData, its contents octets given, by the key that it is for (RFC 5652, RFC 5753)."""
    _, (_, infos, _), (_, content, _) = elements(enveloped)
    tag, info, _ = elements(infos)[0]
    fields = elements(info)
    if tag == 0x30:
        cek = key.decrypt(fields[-1][1], padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    else:
        point = elements(read(fields[1][1])[1])[1][1][1:]
        wrap = elements(fields[2][1])[1][2]
        shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point))
        kek = X963KDF(hashes.SHA256(), 32, seq(wrap, explicit(2, octets(b"\0\0\1\0")))).derive(shared)
        cek = aes_key_unwrap(kek, elements(elements(fields[3][1])[0][1])[1][1])
    _, algorithm, encrypted = elements(content)
    cipher = Cipher(algorithms.AES(cek), modes.CBC(elements(algorithm[1])[1][1])).decryptor()
    plain = cipher.update(encrypted[1]) + cipher.finalize()
    return plain[:-plain[-1]]


class Answer:
    """What a PKIMessage says."""

    def __init__(self, der):
        self.der = der
        parts = elements(read(der)[1])
        self.header_tlv, self.body_tlv = parts[0][2], parts[1][2]
        fields = elements(parts[0][1])
        self.pvno = int.from_bytes(fields[0][1], "big")
        self.sender, self.recipient = fields[1][2], fields[2][2]
        context = {tag & 0x1F: body for tag, body, _ in fields[3:]}
        inner = {n: read(body)[1] for n, body in context.items()}
        self.time, self.kid = inner.get(0), inner.get(2)
        self.algorithm = context.get(1)
        self.transaction, self.nonce, self.recip_nonce = inner.get(4), inner.get(5), inner.get(6)
        self.infos = inner.get(8, b"")
        self.body = BODIES[parts[1][0] & 0x1F]
        self.content = read(parts[1][1])
        rest = {tag & 0x1F: body for tag, body, _ in parts[2:]}
        self.protection = read(rest[0])[1][1:] if 0 in rest else None
        self.extra = [e[2] for e in elements(read(rest[1])[1])] if 1 in rest else []
        self._status()

    def _status(self):
        self.status = self.fail = self.text = self.cert = self.encrypted = self.request_id = None
        info = None
        if self.body == "error":
            info = elements(self.content[1])[0][1]
        elif self.body == "rp":
            info = elements(elements(self.content[1])[0][1])[0][1]
        elif self.body in ("ip", "cp", "kup"):
            response = [e for e in elements(self.content[1]) if e[0] == 0x30][-1]
            fields = elements(elements(response[1])[0][1])
            self.request_id = int.from_bytes(fields[0][1], "big", signed=True)
            info = fields[1][1]
            if len(fields) > 2:
                tag, body, _ = elements(fields[2][1])[0]
                if tag == 0xA0:
                    self.cert = elements(body)[0][2]
                else:
                    self.encrypted = read(body)[1]
        if info is None:
            return
        for tag, body, _ in elements(info):
            if tag == 2:
                self.status = body[0]
            elif tag == 0x30:
                self.text = read(body)[1].decode()
            elif tag == 3:
                number = int.from_bytes(body[1:], "big") >> body[0]
                width = 8 * (len(body) - 1) - body[0]
                self.fail = next(FAILS[i] for i in range(width) if number >> (width - 1 - i) & 1)

    def part(self):
        return seq(self.header_tlv, self.body_tlv)

    def signed_by(self):
        """The certificate whose key signed it, after checking that."""
        cert = x509.load_der_x509_certificate(self.extra[0])
        key = cert.public_key()
        how = (ec.ECDSA(hashes.SHA256()),) if isinstance(key, ec.EllipticCurvePublicKey) else (padding.PKCS1v15(), hashes.SHA256())
        key.verify(self.protection, self.part(), *how)
        return cert

    def __repr__(self):
        return f"<{self.body} status={self.status} fail={self.fail} {self.text!r}>"


def post(house, der, label="cmp", operation="", content_type="application/pkixcmp", whole=False):
    connection = http.client.HTTPConnection("127.0.0.1", house.ports["plain"], timeout=30)
    try:
        path = f"/.well-known/cmp/p/{label}" + (f"/{operation}" if operation else "")
        connection.request("POST", path, der, {"Content-Type": content_type})
        reply = connection.getresponse()
        body = reply.read()
        if whole:
            return reply, body
        assert reply.status == 200 and reply.headers["Content-Type"] == "application/pkixcmp", (reply.status, body)
        answer = Answer(body)
        answer.link = reply.headers["Link"]
        return answer
    finally:
        connection.close()


# ---- who enrolls ----


class Device:
    """One with a birth certificate, and what it asks for."""

    def __init__(self, house, factory, number, label="cmp"):
        self.house, self.number, self.label = house, number, label
        self.by = Signer(*factory.idevid(number))
        self.key = ec.generate_private_key(ec.SECP256R1())

    def ir(self, **options):
        return seq(request(self.key, name(self.number), **options))

    def ask(self, body="ir", content=None, **options):
        return post(self.house, message(body, self.ir() if content is None else content, options.pop("by", self.by), **options), self.label)

    def enroll(self, **options):
        """The answer to an ir, its transaction open."""
        self.transaction = os.urandom(16)
        reply = self.ask(transaction=self.transaction, **options)
        assert reply.body == "ip" and reply.status in (0, 1), reply
        return reply

    def go_on(self, body, content, reply, **options):
        options.setdefault("recip_nonce", reply.nonce)
        return self.ask(body, content, transaction=options.pop("transaction", self.transaction), **options)

    def signer(self, reply):
        """With the certificate of an answer."""
        return Signer(x509.load_der_x509_certificate(reply.cert), self.key)


def secret(house, endpoint="cmp", profile="device-ldevid-1y", device=None, **options):
    """A reference and its secret, to protect messages with."""
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", endpoint, "--profile", profile, *(["--device", device] if device else []))
    return Mac(made["id"], made["secret"], **options)
