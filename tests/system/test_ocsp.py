"""OCSP seen from outside: openssl and GnuTLS agree with the register, over POST and GET, for SHA-1 and SHA-256 CertIDs; caching; weather."""
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse

import pytest

OCSP_SECONDS = 30


def write_ca(house, openssl, name="issuing-ca"):
    path = openssl.file(name + ".pem")
    if not os.path.exists(path):
        with open(path, "w", encoding="ascii") as f:
            f.write(house.cli("ca", "export", name).stdout)
    return path


def issue(house, openssl, name):
    csr = openssl.csr(name, f"/CN={name}.example.org", f"DNS:{name}.example.org")
    path = openssl.file(name + ".pem")
    house.cli("cert", "issue", "--profile", "server-internal-1y", "--csr", csr, "--out", path)
    return path, openssl.text("x509", "-in", path, "-noout", "-serial").strip().split("=")[1]


def wait_for_responder(house, authority="issuing-ca"):
    deadline = time.monotonic() + OCSP_SECONDS
    while time.monotonic() < deadline:
        if house.cli_json("ocsp", "show", authority)["certificate_ends"]:
            return
        time.sleep(0.2)
    raise AssertionError("the responder never got its certificate: " + house.log())


def ask(house, openssl, cert, *options, ca=None):
    """openssl's own client; what it says of the certificate. It checks the signature under the CA."""
    ca = ca or write_ca(house, openssl)
    done = openssl.run("ocsp", "-issuer", ca, *options, "-cert", cert, "-url", house.plain_url + "/ocsp", "-CAfile", ca,
                       "-partial_chain", "-trust_other", ok=False)
    text = (done.stdout + done.stderr).decode()
    return text


def request_der(house, openssl, cert, *options):
    path = openssl.file("request.der")
    openssl.run("ocsp", "-issuer", write_ca(house, openssl), *options, "-cert", cert, "-no_nonce", "-reqout", path)
    with open(path, "rb") as f:
        return f.read()


def get(house, der, headers=None):
    return house.plain("/ocsp/" + urllib.parse.quote(base64.b64encode(der).decode(), safe=""), headers=headers)


def metric(house, where):
    text = house.plain("/metrics", port="admin").body.decode()
    return int(re.search(r'touchmark_ocsp_answers_total\{from="%s"\} (\d+)' % where, text).group(1))


@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
def test_ocsp__openssl_agrees(house, openssl, digest):
    wait_for_responder(house)
    name = "ocsp" + digest
    cert, serial = issue(house, openssl, name)
    text = ask(house, openssl, cert, digest, "-no_nonce")
    assert "Response verify OK" in text and f"{name}.pem: good" in text, text
    house.cli("cert", "revoke", serial, "--reason", "keyCompromise")
    text = ask(house, openssl, cert, digest, "-no_nonce")
    assert "Response verify OK" in text and f"{name}.pem: revoked" in text and "Reason: keyCompromise" in text, text


def test_ocsp__several_authorities_in_one_responder(house, openssl):
    """A certificate of the other CA is answered for by that one's responder; the root's key is elsewhere: nobody answers for it."""
    wait_for_responder(house, "device-ca")
    with open(openssl.file("issuing.pem"), "w", encoding="ascii") as f:
        f.write(house.cli("ca", "export", "issuing-ca").stdout)
    text = ask(house, openssl, openssl.file("issuing.pem"), "-no_nonce", ca=write_ca(house, openssl, "root"))
    assert "unauthorized" in text, text
    text = openssl.run("ocsp", "-issuer", write_ca(house, openssl, "device-ca"), "-serial", "0x0123456789", "-no_nonce", "-url",
                       house.plain_url + "/ocsp", "-CAfile", write_ca(house, openssl, "device-ca"), "-partial_chain",
                       ok=False).stdout.decode()
    assert "0x0123456789: unknown" in text, text


def test_ocsp__gnutls_agrees(house, openssl):
    tool = shutil.which("ocsptool") or pytest.skip("ocsptool is not installed")
    wait_for_responder(house)
    ca = write_ca(house, openssl)
    cert, serial = issue(house, openssl, "ocsp-gnutls")

    def look():
        der = openssl.file("gnutls.req")
        subprocess.run([tool, "--generate-request", "--load-issuer", ca, "--load-cert", cert, "--no-nonce", "--outder", "--outfile", der],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(der, "rb") as f:
            reply = house.plain("/ocsp/" + urllib.parse.quote(base64.b64encode(f.read()).decode(), safe=""))
        with open(openssl.file("gnutls.resp"), "wb") as f:
            f.write(reply.body)
        done = subprocess.run([tool, "--verify-response", "--load-trust", ca, "--load-request", der, "--infile",
                               openssl.file("gnutls.resp"), "--inder"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout

    text = look()
    assert "Verifying OCSP Response: Success" in text and "Certificate Status: good" in text, text
    house.cli("cert", "revoke", serial, "--reason", "superseded")
    text = look()
    assert "Certificate Status: revoked" in text, text


def test_ocsp__hold_and_release(house, openssl):
    wait_for_responder(house)
    cert, serial = issue(house, openssl, "ocsp-hold")
    house.cli("cert", "hold", serial)
    text = ask(house, openssl, cert, "-no_nonce")
    assert "ocsp-hold.pem: revoked" in text and "certificateHold" in text, text
    house.cli("cert", "release", serial)
    assert "ocsp-hold.pem: good" in ask(house, openssl, cert, "-no_nonce")


def test_ocsp__caching(house, openssl):
    """GET: an ETag, Last-Modified by thisUpdate, max-age and Expires before nextUpdate; 304; the second time from memory."""
    wait_for_responder(house)
    cert, serial = issue(house, openssl, "ocsp-cache")
    der = request_der(house, openssl, cert, "-sha256")
    first = get(house, der)
    assert first.status == 200 and first.headers["Content-Type"] == "application/ocsp-response"
    assert re.fullmatch(r"max-age=\d+, public, no-transform, must-revalidate", first.headers["Cache-Control"])
    assert first.headers["Last-Modified"] and first.headers["Expires"] and first.headers["ETag"]
    before = metric(house, "cache")
    again = get(house, der)
    assert again.body == first.body and metric(house, "cache") > before
    assert get(house, der, {"If-None-Match": first.headers["ETag"]}).status == 304
    assert get(house, der, {"If-Modified-Since": first.headers["Last-Modified"]}).status == 304
    house.cli("cert", "revoke", serial)
    fresh = get(house, der, {"If-None-Match": first.headers["ETag"]})
    assert fresh.status == 200 and fresh.body != first.body, "a revocation drops what was kept"


def test_ocsp__nonce(house, openssl):
    """Off unless the authority says otherwise; then it comes back, up to 128 octets, and no cache keeps the answer."""
    wait_for_responder(house)
    cert, _ = issue(house, openssl, "ocsp-nonce")
    assert "no nonce in response" in ask(house, openssl, cert)
    doc = house.cli_json("get", "authority", "issuing-ca")
    doc["ocsp"]["nonce"] = True
    house.cli("apply", "-f", "-", data=json.dumps(doc))
    try:
        text = ask(house, openssl, cert)
        assert "ocsp-nonce.pem: good" in text and "no nonce" not in text, text
        der = openssl.file("nonce.der")
        openssl.run("ocsp", "-issuer", write_ca(house, openssl), "-cert", cert, "-nonce", "-reqout", der)
        with open(der, "rb") as f:
            assert get(house, f.read()).headers["Cache-Control"] == "no-store"
    finally:
        doc["ocsp"]["nonce"] = False
        house.cli("apply", "-f", "-", data=json.dumps(doc))


def test_ocsp__never_issued(house, openssl):
    """A signed unknown, or the unsigned unauthorized where the authority prefers it."""
    wait_for_responder(house)
    ca = write_ca(house, openssl)
    args = ["ocsp", "-issuer", ca, "-serial", "0x0666", "-no_nonce", "-url", house.plain_url + "/ocsp", "-CAfile", ca, "-partial_chain"]
    assert "0x0666: unknown" in openssl.run(*args, ok=False).stdout.decode()
    doc = house.cli_json("get", "authority", "issuing-ca")
    doc["ocsp"]["unknown"] = "unauthorized"
    house.cli("apply", "-f", "-", data=json.dumps(doc))
    try:
        done = openssl.run(*args, ok=False)
        assert b"unauthorized" in done.stdout + done.stderr
    finally:
        doc["ocsp"]["unknown"] = "unknown"
        house.cli("apply", "-f", "-", data=json.dumps(doc))


def test_ocsp__malformed(house):
    """What is no request gets malformedRequest (or 413 where it is too large to be one), and nothing is signed."""
    malformed = bytes.fromhex("30030a0101")
    for junk in (b"", b"\x30", b"\x30\x00", b"GET", os.urandom(300), b"\x30\x82\xff\xff" + bytes(100)):
        assert get(house, junk).body == malformed
    assert house.plain("/ocsp/%25%25").body == malformed
    reply = house.request("POST", "/ocsp", bytes(20000), {"Content-Type": "application/ocsp-request"})
    assert reply.status == 413
    assert house.request("POST", "/ocsp", bytes(1000), {"Content-Type": "application/ocsp-request"}).body == malformed


def test_ocsp__for_stapling(house, openssl):
    """The answer in a file is one that openssl takes."""
    wait_for_responder(house)
    cert, serial = issue(house, openssl, "ocsp-staple")
    house.cli("ocsp", "answer", serial, "-O", openssl.file("staple.der"))
    ca = write_ca(house, openssl)
    done = openssl.run("ocsp", "-respin", openssl.file("staple.der"), "-issuer", ca, "-sha256", "-cert", cert, "-CAfile", ca,
                       "-partial_chain", "-no_nonce", ok=False)
    text = (done.stdout + done.stderr).decode()
    assert "Response verify OK" in text and "good" in text, text


def test_ocsp__answers_outlive_the_signer(new_house, openssl):
    """The signer gone for good (its passphrase can't be read again): what was signed is served on, what was not is tryLater, and the
    register still verifies when the house is started anew."""
    house = new_house("outage")
    house.start()
    wait_for_responder(house)
    kept, _ = issue(house, openssl, "ocsp-kept")
    new, _ = issue(house, openssl, "ocsp-new")
    assert ": good" in ask(house, openssl, kept, "-no_nonce")
    hidden = os.path.join(house.home, "passphrase")
    os.rename(hidden, hidden + ".away")
    pids = subprocess.run(["pgrep", "-P", str(house.process.pid)], stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    children = [p for pid in pids for p in subprocess.run(["pgrep", "-P", pid], stdout=subprocess.PIPE, text=True, check=False).stdout.split()]
    for pid in children:
        os.kill(int(pid), 9)
    time.sleep(0.5)
    try:
        assert ": good" in ask(house, openssl, kept, "-no_nonce")
        assert "trylater" in ask(house, openssl, new, "-no_nonce")
        assert metric(house, "try-later") >= 1
    finally:
        os.rename(hidden + ".away", hidden)
    house.stop()
    assert house.cli("register", "verify").returncode == 0
    house.start()
    wait_for_responder(house)
    assert ": good" in ask(house, openssl, new, "-no_nonce")


def test_ocsp__register_stays_whole(house):
    """Many answers, few entries: the chain over everything signed has no gap."""
    deadline = time.monotonic() + OCSP_SECONDS
    while time.monotonic() < deadline:
        status = house.cli_json("status")
        if status["register"]["signatures_waiting"] == 0:
            break
        time.sleep(0.2)
    for tenant in ("default", "house"):
        house.cli("register", "verify", "--tenant", tenant)


def test_ocsp__nginx_staples(house, openssl):
    """nginx asks the responder in the certificate's AIA stead (ssl_stapling_responder) and curl sees the staple."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or pytest.skip("nginx is not installed")
    wait_for_responder(house)
    csr = openssl.csr("localhost", "/CN=localhost", "DNS:localhost")
    chain = openssl.file("chain.pem")
    house.cli("cert", "issue", "--profile", "server-internal-1y", "--csr", csr, "--out", openssl.file("leaf.pem"))
    with open(openssl.file("leaf.pem"), encoding="ascii") as leaf, open(chain, "w", encoding="ascii") as out:
        out.write(leaf.read() + house.cli("ca", "export", "issuing-ca").stdout)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    home = openssl.dir
    with open(openssl.file("nginx.conf"), "w", encoding="ascii") as f:
        f.write(f"""daemon off; pid {home}/nginx.pid; error_log {home}/nginx.log info; worker_processes 1;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;
  scgi_temp_path {home}/s;
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {chain}; ssl_certificate_key {openssl.file("localhost.key")};
    ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate {house.ca_bundle}; ssl_stapling_responder {house.plain_url}/ocsp;
    location / {{ return 200 "stapled"; }} }} }}
""")
    server = subprocess.Popen([nginx, "-p", home, "-c", openssl.file("nginx.conf")], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        curl = shutil.which("curl") or pytest.skip("curl is not installed")
        deadline = time.monotonic() + OCSP_SECONDS
        while True:
            done = subprocess.run([curl, "-sv", "--cert-status", "--cacert", house.ca_bundle, f"https://localhost:{port}/"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            if done.returncode == 0 or time.monotonic() > deadline:
                break
            time.sleep(0.3)  # nginx asks after the first handshake
        assert done.returncode == 0 and done.stdout == b"stapled", done.stderr.decode() + open(openssl.file("nginx.log")).read()
    finally:
        server.terminate()
        server.wait(10)
