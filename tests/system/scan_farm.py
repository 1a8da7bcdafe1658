"""A farm of servers to be scanned, each on a loopback address of its own and all on one port: nginx and openssl in many settings, services with
STARTTLS, and servers that mean ill. What a scan has to say of each stands beside it."""
import datetime
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.utcnow().replace(microsecond=0)
DAY = datetime.timedelta(days=1)

# What a library of today no longer does by itself, old servers still do.
OLD_TIMES = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = old
[old]
CipherString = ALL:COMPLEMENTOFALL:@SECLEVEL=0
MinProtocol = TLSv1
"""


class Certificates:
    """Keys and certificates as PEM files in a directory; keys are made once a kind."""

    def __init__(self, directory):
        self.dir = str(directory)
        self.keys = {}
        self.serial = 100
        self.root = self.make("root", "ec256", ca=True)
        self.inter = self.make("inter", "ec256", issuer=self.root, ca=True)

    def key(self, kind):
        if kind not in self.keys:
            self.keys[kind] = {
                "ec256": lambda: ec.generate_private_key(ec.SECP256R1()), "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
                "ec521": lambda: ec.generate_private_key(ec.SECP521R1()), "ed25519": ed25519.Ed25519PrivateKey.generate,
                "ed448": ed448.Ed448PrivateKey.generate,
            }.get(kind, lambda: rsa.generate_private_key(65537, int(kind[3:])))()
        return self.keys[kind]

    def make(self, cn, kind="ec256", issuer=None, ca=False, begin=-DAY, days=90, names=(), digest=None, subject=None):
        """(certificate, key, files): a chain file with the certificate alone, and the key's."""
        key = self.key(kind)
        name = x509.Name(subject or [x509.NameAttribute(NameOID.COMMON_NAME, cn)])
        self.serial += 1
        b = x509.CertificateBuilder().subject_name(name).issuer_name(issuer[0].subject if issuer else name)
        b = b.public_key(key.public_key()).serial_number(self.serial).not_valid_before(NOW + begin).not_valid_after(NOW + begin + days * DAY)
        b = b.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if names:
            b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        by = issuer[1] if issuer else key
        plain = isinstance(by, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey))
        cert = b.sign(by, None if plain else digest or hashes.SHA256())
        path = os.path.join(self.dir, f"{self.serial}")
        with open(path + ".pem", "wb") as f:
            f.write(cert.public_bytes(serialization.Encoding.PEM))
        with open(path + ".key", "wb") as f:
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return cert, key, path

    def chain(self, *certs):
        """One file with several, beside the key of the first."""
        path = certs[0][2]
        self.serial += 1
        out = os.path.join(self.dir, f"{self.serial}-chain.pem")
        with open(out, "wb") as f:
            for c in certs:
                f.write(c[0].public_bytes(serialization.Encoding.PEM))
        return out, path + ".key"


def der(cert):
    return cert[0].public_bytes(serialization.Encoding.DER)


# --- handmade TLS before 1.3: the same octets for everybody ---


def record(kind, data, version=0x0303):
    out = b""
    for at in range(0, len(data), 16384) or [0]:
        part = data[at:at + 16384]
        out += struct.pack(">BHH", kind, version, len(part)) + part
    return out


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def server_hello(version=0x0303, suite=0x002f, extensions=b""):
    body = struct.pack(">H", version) + bytes(32) + b"\0" + struct.pack(">HB", suite, 0)
    return message(2, body + (struct.pack(">H", len(extensions)) + extensions if extensions else b""))


def certificate_message(ders):
    listed = b"".join(len(d).to_bytes(3, "big") + d for d in ders)
    return message(11, len(listed).to_bytes(3, "big") + listed)


def flight(ders, version=0x0303, suite=0x002f, extensions=b""):
    return b"".join(record(22, m, version) for m in (server_hello(version, suite, extensions), certificate_message(ders), message(14, b"")))


ALERT = record(21, b"\x02\x28")


# --- servers in this process, a thread a connection ---


class Servers:
    def __init__(self):
        self.sockets = []
        self.over = False

    def serve(self, address, port, handler):
        """handler(connection), which is closed afterwards."""
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.listen(64)
        self.sockets.append(s)
        threading.Thread(target=self.accept, args=(s, handler), daemon=True).start()
        return s

    def accept(self, s, handler):
        while not self.over:
            try:
                c, _ = s.accept()
            except OSError:
                return
            threading.Thread(target=self.run, args=(c, handler), daemon=True).start()

    @staticmethod
    def run(c, handler):
        c.settimeout(5)
        try:
            handler(c)
        except (OSError, ssl.SSLError, IndexError, ValueError):
            pass
        finally:
            c.close()

    def stop(self):
        self.over = True
        for s in self.sockets:
            s.close()


def says(data, then=None):
    """Whatever comes first is answered with these octets."""
    def handler(c):
        c.recv(4096)
        c.sendall(data)
        if then:
            then(c)
        else:
            c.recv(4096)
    return handler


def dripping(data):
    def handler(c):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        c.recv(4096)
        for i in range(len(data)):
            c.send(data[i:i + 1])
        c.recv(4096)
    return handler


def endless(data):
    def handler(c):
        c.setblocking(False)
        try:
            c.recv(4096)
        except BlockingIOError:
            pass
        c.settimeout(5)
        while True:
            c.sendall(data)
    return handler


def reset(c):
    c.recv(4096)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def until(c, end):
    data = b""
    while not data.endswith(end):
        more = c.recv(4096)
        if not more:
            raise OSError
        data += more
    return data


def only_old(answer):
    """Knows no extension: breaks off whatever has one, or speaks of more than TLS 1.0."""
    def handler(c):
        hello = c.recv(16384)
        if hello[9:11] > b"\x03\x01":
            return
        c.sendall(answer)
        c.recv(4096)
    return handler


def talking(steps, context=None):
    """A service: pairs of (what ends the client's line, what is said then); with a context TLS follows."""
    def handler(c):
        for end, say in steps:
            if end:
                until(c, end)
            c.sendall(say)
        if context:
            context.wrap_socket(c, server_side=True)
        else:
            c.recv(4096)
    return handler


MYSQL = b"\x0a8.0.36-farm\0" + b"\1\0\0\0" + b"12345678\0" + b"%s" + b"\x21\x02\0\xff\xc1\x15" + bytes(10) + b"123456789012\0"


def mysql(capabilities, context=None):
    greeting = MYSQL.replace(b"%s", capabilities)

    def handler(c):
        c.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
        if len(c.recv(36, socket.MSG_WAITALL)) == 36 and context:
            context.wrap_socket(c, server_side=True)
    return handler


def ldap(result, context=None):
    def handler(c):
        assert c.recv(4096)[:2] == b"\x30\x1d"
        c.sendall(b"\x30\x84\0\0\0\x10\x02\x01\x01\x78\x84\0\0\0\x07\x0a\x01" + bytes([result]) + b"\x04\x00\x04\x00")
        if context:
            context.wrap_socket(c, server_side=True)
        else:
            c.recv(4096)
    return handler


def one_octet(answer, context=None):
    def handler(c):
        c.recv(8, socket.MSG_WAITALL)
        c.sendall(answer)
        if context:
            context.wrap_socket(c, server_side=True)
        else:
            c.recv(4096)
    return handler


def xmpp(features, context=None):
    def handler(c):
        until(c, b">")
        c.sendall(b"<?xml version='1.0'?><stream:stream id='1' xmlns='jabber:client'><stream:features>" + features + b"</stream:features>")
        if not context:
            c.recv(4096)
            return
        until(c, b"/>")
        c.sendall(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        context.wrap_socket(c, server_side=True)
    return handler


XMPP_TLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


# --- the farm ---


class Farm:
    """add(expected, …) gives each situation the next address; `situations` maps the place to what has to be said of it."""

    def __init__(self, directory, openssl):
        self.dir = str(directory)
        self.openssl = openssl
        self.net = f"127.{64 + os.getpid() % 128}"
        self.count = 0
        self.port = self.free_port()
        self.certs = Certificates(directory)
        self.servers = Servers()
        self.situations = {}
        self.targets = []
        self.blocks = {}
        self.processes = []
        self.nginx_process = None
        self.config = os.path.join(self.dir, "old.cnf")
        with open(self.config, "w", encoding="ascii") as f:
            f.write(OLD_TIMES)

    def free_port(self):
        with socket.socket() as s:
            s.bind((f"{self.net}.1.1", 0))
            return s.getsockname()[1]

    def address(self):
        self.count += 1
        return f"{self.net}.1.{self.count}"

    def expect(self, address, protocol="tls", name=None, **expected):
        expected.setdefault("status", "certificate")
        self.situations[f"{protocol}:{address}:{self.port}" + (f"/{name}" if name else "")] = expected
        self.targets.append(f"{protocol}://{address}:{self.port}")
        return address

    # --- nginx ---

    def nginx(self, cert, settings="", extra="", protocols="TLSv1.2 TLSv1.3", listen="ssl", chain=None, **expected):
        a = self.address()
        pem, key = chain or (cert[2] + ".pem", cert[2] + ".key") if cert else (None, None)
        files = f"ssl_certificate {pem}; ssl_certificate_key {key};" if cert else ""
        self.blocks[a] = (f"server {{ listen {a}:{self.port} {listen}; server_name default; {files} ssl_protocols {protocols}; {settings} "
                          f"location / {{ return 204; }} }} {extra.replace('ADDRESS', f'{a}:{self.port}')}")
        if cert and expected.get("status", "certificate") == "certificate":
            expected.setdefault("fingerprint", cert[0].fingerprint(hashes.SHA256()).hex())
        return self.expect(a, **expected)

    def nginx_config(self):
        path = os.path.join(self.dir, "nginx.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(f"daemon off; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx.log warn; worker_processes 1;\n"
                    "events { worker_connections 1024; }\nhttp { access_log off;\n"
                    f"client_body_temp_path {self.dir}/t1; proxy_temp_path {self.dir}/t2; fastcgi_temp_path {self.dir}/t3; "
                    f"uwsgi_temp_path {self.dir}/t4; scgi_temp_path {self.dir}/t5;\n" + "\n".join(self.blocks.values()) + "\n}\n")
        return path

    def nginx_start(self):
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        self.nginx_process = subprocess.Popen([program, "-p", self.dir, "-c", self.nginx_config()], stdin=subprocess.DEVNULL,
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                              env={**os.environ, "OPENSSL_CONF": self.config})
        self.wait(next(iter(self.blocks)))

    def nginx_restart(self):
        self.nginx_process.terminate()
        self.nginx_process.wait(10)
        self.nginx_start()

    def wait(self, address):
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection((address, self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, open(f"{self.dir}/nginx.log").read()
                time.sleep(0.02)

    # --- openssl s_server ---

    def s_server(self, cert, *options, protocol="tls", **expected):
        a = self.address()
        files = ["-cert", cert[2] + ".pem", "-key", cert[2] + ".key"] if cert else ["-nocert"]
        command = [self.openssl.path, "s_server", "-accept", f"{a}:{self.port}", *files, "-quiet", *options]
        self.processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                               env={**os.environ, "OPENSSL_CONF": self.config}))
        self.expect(a, protocol=protocol, **expected)
        return a

    # --- this process ---

    def own(self, handler, protocol="tls", **expected):
        a = self.address()
        self.servers.serve(a, self.port, handler)
        return self.expect(a, protocol=protocol, **expected)

    def context(self, cert, least=ssl.TLSVersion.TLSv1_2):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(cert[2] + ".pem", cert[2] + ".key")
        c.minimum_version = least
        return c

    def stop(self):
        self.servers.stop()
        for p in self.processes + ([self.nginx_process] if self.nginx_process else []):
            p.terminate()
        for p in self.processes + ([self.nginx_process] if self.nginx_process else []):
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
