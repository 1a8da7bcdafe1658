"""The console: its files as the server sends them, and Debian's Chromium using it as people would.

What needs a browser is skipped where Chromium, its driver or python3-selenium are not installed (./setup --browser), and all of it where
the program was built without the console. TOUCHMARK_SCREENSHOTS names a directory for pictures of every page.
"""
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.parse

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from chromium import CONTRAST, NARROW, PHONE, ROOT, UNNAMED, WAIT, WALL, WIDE, browser, driver, get, issue, page, serious_findings  # noqa: E402,F401
from oidc import Provider  # noqa: E402

try:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait
except ImportError:
    pass

PAGES = ["", "health", "certificates", "devices", "discovery", "discovery?view=places", "discovery?view=devices", "discovery?view=certificates", "findings", "findings?status=any", "alerts", "requests", "new-request", "issue", "tokens", "profiles", "profiles?new=1", "profiles/server-internal-1y",
         "profiles/server-internal-1y?tab=edit", "profiles/server-internal-1y?tab=history", "endpoints", "endpoints/devices",
         "endpoints/devices?tab=clients", "authorities", "authorities/issuing-ca", "authorities/root?tab=text", "trust-sets", "register", "register/3",
         "users", "principals", "tenants", "settings", "login", "no-such-page"]


# --- what the server sends -----------------------------------------------------------------------------------------------------


def test_files__are_compressed_cached_and_locked_down(house, page):
    names = re.findall(r'"(/assets/[^"]+)"', page)
    assert {os.path.splitext(n)[1] for n in names} == {".js", ".css", ".svg"}
    compressed = 0
    for name in ["/", *names]:
        status, headers, plain = get(house, name)
        assert status == 200 and "Content-Encoding" not in headers
        status, packed, body = get(house, name, {"Accept-Encoding": "br, gzip"})
        assert status == 200 and packed["Content-Encoding"] == "gzip" and gzip.decompress(body) == plain
        compressed += len(body)
        for h in headers, packed:
            assert "default-src 'none'" in h["Content-Security-Policy"] and "unsafe" not in h["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in h["Content-Security-Policy"]
            assert h["X-Content-Type-Options"] == "nosniff" and h["Referrer-Policy"] == "no-referrer" and "Accept-Encoding" in h["Vary"]
            assert ("immutable" in h["Cache-Control"]) == (name != "/")
        status, headers, body = get(house, name, {"If-None-Match": headers["ETag"]})
        assert status == 304 and not body
    assert compressed < 150 << 10
    assert get(house, "/assets/none.js")[0] == 404
    assert not re.search(r"https?://|<script>|<style|\s(style|on\w+)=", page), "the page reaches outside, or holds code"


def test_build__without_node_says_why(tmp_path):
    out = tmp_path / "assets.c"
    done = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "web", "embed"), str(out), str(tmp_path / "assets.d"), str(tmp_path / "work")],
                          env={"PATH": str(tmp_path)}, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "console: left out: node is not installed\n"
    assert 'assets_missing = "node is not installed"' in out.read_text()


def test_console__only_on_its_listener(house, page):
    assert house.request("GET", "/").status == 404
    assert house.plain("/").status == 404


# --- what its first page asks for -----------------------------------------------------------------------------------------------


def test_whoami__tells_roles_and_tenants(house):
    me = house.api("GET", "/whoami").json
    assert me["principal"] == "admin" and "admin" in me["roles"] and {t["name"] for t in me["tenants"]} >= {"default", "house"}
    assert house.api("GET", "/whoami", token="").status == 401


def test_summary__counts_what_happened_and_what_ends(house, openssl):
    before = house.api("GET", "/summary?days=1").json
    short = issue(house, openssl, "short.example.org", "workload-short")["serial"]
    after = house.api("GET", "/summary?days=1").json
    assert sum(after["activity"]["issued"]) == sum(before["activity"]["issued"]) + 1 and after["activity"]["whole"]
    doors = {d["door"]: d["issued"] for d in after["doors"]}
    assert "ceremony" not in doors and sum(doors.values()) == sum(after["activity"]["issued"]), "what the house made for itself counts"
    assert len(after["activity"]["issued"]) == 24 and after["activity"]["step"] == 3600
    assert after["expiring"]["count"] == before["expiring"]["count"] + 1
    assert short in [c["serial"] for c in after["expiring"]["items"]]
    assert after["recent"][0]["pos"] > before["recent"][0]["pos"]
    for days, buckets in ((7, 28), (30, 30), (90, 30)):
        assert len(house.api("GET", f"/summary?days={days}").json["activity"]["refused"]) == buckets
    assert house.api("GET", "/summary?days=2").status == 422


def test_describe__reads_what_is_pasted(house, openssl):
    with open(openssl.csr("described", "/CN=described.example.org", "DNS:described.example.org"), encoding="ascii") as f:
        csr = f.read()
    items = house.api("POST", "/describe", csr, content_type="text/plain").json["items"]
    assert items[0]["subject"] == "CN=described.example.org" and "DNS:described.example.org" in items[0]["subjectAltName"]
    text = house.api("POST", "/describe", csr, headers={"Accept": "text/plain"}).body.decode()
    assert "described.example.org" in text
    assert house.api("POST", "/describe", "nothing").status == 400
    assert house.api("POST", "/describe", csr, token="").status == 401


# --- a browser -----------------------------------------------------------------------------------------------------------------


def test_sign_in__refused_then_let_in_and_out(browser, house):
    browser.sign_in("nobody.nothing")
    browser.says("Not authenticated")
    field = browser.field("API token")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(house.admin_token)
    browser.click("button[type=submit]")
    browser.find("h1", "Overview")
    browser.says("admin")
    assert house.admin_token not in browser.driver.current_url
    assert browser.driver.execute_script("return document.cookie + JSON.stringify(localStorage)") == "{}"
    browser.click("[aria-label='Sign out']")
    browser.find("label", "API token")
    assert browser.driver.execute_script("return sessionStorage.length") == 0


def test_certificate__found_looked_at_and_revoked(browser, house, openssl):
    serial = issue(house, openssl, "console.example.org")["serial"]
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.find("body").send_keys("/")  # the search box's key
    browser.driver.switch_to.active_element.send_keys("console.example.org", Keys.ENTER)
    browser.find("h1", "Certificates")
    browser.click("td a", "console.example.org")
    browser.says("DNS:console.example.org")
    browser.click(".tabs a", "As text")
    browser.find("pre", "Certificate")
    browser.click(".tabs a", "Chain")
    browser.says("root")
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, ".chain li")) == 3
    browser.click(".tabs a", "Proof")
    browser.says("cannot be taken out unseen")
    assert "could not be checked" not in browser.text()
    browser.click("button", "Revoke…")
    reason = browser.field("Reason")
    reason.send_keys("keyCompromise")
    browser.field("Comment").send_keys("seen in the console's test")
    assert not browser.find("dialog button", "Revoke").is_enabled(), "it must be confirmed"
    browser.click("dialog label.check")
    browser.click("dialog button[type=submit]")
    browser.find("h1 .badge", "revoked")
    shown = house.api("GET", "/certificates/" + serial).json
    assert shown["status"] == "revoked" and shown["reason"] == "keyCompromise"
    browser.go("certificates?q=console.example.org&status=revoked")
    browser.find("td a", "console.example.org")


def test_search__by_serial_and_fingerprint_and_none(browser, house, openssl):
    serial = issue(house, openssl, "search.example.org")["serial"]
    row = house.api("GET", "/certificates/" + serial).json
    browser.sign_in()
    browser.find("h1", "Overview")
    for text in (":".join(re.findall("..", serial.upper())), row["fingerprint"], "subject:CN=search.example.org", "dns:Search.example.org"):
        browser.go("certificates?" + urllib.parse.urlencode({"q": text}))
        browser.find("td a", "search.example.org")
    browser.go("certificates?q=nobody.example.org")
    browser.says("Nothing was found")


def test_request__approved_by_another(browser, house, openssl):
    with open(openssl.csr("release", "/CN=Console release/O=Example"), encoding="ascii") as f:
        request = house.api("POST", "/enroll", {"csr": f.read(), "profile": "code-signing"}).json["request"]
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("requests/" + request)
    browser.find("h1", "Console release")
    browser.says("It waits for somebody else's word")
    assert not [b for b in browser.driver.find_elements(By.TAG_NAME, "button") if b.text == "Approve"]
    assert house.api("POST", f"/requests/{request}/approve", {}).status == 403
    approver = {"kind": "Principal", "name": "console-approver", "roles": ["admin"]}
    assert house.api("PUT", "/resources/principals/console-approver", approver).status == 201
    browser.sign_in(house.api("POST", "/tokens", {"type": "api", "principal": "console-approver"}).json["token"])
    browser.find("h1", "Overview")
    browser.go("requests")
    browser.click("td a")
    browser.go("requests/" + request)
    browser.field("Comment").send_keys("looked at")
    browser.click("button", "Approve")
    browser.click(".notice.good a", "this certificate")
    browser.says("CN=Console release")


def test_device__registered_hostile_and_retired(browser, house):
    hostile = "<img src=x onerror=document.title='bitten'>"
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("devices")
    browser.click("button", "Register")
    browser.field("Id").send_keys("CONSOLE-1")
    browser.field("Model").send_keys(hostile)
    browser.click("dialog button[type=submit]")
    browser.find("h1", "CONSOLE-1")
    browser.says(hostile)
    assert not browser.driver.find_elements(By.TAG_NAME, "img") and "bitten" not in browser.driver.title
    assert house.api("GET", "/devices/CONSOLE-1").json["model"] == hostile
    browser.go("devices?q=CONSOLE")
    browser.says(hostile)
    browser.click("td a", "CONSOLE-1")
    browser.click("button", "Retire…")
    browser.click("dialog button[type=submit]")
    browser.find("h1 .badge", "retired")


def test_token__made_once(browser, house):
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("tokens")
    browser.click("button", "Create")
    browser.field("Names it may ask for").send_keys("DNS:token.example.org")
    browser.click("dialog button[type=submit]")
    token = browser.find(".secret code").text
    assert re.fullmatch(r"[^.]+\.[^.]+", token)
    browser.click("dialog button", "I have it")
    browser.says("DNS:token.example.org")
    assert token not in browser.text() and token not in json.dumps(house.api("GET", "/tokens").json)


def test_profile__decision_explained_then_issued(browser, house, openssl):
    with open(openssl.csr("try", "/CN=try.example.org", "DNS:try.example.org"), encoding="ascii") as f:
        csr = f.read()
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("profiles/server-internal-1y?tab=try")
    browser.field("Certificate request").send_keys("not a request")
    browser.click("button", "Try")
    browser.find("[role=alert]")
    field = browser.field("Certificate request")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(csr)
    browser.click("button", "Try")
    browser.says("A certificate would be issued")
    browser.says("key.possession")
    assert not house.api("GET", "/certificates?san=dns:try.example.org").json["items"]
    browser.click("button", "Issue")
    browser.says("Issued.")
    assert len(house.api("GET", "/certificates?san=dns:try.example.org").json["items"]) == 1


def test_register__verified_and_browsed(browser):
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("register?type=authority.")
    browser.click("button", "Verify now")
    browser.says("The register is whole.")
    browser.click(".events a", "Authority created")
    browser.says("cannot be taken out unseen")


def test_owner__sees_what_is_theirs(browser, house):
    principal = {"kind": "Principal", "name": "console-owner", "roles": ["owner"], "owner-of": "console-team"}
    assert house.api("PUT", "/resources/principals/console-owner", principal).status == 201
    token = house.api("POST", "/tokens", {"type": "api", "principal": "console-owner"}).json["token"]
    for device, owner in (("OWNED-1", "console-team"), ("OTHERS-1", "somebody")):
        assert house.api("PUT", "/devices/" + device, {"owner": owner}).status == 201
    browser.sign_in(token)
    browser.find("h1", "Devices")
    browser.find("td a", "OWNED-1")
    assert "OTHERS-1" not in browser.text()
    assert not browser.driver.find_elements(By.CSS_SELECTOR, "a[href='#/register']")


def test_tenant__chosen(browser, house):
    assert house.api("PUT", "/resources/tenants/console-branch", {"kind": "Tenant", "name": "console-branch", "title": "Branch"}).status == 201
    assert house.api("PUT", "/tenants/console-branch/devices/BRANCH-1", {"model": "Pump"}).status == 201
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("devices?q=BRANCH")
    browser.says("No such device")
    Select(browser.find(".tenant select")).select_by_value("console-branch")
    browser.find("td a", "BRANCH-1")
    browser.driver.refresh()
    browser.find("td a", "BRANCH-1")
    for place, text in (("authorities", "No authority in this tenant"), ("", "Nothing expires within 30 days"), ("certificates", "No certificates yet")):
        browser.go(place)
        browser.says(text)


def test_live__what_happens_is_seen(browser, house):
    browser.sign_in()
    browser.find(".live-live", "Live")
    browser.go("devices?q=LIVE-SEEN")
    browser.says("No such device")
    assert house.api("PUT", "/devices/LIVE-SEEN", {"model": "Pump"}).status == 201
    browser.find("td a", "LIVE-SEEN")
    browser.go("devices/LIVE-SEEN")
    browser.find("h1", "LIVE-SEEN")
    assert house.api("PUT", "/devices/LIVE-SEEN", {"model": "Valve", "place": "Hall 3"}).status == 200
    browser.says("Hall 3")


class Wire:
    """A port that leads to another until it is cut, and again after it is mended."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open, self.whole = [], True
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.whole:
                near.close()
                continue
            far = socket.create_connection(self.target)
            self.open += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(a, b), daemon=True).start()

    @staticmethod
    def carry(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            b.close()

    def cut(self):
        self.whole = False
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open = []


def test_live__a_lost_stream_is_taken_up_again(browser, house):
    wire = Wire(house.ports["console"])
    browser.url = f"https://127.0.0.1:{wire.port}/"
    browser.sign_in()
    browser.find(".live-live", "Live")
    browser.go("devices?q=WIRE-")
    browser.says("No such device")
    wire.cut()
    browser.find(".live-lost", "Reconnecting")
    assert house.api("PUT", "/devices/WIRE-CONSOLE", {}).status == 201
    wire.whole = True
    browser.find(".live-live", "Live")
    browser.find("td a", "WIRE-CONSOLE")  # what happened meanwhile is told
    wire.listener.close()


def test_health__radar_says_what_the_api_does(browser, house):
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("health")
    label = browser.find("svg.radar").get_attribute("aria-label")
    axes = house.api("GET", "/posture").json["axes"]
    assert [a["axis"] for a in axes] == ["enrollment", "lifetime", "revocation", "keys", "incident"]
    for axis in axes:
        assert f"{axis['title']} {axis['score']}" in label
        browser.says(axis["title"])
        for check in axis["checks"]:
            assert check["fact"] and check["score"] in range(101) or check["score"] is None
            assert ("move" in check) == ("gain" in check)
    browser.says("What would move it most")
    assert "Incident readiness" in house.cli("status", "--posture").stdout


def test_profile__edited_with_errors_shown(browser, house):
    document = {"kind": "Profile", "name": "console-edited", "authority": "issuing-ca", "lifetime": {"default": "30d"},
                "subject": {"allow": [{"attr": "CN"}]}, "usage": {"key-usage": ["digitalSignature"], "eku": ["serverAuth"]}}
    assert house.api("PUT", "/resources/profiles/console-edited", document).status == 201
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("profiles/console-edited?tab=edit")
    box = browser.find("textarea")
    text = box.get_attribute("value")
    for wrong, said in ((text.replace("30d", "soon"), "lifetime"), (text + "surprise: 1\n", "surprise"), (text + "x: [\n", "missing")):
        browser.fill(box, wrong)
        browser.says(said)
        browser.find(".editor-side .notice.bad")
        assert not browser.find("button", "Save as version 2").is_enabled()
    browser.fill(box, text.replace("30d", "45d"))
    browser.says("The house would take it")
    browser.click("button", "Save as version 2")
    browser.find("h1", "console-edited")
    browser.says("45d")
    assert house.api("GET", "/resources/profiles/console-edited").json["lifetime"]["default"] == "45d"


def test_endpoint__says_what_to_type(browser, house):
    browser.sign_in()
    browser.find("h1", "Overview")
    for name, words in (("servers", "/.well-known/est/servers/simpleenroll"), ("acme", "certbot certonly"), ("scep", "pki --scep"), ("cmp", "openssl cmp")):
        browser.go(f"endpoints/{name}?tab=clients")
        browser.says(words)
    browser.says(f":{house.ports['plain']}/.well-known/cmp/p/cmp")


def test_self_service__asked_approved_and_delivered(browser, house, openssl, tmp_path):
    """An owner asks with a key that the browser makes, somebody of the group approves, and the certificate comes by itself."""
    profile = {"kind": "Profile", "name": "console-self", "authority": "issuing-ca", "lifetime": {"default": "30d"}, "callers": ["principal"],
               "roles": ["owner"], "subject": {"allow": [{"attr": "CN"}]}, "san": {"allow": {"dns": {"suffixes": ["self.example.org"]}}, "min": 1},
               "usage": {"key-usage": ["digitalSignature"], "eku": ["serverAuth"]},
               "approval": {"required": True, "roles": [], "groups": ["console-plant"], "deadline": "2d"}}
    assert house.api("PUT", "/resources/profiles/console-self", profile).status == 201
    rest = house.api("GET", "/resources/endpoints/rest").json
    rest.pop("metadata")
    assert house.api("PUT", "/resources/endpoints/rest", {**rest, "profiles": [*rest["profiles"], "console-self"]}).status == 200
    tokens = {}
    for name, more in (("console-anna", {"roles": ["owner"], "owner-of": "console-plant-7"}), ("console-otto", {"roles": ["operator"], "groups": ["console-plant"]})):
        assert house.api("PUT", "/resources/principals/" + name, {"kind": "Principal", "name": name, **more}).status == 201
        tokens[name] = house.api("POST", "/tokens", {"type": "api", "principal": name}).json["token"]
    assert house.api("PUT", "/devices/CONSOLE-PUMP", {"owner": "console-plant-7"}).status == 201
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.sign_in(tokens["console-anna"])
    browser.find("h1", "Devices")
    browser.go("new-request")
    browser.find("option", "console-self")
    browser.field("Names").send_keys("pump.self.example.org")
    browser.click("button", "Make the key")
    browser.click("button", "Save the key")
    browser.find("button", "Saved")
    browser.click("button", "What would happen?")
    browser.says("It would wait for approval")
    browser.click("button", "Ask for it")
    browser.says("It waits for somebody else's word")
    mine = house.api("GET", "/requests?mine=1", token=tokens["console-anna"]).json["items"]
    assert len(mine) == 1
    request = "/requests/" + mine[0]["id"]
    # Otto asks, on the API; Anna's page shows it and answers; then he approves.
    assert house.api("POST", request + "/comments", {"comment": "<i>which</i> hall?"}, token=tokens["console-otto"]).status == 200
    browser.says("<i>which</i> hall?")
    browser.field("Say something").send_keys("hall 3")
    browser.click("button", "Send")
    browser.says("hall 3")
    assert house.api("POST", request + "/approve", {"comment": "go"}, token=tokens["console-otto"]).status == 200
    browser.says("Your certificate is there")
    browser.click("button", "With chain")
    made = WebDriverWait(browser.driver, WAIT).until(lambda _: [p for p in tmp_path.iterdir() if p.name.endswith("-chain.pem")])
    key = openssl.text("pkey", "-in", str(tmp_path / "private.key.pem"), "-pubout")
    assert openssl.text("x509", "-in", str(made[0]), "-noout", "-pubkey") == key
    assert "pump.self.example.org" in openssl.text("x509", "-in", str(made[0]), "-noout", "-ext", "subjectAltName")
    assert house.api("PUT", "/resources/endpoints/rest", rest).status == 200


def test_theme__as_the_person_wants_it(browser):
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("settings")
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = browser.driver.execute_script(ground)
    browser.click("button", "Dark")
    dark = browser.driver.execute_script(ground)
    assert light != dark
    browser.driver.refresh()
    browser.find("h1", "Settings")
    assert browser.driver.execute_script(ground) == dark
    browser.click("button", "As the system")
    assert browser.driver.execute_script(ground) == light and browser.driver.execute_script("return localStorage.length") == 0


def test_passkey__set_up_by_an_invitation_and_used(browser, house):
    """At a name, for an address has no passkeys; with an authenticator that the browser plays."""
    assert house.api("PUT", "/resources/principals/console-paula", {"kind": "Principal", "name": "console-paula", "roles": ["operator"]}).status == 201
    browser.url = f"https://localhost:{house.ports['console']}/"
    driver = browser.driver
    driver.execute_cdp_cmd("WebAuthn.enable", {})
    authenticator = driver.execute_cdp_cmd("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}})
    try:
        browser.sign_in()
        browser.find("h1", "Overview")
        browser.go("users")
        browser.click("[aria-label='Invite console-paula']")
        browser.click("dialog button[type=submit]")
        link = browser.find(".secret code").text
        assert link.startswith(browser.url + "#/welcome?invite=")
        driver.execute_script("sessionStorage.clear()")
        driver.get("about:blank")
        driver.get(link)
        browser.says("console-paula")
        browser.click("button", "Set up a passkey")
        browser.find("h1", "Overview")
        browser.says("console-paula")
        assert not driver.execute_script("return document.cookie + sessionStorage.length + localStorage.length").strip("0")
        browser.go("devices")
        browser.click("button", "Register")
        browser.field("Id").send_keys("CONSOLE-PAULA")
        browser.click("dialog button[type=submit]")  # what changes something goes with the session's proof
        browser.find("h1", "CONSOLE-PAULA")
        driver.refresh()
        browser.find("h1", "CONSOLE-PAULA")
        browser.go("settings")
        browser.says("this one")
        browser.says("passkey for localhost")
        browser.click("[aria-label='Sign out']")
        browser.click("button", "Sign in with a passkey")
        browser.find("h1", "Overview")
        browser.says("console-paula")
        browser.click("[aria-label='Sign out']")
        browser.find("button", "Sign in with a passkey")
    finally:
        driver.execute_cdp_cmd("WebAuthn.removeVirtualAuthenticator", authenticator)


def test_provider__signs_in_and_a_program_is_logged_in(browser, house, openssl):
    """Through an OpenID Connect provider to where one was going: to the code of a program that has no browser."""
    openssl.key("console-idp")
    openssl.run("req", "-x509", "-new", "-key", "console-idp.key", "-subj", "/CN=localhost", "-days", "30", "-addext", "subjectAltName=DNS:localhost",
                "-out", "console-idp.pem")
    provider = Provider(openssl.file("console-idp.pem"), openssl.file("console-idp.key"))
    with open(openssl.file("console-idp.pem"), encoding="ascii") as f:
        ca = f.read()
    assert house.api("PUT", "/resources/principals/console-olga", {"kind": "Principal", "name": "console-olga", "roles": ["operator"]}).status == 201
    doc = {"kind": "IdentityProvider", "name": "console-corp", "title": "Console Corp", "issuer": provider.issuer, "client-id": "touchmark", "ca": ca,
           "rules": [{"claim": "email", "value": "olga@example.org", "principal": "console-olga"}], "networks": ["127.0.0.0/8", "::1/128"]}
    assert house.api("PUT", "/resources/identity-providers/console-corp", doc).status == 201
    house.cli("provider", "secret", "console-corp", data=provider.secret + "\n")
    provider.claims = {"email": "olga@example.org"}
    begun = house.api("POST", "/device-login", {"client": "touchmark on laptop-7"}, token="").json
    browser.url = f"https://localhost:{house.ports['console']}/"
    try:
        browser.driver.get(browser.url)
        browser.driver.execute_script("sessionStorage.clear()")
        browser.driver.get("about:blank")
        browser.driver.get(browser.url + "#/login?code=" + begun["user_code"])
        browser.click("button", "Sign in with Console Corp")
        browser.find("h1", "Log a program in")
        browser.says("touchmark on laptop-7")
        browser.says("console-olga")
        browser.picture("login")
        browser.click("button", "Let it act as me")
        browser.says("Confirmed")
        token = house.api("POST", "/device-login/token", {"device_code": begun["device_code"]}, token="").json["token"]
        assert house.api("GET", "/whoami", token=token).json["principal"] == "console-olga"
        browser.click("[aria-label='Sign out']")
        provider.claims = {"email": "nobody@example.org"}
        browser.driver.get("about:blank")
        browser.driver.get(browser.url)
        browser.click("button", "Sign in with Console Corp")
        browser.find(".notice")
        assert "#/signin?problem=" in browser.driver.current_url
        browser.picture("signin-refused")
    finally:
        browser.driver.get("about:blank")
        house.api("DELETE", "/resources/identity-providers/console-corp")
        provider.stop()


def test_pages__fit_their_screens_and_name_their_parts(browser, house, openssl):
    serial = issue(house, openssl, "a-name-that-is-quite-long-for-a-phone.department.example.org")["serial"]
    assert house.api("PUT", "/devices/PAGES-1", {"model": "Pump"}).status == 201
    browser.sign_in()
    browser.find("h1", "Overview")
    tabs = [f"certificates/{serial}{tab}" for tab in ("", "?tab=text", "?tab=chain", "?tab=proof")] + ["new-request?replaces=" + serial]
    for place in [*PAGES, *tabs, "devices/PAGES-1"]:
        browser.look(WIDE)
        browser.go(place)
        assert browser.driver.execute_script(UNNAMED) == [], place
        assert serious_findings(browser) == [], place
        assert place == "no-such-page" or not browser.driver.find_elements(By.CSS_SELECTOR, "[role=alert]"), place
        for size, dark in ((WIDE, False), (PHONE, True)):
            browser.look(size, dark)
            assert browser.driver.execute_script(CONTRAST) == [], f"{place}, {'dark' if dark else 'light'}"
            width = browser.driver.execute_script("return document.documentElement.scrollWidth")
            assert width <= size[0], f"{place} is {width} wide on a screen of {size[0]}"
            browser.picture(f"{re.sub(r'[^a-z0-9]+', '-', place.replace(serial, 'one').lower()) or 'overview'}-{size[0]}")


def test_menu__is_whole_on_a_low_screen_and_pages_fit_between(browser):
    """What is neither a phone nor wide, and a wall: nothing is cut off, and the menu needs no scrolling where 860 pixels are there."""
    browser.sign_in()
    browser.find("h1", "Overview")
    for size, more in ((NARROW, ["health", "profiles/server-internal-1y?tab=edit", "endpoints/devices?tab=clients", "register"]), (WIDE, []), (WALL, [])):
        browser.look(size)
        for place in ["", "certificates?q=status:valid", *more]:
            browser.go(place)
            menu, me, width = browser.driver.execute_script(
                "const nav = document.querySelector('.side nav'), me = document.querySelector('.me').getBoundingClientRect();"
                "return [nav.scrollHeight - nav.clientHeight, me.bottom - innerHeight, document.documentElement.scrollWidth]")
            assert menu <= 0 and me <= 0, f"the menu is too long for a screen of {size[0]} by {size[1]}: by {menu} pixels"
            assert width <= size[0], f"{place} is {width} wide on a screen of {size[0]}"
            browser.picture(f"{re.sub(r'[^a-z0-9]+', '-', place.lower()) or 'overview'}-{size[0]}x{size[1]}")
