"""A CMDB's list beside the inventory: what one knows and the other does not."""
import json


def test_gaps_both_ways(house, openssl):
    rows = "id,serial,owner,place,criticality\nGAP-1,,plant-2,Hall 4,high\nGAP-2,SER-2,plant-2,,\nGAP-3,,,,\nGAP-4,,,,low\n"
    reply = house.api("POST", "/devices/import", rows, content_type="text/csv")
    assert reply.json["created"] == 4 and reply.json["failures"] == 0
    assert house.cli_json("device", "show", "GAP-1")["tags"] == {"criticality": "high"}
    lines = json.dumps({"id": "GAP-5", "owner": "plant-3", "place": "Roof", "criticality": "medium", "tags": {"line": "7"}})
    house.api("POST", "/devices/import", lines, content_type="application/x-ndjson")
    assert house.cli_json("device", "show", "GAP-5")["tags"] == {"criticality": "medium", "line": "7"}
    with open(openssl.csr("gap-one", "/CN=gap-1.example.org", "DNS:gap-1.example.org"), encoding="ascii") as f:
        issued = house.api("POST", "/enroll", {"csr": f.read(), "profile": "server-internal-1y", "device": "GAP-1"})
    assert issued.status == 201, issued
    for name, subject, days in (("other", "/CN=SER-2", "30"), ("over", "/CN=GAP-3", "30"), ("stray", "/CN=stray.example/serialNumber=GAP-4", "30"),
                                ("lost", "/CN=lost-and-found", "30")):
        openssl.key(name)
        openssl.run("req", "-x509", "-new", "-key", name + ".key", "-subj", subject, "-days", days, "-addext", "basicConstraints=CA:FALSE",
                    "-out", name + ".pem", *(["-not_before", "20200101000000Z", "-not_after", "20200201000000Z"] if name == "over" else []))
        house.cli("cert", "import", openssl.file(name + ".pem"))
    gaps = {g["device"]: g for g in house.cli_json("device", "gaps") if g["device"].startswith("GAP-")}
    assert {d: g["why"] for d, g in gaps.items()} == {"GAP-3": "expired", "GAP-4": "never-had-one", "GAP-5": "never-had-one"}
    assert gaps["GAP-3"]["ended"].startswith("2020-02-01") and gaps["GAP-5"]["owner"] == "plant-3"
    subjects = {g["certificate"]["subject"] for g in house.cli_json("device", "gaps", "--certificates")}
    assert "CN=lost-and-found" in subjects
    assert not any(s.startswith(("CN=RA,", "CN=OCSP,")) for s in subjects)  # the house's own
    assert not any(s in subjects for s in ("CN=SER-2x", "CN=gap-1.example.org")) and not any("GAP-4" in s for s in subjects)
    house.api("POST", f"/certificates/{issued.json['serial']}/revoke", {"reason": "superseded"})
    gaps = {g["device"]: g["why"] for g in house.cli_json("device", "gaps")}
    assert gaps["GAP-1"] == "revoked"
    house.cli("device", "retire", "GAP-3")
    assert "GAP-3" not in {g["device"] for g in house.cli_json("device", "gaps")}
    assert house.api("GET", "/inventory/gaps?kind=nonsense").status == 422
    page = house.api("GET", "/inventory/gaps?kind=devices-without-certificate&limit=1").json
    assert len(page["items"]) <= 1 and page["next"]
