"""Certificates out of Certificate Transparency logs: RFC 6962's get-entries and static logs of tiles, each played by a small server."""
import base64
import hashlib
import http.server
import json
import struct
import threading
import urllib.parse

import pytest


def u24(b):
    return struct.pack(">I", len(b))[1:] + b


class Log:
    """Entries (DER of certificate, issuer, whether it is a precertificate) as one kind of log shows them."""

    def __init__(self, entries, tiles=False):
        self.entries, self.tiles, self.asked, self.fail_next, self.cut = entries, tiles, [], 0, None
        self.said = None  # it has grown since it said so, and has whole tiles alone

    def timestamped(self, i):
        der, _, pre = self.entries[i]
        body = bytes(32) + u24(b"tbs") if pre else u24(der)
        return struct.pack(">QH", 1700000000000 + i, 1 if pre else 0) + body + struct.pack(">H", 0)

    def answer(self, path):
        url = urllib.parse.urlsplit(path)
        self.asked.append(path)
        if self.fail_next and "entries" in path:
            self.fail_next -= 1
            return 429, b"slow down"
        n = len(self.entries)
        if not self.tiles and url.path == "/log/ct/v1/get-sth":
            return 200, json.dumps({"tree_size": n, "timestamp": 1}).encode()
        if not self.tiles and url.path == "/log/ct/v1/get-entries":
            q = {k: int(v[0]) for k, v in urllib.parse.parse_qs(url.query).items()}
            out = []
            for i in range(q["start"], min(q["end"] + 1, n, q["start"] + 100)):  # a server gives fewer than it is asked for
                der, issuer, pre = self.entries[i]
                extra = (u24(der) if pre else b"") + u24(u24(issuer))
                out.append({"leaf_input": base64.b64encode(b"\0\0" + self.timestamped(i)).decode(),
                            "extra_data": base64.b64encode(extra).decode()})
            return 200, json.dumps({"entries": out}).encode()
        if self.tiles and url.path == "/log/checkpoint":
            return 200, b"log.example\n%d\n%s\n" % (self.said or n, base64.b64encode(bytes(32)))
        if self.tiles and url.path.startswith("/log/tile/data/"):
            tail = url.path[len("/log/tile/data/"):]
            number, _, width = tail.partition(".p/")
            first = int(number.replace("x", "").replace("/", "")) * 256
            width = int(width or 256)
            if first + width > n or (self.said and ".p/" in tail):
                return 404, b""
            out = b""
            for i in range(first, first + width):
                der, issuer, pre = self.entries[i]
                if i == self.cut:
                    return 200, out + b"\xff" * 50
                out += self.timestamped(i) + (u24(der) if pre else b"") + struct.pack(">H", 32) + hashlib.sha256(issuer).digest()
            return 200, out
        if self.tiles and url.path.startswith("/log/issuer/"):
            for _, issuer, _ in self.entries:
                if hashlib.sha256(issuer).hexdigest() == url.path[len("/log/issuer/"):]:
                    return 200, issuer
        return 404, b""


@pytest.fixture
def serve():
    """serve(log) → its address."""
    running = []

    def start(log):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = log.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}/log"

    yield start
    for s in running:
        s.shutdown()
        s.server_close()


@pytest.fixture
def certs(openssl):
    """DER by name, and their issuer."""
    ssl = openssl
    ssl.key("ct-root")
    ssl.run("req", "-x509", "-new", "-key", "ct-root.key", "-subj", "/CN=CT Root", "-days", "300", "-out", "ct-root.pem")
    made = {}
    for name in ("www.ct-a.example", "*.ct-a.example", "ct-b.example"):
        file = name.replace("*", "any")
        ssl.csr(file, "/CN=" + name, "DNS:" + name)
        ssl.run("x509", "-req", "-in", file + ".csr", "-CA", "ct-root.pem", "-CAkey", "ct-root.key", "-days", "90", "-copy_extensions", "copy",
                "-out", file + ".pem")
        made[name] = ssl.der(file + ".pem", "x509")
    made["root"] = ssl.der("ct-root.pem", "x509")
    return made


def entries(certs, n):
    """n entries, of which the 3rd, the 130th and the last are in ct-a.example."""
    root = certs["root"]
    out = [(certs["ct-b.example"], root, False)] * n
    out[2] = (certs["www.ct-a.example"], root, False)
    out[129] = (certs["*.ct-a.example"], root, True)
    out[-1] = (certs["www.ct-a.example"], root, False)
    return out


@pytest.mark.parametrize("tiles", [False, True], ids=["rfc6962", "tiles"])
def test_a_log_is_followed(house, certs, serve, tiles):
    log = Log(entries(certs, 300), tiles)
    url = serve(log)
    log.fail_next = 1
    run = house.cli_json("discover", "ct", url, "--domain", "ct-a.example", "--from", "0")
    assert (run["status"], run["total"], run["done"], run["answered"]) == ("done", 300, 300, 3)
    assert run["new_places"] == 3 and run["spec"]["next"] == 300
    name = "ct:" + urllib.parse.urlsplit(url).netloc + "_log"
    places = {p["place"]: p for p in house.api("GET", "/places?limit=1000&host=" + name).json["items"]}
    assert {f"{name}/2", f"{name}/129", f"{name}/299"} <= set(places)
    assert places[f"{name}/129"]["details"] == {"precertificate": True} and len(places[f"{name}/129"]["chain"]) == 2
    # The next run goes on where this one stopped.
    log.entries = log.entries + [(certs["*.ct-a.example"], certs["root"], False)]
    log.asked.clear()
    again = house.cli_json("discover", "ct", url, "--domain", ".CT-A.example")
    assert (again["total"], again["answered"], again["spec"]["next"]) == (1, 1, 301)
    if not tiles:
        assert any("start=300&end=300" in path for path in log.asked)
    assert house.cli_json("discover", "ct", url, "--domain", "ct-a.example")["total"] == 0
    # What that search passed over, another one is for.
    other = house.cli_json("discover", "ct", url, "--domain", "ct-b.example")
    assert (other["total"], other["answered"]) == (301, 297)


def test_what_is_behind_a_damaged_entry(house, certs, serve):
    """Lengths that are wrong cost the rest of their tile, and nothing of the next one."""
    log = Log(entries(certs, 300), True)
    log.cut = 200
    run = house.cli_json("discover", "ct", serve(log), "--domain", "ct-a.example", "--from", "100")
    assert (run["status"], run["answered"], run["failed"], run["spec"]["next"]) == ("done", 2, 1, 300)


def test_a_log_that_grows(house, certs, serve):
    log = Log(entries(certs, 600), True)
    log.said = 300
    run = house.cli_json("discover", "ct", serve(log), "--domain", "ct-b.example", "--from", "0")
    assert (run["status"], run["done"], run["answered"], run["spec"]["next"]) == ("done", 300, 298, 300)


def test_only_the_newest_at_first_and_what_was_saved(house, certs, serve, tmp_path):
    log = Log(entries(certs, 300))
    rows = house.cli_json("discover", "ct", serve(log), "--max", "5", "--dry-run")
    assert [r["place"].rpartition("/")[2] for r in rows] == ["295", "296", "297", "298", "299"]
    saved = tmp_path / "entries.json"
    saved.write_bytes(log.answer("/log/ct/v1/get-entries?start=0&end=9")[1])
    rows = house.cli_json("discover", "ct", str(saved), "--domain", "ct-a.example", "--dry-run")
    assert [r["place"] for r in rows] == ["ct:entries.json/2"]
    tile = tmp_path / "tile"
    tile.write_bytes(Log(entries(certs, 300), True).answer("/log/tile/data/000")[1])
    rows = house.cli_json("discover", "ct", str(tile), "--domain", "ct-a.example", "--dry-run", "--from", "256")
    assert [r["place"] for r in rows] == ["ct:tile/258", "ct:tile/385"]


def test_what_is_no_log_is_told(house, serve):
    done = house.cli("discover", "ct", serve(Log([], False)) + "/other", "--dry-run", ok=False)
    assert "no log of RFC 6962" in done.stderr
    assert house.cli("discover", "ct", "ftp://x/", ok=False).returncode == 2
