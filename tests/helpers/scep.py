"""A small SCEP client (RFC 8894) that does what it is told, so that tests can also do wrong. Messages are put together here octet by octet; keys,
certificates and ciphers are the cryptography package's, envelopes are opened by the openssl program."""
import datetime
import hashlib
import http.client
import os
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import AttributeOID, NameOID

PKCS_REQ, RENEWAL_REQ, CERT_POLL, GET_CERT, GET_CRL = 19, 17, 20, 21, 22
SUCCESS, FAILURE, PENDING = "0", "2", "3"
BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST, BAD_TIME, BAD_CERT_ID = "0", "1", "2", "3", "4"

DATA, SIGNED, ENVELOPED = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.3"
RSA, RSA_OAEP, MGF1 = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.7", "1.2.840.113549.1.1.8"
ECDSA_SHA256 = "1.2.840.10045.4.3.2"
DIGESTS = {"sha1": "1.3.14.3.2.26", "sha256": "2.16.840.1.101.3.4.2.1", "sha384": "2.16.840.1.101.3.4.2.2", "sha512": "2.16.840.1.101.3.4.2.3",
           "md5": "1.2.840.113549.2.5"}
CIPHERS = {"aes128": ("2.16.840.1.101.3.4.1.2", algorithms.AES, 16, 16), "aes256": ("2.16.840.1.101.3.4.1.42", algorithms.AES, 32, 16),
           "des3": ("1.2.840.113549.3.7", algorithms.TripleDES, 24, 8), "unknown": ("1.2.840.113549.3.2", algorithms.AES, 16, 16)}
SCEP = "2.16.840.1.113733.1.9."
NAMES = {SCEP + "2": "type", SCEP + "3": "status", SCEP + "4": "fail", SCEP + "5": "sender_nonce", SCEP + "6": "recipient_nonce",
         SCEP + "7": "transaction", "1.3.6.1.5.5.7.24.1": "text", "1.2.840.113549.1.9.3": "content_type", "1.2.840.113549.1.9.4": "digest",
         "1.2.840.113549.1.9.5": "time"}


# --- DER ---

def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    if n < 128:
        return bytes([tag, n]) + body
    octets = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def indefinite(tag, *parts):
    return bytes([tag, 0x80]) + b"".join(parts) + b"\0\0"


def oid(text):
    v = [int(x) for x in text.split(".")]
    out = bytearray()
    for n in [v[0] * 40 + v[1]] + v[2:]:
        septets = [n & 127]
        while n > 127:
            n >>= 7
            septets.append(n & 127 | 128)
        out += bytes(reversed(septets))
    return tlv(6, bytes(out))


def integer(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def seq(*parts):
    return tlv(0x30, *parts)


def set_of(*parts):
    return tlv(0x31, *sorted(parts))


def octets(b):
    return tlv(4, b)


def algid(name, *params):
    return seq(oid(name), *params)


NULL = b"\x05\0"


def read(data):
    """The elements in a row: [(tag, contents, whole)]."""
    out, at = [], 0
    while at < len(data):
        start, tag, n = at, data[at], data[at + 1]
        at += 2
        if n & 0x80:
            k = n & 0x7F
            n = int.from_bytes(data[at:at + k], "big")
            at += k
        out.append((tag, data[at:at + n], data[start:at + n]))
        at += n
    return out


def inside(data):
    return read(read(data)[0][1])


# --- certificates and requests ---

def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def pairs():
    """The primes of generated keys, two by two: a key takes long to make, and of each prime there is one with every other."""
    primes, e = [], 65537
    while True:
        numbers = rsa.generate_private_key(e, 2048).private_numbers()
        for p in (numbers.p, numbers.q):
            primes.append(p)
            for q in primes[:-1]:
                d = pow(e, -1, (p - 1) * (q - 1))
                yield rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q))


def unchecked(numbers):
    """Without the check of a key from outside, which takes as long as to make one."""
    try:
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)
    except TypeError:  # before version 39
        from cryptography.hazmat.backends.openssl import backend
        backend._rsa_skip_check_key = True
        try:
            return numbers.private_key()
        finally:
            backend._rsa_skip_check_key = False


fresh = pairs()


def new_key(kind="rsa"):
    """One that was not there before. RSA keys are made by one thread."""
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else unchecked(next(fresh))


def self_signed(key, cn):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(name(cn)).issuer_name(name(cn)).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=9)).sign(key, hashes.SHA256()))


def request(key, cn, challenge=None, san=None):
    b = x509.CertificateSigningRequestBuilder().subject_name(name(cn))
    if san:
        b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in san]), False)
    if challenge is not None:
        b = b.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.encode())
    return b.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def der(cert):
    return cert.public_bytes(serialization.Encoding.DER)


def issuer_and_serial(cert):
    return seq(cert.issuer.public_bytes(), integer(cert.serial_number))


# --- messages ---

def envelope(plain, ra, cipher="aes128", oaep=None, ber=False, key_octets=None, spoil=None):
    """EnvelopedData for the RA; `spoil` changes (encrypted key, IV, content) before they go in."""
    name_, method, size, block = CIPHERS[cipher]
    key, iv = os.urandom(size), os.urandom(block)
    pad = block - len(plain) % block
    e = Cipher(method(key), modes.CBC(iv)).encryptor()
    content = e.update(plain + bytes([pad]) * pad) + e.finalize()
    if oaep:
        h = getattr(hashes, oaep.upper())()
        wrapped = ra.public_key().encrypt(key_octets or key, padding.OAEP(padding.MGF1(h), h, None))
        digest = algid(DIGESTS[oaep], NULL)
        params = b"" if oaep == "sha1" else tlv(0xA0, digest) + tlv(0xA1, algid(MGF1, digest))
        key_alg = algid(RSA_OAEP, seq(params))
    else:
        wrapped = ra.public_key().encrypt(key_octets or key, padding.PKCS1v15())
        key_alg = algid(RSA, NULL)
    if spoil:
        wrapped, iv, content = spoil(wrapped, iv, content)
    to = seq(integer(0), issuer_and_serial(ra), key_alg, octets(wrapped))
    if ber:
        half = len(content) // 2
        body = indefinite(0xA0, octets(content[:half]), octets(content[half:]))
        info = indefinite(0x30, oid(DATA), algid(name_, octets(iv)), body)
        return indefinite(0x30, oid(ENVELOPED), indefinite(0xA0, indefinite(0x30, integer(0), set_of(to), info)))
    info = seq(oid(DATA), algid(name_, octets(iv)), tlv(0x80, content))
    return seq(oid(ENVELOPED), tlv(0xA0, seq(integer(0), set_of(to), info)))


def attribute(name_, value):
    return seq(oid(name_), set_of(value))


def message(content, cert, key, type_, transaction, nonce=None, digest="sha256", ber=False, drop=(), time=None, spoil=None):
    """A pkiMessage: SignedData over `content`."""
    printable = lambda text: tlv(0x13, text.encode())  # noqa: E731
    attrs = [attribute("1.2.840.113549.1.9.3", oid(DATA)), attribute("1.2.840.113549.1.9.4", octets(hashlib.new(digest, content).digest())),
             attribute(SCEP + "2", printable(str(type_))), attribute(SCEP + "5", octets(nonce or os.urandom(16))),
             attribute(SCEP + "7", printable(transaction))]
    if time:
        attrs.append(attribute("1.2.840.113549.1.9.5", tlv(0x17, time.strftime("%y%m%d%H%M%SZ").encode())))
    attrs = [a for i, a in enumerate(attrs) if i not in drop]
    signed = set_of(*attrs)
    h = getattr(hashes, digest.upper())()
    if isinstance(key, rsa.RSAPrivateKey):
        signature, alg = key.sign(signed, padding.PKCS1v15(), h), algid(RSA, NULL)
    else:
        signature, alg = key.sign(signed, ec.ECDSA(h)), algid(ECDSA_SHA256)
    if spoil:
        signature = spoil(signature)
    info = seq(integer(1), issuer_and_serial(cert), algid(DIGESTS[digest], NULL), b"\xa0" + signed[1:], alg, octets(signature))
    certs = tlv(0xA0, der(cert))
    if ber:
        third = len(content) // 3
        body = indefinite(0x24, octets(content[:third]), octets(content[third:]))
        return indefinite(0x30, oid(SIGNED), indefinite(0xA0, indefinite(
            0x30, integer(1), set_of(algid(DIGESTS[digest], NULL)), indefinite(0x30, oid(DATA), indefinite(0xA0, body)), certs, set_of(info))))
    return seq(oid(SIGNED), tlv(0xA0, seq(integer(1), set_of(algid(DIGESTS[digest], NULL)), seq(oid(DATA), tlv(0xA0, octets(content))), certs, set_of(info))))


class Reply:
    """A CertRep: its attributes, the signature checked against the RA, and the envelope that is inside."""

    def __init__(self, status, body, ra):
        self.http, self.body, self.envelope = status, body, None
        self.attributes = {}
        if status != 200:
            return
        parts = inside(inside(body)[1][1])
        content = inside(parts[2][2])
        self.envelope = read(content[1][1])[0][1] if len(content) > 1 else None
        info = inside(parts[-1][1])
        signed = next(whole for tag, _, whole in info if tag == 0xA0)
        for _, one, _ in read(read(signed)[0][1]):
            kind, values = read(one)
            label = next((v for k, v in NAMES.items() if oid(k) == kind[2]), kind[2].hex())
            self.attributes[label] = read(values[1])[0][1]
        digest = next(d for d, o in DIGESTS.items() if oid(o) in info[2][2])
        assert self.attributes["digest"] == hashlib.new(digest, self.envelope or b"").digest()
        ra.public_key().verify(info[-1][1], b"\x31" + signed[1:], padding.PKCS1v15(), getattr(hashes, digest.upper())())
        assert self.attributes["type"] == b"3"

    @property
    def status(self):
        return self.attributes["status"].decode()

    @property
    def fail(self):
        return self.attributes.get("fail", b"").decode()

    @property
    def text(self):
        return self.attributes.get("text", b"").decode() or self.body.decode(errors="replace")

    def __repr__(self):
        return f"<SCEP {self.http} {self.attributes.get('status')} {self.fail} {self.text[:200]}>"


def unseal(envelope, key):
    """The certificates in an envelope for an RSA key (PKCS #1 v1.5, AES-CBC)."""
    version, recipients, content = inside(inside(envelope)[1][1])
    _, _, _, wrapped = inside(recipients[1])
    _, alg, encrypted = read(content[1])
    kind, iv = read(alg[1])
    size = next(size for name_, _, size, _ in CIPHERS.values() if oid(name_) == kind[2])
    secret = key.decrypt(wrapped[1], padding.PKCS1v15())
    assert len(secret) == size
    d = Cipher(algorithms.AES(secret), modes.CBC(iv[1])).decryptor()
    plain = d.update(encrypted[1]) + d.finalize()
    return certificates(plain[:-plain[-1]])


def certificates(degenerate):
    """The certificates of certs-only SignedData."""
    parts = inside(inside(degenerate)[1][1])
    return [x509.load_der_x509_certificate(whole) for tag, contents, _ in parts if tag == 0xA0 for _, _, whole in read(contents)]


class Client:
    def __init__(self, url, openssl, path="/scep/scep"):
        self.url, self.openssl, self.path = urllib.parse.urlsplit(url), openssl, path
        self.ra, self.ca = self.ca_certs()[:2]

    def exchange(self, method, query, body=None):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)
        try:
            connection.request(method, self.path + "?" + query, body, {"Content-Type": "application/x-pki-message"} if body else {})
            r = connection.getresponse()
            self.link = r.headers["Link"]
            return r.status, r.headers["Content-Type"], r.read()
        finally:
            connection.close()

    def http(self, path):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def get(self, operation):
        return self.exchange("GET", "operation=" + operation)

    def ca_certs(self):
        status, kind, body = self.get("GetCACert")
        assert (status, kind) == (200, "application/x-x509-ca-ra-cert"), body
        return certificates(body)

    def send(self, body):
        status, _, answer = self.exchange("POST", "operation=PKIOperation", body)
        return Reply(status, answer, self.ra)

    def ask(self, type_, plain, cert, key, transaction=None, seal=None, **options):
        transaction = transaction or os.urandom(16).hex()
        reply = self.send(message(envelope(plain, self.ra, **(seal or {})), cert, key, type_, transaction, **options))
        if reply.http == 200:
            assert reply.attributes["transaction"].decode() == transaction
        return reply

    def enroll(self, key, cn, challenge=None, san=None, cert=None, **options):
        return self.ask(PKCS_REQ, request(key, cn, challenge, san), cert or self_signed(key, cn), key, **options)

    def poll(self, key, cn, transaction, cert=None, **options):
        return self.ask(CERT_POLL, seq(self.ca.subject.public_bytes(), name(cn).public_bytes()), cert or self_signed(key, cn), key, transaction, **options)

    def open(self, reply, key, cert=None, password=None):
        """The certificates in a successful answer."""
        assert reply.status == SUCCESS, reply
        with open(self.openssl.file("answer.der"), "wb") as f:
            f.write(reply.envelope)
        if password:
            how = ["-pwri_password", password]
        else:
            with open(self.openssl.file("answer.key"), "wb") as f:
                f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            how = ["-inkey", "answer.key"]
        return certificates(self.raw(how))

    def raw(self, how):
        return self.openssl.run("cms", "-decrypt", "-inform", "DER", "-in", "answer.der", *how).stdout
