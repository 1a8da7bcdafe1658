"""A small ACME client, and servers on loopback that answer its challenges.

The client does what it is told and no more, so that tests can also do wrong: every part of a request can be overridden.
"""
import base64
import contextlib
import datetime
import hashlib
import hmac
import http.client
import http.server
import ipaddress
import json
import os
import socket
import ssl
import threading
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

CURVES = {"ES256": (ec.SECP256R1, hashes.SHA256, "P-256", 32), "ES384": (ec.SECP384R1, hashes.SHA384, "P-384", 48),
          "ES512": (ec.SECP521R1, hashes.SHA512, "P-521", 66)}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


class Key:
    """An account key of one of the algorithms of RFC 8555 6.2."""

    def __init__(self, alg="ES256", private=None):
        self.alg = alg
        if private:
            self.private = private
        elif alg in CURVES:
            self.private = ec.generate_private_key(CURVES[alg][0]())
        elif alg in ("RS256", "PS256"):
            self.private = rsa.generate_private_key(65537, 2048)
        else:
            self.private = (ed448.Ed448PrivateKey if alg == "Ed448" else ed25519.Ed25519PrivateKey).generate()
            self.alg = "EdDSA"

    @property
    def jwk(self):
        public = self.private.public_key()
        if self.alg in CURVES:
            n = public.public_numbers()
            _, _, curve, size = CURVES[self.alg]
            return {"kty": "EC", "crv": curve, "x": number(n.x, size), "y": number(n.y, size)}
        if self.alg in ("RS256", "PS256"):
            n = public.public_numbers()
            return {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519" if len(raw) == 32 else "Ed448", "x": b64(raw)}

    @property
    def thumbprint(self):
        return b64(hashlib.sha256(json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()).digest())

    def sign(self, data):
        if self.alg in CURVES:
            _, digest, _, size = CURVES[self.alg]
            r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest())))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if self.alg == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        if self.alg == "PS256":
            return self.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self.private.sign(data)


def flattened(sign, header, payload):
    """A flattened JWS; `payload` an object, bytes, or None for POST-as-GET."""
    protected = b64(json.dumps(header).encode())
    body = b"" if payload is None else payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = b64(body)
    return {"protected": protected, "payload": text, "signature": b64(sign(f"{protected}.{text}".encode()))}


class Problem(Exception):
    def __init__(self, reply):
        self.reply = reply
        self.status = reply.status
        try:
            self.document = json.loads(reply.body)
        except ValueError:
            self.document = {}
        self.type = self.document.get("type", "").rpartition(":")[2]
        super().__init__(f"{reply.status} {reply.body[:500]!r}")


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def location(self):
        return self.headers["Location"]

    def links(self, rel):
        return [v.partition(">")[0][1:] for v in self.headers.get_all("Link") or [] if f'rel="{rel}"' in v]


class Client:
    def __init__(self, directory, ca_bundle, key=None):
        self.context = ssl.create_default_context(cafile=ca_bundle)
        self.connection = None
        self.key = key or Key()
        self.kid = None
        self.nonce = None
        self.directory = self.get(directory).json

    # --- HTTP ---

    def http(self, method, url, body=None, headers=None):
        where = urllib.parse.urlsplit(url)
        target = where.path + ("?" + where.query if where.query else "")
        for attempt in (1, 2):
            if not self.connection:
                self.connection = http.client.HTTPSConnection(where.hostname, where.port, context=self.context, timeout=30)
            try:
                self.connection.request(method, target, body, headers or {})
                reply = Reply(self.connection.getresponse())
                break
            except (http.client.HTTPException, OSError):
                self.close()
                if attempt == 2:
                    raise
        if reply.headers["Replay-Nonce"]:
            self.nonce = reply.headers["Replay-Nonce"]
        return reply

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def get(self, url):
        return self.http("GET", url)

    def fresh_nonce(self):
        nonce, self.nonce = self.nonce, None
        if nonce:
            return nonce
        self.http("HEAD", self.directory["newNonce"])
        nonce, self.nonce = self.nonce, None
        return nonce

    def sign(self, url, payload, key=None, jwk=False, header=None):
        key = key or self.key
        head = {"alg": key.alg, "nonce": self.fresh_nonce(), "url": url}
        head.update({"jwk": key.jwk} if jwk or not self.kid else {"kid": self.kid})
        head.update(header or {})
        return flattened(key.sign, {k: v for k, v in head.items() if v is not None}, payload)

    def send(self, url, jws, content_type="application/jose+json"):
        body = jws if isinstance(jws, (bytes, str)) else json.dumps(jws)
        return self.http("POST", url, body, {"Content-Type": content_type})

    def post(self, url, payload=None, ok=True, **options):
        """A signed request; raises Problem for an answer of 400 or more. badNonce is tried again once, as every client does."""
        for attempt in (1, 2):
            reply = self.send(url, self.sign(url, payload, **options))
            if reply.status < 400 or not ok:
                return reply
            problem = Problem(reply)
            if problem.type != "badNonce" or attempt == 2:
                raise problem
        return None

    # --- the protocol ---

    def register(self, contact=("mailto:admin@example.org",), external=None, **more):
        url = self.directory["newAccount"]
        payload = {"termsOfServiceAgreed": True, **more}
        if contact:
            payload["contact"] = list(contact)
        if external:
            kid, key = external
            mac = lambda data: hmac.new(unb64(key), data, hashlib.sha256).digest()
            payload["externalAccountBinding"] = flattened(mac, {"alg": "HS256", "kid": kid, "url": url},
                                                          json.dumps(self.key.jwk).encode())
        reply = self.post(url, payload, jwk=True)
        self.kid = reply.location
        return reply

    def order(self, *names, **more):
        identifiers = [n if isinstance(n, dict) else {"type": "dns", "value": n} for n in names]
        reply = self.post(self.directory["newOrder"], {"identifiers": identifiers, **more})
        return Order(self, reply.location, reply.json)

    def key_authorization(self, token):
        return token + "." + self.key.thumbprint

    def wait(self, url, done, seconds=30):
        """POST-as-GET until `done(object)`; the object."""
        end = time.monotonic() + seconds
        while True:
            value = self.post(url).json
            if done(value):
                return value
            assert time.monotonic() < end, value
            time.sleep(0.05)

    def revoke(self, der, reason=None, key=None):
        payload = {"certificate": b64(der)}
        if reason is not None:
            payload["reason"] = reason
        return self.post(self.directory["revokeCert"], payload, key=key, jwk=key is not None)


class Order:
    def __init__(self, client, url, value):
        self.client, self.url, self.value = client, url, value

    def authorizations(self):
        return [self.client.post(u).json for u in self.value["authorizations"]]

    def challenge(self, authz, kind):
        return next(c for c in authz["challenges"] if c["type"] == kind)

    def prove(self, kind, provide):
        """Meet every pending authorization by challenges of a kind: `provide(name, token, key_authorization)` sets the answer up."""
        for url in self.value["authorizations"]:
            authz = self.client.post(url).json
            if authz["status"] != "pending":
                continue
            c = self.challenge(authz, kind)
            provide(authz["identifier"]["value"], c["token"], self.client.key_authorization(c["token"]))
            self.client.post(c["url"], {})
            authz = self.client.wait(url, lambda z: z["status"] != "pending")
            assert authz["status"] == "valid", authz
        return self

    def refresh(self):
        self.value = self.client.post(self.url).json
        return self.value

    def finalize(self, csr):
        reply = self.client.post(self.value["finalize"], {"csr": b64(csr)})
        self.value = reply.json
        return reply

    def certificates(self):
        """PEM chain as a list of certificates, leaf first."""
        reply = self.client.post(self.value["certificate"])
        assert reply.headers["Content-Type"] == "application/pem-certificate-chain"
        assert not reply.links("up")  # clients would follow it with a signed request
        blocks = reply.body.decode().split("-----END CERTIFICATE-----\n")
        return [x509.load_pem_x509_certificate((b + "-----END CERTIFICATE-----\n").encode()) for b in blocks if b.strip()]


def make_csr(names, key=None, cn=None):
    """(DER of a request, its key); names are DNS names or addresses."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    san = []
    for n in names:
        try:
            san.append(x509.IPAddress(ipaddress.ip_address(n)))
        except ValueError:
            san.append(x509.DNSName(n))
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER), key


def cert_id(cert):
    """RFC 9773 4.1"""
    aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    n = cert.serial_number
    return b64(aki) + "." + b64(n.to_bytes((n.bit_length() // 8) + 1, "big"))


# --- servers ---

class HttpServer:
    """Answers by path: bytes, (status, headers, bytes), or a function of the handler."""

    def __init__(self, host="127.0.0.1", tls=None):
        self.paths = {}
        self.directory = None  # files for paths that are not in the table
        self.hits = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.hits.append((self.headers["Host"], self.path))
                answer = outer.paths.get(self.path, outer.file(self.path))
                if callable(answer):
                    answer(self)
                    return
                status, headers, body = (404, {}, b"no") if answer is None else answer if isinstance(answer, tuple) else (200, {}, answer)
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((host, 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def file(self, path):
        name = os.path.join(self.directory, os.path.basename(path)) if self.directory else ""
        if not os.path.isfile(name):
            return None
        with open(name, "rb") as f:
            return f.read()

    def provide(self, _name, token, authorization):
        self.paths["/.well-known/acme-challenge/" + token] = authorization.encode()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def alpn_certificate(name, authorization, critical=True, names=None):
    """The certificate of RFC 8737 3 as (certificate PEM, key PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme")])
    now = datetime.datetime.utcnow()
    san = []
    for n in names or [name]:
        try:
            san.append(x509.IPAddress(ipaddress.ip_address(n)))
        except ValueError:
            san.append(x509.DNSName(n))
    value = b"\x04\x20" + hashlib.sha256(authorization.encode()).digest()
    cert = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(san), critical=False)
            .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"), value), critical=critical)
            .sign(key, hashes.SHA256()))
    return (cert.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class AlpnServer:
    """Speaks acme-tls/1 with one certificate for whoever asks, or, by name, with <name>.crt.pem and <name>.key.pem of its directory."""

    def __init__(self, directory, by_name=False):
        self.directory = str(directory)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.names = []
        self.context = self.make_context(self.switch) if by_name else None
        threading.Thread(target=self.run, daemon=True).start()

    @staticmethod
    def make_context(sni=None, *files):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if files:
            context.load_cert_chain(*files)
        context.set_alpn_protocols(["acme-tls/1"])
        context.sni_callback = sni
        return context

    def switch(self, tls, name, _context):
        self.names.append(name)
        tls.context = self.make_context(None, *(f"{self.directory}/{name}.{part}.pem" for part in ("crt", "key")))

    def use(self, pem, key):
        path = self.directory + "/alpn.pem"
        with open(path, "wb") as f:
            f.write(pem + key)
        self.context = self.make_context(lambda _s, name, _c: self.names.append(name), path)

    def provide(self, name, _token, authorization):
        self.use(*alpn_certificate(name, authorization))

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                with self.context.wrap_socket(peer, server_side=True) as tls:
                    tls.recv(1)

    def close(self):
        self.socket.close()
