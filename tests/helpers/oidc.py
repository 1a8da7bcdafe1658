"""An OpenID Connect provider for the tests: discovery, keys, authorization code with PKCE, over TLS. What it should do wrongly is set on it."""
import base64
import hashlib
import http.server
import json
import ssl
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from passkey import b64


def number(n, size):
    return b64(n.to_bytes(size, "big"))


class Provider:
    def __init__(self, cert, key, client="touchmark", secret="s3cret & more"):
        self.client, self.secret = client, secret
        self.claims = {}          # of whoever signs in
        self.wrong = {}           # what is put into ID tokens instead
        self.codes = {}
        self.asked = []           # paths
        self.keys = []
        self.new_key("RS256")
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                provider.get(self)

            def do_POST(self):
                provider.post(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.issuer = f"https://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    # --- keys ---

    def new_key(self, alg):
        key = rsa.generate_private_key(65537, 2048) if alg == "RS256" else ec.generate_private_key(ec.SECP256R1())
        self.keys = [(f"key-{len(self.keys)}-{time.monotonic_ns()}", alg, key)]

    def jwks(self):
        out = []
        for kid, alg, key in self.keys:
            n = key.public_key().public_numbers()
            if alg == "RS256":
                out.append({"kty": "RSA", "kid": kid, "use": "sig", "alg": alg, "n": number(n.n, 256), "e": number(n.e, 3)})
            else:
                out.append({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": alg, "x": number(n.x, 32), "y": number(n.y, 32)})
        return {"keys": [{"kty": "oct", "k": "AAAA", "kid": "mac"}, *out]}

    def token(self, nonce):
        kid, alg, key = self.keys[0]
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.client, "sub": "subject-1", "nonce": nonce, "iat": now, "exp": now + 300, **self.claims, **self.wrong}
        header = {"alg": alg, "kid": kid, **self.wrong.get("header", {})}
        claims.pop("header", None)
        signed = b64(json.dumps(header).encode()) + "." + b64(json.dumps({k: v for k, v in claims.items() if v is not None}).encode())
        if header["alg"] == "none":
            return signed + "."
        if alg == "RS256":
            signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return signed + "." + b64(signature)

    # --- pages ---

    def answer(self, h, status, doc=None, location=None):
        body = json.dumps(doc).encode() if doc is not None else b""
        h.send_response(status)
        if location:
            h.send_header("Location", location)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def get(self, h):
        url = urllib.parse.urlsplit(h.path)
        self.asked.append(url.path)
        if url.path == "/.well-known/openid-configuration":
            at = self.issuer
            self.answer(h, 200, {"issuer": self.wrong.get("issuer", at), "authorization_endpoint": at + "/auth", "token_endpoint": at + "/token",
                                 "jwks_uri": at + "/jwks", "end_session_endpoint": at + "/logout"})
        elif url.path == "/jwks":
            self.answer(h, 200, self.jwks())
        elif url.path == "/auth":
            q = dict(urllib.parse.parse_qsl(url.query))
            assert q["response_type"] == "code" and q["client_id"] == self.client and q["code_challenge_method"] == "S256" and "openid" in q["scope"].split()
            code = f"code-{len(self.codes)}"
            self.codes[code] = q
            back = {"code": code, "state": q["state"], "iss": self.issuer, "session_state": "x.y"}
            self.answer(h, 302, location=q["redirect_uri"] + "?" + urllib.parse.urlencode(back))
        else:
            self.answer(h, 404, {})

    def post(self, h):
        form = dict(urllib.parse.parse_qsl(h.rfile.read(int(h.headers["Content-Length"])).decode()))
        self.asked.append(h.path)
        basic = h.headers["Authorization"]
        if basic:
            user, _, password = base64.b64decode(basic.split()[1]).decode().partition(":")
            shown = (urllib.parse.unquote(user), urllib.parse.unquote(password))
        else:
            shown = (form.get("client_id"), form.get("client_secret"))
        asked = self.codes.pop(form.get("code"), None)
        verifier = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if shown != (self.client, self.secret):
            self.answer(h, 401, {"error": "invalid_client"})
        elif not asked or asked["code_challenge"] != verifier or asked["redirect_uri"] != form["redirect_uri"]:
            self.answer(h, 400, {"error": "invalid_grant"})
        else:
            self.answer(h, 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(asked["nonce"])})
