"""Alerts from outside: mail, webhook and syslog sinks on loopback, each told once; secrets, tests, acknowledging; and that the shipped rules and
dashboard name metrics that exist."""
import base64
import email
import email.header
import hashlib
import hmac
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import ROOT

SECONDS = 40
LOOPBACK = ["127.0.0.0/8"]


class Smtp(threading.Thread):
    """A mail server that takes what it gets; with a context it offers STARTTLS and wants AUTH PLAIN behind it."""

    def __init__(self, context=None, password=None):
        super().__init__(daemon=True)
        self.context, self.password, self.mails, self.over = context, password, [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while not self.over:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            try:
                connection.settimeout(20)
                self.talk(connection)
            except (OSError, ssl.SSLError):
                pass
            finally:
                connection.close()

    def talk(self, connection):
        f, tls, known = connection.makefile("rwb"), False, self.password is None

        def say(text):
            f.write(text.encode() + b"\r\n")
            f.flush()

        say("220 sink ESMTP")
        to = []
        while True:
            line = f.readline().decode().strip()
            word = line.upper()
            if not line or word == "QUIT":
                say("221 bye")
                return
            if word.startswith("EHLO"):
                say("250-sink")
                if self.context and not tls:
                    say("250-STARTTLS")
                if tls:
                    say("250-AUTH LOGIN PLAIN")
                say("250 8BITMIME")
            elif word == "STARTTLS":
                say("220 go")
                f.flush()
                connection = self.context.wrap_socket(connection, server_side=True)
                f, tls = connection.makefile("rwb"), True
            elif word.startswith("AUTH PLAIN "):
                known = base64.b64decode(line.split()[2]) == f"\0user\0{self.password}".encode()
                say("235 ok" if known else "535 no")
            elif word.startswith("MAIL") and not known:
                say("530 authenticate")
            elif word.startswith("RCPT"):
                to.append(re.search("<(.*)>", line).group(1))
                say("250 ok")
            elif word == "DATA":
                say("354 go on")
                body = b""
                while not body.endswith(b"\r\n.\r\n"):
                    body += f.readline()
                self.mails.append((to, email.message_from_bytes(body[:-5])))
                to = []
                say("250 taken")
            else:
                say("250 ok")

    def stop(self):
        self.over = True
        self.listener.close()


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def hook():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.posts, server.status = [], 204
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def smtp(openssl):
    openssl.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "mail.key", "-out", "mail.pem", "-days", "2", "-subj", "/CN=sink",
                "-addext", "subjectAltName=IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(openssl.file("mail.pem"), openssl.file("mail.key"))
    s = Smtp(context, "correct horse")
    yield s
    s.stop()


class Lines(threading.Thread):
    """A syslog server over TCP, or with a context over TLS: messages behind their counted octets (RFC 6587 3.4.1)."""

    def __init__(self, context=None):
        super().__init__(daemon=True)
        self.context, self.messages, self.over = context, [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while not self.over:
            try:
                connection, _ = self.listener.accept()
                connection.settimeout(20)
                with self.context.wrap_socket(connection, server_side=True) if self.context else connection as c:
                    octets = c.makefile("rb").read()
            except (OSError, ssl.SSLError):
                continue
            while octets:
                count, _, octets = octets.partition(b" ")
                self.messages.append(octets[:int(count)].decode())
                octets = octets[int(count):]

    def stop(self):
        self.over = True
        self.listener.close()


@pytest.fixture
def authority(openssl):
    """A private CA: authority(name, san) → a server's context with a certificate of it; authority.pem."""
    openssl.key("own-ca")
    openssl.run("req", "-x509", "-new", "-key", "own-ca.key", "-subj", "/CN=Own CA", "-days", "3", "-out", "own-ca.pem")

    def context(name, san):
        openssl.csr(name, "/CN=sink")
        with open(openssl.file(name + ".ext"), "w", encoding="ascii") as f:
            f.write(f"subjectAltName={san}\nextendedKeyUsage=serverAuth\n")
        openssl.run("x509", "-req", "-in", name + ".csr", "-CA", "own-ca.pem", "-CAkey", "own-ca.key", "-days", "2", "-extfile", name + ".ext",
                    "-out", name + ".pem")
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(openssl.file(name + ".pem"), openssl.file(name + ".key"))
        return made

    with open(openssl.file("own-ca.pem"), encoding="ascii") as f:
        context.pem = f.read()
    return context


def put(house, name, **doc):
    reply = house.api("PUT", "/resources/notifications/" + name, {"kind": "Notification", "name": name, "networks": LOOPBACK, **doc})
    assert reply.status in (200, 201), reply


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(what)


def expiring(house, openssl, name):
    """A certificate that somebody else issued, which ends in five days: nothing renews it."""
    openssl.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".pem",
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:FALSE", "-not_before", "20260101000000Z",
                "-not_after", time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 5 * 86400 + 3600)))
    with open(openssl.file(name + ".pem"), "rb") as f:
        assert house.api("POST", "/certificates/import", f.read(), content_type="application/x-pem-file").json["created"] == 1


def text_of(mail):
    subject = str(email.header.make_header(email.header.decode_header(mail["Subject"])))
    return subject, mail.get_payload(decode=True).decode()


def test_alerts__each_channel_once(new_house, openssl, smtp, hook):
    h = new_house().start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.settimeout(SECONDS)
    with open(openssl.file("mail.pem"), encoding="ascii") as f:
        ca = f.read()
    put(h, "mail", channel="mail", ca=ca, filter={"causes": ["expiring"]},
        mail={"server": "127.0.0.1", "port": smtp.port, "from": "pki@example.org", "to": ["all@example.org"], "user": "user"})
    put(h, "hook", channel="webhook", webhook={"url": f"http://127.0.0.1:{hook.server_port}/alerts?x=1"}, filter={"causes": ["exp*"]})
    put(h, "log", channel="syslog", syslog={"server": "127.0.0.1", "port": udp.getsockname()[1]}, filter={"causes": ["expiring"]})
    # Tests say what is wrong, then reach.
    wrong = h.cli("alert", "test", "mail", ok=False)
    assert "touchmark alert secret mail" in wrong.stderr
    h.cli("alert", "secret", "mail", data="wrong\n")
    assert "535" in h.cli("alert", "test", "mail", ok=False).stderr
    h.cli("alert", "secret", "mail", data="correct horse\n")
    h.cli("alert", "secret", "hook", data="a key for the hook")
    for name in ("mail", "hook", "log"):
        h.cli("alert", "test", name)
    assert smtp.mails.pop()[0] == ["all@example.org"] and json.loads(hook.posts.pop()[1])["type"] == "test"
    assert b"a test" in udp.recv(4096)
    assert h.api("POST", "/notifications/nothing/test").status == 404
    assert "horse" not in h.api("GET", "/resources/notifications/mail").body.decode()
    # One alert, told once by each.
    expiring(h, openssl, "ends.alerts.example")
    until(lambda: smtp.mails and hook.posts, "the alert never came")
    to, mail = smtp.mails[0]
    subject, body = text_of(mail)
    assert to == ["all@example.org"] and subject == "[Touchmark] high: CN=ends.alerts.example ends in 5 days, and nothing renews it"
    assert "touchmark finding show" in body and mail["Auto-Submitted"] == "auto-generated" and mail["Message-ID"]
    headers, post = hook.posts[0]
    t, v1 = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["Touchmark-Signature"]).groups()
    assert hmac.compare_digest(v1, hmac.new(b"a key for the hook", t.encode() + b"." + post, hashlib.sha256).hexdigest())
    told = json.loads(post)
    assert told["type"] == "alert" and told["alerts"][0]["cause"] == "expiring" and told["count"] == 1
    line = udp.recv(8192).decode()
    assert re.match(r"<107>1 \d{4}-\d\d-\d\dT[\d:]+Z \S+ touchmark \d+ alert \[touchmark@32473 delivery=\"[0-9a-f]{32}\" severity=\"high\"\] ", line)
    listed = h.api("GET", "/alerts").json["items"]
    assert [a["id"] for a in listed if a["cause"] == "expiring"] == [told["alerts"][0]["id"]]
    # After a restart nothing is told again; what somebody looks after stays quiet.
    h.stop()
    h.start()
    alert = told["alerts"][0]["id"]
    assert h.api("POST", f"/alerts/{alert}/acknowledge", {"comment": "ticket"}).json["status"] == "acknowledged"
    expiring(h, openssl, "more.alerts.example")
    until(lambda: len(smtp.mails) == 2 and len(hook.posts) == 2, "the second alert never came")
    assert "more.alerts.example" in text_of(smtp.mails[1][1])[0]
    assert "ticket" in h.cli("alert", "show", alert).stdout
    assert alert in h.cli("alert", "list", "--status", "acknowledged", "-o", "json").stdout
    events = h.cli("register", "show", "--type", "alert.", "-o", "json").stdout
    assert "alert.opened" in events and "alert.acknowledged" in events
    # What is accepted is told of no longer.
    finding = h.api("GET", f"/alerts/{alert}").json["finding"]
    h.cli("finding", "accept", finding, "--reason", "goes with the building", "--for", "20d")
    until(lambda: h.api("GET", f"/alerts/{alert}").json["status"] == "resolved", "never resolved")
    assert len(smtp.mails) == len(hook.posts) == 2


def test_alerts__networks_and_failures(house, openssl, hook):
    """What is not public has to be named, and what the other side says is told."""
    doc = {"kind": "Notification", "name": "alerts-unnamed", "channel": "webhook", "webhook": {"url": f"http://127.0.0.1:{hook.server_port}/"},
           "networks": ["10.0.0.0/8"]}
    assert house.api("PUT", "/resources/notifications/alerts-unnamed", {**doc, "networks": []}).json["field"] == "/webhook/url"
    assert house.api("PUT", "/resources/notifications/alerts-unnamed", doc).status in (200, 201)
    reply = house.api("POST", "/notifications/alerts-unnamed/test")
    assert reply.status == 403 and "networks" in reply.json["detail"] and not hook.posts
    hook.status = 500
    assert house.api("PUT", "/resources/notifications/alerts-unnamed", {**doc, "networks": LOOPBACK}).status == 200
    reply = house.api("POST", "/notifications/alerts-unnamed/test")
    assert reply.status == 503 and "500" in reply.json["detail"]
    assert house.api("PUT", "/resources/notifications/alerts-unnamed", {**doc, "webhook": {"url": "https://[::1"}, "networks": LOOPBACK}).status in (200, 422)
    assert house.api("DELETE", "/resources/notifications/alerts-unnamed").status in (200, 204)


def test_alerts__a_secret_stays_with_its_server(house, openssl, smtp):
    """Who may change the document, but does not know the password, can't have it sent to a server of their own."""
    other = Smtp(smtp.context, "correct horse")
    try:
        with open(openssl.file("mail.pem"), encoding="ascii") as f:
            ca = f.read()
        mail = {"server": "127.0.0.1", "port": smtp.port, "from": "pki@example.org", "to": ["all@example.org"], "user": "user"}
        put(house, "alerts-bound", channel="mail", ca=ca, mail=mail, filter={"causes": ["none"]})
        house.cli("alert", "secret", "alerts-bound", data="correct horse\n")
        house.cli("alert", "test", "alerts-bound")
        for change in ({"port": other.port}, {"server": "localhost"}, {"tls": "tls"}, {"user": "else"}):
            put(house, "alerts-bound", channel="mail", ca=ca, mail={**mail, **change}, filter={"causes": ["none"]})
            reply = house.api("POST", "/notifications/alerts-bound/test")
            assert reply.status == 403 and reply.json["rule"] == "notification.secret", (change, reply)
        put(house, "alerts-bound", channel="mail", ca=ca, mail=mail, filter={"causes": ["none"]})
        house.cli("alert", "test", "alerts-bound")
        # Whatever gets the name later begins without it.
        assert house.api("DELETE", "/resources/notifications/alerts-bound").status == 204
        put(house, "alerts-bound", channel="mail", ca=ca, mail=mail, filter={"causes": ["none"]})
        assert "is not set" in house.api("POST", "/notifications/alerts-bound/test").json["detail"]
        assert len(smtp.mails) == 2 and not other.mails
    finally:
        other.stop()
        house.api("DELETE", "/resources/notifications/alerts-bound")


def test_alerts__only_the_house_goes_inside(house, hook):
    """An administrator of a tenant does not have the house talk to its own network, or to the sockets of its machine."""
    assert house.api("PUT", "/resources/tenants/alerts-t", {"kind": "Tenant", "name": "alerts-t"}).status in (200, 201)
    at = "/tenants/alerts-t"
    assert house.api("PUT", at + "/resources/principals/chief", {"kind": "Principal", "name": "chief", "roles": ["admin"]}).status in (200, 201)
    token = house.api("POST", at + "/tokens", {"type": "api", "principal": "chief"}).json["token"]
    doc = {"kind": "Notification", "name": "inside", "channel": "webhook", "webhook": {"url": f"https://127.0.0.1:{hook.server_port}/"}}
    at += "/resources/notifications/inside"
    assert house.api("PUT", at, {**doc, "networks": LOOPBACK}, token=token).json["field"] == "/networks"
    local = {"kind": "Notification", "name": "inside", "channel": "syslog", "syslog": {"over": "unix", "path": "/run/systemd/notify"}}
    assert house.api("PUT", at, local, token=token).json["field"] == "/syslog/over"
    assert house.api("PUT", at, doc, token=token).status == 201
    assert house.api("POST", "/tenants/alerts-t/notifications/inside/test", token=token).status == 403 and not hook.posts
SYSLOG = r"<110>1 \d{4}-\d\d-\d\dT[\d:]+Z \S+ touchmark \d+ alert \[touchmark@32473 delivery=\"[0-9a-f]{32}\" severity=\"info\"\] \ufeff\[Touchmark\] a test \| "


def test_alerts__syslog_over_tcp_and_tls(house, authority):
    plain, secure, other = Lines(), Lines(authority("syslog", "IP:127.0.0.1")), Lines(authority("elsewhere", "DNS:elsewhere.example"))
    try:
        put(house, "alerts-tcp", channel="syslog", syslog={"over": "tcp", "server": "127.0.0.1", "port": plain.port})
        put(house, "alerts-tls", channel="syslog", syslog={"over": "tls", "server": "127.0.0.1", "port": secure.port}, ca=authority.pem)
        for name, server in (("alerts-tcp", plain), ("alerts-tls", secure)):
            for times in (1, 2):
                house.cli("alert", "test", name)
                until(lambda s=server, n=times: len(s.messages) == n, "nothing came by " + name)
            assert all(re.match(SYSLOG, m) and "\n" not in m for m in server.messages), server.messages
        # Whose certificate is nobody's, or another's, is told nothing.
        put(house, "alerts-tls", channel="syslog", syslog={"over": "tls", "server": "127.0.0.1", "port": secure.port})
        reply = house.api("POST", "/notifications/alerts-tls/test")
        assert reply.status == 503 and "TLS with 127.0.0.1 failed" in reply.json["detail"], reply
        put(house, "alerts-tls", channel="syslog", syslog={"over": "tls", "server": "127.0.0.1", "port": other.port}, ca=authority.pem)
        reply = house.api("POST", "/notifications/alerts-tls/test")
        assert reply.status == 503 and "TLS with 127.0.0.1 failed" in reply.json["detail"], reply
        assert len(secure.messages) == 2 and not other.messages
        with socket.create_server(("127.0.0.1", 0)) as s:
            gone = s.getsockname()[1]
        put(house, "alerts-tcp", channel="syslog", syslog={"over": "tcp", "server": "127.0.0.1", "port": gone})
        assert house.api("POST", "/notifications/alerts-tcp/test").status == 503 and len(plain.messages) == 2
    finally:
        for server in (plain, secure, other):
            server.stop()
        for name in ("alerts-tcp", "alerts-tls"):
            house.api("DELETE", "/resources/notifications/" + name)


def test_alerts__webhook_of_a_private_ca(house, authority, hook):
    """HTTPS is verified: by the document's CA, for the name in the address, and what is not trusted is not told."""
    hook.socket = authority("hook", "IP:127.0.0.1,DNS:localhost").wrap_socket(hook.socket, server_side=True)
    url = f"https://127.0.0.1:{hook.server_port}/alerts"
    try:
        put(house, "alerts-https", channel="webhook", webhook={"url": url}, ca=authority.pem)
        house.cli("alert", "test", "alerts-https")
        assert json.loads(hook.posts.pop()[1])["type"] == "test"
        put(house, "alerts-https", channel="webhook", webhook={"url": url})
        reply = house.api("POST", "/notifications/alerts-https/test")
        assert reply.status == 503 and "TLS with 127.0.0.1 failed" in reply.json["detail"] and not hook.posts, reply
        # Of another CA, which calls itself the same.
        with open(house.ca_bundle, encoding="ascii") as f:
            put(house, "alerts-https", channel="webhook", webhook={"url": url}, ca=f.read())
        assert house.api("POST", "/notifications/alerts-https/test").status == 503 and not hook.posts
        put(house, "alerts-https", channel="webhook", webhook={"url": url.replace("127.0.0.1", "localhost")}, ca=authority.pem)
        house.cli("alert", "test", "alerts-https")
        assert len(hook.posts) == 1
    finally:
        house.api("DELETE", "/resources/notifications/alerts-https")


def test_alerts__failing_enrollments(new_house, openssl, hook):
    """A fleet with a wrong token: one alert for its endpoint, told once, over a restart and further refusals."""
    h = new_house().start()
    put(h, "hook", channel="webhook", webhook={"url": f"http://127.0.0.1:{hook.server_port}/"}, filter={"causes": ["enrollment-failing"]})
    csr = base64.encodebytes(openssl.der(openssl.csr("device", "/CN=device")))
    wrong = {"Content-Type": "application/pkcs10", "Authorization": "Basic " + base64.b64encode(b"nobody:wrong").decode()}

    def refused(times):
        for _ in range(times):
            assert h.request("POST", "/.well-known/est/servers/simpleenroll", csr, wrong).status == 401

    refused(20)
    h.stop()  # what was counted is recorded, and looked at when it serves again
    h.start()
    until(lambda: hook.posts, "nobody was told")
    told = json.loads(hook.posts[0][1])
    assert [(a["cause"], a["subject"]) for a in told["alerts"]] == [("enrollment-failing", "endpoint/servers")]
    assert "20 requests were refused" in told["alerts"][0]["text"]
    alert = told["alerts"][0]["id"]
    h.cli("alert", "ack", alert, "--comment", "the fleet is being mended")
    refused(20)
    h.stop()
    h.start()
    until(lambda: "touchmark_alerts_open" in h.plain("/metrics", port="admin").body.decode(), "nobody looked")
    listed = [(a["id"], a["status"]) for status in ("open", "acknowledged") for a in h.api("GET", "/alerts?status=" + status).json["items"]
              if a["cause"] == "enrollment-failing"]
    assert listed == [(alert, "acknowledged")] and len(hook.posts) == 1


def test_alerts__owners(new_house, openssl, smtp):
    """Whose a certificate is by rule or by hand is who is told; and who is so later is told then."""
    h = new_house().start()
    with open(openssl.file("mail.pem"), encoding="ascii") as f:
        ca = f.read()
    put(h, "mail", channel="mail", ca=ca, filter={"causes": ["expiring"]},
        mail={"server": "127.0.0.1", "port": smtp.port, "from": "pki@example.org", "to": ["all@example.org"], "user": "user"},
        owners=[{"owner": name, "to": [name + "@example.org"]} for name in ("web", "ann")])
    h.cli("alert", "secret", "mail", data="correct horse\n")
    rule = {"kind": "Ownership", "name": "web", "owner": "web", "match": '"CN=web.owners.example"'}
    assert h.api("PUT", "/resources/ownerships/web", rule).status == 201
    expiring(h, openssl, "web.owners.example")
    expiring(h, openssl, "nobodys.owners.example")
    until(lambda: len(smtp.mails) == 2, "two mails")
    assert sorted((to[0], text_of(mail)[0].split()[2]) for to, mail in smtp.mails) == \
        [("all@example.org", "CN=nobodys.owners.example"), ("web@example.org", "CN=web.owners.example")]
    cert = h.api("GET", "/certificates?query=%22CN%3Dnobodys.owners.example%22").json["items"][0]["serial"]
    h.cli("cert", "note", cert, "--owner", "ann")
    until(lambda: len(smtp.mails) == 3, "ann was not told")
    assert smtp.mails[2][0] == ["ann@example.org"] and "nobodys" in text_of(smtp.mails[2][1])[0]
    assert [a["owner"] for a in h.api("GET", "/alerts").json["items"] if "nobodys" in a["title"]] == ["ann"]


def metrics_named(text):
    return set(re.findall(r"touchmark_[a-z_]+", text))


def test_packaging__names_metrics_that_exist(house):
    until(lambda: "touchmark_alerts_open" in house.plain("/metrics", port="admin").body.decode(), "alerts were never counted")
    shown = set(re.findall(r"^# TYPE (touchmark_\w+) ", house.plain("/metrics", port="admin").body.decode(), re.M))
    with open(os.path.join(ROOT, "packaging", "prometheus", "touchmark-alerts.yml"), encoding="utf-8") as f:
        rules = f.read()
    with open(os.path.join(ROOT, "packaging", "grafana", "touchmark.json"), encoding="utf-8") as f:
        dashboard = json.load(f)
    expressions = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
    assert len(expressions) >= 12 and len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"])
    wanted = {re.sub(r"_(bucket|sum|count)$", "", m) for m in metrics_named("\n".join(re.findall(r"expr: (.*)", rules)) + "\n".join(expressions))}
    assert len(wanted) >= 14
    assert wanted <= shown, wanted - shown


@pytest.mark.slow
def test_alerts__one_that_does_not_answer_holds_up_no_other(new_house, openssl, hook):
    """A server that takes connections and says nothing costs 20 seconds once, not with each message that others wait behind."""
    h = new_house().start()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        put(h, "a-deaf", channel="syslog", syslog={"over": "tls", "server": "127.0.0.1", "port": deaf.getsockname()[1]}, filter={"causes": ["expiring"]})
        put(h, "b-hook", channel="webhook", webhook={"url": f"http://127.0.0.1:{hook.server_port}/"}, filter={"causes": ["expiring"]})
        for i in range(6):
            expiring(h, openssl, f"deaf-{i}.alerts.example")
        until(lambda: len(hook.posts) == 6, "others waited for who does not answer")


@pytest.mark.slow
def test_alerts__a_quiet_week_of_100000(program):
    """Acceptance: an inventory that renews itself raises nothing in a week, and each of 40 faults raises one alert with the right owner."""
    test = os.path.join(os.path.dirname(os.path.abspath(program)), "tests", "test_alert_alert")
    done = subprocess.run([test], cwd=ROOT, env={**os.environ, "TOUCHMARK_QUIET_WEEK": "100000"},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=3600)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
