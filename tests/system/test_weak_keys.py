"""Lists of keys known to be bad, as a home reads them at its start."""
import base64
import hashlib
import os

from conftest import House

EST = "/.well-known/est"


def enroll(house, openssl, factory, name, key):
    birth, birth_key = factory.idevid(name)
    body = base64.b64encode(openssl.der(openssl.csr(name, f"/serialNumber={name}", key=key)))
    return house.request("POST", EST + "/devices/simpleenroll", body, {"Content-Type": "application/pkcs10"}, birth, birth_key)


def test_weak_keys(tmp_path, openssl, factory):
    house = House(tmp_path / "home", factory.anchors)
    profile = house.cli_json("get", "profiles", "device-ldevid-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document["key"] = {**document.get("key", {}), "algorithms": ["ec-p256", "rsa-2048"]}
    openssl.run("genrsa", "-out", "weak-rsa.key", "2048")
    rsa, ec = openssl.file("weak-rsa.key"), openssl.key("weak-ec")
    # As the lists of Debian's weak keys are made: the end of the SHA-1 of what `openssl rsa -modulus` prints.
    modulus = openssl.text("rsa", "-in", rsa, "-noout", "-modulus")
    spki = openssl.run("pkey", "-in", ec, "-pubout", "-outform", "DER").stdout
    os.mkdir(tmp_path / "home" / "weak-keys")
    with open(tmp_path / "home" / "weak-keys" / "le64-2048", "w", encoding="ascii") as f:
        f.write("# of 2008\n" + hashlib.sha1(modulus.encode()).hexdigest()[20:] + "\n")
    with open(tmp_path / "home" / "weak-keys" / "compromised", "w", encoding="ascii") as f:
        f.write(hashlib.sha256(spki).hexdigest() + "\n")
    house.start()
    try:
        assert house.api("PUT", "/resources/profiles/device-ldevid-1y", document).status in (200, 201)
        for name, key in (("WEAK-RSA", rsa), ("WEAK-EC", ec)):
            reply = enroll(house, openssl, factory, name, key)
            assert reply.status == 403 and reply.body.startswith(b"key.blocklisted: "), reply
        assert enroll(house, openssl, factory, "STRONG", openssl.key("strong")).status == 200
    finally:
        house.stop()
    with open(tmp_path / "home" / "weak-keys" / "broken", "w", encoding="ascii") as f:
        f.write("<html>not found</html>\n")
    assert "broken" in house.cli("cert", "list", ok=False).stderr
    os.unlink(tmp_path / "home" / "weak-keys" / "broken")
    with open(tmp_path / "home" / "touchmark.yaml", "a", encoding="ascii") as f:
        f.write(f"weak-keys: {tmp_path}/nowhere\n")
    assert "nowhere" in house.cli("cert", "list", ok=False).stderr


def test_a_backup_takes_the_lists_along(tmp_path, openssl, factory):
    house = House(tmp_path / "home", factory.anchors)
    lost = openssl.key("lost-ec")
    os.mkdir(tmp_path / "home" / "weak-keys")
    with open(tmp_path / "home" / "weak-keys" / "lost", "w", encoding="ascii") as f:
        f.write(hashlib.sha256(openssl.run("pkey", "-in", lost, "-pubout", "-outform", "DER").stdout).hexdigest() + "\n")
    csr = openssl.csr("lost", "/CN=lost.example.org", "DNS:lost.example.org", key=lost)
    house.cli("backup", str(tmp_path / "backup"))
    passphrase = os.path.join(house.home, "passphrase")
    house.home = str(tmp_path / "restored")
    house.cli("restore", str(tmp_path / "backup"), "--passphrase-file", passphrase)
    refused = house.cli("profile", "test", "--profile", "server-internal-1y", "--csr", csr, ok=False)
    assert "key.blocklisted" in refused.stdout
