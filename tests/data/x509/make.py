#!/usr/bin/python3
"""Make the samples in good/ (with openssl >= 3.5 and certtool) and, from them, the broken ones in bad/<kind>/.

  OPENSSL=/path/to/openssl tests/data/x509/make.py          everything anew (keys and signatures differ each time)
  tests/data/x509/make.py bad                               only bad/, which follows from good/

A bad file is named for the rule that it breaks; the unit tests check that the refusal names it: `rfc5280-4.1.2.2-...` for
"RFC 5280 4.1.2.2", `x690-10.1-...` for "X.690 10.1". Signatures in bad/ do not verify; nothing there checks them."""
import copy
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
GOOD, BAD = HERE / "good", HERE / "bad"
OPENSSL = os.environ.get("OPENSSL", "openssl")


# --- a small DER tree: [tag, bytes] or [tag, [children]] ------------------------------------------------------------------

def length(n):
    if n < 0x80:
        return bytes([n])
    octets = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def parse(data):
    out, i = [], 0
    while i < len(data):
        tag, n, i = data[i], data[i + 1], i + 2
        if n & 0x80:
            k = n & 0x7F
            n, i = int.from_bytes(data[i:i + k], "big"), i + k
        body = data[i:i + n]
        out.append([tag, parse(body) if tag & 0x20 else body])
        i += n
    return out


class Raw(bytes):
    """Bytes that go out as they are, header and all."""


def encode(node):
    if isinstance(node, Raw):
        return bytes(node)
    tag, body = node
    body = b"".join(map(encode, body)) if isinstance(body, list) else body
    return bytes([tag]) + length(len(body)) + body


def oid(dotted):
    a = [int(x) for x in dotted.split(".")]
    out = b""
    for arc in [a[0] * 40 + a[1], *a[2:]]:
        part = [arc & 0x7F]
        while arc := arc >> 7:
            part.append(0x80 | arc & 0x7F)
        out += bytes(reversed(part))
    return [6, out]


def ext(dotted, value, critical=False):
    return [0x30, [oid(dotted), *([[1, b"\xff"]] if critical else []), [4, encode(value)]]]


# --- good ------------------------------------------------------------------------------------------------------------------

CONFIG = """
[req]
distinguished_name = d
[d]
[leaf]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth,serverAuth
subjectKeyIdentifier = hash
subjectAltName = DNS:gw-1.example.org,IP:192.0.2.1,IP:2001:db8::1,URI:urn:dev:ops:32473-gw-1,email:ops@example.org
authorityInfoAccess = OCSP;URI:http://pki.example.org/ocsp,caIssuers;URI:http://pki.example.org/ca.cer
crlDistributionPoints = URI:http://pki.example.org/a.crl
certificatePolicies = 2.23.140.1.2.1
[csr]
subjectAltName = DNS:gw-1.example.org,IP:192.0.2.1
keyUsage = digitalSignature
[idevid]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
subjectAltName = otherName:1.3.6.1.5.5.7.8.4;SEQUENCE:hw,otherName:1.3.6.1.5.5.7.8.3;SEQUENCE:perm,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:gw@example.org,RID:1.2.3.4,dirName:dn
2.5.29.56 = ASN1:NULL
1.3.6.1.5.5.7.1.25 = ASN1:IA5:https://mud.example.org/gw
[hw]
a = OID:1.3.6.1.4.1.32473.1
b = FORMAT:ASCII,OCT:SN-0001
[perm]
a = UTF8:SN-0001
b = OID:1.3.6.1.4.1.32473.2
[dn]
CN = gw-1
[ca]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
extendedKeyUsage = serverAuth,1.3.6.1.4.1.32473.9
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer:always
nameConstraints = critical,permitted;DNS:example.org,permitted;IP:10.0.0.0/255.0.0.0,excluded;email:.bad.example,excluded;dirName:evil
certificatePolicies = 2.23.140.1.2.1,1.3.6.1.4.1.32473.3,@pol
policyConstraints = requireExplicitPolicy:1,inhibitPolicyMapping:0
inhibitAnyPolicy = 2
policyMappings = 1.3.6.1.4.1.32473.3:1.3.6.1.4.1.32473.4
crlDistributionPoints = URI:http://pki.example.org/a.crl,URI:ldap://pki.example.org/a
freshestCRL = URI:http://pki.example.org/delta.crl
authorityInfoAccess = OCSP;URI:http://pki.example.org/ocsp,caIssuers;URI:http://pki.example.org/ca.cer
subjectInfoAccess = caRepository;URI:rsync://pki.example.org/r/
tlsfeature = status_request
issuerAltName = URI:urn:ca
nsComment = "a comment"
noCheck = ignored
1.3.6.1.4.1.32473.5 = DER:04:03:01:02:03
1.3.6.1.4.1.311.21.7 = ASN1:SEQUENCE:tmpl
1.3.6.1.4.1.11129.2.4.2 = DER:04:08:00:06:00:01:aa:00:01:bb
[tmpl]
a = OID:1.3.6.1.4.1.311.21.8.1.2
b = INT:100
c = INT:4
[pol]
policyIdentifier = 1.3.6.1.4.1.32473.6
CPS.1 = "http://pki.example.org/cps"
userNotice.1 = @notice
[notice]
explicitText = "Explicit text"
[evil]
O = Evil
[cadb]
database = idx
crlnumber = crlno
default_md = default
[crlext]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical,@idp
[idp]
fullname = URI:http://pki.example.org/a.crl
onlyuser = TRUE
"""

KEYS = {
    "p256": ["EC", "group:P-256"], "p384": ["EC", "group:P-384"], "p521": ["EC", "group:P-521"],
    "rsa2048": ["RSA", "rsa_keygen_bits:2048"], "rsapss": ["RSA-PSS", "rsa_keygen_bits:2048"],
    "ed25519": ["ED25519"], "ed448": ["ED448"],
    "mldsa44": ["ML-DSA-44"], "mldsa65": ["ML-DSA-65"], "mldsa87": ["ML-DSA-87"], "slhdsa128s": ["SLH-DSA-SHA2-128s"],
}


def run(*args, **kw):
    return subprocess.run([str(a) for a in args], check=True, stdout=subprocess.PIPE, **kw).stdout


def ossl(*args, **kw):
    return run(OPENSSL, *args, **kw)


def der(path, kind):
    return ossl(kind, "-in", path, "-outform", "DER")


def make_certs(tmp, conf):
    for name, (alg, *opts) in KEYS.items():
        key = tmp / f"{name}.key"
        ossl("genpkey", "-algorithm", alg, *[x for o in opts for x in ("-pkeyopt", o)], "-out", key)
        ossl("req", "-x509", "-key", key, "-config", conf, "-extensions", "leaf", "-days", "47", "-outform", "DER",
             "-subj", "/C=DE/O=Example AG/OU=Gateways/CN=gw-1", "-out", GOOD / f"cert-{name}.der")
        ossl("req", "-new", "-key", key, "-config", conf, "-reqexts", "csr", "-outform", "DER",
             "-subj", "/O=Example AG/CN=gw-1", "-out", GOOD / f"csr-{name}.der")
    key = tmp / "p256.key"
    ossl("req", "-x509", "-key", key, "-config", conf, "-extensions", "ca", "-days", "3650", "-outform", "DER",
         "-subj", "/CN=Rich CA/serialNumber=42/emailAddress=ca@example.org", "-out", GOOD / "cert-ca-rich.der")
    ossl("req", "-x509", "-key", key, "-config", conf, "-extensions", "idevid", "-not_before", "20260101000000Z",
         "-not_after", "99991231235959Z", "-outform", "DER", "-subj", "/serialNumber=SN-0001/OU=a+CN=gw-1", "-multivalue-rdn",
         "-out", GOOD / "cert-idevid.der")
    ossl("req", "-x509", "-x509v1", "-key", key, "-config", conf, "-outform", "DER", "-subj", "/CN=old",
         "-out", GOOD / "cert-v1.der")


def make_requests(tmp, conf):
    key = tmp / "p256.key"
    attrs = tmp / "attrs.cnf"
    attrs.write_text("[req]\nprompt=no\ndistinguished_name=d\nattributes=a\n[d]\nCN=x\n[a]\nchallengePassword=s3cret\n"
                     "unstructuredName=gw one\n")
    ossl("req", "-new", "-key", key, "-config", attrs, "-outform", "DER", "-out", GOOD / "csr-challenge.der")
    ossl("req", "-new", "-key", key, "-config", conf, "-subj", "/", "-outform", "DER", "-out", GOOD / "csr-empty-subject.der")
    (GOOD / "spkac-p256.txt").write_bytes(ossl("spkac", "-key", key, "-challenge", "abc", "-digest", "sha256"))
    # CertReqMessages stand in a PKIMessage's body [0].
    ossl("cmp", "-cmd", "ir", "-newkey", key, "-subject", "/O=Example AG/CN=gw-1", "-sans", "gw-1.example.org", "-days", "30",
         "-ref", "x", "-secret", "pass:x", "-batch", "-reqout_only", tmp / "ir.der", "-reqin_new_tid")
    body = parse((tmp / "ir.der").read_bytes())[0][1][1]
    (GOOD / "crmf-messages-p256.der").write_bytes(encode(body[1][0]))
    (GOOD / "crmf-p256.der").write_bytes(encode(body[1][0][1][0]))
    ossl("cmp", "-cmd", "ir", "-newkey", key, "-subject", "/CN=gw-1", "-popo", "0", "-ref", "x", "-secret", "pass:x", "-batch",
         "-reqout_only", tmp / "ra.der")
    (GOOD / "crmf-ra-verified.der").write_bytes(encode(parse((tmp / "ra.der").read_bytes())[0][1][1][1][0][1][0]))


def make_crls(tmp, conf):
    key, cert = tmp / "p256.key", tmp / "crlca.pem"
    ossl("req", "-x509", "-key", key, "-config", conf, "-extensions", "ca", "-subj", "/CN=CRL CA", "-out", cert)
    index = ("R\t290101000000Z\t260101000000Z,keyCompromise\t01A2\tunknown\t/CN=a\n"
             "R\t290101000000Z\t260102000000Z,keyTime,20250101000000Z\t80FF\tunknown\t/CN=b\n"
             "R\t290101000000Z\t260103000000Z\t0B\tunknown\t/CN=c\n")
    for name, text, opts in (("crl-entries", index, ["-crlexts", "crlext"]), ("crl-empty", "", [])):
        (tmp / "idx").write_text(text)
        (tmp / "crlno").write_text("1000\n")
        ossl("ca", "-gencrl", "-name", "cadb", "-config", conf, "-keyfile", key, "-cert", cert, "-crldays", "7", *opts,
             "-out", tmp / "crl.pem", cwd=tmp)
        (GOOD / f"{name}.der").write_bytes(der(tmp / "crl.pem", "crl"))
    ossl("crl2pkcs7", "-nocrl", "-certfile", cert, "-outform", "DER", "-out", GOOD / "certs-only.der")
    # The same with indefinite lengths, as old senders have it.
    def indefinite(node):
        tag, body = node
        if not isinstance(body, list):
            return encode(node)
        return bytes([tag, 0x80]) + b"".join(map(indefinite, body)) + b"\0\0"
    (GOOD / "certs-only-ber.der").write_bytes(indefinite(parse((GOOD / "certs-only.der").read_bytes())[0]))


def make_certtool(tmp):
    template = tmp / "t.cfg"
    template.write_text('organization = "Example AG"\ncn = "gnutls"\nserial = 7\nexpiration_days = 30\ndns_name = "g.example.org"\n'
                        'ip_address = "192.0.2.7"\ntls_www_server\nsigning_key\nchallenge_password = 1234\n')
    for name, kind in (("rsa", "rsa"), ("ed25519", "ed25519")):
        run("certtool", "--generate-privkey", "--key-type", kind, "--outfile", tmp / f"g-{name}.key")
        run("certtool", "--generate-self-signed", "--load-privkey", tmp / f"g-{name}.key", "--template", template, "--outder",
            "--outfile", GOOD / f"cert-gnutls-{name}.der")
        run("certtool", "--generate-request", "--load-privkey", tmp / f"g-{name}.key", "--template", template, "--outder",
            "--outfile", GOOD / f"csr-gnutls-{name}.der")


def make_good():
    shutil.rmtree(GOOD, ignore_errors=True)
    GOOD.mkdir()
    with tempfile.TemporaryDirectory() as t:
        tmp = pathlib.Path(t)
        conf = tmp / "x.cnf"
        conf.write_text(CONFIG)
        make_certs(tmp, conf)
        make_requests(tmp, conf)
        make_crls(tmp, conf)
        make_certtool(tmp)


# --- bad -------------------------------------------------------------------------------------------------------------------

def load(name):
    return parse((GOOD / name).read_bytes())[0]


def put(kind, name, node):
    path = BAD / kind / f"{name}.der"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(node if isinstance(node, bytes) else encode(node))


def bad_certs():
    base = load("cert-p256.der")

    def make(name, change):
        cert = copy.deepcopy(base)
        out = change(cert, cert[1][0][1])
        put("cert", name, cert if out is None else out)

    def at(i, value):
        def change(cert, tbs):
            tbs[i] = value
        return change

    def exts(tbs):
        return tbs[7][1][0][1]

    def add_ext(*e):
        def change(cert, tbs):
            exts(tbs).extend(e)
        return change

    # tbs: 0 version, 1 serial, 2 sigalg, 3 issuer, 4 validity, 5 subject, 6 spki, 7 extensions
    make("rfc5280-4.1.2.1-version-4", at(0, [0xA0, [[2, b"\x03"]]]))
    make("x690-11.5-version-1-encoded", at(0, [0xA0, [[2, b"\x00"]]]))
    make("rfc5280-4.1.2.9-extensions-in-version-2", at(0, [0xA0, [[2, b"\x01"]]]))
    make("rfc5280-4.1.2.2-serial-of-21-octets", at(1, [2, b"\x01" * 21]))
    make("x690-8.3.2-serial-padded", at(1, [2, b"\x00\x01"]))
    make("x690-8.3.1-serial-without-contents", at(1, [2, b""]))
    make("rfc5280-4.1.1.2-algorithms-differ", at(2, [0x30, [oid("1.2.840.10045.4.3.3")]]))
    make("rfc5280-4.1.2.4-issuer-empty", at(3, [0x30, []]))
    make("rfc5280-4.1.2.4-empty-rdn", at(5, [0x30, [[0x31, []]]]))
    make("rfc5280-4.1.2.4-empty-attribute", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), [12, b""]]]]]]]))
    make("rfc5280-4.1.2.4-common-name-integer", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), [2, b"\x01"]]]]]]]))
    make("rfc5280-a.1-common-name-endless", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), [12, b"a" * 257]]]]]]]))
    make("x680-41-printable-with-asterisk", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), [19, b"*.example"]]]]]]]))
    make("x680-41-utf8-broken", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), [12, b"\xc0\x80"]]]]]]]))
    make("x680-41-name-with-nul", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), [12, b"good\x00evil"]]]]]]]))
    make("x680-41-bmp-of-odd-length", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), [30, b"\x00a\x00"]]]]]]]))
    pair = [[0x30, [oid("2.5.4.11"), [12, b"a"]]], [0x30, [oid("2.5.4.3"), [12, b"b"]]]]
    make("x690-11.6-rdn-out-of-order", at(5, [0x30, [[0x31, pair]]]))
    make("rfc5280-4.1.2.5.1-time-without-seconds", at(4, [0x30, [[23, b"2601010000Z"], [23, b"270101000000Z"]]]))
    make("rfc5280-4.1.2.5.1-time-with-offset", at(4, [0x30, [[23, b"260101000000+0100"], [23, b"270101000000Z"]]]))
    make("rfc5280-4.1.2.5.1-february-30", at(4, [0x30, [[23, b"260230000000Z"], [23, b"270101000000Z"]]]))
    make("rfc5280-4.1.2.5.2-time-with-fraction", at(4, [0x30, [[23, b"260101000000Z"], [24, b"20510101000000.5Z"]]]))
    make("x690-8.1-validity-with-one-time", at(4, [0x30, [[23, b"260101000000Z"]]]))
    make("rfc5280-4.1.2.7-empty-key", lambda c, t: t[6][1].__setitem__(1, [3, b"\x00"]))
    make("x690-8.6.2-key-with-unused-bits", lambda c, t: t[6][1].__setitem__(1, [3, b"\x01\x02"]))
    make("x690-11.2.1-unused-bits-set", lambda c, t: t[6][1].__setitem__(1, [3, b"\x01\x03"]))
    make("rfc5280-4.1-no-extensions-in-list", lambda c, t: t[7][1].__setitem__(0, [0x30, []]))
    make("rfc5280-4.2-extension-twice", lambda c, t: exts(t).append(copy.deepcopy(exts(t)[0])))
    make("x690-11.5-critical-false-encoded",
         add_ext([0x30, [oid("1.3.6.1.4.1.32473.1"), [1, b"\x00"], [4, b"\x05\x00"]]]))
    make("x690-11.1-critical-of-01", add_ext([0x30, [oid("1.3.6.1.4.1.32473.1"), [1, b"\x01"], [4, b"\x05\x00"]]]))
    make("x690-8.2.1-critical-of-two-octets", add_ext([0x30, [oid("1.3.6.1.4.1.32473.1"), [1, b"\xff\xff"], [4, b"\x05\x00"]]]))
    make("x690-8.19.2-oid-padded", add_ext([0x30, [[6, b"\x2a\x80\x01"], [4, b"\x05\x00"]]]))
    make("x690-8.19-oid-ends-inside-arc", add_ext([0x30, [[6, b"\x2a\x81"], [4, b"\x05\x00"]]]))
    make("x690-8.1-bytes-after-extension", lambda c, t: exts(t)[0][1].append([5, b""]))
    make("x690-8.1-bytes-after-tbs-fields", lambda c, t: t.append([0xA4, b""]))
    make("x690-8.1-trailing-byte", lambda c, t: encode(c) + b"\x00")
    make("x690-8.1.3-cut-in-the-middle", lambda c, t: encode(c)[:200])
    make("x690-8.1.3-length-past-the-end", lambda c, t: encode(c)[:-1])
    make("x690-10.1-indefinite-length", lambda c, t: b"\x30\x80" + b"".join(map(encode, c[1])) + b"\0\0")
    make("x690-10.1-length-padded", at(1, Raw(b"\x02\x81\x01\x05")))
    make("x690-8.1.3.5-length-of-five-octets", lambda c, t: b"\x30\x85\x00\x00\x00\x00\x10" + b"\0" * 16)
    make("x690-8.1.2-constructed-bit-string", lambda c, t: c[1].__setitem__(2, [0x23, [[3, b"\x00\x01"]]]))
    make("x690-10.2-constructed-utf8-string", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), [0x2C, [[4, b"a"]]]]]]]]]))
    make("x690-8.1.2.4-high-tag-number", at(5, [0x30, [[0x31, [[0x30, [oid("2.5.4.3"), Raw(b"\x1f\x20\x00")]]]]]]))
    make("rfc5280-4.1.2.8-unique-id-in-version-1",
         lambda c, t: (t.pop(0), t.pop(), t.append([0x81, b"\x00\x01"]), None)[-1])


def bad_exts():
    """Values of single extensions: the file holds the contents of extnValue, its name starts with the decoder."""
    def make(decoder, name, node):
        put(f"ext/{decoder}", name, node)
    make("basic-constraints", "rfc5280-4.2.1.9-path-length-without-ca", [0x30, [[2, b"\x00"]]])
    make("basic-constraints", "x690-8.3-negative-path-length", [0x30, [[1, b"\xff"], [2, b"\xff"]]])
    make("basic-constraints", "x690-8.1-bytes-left-over", [0x30, [[1, b"\xff"], [2, b"\x00"], [5, b""]]])
    make("key-usage", "rfc5280-4.2.1.3-no-bit", [3, b"\x00"])
    make("key-usage", "rfc5280-4.2.1.3-unknown-bit", [3, b"\x06\x00\x40"])
    make("key-usage", "x690-11.2.2-trailing-zero-bits", [3, b"\x00\x80"])
    make("key-usage", "x690-8.6.2-unused-bits-of-8", [3, b"\x08\x80"])
    make("eku", "rfc5280-4.2.1.12-empty", [0x30, []])
    make("ski", "rfc5280-4.2.1.2-empty", [4, b""])
    make("akid", "rfc5280-a.2-serial-without-issuer", [0x30, [[0x80, b"\x01"], [0x82, b"\x01"]]])
    make("cdp", "rfc5280-4.2.1.13-empty", [0x30, []])
    make("cdp", "rfc5280-4.2.1.13-reasons-alone", [0x30, [[0x30, [[0x81, b"\x06\x40"]]]]])
    make("aia", "rfc5280-4.2.2.1-empty", [0x30, []])
    make("policies", "rfc5280-4.2.1.4-empty", [0x30, []])
    make("policies", "rfc5280-4.2.1.4-twice", [0x30, [[0x30, [oid("1.2.3")]], [0x30, [oid("1.2.3")]]]])
    make("san", "rfc5280-4.2.1.6-empty", [0x30, []])
    make("san", "rfc5280-4.2.1.6-dns-empty", [0x30, [[0x82, b""]]])
    make("san", "rfc5280-4.2.1.6-dns-of-a-space", [0x30, [[0x82, b" "]]])
    make("san", "rfc5280-4.2.1.6-dns-with-nul", [0x30, [[0x82, b"good.example\x00.evil.example"]]])
    make("san", "rfc5280-4.2.1.6-dns-not-ascii", [0x30, [[0x82, "bücher.example".encode()]]])
    make("san", "rfc5280-4.2.1.6-uri-relative", [0x30, [[0x86, b"/path"]]])
    make("san", "rfc5280-4.2.1.6-email-without-host", [0x30, [[0x81, b"ops"]]])
    make("san", "rfc5280-4.2.1.6-ip-of-5-octets", [0x30, [[0x87, b"\x01\x02\x03\x04\x05"]]])
    make("san", "rfc5280-4.2.1.6-ip-with-mask", [0x30, [[0x87, b"\x0a\0\0\0\xff\0\0\0"]]])
    make("san", "rfc5280-4.2.1.6-unknown-choice", [0x30, [[0x89, b"x"]]])
    make("san", "x690-8.1-other-name-without-value", [0x30, [[0xA0, [oid("1.2.3")]]]])
    make("name-constraints", "rfc5280-4.2.1.10-empty", [0x30, []])
    make("name-constraints", "rfc5280-4.2.1.10-empty-list", [0x30, [[0xA0, []]]])
    make("name-constraints", "rfc5280-4.2.1.10-minimum", [0x30, [[0xA0, [[0x30, [[0x82, b"a.example"], [0x80, b"\x01"]]]]]]])
    make("name-constraints", "rfc5280-4.2.1.10-ip-without-mask", [0x30, [[0xA0, [[0x30, [[0x87, b"\x0a\0\0\0"]]]]]]])
    make("name-constraints", "rfc5280-4.2.1.10-mask-with-a-hole", [0x30, [[0xA0, [[0x30, [[0x87, b"\x0a\0\0\0\xff\0\xff\0"]]]]]]])


def bad_csrs():
    base, challenge = load("csr-p256.der"), load("csr-challenge.der")

    def make(name, change, start=base):
        csr = copy.deepcopy(start)
        out = change(csr, csr[1][0][1])
        put("csr", name, csr if out is None else out)

    attr = lambda dotted, *values: [0x30, [oid(dotted), [0x31, list(values)]]]
    wanted = [0x30, [ext("2.5.29.15", [3, b"\x07\x80"])]]
    # info: 0 version, 1 subject, 2 spki, 3 attributes
    make("rfc2986-4.1-version-2", lambda c, i: i.__setitem__(0, [2, b"\x01"]))
    make("rfc2986-4.1-attribute-twice", lambda c, i: i[3][1].append(copy.deepcopy(i[3][1][0])), challenge)
    make("rfc2986-4.1-attribute-without-values", lambda c, i: i[3][1].append(attr("1.2.3")))
    make("rfc2985-5.4.2-second-extension-request", lambda c, i: i[3][1].append(attr("1.3.6.1.4.1.311.2.1.14", wanted)))
    make("x690-8.1-extension-request-of-two-values",
         lambda c, i: i[3].__setitem__(1, [attr("1.2.840.113549.1.9.14", wanted, wanted)]))
    make("rfc5280-4.1-extension-request-empty", lambda c, i: i[3].__setitem__(1, [attr("1.2.840.113549.1.9.14", [0x30, []])]))
    make("rfc2985-5.4.1-challenge-not-a-string", lambda c, i: i[3].__setitem__(1, [attr("1.2.840.113549.1.9.7", [2, b"\x01"])]))
    make("rfc2985-5.4.1-challenge-empty", lambda c, i: i[3].__setitem__(1, [attr("1.2.840.113549.1.9.7", [19, b""])]))
    make("rfc2985-5.4.1-challenge-with-nul", lambda c, i: i[3].__setitem__(1, [attr("1.2.840.113549.1.9.7", [12, b"a\x00b"])]))
    make("x690-8.1-trailing-byte", lambda c, i: encode(c) + b"\x00")
    make("x690-8.1-bytes-after-attributes", lambda c, i: i.append([5, b""]))
    make("x690-8.1.2-no-signature", lambda c, i: c[1].__setitem__(2, [5, b""]))


def bad_crmf():
    base = load("crmf-p256.der")

    def make(name, change):
        msg = copy.deepcopy(base)
        out = change(msg, msg[1][0][1], msg[1][0][1][1][1])
        put("crmf", name, msg if out is None else out)

    # req: 0 id, 1 template; template: validity [4], subject [5], key [6], extensions [9]
    def first(template, tag):
        return next(i for i, n in enumerate(template) if n[0] == tag)
    make("rfc4211-5-version-1", lambda m, r, t: t.insert(0, [0x80, b"\x00"]))
    make("rfc4211-5-serial-number", lambda m, r, t: t.insert(0, [0x81, b"\x05"]))
    make("rfc4211-5-unique-id", lambda m, r, t: t.insert(first(t, 0xA6) + 1, [0x87, b"\x00\x01"]))
    make("rfc4211-5-validity-empty", lambda m, r, t: t.__setitem__(first(t, 0xA4), [0xA4, []]))
    make("rfc4211-6-controls-empty", lambda m, r, t: r.append([0x30, []]))
    make("rfc2986-4.1-control-twice",
         lambda m, r, t: r.append([0x30, [[0x30, [oid("1.3.6.1.5.5.7.5.1.1"), [12, b"a"]]]] * 2]))
    make("x690-8.8.2-ra-verified-with-contents", lambda m, r, t: m[1].__setitem__(1, [0x80, b"\x01"]))
    sender = [0xA0, [[0xA4, [[0x30, []]]]]]
    key = lambda t: [0x30, copy.deepcopy(t[first(t, 0xA6)][1])]
    make("rfc4211-4.1-input-beside-complete-template",
         lambda m, r, t: m[1][1][1].insert(0, [0xA0, [sender, key(t)]]))

    def other_key(m, r, t):
        k = key(t)
        k[1][1] = [3, b"\x00\x04" + b"\x01" * 64]
        t.pop(first(t, 0xA5))
        m[1][1][1].insert(0, [0xA0, [sender, k]])
    make("rfc4211-4.1-input-with-another-key", other_key)

    def no_auth(m, r, t):
        k = key(t)
        t.pop(first(t, 0xA5))
        m[1][1][1].insert(0, [0xA0, [[5, b""], k]])
    make("rfc4211-4.1-input-without-sender", no_auth)
    make("x690-8.1-trailing-byte", lambda m, r, t: encode(m) + b"\x00")
    put("crmf-messages", "rfc4211-3-empty", [0x30, []])


def bad_crls():
    base = load("crl-entries.der")

    def make(name, change):
        crl = copy.deepcopy(base)
        out = change(crl, crl[1][0][1])
        put("crl", name, crl if out is None else out)

    def number(value):
        def change(c, t):
            es = t[6][1][0][1]
            i = next(i for i, e in enumerate(es) if e[1][0] == oid("2.5.29.20"))
            es[i] = ext("2.5.29.20", value)
        return change

    def entry_ext(e):
        def change(c, t):
            t[5][1][2] = [0x30, [[2, b"\x0b"], [23, b"260103000000Z"], [0x30, [e]]]]
        return change

    # tbs: 0 version, 1 sigalg, 2 issuer, 3 thisUpdate, 4 nextUpdate, 5 entries, 6 extensions
    make("rfc5280-5.1.2.1-version-3", lambda c, t: t.__setitem__(0, [2, b"\x02"]))
    make("rfc5280-5.1.2.7-extensions-in-version-1", lambda c, t: (t.pop(0), None)[1])
    make("rfc5280-5.1.2.3-issuer-empty", lambda c, t: t.__setitem__(2, [0x30, []]))
    make("rfc5280-5.1.2.6-empty-list", lambda c, t: t.__setitem__(5, [0x30, []]))
    make("rfc5280-5.1.1.2-algorithms-differ", lambda c, t: t.__setitem__(1, [0x30, [oid("1.2.840.10045.4.3.3")]]))
    make("rfc5280-5.2.3-negative-number", number([2, b"\xff"]))
    make("rfc5280-5.2.3-number-of-21-octets", number([2, b"\x01" * 21]))
    make("x690-8.3.2-number-padded", number([2, b"\x00\x01"]))
    make("rfc5280-5.3.1-reason-7", entry_ext(ext("2.5.29.21", [10, b"\x07"])))
    make("rfc5280-5.3.1-reason-11", entry_ext(ext("2.5.29.21", [10, b"\x0b"])))
    make("x690-8.1.2-reason-integer", entry_ext(ext("2.5.29.21", [2, b"\x01"])))
    make("x690-8.1.2-invalidity-date-utc-time", entry_ext(ext("2.5.29.24", [23, b"260101000000Z"])))
    make("rfc5280-4.2-entry-extension-twice",
         lambda c, t: t[5][1][2].__setitem__(1, [[2, b"\x0b"], [23, b"260103000000Z"], [0x30, [ext("2.5.29.21", [10, b"\x01"])] * 2]]))
    make("x690-8.1-entry-with-left-overs", lambda c, t: t[5][1][2][1].append([5, b""]))
    make("x690-8.1-trailing-byte", lambda c, t: encode(c) + b"\x00")


def bad_others():
    spkac = (GOOD / "spkac-p256.txt").read_bytes().split(b"=", 1)[1]
    import base64
    base = parse(base64.b64decode(spkac))[0]

    def make(name, change):
        s = copy.deepcopy(base)
        change(s, s[1][0][1])
        put("spkac", name, s)
    make("x690-8.1.2-challenge-utf8-string", lambda s, p: p.__setitem__(1, [12, b"abc"]))
    make("x680-41-challenge-not-ascii", lambda s, p: p.__setitem__(1, [22, b"\xff"]))
    make("x690-8.1-bytes-after-challenge", lambda s, p: p.append([5, b""]))
    p7 = load("certs-only.der")

    def make7(name, change):
        s = copy.deepcopy(p7)
        change(s, s[1][1][1][0][1])
        put("certs-only", name, s)
    make7("rfc5652-5.1-not-signed-data", lambda s, d: s[1].__setitem__(0, oid("1.2.840.113549.1.7.3")))
    make7("rfc5652-5.1-version-0", lambda s, d: d.__setitem__(0, [2, b"\x00"]))
    make7("rfc8951-3-with-a-signer", lambda s, d: d.__setitem__(-1, [0x31, [[0x30, []]]]))
    make7("x690-8.1-bytes-left-over", lambda s, d: d.append([5, b""]))


def make_bad():
    shutil.rmtree(BAD, ignore_errors=True)
    bad_certs()
    bad_exts()
    bad_csrs()
    bad_crmf()
    bad_crls()
    bad_others()


if __name__ == "__main__":
    if sys.argv[1:] != ["bad"]:
        make_good()
    make_bad()
