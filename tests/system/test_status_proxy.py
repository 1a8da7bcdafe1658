"""The status-proxy: what it says of certificates while its house is there, while it is not, and behind nginx."""
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

from conftest import Openssl

SECONDS = 20
SETTLED = 6
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, headers=None, data=None):
    """(status, headers, body), whatever the status."""
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as r:
            return r.status, r.headers, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


def until(what, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > deadline:
            assert found, "it never came"
            return found
        time.sleep(0.1)


class Uplink:
    """A wire between proxy and house that can be cut; counts what came through, by status."""

    def __init__(self, to):
        self.down = False
        self.seen = []
        uplink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def relay(self, data=None):
                if uplink.down:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                keep = {k: v for k, v in self.headers.items() if k in ("If-None-Match", "If-Modified-Since", "Content-Type")}
                status, headers, body = get(to + self.path, keep, data)
                uplink.seen.append((self.path, status))
                self.send_response(status)
                for name in ("ETag", "Last-Modified", "Content-Type"):
                    if headers[name]:
                        self.send_header(name, headers[name])
                if status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if status != 304:
                    self.wfile.write(body)

            def do_GET(self):
                self.relay()

            def do_POST(self):
                self.relay(self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Proxy:
    def __init__(self, program, directory, upstream, **settings):
        self.program = program
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = os.path.join(directory, "proxy.yaml")
        self.state = os.path.join(directory, "state")
        doc = {"upstream": upstream, "state": "state", "authorities": ["ca.pem"], "refresh": "1s",
               "listen": {"port": self.port}} | settings
        with open(self.config, "w", encoding="ascii") as f:
            json.dump(doc, f)  # JSON is YAML
        self.log = open(os.path.join(directory, "proxy.log"), "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen([self.program, "status-proxy", "--config", self.config], stderr=self.log)
        until(self.answers)
        return self

    def answers(self):
        try:
            return get(self.url + "/healthz")[0] == 200
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.terminate()
            assert self.process.wait(SECONDS) == 0
            self.process = None

    def status(self, serial):
        status, _, body = get(f"{self.url}/v1/status?serial={serial}")
        return status, json.loads(body)

    def ready(self):
        return get(self.url + "/readyz")[0] == 200


@pytest.fixture
def make_proxy(program, tmp_path):
    made = []

    def make(upstream, **settings):
        made.append(Proxy(program, str(tmp_path), upstream, **settings))
        return made[-1]

    yield make
    for p in made:
        p.stop()


def issue(house, openssl, name):
    csr = openssl.csr(name, f"/CN={name}.example.org", f"DNS:{name}.example.org")
    path = openssl.file(name + ".pem")
    house.cli("cert", "issue", "--profile", "server-internal-1y", "--csr", csr, "--out", path)
    return path, openssl.text("x509", "-in", path, "-noout", "-serial").strip().split("=")[1]


class Certs:
    """Certificates for all tests here, by name: file and serial. Made at once, for a filter covers them only seconds later."""

    def __init__(self, house, openssl):
        self.openssl = openssl
        self.of = {name: issue(house, openssl, "proxy-" + name) for name in ("good", "bad", "later", "old")}
        house.cli("cert", "revoke", self.serial("bad"), "--reason", "keyCompromise")
        self.made = time.monotonic()

    def file(self, name):
        return self.of[name][0]

    def serial(self, name):
        return self.of[name][1]

    def key(self, name):
        return self.openssl.file(f"proxy-{name}.key")


@pytest.fixture(scope="module")
def certs(house, tmp_path_factory):
    made = Certs(house, Openssl(tmp_path_factory.mktemp("certs")))
    time.sleep(SETTLED)
    house.cli("filter", "build", "issuing-ca")
    return made


@pytest.fixture
def ca(house, openssl):
    path = openssl.file("ca.pem")
    with open(path, "w", encoding="ascii") as f:
        f.write(house.cli("ca", "export", "issuing-ca").stdout.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
    return path


@pytest.fixture
def uplink(house):
    wire = Uplink(house.plain_url)
    yield wire
    wire.close()


def test_status_proxy__through_days_without_its_house(house, openssl, certs, ca, uplink, make_proxy):
    good, good_serial, bad_serial, later_serial = certs.file("good"), certs.serial("good"), certs.serial("bad"), certs.serial("later")
    proxy = make_proxy(uplink.url, filters=["issuing-ca"]).start()
    until(proxy.ready)
    status, answer = proxy.status(good_serial)
    assert status == 200 and answer["status"] == "good" and answer["uplink"] == "up" and answer["age"] >= 0
    assert proxy.status(bad_serial)[1]["status"] == "revoked"

    # A revocation comes with the delta or with the CRL, whichever is first; then only changes are fetched.
    house.cli("cert", "revoke", later_serial, "--reason", "superseded")
    house.cli("filter", "delta", "issuing-ca")
    until(lambda: proxy.status(later_serial)[1]["status"] == "revoked")
    until(lambda: ("/filter/issuing-ca.tmf", 304) in uplink.seen)

    # A certificate instead of a serial, in the body and in a header as nginx gives it.
    with open(good, "rb") as f:
        pem = f.read()
    assert json.loads(get(proxy.url + "/v1/status", data=pem)[2])["status"] == "good"
    escaped = urllib.request.quote(pem.decode(), safe="")
    assert get(proxy.url + "/v1/check", {"X-Client-Cert": escaped})[0] == 204
    assert get(proxy.url + "/v1/check", {"X-Client-Serial": bad_serial})[0] == 403
    assert get(proxy.url + "/v1/check", {"X-Client-Serial": bad_serial, "X-Client-Cert": escaped})[0] == 403
    assert get(proxy.url + "/v1/check")[0] == 403, "what is not known is refused"
    assert get(proxy.url + "/v1/status?serial=xyz")[0] == 400
    assert get(proxy.url + "/v1/status?serial=01&issuer=00")[0] == 404

    # OCSP of the house itself goes through, and stays.
    def ocsp(cert):
        return openssl.run("ocsp", "-issuer", ca, "-cert", cert, "-no_nonce", "-url", proxy.url + "/ocsp", "-CAfile", ca, "-partial_chain",
                           ok=None).stdout.decode()
    assert ": good" in until(lambda: (lambda t: t if ": good" in t else None)(ocsp(good)))
    assert ": revoked" in ocsp(certs.file("bad"))

    # The wire is cut, and the proxy started anew: it knows what it knew, and says how old that is.
    uplink.down = True
    until(lambda: proxy.status(good_serial)[1]["uplink"] == "down")
    proxy.stop()
    proxy.start()
    assert proxy.status(good_serial)[1]["status"] == "good"
    assert proxy.status(later_serial)[1]["status"] == "revoked"
    assert ": good" in ocsp(good)
    crl = re.search(r"(\w+)\.crl", " ".join(os.listdir(proxy.state))).group(1)
    status, headers, body = get(f"{proxy.url}/crl/{crl}/full.crl")
    assert status == 200 and headers["ETag"]
    assert get(f"{proxy.url}/crl/{crl}/full.crl", {"If-None-Match": headers["ETag"]})[0] == 304
    assert later_serial in openssl.run("crl", "-inform", "DER", "-noout", "-text", data=body).stdout.decode() or \
        proxy.status(later_serial)[1]["source"] == "delta"
    metrics = get(proxy.url + "/metrics")[2].decode()
    assert "touchmark_proxy_uplink_up 0" in metrics and "touchmark_proxy_age_seconds" in metrics

    # It comes back by itself, and takes up what it missed.
    uplink.down = False
    house.cli("cert", "revoke", good_serial, "--reason", "superseded")
    house.cli("filter", "delta", "issuing-ca")
    until(lambda: proxy.status(good_serial)[1]["status"] == "revoked", 2 * SECONDS)
    # The good answer that was kept is older than that, and is not given any more.
    assert ": good" not in ocsp(good)


def test_status_proxy__refuses_what_is_too_old_or_forged(certs, ca, uplink, make_proxy):
    serial = certs.serial("old")
    proxy = make_proxy(uplink.url, filters=["issuing-ca"], crls=False, **{"stale-after": "1s", "refresh": "1m"}).start()
    until(lambda: any(path == "/filter/issuing-ca.tmf" and status == 200 for path, status in uplink.seen))
    status, answer = until(lambda: (lambda r: r if r[0] == 503 else None)(proxy.status(serial)))
    assert answer["status"] == "stale"
    assert get(f"{proxy.url}/v1/check", {"X-Client-Serial": serial})[0] == 503
    assert get(f"{proxy.url}/filter/issuing-ca.tmf")[0] == 503
    proxy.stop()
    # What somebody changed on disk is not believed.
    path = os.path.join(proxy.state, "issuing-ca.tmf")
    with open(path, "r+b") as f:
        f.seek(200)
        octet = f.read(1)
        f.seek(200)
        f.write(bytes([octet[0] ^ 1]))
    uplink.down = True
    proxy.start()
    assert proxy.status(serial)[1]["status"] == "unknown"


@pytest.mark.skipif(not NGINX, reason="nginx is not installed")
def test_status_proxy__behind_nginx(house, openssl, certs, ca, uplink, make_proxy, tmp_path):
    """The example of docs/howto-gateway.md: nginx verifies the client's certificate, the proxy says whether it is revoked."""
    proxy = make_proxy(uplink.url, filters=["issuing-ca"]).start()
    until(lambda: proxy.status(certs.serial("bad"))[1]["status"] == "revoked")
    with open(os.path.join(os.path.dirname(__file__), "../../docs/howto-gateway.md"), encoding="utf-8") as f:
        example = re.search(r"```nginx\n(.*?)```", f.read(), re.S).group(1)
    port = free_port()
    root, chain = openssl.file("root.pem"), openssl.file("server-chain.pem")
    with open(root, "w", encoding="ascii") as f:
        f.write(house.cli("ca", "export", "root").stdout + house.cli("ca", "export", "issuing-ca").stdout)
    shutil.copy(certs.file("old"), chain)
    example = (example.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
               .replace("/etc/nginx/server.pem", chain).replace("/etc/nginx/server.key", certs.key("old"))
               .replace("/etc/nginx/device-cas.pem", root).replace("http://127.0.0.1:8088", proxy.url)
               .replace("http://127.0.0.1:9000", house.plain_url + "/register/checkpoint"))
    conf = tmp_path / "nginx.conf"
    temporary = "".join(f"{what}_temp_path {tmp_path}/{what};\n" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf.write_text(f"daemon off;\npid {tmp_path}/nginx.pid;\nerror_log {tmp_path}/nginx.log;\nevents {{}}\n"
                    f"http {{\naccess_log off;\n{temporary}{example}}}\n")
    nginx = subprocess.Popen([NGINX, "-c", str(conf), "-p", str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        url = f"https://localhost:{port}/"

        def visit(name):
            done = subprocess.run(["curl", "-ks", "--cert", certs.file(name), "--key", certs.key(name),
                                   "-o", "/dev/null", "-w", "%{http_code}", url], stdout=subprocess.PIPE, text=True, timeout=30, check=False)
            return done.stdout
        assert until(lambda: visit("old") in ("200", "400", "403") and visit("old")) == "200"
        assert visit("bad") == "403"
        uplink.down = True
        assert visit("old") == "200" and visit("bad") == "403"
        proxy.stop()
        assert visit("old") == "500", "without an answer nobody gets in"
    finally:
        nginx.terminate()
        nginx.wait(SECONDS)


# ---- OCSP, from a responder that others wrote


@pytest.fixture
def responder(openssl, tmp_path):
    openssl.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                "-subj", "/CN=OCSP test CA", "-days", "30", "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "subjectKeyIdentifier=hash")
    for name, serial in (("one", 1001), ("two", 1002)):
        openssl.csr(name, f"/CN={name}")
        openssl.run("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", str(serial), "-days", "20",
                    "-out", name + ".pem")
    (tmp_path / "index.txt").write_text("V\t301231235959Z\t\t03E9\tunknown\t/CN=one\nR\t301231235959Z\t260101000000Z\t03EA\tunknown\t/CN=two\n")
    port = free_port()
    program = os.environ.get("OPENSSL", "openssl")
    process = subprocess.Popen([program, "ocsp", "-port", str(port), "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem",
                                "-rkey", "ca.key", "-ndays", "1"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(SECONDS)


def test_status_proxy__ocsp(openssl, responder, make_proxy):
    wire = Uplink(responder)
    try:
        proxy = make_proxy(wire.url, crls=False).start()

        def ask(name, *options):
            done = openssl.run("ocsp", "-issuer", "ca.pem", "-cert", name + ".pem", "-url", proxy.url + "/ocsp", "-CAfile", "ca.pem",
                               *options, ok=None)
            return (done.stdout + done.stderr).decode()
        assert "one.pem: good" in until(lambda: (lambda t: t if "good" in t else None)(ask("one", "-no_nonce")))
        assert "two.pem: revoked" in ask("two")  # with a nonce: relayed, not kept
        before = len(wire.seen)
        assert "one.pem: good" in ask("one", "-no_nonce")
        assert len(wire.seen) == before, "kept: upstream was not asked again"

        # Without the uplink what was kept is answered, also by one that was started anew; the rest is tried later.
        wire.down = True
        proxy.stop()
        proxy.start()
        assert "one.pem: good" in ask("one", "-no_nonce")
        assert "trylater" in ask("two", "-no_nonce")
        assert get(proxy.url + "/ocsp", {"Content-Type": "application/ocsp-request"}, b"nonsense")[2] == bytes.fromhex("30030a0101")
        openssl.run("ocsp", "-issuer", "ca.pem", "-cert", "one.pem", "-no_nonce", "-reqout", "one.req")
        with open(openssl.file("one.req"), "rb") as f:
            encoded = __import__("base64").b64encode(f.read()).decode()
        status, headers, _ = get(proxy.url + "/ocsp/" + urllib.request.quote(encoded, safe=""))
        assert status == 200 and "max-age" in headers["Cache-Control"] and int(headers["X-Touchmark-Age"]) >= 0
    finally:
        wire.close()


def test_status_proxy__bad_configuration(program, tmp_path):
    path = tmp_path / "proxy.yaml"

    def refused(text):
        path.write_text(text)
        done = subprocess.run([program, "status-proxy", "--config", str(path)], stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        assert done.returncode == 1
        return done.stderr
    assert "proxy.yaml:2:" in refused("upstream: http://x\nfilter: y\nstate: s\nauthorities: []\n")
    assert "http://host" in refused("upstream: https://x\nstate: s\nauthorities: [a.pem]\n")
    assert "a.pem" in refused("upstream: http://x\nstate: s\nauthorities: [a.pem]\n")
