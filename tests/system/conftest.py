"""Fixtures for tests that drive the real program from outside: a house of its own, a factory with birth certificates, clients.

TOUCHMARK names the program, OPENSSL the openssl that makes keys and requests (scripts/check sets both). Everything listens on
loopback, on ports that the server picks itself and writes to <home>/run/ports.json.
"""
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.parse

import pytest

from openapi_check import Document

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("TOUCHMARK", os.path.join(ROOT, "build", "touchmark"))
START_SECONDS = 30
STOP_SECONDS = 30


def openssl_path():
    path = os.environ.get("OPENSSL")
    if path:
        return path
    prefix = subprocess.run(["./setup", "--openssl-prefix"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    return "openssl" if prefix in ("", "system") else os.path.join(prefix, "bin", "openssl")


class Openssl:
    """The openssl program, working in one directory."""

    def __init__(self, directory):
        self.path = openssl_path()
        self.dir = str(directory)

    def file(self, name):
        return name if os.path.isabs(name) else os.path.join(self.dir, name)

    def run(self, *args, ok=True, data=None):
        done = subprocess.run([self.path, *args], cwd=self.dir, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert not ok or done.returncode == 0, f"openssl {' '.join(args)}: {done.stderr.decode(errors='replace')}"
        return done

    def text(self, *args, data=None):
        return self.run(*args, data=data).stdout.decode()

    def key(self, name, alg="EC"):
        """Make a private key, <name>.key; `alg` as `openssl genpkey -algorithm` has it, EC meaning P-256."""
        options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if alg == "EC" else []
        self.run("genpkey", "-algorithm", alg, *options, "-out", name + ".key")
        return self.file(name + ".key")

    def csr(self, name, subject="/", san=None, key=None, alg="EC"):
        """Make a request, <name>.csr in PEM, with <name>.key (made unless `key` is given); the path."""
        key = key or self.key(name, alg)
        extensions = ["-addext", "subjectAltName=" + san] if san else []
        self.run("req", "-new", "-key", key, "-subj", subject, *extensions, "-out", name + ".csr")
        return self.file(name + ".csr")

    def der(self, pem, kind="req"):
        """DER of a PEM file, for `kind` req, x509 or crl."""
        return self.run(kind, "-in", pem, "-outform", "DER").stdout


class Factory(Openssl):
    """A device maker's own CA: factory-root.pem, and birth certificates (IDevIDs) below it."""

    def __init__(self, directory):
        super().__init__(directory)
        self.key("factory-root")
        self.run("req", "-x509", "-new", "-key", "factory-root.key", "-subj", "/O=Factory/CN=Factory Root", "-days", "7300",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", "factory-root.pem")
        self.anchors = self.file("factory-root.pem")

    def idevid(self, serial, days=3650):
        """A device's birth certificate and key: (<serial>.pem, <serial>.key)."""
        name = "idevid-" + serial
        self.csr(name, f"/O=Factory/CN=Model 7/serialNumber={serial}")
        with open(self.file(name + ".ext"), "w", encoding="ascii") as f:
            f.write("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\n"
                    "subjectKeyIdentifier=hash\n")
        self.run("x509", "-req", "-in", name + ".csr", "-CA", "factory-root.pem", "-CAkey", "factory-root.key", "-days", str(days),
                 "-extfile", name + ".ext", "-out", name + ".pem")
        return self.file(name + ".pem"), self.file(name + ".key")


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class House:
    """A home made by `touchmark init`, and the server that runs on it."""

    def __init__(self, home, anchors=None, options=()):
        self.home = str(home)
        self.process = None
        self.ports = {}
        self.document = None
        self.log_path = self.home + ".log"
        factory = ["--factory-anchors", anchors] if anchors else []
        self.init = self.cli("init", "--demo-ports", "--generate-passphrase", "--public-base", "http://pki.example.org",
                             "--organization", "Example", *factory, *options)

    def configure(self, old, new):
        """Another setting in touchmark.yaml, for the next start."""
        path = os.path.join(self.home, "touchmark.yaml")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        assert old in text
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new, 1))

    def unlimit(self):
        """All clients of a test have one address."""
        self.configure("requests-per-peer: 200", "requests-per-peer: 0")

    # --- the program ---

    def cli(self, *args, ok=True, data=None, timeout=60):
        """Run `touchmark ARGS --home …`; text output. With ok=True the exit status must be 0, with ok=None it may be anything."""
        done = subprocess.run([PROGRAM, *args, "--home", self.home], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=timeout)
        if ok is not None:
            assert (done.returncode == 0) == ok, f"touchmark {' '.join(args)} ended with {done.returncode}: {done.stderr}"
        return done

    def cli_json(self, *args):
        return json.loads(self.cli(*args, "-o", "json").stdout)

    def start(self, seconds=START_SECONDS):
        ports = os.path.join(self.home, "run", "ports.json")
        if os.path.exists(ports):
            os.unlink(ports)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "serve", "--home", self.home], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()}")
            if os.path.exists(ports):
                with open(ports, encoding="ascii") as f:
                    self.ports = json.load(f)
                if self.ready():
                    return self
            time.sleep(0.05)
        raise AssertionError("the server is not ready: " + self.log())

    def ready(self):
        try:
            return self.plain("/readyz", port="admin").status == 200
        except OSError:
            return False

    def stop(self):
        """End the server by its pid; its exit status."""
        if not self.process or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the server did not stop: " + self.log()) from None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    # --- where it is ---

    @property
    def url(self):
        return f"https://127.0.0.1:{self.ports['enrollment']}"

    @property
    def plain_url(self):
        return f"http://127.0.0.1:{self.ports['plain']}"

    @property
    def admin_url(self):
        return f"http://127.0.0.1:{self.ports['admin']}"

    @property
    def est_url(self):
        """Without the endpoint: est_url + "/devices/simpleenroll"."""
        return self.url + "/.well-known/est"

    @property
    def ca_bundle(self):
        """PEM of the root, which signs (through the issuing CA) the server's certificate; made once."""
        path = self.home + ".ca.pem"
        if not os.path.exists(path):
            self.cli("ca", "export", "root", "--out", path)
        return path

    @property
    def admin_token(self):
        with open(os.path.join(self.home, "admin", "token"), encoding="ascii") as f:
            return f.read().strip()

    # --- clients ---

    def tls(self, cert=None, key=None):
        context = ssl.create_default_context(cafile=self.ca_bundle)
        if cert:
            context.load_cert_chain(cert, key)
        return context

    def request(self, method, path, body=None, headers=None, cert=None, key=None, timeout=30):
        """A request to the enrollment listener."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.ports["enrollment"], context=self.tls(cert, key), timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def plain(self, path, port="plain", headers=None):
        """GET over plain HTTP; `path` may be a whole URL from a certificate, whose host is then this house."""
        target = urllib.parse.urlsplit(path).path if "://" in path else path
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=10)
        try:
            connection.request("GET", target, headers=headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def api(self, method, path, body=None, token=None, headers=None, content_type="application/json", cert=None, key=None):
        """A REST call under /api/v1; `body` an object (sent as JSON), bytes or None; `token` "" for none, the admin's by default."""
        headers = dict(headers or {})
        token = self.admin_token if token is None else token
        if token:
            headers["Authorization"] = "Bearer " + token
        if body is not None:
            headers.setdefault("Content-Type", content_type)
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
        reply = self.request(method, "/api/v1" + path, body, headers, cert, key)
        wrong = self.openapi.check(method, "/api/v1" + path, reply.status, reply.headers["Content-Type"], reply.body)
        assert wrong is None, wrong
        return reply

    @property
    def openapi(self):
        """The document that the running server shows; every reply is held to it."""
        if self.document is None:
            self.document = Document(self.request("GET", "/api/v1/openapi.json").body)
        return self.document


@pytest.fixture(scope="session")
def factory(tmp_path_factory):
    return Factory(tmp_path_factory.mktemp("factory"))


@pytest.fixture(scope="session")
def house(tmp_path_factory, factory):
    """One running house for the whole session: tests use names of their own and leave it as usable as they found it."""
    h = House(tmp_path_factory.mktemp("house") / "home", factory.anchors)
    try:
        yield h.start()
    finally:
        h.stop()


@pytest.fixture
def new_house(tmp_path, factory):
    """Makes further houses for one test, not started; what was started is ended."""
    made = []

    def make(name="home", **options):
        h = House(tmp_path / name, factory.anchors, **options)
        made.append(h)
        return h

    yield make
    for h in made:
        h.stop()


@pytest.fixture
def openssl(tmp_path):
    """openssl in a directory of the test's own."""
    return Openssl(tmp_path)


@pytest.fixture
def program():
    return PROGRAM


@pytest.fixture
def curl(house):
    """curl that trusts the house: curl(*args) → CompletedProcess with bytes."""
    path = shutil.which("curl") or pytest.skip("curl is not installed")

    def run(*args):
        return subprocess.run([path, "--silent", "--show-error", "--max-time", "30", "--cacert", house.ca_bundle, *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return run
