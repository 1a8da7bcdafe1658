"""`touchmark discover scan` over a farm of servers on loopback addresses: each situation is told right and kept right, a second scan finds what has
changed and nothing else, and long scans survive what happens to the server."""
import contextlib
import datetime
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa

from conftest import House, Openssl
from scan_farm import Farm, der, fingerprint
from scan_situations import ALL, service_situations

SETTINGS = {"timeout": "1s", "connect-timeout": "1s", "rate": 10000, "rate-per-host": 1000}
# What the scan calls otherwise than the keyword that says so here.
WORDS = {"version": "protocol", "chain_": "chain"}
# Of what was said, what a place keeps beside its chain.
DETAILS = ("version", "cipher", "group", "alpn", "starttls", "dh_bits", "client_auth", "secure_renegotiation", "legacy_hello", "pq", "chain_sent")
# Rules that say of a certificate or of a place what is wrong with it, whoever owns it and whatever becomes of it.
RULES = {"key.weak", "hash.weak", "ca.shadow", "expired", "self-signed", "lifetime.wrong", "lifetime.too-long", "chain.incomplete"}


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("nginx is not installed")
    directory = tmp_path_factory.mktemp("farm")
    f = Farm(directory, Openssl(directory))
    f.house = House(directory / "home")
    try:
        with ThreadPoolExecutor(2) as pool:
            services = pool.submit(service_situations, f, f.certs)
            started = pool.submit(lambda: f.house.start())
            for situations in ALL:
                situations(f, f.certs)
            f.nginx_start()
            services.result()
            started.result()
        yield f
    finally:
        f.house.stop()
        f.stop()


class Scanned:
    """A house that has scanned the farm once, and what it said."""

    def __init__(self, house, farm):
        self.house, self.farm = house, farm
        for name, anchor, inter in (("vendor", farm.vendor, ()), ("public", farm.public, [farm.public_inter])):
            pem = [c[0].public_bytes(serialization.Encoding.PEM).decode() for c in (anchor, *inter)]
            self.apply({"kind": "TrustSet", "name": "farm-" + name, "anchors": pem[:1], "intermediates": pem[1:], "issuers": name})
        self.own = f"127.0.0.1:{house.ports['enrollment']}"
        self.targets = farm.targets + ["tls://" + self.own]
        self.apply({"kind": "Scan", "name": "farm", "targets": self.targets, **SETTINGS})
        self.results = json.loads(house.cli("discover", "scan", "--scan", "farm", "--all", "-o", "json").stdout)
        [self.first] = house.api("GET", "/discovery/runs?name=farm").json["items"]

    def apply(self, resource):
        self.house.cli("apply", "-f", "-", data=json.dumps(resource))

    def all(self, path, items="items"):
        """Every page."""
        found, after = [], ""
        while True:
            page = self.house.api("GET", f"{path}{'&' if '?' in path else '?'}limit=1000{after}").json
            found += page[items]
            if not page.get("next"):
                return found
            after = "&after=" + page["next"]


@pytest.fixture(scope="module")
def scanned(farm):
    return Scanned(farm.house, farm)


def scan(program, *args):
    return subprocess.run([program, "discover", "scan", *args, "--timeout", "1s", "--rate", "10000", "--rate-per-host", "1000", "-o", "json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)


def wrong(expected, got, keys=None):
    wanted = {k: v for k, v in expected.items() if k[0] != "_" and (keys is None or k in keys)}
    return {k: (v, got.get(WORDS.get(k, k))) for k, v in wanted.items() if got.get(WORDS.get(k, k)) != v}


def test_every_situation_is_told_right(farm, scanned):
    got = {x["place"]: x for x in scanned.results}
    house = got.pop("tls:" + scanned.own)
    assert house["status"] == "certificate" and house["issuer"] != house["subject"]
    assert len(farm.situations) >= 60
    assert len({json.dumps({k: str(v) for k, v in x.items()}, sort_keys=True) + place.partition(":")[0]
                for place, x in farm.situations.items()}) >= 60
    assert set(got) == set(farm.situations)
    bad = {place: (wrong(x, got[place]), got[place]) for place, x in farm.situations.items() if wrong(x, got[place])}
    assert not bad, json.dumps(bad, indent=1)


@pytest.mark.parametrize("service", ["nginx", "openssl", "postfix", "dovecot", "postgres", "slapd", "mariadb"])
def test_services_are_real(farm, service):
    """Of each there are situations, all of them told right above; what is not installed is said to be missing."""
    if service in farm.services.lacking:
        pytest.skip(farm.services.lacking[service])
    assert [x for x in farm.situations.values() if x["_service"] == service and x["status"] == "certificate"]


def test_every_situation_is_kept_right(farm, scanned):
    """Chains as they were sent, whose hand each certificate is from, and what was agreed on; of places without a certificate nothing."""
    first = scanned.first
    with_certificate = {p: x for p, x in farm.situations.items() if x["status"] == "certificate"}
    assert first["status"] == "done" and first["total"] == len(scanned.targets)
    assert first["answered"] == first["new_places"] == len(with_certificate) + 1 and first["refused"] == 1
    places = {p["place"]: p for p in scanned.all("/places")}
    own = places.pop("tls:" + scanned.own)
    assert set(places) == set(with_certificate)
    for place, x in with_certificate.items():
        got = places[place]
        assert got["chain"] == [fingerprint(c) for c in x["_sent"]][:16], place
        assert got["status"] == "present" and got["via"] == "scan" and got["found_by"] == got["run"] == first["id"]
        assert not wrong(x, got["details"], DETAILS), (place, wrong(x, got["details"], DETAILS))
        assert ("refused" in got) == (x.get("readable") is False)
    certificates = {c["fingerprint"]: c for c in scanned.all("/certificates")}
    assert certificates[own["chain"][0]]["issuer_class"] == "own"
    told = {x: certificates[x]["issuer_class"] for x in farm.certs.classes if x in certificates}
    bad = [(certificates[x]["subject"], certificates[x]["signature"], told[x]) for x in told if told[x] != farm.certs.classes[x]]
    assert not bad and set(told.values()) == {"self-signed", "unknown", "vendor", "public"}, bad
    sent = {fingerprint(c) for x in with_certificate.values() for c in x["_sent"][:16]}
    assert sent - set(certificates) == {fingerprint(c) for x in with_certificate.values() if x.get("readable") is False for c in x["_sent"]}


def known(ask):
    """None where it isn't there, or Python's library is older than the algorithm."""
    try:
        return ask()
    except (UnsupportedAlgorithm, ValueError, x509.ExtensionNotFound):
        return None


def wrong_with(cert, known_ca):
    """The rules that a certificate breaks, told from itself."""
    c = x509.load_der_x509_certificate(der(cert))
    ca = known(lambda: c.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    server = known(lambda: c.extensions.get_extension_for_class(x509.ExtendedKeyUsage))
    now = datetime.datetime.utcnow()
    if c.not_valid_after < now:
        return {"expired"}
    key, digest, by_itself = known(lambda: c.public_key()), known(lambda: c.signature_hash_algorithm), c.issuer == c.subject
    days = (c.not_valid_after - c.not_valid_before).days
    return {rule for rule, true in {
        "self-signed": by_itself and not ca, "ca.shadow": ca and not known_ca, "lifetime.wrong": c.not_valid_before > now,
        "key.weak": isinstance(key, dsa.DSAPublicKey) or isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048,
        "hash.weak": isinstance(digest, hashes.SHA1), "lifetime.too-long": server and days > 825}.items() if true}


def test_every_situation_is_judged_right(farm, scanned):
    """What is wrong with what was found is found, each by its rule and nothing else: told from the certificates themselves."""
    scanned.house.cli("finding", "run", "--wait")
    certificates = {c["serial"]: c["fingerprint"] for c in scanned.all("/certificates")}
    places = {p["id"]: p["place"] for p in scanned.all("/places")}
    found = {(f["rule"], certificates.get(f["subject"].partition("/")[2]) or places.get(f["subject"].partition("/")[2]))
             for f in scanned.all("/findings?status=open") if f["rule"] in RULES}
    trusted = {fingerprint(c) for c in (farm.vendor, farm.public, farm.public_inter)}
    expected = set()
    for place, x in farm.situations.items():
        if x["status"] == "certificate" and x.get("readable") is not False:
            expected |= {(rule, fingerprint(c)) for c in x["_sent"][:16] for rule in wrong_with(c, fingerprint(c) in trusted)}
            expected |= {("chain.incomplete", place)} if x["_incomplete"] else set()
    assert found == expected, (found - expected, expected - found)


def test_names_are_asked_for(program, farm):
    names = ["other.example.org", "late.example.org", "else.example.org"]
    done = scan(program, *(p.replace(":", "://", 1) for p in farm.named), "--names", ",".join(names), "--print")
    got = {place: {} for place in farm.named}
    for x in json.loads(done.stdout):
        place, _, name = x["place"].partition("/")
        got[place][name] = x.get("subject") or x["alert"]
    assert got == farm.named


def test_versions_are_asked_for(program, farm):
    done = scan(program, *(f"{a}:{farm.port}" for a in (farm.plain, farm.all_versions, farm.hybrid)), "--versions", "--print")
    got = {x["address"]: (x["versions"], x["pq"]) for x in json.loads(done.stdout)}
    assert got == {farm.plain: (["TLS 1.2", "TLS 1.3"], False),
                   farm.all_versions: (["TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"], False),
                   farm.hybrid: (["TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"], True)}


def test_hostile_names_do_not_reach_the_terminal(program, farm):
    done = subprocess.run([program, "discover", "scan", f"{farm.hostile}:{farm.port}", "--print"], stdout=subprocess.PIPE, text=True, timeout=60)
    assert "alert(1)" in done.stdout
    assert not any(c in done.stdout for c in "\x1b\u202e")


def test_dry_run_and_refusals(program):
    def run(*args):
        return subprocess.run([program, "discover", "scan", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    plan = json.loads(run("10.0.0.0/24", "--ports", "443,8000-8001", "--dry-run", "-o", "json").stdout)
    assert plan["total"] == 768 and plan["items"][0]["ports"] == ["tls:443", "tls:8000", "tls:8001"]
    refused = run("203.0.113.0/24", "--dry-run")
    assert refused.returncode == 1 and "allow" in refused.stderr
    assert json.loads(run("203.0.113.0/24", "--dry-run", "--allow", "203.0.113.0/24", "-o", "json").stdout)["total"] == 256
    assert run("--print").returncode == 2
    assert run("10.0.0.1", "--ports", "ssh:22", "--print").returncode == 1
    assert run("no-such-host.invalid", "--print", "-o", "json").stdout.count("no-address") == 2


def finished(house, run, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        r = house.api("GET", f"/discovery/runs/{run}").json
        if r["status"] not in ("waiting", "running"):
            return r
        assert time.monotonic() < deadline, r
        time.sleep(0.1)


def test_a_second_scan_finds_what_has_changed(farm, scanned):
    """Exactly that: certificates replaced, a chain completed, servers and services gone, switched off and new; a version that has changed is no news."""
    house, fresh = scanned.house, farm.certs.make("fresh")
    certificate = [a for a in farm.blocks if farm.situations[farm.place(a)]["status"] == "certificate"]
    replaced, gone, chained = certificate[:3], certificate[3], farm.incomplete
    was = {p["place"]: p["chain"][0] for p in scanned.all("/places")}
    expected = {farm.place(a): ("changed", was[farm.place(a)], fingerprint(fresh)) for a in replaced}
    expected[farm.place(gone)] = ("gone", was[farm.place(gone)], None)

    def nginx(a, cert, more=""):
        return f"server {{ listen {a}:{farm.port} ssl; ssl_certificate {cert}.pem; ssl_certificate_key {cert}.key; {more} }}"
    blocks, new = dict(farm.blocks), farm.address()
    for a in replaced:
        farm.blocks[a] = nginx(a, fresh[2])
    del farm.blocks[gone]
    older = certificate[5]
    farm.blocks[older] = blocks[older].replace("ssl_protocols TLSv1;", "ssl_protocols TLSv1.1;")
    assert farm.blocks[older] != blocks[older]
    farm.blocks[chained] = blocks[chained].replace(farm.files[chained], farm.certs.chain(farm.situations[farm.place(chained)]["_sent"][0],
                                                                                                 farm.certs.inter)[0])
    assert farm.blocks[chained] != blocks[chained]
    expected[farm.place(chained)] = ("chain", was[farm.place(chained)], was[farm.place(chained)])
    farm.blocks[new] = nginx(new, fresh[2])
    expected[farm.place(new)] = ("new", None, fingerprint(fresh))
    s = farm.services
    if "postfix" not in s.lacking:  # another certificate
        process, a = farm.postfix
        s.stop_one(process)
        farm.postfix = s.start_postfix(a, [fresh]), a
        expected[farm.place(a, "smtp")] = ("changed", was[farm.place(a, "smtp")], fingerprint(fresh))
    if "postgres" not in s.lacking:  # TLS switched off
        process, a = farm.postgres
        s.stop_one(process)
        farm.postgres = s.start_postgres(a, name="c"), a
        expected[farm.place(a, "postgres")] = ("gone", was[farm.place(a, "postgres")], None)
    farm.nginx_restart()
    farm.datagrams_restart()
    s.wait()
    scanned.apply({"kind": "Scan", "name": "farm", "targets": scanned.targets + [f"{new}:{farm.port}"], **SETTINGS})
    started = house.api("POST", "/discovery/scans", {"scan": "farm"})
    assert started.status == 201
    second = finished(house, started.json["id"])
    assert second["status"] == "done"

    def told(changes):
        return {x["place"]: (x["change"], x.get("was", {}).get("fingerprint"), x.get("now", {}).get("fingerprint")) for x in changes}
    for more in ((), (scanned.first["id"],)):
        shown = json.loads(house.cli("discover", "diff", *more, second["id"], "-o", "json").stdout)
        assert told(shown["items"] if isinstance(shown, dict) else shown) == expected
    kinds = [change for change, _, _ in expected.values()]
    changed = kinds.count("changed") + kinds.count("chain")
    assert (second["added"], second["new_places"], second["changed"], second["gone"]) == (1, 1, changed, kinds.count("gone"))

    places = {p["place"]: p for p in scanned.all("/places")}
    assert places[farm.place(older)]["details"]["protocol"] == "TLS 1.1" and not places[farm.place(older)]["before"]
    assert len(places[farm.place(chained)]["chain"]) == 2 and len(places[farm.place(chained)]["before"]) == 1
    assert places[farm.place(gone)]["status"] == "gone" and places[farm.place(gone)]["details"]["error"] == "refused"
    events = house.api("GET", "/register/events?type=discovery.done").json["items"]
    assert any(e["subject"] == f"discovery/{second['id']}" for e in events)


def test_scans_by_the_clock_over_restarts_and_canceled(new_house, farm):
    """Without a server, too. What is due begins by itself, goes on where it was when the server dies in the middle of it, and is done again when its
    time comes."""
    house = new_house()
    done = house.cli("discover", "scan", f"{farm.plain}:{farm.port}", "-o", "json")
    assert [x["status"] for x in json.loads(done.stdout)] == ["certificate"]
    assert "1 new places" in done.stderr
    assert house.cli("discover", "scan", f"{farm.plain}:{farm.port}", "--detach", ok=False).returncode == 1

    def apply(**more):
        scan = {"kind": "Scan", "name": "by-the-clock", "targets": [f"{farm.net}.7.0/25", f"{farm.plain}:{farm.port}"], "every": "1d",
                "rate-per-host": 1000, **more}
        house.cli("apply", "-f", "-", data=json.dumps(scan))

    def until(holds, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            runs = house.api("GET", "/discovery/runs?name=by-the-clock").json["items"]
            if runs and holds(runs[0]):
                return runs
            assert time.monotonic() < deadline, runs
            time.sleep(0.05)

    apply(rate=60)
    house.start()
    other = house.api("POST", "/discovery/scans", {"targets": [f"{farm.net}.8.0/22"], "rate": 1}).json["id"]
    [first] = until(lambda r: r["status"] == "running" and r["done"] >= 20)
    assert first["by"] == "house" and first["total"] == 129
    house.process.send_signal(signal.SIGKILL)
    house.process.wait()
    house.start()
    assert house.api("POST", f"/discovery/runs/{other}/cancel").status == 200
    ended = finished(house, other)
    assert ended["status"] == "canceled" and ended["why"].startswith("canceled by "), ended
    assert house.api("POST", f"/discovery/runs/{other}/cancel").status == 409
    assert house.api("POST", "/discovery/scans", {"targets": ["8.8.8.8"]}).status == 403
    assert house.api("POST", "/discovery/scans", {"scan": "none"}).status == 404
    [again] = until(lambda r: r["status"] == "done")
    assert again["id"] == first["id"] and again["done"] == 129
    apply(rate=10000)
    assert house.stop() == 0
    # As if it had been begun a day ago.
    with contextlib.closing(sqlite3.connect(os.path.join(house.home, "store", "touchmark.db"), isolation_level=None)) as store:
        which = "kind = 56 AND id = ?", (first["id"],)
        [(state,)] = store.execute("SELECT state FROM object WHERE " + which[0], which[1]).fetchall()
        doc = json.loads(state)
        doc["created_ms"] -= 86400 * 1000
        store.execute("UPDATE object SET state = ? WHERE " + which[0], (json.dumps(doc).encode(), *which[1]))
    house.start()
    runs = until(lambda r: r["id"] != first["id"] and r["status"] == "done")
    assert [r["status"] for r in runs] == ["done", "done"] and runs[1]["id"] == first["id"]
