"""What stands on the farm: servers that others wrote in many settings, and handmade ones that break off, break rules, or never end."""
import datetime
import time
from concurrent.futures import ThreadPoolExecutor

from cryptography import x509
from cryptography.x509.oid import NameOID

from scan_farm import (ALERT, DAY, RETRY, XMPP_TLS, certificate_message, datagram, der, dripping, endless, flight, full, ldap, message, mysql, one_octet,
                       only_old, record, reset, says, server_hello, talking, xmpp)

NO = "TLSv1.2"
NEVER = datetime.datetime(9999, 12, 31, 23, 59, 59)


def nginx_situations(f, c):
    ec256, rsa2048 = c.make("ec256"), c.make("rsa2048", "rsa2048")
    # Newer libraries have X25519MLKEM768 unless they are told otherwise.
    f.plain = f.nginx(ec256, settings="ssl_ecdh_curve X25519:prime256v1;", key="P-256", version="TLS 1.3", group="x25519")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;", key="rsa-2048", version="TLS 1.2",
            cipher="ECDHE_RSA_WITH_AES_128_GCM_SHA256", group="x25519")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers AES256-SHA;", cipher="RSA_WITH_AES_256_CBC_SHA", group=None)
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers DHE-RSA-AES128-GCM-SHA256; ssl_dhparam " + dhparam(f) + ";", dh_bits=1024,
            cipher="DHE_RSA_WITH_AES_128_GCM_SHA256")
    f.nginx(rsa2048, protocols="TLSv1.1", version="TLS 1.1")
    f.nginx(rsa2048, protocols="TLSv1", version="TLS 1.0")
    f.nginx(ec256, protocols="TLSv1", version="TLS 1.0")
    f.all_versions = f.nginx(rsa2048, protocols="TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", settings="ssl_ecdh_curve X25519:prime256v1;", version="TLS 1.3")
    f.nginx(c.make("ec384", "ec384"), key="P-384", version="TLS 1.3")
    f.nginx(c.make("ec521", "ec521"), protocols=NO, key="P-521", version="TLS 1.2")
    f.nginx(c.make("brainpool", "brainpool256"), protocols=NO, key="brainpoolP256r1", version="TLS 1.2")
    f.nginx(c.make("dsa", "dsa2048"), protocols=NO, settings="ssl_ciphers DHE-DSS-AES256-GCM-SHA384; ssl_dhparam " + f.dhparam + ";", key="dsa",
            cipher="DHE_DSS_WITH_AES_256_GCM_SHA384", signature="dsaWithSHA256")
    f.nginx(c.make("ed25519", "ed25519"), key="Ed25519", signature="Ed25519")
    f.nginx(c.make("ed448", "ed448"), key="Ed448")
    f.nginx(c.make("rsa1024", "rsa1024"), key="rsa-1024")
    f.nginx(c.make("rsa3072", "rsa3072"), key="rsa-3072")
    f.nginx(by_itself(f, c, "sha1", "-sha1", "-newkey", "rsa:2048"), signature="sha1WithRSAEncryption", key="rsa-2048")
    f.nginx(c.make("expired", begin=-90 * DAY, days=30), subject="CN=expired")
    f.nginx(c.make("early", begin=30 * DAY), subject="CN=early")
    f.nginx(c.make("old-age", days=3650, server=True), subject="CN=old-age")
    f.nginx(c.make("never-ends", end=NEVER, server=True), not_after="9999-12-31T23:59:59Z")
    f.nginx(c.make("*.example.org", names=["*.example.org"]), subject="CN=*.example.org")
    f.nginx(c.make("nobody", issuer=c.inter, subject=[], names=["unnamed.example.org"]), subject=None)
    leaf = c.make("leaf", issuer=c.inter, server=True)
    f.nginx(leaf, chain=[leaf, c.inter, c.root], issuer="CN=inter")
    f.nginx(leaf, chain=[leaf, c.inter], chain_=2)
    f.nginx(leaf, chain_=1, issuer="CN=inter")  # whether one is missing is not known of a CA that nobody knows
    f.nginx(leaf, chain=[leaf, c.root], chain_=2)
    f.nginx(leaf, chain=[leaf, c.root, c.inter], chain_=3)
    f.nginx(leaf, chain=[leaf, leaf, c.inter], chain_=3)
    f.nginx(c.root, chain_=1, subject="CN=root", issuer="CN=root")
    f.vendor, f.public = c.make("Vendor Root", ca=True, of="vendor"), c.make("Public Root", ca=True, of="public")
    f.public_inter = c.make("Public CA 1", issuer=f.public, ca=True, of="public")
    by_vendor = c.make("by-vendor", issuer=f.vendor, of="vendor")
    by_public = c.make("by-public", issuer=f.public_inter, of="public", names=["www.example.org"], server=True)
    f.nginx(by_vendor, issuer="CN=Vendor Root")
    f.nginx(by_vendor, chain=[by_vendor, f.vendor], chain_=2)
    f.nginx(by_public, chain=[by_public, f.public_inter], issuer="CN=Public CA 1")
    f.incomplete = f.nginx(by_public, issuer="CN=Public CA 1", incomplete=True)
    f.nginx(by_public, chain=[by_public, f.public], chain_=2, incomplete=True)
    big = c.make("big", names=[f"n{i}.example.org" for i in range(2000)])
    f.nginx(big, subject="CN=big")
    many = [c.make(f"many{i}") for i in range(20)]
    f.nginx(many[0], chain=many, chain_=20, chain_sent=20)
    ec_rsa = f"ssl_certificate {rsa2048[2]}.pem; ssl_certificate_key {rsa2048[2]}.key;"
    f.nginx(ec256, settings=ec_rsa, key="P-256")
    f.nginx(ec256, settings=f"ssl_verify_client optional_no_ca; ssl_client_certificate {c.root[2]}.pem;", client_auth=True, version="TLS 1.3")
    f.nginx(ec256, protocols=NO, settings=f"ssl_verify_client on; ssl_client_certificate {c.root[2]}.pem;", client_auth=True)
    f.nginx(None, settings="ssl_reject_handshake on;", status="alert", alert="unrecognized_name", alpn=None)
    f.nginx(ec256, listen="ssl http2", alpn="h2")
    f.nginx(ec256, settings="ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;", cipher="CHACHA20_POLY1305_SHA256")
    f.nginx(ec256, settings="ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;", cipher="AES_256_GCM_SHA384")
    for curve, group in (("prime256v1", "secp256r1"), ("secp384r1", "secp384r1"), ("secp521r1", "secp521r1"), ("X448", "x448")):
        f.nginx(ec256, settings=f"ssl_ecdh_curve {curve};", group=group, version="TLS 1.3", pq=None)
    f.nginx(rsa2048, protocols=NO, settings="ssl_ecdh_curve secp384r1; ssl_ciphers ECDHE-RSA-AES256-SHA;", group="secp384r1",
            cipher="ECDHE_RSA_WITH_AES_256_CBC_SHA")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers NULL-SHA256;", cipher="RSA_WITH_NULL_SHA256")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers CAMELLIA256-SHA;", cipher="RSA_WITH_CAMELLIA_256_CBC_SHA")
    f.nginx(rsa2048, protocols=NO, settings="ssl_ciphers AECDH-AES128-SHA;", status="no-certificate", why="an anonymous suite")
    f.nginx(None, listen="", status="not-tls", why="HTTP", alpn=None)
    hostile = [x509.NameAttribute(NameOID.COMMON_NAME, "<script>alert(1)</script>\u202egro.elpmaxe"),
               x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a\x1b[31m\nb")]
    f.hostile = f.nginx(c.make("hostile", subject=hostile))


def by_itself(f, c, name, *options):
    """What Python's library does not make, or not any more."""
    path = f.openssl.file(name)
    f.openssl.run("req", "-x509", *options, "-nodes", "-keyout", path + ".key", "-out", path + ".pem", "-subj", "/CN=" + name, "-days", "90",
                  "-addext", "basicConstraints=critical,CA:FALSE")
    return c.take(path)


def dhparam(f):
    f.dhparam = f.openssl.file("dh1024.pem")
    f.openssl.run("dhparam", "-dsaparam", "-out", f.dhparam, "1024")
    return f.dhparam


def named_situations(f, c):
    """Other certificates for some of their names; `named` says which subject is to be seen there."""
    other, default, late = c.make("other"), c.make("default"), c.make("late", begin=-90 * DAY, days=30)
    def host(name, cert):
        return f"server {{ listen ADDRESS ssl; server_name {name}; ssl_certificate {cert[2]}.pem; ssl_certificate_key {cert[2]}.key; }} "
    several = f.nginx(default, extra=host("other.example.org", other) + host("late.example.org", late), subject="CN=default")
    strict = f.nginx(None, settings="ssl_reject_handshake on;", extra=host("other.example.org", other), status="alert", alert="unrecognized_name",
                     alpn=None)
    f.named = {f.place(several): {"": "CN=default", "other.example.org": "CN=other", "late.example.org": "CN=late", "else.example.org": "CN=default"},
               f.place(strict): {"": "unrecognized_name", "other.example.org": "CN=other", "late.example.org": "unrecognized_name",
                                 "else.example.org": "unrecognized_name"}}


def openssl_situations(f, c):
    ec256, rsa2048 = c.make("s_server"), c.make("s_server", "rsa2048")
    f.hybrid = f.s_server(ec256, group="X25519MLKEM768", pq=True, version="TLS 1.3")
    f.s_server(ec256, "-groups", "SecP256r1MLKEM768", group="SecP256r1MLKEM768")
    f.s_server(rsa2048, "-groups", "ffdhe2048", "-tls1_3", group="ffdhe2048")
    f.s_server(rsa2048, "-tls1_1", version="TLS 1.1")
    f.s_server(ec256, "-ciphersuites", "TLS_AES_128_CCM_8_SHA256", "-tls1_3", cipher="AES_128_CCM_8_SHA256")
    f.s_server(ec256, "-alpn", "imap", alpn=None)
    f.s_server(ec256, "-alpn", "http/1.1,h2", alpn="http/1.1")
    f.s_server(ec256, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM8", cipher="ECDHE_ECDSA_WITH_AES_128_CCM_8", secure_renegotiation=None)
    f.s_server(None, "-psk", "00112233445566778899aabbccddeeff", "-tls1_2", "-cipher", "PSK", status="alert", alert="handshake_failure")
    f.s_server(ec256, "-dtls1_2", protocol="dtls", version="DTLS 1.2")
    f.s_server(rsa2048, "-dtls1_2", "-listen", protocol="dtls", version="DTLS 1.2", key="rsa-2048")
    f.s_server(rsa2048, "-dtls1", protocol="dtls", version="DTLS 1.0", key="rsa-2048")
    f.s_server(rsa2048, "-dtls1_2", "-verify", "2", "-mtu", "400", protocol="dtls", version="DTLS 1.2", client_auth=True)
    f.s_server(by_itself(f, c, "pq", "-newkey", "ML-DSA-65"), key="ML-DSA-65", subject="CN=pq")
    f.s_server(by_itself(f, c, "pss", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"), key="rsa-pss-2048", signature="rsaPss")


def service_situations(f, c):
    """Services as others wrote them, each started while the others are."""
    s = f.services
    rsa, ec256 = c.make("mail.example.org", "rsa2048", issuer=c.inter, names=["mail.example.org"]), c.make("mail", names=["mail.example.org"])
    late = c.make("late-mail", begin=-90 * DAY, days=30)
    chain = [rsa, c.inter]

    def postfix(service):
        a = [f.address() for _ in range(6)]
        f.postfix = s.start_postfix(a[0], chain), a[0]
        s.start_postfix(a[1], [ec256], smtpd_tls_protocols="<=TLSv1.2")
        s.start_postfix(a[2], [ec256], smtpd_tls_ask_ccert="yes")
        s.start_postfix(a[3], [ec256], smtpd_tls_wrappermode="yes")
        s.start_postfix(a[4])
        s.start_postfix(a[5], [late], smtpd_tls_security_level="encrypt")
        return [(service, a[0], dict(protocol="smtp", sent=chain, version="TLS 1.3", key="rsa-2048", issuer="CN=inter")),
                (service, a[1], dict(protocol="smtp", sent=[ec256], version="TLS 1.2", key="P-256")),
                (service, a[2], dict(protocol="smtp", sent=[ec256], client_auth=True)),
                (service, a[3], dict(sent=[ec256], starttls=None)),
                (service, a[4], dict(protocol="smtp", status="no-starttls", why="the service refused")),
                (service, a[5], dict(protocol="smtp", sent=[late], subject="CN=late-mail"))]

    def dovecot(service):
        a = [f.address() for _ in range(6)]
        s.start_dovecot([(a[0], "imap", "starttls", chain), (a[1], "imap", "tls", chain), (a[2], "imap", "off", ()),
                         (a[3], "pop3", "starttls", [ec256]), (a[4], "pop3", "tls", [late]), (a[5], "pop3", "off", ())])
        return [(service, a[0], dict(protocol="imap", sent=chain, version="TLS 1.3", key="rsa-2048")),
                (service, a[1], dict(sent=chain, version="TLS 1.3", starttls=None)),
                (service, a[2], dict(protocol="imap", status="no-starttls")),
                (service, a[3], dict(protocol="pop3", sent=[ec256], key="P-256")),
                (service, a[4], dict(sent=[late], starttls=None)),
                (service, a[5], dict(protocol="pop3", status="no-starttls"))]

    def postgres(service):
        a = [f.address() for _ in range(2)]
        f.postgres = s.start_postgres(a[0], chain, client_ca=c.root), a[0]
        s.start_postgres(a[1], name="b")
        return [(service, a[0], dict(protocol="postgres", sent=chain, version="TLS 1.3", client_auth=True)),
                (service, a[1], dict(protocol="postgres", status="no-starttls", why="the database has TLS switched off"))]

    def slapd(service):
        a = [f.address() for _ in range(3)]
        s.start_slapd(plain=a[0], tls=a[1], certs=[ec256])
        s.start_slapd(plain=a[2], name="slapd-plain")
        return [(service, a[0], dict(protocol="ldap", sent=[ec256], version="TLS 1.3")),
                (service, a[1], dict(sent=[ec256], version="TLS 1.3", starttls=None)),
                (service, a[2], dict(protocol="ldap", status="no-starttls", why="the directory refused"))]

    def mariadb(service):
        a = f.address()
        s.start_mariadb(a, chain)
        return [(service, a, dict(protocol="mysql", sent=chain, version="TLS 1.3"))]

    with ThreadPoolExecutor(5) as pool:
        for made in [pool.submit(start, start.__name__) for start in (postfix, dovecot, postgres, slapd, mariadb)]:
            for service, address, expected in made.result():
                if service not in s.lacking:
                    f.expect(address, service=service, **expected)
    s.wait()


def handmade_situations(f, c):
    made = c.make("handmade", "rsa2048")
    leaf, inter = [made], [made, c.inter]
    ders = [der(x) for x in inter]
    renego = b"\xff\x01\x00\x01\x00"
    f.own(says(flight(ders, extensions=renego)), sent=inter, cipher="RSA_WITH_AES_128_CBC_SHA", secure_renegotiation=None)
    f.own(says(flight(ders[:1])), sent=leaf, secure_renegotiation=False)
    f.own(dripping(flight(ders[:1])), sent=leaf, subject="CN=handmade")
    f.own(says(flight(ders[:1], version=0x0300)), sent=leaf, version="SSL 3.0")
    f.own(says(flight(ders[:1], suite=0x0003)), sent=leaf, cipher="RSA_EXPORT_WITH_RC4_40_MD5")
    f.own(says(flight(ders[:1], suite=0x0005)), sent=leaf, cipher="RSA_WITH_RC4_128_SHA")
    f.own(only_old(flight(ders[:1], version=0x0301)), sent=leaf, version="TLS 1.0", legacy_hello=True)
    f.own(says(record(21, b"\x01\x70") + flight(ders[:1])), sent=leaf, subject="CN=handmade")
    f.own(says(record(22, server_hello()) + record(22, certificate_message(ders[:1]))), sent=leaf)
    f.own(says(flight([b"\x30\x03\x02\x01\x05"])), sent=[b"\x30\x03\x02\x01\x05"], readable=False)
    f.own(says(flight([])), status="no-certificate")
    f.own(says(record(22, server_hello()) + record(20, b"\x01")), status="no-certificate")
    f.own(says(record(22, server_hello()) + record(22, message(14, b""))), status="no-certificate")
    f.own(says(flight([bytes(40000)] * 2)), status="too-big")
    f.own(says(b"\x16\x03\x03\xff\xff" + bytes(100)), status="too-big")
    f.own(says(record(22, server_hello()) + record(22, b"\x0b\xff\xff\xff")), status="too-big")
    f.own(says(record(22, server_hello(version=0x0305))), status="malformed", why="a version that was not offered")
    f.own(says(record(22, certificate_message(ders[:1]))), status="malformed")
    f.own(says(record(22, server_hello()) + record(23, b"data")), status="malformed")
    f.own(says(ALERT), status="alert", alert="handshake_failure")
    f.own(lambda connection: connection.recv(1 << 16), status="closed")
    f.own(reset, status="reset")
    f.own(lambda connection: connection.recv(1 << 16) and time.sleep(4), status="stalled")
    f.own(says(b"SSH-2.0-farm\r\n"), status="not-tls", why="SSH")
    f.own(says(bytes(range(200, 256)) * 10), status="not-tls")


SHARE = b"\x00\x2b\x00\x02\x03\x04" + b"\x00\x33\x00\x24\x00\x1d\x00\x20"


def endless_situations(f, c):
    """Servers that would keep a client for ever, each in its own way."""
    hello13 = record(22, server_hello(suite=0x1301, extensions=SHARE + b"\x09" + bytes(31)))
    retry = record(22, server_hello(suite=0x1301, random=RETRY, extensions=b"\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x02\x00\x17"))
    f.own(endless(record(22, message(0, b""))), status="too-big")
    f.own(endless(record(22, b"")), status="too-big")
    f.own(endless(record(21, b"\x01\x70")), status="too-big")
    f.own(endless(record(22, server_hello())), status="malformed")
    f.own(says(record(22, server_hello()), then=endless(record(22, message(22, bytes(100))))), status="too-big")
    f.own(says(retry, then=endless(retry)), status="malformed", why="a second HelloRetryRequest")
    f.own(says(record(22, server_hello(suite=0x1301, extensions=SHARE + bytes(32)))), status="undecryptable")
    f.own(says(hello13, then=endless(record(23, bytes(100)))), status="undecryptable")
    f.own(says(hello13, then=endless(record(20, b"\x01"))), status="too-big")
    f.own(dripping(record(22, server_hello()) + record(22, message(22, bytes(9000))), seconds=0.05), status="stalled")
    f.own(endless(b"x" * 1000), "smtp", status="not-tls")
    f.own(endless(b"220-one more line\r\n"), "smtp", status="too-big")
    f.own(talking([(None, b"* OK imap\r\n"), (b"\r\n", b"* still here\r\n" * 2000)]), "imap", status="too-big")
    f.own(endless(b"<stream:stream><stream:features><a/>"), "xmpp", status="too-big")
    f.own(says(b"\x30\x84\x7f\xff\xff\xff", then=endless(bytes(100))), "ldap", status="not-tls")
    f.own(lambda connection: time.sleep(4), "postgres", status="stalled")
    f.own(talking([(None, b"\xff\xff\xff\x00")]), "mysql", status="not-tls")
    a = f.address()
    f.servers.sockets += full(a, f.port)
    f.expect(a, status="silent")


def datagram_situations(f, c):
    cookie = b"\xfe\xfd\x08" + bytes(8)
    hello = server_hello(version=0xfefd)[4:]
    cert = c.make("datagrams")
    second = datagram(11, certificate_message([der(cert)])[4:], sequence=1)
    f.own_datagrams(lambda said: [], status="silent")
    f.own_datagrams(lambda said: [b"who is there?"], status="not-tls")
    f.own_datagrams(lambda said: [datagram(3, cookie)], status="stalled")
    f.own_datagrams(lambda said: [datagram(3, cookie, sequence=said[18])], status="malformed", why="a HelloVerifyRequest where there may be none")
    f.own_datagrams(lambda said: [b""], status="stalled")
    f.own_datagrams(lambda said: [datagram(2, hello), datagram(22, bytes(100), sequence=9)], status="stalled")
    f.own_datagrams(lambda said: [b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28"], status="alert", alert="handshake_failure")
    # What comes twice or out of turn is passed over.
    f.own_datagrams(lambda said: [second, datagram(2, hello), datagram(2, hello), second, datagram(14, b"", sequence=2)], sent=[cert],
                    version="DTLS 1.2")
    f.expect(f.address(), protocol="dtls", status="refused")


def starttls_situations(f, c):
    cert = c.make("starttls")
    context = f.context(cert)
    good = {"sent": [cert], "subject": "CN=starttls", "version": "TLS 1.3"}
    greet, ehlo, start = (None, b"220 mail\r\n"), (b"\r\n", b"250-mail\r\n250 STARTTLS\r\n"), (b"\r\n", b"220 go\r\n")
    f.own(talking([greet, ehlo, start], context), "smtp", **good)
    f.own(talking([greet, (b"\r\n", b"250 mail\r\n"), (b"\r\n", b"502 no\r\n")]), "smtp", status="no-starttls")
    f.own(talking([(None, b"+OK pop\r\n")]), "smtp", status="not-tls")
    f.own(talking([(None, b"* OK imap\r\n"), (b"\r\n", b"a OK\r\n")], context), "imap", **good)
    f.own(talking([(None, b"* OK imap\r\n"), (b"\r\n", b"a BAD\r\n")]), "imap", status="no-starttls")
    f.own(talking([(None, b"+OK pop\r\n"), (b"\r\n", b"+OK\r\n")], context), "pop3", **good)
    f.own(ldap(0, context), "ldap", **good)
    f.own(ldap(53), "ldap", status="no-starttls", why="the directory refused")
    f.own(one_octet(b"S", context), "postgres", **good)
    f.own(one_octet(b"N"), "postgres", status="no-starttls", why="the database has TLS switched off")
    f.own(mysql(b"\xff\xff", context), "mysql", **good)
    f.own(mysql(b"\xff\xf7"), "mysql", status="no-starttls")
    f.own(xmpp(XMPP_TLS, context), "xmpp", **good)
    f.own(xmpp(b""), "xmpp", status="no-starttls")
    f.expect(f.address(), status="refused")


ALL = (nginx_situations, named_situations, openssl_situations, handmade_situations, endless_situations, datagram_situations, starttls_situations)
