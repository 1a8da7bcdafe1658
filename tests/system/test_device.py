"""The registry of devices from the command line, and what a profile makes of it."""
import json


def test_register_show_retire(house):
    house.cli("device", "register", "DEV-1", "--model", "TX-9", "--vendor", "Example", "--place", "Plant 2")
    got = house.cli_json("device", "show", "DEV-1")
    assert "TX-9" in json.dumps(got) and "Plant 2" in json.dumps(got)
    assert house.cli("device", "register", "DEV-1", ok=None).returncode in (0, 1)
    house.cli("device", "state", "DEV-1", "operating", "--why", "commissioned")
    assert "operating" in house.cli("device", "show", "DEV-1").stdout
    house.cli("device", "retire", "DEV-1", "--why", "scrapped")
    assert "retired" in house.cli("device", "show", "DEV-1").stdout


def test_show__unknown(house):
    assert house.cli("device", "show", "DEV-none", ok=False).returncode == 1


def test_import__bad_rows_by_line_and_again(house, tmp_path):
    path = tmp_path / "devices.csv"
    rows = [f"IMP-{i},M,V" for i in range(500)]
    rows.insert(250, ",M,V")
    path.write_text("id,model,vendor\n" + "\n".join(rows) + "\n")
    done = house.cli("device", "import", str(path), ok=False)
    assert done.returncode == 1 and "devices.csv:252" in done.stderr
    assert house.cli("device", "show", "IMP-0").returncode == 0
    assert house.cli("device", "show", "IMP-499").returncode == 0
    rows[250] = "IMP-500,M,V"
    path.write_text("id,model,vendor\n" + "\n".join(rows) + "\n")
    house.cli("device", "import", str(path))
    assert house.cli("device", "show", "IMP-500").returncode == 0


def test_enrolled__stands_in_the_registry(house, openssl, factory):
    birth, key = factory.idevid("SN-registry")
    csr = openssl.csr("dev", "/CN=SN-registry")
    body = openssl.run("base64", data=openssl.der(csr)).stdout
    reply = house.request("POST", "/.well-known/est/devices/simpleenroll", body, {"Content-Type": "application/pkcs10"}, birth, key)
    assert reply.status == 200, reply
    assert "SN-registry" in house.cli("device", "show", "SN-registry").stdout
    assert "SN-registry" in house.cli("cert", "list", "--device", "SN-registry").stdout
