"""A farm of servers to be scanned, each on a loopback address of its own and all on one port: nginx and openssl in many settings, services with
STARTTLS, and servers that mean ill. What a scan has to say of each stands beside it."""
import datetime
import hashlib
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
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scan_services import Services, listens

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
        self.lock = threading.Lock()
        self.classes = {}  # SHA-256 of a certificate → what the inventory is to call its issuer
        self.root = self.make("root", "ec256", ca=True)
        self.inter = self.make("inter", "ec256", issuer=self.root, ca=True)

    def key(self, kind):
        if kind not in self.keys:
            self.keys[kind] = {
                "ec256": lambda: ec.generate_private_key(ec.SECP256R1()), "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
                "ec521": lambda: ec.generate_private_key(ec.SECP521R1()), "ed25519": ed25519.Ed25519PrivateKey.generate,
                "brainpool256": lambda: ec.generate_private_key(ec.BrainpoolP256R1()), "ed448": ed448.Ed448PrivateKey.generate,
                "dsa2048": lambda: dsa.generate_private_key(2048),
            }.get(kind, lambda: rsa.generate_private_key(65537, int(kind[3:])))()
        return self.keys[kind]

    def make(self, cn, kind="ec256", issuer=None, ca=False, begin=-DAY, days=90, names=(), subject=None, end=None, of=None,
             server=False):
        """(certificate, key, files): a chain file with the certificate alone, and the key's. `of`: what its issuer is, beside unknown; `server`:
        it says that it is a server's."""
        key = self.key(kind)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if subject is None else subject)
        with self.lock:
            self.serial += 1
            path = os.path.join(self.dir, f"{self.serial}")
        b = x509.CertificateBuilder().subject_name(name).issuer_name(issuer[0].subject if issuer else name)
        b = b.public_key(key.public_key()).serial_number(self.serial).not_valid_before(NOW + begin).not_valid_after(end or NOW + begin + days * DAY)
        b = b.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if server:
            b = b.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        if names:
            b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        by = issuer[1] if issuer else key
        plain = isinstance(by, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey))
        cert = b.sign(by, None if plain else hashes.SHA256())
        self.classes[cert.fingerprint(hashes.SHA256()).hex()] = of or ("unknown" if issuer else "self-signed")
        with open(path + ".pem", "wb") as f:
            f.write(cert.public_bytes(serialization.Encoding.PEM))
        with open(path + ".key", "wb") as f:
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return cert, key, path

    def take(self, path):
        """One that another program made by itself, as files of this path."""
        with open(path + ".pem", "rb") as f:
            cert = x509.load_pem_x509_certificate(f.read())
        self.classes[cert.fingerprint(hashes.SHA256()).hex()] = "self-signed"
        return cert, None, path

    def chain(self, *certs):
        """One file with several, beside the key of the first."""
        path = certs[0][2]
        with self.lock:
            self.serial += 1
            out = os.path.join(self.dir, f"{self.serial}-chain.pem")
        with open(out, "wb") as f:
            for c in certs:
                f.write(c[0].public_bytes(serialization.Encoding.PEM))
        return out, path + ".key"


def der(cert):
    return cert if isinstance(cert, bytes) else cert[0].public_bytes(serialization.Encoding.DER)


def fingerprint(cert):
    return hashlib.sha256(der(cert)).hexdigest()


# --- handmade TLS before 1.3: the same octets for everybody ---


def record(kind, data, version=0x0303):
    out = b""
    for at in range(0, len(data), 16384) or [0]:
        part = data[at:at + 16384]
        out += struct.pack(">BHH", kind, version, len(part)) + part
    return out


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def server_hello(version=0x0303, suite=0x002f, extensions=b"", random=bytes(32), session=b""):
    body = struct.pack(">H", version) + random + bytes([len(session)]) + session + struct.pack(">HB", suite, 0)
    return message(2, body + (struct.pack(">H", len(extensions)) + extensions if extensions else b""))


def certificate_message(ders):
    listed = b"".join(len(d).to_bytes(3, "big") + d for d in ders)
    return message(11, len(listed).to_bytes(3, "big") + listed)


def flight(ders, version=0x0303, suite=0x002f, extensions=b""):
    return b"".join(record(22, m, version) for m in (server_hello(version, suite, extensions), certificate_message(ders), message(14, b"")))


ALERT = record(21, b"\x02\x28")
RETRY = hashlib.sha256(b"HelloRetryRequest").digest()  # RFC 8446 4.1.3


def datagram(kind, body, sequence=0, number=0, version=0xfefd):
    """One handshake message in one record of DTLS (RFC 6347 4.1, 4.2.2)."""
    head = bytes([kind]) + len(body).to_bytes(3, "big") + struct.pack(">H", sequence) + bytes(3) + len(body).to_bytes(3, "big")
    return struct.pack(">BHHHIH", 22, version, 0, 0, number, len(head) + len(body)) + head + body


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

    def serve_datagrams(self, address, port, handler):
        """handler(what was sent) gives the datagrams that are the answer."""
        s = socket.socket(type=socket.SOCK_DGRAM)
        s.bind((address, port))
        self.sockets.append(s)
        threading.Thread(target=self.answer, args=(s, handler), daemon=True).start()

    def answer(self, s, handler):
        while not self.over:
            try:
                data, peer = s.recvfrom(1 << 16)
                for d in handler(data):
                    s.sendto(d, peer)
            except OSError:
                if self.over or s.fileno() < 0:
                    return

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


def dripping(data, seconds=0):
    """Octet by octet, with a pause behind each."""
    def handler(c):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        c.recv(4096)
        for i in range(len(data)):
            c.send(data[i:i + 1])
            if seconds:
                time.sleep(seconds)
        c.recv(4096)
    return handler


def full(address, port):
    """A socket that takes no more connections: who comes is not answered."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(0)
    held = [s]
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex((address, port))
        held.append(c)
    return held


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
    """Each situation has an address of its own; `situations` maps the place to what has to be said of it. What begins with "_" is the test's:
    _sent, the certificates that are sent, _incomplete where one is missing between them, _service whose it is."""

    def __init__(self, directory, openssl):
        self.dir = str(directory)
        self.openssl = openssl
        self.net = f"127.{64 + os.getpid() % 128}"
        self.count = 0
        self.port = self.free_port()
        self.certs = Certificates(directory)
        self.servers = Servers()
        self.services = Services(self.port)
        self.situations = {}
        self.targets = []
        self.blocks, self.files = {}, {}
        self.processes, self.s_servers = [], []  # of the same order
        self.awaited = []
        self.nginx_process = None
        self.config = os.path.join(self.dir, "old.cnf")
        with open(self.config, "w", encoding="ascii") as f:
            f.write(OLD_TIMES)

    def free_port(self):
        with socket.socket() as s:
            s.bind((f"{self.net}.1.1", 0))
            return s.getsockname()[1]

    def address(self):
        with self.certs.lock:
            self.count += 1
            return f"{self.net}.1.{self.count}"

    def place(self, address, protocol="tls"):
        return f"{protocol}:{address}:{self.port}"

    def expect(self, address, protocol="tls", sent=(), incomplete=False, service=None, **expected):
        expected.setdefault("status", "certificate")
        if expected["status"] == "certificate":
            assert sent, "a situation says which certificates it sends"
            expected.setdefault("fingerprint", fingerprint(sent[0]))
            expected.setdefault("chain_", len(sent))
            expected.setdefault("alpn", None)
            if protocol not in ("tls", "dtls"):
                expected.setdefault("starttls", protocol)
        expected.update(_sent=list(sent), _incomplete=incomplete, _service=service)
        self.situations[self.place(address, protocol)] = expected
        self.targets.append(f"{protocol}://{address}:{self.port}")
        return address

    # --- nginx ---

    def nginx(self, cert, settings="", extra="", protocols="TLSv1.2 TLSv1.3", listen="ssl", chain=None, **expected):
        """`chain`: what is sent, where that is not the certificate alone."""
        a = self.address()
        sent = chain or ([cert] if cert else [])
        pem, key = self.certs.chain(*sent) if sent else (None, None)
        self.files[a] = pem
        files = f"ssl_certificate {pem}; ssl_certificate_key {key};" if cert else ""
        self.blocks[a] = (f"server {{ listen {a}:{self.port} {listen}; server_name default; {files} ssl_protocols {protocols}; {settings} "
                          f"location / {{ return 204; }} }} {extra.replace('ADDRESS', f'{a}:{self.port}')}")
        expected.setdefault("alpn", "http/1.1")
        return self.expect(a, sent=sent, service="nginx", **expected)

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
        self.await_socket(next(iter(self.blocks)), f"{self.dir}/nginx.log")
        self.wait()

    def nginx_restart(self):
        self.nginx_process.terminate()
        self.nginx_process.wait(10)
        self.nginx_start()

    # --- openssl s_server ---

    def s_server(self, cert, *options, protocol="tls", **expected):
        a = self.address()
        files = ["-cert", cert[2] + ".pem", "-key", cert[2] + ".key"] if cert else ["-nocert"]
        command = [self.openssl.path, "s_server", "-accept", f"{a}:{self.port}", *files, "-quiet", *options]
        self.s_servers.append((a, command, protocol == "dtls"))
        self.processes.append(self.s_server_start(*self.s_servers[-1]))
        return self.expect(a, protocol=protocol, sent=[cert] if cert else [], service="openssl", **expected)

    def s_server_start(self, address, command, datagrams):
        log = os.path.join(self.dir, f"s_server-{address}.log")
        self.await_socket(address, log, datagrams)
        with open(log, "wb") as f:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=f, stderr=f, env={**os.environ, "OPENSSL_CONF": self.config})

    def datagrams_restart(self):
        """With datagrams it speaks to the first who comes, and to nobody else while it lives."""
        for i, server in enumerate(self.s_servers):
            if server[2]:
                self.processes[i].kill()
                self.processes[i].wait()
                self.processes[i] = self.s_server_start(*server)
        self.wait()

    # --- this process ---

    def own(self, handler, protocol="tls", **expected):
        a = self.address()
        self.servers.serve(a, self.port, handler)
        return self.expect(a, protocol=protocol, **expected)

    def own_datagrams(self, handler, **expected):
        a = self.address()
        self.servers.serve_datagrams(a, self.port, handler)
        return self.expect(a, protocol="dtls", **expected)

    def context(self, cert, least=ssl.TLSVersion.TLSv1_2):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(cert[2] + ".pem", cert[2] + ".key")
        c.minimum_version = least
        return c

    # --- begin and end ---

    def await_socket(self, address, log, datagrams=False):
        self.awaited.append((address, log, datagrams))

    def wait(self):
        deadline = time.monotonic() + 15
        for address, log, datagrams in self.awaited:
            while not listens(address, self.port, datagrams):
                assert time.monotonic() < deadline, f"{address}: " + open(log, encoding="utf-8", errors="replace").read()
                time.sleep(0.02)
        self.awaited.clear()

    def stop(self):
        self.servers.stop()
        self.services.stop()
        for p in self.processes + ([self.nginx_process] if self.nginx_process else []):
            p.terminate()
        for p in self.processes + ([self.nginx_process] if self.nginx_process else []):
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
