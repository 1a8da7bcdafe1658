"""Certificates that others issued: imported from what people have, found in the files of a machine, reported by agents."""
import base64
import hashlib
import json
import os
import struct

import pytest


def selfsigned(ssl, name, days=30):
    """<name>.pem and <name>.key; the PEM."""
    ssl.key(name)
    ssl.run("req", "-x509", "-new", "-key", name + ".key", "-subj", f"/CN={name}", "-days", str(days), "-out", name + ".pem")
    with open(ssl.file(name + ".pem"), encoding="ascii") as f:
        return f.read()


def jks(entries, password):
    """A Java keystore (JKS, version 2) of trusted certificates: {alias: DER}."""
    body = struct.pack(">III", 0xFEEDFEED, 2, len(entries))
    for alias, der in entries.items():
        name = alias.encode()
        body += struct.pack(">IH", 2, len(name)) + name + struct.pack(">Q", 1700000000000)
        body += struct.pack(">H", 5) + b"X.509" + struct.pack(">I", len(der)) + der
    return body + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()


def write(directory, name, data):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.fixture
def shelf(openssl, tmp_path):
    """A directory with a certificate in every kind of file."""
    ssl, top = openssl, str(tmp_path / "shelf")
    pem = {n: selfsigned(ssl, n) for n in ("shelf-pem", "shelf-p12", "shelf-jks", "shelf-kube", "shelf-p7", "shelf-csv")}
    der = {n: ssl.der(n + ".pem", "x509") for n in pem}
    write(top, "a.pem", pem["shelf-pem"])
    ssl.run("pkcs12", "-export", "-in", "shelf-p12.pem", "-inkey", "shelf-p12.key", "-name", "web", "-passout", "pass:changeit",
            "-out", "shelf.p12")
    with open(ssl.file("shelf.p12"), "rb") as f:
        write(top, "keys/web.p12", f.read())
    write(top, "keys/trust.jks", jks({"old ca": der["shelf-jks"]}, "changeit"))
    write(top, "kube/config", "users:\n- user:\n    client-certificate-data: " + base64.b64encode(pem["shelf-kube"].encode()).decode() + "\n")
    ssl.run("crl2pkcs7", "-nocrl", "-certfile", "shelf-p7.pem", "-outform", "DER", "-out", "shelf.p7b")
    with open(ssl.file("shelf.p7b"), "rb") as f:
        write(top, "b.p7b", f.read())
    write(top, "list.csv", "Host,Certificate\ngw-1,\"" + pem["shelf-csv"] + "\"\n")
    write(top, "notes.txt", "nothing to see here")
    write(top, "program", b"\x7fELF\0" + pem["shelf-pem"].encode())
    write(str(tmp_path), "password", "changeit\n")
    return top


def test_import_says_what_each_file_had(house, shelf, tmp_path):
    done = house.cli("cert", "import", shelf, "--password-file", str(tmp_path / "password"), "-o", "json")
    files = {os.path.relpath(f["file"], shelf): f for f in json.loads(done.stdout)["files"]}
    formats = {name: f["format"] for name, f in files.items()}
    assert formats == {"a.pem": "pem", "keys/web.p12": "pkcs12", "keys/trust.jks": "jks", "kube/config": "yaml", "b.p7b": "pkcs7",
                       "list.csv": "csv"}
    assert all(f["created"] == 1 and f["failed"] == 0 for f in files.values())
    assert files["keys/web.p12"]["keys"] == 1
    again = json.loads(house.cli("cert", "import", shelf, "--password-file", str(tmp_path / "password"), "-o", "json").stdout)
    assert again["created"] == 0 and again["known"] == 6
    rows = house.cli_json("cert", "list", "--cn", "shelf-p12")
    assert len(rows) == 1 and rows[0]["source"] == "imported"


def test_import_refuses_with_a_reason(house, tmp_path, openssl):
    selfsigned(openssl, "locked")
    openssl.run("pkcs12", "-export", "-in", "locked.pem", "-inkey", "locked.key", "-passout", "pass:other", "-out", "locked.p12")
    done = house.cli("cert", "import", openssl.file("locked.p12"), ok=False)
    assert "password" in done.stderr
    write(str(tmp_path), "pw", "wrong\n")
    done = house.cli("cert", "import", openssl.file("locked.p12"), "--password-file", str(tmp_path / "pw"), ok=False)
    assert "does not fit" in done.stderr
    store = str(tmp_path / "store.jks")
    with open(store, "wb") as f:
        f.write(jks({"a": openssl.der("locked.pem", "x509")}, "changeit"))
    assert "not verified" in house.cli("cert", "import", store).stderr
    done = house.cli("cert", "import", store, "--password-file", str(tmp_path / "pw"), ok=False)
    assert "verified" not in done.stderr and done.stderr
    done = house.cli("cert", "import", store, "--password-file", write(str(tmp_path), "right", "changeit\n"))
    assert "verified" not in done.stderr
    done = house.cli("cert", "import", store, "--password-file", write(str(tmp_path), "long", "x" * 2000), ok=False)
    assert "no certificate in it" in house.cli("cert", "import", openssl.file("locked.key")).stderr
    assert "long: a password has at most 1024 octets" in done.stderr
    broken = write(str(tmp_path), "broken.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    done = house.cli("cert", "import", broken, ok=False)
    assert "certificate 1" in done.stderr
    done = house.cli("cert", "import", write(str(tmp_path), "text", "hello"), ok=False)
    assert "no certificate" in done.stderr
    reply = house.api("POST", "/certificates/import", {"content": base64.b64encode(b"hello").decode()})
    assert reply.status == 400


def test_discover_files_finds_changes(house, shelf, tmp_path, openssl):
    password = str(tmp_path / "password")
    find = ("discover", "files", shelf, "--host", "shelf-1", "--password-file", password)
    first = house.cli_json(*find)
    assert first["status"] == "done" and first["new_places"] == 6 and first["answered"] == 6
    second = house.cli_json(*find)
    assert second["same"] == 6 and second["new_places"] == second["changed"] == second["gone"] == 0
    selfsigned(openssl, "shelf-new")
    os.replace(openssl.file("shelf-new.pem"), os.path.join(shelf, "a.pem"))
    os.unlink(os.path.join(shelf, "b.p7b"))
    # What is locked or left out now is not gone for that.
    third = house.cli_json("discover", "files", shelf, "--host", "shelf-1", "--exclude", "*/kube/*")
    assert (third["changed"], third["gone"], third["new_places"]) == (1, 1, 0)
    changes = {c["change"]: c for c in house.cli_json("discover", "diff", third["id"])}
    assert set(changes) == {"changed", "gone"}
    assert changes["changed"]["was"]["subject"] == "CN=shelf-pem" and changes["changed"]["now"]["subject"] == "CN=shelf-new"
    assert changes["gone"]["place"] == f"file:shelf-1{os.path.realpath(shelf)}/b.p7b"
    assert house.cli_json("discover", "diff", first["id"], second["id"]) == []
    between = house.cli_json("discover", "diff", second["id"], third["id"])
    assert sorted(c["change"] for c in between) == ["changed", "gone"]
    listed = house.cli_json("discover", "list")
    assert [r["id"] for r in listed[:3]] == [third["id"], second["id"], first["id"]]
    serial = changes["changed"]["now"]["serial"]
    assert house.api("GET", "/places?certificate=" + serial).json["items"][0]["before"][0]["fingerprint"]
    events = house.api("GET", "/register/events?type=place.changed&limit=1000").json["items"]
    assert any(e["body"].get("run") == third["id"] and e["body"]["change"] == "gone" for e in events)


def test_an_agent_reports_to_a_house_elsewhere(house, shelf, tmp_path):
    token = write(str(tmp_path), "token", house.admin_token)
    server = ("--server", house.url, "--token-file", token)
    done = house.cli("discover", "files", shelf, "--host", "shelf-2", *server, "--ca", house.ca_bundle, "-o", "json")
    assert json.loads(done.stdout)["new_places"] == 5  # web.p12 needs a password
    done = house.cli("discover", "files", shelf, "--host", "shelf-2", *server, ok=False)
    assert "--ca" in done.stderr
    write(str(tmp_path), "token", "x.y")
    done = house.cli("discover", "files", shelf, "--host", "shelf-2", *server, "--ca", house.ca_bundle, ok=False)
    assert "401" in done.stderr


def test_reports_are_bounded_and_told(house, openssl):
    selfsigned(openssl, "reported")
    der = openssl.der("reported.pem", "x509")
    good = {"place": "agent:host-9/tpm", "chain": [base64.b64encode(der).decode()], "details": {"slot": "9a"}}
    lines = [json.dumps(good), "nonsense", json.dumps({"place": "no scheme"}), json.dumps({"place": "agent:host-9/x", "chain": ["!"]}),
             json.dumps({"place": "agent:host-9/y", "chain": ["AAAA"]})]
    reply = house.api("POST", "/sightings", "\n".join(lines), content_type="application/x-ndjson")
    assert reply.status == 200, reply
    taken = reply.json
    assert (taken["added"], taken["refused"], taken["new_places"], taken["unread"]) == (1, 1, 2, 3)
    assert [w["line"] for w in taken["why"]] == [2, 3, 4]
    again = house.api("POST", "/sightings", json.dumps(good), content_type="application/x-ndjson").json
    assert again["known"] == again["same"] == 1 and again["added"] == again["new_places"] == 0
    places = house.api("GET", "/places?host=agent:host-9").json["items"]
    refused = [p for p in places if p["place"].endswith("/y")][0]
    assert refused["serial"] == "" and refused["refused"]
    gone = house.api("POST", "/sightings", json.dumps({"place": "agent:host-9/tpm", "chain": []}), content_type="application/x-ndjson").json
    assert gone["gone"] == 1
    run = house.api("POST", "/discovery/runs", {"via": "agent", "spec": {"host": "host-9"}}).json
    assert house.api("POST", "/sightings?run=" + run["id"], json.dumps(good), content_type="application/x-ndjson").json["changed"] == 1
    assert house.api("POST", f"/discovery/runs/{run['id']}/end", {"total": 1, "done": 1}).json["changed"] == 1
    assert house.api("POST", "/sightings?run=" + run["id"], json.dumps(good), content_type="application/x-ndjson").status == 409


def test_places_of_a_certificate_come_page_by_page(house, openssl):
    selfsigned(openssl, "everywhere")
    chain = [base64.b64encode(openssl.der("everywhere.pem", "x509")).decode()]
    names = {f"agent:host-{i}/everywhere" for i in range(7)}
    body = "\n".join(json.dumps({"place": n, "chain": chain}) for n in names)
    assert house.api("POST", "/sightings", body, content_type="application/x-ndjson").json["new_places"] == 7
    serial = house.api("GET", "/places?host=agent:host-0").json["items"][0]["serial"]
    met, after = [], ""
    while after is not None:
        page = house.api("GET", f"/places?certificate={serial}&limit=3&after={after}").json
        met += [p["place"] for p in page["items"]]
        after = page.get("next")
    assert sorted(met) == sorted(names)


def test_whose_hand_it_is_from(house, factory):
    """The factory's anchors are a trust set: what its CA issued is a vendor's."""
    pem, _ = factory.idevid("CLASS-1")
    house.cli("cert", "import", pem)
    events = house.api("GET", "/register/events?type=certificate.imported&limit=1000").json["items"]
    mine = [e["body"] for e in events if "CLASS-1" in e["body"]["subject"]]
    assert mine and mine[-1]["issuer_class"] == "vendor"
    assert house.api("GET", "/certificates/" + mine[-1]["id"]).json["issuer_class"] == "vendor"


def test_whose_hand_it_is_from__a_ca_that_comes_later(house, openssl):
    """What was nobody's when it came in is a vendor's once somebody has named its root, also over an issuer that came behind it."""
    for name, ext in (("late-root", "CA:TRUE"), ("late-middle", "CA:TRUE"), ("late-leaf", "CA:FALSE")):
        openssl.key(name)
        with open(openssl.file(name + ".ext"), "w", encoding="ascii") as f:
            f.write(f"basicConstraints=critical,{ext}\n")
        by = {"late-root": None, "late-middle": "late-root", "late-leaf": "late-middle"}[name]
        openssl.run("req", "-new", "-key", name + ".key", "-subj", "/CN=" + name, "-out", name + ".csr")
        signer = ("-signkey", name + ".key") if by is None else ("-CA", by + ".pem", "-CAkey", by + ".key")
        openssl.run("x509", "-req", "-in", name + ".csr", *signer, "-days", "90", "-extfile", name + ".ext", "-out", name + ".pem")

    def bring(name):
        with open(openssl.file(name + ".pem"), "rb") as f:
            return house.api("POST", "/certificates/import", f.read(), content_type="application/x-pem-file").json["items"][0]["serial"]

    leaf = bring("late-leaf")
    bring("late-middle")
    assert house.api("GET", "/certificates/" + leaf).json["issuer_class"] == "unknown"
    with open(openssl.file("late-root.pem"), encoding="ascii") as f:
        trust = {"kind": "TrustSet", "name": "late-root", "anchors": [f.read()]}
    assert house.api("PUT", "/resources/trust-sets/late-root", trust).status == 201
    try:
        assert house.api("GET", "/certificates/" + leaf).json["issuer_class"] == "vendor"
        listed = house.api("GET", "/certificates?query=cn:late-leaf").json["items"] + house.api("GET", "/certificates?cn=late-leaf").json["items"]
        assert [c["issuer_class"] for c in listed] == ["vendor", "vendor"]
    finally:
        house.api("DELETE", "/resources/trust-sets/late-root")
