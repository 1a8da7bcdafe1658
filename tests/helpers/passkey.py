"""An authenticator in software: makes passkeys and signs with them, as a browser hands it on (WebAuthn JSON forms)."""
import base64
import hashlib
import json
import os
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def cbor(value):
    """As CTAP writes it; maps in the order in which they are given."""
    def head(major, n):
        if n < 24:
            return bytes([major << 5 | n])
        size = 1 if n < 256 else 2 if n < 65536 else 4
        return bytes([major << 5 | {1: 24, 2: 25, 4: 26}[size]]) + n.to_bytes(size, "big")
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(cbor(x) for x in value)
    return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


class Authenticator:
    """One passkey. What should be said wrongly is said by the keyword arguments of make() and use()."""

    def __init__(self, origin, alg=-7):
        self.origin, self.alg, self.count = origin, alg, 0
        self.id = os.urandom(32)
        self.handle = None
        self.rp_id = None
        if alg == -7:
            self.key = ec.generate_private_key(ec.SECP256R1())
        elif alg == -8:
            self.key = ed25519.Ed25519PrivateKey.generate()
        else:
            self.key = rsa.generate_private_key(65537, 2048)

    def cose(self):
        public = self.key.public_key()
        if self.alg == -7:
            n = public.public_numbers()
            return cbor({1: 2, 3: -7, -1: 1, -2: n.x.to_bytes(32, "big"), -3: n.y.to_bytes(32, "big")})
        if self.alg == -8:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return cbor({1: 1, 3: -8, -1: 6, -2: raw})
        n = public.public_numbers()
        return cbor({1: 3, 3: -257, -1: n.n.to_bytes(256, "big"), -2: n.e.to_bytes(3, "big")})

    def sign(self, data):
        if self.alg == -7:
            return self.key.sign(data, ec.ECDSA(hashes.SHA256()))
        if self.alg == -8:
            return self.key.sign(data)
        return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    def client_data(self, kind, challenge, origin=None, **more):
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin or self.origin, "crossOrigin": False, **more}).encode()

    def auth_data(self, flags, rp_id=None):
        return hashlib.sha256((rp_id or self.rp_id).encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def make(self, options, flags=0x45, fmt="none", origin=None, kind="webauthn.create", rp_id=None):
        self.rp_id = options["rp"]["id"]
        self.handle = unb64(options["user"]["id"])
        assert any(p["alg"] == self.alg for p in options["pubKeyCredParams"])
        client = self.client_data(kind, options["challenge"], origin)
        data = self.auth_data(flags, rp_id) + bytes(16) + struct.pack(">H", len(self.id)) + self.id + self.cose()
        statement = {"alg": self.alg, "sig": self.sign(data + hashlib.sha256(client).digest())} if fmt == "packed" else {}
        return {"id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": {},
                "response": {"clientDataJSON": b64(client), "attestationObject": b64(cbor({"fmt": fmt, "attStmt": statement, "authData": data})),
                             "transports": ["internal"]}}

    def use(self, options, flags=0x05, origin=None, count=None, handle=None, **more):
        self.count = self.count + 1 if count is None else count
        client = self.client_data("webauthn.get", options["challenge"], origin, **more)
        data = self.auth_data(flags, options["rpId"])
        return {"id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "clientExtensionResults": {},
                "response": {"clientDataJSON": b64(client), "authenticatorData": b64(data),
                             "signature": b64(self.sign(data + hashlib.sha256(client).digest())), "userHandle": b64(handle or self.handle)}}
