"""`touchmark discover scan` over a farm of servers on loopback addresses: each situation is told right, a second scan finds what has changed and nothing
else, and long scans survive what happens to the server."""
import json
import shutil
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from scan_farm import (ALERT, DAY, XMPP_TLS, Farm, certificate_message, der, dripping, endless, flight, ldap, message, mysql, one_octet, only_old,
                       record, reset, says, server_hello, talking, xmpp)

NO = "TLSv1.2"


def nginx_situations(f, c):
    ec256, rsa2048 = c.make("ec256"), c.make("rsa2048", "rsa2048")
    f.plain = f.nginx(ec256, key="P-256", alpn="http/1.1", version="TLS 1.3")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;", key="rsa-2048", version="TLS 1.2",
            cipher="ECDHE_RSA_WITH_AES_128_GCM_SHA256", group="x25519")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers AES256-SHA;", cipher="RSA_WITH_AES_256_CBC_SHA", group=None)
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers DHE-RSA-AES128-GCM-SHA256; ssl_dhparam " + dhparam(f) + ";", dh_bits=1024,
            cipher="DHE_RSA_WITH_AES_128_GCM_SHA256")
    f.nginx(rsa2048, protocols="TLSv1.1", version="TLS 1.1")
    f.nginx(rsa2048, protocols="TLSv1", version="TLS 1.0")
    f.nginx(ec256, protocols="TLSv1", version="TLS 1.0")
    f.all_versions = f.nginx(rsa2048, protocols="TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", version="TLS 1.3")
    f.nginx(c.make("ec384", "ec384"), key="P-384", version="TLS 1.3")
    f.nginx(c.make("ec521", "ec521"), protocols=NO, key="P-521", version="TLS 1.2")
    f.nginx(c.make("ed25519", "ed25519"), key="Ed25519", signature="Ed25519")
    f.nginx(c.make("ed448", "ed448"), key="Ed448")
    f.nginx(c.make("rsa1024", "rsa1024"), key="rsa-1024")
    f.nginx(c.make("rsa3072", "rsa3072"), key="rsa-3072")
    f.nginx(c.make("sha1", "rsa2048", digest=hashes.SHA1()), signature="sha1WithRSAEncryption", key="rsa-2048")
    f.nginx(c.make("expired", begin=-90 * DAY, days=30), subject="CN=expired")
    f.nginx(c.make("early", begin=30 * DAY), subject="CN=early")
    f.nginx(c.make("*.example.org", names=["*.example.org"]), subject="CN=*.example.org")
    leaf = c.make("leaf", issuer=c.inter)
    f.nginx(leaf, chain=c.chain(leaf, c.inter, c.root), chain_=3, issuer="CN=inter")
    f.nginx(leaf, chain=c.chain(leaf, c.inter), chain_=2)
    f.nginx(leaf, chain_=1, issuer="CN=inter")
    f.nginx(c.root, chain_=1, subject="CN=root", issuer="CN=root")
    big = c.make("big", names=[f"n{i}.example.org" for i in range(2000)])
    f.nginx(big, subject="CN=big")
    many = [c.make(f"many{i}") for i in range(20)]
    f.nginx(many[0], chain=c.chain(*many), chain_=20, chain_sent=20)
    ec_rsa = f"ssl_certificate {rsa2048[2]}.pem; ssl_certificate_key {rsa2048[2]}.key;"
    f.nginx(ec256, settings=ec_rsa, key="P-256")
    f.nginx(ec256, settings=f"ssl_verify_client optional_no_ca; ssl_client_certificate {c.root[2]}.pem;", client_auth=True, version="TLS 1.3")
    f.nginx(ec256, protocols=NO, settings=f"ssl_verify_client on; ssl_client_certificate {c.root[2]}.pem;", client_auth=True)
    f.nginx(None, settings="ssl_reject_handshake on;", status="alert", alert="unrecognized_name")
    f.nginx(ec256, listen="ssl http2", alpn="h2")
    f.nginx(ec256, settings="ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;", cipher="CHACHA20_POLY1305_SHA256")
    f.nginx(ec256, settings="ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;", cipher="AES_256_GCM_SHA384")
    for curve, group in (("prime256v1", "secp256r1"), ("secp384r1", "secp384r1"), ("secp521r1", "secp521r1"), ("X448", "x448")):
        f.nginx(ec256, settings=f"ssl_ecdh_curve {curve};", group=group, version="TLS 1.3", pq=None)
    f.nginx(rsa2048, protocols=NO, settings="ssl_ecdh_curve secp384r1; ssl_ciphers ECDHE-RSA-AES256-SHA;", group="secp384r1",
            cipher="ECDHE_RSA_WITH_AES_256_CBC_SHA")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers NULL-SHA256;", cipher="RSA_WITH_NULL_SHA256")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers CAMELLIA256-SHA;", cipher="RSA_WITH_CAMELLIA_256_CBC_SHA")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers AECDH-AES128-SHA;", status="no-certificate")
    f.nginx(None, listen="", status="not-tls", why="HTTP")
    hostile = [x509.NameAttribute(NameOID.COMMON_NAME, "<script>alert(1)</script>\u202egro.elpmaxe"),
               x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a\x1b[31m\nb")]
    f.hostile = f.nginx(c.make("hostile", subject=hostile))


def dhparam(f):
    path = f.openssl.file("dh1024.pem")
    f.openssl.run("dhparam", "-dsaparam", "-out", path, "1024")
    return path


def named_situation(f, c):
    """Another certificate for one of its names."""
    other, default = c.make("other"), c.make("default")
    a = f.nginx(default, extra=f"server {{ listen ADDRESS ssl; server_name other.example.org; ssl_certificate {other[2]}.pem; "
                               f"ssl_certificate_key {other[2]}.key; }}", subject="CN=default")
    f.situations[f"tls:{a}:{f.port}/other.example.org"] = {"status": "certificate", "subject": "CN=other", "name": "other.example.org"}
    f.named = a


def openssl_situations(f, c):
    ec256, rsa2048 = c.make("s_server"), c.make("s_server", "rsa2048")
    f.hybrid = f.s_server(ec256, group="X25519MLKEM768", pq=True, version="TLS 1.3")
    f.s_server(ec256, "-groups", "SecP256r1MLKEM768", group="SecP256r1MLKEM768")
    f.s_server(rsa2048, "-groups", "ffdhe2048", "-tls1_3", group="ffdhe2048")
    f.s_server(ec256, "-ciphersuites", "TLS_AES_128_CCM_8_SHA256", "-tls1_3", cipher="AES_128_CCM_8_SHA256")
    f.s_server(ec256, "-alpn", "imap", status="certificate", alpn=None)
    f.s_server(None, "-psk", "00112233445566778899aabbccddeeff", "-tls1_2", "-cipher", "PSK", status="alert", alert="handshake_failure")
    f.s_server(ec256, "-dtls1_2", protocol="dtls", version="DTLS 1.2")
    f.s_server(rsa2048, "-dtls1_2", "-listen", protocol="dtls", version="DTLS 1.2", key="rsa-2048")
    f.openssl.run("req", "-x509", "-newkey", "ML-DSA-65", "-nodes", "-keyout", "pq.key", "-out", "pq.pem", "-subj", "/CN=pq", "-days", "9")
    f.s_server((None, None, f.openssl.file("pq")), key="ML-DSA-65", subject="CN=pq")


def handmade_situations(f, c):
    leaf, inter = der(c.make("handmade", "rsa2048")), der(c.inter)
    renego = b"\xff\x01\x00\x01\x00"
    f.own(says(flight([leaf, inter], extensions=renego)), chain_=2, cipher="RSA_WITH_AES_128_CBC_SHA", secure_renegotiation=None)
    f.own(says(flight([leaf])), secure_renegotiation=False)
    f.own(dripping(flight([leaf])), subject="CN=handmade")
    f.own(says(flight([leaf], version=0x0300)), version="SSL 3.0")
    f.own(says(flight([leaf], suite=0x0003)), cipher="RSA_EXPORT_WITH_RC4_40_MD5")
    f.own(says(flight([leaf], suite=0x0005)), cipher="RSA_WITH_RC4_128_SHA")
    f.own(only_old(flight([leaf], version=0x0301)), version="TLS 1.0", legacy_hello=True)
    f.own(says(record(21, b"\x01\x70") + flight([leaf])), subject="CN=handmade")
    f.own(says(record(22, server_hello()) + record(22, certificate_message([leaf]))), subject="CN=handmade")
    f.own(says(flight([b"\x30\x03\x02\x01\x05"])), readable=False)
    f.own(says(flight([])), status="no-certificate")
    f.own(says(flight([bytes(40000)] * 2)), status="too-big")
    f.own(says(b"\x16\x03\x03\xff\xff" + bytes(100)), status="too-big")
    f.own(says(record(22, server_hello(version=0x0305))), status="malformed", why="a version that was not offered")
    f.own(says(record(22, certificate_message([leaf]))), status="malformed")
    share = b"\x00\x2b\x00\x02\x03\x04" + b"\x00\x33\x00\x24\x00\x1d\x00\x20" + bytes(32)
    f.own(says(record(22, server_hello(suite=0x1301, extensions=share))), status="undecryptable")
    f.own(endless(record(22, message(0, b""))), status="too-big")
    f.own(endless(record(22, server_hello())), status="malformed")
    f.own(says(record(22, server_hello()), then=endless(record(22, message(22, bytes(100))))), status="too-big")
    f.own(says(ALERT), status="alert", alert="handshake_failure")
    f.own(lambda connection: connection.recv(1 << 16), status="closed")
    f.own(reset, status="reset")
    f.own(lambda connection: connection.recv(1 << 16) and time.sleep(4), status="stalled")
    f.own(says(b"SSH-2.0-farm\r\n"), status="not-tls", why="SSH")
    f.own(says(bytes(range(200, 256)) * 10), status="not-tls")


def starttls_situations(f, c):
    context = f.context(c.make("starttls"))
    good = {"subject": "CN=starttls", "version": "TLS 1.3"}
    greet, ehlo, start = (None, b"220 mail\r\n"), (b"\r\n", b"250-mail\r\n250 STARTTLS\r\n"), (b"\r\n", b"220 go\r\n")
    f.own(talking([greet, ehlo, start], context), "smtp", starttls="smtp", **good)
    f.own(talking([greet, (b"\r\n", b"250 mail\r\n"), (b"\r\n", b"502 no\r\n")]), "smtp", status="no-starttls")
    f.own(talking([(None, b"+OK pop\r\n")]), "smtp", status="not-tls")
    f.own(talking([(None, b"* OK imap\r\n"), (b"\r\n", b"a OK\r\n")], context), "imap", starttls="imap", **good)
    f.own(talking([(None, b"* OK imap\r\n"), (b"\r\n", b"a BAD\r\n")]), "imap", status="no-starttls")
    f.own(talking([(None, b"+OK pop\r\n"), (b"\r\n", b"+OK\r\n")], context), "pop3", starttls="pop3", **good)
    f.own(ldap(0, context), "ldap", starttls="ldap", **good)
    f.own(ldap(53), "ldap", status="no-starttls", why="the directory refused")
    f.own(one_octet(b"S", context), "postgres", starttls="postgres", **good)
    f.own(one_octet(b"N"), "postgres", status="no-starttls", why="the database has TLS switched off")
    f.own(mysql(b"\xff\xff", context), "mysql", starttls="mysql", **good)
    f.own(mysql(b"\xff\xf7"), "mysql", status="no-starttls")
    f.own(xmpp(XMPP_TLS, context), "xmpp", starttls="xmpp", **good)
    f.own(xmpp(b""), "xmpp", status="no-starttls")
    f.own(endless(b"x" * 1000), "smtp", status="not-tls")


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("nginx is not installed")
    from conftest import Openssl
    directory = tmp_path_factory.mktemp("farm")
    f = Farm(directory, Openssl(directory))
    try:
        for situations in (nginx_situations, named_situation, openssl_situations, handmade_situations, starttls_situations):
            situations(f, f.certs)
        f.expect(f.address(), status="refused")
        f.nginx_start()
        time.sleep(0.5)  # for the openssl ones, which say nothing when they are ready
        yield f
    finally:
        f.stop()


# What the scan calls otherwise than the keyword that says so here.
WORDS = {"version": "protocol", "chain_": "chain"}


def wrong(expected, got):
    return {k: (v, got.get(WORDS.get(k, k))) for k, v in expected.items() if got.get(WORDS.get(k, k)) != v}


def scan(program, farm, *args):
    done = subprocess.run([program, "discover", "scan", *args, "--timeout", "1s", "--rate", "10000", "--rate-per-host", "1000", "-o", "json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return done


def test_every_situation_is_told_right(program, farm):
    done = scan(program, farm, *farm.targets, "--print", "--all")
    assert done.returncode == 0, done.stderr
    got = {x["place"]: x for x in json.loads(done.stdout)}
    expected = {place: x for place, x in farm.situations.items() if "/" not in place}
    assert len(expected) >= 60
    assert set(got) == set(expected)
    bad = {place: (wrong(x, got[place]), got[place]) for place, x in expected.items() if wrong(x, got[place])}
    assert not bad, json.dumps(bad, indent=1)


def test_names_are_asked_for(program, farm):
    done = scan(program, farm, f"{farm.named}:{farm.port}", "--names", "other.example.org,else.example.org", "--print")
    subjects = {x["place"].partition("/")[2]: x["subject"] for x in json.loads(done.stdout)}
    assert subjects == {"": "CN=default", "other.example.org": "CN=other", "else.example.org": "CN=default"}


def test_versions_are_asked_for(program, farm):
    done = scan(program, farm, *(f"{a}:{farm.port}" for a in (farm.plain, farm.all_versions, farm.hybrid)), "--versions", "--print")
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


SETTINGS = {"timeout": "1s", "rate": 10000, "rate-per-host": 1000}


def test_a_second_scan_finds_what_has_changed(house, farm):
    """Through the server, as a resource: certificates enter the inventory once, and places tell what became of them."""
    house.cli("apply", "-f", "-", data=json.dumps({"kind": "Scan", "name": "farm", "targets": farm.targets, **SETTINGS}))
    first = json.loads(house.cli("discover", "scan", "--scan", "farm", "-o", "json").stdout)
    runs = house.api("GET", "/discovery/runs?name=farm").json["items"]
    assert len(runs) == 1 and runs[0]["status"] == "done" and runs[0]["total"] == len(farm.targets)
    certificates = [x for x in first if x["status"] == "certificate"]
    assert runs[0]["answered"] == len(certificates) and runs[0]["refused"] == 1
    assert runs[0]["new_places"] == len(certificates) and runs[0]["added"] > 30
    blocks, changed = dict(farm.blocks), [a for a in farm.blocks if f"tls:{a}:{farm.port}" in {x["place"] for x in certificates}][:4]
    fresh = farm.certs.make("fresh", "ec256")
    try:
        for a in changed[:3]:
            files = f"ssl_certificate {fresh[2]}.pem; ssl_certificate_key {fresh[2]}.key; ssl_protocols TLSv1.2 TLSv1.3; return 204;"
            farm.blocks[a] = f"server {{ listen {a}:{farm.port} ssl; {files} }}"
        del farm.blocks[changed[3]]
        new = farm.address()
        farm.blocks[new] = f"server {{ listen {new}:{farm.port} ssl; ssl_certificate {fresh[2]}.pem; ssl_certificate_key {fresh[2]}.key; }}"
        farm.nginx_restart()
        house.cli("apply", "-f", "-", data=json.dumps({"kind": "Scan", "name": "farm", "targets": farm.targets + [f"{new}:{farm.port}"], **SETTINGS}))
        started = house.api("POST", "/discovery/scans", {"scan": "farm"})
        assert started.status == 201
        second = finished(house, started.json["id"])
    finally:
        farm.blocks = blocks
        farm.nginx_restart()
    assert second["status"] == "done"
    assert (second["added"], second["new_places"], second["changed"], second["gone"]) == (1, 1, 3, 1), second
    events = house.api("GET", "/register/events?type=discovery.done").json["items"]
    assert any(e["subject"] == f"discovery/{second['id']}" for e in events)


def test_scans_without_a_server_over_restarts_and_canceled(new_house, farm):
    house = new_house()
    done = house.cli("discover", "scan", f"{farm.plain}:{farm.port}", "-o", "json")
    assert [x["status"] for x in json.loads(done.stdout)] == ["certificate"]
    assert "1 new places" in done.stderr
    assert house.cli("discover", "scan", f"{farm.plain}:{farm.port}", "--detach", ok=False).returncode == 1
    house.start()
    slow = {"targets": [f"{farm.net}.7.0/24"], "rate": 60, "rate-per-host": 1000}
    run = house.api("POST", "/discovery/scans", slow).json["id"]
    other = house.api("POST", "/discovery/scans", {"targets": [f"{farm.net}.8.0/22"], "rate": 1}).json["id"]
    while house.api("GET", f"/discovery/runs/{run}").json["done"] < 60:
        time.sleep(0.1)
    assert house.stop() == 0
    house.start()
    again = house.api("GET", f"/discovery/runs/{run}").json
    assert again["status"] == "running" and again["done"] >= 60, again
    assert house.api("POST", f"/discovery/runs/{other}/cancel").status == 200
    assert finished(house, other)["status"] == "canceled"
    assert house.api("POST", f"/discovery/runs/{other}/cancel").status == 409
    done = finished(house, run)
    assert done["status"] == "done" and done["done"] == 256
    assert house.api("POST", "/discovery/scans", {"targets": ["8.8.8.8"]}).status == 403
    assert house.api("POST", "/discovery/scans", {"scan": "none"}).status == 404
