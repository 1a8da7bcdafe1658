"""One policy behind every door: the same request through EST and REST gives the same certificate but for serial and times."""
import base64
import re


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
