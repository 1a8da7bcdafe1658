"""The revocation filter from outside: made, published, fetched, verified and asked."""
import json
import time

import pytest

SETTLED = 6  # seconds after which a certificate is covered: a filter leaves out what may still be on its way into the store


def issue(house, openssl, name, profile="server-internal-1y"):
    csr = openssl.csr(name, f"/CN={name}.example.org", f"DNS:{name}.example.org")
    path = openssl.file(name + ".pem")
    house.cli("cert", "issue", "--profile", profile, "--csr", csr, "--out", path)
    return path, openssl.text("x509", "-in", path, "-noout", "-serial").strip().split("=")[1]


def save(house, openssl, path):
    reply = house.plain(path)
    assert reply.status == 200, reply
    name = openssl.file(path.rsplit("/", 1)[1])
    with open(name, "wb") as f:
        f.write(reply.body)
    return name


def ask(house, ca, full, *certs, delta=None):
    with_delta = ["--delta", delta] if delta else []
    rows = house.cli_json("filter", "query", full, "--ca", ca, *with_delta, *certs)
    rows = rows["items"] if isinstance(rows, dict) else rows
    return [row["status"] for row in rows]


@pytest.fixture
def ca(house, openssl):
    path = openssl.file("ca.pem")
    with open(path, "w", encoding="ascii") as f:
        f.write(house.cli("ca", "export", "issuing-ca").stdout)
    return path


def test_filter__one_life(house, openssl, ca):
    good, _ = issue(house, openssl, "filter-good")
    bad, bad_serial = issue(house, openssl, "filter-bad")
    held, held_serial = issue(house, openssl, "filter-held")
    later, later_serial = issue(house, openssl, "filter-later")
    house.cli("cert", "revoke", bad_serial, "--reason", "keyCompromise")
    house.cli("cert", "revoke", held_serial, "--reason", "certificateHold")
    time.sleep(SETTLED)
    made = house.cli_json("filter", "build", "issuing-ca")
    assert made["full"]["revoked"] >= 2 and made["full"]["octets"] > made["full"]["bound"] > 0
    full = save(house, openssl, "/filter/issuing-ca.tmf")
    assert ask(house, ca, full, good, bad, held, later, bad_serial) == ["good", "revoked", "revoked", "good", "revoked"]
    info = house.cli_json("filter", "info", full)
    assert info["name"] == "issuing-ca" and info["kind"] == "full" and info["digest"] == made["full"]["digest"]

    # What has changed since comes with the delta; what is issued after it is said to be not covered.
    house.cli("cert", "revoke", later_serial, "--reason", "superseded")
    house.cli("cert", "release", held_serial)
    young, _ = issue(house, openssl, "filter-young")
    assert ask(house, ca, full, young) == ["not-covered"]
    house.cli("filter", "delta", "issuing-ca")
    delta = save(house, openssl, "/filter/issuing-ca.delta.tmf")
    assert ask(house, ca, full, good, bad, held, later, delta=delta) == ["good", "revoked", "good", "revoked"]
    assert ask(house, ca, full, held, later) == ["revoked", "good"], "the full filter stays what it was"

    # A delta goes with its own base only.
    house.cli("filter", "build", "issuing-ca")
    newer = save(house, openssl, "/filter/issuing-ca.tmf")
    done = house.cli("filter", "query", newer, "--ca", ca, "--delta", delta, good, ok=False)
    assert done.returncode == 1 and "another full filter" in done.stderr
    assert ask(house, ca, newer, good, bad, held, later) == ["good", "revoked", "good", "revoked"]

    # One octet changed, or the wrong authority: no answer.
    with open(newer, "rb") as f:
        octets = bytearray(f.read())
    octets[60] ^= 1
    forged = openssl.file("forged.tmf")
    with open(forged, "wb") as f:
        f.write(octets)
    done = house.cli("filter", "query", forged, "--ca", ca, good, ok=False)
    assert done.returncode == 1 and "signature" in done.stderr
    other = openssl.file("other.pem")
    with open(other, "w", encoding="ascii") as f:
        f.write(house.cli("ca", "export", "device-ca").stdout)
    done = house.cli("filter", "query", newer, "--ca", other, bad_serial, ok=False)
    assert done.returncode == 1 and "about no authority" in done.stderr

    # Caches are told apart by the ETag.
    reply = house.plain("/filter/issuing-ca.tmf")
    assert reply.headers["Content-Type"] == "application/vnd.touchmark.filter"
    again = house.plain("/filter/issuing-ca.tmf", headers={"If-None-Match": reply.headers["ETag"]})
    assert again.status == 304
    assert house.plain("/filter/nobody.tmf").status == 404
    assert house.plain("/filter/issuing-ca").status == 404


def test_filter__scheduled_by_a_resource(house, openssl, tmp_path):
    doc = {"kind": "Filter", "name": "all-ours", "authorities": ["issuing-ca", "device-ca"], "every": "1d", "delta-every": "1h"}
    sheet = tmp_path / "filter.json"
    sheet.write_text(json.dumps(doc))
    house.cli("apply", "-f", str(sheet))
    made = house.cli_json("filter", "build", "all-ours")
    assert made["scheduled"] and made["authorities"] == ["issuing-ca", "device-ca"]
    assert len(house.cli_json("filter", "info", save(house, openssl, "/filter/all-ours.tmf"))["issuers"]) == 2
    assert [f["name"] for f in house.api("GET", "/filters").json["items"]] == ["all-ours"]
    events = house.api("GET", "/register/events?type=filter.").json["items"]
    assert any(e["subject"] == "filter/all-ours" for e in events)
    house.cli("delete", "filter", "all-ours")


def test_filter__refusals(house):
    assert house.api("POST", "/filters/nobody/build").status == 404
    assert house.api("POST", "/filters/issuing-ca/build?kind=half").status == 422
    done = house.cli("filter", "delta", "device-ca", ok=False)
    assert done.returncode == 1 and "touchmark filter build device-ca" in done.stderr
    bad = {"kind": "Filter", "name": "twice", "authorities": ["issuing-ca", "issuing-ca"]}
    assert house.api("PUT", "/resources/filters/twice", bad).status == 422
