"""One policy behind every door: the same request through ACME, CMP, EST, SCEP and REST gives the same certificate but for serial and times."""
import base64
import os
import re
import sys

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
import scep  # noqa: E402
from acme import Client  # noqa: E402


def normal_tbs(openssl, der):
    """The signed part, its serial and validity blanked."""
    serial = bytes.fromhex(openssl.run("x509", "-inform", "DER", "-noout", "-serial", data=der).stdout.decode().split("=")[1])
    with open(openssl.file("cert.der"), "wb") as f:
        f.write(der)
    openssl.run("asn1parse", "-inform", "DER", "-in", "cert.der", "-strparse", "4", "-noout", "-out", "tbs.der")
    with open(openssl.file("tbs.der"), "rb") as f:
        tbs = f.read()
    assert tbs.count(serial) == 1
    tbs, n = re.subn(rb"\x30.(\x17\x0d\d{12}Z|\x18\x0f\d{14}Z){2}", b"TIMES", tbs.replace(serial, b"SERIAL"), flags=re.DOTALL)
    assert n == 1
    return tbs


def test_est_and_rest(house, openssl, factory):
    birth, key = factory.idevid("SN-same")
    der = openssl.der(openssl.csr("same", "/O=Example/CN=SN-same.example.org", "DNS:SN-same.example.org"))
    est = house.request("POST", "/.well-known/est/devices/simpleenroll", base64.b64encode(der), {"Content-Type": "application/pkcs10"}, birth, key)
    assert est.status == 200, est
    pem = openssl.run("pkcs7", "-inform", "DER", "-print_certs", data=base64.b64decode(est.body)).stdout
    first = openssl.run("x509", "-outform", "DER", data=pem).stdout
    rest = house.api("POST", "/enroll?profile=device-ldevid-1y&device=SN-same", der, content_type="application/pkcs10",
                     headers={"Accept": "application/pkix-cert"})
    assert rest.status == 201, rest
    assert first != rest.body
    assert normal_tbs(openssl, first) == normal_tbs(openssl, rest.body)


# Requests that all three doors can carry: ACME has DNS names and addresses only, and a common name among them; nothing but the key, the
# names and the common name of a request counts there.
REQUESTS = [
    ("/", "DNS:same1.example.org"),
    ("/CN=same2.example.org", "DNS:same2.example.org"),
    ("/CN=same3.example.org", "DNS:same3.example.org,DNS:*.same3.example.org,IP:192.0.2.7"),
    ("/", "DNS:b.same4.example.org,DNS:a.same4.example.org,IP:2001:db8::7"),
]


@pytest.mark.parametrize("profile", ["server-internal-1y", "enterprise-tls-47d"])
@pytest.mark.parametrize("number", range(len(REQUESTS)))
@pytest.mark.parametrize("alg", ["EC", "RSA"])
def test_acme_est_and_rest(house, openssl, profile, number, alg):
    subject, san = REQUESTS[number]
    der = openssl.der(openssl.csr("same", subject, san, alg=alg))
    names = [arg for name in san.split(",") for arg in ("--name", name)]
    external = house.cli_json("token", "create", "--external", "--endpoint", "acme", *names)
    client = Client(f"{house.url}/acme/acme/directory", house.ca_bundle)
    client.register(external=(external["id"], external["secret"]))
    order = client.order(*[{"type": {"DNS": "dns", "IP": "ip"}[kind], "value": value} for kind, _, value in
                           (name.partition(":") for name in san.split(","))], profile=profile)
    order.finalize(der)
    by_acme = order.certificates()[0].public_bytes(Encoding.DER)

    token = house.cli("token", "create", "--endpoint", "servers", "--profile", profile, *names).stdout.strip()
    basic = base64.b64encode(token.replace(".", ":", 1).encode()).decode()
    est = house.request("POST", "/.well-known/est/servers/simpleenroll", base64.b64encode(der),
                        {"Content-Type": "application/pkcs10", "Authorization": "Basic " + basic})
    assert est.status == 200, est
    pem = openssl.run("pkcs7", "-inform", "DER", "-print_certs", data=base64.b64decode(est.body)).stdout
    by_est = openssl.run("x509", "-outform", "DER", data=pem).stdout

    rest = house.api("POST", f"/enroll?profile={profile}", der, content_type="application/pkcs10", headers={"Accept": "application/pkix-cert"})
    assert rest.status == 201, rest

    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp", "--profile", profile, *names)
    openssl.run("cmp", "-config", "", "-cmd", "p10cr", "-server", house.plain_url + "/.well-known/cmp", "-recipient", "/CN=CA", "-ref", made["id"],
                "-secret", "pass:" + made["secret"], "-csr", "same.csr", "-certout", "same.pem", "-batch")
    by_cmp = openssl.der("same.pem", "x509")
    assert normal_tbs(openssl, by_acme) == normal_tbs(openssl, by_est) == normal_tbs(openssl, by_cmp) == normal_tbs(openssl, rest.body)


@pytest.mark.parametrize("alg", ["ec", "rsa"])
@pytest.mark.parametrize("san", [None, ["same-a.example.org", "same-b.example.org"]])
def test_scep_and_rest(house, openssl, alg, san):
    """What SCEP carries: a request whole, but for its challenge, which is not the certificate's matter."""
    key, cn = scep.new_key(alg), f"same-scep-{alg}"
    names = [a for n in san or [] for a in ("--name", "DNS:" + n)]
    challenge = house.cli("token", "create", "--for", "scep", "--endpoint", "scep", "--name", "CN=" + cn, *names, "-q").stdout.strip()
    client = scep.Client(house.plain_url, openssl)
    by_scep = client.open(client.enroll(key, cn, challenge, san), key, password=challenge if alg == "ec" else None)[0].public_bytes(Encoding.DER)
    rest = house.api("POST", "/enroll?profile=device-ldevid-1y", scep.request(key, cn, None, san), content_type="application/pkcs10",
                     headers={"Accept": "application/pkix-cert"})
    assert rest.status == 201, rest
    assert normal_tbs(openssl, by_scep) == normal_tbs(openssl, rest.body)


@pytest.mark.parametrize("alg", ["EC", "RSA"])
@pytest.mark.parametrize("names", [["DNS:{}.example.org"], ["DNS:{}.example.org", "DNS:{}.example.net"], []],
                         ids=["one", "two", "none"])
def test_cmp_and_rest(house, openssl, factory, alg, names):
    """One request of a device, by ir, cr, kur and p10cr, each way protected, and by REST."""
    number = f"SN-same-cmp-{alg}-{len(names)}"
    birth, birth_key = factory.idevid(number)
    csr = openssl.csr("same", f"/O=Example/CN={number}.example.org", ",".join(n.format(number) for n in names) or None, alg=alg)
    key = openssl.file("same.key")

    def cmp(command, out, *by):
        openssl.run("cmp", "-config", "", "-cmd", command, "-server", house.plain_url + "/.well-known/cmp", "-recipient", "/CN=CA", "-trusted",
                    house.ca_bundle, "-csr", csr, "-newkey", key, "-certout", out, "-batch", "-implicit_confirm", "-san_nodefault", *by)
        return normal_tbs(openssl, openssl.der(out, "x509"))

    by_birth = cmp("ir", "ir.pem", "-cert", birth, "-key", birth_key)
    own = ("-cert", openssl.file("ir.pem"), "-key", key)
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp", "--profile", "device-ldevid-1y", "--device", number)
    rest = house.api("POST", f"/enroll?profile=device-ldevid-1y&device={number}", openssl.der(csr), content_type="application/pkcs10",
                     headers={"Accept": "application/pkix-cert"})
    assert rest.status == 201, rest
    by_rest = normal_tbs(openssl, rest.body)
    assert by_birth == by_rest
    assert cmp("cr", "cr.pem", *own) == by_rest
    assert cmp("p10cr", "p10cr.pem", *own) == by_rest
    assert cmp("kur", "kur.pem", *own) == by_rest
    assert cmp("ir", "secret.pem", "-ref", made["id"], "-secret", "pass:" + made["secret"]) == by_rest
    if alg == "RSA":  # the certificate comes encrypted, and is the same one
        assert cmp("cr", "decrypted.pem", *own, "-popo", "2") == by_rest

