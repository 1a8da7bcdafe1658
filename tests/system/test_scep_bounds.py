"""What strangers, and services that hang, can have of a SCEP endpoint: no more than their share."""
import concurrent.futures
import http.server
import json
import os
import ssl
import sys
import threading

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
import scep  # noqa: E402
from test_scep import apply, approved, token, yaml_of  # noqa: E402


@pytest.fixture
def client(house, openssl):
    return scep.Client(house.plain_url, openssl)


def signatures(house, authority):
    """How many messages have been signed in its name."""
    n, after = 0, ""
    while True:
        page = house.api("GET", f"/register/events?type=message.signed&subject=authority/{authority}&limit=1000{after}").json
        n += len(page["items"])
        if not page.get("next"):
            return n
        after = f"&after={page['next']}"


def test_next_ca_cert__is_signed_once(house, client):
    doc = yaml_of(house, "authorities", "device-ca")
    apply(house, {**doc, "successor": "issuing-ca"})
    try:
        first = client.get("GetNextCACert")
        assert first[0] == 200
        before = signatures(house, "device-ca")
        assert {client.get("GetNextCACert") for _ in range(20)} == {first}
        assert signatures(house, "device-ca") == before
        # Another content is another message.
        apply(house, {**yaml_of(house, "authorities", "device-ca"), "successor": "root"})
        status, _, other = client.get("GetNextCACert")
        assert status == 200 and other != first[2]
        assert signatures(house, "device-ca") == before + 1
    finally:
        doc = yaml_of(house, "authorities", "device-ca")
        doc.pop("successor", None)
        apply(house, doc)


class Hangs(http.server.BaseHTTPRequestHandler):
    """Allows everything, and is never done hearing what came of it."""

    def do_POST(self):
        doc = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if doc["event"] == "outcome":
            self.server.hanging.release()
            self.server.over.wait(120)
        answer = b'{"allow": true, "names": []}' if doc["challenge"] == "nobody" else b'{"allow": true}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture
def hangs(openssl):
    openssl.key("hook")
    openssl.run("req", "-x509", "-new", "-key", "hook.key", "-subj", "/CN=hook", "-days", "2", "-addext", "subjectAltName=DNS:localhost", "-out", "hook.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hangs)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(openssl.file("hook.pem"), openssl.file("hook.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.hanging, server.over = threading.Semaphore(0), threading.Event()
    with open(openssl.file("hook.pem"), encoding="ascii") as f:
        server.pem = f.read()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()


def test_webhook__that_hangs_keeps_nobody_waiting(new_house, openssl, hangs):
    """Neither other clients nor the end of the server: more outcomes are to be told than the door has threads, each for a minute."""
    house = new_house().start()
    apply(house, {"kind": "Endpoint", "name": "mdm", "protocol": "scep", "profiles": ["device-ldevid-1y"], "scep": {
        "challenges": ["webhook"], "webhook": {"url": f"https://localhost:{hangs.server_port}/", "secret": "hook secret", "ca": hangs.pem,
                                               "networks": ["127.0.0.0/8", "::1/128"], "timeout": "60s"}}})
    mdm, own = scep.Client(house.plain_url, openssl, "/scep/mdm"), scep.Client(house.plain_url, openssl)
    for i in range(10):
        reply = mdm.enroll(scep.new_key("ec"), f"hangs-{i}", f"challenge {i}")
        assert reply.status == scep.SUCCESS, reply
    for _ in range(2):
        assert hangs.hanging.acquire(timeout=30)
    assert own.enroll(scep.new_key("ec"), "others", token(house, "CN=others")).status == scep.SUCCESS
    refused = mdm.enroll(scep.new_key("ec"), "hangs-nobody", "nobody")
    assert refused.fail == scep.BAD_REQUEST and "allows no name" in refused.text, "an empty list is no open one"
    assert house.stop() == 0


def test_copies__that_come_at_once(house, openssl, approved):
    """A client, or something on the way, that sends its request several times: each copy has the same answer, waiting or a certificate."""
    for label, cn, expected in (("scep-approved", "copies-wait", scep.PENDING), ("scep", "copies", scep.SUCCESS)):
        client, key = scep.Client(house.plain_url, openssl, "/scep/" + label), scep.new_key("ec")
        challenge = token(house, "CN=" + cn, endpoint=label)
        body = scep.message(scep.envelope(scep.request(key, cn, challenge), client.ra), scep.self_signed(key, cn), key, scep.PKCS_REQ, cn)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(client.send, [body] * 8))
        assert {r.status for r in replies} == {expected}, replies
        if expected == scep.SUCCESS:
            assert len({client.open(r, key, password=challenge)[0].serial_number for r in replies}) == 1
    for r in house.cli_json("request", "list", "--status", "pending"):
        if r["request"]["endpoint"] == "scep-approved":
            house.cli("request", "reject", r["id"])
