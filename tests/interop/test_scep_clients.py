"""SCEP with clients that others wrote: certmonger with its helper, and one made of npm's pkijs for what strongSwan's pki lacks (which is in
tests/system/test_scep.py): GetNextCACert, CertPoll, key transport by OAEP, BER."""
import base64
import json
import os
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from place import need, read

NPM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm")
APPROVED = {"kind": "Profile", "name": "scep-interop-approved", "authority": "device-ca", "lifetime": {"default": "30d"},
            "key": {"algorithms": ["rsa-2048+"]}, "subject": {"template": [{"attr": "CN", "value": "{csr.CN}"}], "required": ["CN"]},
            "usage": {"key-usage": ["digitalSignature"], "eku": ["clientAuth"]}, "approval": {"required": True}, "retention": {"level": "full"}}


@pytest.fixture(scope="module")
def approved(house):
    house.cli("apply", "-f", "-", data=json.dumps(APPROVED))
    house.cli("apply", "-f", "-", data=json.dumps({"kind": "Endpoint", "name": "scep-interop", "protocol": "scep", "profiles": ["scep-interop-approved"],
                                                   "authentication": {"certificate": True}}))


def challenge(house, cn, endpoint="scep"):
    return house.cli("token", "create", "--for", "scep", "--endpoint", endpoint, "--name", "CN=" + cn, "-q").stdout.strip()


def common_name(cert):
    return cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


# --- pkijs ---

@pytest.fixture
def pkijs(house):
    node = need("node")
    if not os.path.isdir(os.path.join(NPM, "node_modules", "pkijs")):
        pytest.skip("npm could not fetch pkijs (./setup tries again)")

    def run(do, endpoint="scep", **settings):
        done = subprocess.run([node, os.path.join(NPM, "scep.mjs")], text=True, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=NPM,
                              input=json.dumps({"do": do, "url": f"{house.plain_url}/scep/{endpoint}", **settings}))
        assert done.returncode == 0, done.stderr + house.log()
        result = json.loads(done.stdout)
        result["certificates"] = [x509.load_der_x509_certificate(base64.b64decode(c)) for c in result.get("certificates") or []]
        return result

    return run


def good(result, status="success"):
    assert (result["http"], result["status"]) == (200, status), result
    assert result["verified"] and result["transaction"] and result["nonce"], result
    return result


@pytest.mark.parametrize("how", [{"oaep": "SHA-1"}, {"oaep": "SHA-512", "ber": True}])
def test_pkijs(house, pkijs, how):
    """Enroll by OAEP, in DER or in BER; renew, and fetch what is there."""
    cn = "pkijs-" + how["oaep"].lower() + ("-ber" if how.get("ber") else "")
    first = good(pkijs("enroll", name=cn, challenge=challenge(house, cn), **how))
    assert common_name(first["certificates"][0]) == cn
    assert first["transport"] == "1.2.840.113549.1.1.7", "who asks by OAEP is answered by OAEP"
    second = good(pkijs("enroll", name=cn, renew=first["state"], **how))
    assert second["certificates"][0].serial_number != first["certificates"][0].serial_number
    # Its own key is another one than that which the answer was for.
    got = pkijs("get-crl", fetch=first["state"], **how)
    assert good(got)["revoked"] is not None


def test_pkijs__refused(house, pkijs):
    refused = pkijs("enroll", name="pkijs-refused", challenge="nonsense")
    assert (refused["status"], refused["failInfo"], refused["verified"]) == ("failure", "2", True) and "scep.challenge" in refused["text"]


def test_pkijs__poll(house, pkijs, approved):
    cn = "pkijs-waits"
    before = {r["id"] for r in house.cli_json("request", "list", "--status", "pending")}
    first = good(pkijs("enroll", "scep-interop", name=cn, challenge=challenge(house, cn, "scep-interop")), "pending")
    assert good(pkijs("poll", "scep-interop", poll=first["state"], ber=True), "pending")
    [mine] = {r["id"] for r in house.cli_json("request", "list", "--status", "pending")} - before
    house.cli("request", "approve", mine)
    [cert, *_] = good(pkijs("poll", "scep-interop", poll=first["state"]))["certificates"]
    assert common_name(cert) == cn
    state = {**first["state"], "cert": base64.b64encode(cert.public_bytes(serialization.Encoding.DER)).decode()}
    assert good(pkijs("get-cert", "scep-interop", fetch=state))["certificates"][0] == cert


def test_pkijs__next_ca(house, pkijs):
    assert pkijs("next")["http"] == 404
    doc = house.cli_json("get", "authorities", "device-ca")
    house.cli("apply", "-f", "-", data=json.dumps({**doc, "successor": "issuing-ca"}))
    try:
        shown = pkijs("next")
        assert (shown["http"], shown["type"], shown["verified"]) == (200, "application/x-x509-next-ca-cert", True)
        assert any("Issuing CA" in s for s in shown["subjects"])
    finally:
        doc = house.cli_json("get", "authorities", "device-ca")
        doc.pop("successor", None)
        house.cli("apply", "-f", "-", data=json.dumps(doc))


# --- certmonger ---

HELPER = "/usr/lib/certmonger/scep-submit"


@pytest.fixture
def helper(house):
    if not os.path.exists(HELPER):
        pytest.skip("certmonger is not installed")

    def run(what, text=False):
        done = subprocess.run([HELPER, "-u", house.plain_url + "/scep/scep", what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_certmonger__helper(helper):
    """What the helper asks for before anything is enrolled: it sorts the certificates by what they are."""
    end = b"-----END CERTIFICATE-----\n"
    ra, root, ca = [x509.load_pem_x509_certificate(pem + end) for pem in helper("-C").split(end)[:-1]]
    assert ra.issuer == ca.subject and ca.issuer == root.subject == root.issuer
    assert {"AES", "Renewal", "SHA-256"} <= set(helper("-c", text=True).split())


def test_certmonger(house, helper, tmp_path):
    """The daemon, without a bus: a first certificate, and the next ones by the one before, with the same key and with a new one."""
    key, cert = tmp_path / "device.key", tmp_path / "device.pem"
    secret = challenge(house, "certmonger")
    steps = [f"getcert add-scep-ca -c house -u {house.plain_url}/scep/scep",
             f"getcert request -c house -k {key} -f {cert} -N CN=certmonger -G rsa -g 2048 -L {secret} -w -v", f"cp {cert} {tmp_path}/first.pem",
             f"getcert resubmit -f {cert} -w -v", f"cp {cert} {tmp_path}/second.pem", f"getcert rekey -f {cert} -w -v", f"cp {cert} {tmp_path}/third.pem"]
    (tmp_path / "steps").write_text("set -e\n" + "\n".join(steps) + "\n")
    state = {"HOME": str(tmp_path), "CERTMONGER_SYSTEM_LOCK_FILE": str(tmp_path / "lock")}
    for name in ("CAS_DIR", "REQUESTS_DIR", "TMPDIR", "CONFIG_DIR", "LOCAL_CA_DIR"):
        (tmp_path / name).mkdir()
        state["CERTMONGER_" + name] = str(tmp_path / name)
    done = subprocess.run(["/usr/sbin/certmonger", "-s", "-L", "-n", "-d", "1", "-c", f"sh {tmp_path}/steps"], env={**os.environ, **state}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, cwd=tmp_path)
    assert (tmp_path / "third.pem").exists(), done.stdout + house.log()
    first, second, third = (read(str(tmp_path / f"{n}.pem")) for n in ("first", "second", "third"))
    assert [common_name(c) for c in (first, second, third)] == ["certmonger"] * 3
    assert len({c.serial_number for c in (first, second, third)}) == 3
    numbers = [c.public_key().public_numbers() for c in (first, second, third)]
    assert numbers[0] == numbers[1] != numbers[2]
