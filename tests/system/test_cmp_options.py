"""`openssl cmp` with every option that says something of a mandatory operation of RFC 9483: what each puts into a message, and what comes of it here."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_cmp import Client, device, secret, serial, subject  # noqa: E402


@pytest.fixture
def cmp(house, openssl):
    return Client(house, openssl)


@pytest.fixture
def own(openssl, factory, cmp, request):
    """A device of the test's own: options to sign with its birth certificate, with its own, and its number."""
    number = "SN-opt-" + request.node.name[5:40].replace("_", "-")
    birth, mine = device(openssl, factory, cmp, number)
    return birth, mine, number


def exists(openssl, name):
    return os.path.exists(openssl.file(name)) and os.path.getsize(openssl.file(name)) > 0


def text(openssl, path):
    return openssl.text("x509", "-in", path, "-noout", "-text")


# ---- what is asked for ----

CONFIG = """[asked]
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
[policies]
certificatePolicies = 1.3.6.1.4.1.311.1
"""

# option: (options, files that come of it, what stands in the certificate)
ENROLL = {
    "-implicit_confirm": (["-implicit_confirm"], [], None),
    "-disable_confirm": (["-disable_confirm"], [], None),
    "-days": (["-days", "30"], [], None),
    "-reqexts": (["-config", "asked.cnf", "-section", "asked", "-reqexts", "asked"], [], "TLS Web Client Authentication"),
    "-policies": (["-config", "asked.cnf", "-section", "asked", "-policies", "policies"], [], None),
    "-policy_oids": (["-policy_oids", "1.3.6.1.4.1.311.1"], [], None),
    "-sans": (["-sans", "{number}.example.org"], [], "DNS:{number}.example.org"),
    "-san_nodefault": (["-san_nodefault"], [], None),
    "-issuer": (["-issuer", "/CN=any"], [], None),
    "-popo 1": (["-popo", "1"], [], None),
    "-digest": (["-digest", "sha384"], [], None),
    "-profile": (["-profile", "device-ldevid-1y"], [], None),
    "-geninfo": (["-geninfo", "1.2.3.4:int:987"], [], None),
    "-keep_alive 2": (["-keep_alive", "2"], [], None),
    "-repeat": (["-repeat", "2"], [], None),
    "-out_trusted": (["-out_trusted", "{root}"], [], None),
    "-extracerts": (["-extracerts", "{root}"], [], None),
    "-chainout": (["-chainout", "chain.pem"], ["chain.pem"], None),
    "-extracertsout": (["-extracertsout", "extra.pem"], ["extra.pem"], None),
    "-srvcertout": (["-srvcertout", "ra.pem"], ["ra.pem"], None),
    "-certform": (["-certform", "PEM"], [], None),
    "-no_cache_extracerts": (["-no_cache_extracerts"], [], None),
    "-reqout": (["-reqout", "ir.der certConf.der"], ["ir.der", "certConf.der"], None),
    "-rspout": (["-rspout", "ip.der pkiconf.der"], ["ip.der", "pkiconf.der"], None),
}


@pytest.mark.parametrize("option", ENROLL)
def test_enroll(house, openssl, factory, option):
    client, number = Client(house, openssl), "SN-opt" + option.partition(" ")[0].replace("_", "-")
    birth, key = factory.idevid(number)
    with open(openssl.file("asked.cnf"), "w", encoding="ascii") as f:
        f.write(CONFIG)
    options, files, inside = ENROLL[option]
    fill = lambda s: s.format(number=number, root=house.ca_bundle)  # noqa: E731
    client.run("cr" if option == "-profile" else "ir", "-cert", birth, "-key", key, "-newkey", openssl.key("new"), "-subject", "/CN=" + number,
               "-certout", "new.pem", *map(fill, options))
    assert number in subject(openssl, "new.pem")
    assert all(exists(openssl, f) for f in files), files
    assert inside is None or fill(inside) in text(openssl, "new.pem")


def test_enroll__over_tls(house, openssl, factory):
    client = Client(house, openssl)
    client.server = house.url + "/.well-known/cmp/p/cmp/initialization"
    birth, key = factory.idevid("SN-opt-tls")
    client.run("ir", "-cert", birth, "-key", key, "-newkey", openssl.key("new"), "-subject", "/CN=SN-opt-tls", "-certout", "new.pem", "-tls_used",
               "-tls_trusted", house.ca_bundle, "-tls_host", "127.0.0.1")
    assert exists(openssl, "new.pem")


def test_enroll__srvcert_and_expect_sender(house, openssl, factory, cmp):
    """The RA's certificate, got once, is pinned; its name is expected."""
    birth, key = factory.idevid("SN-opt-srvcert")
    ask = ("-cert", birth, "-key", key, "-newkey", openssl.key("new"), "-subject", "/CN=SN-opt-srvcert", "-certout", "new.pem")
    cmp.run("ir", *ask, "-srvcertout", "ra.pem")
    name = openssl.text("x509", "-in", "ra.pem", "-noout", "-subject", "-nameopt", "compat").strip().removeprefix("subject=")
    cmp.run("ir", *ask, "-srvcert", "ra.pem")
    cmp.run("ir", *ask, "-expect_sender", name)
    assert "sender" in cmp.refused("ir", *ask, "-expect_sender", "/CN=somebody else")


def test_enroll__popo(openssl, factory, cmp):
    """raVerified is not for devices to say."""
    birth, key = factory.idevid("SN-opt-popo")
    ask = ("-cert", birth, "-key", key, "-newkey", openssl.key("new"), "-subject", "/CN=SN-opt-popo", "-certout", "new.pem")
    assert "badPOP" in cmp.refused("ir", *ask, "-popo", "0")


def test_requests__recorded_and_sent_again(house, openssl, factory, cmp):
    """-reqout_only, -reqin: a message made earlier is answered; with -rspin the answer is taken from a file."""
    birth, key = factory.idevid("SN-opt-reqin")
    ask = ("-cert", birth, "-key", key, "-newkey", openssl.key("new"), "-subject", "/CN=SN-opt-reqin", "-implicit_confirm", "-certout", "new.pem")
    cmp.run("ir", *ask, "-reqout_only", "ir.der")
    cmp.run("ir", *ask, "-reqin", "ir.der", "-rspout", "ip.der")
    first = serial(openssl, "new.pem")
    os.unlink(openssl.file("new.pem"))
    cmp.run("ir", *ask, "-reqin", "ir.der", "-rspin", "ip.der")
    assert serial(openssl, "new.pem") == first
    cmp.run("ir", *ask, "-reqin", "ir.der", "-reqin_new_tid")
    assert exists(openssl, "new.pem")


# ---- updates ----


def test_kur__oldcert_and_csr(openssl, own, cmp):
    _, mine, number = own
    cmp.run("kur", *mine, "-oldcert", mine[1], "-newkey", openssl.key("next"), "-certout", "next.pem")
    assert number in subject(openssl, "next.pem") and serial(openssl, "next.pem") != serial(openssl, mine[1])
    csr = openssl.csr("third", "/CN=" + number)
    cmp.run("kur", *mine, "-csr", csr, "-newkey", openssl.file("third.key"), "-certout", "third.pem")
    assert number in subject(openssl, "third.pem")


def test_p10cr__by_signature(openssl, own, cmp):
    _, mine, number = own
    csr = openssl.csr("p10", "/CN=" + number)
    cmp.run("p10cr", *mine, "-csr", csr, "-certout", "p10.pem", "-implicit_confirm")
    cmp.run("p10cr", *mine, "-csr", csr, "-certout", "p10.pem")
    assert number in subject(openssl, "p10.pem")


# ---- revocation ----


@pytest.mark.parametrize("reason", ["-1", "0", "1", "3", "4", "5", "9"])
def test_rr__reasons(house, openssl, factory, cmp, reason):
    birth, mine = device(openssl, factory, cmp, "SN-opt-rr" + reason)
    cmp.run("rr", *birth, "-oldcert", mine[1], "-revreason", reason)
    assert house.cli_json("cert", "get", serial(openssl, mine[1]))["status"] == "revoked"


def test_rr__issuer_and_serial(house, openssl, own, cmp):
    birth, mine, _ = own
    issuer = openssl.text("x509", "-in", mine[1], "-noout", "-issuer", "-nameopt", "compat").strip().removeprefix("issuer=")
    cmp.run("rr", *birth, "-issuer", issuer, "-serial", "0x" + serial(openssl, mine[1]), "-revreason", "4")
    assert house.cli_json("cert", "get", serial(openssl, mine[1]))["reason"] == "superseded"


# ---- information ----

INFO = {
    "caCerts": (["-cacertsout", "ca.pem"], ["ca.pem"]),
    "certReqTemplate": (["-template", "template.der", "-keyspec", "keyspec.der"], ["template.der", "keyspec.der"]),
    "crlStatusList": (["-crlcert", "{own}", "-crlout", "crl.der"], ["crl.der"]),
    "rootCaCert": (["-oldwithold", "{root}", "-newwithnew", "new.pem"], []),
    "currentCRL": ([], []),
}


@pytest.mark.parametrize("kind", INFO)
def test_genm(house, openssl, factory, cmp, kind):
    _, mine = device(openssl, factory, cmp, "SN-opt-genm")
    options, files = INFO[kind]
    filled = [o.format(own=mine[1], root=house.ca_bundle) for o in options]
    cmp.run("genm", *mine, "-infotype", kind, *filled)
    assert all(exists(openssl, f) for f in files)


def test_genm__profile(openssl, own, cmp):
    """The template is that of the profile in certProfile."""
    _, mine, _ = own
    for profile in ("device-ldevid-1y", "server-internal-1y"):
        cmp.run("genm", *mine, "-infotype", "certReqTemplate", "-template", profile + ".der", "-keyspec", "keys.der", "-profile", profile)
    with open(openssl.file("device-ldevid-1y.der"), "rb") as a, open(openssl.file("server-internal-1y.der"), "rb") as b:
        assert a.read() != b.read()


# ---- secrets ----

MACS = {"hmac-sha1": [], "hmacWithSHA256": [], "hmacWithSHA384": [], "hmacWithSHA512": ["-digest", "sha512"]}


@pytest.mark.parametrize("mac", MACS)
def test_secret(house, openssl, cmp, mac):
    name = f"{mac.lower()}.opt.example.org"
    options = secret(house, names=["DNS:" + name, "CN=" + name])
    cmp.run("ir", *options, "-mac", mac, *MACS[mac], "-newkey", openssl.key("new"), "-subject", "/CN=" + name, "-sans", name, "-certout", "new.pem",
            "-cacertsout", "root.pem", "-chainout", "chain.pem")
    assert subject(openssl, "new.pem") == "CN=" + name and exists(openssl, "root.pem") and exists(openssl, "chain.pem")
