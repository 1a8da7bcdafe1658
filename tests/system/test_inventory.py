"""Questions about all certificates: the language, in the API and on the command line, counts, exports and views."""
import csv
import io
import json

import pytest


@pytest.fixture(scope="module")
def stock(house, tmp_path_factory):
    """Certificates of two profiles and keys, one of a device, one revoked, one on hold, one that others issued."""
    from conftest import Openssl

    ssl = Openssl(tmp_path_factory.mktemp("inventory"))
    assert house.api("PUT", "/devices/INV-DEV-1", {"owner": "facilities", "place": "vienna"}).status in (200, 201)
    made = {}
    for name, alg, more in (("inv-a", "EC", {}), ("inv-b", "RSA", {}), ("inv-c", "EC", {"device": "INV-DEV-1"}), ("inv-d", "EC", {}),
                            ("inv-e", "EC", {})):
        dns = name + ".inventory.example"
        with open(ssl.csr(name, "/CN=" + dns, "DNS:" + dns, alg=alg), encoding="ascii") as f:
            reply = house.api("POST", "/enroll", {"csr": f.read(), "profile": "server-internal-1y", **more})
        assert reply.status == 201, reply
        made[name] = reply.json["serial"]
    assert house.api("POST", f"/certificates/{made['inv-d']}/revoke", {"reason": "keyCompromise"}).status == 200
    assert house.api("POST", f"/certificates/{made['inv-e']}/revoke", {"reason": "certificateHold"}).status == 200
    # Names that would be formulas, markup or turned text in what opens an export.
    ssl.run("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", ssl.file("evil.key"), "-out", ssl.file("evil.pem"), "-days", "5000",
            "-utf8", "-subj", "/CN==HYPERLINK(1)\u202egnp.exe/O=<script>", "-addext", "subjectAltName=DNS:evil.inventory.example")
    with open(ssl.file("evil.pem"), "rb") as f:
        reply = house.api("POST", "/certificates/import", f.read(), content_type="application/x-pem-file")
    assert reply.status == 200 and reply.json["created"] == 1, reply
    made["evil"] = reply.json["items"][0]["serial"]
    return made


def ask(house, query, **more):
    from urllib.parse import urlencode

    reply = house.api("GET", "/certificates?" + urlencode({"query": query, "limit": 1000, **more}))
    assert reply.status == 200, reply
    return [x["serial"] for x in reply.json["items"]]


@pytest.mark.parametrize("query,names", [
    ("dns:*.inventory.example", "inv-a inv-b inv-c inv-d inv-e evil"),
    ("dns:inv-a.inventory.example", "inv-a"),
    ("inv-a.inventory.example", "inv-a"),
    ("DNS:INV-A.INVENTORY.EXAMPLE OR dns:inv-b.inventory.example", "inv-a inv-b"),
    ("dns:*.inventory.example status:valid", "inv-a inv-b inv-c evil"),
    ("dns:*.inventory.example status:revoked", "inv-d inv-e"),
    ("dns:*.inventory.example status:on-hold", "inv-e"),
    ("dns:*.inventory.example -status:revoked key:rsa", "inv-b evil"),
    ("key:rsa1024 class:self-signed", "evil"),
    ("key:rsa-1024 source:imported", "evil"),
    ("dns:*.inventory.example key:ec -(status:revoked OR device:*)", "inv-a"),
    ("device:INV-DEV-1", "inv-c"),
    ("dns:*.inventory.example expires<2y", "inv-a inv-b inv-c inv-d inv-e"),
    ("dns:*.inventory.example expires>2y", "evil"),
    ("dns:*.inventory.example issued<1d lifetime:1y", "inv-a inv-b inv-c inv-d inv-e"),
    ("dns:*.inventory.example lifetime>398d", "evil"),
    ("profile:server-internal-1y dns:inv-*.inventory.example status:valid", "inv-a inv-b inv-c"),
    ("issuer:issuing-ca dns:inv-b*", "inv-b"),
    ("issuer:<script> key:rsa1024", "evil"),
    ("dns:*.inventory.example expires<1h", ""),
])
def test_query(house, stock, query, names):
    """Of this file's certificates; other tests have their own in the same house."""
    own = set(stock.values())
    assert sorted(own.intersection(ask(house, query))) == sorted(stock[n] for n in names.split())
    assert len(own.intersection(ask(house, query, sort="expires"))) == len(names.split())


def test_query__serials(house, stock):
    assert ask(house, "serial:" + stock["inv-a"]) == [stock["inv-a"]]
    assert ask(house, stock["inv-a"].upper()) == [stock["inv-a"]]


def test_query__pages(house, stock):
    from urllib.parse import quote

    for sort in ("newest", "oldest", "expires"):
        seen, after = [], ""
        while True:
            reply = house.api("GET", f"/certificates?sort={sort}&limit=2&query={quote('dns:*.inventory.example')}{after}")
            assert reply.status == 200, reply
            seen += [x["serial"] for x in reply.json["items"]]
            if "next" not in reply.json:
                break
            after = "&after=" + reply.json["next"]
        assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize("query,said", [
    ("ownr:me", "no such field"),
    ("expires<soon", "a time is"),
    ("status:fine", "a status is"),
    ("(status:valid", "no end"),
    ("status:valid)", "no beginning"),
    ("\"status", "no end"),
    ("profile<x", "only times are compared"),
    ("status: valid", "value is missing"),
    ("'; DROP TABLE cert; --", ""),
    pytest.param("a" * 5000, "at most 4096", id="long"),
    pytest.param("(" * 40, "too many parentheses", id="deep"),
    pytest.param("*a" * 2000, "", id="stars"),
])
def test_query__refused_with_its_place(house, stock, query, said):
    from urllib.parse import quote

    reply = house.api("GET", "/certificates?query=" + quote(query))
    if not said:
        assert reply.status == 200 and reply.json["items"] == []
        return
    assert reply.status == 422 and said in reply.json["detail"], reply


def test_query__stands_alone(house):
    reply = house.api("GET", "/certificates?query=status:valid&profile=x")
    assert reply.status == 422 and "query" in reply.json["detail"]


def test_counts(house, stock):
    from urllib.parse import quote

    names = quote("dns:*.inventory.example")
    def count(by):
        reply = house.api("GET", f"/inventory/counts?by={by}&query={names}")
        assert reply.status == 200 and reply.json["complete"] and reply.json["count"] == 6, reply
        assert sum(x["count"] for x in reply.json["items"]) == 6
        return {x["value"]: x["count"] for x in reply.json["items"]}

    assert count("status") == {"valid": 4, "revoked": 1, "on-hold": 1}
    assert count("key")["rsa1024"] == 1 and count("key")["p256"] == 4
    assert count("class") == {"own": 5, "self-signed": 1}
    assert count("source") == {"issued": 5, "imported": 1}
    assert count("profile")["server-internal-1y"] == 5
    for by in ("authority", "signature", "lifetime", "expires-day", "expires-week", "expires-month", "issued-day"):
        assert count(by)
    assert house.api("GET", "/inventory/counts?by=colour").status == 422
    assert house.api("GET", "/inventory/counts").json["items"] == []


def test_counts__follow_what_happens(house, stock):
    before = house.api("GET", "/inventory/counts?query=status:on-hold").json["count"]
    assert house.api("POST", f"/certificates/{stock['inv-a']}/revoke", {"reason": "certificateHold"}).status == 200
    assert house.api("GET", "/inventory/counts?query=status:on-hold").json["count"] == before + 1
    assert house.api("POST", f"/certificates/{stock['inv-a']}/release", {}).status == 200
    assert house.api("GET", "/inventory/counts?query=status:on-hold").json["count"] == before


def test_export(house, stock):
    from urllib.parse import quote

    names = quote("dns:*.inventory.example")
    reply = house.api("GET", f"/certificates/export?form=csv&query={names}")
    assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/csv")
    text = reply.body.decode()
    assert "\u202e" not in text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {r["serial"] for r in rows} == set(stock.values())
    evil = next(r for r in rows if r["serial"] == stock["evil"])
    for row in rows:
        assert not any(cell[:1] in "=+-@\t\r" and cell for cell in row.values())
    assert "\\u{202e}" in evil["subject"] and evil["key"] == "rsa1024" and evil["self_signed"] == "true"
    taken = next(r for r in rows if r["serial"] == stock["inv-d"])
    assert taken["status"] == "revoked" and taken["reason"] == "keyCompromise" and taken["revoked_at"] >= taken["issued_at"]
    lines = house.api("GET", f"/certificates/export?query={names}").body.decode().splitlines()
    assert {json.loads(line)["serial"] for line in lines} == set(stock.values())


def test_export__many_names(house, openssl):
    """What a cell leaves out it says."""
    names = ",".join(f"DNS:n{i}.many.example" for i in range(70))
    openssl.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "many.key", "-out", "many.pem", "-subj", "/CN=many",
                "-addext", "subjectAltName=" + names)
    with open(openssl.file("many.pem"), "rb") as f:
        assert house.api("POST", "/certificates/import", f.read(), content_type="application/x-pem-file").json["created"] == 1
    rows = list(csv.DictReader(io.StringIO(house.cli("cert", "export", "dns:n69.many.example").stdout)))
    assert len(rows) == 1 and "n63.many" in rows[0]["names"] and rows[0]["names"].endswith("(and 6 more)")


def test_views(house, stock):
    doc = {"query": "dns:*.inventory.example status:valid", "sort": "expires", "title": "mine"}
    assert house.api("PUT", "/inventory/views/mine", doc).status == 201
    assert house.api("PUT", "/inventory/views/mine", doc).status == 200
    assert house.api("GET", "/inventory/views/mine").json["query"] == doc["query"]
    assert "mine" in [v["name"] for v in house.api("GET", "/inventory/views").json["items"]]
    assert house.api("PUT", "/inventory/views/bad", {"query": "expires<x"}).status == 422
    assert house.api("DELETE", "/inventory/views/mine").status == 204
    assert house.api("GET", "/inventory/views/mine").status == 404


def test_command_line(house, stock):
    out = house.cli("cert", "list", "key:rsa1024", "class:self-signed").stdout
    assert stock["evil"] in out and stock["inv-a"] not in out
    assert house.cli("cert", "count", "dns:*.inventory.example").stdout.strip() == "6"
    table = house.cli("cert", "count", "--by", "key", "dns:*.inventory.example").stdout
    assert "rsa1024" in table
    rows = list(csv.DictReader(io.StringIO(house.cli("cert", "export", "dns:inv-*.inventory.example").stdout)))
    assert len(rows) == 5
    house.cli("view", "save", "weak", "--sort", "expires", "key:rsa1024")
    assert stock["evil"] in house.cli("view", "show", "weak").stdout
    assert "weak" in house.cli("view", "list").stdout
    house.cli("view", "delete", "weak")
    bad = house.cli("cert", "list", "expires<x", ok=False)
    assert bad.returncode == 1 and "a time is" in bad.stderr


def test_owners(house, stock):
    """By hand before rules, rules before the device; in questions as in what is shown of one."""
    dns = "dns:*.inventory.example "
    assert ask(house, dns + "owner:facilities") == [stock["inv-c"]]
    assert ask(house, dns + "place:VIENNA") == [stock["inv-c"]]
    rule = {"kind": "Ownership", "name": "inv-rsa", "match": "key:rsa dns:*.inventory.example", "owner": "crypto", "criticality": "high",
            "tags": ["legacy"]}
    assert house.api("PUT", "/resources/ownerships/inv-rsa", rule).status in (200, 201)
    all_of = {"kind": "Ownership", "name": "inv-all", "order": 200, "match": "dns:*.inventory.example", "owner": "it", "service": "web"}
    assert house.api("PUT", "/resources/ownerships/inv-all", all_of).status in (200, 201)
    said = lambda *names: sorted(stock[n] for n in names)
    assert sorted(ask(house, dns + "owner:crypto")) == said("inv-b", "evil")
    assert sorted(ask(house, dns + "owner:it")) == said("inv-a", "inv-c", "inv-d", "inv-e")
    assert ask(house, dns + "owner:facilities") == []
    assert sorted(ask(house, "tag:legacy criticality:high")) == said("inv-b", "evil")
    note = {"owner": "Facilities", "technical": "ann", "tags": ["pci"], "comment": "asked her"}
    reply = house.api("PUT", f"/certificates/{stock['inv-b']}/note", note)
    assert reply.status == 200, reply
    holds = {x["field"]: (x["value"], x["from"]) for x in reply.json["holds"]}
    assert holds == {"owner": ("Facilities", "note"), "technical": ("ann", "note"), "service": ("web", "rule/inv-all"),
                     "criticality": ("high", "rule/inv-rsa")}
    assert sorted(reply.json["tags"]) == ["legacy", "pci"]
    assert ask(house, "owner:facil*") == [stock["inv-b"]]
    assert ask(house, dns + "owner:crypto") == [stock["evil"]]
    assert ask(house, "technical:ann") == [stock["inv-b"]]
    assert ask(house, "tag:pci -tag:other") == [stock["inv-b"]]
    assert len(ask(house, dns + "owner:*")) == 6
    events = house.api("GET", f"/register/events?subject=certificate/{stock['inv-b']}&type=certificate.noted").json["items"]
    assert len(events) == 1
    shown = house.cli("cert", "note", stock["inv-b"], "--owner", "").stdout
    assert "crypto" in shown and "ann" in shown
    assert house.api("PUT", "/resources/ownerships/inv-bad", {**rule, "name": "inv-bad", "match": "ownr:x"}).status == 422
    assert house.api("PUT", "/resources/ownerships/inv-bad", {**rule, "name": "inv-bad", "match": "owner:x"}).status == 422
    for name in ("inv-rsa", "inv-all"):
        assert house.api("DELETE", "/resources/ownerships/" + name).status == 204


def test_owners__bounds(house, stock):
    """Each name that is asked for costs a look through all notes, each rule one through the certificates."""
    ask(house, "tag:" + ",".join(f"t{i}" for i in range(32)))
    reply = house.api("GET", "/certificates?query=" + "tag:" + ",".join(f"t{i}" for i in range(33)))
    assert reply.status == 422 and "32 times" in reply.json["detail"]
    rule = {"kind": "Ownership", "match": "class:ca"}
    made = []
    try:
        for i in range(65):
            name = f"full-{i}"
            reply = house.api("PUT", "/resources/ownerships/" + name, {**rule, "name": name, "owner": name})
            if reply.status != 201:
                break
            made.append(name)
        assert reply.status == 429 and "join some" in reply.json["detail"] and len(made) == 64
        assert house.api("PUT", "/resources/ownerships/full-0", {**rule, "name": "full-0", "owner": "x"}).status == 200
        assert ask(house, "owner:x")
    finally:
        for name in made:
            house.api("DELETE", "/resources/ownerships/" + name)
