"""The console as people use it for a whole task: an expiring certificate replaced, what was seen kept as a view, who answers for it, a profile
tried while it is written, an auditor's proof, and a tour among names that want to do harm."""
import csv
import datetime
import io
import json
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from chromium import PHONE, UNNAMED, WAIT, WIDE, browser, driver, get, issue, page, serious_findings  # noqa: E402,F401

try:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait
except ImportError:
    pass


def principal(house, name, **more):
    """An API token of a principal with these roles."""
    assert house.api("PUT", "/resources/principals/" + name, {"kind": "Principal", "name": name, **more}).status in (200, 201)
    return house.api("POST", "/tokens", {"type": "api", "principal": name}).json["token"]


def offer(house, profile):
    """Keep the profile and have the REST endpoint offer it; what the endpoint was before."""
    assert house.api("PUT", "/resources/profiles/" + profile["name"], profile).status in (200, 201)
    rest = house.api("GET", "/resources/endpoints/rest").json
    rest.pop("metadata")
    if profile["name"] not in rest["profiles"]:
        assert house.api("PUT", "/resources/endpoints/rest", {**rest, "profiles": [*rest["profiles"], profile["name"]]}).status == 200
    return rest


def downloads(browser, folder):
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})


def downloaded(browser, folder, end):
    """The file that ends so, once it is whole."""
    found = WebDriverWait(browser.driver, WAIT).until(lambda _: [p for p in folder.iterdir() if p.name.endswith(end)])
    return found[0]


def tidy(browser, where):
    """What holds for a page as a whole holds for what has opened on it, too."""
    assert browser.driver.execute_script(UNNAMED) == [], where
    assert serious_findings(browser) == [], where


PROFILE = {"kind": "Profile", "name": "console-replaced", "authority": "issuing-ca", "lifetime": {"default": "20d"}, "callers": ["principal"],
           "roles": ["operator"], "subject": {"allow": [{"attr": "CN"}, {"attr": "O"}]}, "san": {"allow": {"dns": {"suffixes": ["replaced.example.org"]}}, "min": 1},
           "usage": {"key-usage": ["digitalSignature"], "eku": ["serverAuth"]}, "renewal": {"before": "10d"}}


def test_operator__finds_and_replaces_an_expiring_certificate(browser, house, openssl, tmp_path):
    """From what ends soon to the new certificate, with a key that the browser makes; the old one stands until it is taken back."""
    operator = principal(house, "console-ines", roles=["operator"])
    rest = offer(house, PROFILE)
    with open(openssl.csr("shop", "/O=Example/CN=shop.replaced.example.org", "DNS:shop.replaced.example.org,DNS:www.replaced.example.org"), encoding="ascii") as f:
        old = house.api("POST", "/enroll", {"csr": f.read(), "profile": "console-replaced"}, token=operator).json["serial"]
    offer(house, {**PROFILE, "lifetime": {"default": "90d"}})
    folder = tmp_path / "got"
    folder.mkdir()
    downloads(browser, folder)
    browser.sign_in(operator)
    browser.find("h1", "Overview")
    assert browser.find(".timeline a").get_attribute("href")
    browser.wait(lambda: [f for f in browser.driver.find_elements(By.CSS_SELECTOR, ".figure") if "expire within" in f.text], "it does not count what ends").pop().click()
    browser.find("h1", "Certificates")
    browser.click("td a", "shop.replaced.example.org")
    browser.find("h1", "shop.replaced.example.org")
    browser.picture("replace-1-found")
    browser.click("a", "Replace…")
    browser.find("h1", "Replace a certificate")
    browser.says("DNS:www.replaced.example.org")
    assert Select(browser.field("What for")).first_selected_option.text.startswith("console-replaced")
    assert browser.find("label.check input").is_selected()
    assert not browser.driver.find_elements(By.CSS_SELECTOR, ".name-guess"), "a renewal's names are the old one's"
    browser.click("button", "Make the key")
    browser.click("button", "Save the key")
    browser.find("button", "Saved")
    browser.click("button", "What would happen?")
    browser.says("A certificate would be issued")
    tidy(browser, "replace")
    browser.picture("replace-2-asked")
    browser.click("button", "Get it")
    browser.says("The certificate is there")
    browser.says("The old one still holds")
    browser.picture("replace-3-issued")
    browser.click("button", "Certificate with chain")
    chain = downloaded(browser, folder, "-chain.pem")
    key = openssl.text("pkey", "-in", str(downloaded(browser, folder, "private.key.pem")), "-pubout")
    assert openssl.text("x509", "-in", str(chain), "-noout", "-pubkey") == key
    said = openssl.text("x509", "-in", str(chain), "-noout", "-subject", "-ext", "subjectAltName")
    for name in ("O = Example", "DNS:shop.replaced.example.org", "DNS:www.replaced.example.org"):
        assert name in said or name.replace(" = ", "=") in said
    shown = house.api("GET", f"/certificates/{old}?succession=1").json
    new = shown["replaced_by"][0]["serial"]
    assert shown["status"] == "valid" and len(shown["replaced_by"]) == 1 and shown["replaces"] == []
    assert [c["serial"] for c in house.api("GET", f"/certificates/{new}?succession=1").json["replaces"]] == [old]
    assert house.api("GET", f"/register/events?subject=certificate/{new}").json["items"][0]["body"]["renewal"] is True
    browser.click("button", "Revoke the old one…")
    assert Select(browser.field("Reason")).first_selected_option.get_attribute("value") == "superseded"
    browser.click("dialog label.check")
    browser.click("dialog button[type=submit]")
    browser.says("The old one is revoked")
    assert house.api("GET", "/certificates/" + old).json["reason"] == "superseded"
    browser.go("certificates/" + old)
    browser.says("Replaced by")
    browser.picture("replace-4-old")
    browser.click(".notice a", "a certificate of")
    browser.find("h1 .badge", "valid")
    browser.says("Replaces")
    assert house.api("PUT", "/resources/endpoints/rest", rest).status == 200


def test_replace__what_somebody_else_issued_keeps_its_names(browser, house, openssl):
    """A request like any other, with the names filled in; here one that was made elsewhere."""
    openssl.csr("elsewhere", "/CN=elsewhere.example.org", "DNS:elsewhere.example.org,IP:192.0.2.9")
    openssl.run("x509", "-req", "-in", "elsewhere.csr", "-signkey", "elsewhere.key", "-days", "9", "-copy_extensions", "copy", "-out", "elsewhere.pem")
    with open(openssl.file("elsewhere.pem"), "rb") as f:
        old = house.api("POST", "/certificates/import", f.read(), content_type="application/x-pem-file").json["items"][0]["serial"]
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("certificates/" + old)
    browser.click("a", "Replace…")
    browser.says("It was issued elsewhere")
    assert browser.field("Names").get_attribute("value").split() == ["elsewhere.example.org", "192.0.2.9"]
    Select(browser.field("What for")).select_by_value("rest/server-internal-1y")
    browser.fill(browser.field("Names"), "elsewhere.example.org")
    browser.click("button", "Make the key")
    browser.click("button", "Save the key")
    browser.click("button", "Get it")
    browser.says("The certificate is there")
    assert not [b for b in browser.driver.find_elements(By.TAG_NAME, "button") if b.text.startswith("Revoke")], "it is not ours to take back"
    shown = house.api("GET", f"/certificates/{old}?succession=1").json
    assert [c["profile"] for c in shown["replaced_by"]] == ["server-internal-1y"]


def test_view__saved_used_and_forgotten(browser, house, openssl):
    issue(house, openssl, "view.example.org")
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("certificates?q=dns:view.example.org&status=valid&sort=expires")
    browser.find("td a", "view.example.org")
    browser.click("button", "Save as a view…")
    tidy(browser, "save a view")
    browser.field("Title").send_keys("Seen from here: <b>view</b>")
    browser.says("touchmark view show seen-from-here-b-view-b")
    browser.picture("view-save")
    browser.click("dialog button[type=submit]")
    browser.find(".views a[aria-current]", "Seen from here: <b>view</b>")
    view = house.api("GET", "/inventory/views/seen-from-here-b-view-b").json
    assert view["query"] == "(dns:view.example.org) status:valid" and view["sort"] == "expires"
    browser.go("certificates")
    browser.find("h1", "Certificates")
    browser.click(".views a", "Seen from here")
    browser.find("td a", "view.example.org")
    # Its name is taken, whoever asks.
    browser.go("certificates?q=dns:other.example.org")
    browser.click("button", "Save as a view…")
    browser.field("Title").send_keys("Seen from here b view b")
    browser.click("dialog button[type=submit]")
    browser.says("There is a view of this name")
    browser.click("dialog button", "Cancel")
    browser.click(".views a", "Seen from here")
    browser.click("button", "Forget this view…")
    browser.click("dialog button", "Forget it")
    browser.find("button", "Save as a view…")
    assert house.api("GET", "/inventory/views/seen-from-here-b-view-b").status == 404


def test_note__says_who_answers(browser, house, openssl):
    serial = issue(house, openssl, "noted.example.org")["serial"]
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go("certificates/" + serial)
    browser.says("Nobody is said to answer for it")
    browser.click("button", "Say who…")
    tidy(browser, "note")
    browser.field("Owner").send_keys("console-facilities")
    browser.field("Place").send_keys("Hall 3")
    Select(browser.field("Criticality")).select_by_value("high")
    browser.field("Tags").send_keys("pci badge")
    browser.field("Comment").send_keys("ask <i>Otto</i>")
    browser.picture("note")
    browser.click("dialog button[type=submit]")
    browser.says("console-facilities")
    browser.says("ask <i>Otto</i>")
    note = house.api("GET", f"/certificates/{serial}/note").json
    assert note["note"]["owner"] == "console-facilities" and note["note"]["criticality"] == "high" and note["tags"] == ["pci", "badge"]
    # Somebody else's words are not overwritten unseen.
    browser.click("button", "Change…")
    assert house.api("PUT", f"/certificates/{serial}/note", {"owner": "console-others"}).status == 200
    field = browser.field("Owner")
    field.clear()
    field.send_keys("console-mine")
    browser.click("dialog button[type=submit]")
    browser.find("dialog [role=alert]")
    browser.click("dialog button", "Cancel")
    browser.says("console-others")
    browser.go("certificates?q=owner:console-others")
    browser.find("td a", "noted.example.org")


def test_profile__tried_while_it_is_written(browser, house, openssl):
    """The text in the box decides: nothing of it is kept, and nothing is issued."""
    name = "console-unwritten"
    document = {"kind": "Profile", "name": name, "authority": "issuing-ca", "lifetime": {"default": "30d"}, "callers": ["principal"],
                "subject": {"allow": [{"attr": "CN"}]}, "san": {"allow": {"dns": {"suffixes": ["written.example.org"]}}, "min": 1},
                "usage": {"key-usage": ["digitalSignature"], "eku": ["serverAuth"]}}
    assert house.api("PUT", "/resources/profiles/" + name, document).status == 201
    before = house.api("GET", "/status").json["counts"]["certificates"]
    browser.sign_in()
    browser.find("h1", "Overview")
    browser.go(f"profiles/{name}?tab=edit")
    box = browser.find(".editor textarea")
    text = box.get_attribute("value")
    browser.field("Names to try").send_keys("a.written.example.org")
    browser.click("button", "What would it decide?")
    browser.says("A certificate would be issued")
    browser.fill(box, text.replace("written.example.org", "other.example.org"))
    browser.says("Nothing is saved and nothing is issued")
    browser.click("button", "What would it decide?")
    browser.says("It would be refused")
    tidy(browser, "proposal")
    browser.picture("proposal")
    browser.fill(box, text.replace("30d", "45d"))
    browser.click("button", "What would it decide?")
    browser.says("A certificate would be issued")
    browser.says(str((datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=45)).date()))
    browser.fill(box, text + "surprise: 1\n")
    browser.click("button", "What would it decide?")
    browser.says("/proposed/surprise")
    # One that nobody has kept yet, with a request from elsewhere.
    browser.go("profiles?new=1")
    browser.find("h1", "New profile")
    browser.click(".chips button", "A request")
    with open(openssl.csr("unwritten", "/CN=a.example.org", "DNS:a.example.org"), encoding="ascii") as f:
        browser.fill(browser.field("Request to try"), f.read())
    browser.click("button", "What would it decide?")
    browser.says("Rule by rule")
    assert house.api("GET", "/resources/profiles/" + name).json["metadata"]["version"] == 1
    assert house.api("GET", "/resources/profiles/my-profile").status == 404
    assert house.api("GET", "/status").json["counts"]["certificates"] == before


def test_proposed__is_for_trials_by_who_runs_the_tenant(house, openssl, tmp_path):
    document = {"kind": "Profile", "name": "console-proposed", "authority": "issuing-ca", "lifetime": {"default": "30d"}, "callers": ["principal"],
                "subject": {"allow": [{"attr": "CN"}]}, "san": {"allow": {"dns": {"suffixes": ["proposed.example.org"]}}, "min": 1},
                "usage": {"key-usage": ["digitalSignature"], "eku": ["serverAuth"]}}
    path = openssl.csr("proposed", "/CN=a.proposed.example.org", "DNS:a.proposed.example.org")
    with open(path, encoding="ascii") as f:
        asked = {"csr": f.read(), "proposed": document}
    decision = house.api("POST", "/enroll", {**asked, "dry_run": True}).json["decision"]
    assert decision["verdict"] == "issue" and decision["plan"]["profile"] == "console-proposed"
    assert house.api("POST", "/enroll", asked).status == 422
    wrong = house.api("POST", "/enroll", {**asked, "dry_run": True, "proposed": {**document, "lifetime": {"default": "soon"}}})
    assert wrong.status == 422 and wrong.json["field"] == "/proposed/lifetime/default"
    unknown = house.api("POST", "/enroll", {**asked, "dry_run": True, "proposed": {**document, "authority": "nobodys"}}).json["decision"]
    assert unknown["verdict"] == "deny" and unknown["rule"] == "authority.unknown"
    owner = principal(house, "console-proposer", roles=["owner"], **{"owner-of": "console-proposals"})
    assert house.api("PUT", "/devices/CONSOLE-PROPOSED", {"owner": "console-proposals"}).status == 201
    assert house.api("POST", "/enroll", {**asked, "dry_run": True, "device": "CONSOLE-PROPOSED"}, token=owner).status == 403
    lines = json.dumps({**asked, "dry_run": True}) + "\n"
    bulk = house.api("POST", "/enroll/bulk", lines, content_type="application/x-ndjson")
    assert "one request at a time" in json.loads(bulk.body.splitlines()[0])["detail"], bulk
    # The same from the command line.
    file = tmp_path / "proposed.yaml"
    file.write_text(json.dumps(document), encoding="ascii")
    done = house.cli("profile", "test", "--file", str(file), "--csr", path)
    assert done.stdout.startswith("issue")
    file.write_text(json.dumps({**document, "san": {"min": 2}}), encoding="ascii")
    assert house.cli("profile", "test", "--file", str(file), "--csr", path, ok=None).returncode == 1
    assert house.cli("profile", "test", "--file", str(file), "--profile", "server-internal-1y", "--csr", path, ok=None).returncode == 2


def test_auditor__exports_and_checks_a_proof(browser, house, openssl, tmp_path):
    serial = issue(house, openssl, "audited.example.org")["serial"]
    folder = tmp_path / "got"
    folder.mkdir()
    downloads(browser, folder)
    browser.sign_in(principal(house, "console-audrey", roles=["auditor"]))
    browser.find("h1", "Overview")
    browser.go("certificates?q=audited.example.org")
    browser.click("button", "CSV")
    rows = list(csv.DictReader(io.StringIO(downloaded(browser, folder, "certificates.csv").read_text(encoding="utf-8"))))
    assert [r["serial"] for r in rows] == [serial]
    browser.click("td a", "audited.example.org")
    browser.find("h1", "audited.example.org")
    words = [b.text for b in browser.driver.find_elements(By.CSS_SELECTOR, "main button, main a.button")]
    assert not [w for w in words if w.startswith(("Revoke", "Replace", "Say who"))], "an auditor looks on"
    browser.click(".tabs a", "Proof")
    browser.says("cannot be taken out unseen")
    browser.find(".findings .good")
    assert not browser.driver.find_elements(By.CSS_SELECTOR, ".findings .bad")
    browser.picture("auditor-proof")
    browser.click("button", "Proof")
    proof = downloaded(browser, folder, f"proof-{serial}.json")
    vkey = tmp_path / "register.vkey"
    vkey.write_text(house.cli("register", "key").stdout, encoding="ascii")
    assert house.cli("register", "verify-proof", str(proof), "--key", str(vkey)).returncode == 0
    told = json.loads(proof.read_text(encoding="utf-8"))
    assert serial in told["event"]
    told["event"] = told["event"].replace("audited", "another")
    proof.write_text(json.dumps(told), encoding="utf-8")
    assert house.cli("register", "verify-proof", str(proof), "--key", str(vkey), ok=None).returncode == 1


MARKUP = "<img src=x onerror=\"window.bitten=1\"><script>window.bitten=1</script>"
TURNED = "\u202egro.elpmaxe\u2066"


def hostile_certificates():
    """Markup, escape sequences, a formula, text that runs backwards, a URI that is code, an extension of 48 KiB and one of a megabyte; PEM."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID, ObjectIdentifier
    now = datetime.datetime.now(datetime.timezone.utc)
    made = []
    for names, more in (
            ([(NameOID.COMMON_NAME, MARKUP[:64]), (NameOID.ORGANIZATION_NAME, "=HYPERLINK(\"http://x\")")],
             x509.SubjectAlternativeName([x509.DNSName("hostile-1.example.org"), x509.UniformResourceIdentifier("javascript:window.bitten=1"),
                                          x509.RFC822Name("\"<svg/onload=window.bitten=1>\"@x.example.org")])),
            ([(NameOID.COMMON_NAME, TURNED), (NameOID.ORGANIZATIONAL_UNIT_NAME, "\x1b[2J\x1b]0;bitten\x07\r\nline")], None),
            ([(NameOID.COMMON_NAME, "huge.example.org")], x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x04\x82\xc0\x00" + b"<b>" * 16384)),
            ([(NameOID.COMMON_NAME, "huger.example.org")], x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x04\x83\x10\x00\x00" + b"<b>" * 349525 + b"<"))):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(o, v) for o, v in names])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=20))
        if more is not None:
            builder = builder.add_extension(more, critical=False)
        made.append(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return b"".join(made)


# Nothing of it became an element, ran, turned text round, or made the page wider than its screen.
BITTEN = """
const bad = [];
if (window.bitten) bad.push('it ran');
if (document.querySelectorAll('main img, main script, main svg[onload], main iframe').length) bad.push('it became an element');
for (const a of document.querySelectorAll('a[href]')) if (/^\\s*(javascript|data|vbscript):/i.test(a.getAttribute('href'))) bad.push('it became a link');
const disguise = /.{0,40}[\\u202a-\\u202e\\u2066-\\u2069\\u0000-\\u0008\\u001b].{0,20}/.exec(document.body.innerText);
if (disguise) bad.push('characters that disguise are shown: ' + disguise[0]);
if (document.documentElement.scrollWidth > innerWidth) bad.push('the page is ' + document.documentElement.scrollWidth + ' wide');
return bad;
"""


def test_hostile__tour(browser, house):
    taken = house.api("POST", "/certificates/import?label=" + "console-hostile", hostile_certificates(), content_type="application/x-pem-file").json
    serials = [i["serial"] for i in taken["items"] if i.get("serial")]
    assert len(serials) == 3 and [i["detail"] for i in taken["items"] if i["status"] == "failed"] == ["more than 65536 bytes"], taken
    for i, serial in enumerate(serials):
        assert house.api("PUT", f"/certificates/{serial}/note", {"owner": MARKUP, "comment": TURNED, "tags": ["<b>" + str(i)]}).status == 200
    assert house.api("PUT", "/devices/CONSOLE-HOSTILE", {"model": MARKUP, "vendor": MARKUP, "owner": MARKUP, "tags": {"i": MARKUP}}).status == 201
    assert house.api("PUT", "/devices/CONSOLE-TURNED", {"vendor": TURNED}).status == 422
    assert house.api("PUT", "/inventory/views/console-hostile", {"query": f"serial:{serials[0]}", "title": MARKUP + TURNED}).status == 201
    doc = {"kind": "Profile", "name": "console-hostile", "description": MARKUP + TURNED, "authority": "issuing-ca", "lifetime": {"default": "30d"}}
    assert house.api("PUT", "/resources/profiles/console-hostile", doc).status == 201
    browser.sign_in()
    browser.find("h1", "Overview")
    places = ["", "certificates?q=owner:*&status=all", "certificates?q=%3Cscript%3Ealert(1)%3C/script%3E", "certificates?q=((((((((", "devices?q=CONSOLE-HOSTILE", "devices/CONSOLE-HOSTILE",
              "discovery?view=places", "findings", "profiles", "profiles/console-hostile", "profiles/console-hostile?tab=history", "register", "certificates/%3Cimg%20src=x%3E",
              "new-request?replaces=" + serials[0], *[f"certificates/{s}{tab}" for s in serials for tab in ("", "?tab=text", "?tab=chain")]]
    for place in places:
        browser.go(place)
        for size in (WIDE, PHONE):
            browser.look(size)
            assert browser.driver.execute_script(BITTEN) == [], f"{place} at {size[0]}"
        browser.look(WIDE)
    browser.go("certificates/" + serials[0])
    browser.says("<img src=x onerror=")
    browser.picture("hostile-certificate")
    browser.go("certificates/" + serials[1])
    browser.says("\\u202egro.elpmaxe\\u2066")
    browser.go("discovery?view=places")
    text = house.api("GET", "/certificates/export?form=csv&query=" + "owner:*").body.decode()
    assert "img src=x onerror" in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", text)
    for place in ("resources/profiles/console-hostile", "inventory/views/console-hostile"):
        assert house.api("DELETE", "/" + place).status == 204
