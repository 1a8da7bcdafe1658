"""CMP from outside, with `openssl cmp` as the client: every command, each way to protect a message, what is refused and with which word."""
import json
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from cmp import IMPLICIT, Mac, elements, explicit, integer, message, name, octets, oid, post, seq, tlv  # noqa: E402

class Client:
    """`openssl cmp` against an endpoint of the house."""

    def __init__(self, house, openssl, label="cmp", operation="", well_known=None):
        self.house, self.openssl = house, openssl
        path = f"/.well-known/cmp/p/{label}" + (f"/{operation}" if operation else "")
        self.server = house.plain_url + (well_known or path)

    def run(self, command, *options, ok=True):
        done = subprocess.run([self.openssl.path, "cmp", "-config", "", "-cmd", command, "-server", self.server, "-trusted", self.house.ca_bundle,
                               "-recipient", "/CN=CA", "-verbosity", "4", "-batch", *options], cwd=self.openssl.dir, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        if ok is not None:
            assert (done.returncode == 0) == ok, done.stdout
        return done

    def refused(self, command, *options):
        return self.run(command, *options, ok=False).stdout


@pytest.fixture
def cmp(house, openssl):
    return Client(house, openssl)


def secret(house, endpoint="cmp", profile="server-internal-1y", names=(), **options):
    """A reference and its secret, as options of `openssl cmp`."""
    args = [arg for name in names for arg in ("--name", name)]
    for key, value in options.items():
        args += ["--" + key, str(value)]
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", endpoint, "--profile", profile, *args)
    return ["-ref", made["id"], "-secret", "pass:" + made["secret"]]


def subject(openssl, path):
    return openssl.text("x509", "-in", path, "-noout", "-subject", "-nameopt", "RFC2253").strip().removeprefix("subject=")


def serial(openssl, path):
    return openssl.text("x509", "-in", path, "-noout", "-serial").strip().removeprefix("serial=").lower()


def device(openssl, factory, cmp, number):
    """A device with its birth certificate and the certificate that it got here: options to sign with each."""
    birth, key = factory.idevid(number)
    own = openssl.key(number)
    cmp.run("ir", "-cert", birth, "-key", key, "-newkey", own, "-subject", "/CN=" + number, "-certout", number + ".pem")
    return ["-cert", birth, "-key", key], ["-cert", openssl.file(number + ".pem"), "-key", own]


# ---- enrollment ----


def test_ir__birth_certificate(house, openssl, factory, cmp):
    _, own = device(openssl, factory, cmp, "SN-cmp-1")
    assert "CN=SN-cmp-1" in subject(openssl, "SN-cmp-1.pem")
    shown = house.cli_json("cert", "get", serial(openssl, "SN-cmp-1.pem"))
    assert shown["device"] == "SN-cmp-1" and shown["endpoint"] == "cmp"
    openssl.key("next")
    cmp.run("kur", *own, "-newkey", "next.key", "-certout", "next.pem")
    assert subject(openssl, "next.pem") == subject(openssl, "SN-cmp-1.pem")
    assert serial(openssl, "next.pem") != serial(openssl, "SN-cmp-1.pem")


@pytest.mark.parametrize("options", [["-implicit_confirm"], ["-disable_confirm"], []], ids=["implicit", "none", "certConf"])
def test_cr__own_certificate(openssl, factory, cmp, options):
    _, own = device(openssl, factory, cmp, "SN-cmp-cr")
    cmp.run("cr", *own, "-newkey", own[3], "-subject", "/CN=SN-cmp-cr", "-certout", "cr.pem", *options)
    assert "CN=SN-cmp-cr" in subject(openssl, "cr.pem")


MACS = {"pbm-sha256": ["-mac", "hmacWithSHA256"], "pbm-sha512": ["-digest", "sha512", "-mac", "hmacWithSHA512"], "pbm-sha1": ["-mac", "hmac-sha1"]}


@pytest.mark.parametrize("mac", MACS)
def test_ir__shared_secret(house, openssl, cmp, mac):
    name = f"{mac}.cmp.example.org"
    options = secret(house, names=["DNS:" + name, "CN=" + name])
    openssl.key("new")
    cmp.run("ir", *options, *MACS[mac], "-newkey", "new.key", "-subject", "/CN=" + name, "-sans", name, "-certout", "new.pem",
            "-cacertsout", "root.pem")
    assert subject(openssl, "new.pem") == "CN=" + name
    root = openssl.text("x509", "-in", "root.pem", "-noout", "-fingerprint")
    assert root == openssl.text("x509", "-in", house.ca_bundle, "-noout", "-fingerprint"), "caPubs has the root"


def test_p10cr__shared_secret(house, openssl, cmp):
    name = "p10.cmp.example.org"
    csr = openssl.csr("p10", "/CN=" + name, "DNS:" + name)
    cmp.run("p10cr", *secret(house, names=["DNS:" + name, "CN=" + name]), "-csr", csr, "-certout", "p10.pem")
    assert subject(openssl, "p10.pem") == "CN=" + name


def test_secret__one_key_gets_one_certificate(house, openssl, cmp):
    name = "once.cmp.example.org"
    options = secret(house, names=["DNS:" + name, "CN=" + name])
    ask = lambda key, out: (*options, "-newkey", key, "-subject", "/CN=" + name, "-sans", name, "-certout", out)  # noqa: E731
    openssl.key("one"), openssl.key("two")
    cmp.run("ir", *ask("one.key", "one.pem"))
    cmp.run("ir", *ask("one.key", "again.pem"))
    assert serial(openssl, "one.pem") == serial(openssl, "again.pem"), "the same key in another transaction gets the same certificate"
    assert "token.bound" in cmp.refused("ir", *ask("two.key", "two.pem"))


def test_profile__header(house, openssl, cmp):
    name = "tls.cmp.example.org"
    openssl.key("tls")
    options = secret(house, profile="enterprise-tls-47d", names=["DNS:" + name, "CN=" + name])
    ask = (*options, "-newkey", "tls.key", "-subject", "/CN=" + name, "-sans", name, "-certout", "tls.pem")
    assert "token.profile" in cmp.refused("ir", *ask, "-profile", "server-internal-1y")
    assert "endpoint.profiles" in cmp.refused("ir", *ask, "-profile", "no-such-profile")
    cmp.run("ir", *ask, "-profile", "enterprise-tls-47d")
    assert house.cli_json("cert", "get", serial(openssl, "tls.pem"))["profile"] == "enterprise-tls-47d"


@pytest.mark.parametrize("well_known", ["/.well-known/cmp", "/.well-known/cmp/initialization", "/.well-known/cmp/p/cmp/initialization"])
def test_paths(house, openssl, factory, well_known):
    client = Client(house, openssl, well_known=well_known)
    device(openssl, factory, client, "SN-cmp-path")


def test_paths__wrong(house, openssl, factory):
    birth, key = factory.idevid("SN-cmp-wrong")
    openssl.key("wrong")
    ask = ("-cert", birth, "-key", key, "-newkey", "wrong.key", "-subject", "/CN=SN-cmp-wrong", "-certout", "wrong.pem")
    assert "RFC 9811 3.3" in Client(house, openssl, operation="revocation").refused("ir", *ask)
    Client(house, openssl, operation="no-such").refused("ir", *ask)
    Client(house, openssl, label="no-such").refused("ir", *ask)


# ---- keys made here ----


def test_central_key__by_secret(house, openssl):
    """A list of one key (RFC 5958), which `openssl cmp` does not read: so it is opened by hand."""
    common = "made.cmp.example.org"
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp", "--profile", "server-internal-1y", "--name", "DNS:" + common,
                          "--name", "CN=" + common)
    san = seq(oid("2.5.29.17"), octets(seq(tlv(0x82, common.encode()))))
    template = seq(explicit(5, name(common)), tlv(0xA9, san))
    reply = post(house, message("ir", seq(seq(seq(integer(0), template))), Mac(made["id"], made["secret"]), infos=[IMPLICIT]))
    assert reply.body == "ip" and reply.cert, reply
    response = [e for e in elements(reply.content[1]) if e[0] == 0x30][-1]
    pair = elements(elements(elements(response[1])[0][1])[2][1])
    enveloped = elements(pair[1][1])[0][1]
    with open(openssl.file("sealed.der"), "wb") as f:
        f.write(seq(oid("1.2.840.113549.1.7.3"), explicit(0, tlv(0x30, enveloped))))
    inner = openssl.run("cms", "-decrypt", "-inform", "DER", "-in", "sealed.der", "-pwri_password", made["secret"]).stdout
    signed = seq(oid("1.2.840.113549.1.7.2"), explicit(0, inner))
    package = openssl.run("cms", "-verify", "-inform", "DER", "-CAfile", house.ca_bundle, "-purpose", "any", data=signed).stdout
    with open(openssl.file("made.der"), "wb") as f:
        f.write(elements(package)[0][1])
    with open(openssl.file("made.pem"), "wb") as f:
        f.write(openssl.run("x509", "-inform", "DER", data=reply.cert).stdout)
    assert openssl.text("pkey", "-inform", "DER", "-in", "made.der", "-pubout") == openssl.text("x509", "-in", "made.pem", "-noout", "-pubkey")


@pytest.fixture
def made_here(house):
    endpoint = {"kind": "Endpoint", "name": "cmp-made-here", "protocol": "cmp", "profiles": ["server-internal-1y", "device-ldevid-1y"],
                "server-keygen": True, "authentication": {"token": True, "trust-sets": ["factory"]}, "cmp": {"key-form": "bare"}}
    assert house.api("PUT", "/resources/endpoints/cmp-made-here", endpoint).status in (200, 201)
    return "cmp-made-here"


def public_keys_match(openssl, key, cert):
    return openssl.text("pkey", "-in", key, "-pubout") == openssl.text("x509", "-in", cert, "-noout", "-pubkey")


@pytest.mark.parametrize("more", [[], ["-implicit_confirm"]], ids=["certConf", "implicit"])
def test_central_key__openssl_by_secret(house, openssl, made_here, more):
    common = f"made{len(more)}.cmp.example.org"
    client = Client(house, openssl, made_here)
    client.run("ir", *secret(house, made_here, names=["DNS:" + common, "CN=" + common]), "-centralkeygen", "-newkeyout", "made.key",
               "-subject", "/CN=" + common, "-sans", common, "-certout", "made.pem", *more)
    assert public_keys_match(openssl, "made.key", "made.pem") and subject(openssl, "made.pem") == "CN=" + common


def test_central_key__openssl_by_rsa_certificate(house, openssl, factory, made_here):
    """RSA key transport to the certificate that signed the request (RFC 9483 4.1.6.2)."""
    client = Client(house, openssl, made_here)
    birth, key = factory.idevid("SN-cmp-kga")
    profile = ("-profile", "device-ldevid-1y")
    client.run("ir", "-cert", birth, "-key", key, "-newkey", openssl.key("own", "RSA"), "-subject", "/CN=SN-cmp-kga", "-certout", "own.pem", *profile)
    client.run("cr", "-cert", "own.pem", "-key", "own.key", "-centralkeygen", "-newkeyout", "made.key", "-subject", "/CN=SN-cmp-kga",
               "-certout", "made.pem", *profile)
    assert public_keys_match(openssl, "made.key", "made.pem")


def test_central_key__not_allowed(house, openssl, cmp):
    name = "nokey.cmp.example.org"
    options = secret(house, profile="enterprise-tls-47d", names=["DNS:" + name, "CN=" + name])
    refused = cmp.refused("ir", *options, "-centralkeygen", "-newkeyout", "made.key", "-subject", "/CN=" + name, "-sans", name, "-certout", "made.pem")
    assert "profile.server-keygen" in refused and "notAuthorized" in refused


# ---- revocation ----


def test_rr__own_certificate(house, openssl, factory, cmp):
    birth, own = device(openssl, factory, cmp, "SN-cmp-rr")
    cmp.run("rr", *birth, "-oldcert", own[1], "-revreason", "1")
    shown = house.cli_json("cert", "get", serial(openssl, own[1]))
    assert shown["status"] == "revoked" and shown["reason"] == "keyCompromise"
    assert "certRevoked" in cmp.refused("rr", *birth, "-oldcert", own[1], "-revreason", "1"), "a second time"
    assert "certRevoked" in cmp.refused("cr", *own, "-newkey", own[3], "-subject", "/CN=x", "-certout", "x.pem", "-unprotected_errors")


def test_rr__hold_and_release(house, openssl, factory):
    profile = house.cli_json("get", "profiles", "device-ldevid-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document["revocation"] = {**document.get("revocation", {}), "reasons": ["keyCompromise", "certificateHold"]}
    document.update(name="cmp-hold")
    assert house.api("PUT", "/resources/profiles/cmp-hold", document).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "cmp-hold", "protocol": "cmp", "profiles": ["cmp-hold"], "authentication": {"trust-sets": ["factory"]}}
    assert house.api("PUT", "/resources/endpoints/cmp-hold", endpoint).status in (200, 201)
    client = Client(house, openssl, "cmp-hold")
    birth, own = device(openssl, factory, client, "SN-cmp-hold")
    client.run("rr", *birth, "-oldcert", own[1], "-revreason", "6")
    held = house.cli_json("cert", "get", serial(openssl, own[1]))
    assert held["status"] in ("held", "on-hold", "revoked") and held["reason"] == "certificateHold"
    client.run("rr", *birth, "-oldcert", own[1], "-revreason", "8")
    assert house.cli_json("cert", "get", serial(openssl, own[1]))["status"] == "valid"
    assert "notAuthorized" in client.refused("rr", *birth, "-oldcert", own[1], "-revreason", "3"), "a reason that the profile does not list"
    house.cli("cert", "revoke", serial(openssl, own[1]), "--reason", "certificateHold")
    assert "notAuthorized" in client.refused("rr", *birth, "-oldcert", own[1], "-revreason", "8"), "the operator's hold is not for holders to end"
    assert house.cli_json("cert", "get", serial(openssl, own[1]))["reason"] == "certificateHold"


def test_rr__somebody_elses(openssl, factory, cmp):
    _, mine = device(openssl, factory, cmp, "SN-cmp-mine")
    _, other = device(openssl, factory, cmp, "SN-cmp-other")
    assert "notAuthorized" in cmp.refused("rr", *mine, "-oldcert", other[1], "-revreason", "1")


def test_rr__shared_secret(house, openssl, cmp):
    name = "rr.cmp.example.org"
    options = secret(house, names=["DNS:" + name, "CN=" + name])
    openssl.key("rr")
    cmp.run("ir", *options, "-newkey", "rr.key", "-subject", "/CN=" + name, "-sans", name, "-certout", "rr.pem")
    cmp.run("rr", *options, "-oldcert", "rr.pem", "-revreason", "5")
    assert house.cli_json("cert", "get", serial(openssl, "rr.pem"))["status"] == "revoked"


# ---- information ----


def test_genm__ca_certs(house, openssl, factory, cmp):
    _, own = device(openssl, factory, cmp, "SN-cmp-genm")
    cmp.run("genm", *own, "-infotype", "caCerts", "-cacertsout", "ca.pem")
    with open(openssl.file("ca.pem"), encoding="ascii") as f:
        assert f.read().count("BEGIN CERTIFICATE") == 3, "two issuers and the root"


def test_genm__root_update(house, openssl, factory, cmp):
    _, own = device(openssl, factory, cmp, "SN-cmp-root")
    done = cmp.run("genm", *own, "-infotype", "rootCaCert", "-oldwithold", house.ca_bundle, "-newwithnew", "new.pem", ok=None)
    assert not os.path.exists(openssl.file("new.pem")) or os.path.getsize(openssl.file("new.pem")) == 0, done.stdout


def test_genm__template(openssl, factory, cmp):
    _, own = device(openssl, factory, cmp, "SN-cmp-template")
    cmp.run("genm", *own, "-infotype", "certReqTemplate", "-template", "template.der", "-keyspec", "keyspec.der")
    assert "id-regCtrl-algId" in openssl.text("asn1parse", "-inform", "DER", "-in", "keyspec.der")


def test_genm__crl(openssl, factory, cmp):
    birth, own = device(openssl, factory, cmp, "SN-cmp-crl")
    cmp.run("rr", *birth, "-oldcert", own[1], "-revreason", "5")
    number = serial(openssl, own[1]).upper()
    cmp.run("genm", *birth, "-infotype", "crlStatusList", "-crlcert", own[1], "-crlout", "first.crl")
    cmp.run("genm", *birth, "-infotype", "crlStatusList", "-oldcrl", "first.crl", "-crlout", "second.crl", ok=None)
    text = openssl.text("crl", "-inform", "DER", "-in", "first.crl", "-noout", "-text")
    assert "CRL Number" in text and ("Revoked Certificates" in text or number)


# ---- delayed delivery ----


@pytest.fixture
def four_eyes(house):
    profile = house.cli_json("get", "profiles", "server-internal-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document.update(name="cmp-four-eyes", approval={"required": True, "roles": ["operator", "admin"]})
    assert house.api("PUT", "/resources/profiles/cmp-four-eyes", document).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "cmp-approval", "protocol": "cmp", "profiles": ["cmp-four-eyes"],
                "authentication": {"token": True}, "cmp": {"poll-after": "1s"}}
    assert house.api("PUT", "/resources/endpoints/cmp-approval", endpoint).status in (200, 201)
    yield "cmp-approval"
    house.api("DELETE", "/resources/endpoints/cmp-approval")
    house.api("DELETE", "/resources/profiles/cmp-four-eyes")


def test_poll(house, openssl, four_eyes):
    name = "wait.cmp.example.org"
    client = Client(house, openssl, four_eyes)
    openssl.key("wait")
    options = secret(house, four_eyes, "cmp-four-eyes", ["DNS:" + name, "CN=" + name])
    ask = (*options, "-newkey", "wait.key", "-subject", "/CN=" + name, "-sans", name, "-certout", "wait.pem")
    assert "timeout" in client.refused("ir", *ask, "-total_timeout", "2").lower()
    waiting = [r["id"] for r in house.cli_json("request", "list", "--status", "pending") if "wait.cmp" in json.dumps(r)]
    found = waiting or [r["id"] for r in house.cli_json("request", "list", "--status", "pending")
                        if r["request"]["endpoint"] == four_eyes]
    assert len(found) == 1, "one request, however often it was asked about; transactions are not among them"
    house.cli("request", "approve", found[0])
    client.run("ir", *ask, "-total_timeout", "20")
    assert subject(openssl, "wait.pem") == "CN=" + name


def test_poll__rejected(house, openssl, four_eyes):
    name = "no.cmp.example.org"
    client = Client(house, openssl, four_eyes)
    openssl.key("no")
    options = secret(house, four_eyes, "cmp-four-eyes", ["DNS:" + name, "CN=" + name])
    ask = (*options, "-newkey", "no.key", "-subject", "/CN=" + name, "-sans", name, "-certout", "no.pem")
    client.refused("ir", *ask, "-total_timeout", "1")
    for r in house.cli_json("request", "list", "--status", "pending"):
        if r["request"]["endpoint"] == four_eyes:
            house.cli("request", "reject", r["id"])
    assert "approval.rejected" in client.refused("ir", *ask, "-total_timeout", "20")


# ---- refusals ----


def test_refused__strangers(house, openssl, factory, cmp):
    openssl.key("x")
    ask = ("-newkey", "x.key", "-subject", "/CN=x", "-certout", "x.pem", "-unprotected_errors")
    assert "badMessageCheck" in cmp.refused("ir", "-ref", "nobody", "-secret", "pass:wrong", *ask)
    made = secret(house, names=["CN=x"])
    assert "badMessageCheck" in cmp.refused("ir", made[0], made[1], "-secret", "pass:wrong", *ask)
    assert "badMessageCheck" in cmp.refused("ir", "-unprotected_requests", *ask)
    openssl.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=stranger", "-keyout", "s.key",
                "-out", "s.pem")
    assert "signerNotTrusted" in cmp.refused("ir", "-cert", "s.pem", "-key", "s.key", *ask)


def test_refused__raverified_by_a_device(openssl, factory, cmp):
    birth, _ = device(openssl, factory, cmp, "SN-cmp-pop")
    openssl.key("pop")
    assert "badPOP" in cmp.refused("ir", *birth, "-newkey", "pop.key", "-popo", "0", "-subject", "/CN=SN-cmp-pop", "-certout", "pop.pem")


def test_refused__kur_by_secret(house, openssl, cmp):
    name = "kur.cmp.example.org"
    options = secret(house, names=["DNS:" + name, "CN=" + name])
    openssl.key("kur")
    cmp.run("ir", *options, "-newkey", "kur.key", "-subject", "/CN=" + name, "-sans", name, "-certout", "kur.pem")
    assert "wrongIntegrity" in cmp.refused("kur", *options, "-oldcert", "kur.pem", "-newkey", "kur.key", "-certout", "kur2.pem")
