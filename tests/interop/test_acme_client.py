"""npm's acme-client, against a real server; `setup` fetches it where npm can be reached."""
import json
import os
import subprocess

import pytest
from cryptography import x509
from place import need

NPM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm")


@pytest.fixture
def acme_client(place):
    """Runs steps of one account; the results, with certificates as objects."""
    node = need("node")
    if not os.path.exists(os.path.join(NPM, "node_modules", ".package-lock.json")):
        pytest.skip("npm could not fetch acme-client (./setup tries again)")

    def run(*steps, endpoint="hooks", external=None):
        settings = {"directory": place.url(endpoint), "files": place.files, "txt": place.txt, "alpn": place.alpn_files,
                    "httpPort": place.web.port, "tlsPort": place.alpn.port, "external": external, "steps": steps}
        done = subprocess.run([node, os.path.join(NPM, "acme-client.mjs")], input=json.dumps(settings), text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=NPM,
                              env={**os.environ, "NODE_EXTRA_CA_CERTS": place.house.ca_bundle})
        assert done.returncode == 0, done.stderr + place.house.log()
        results = json.loads(done.stdout)
        results["certificates"] = [x509.load_pem_x509_certificate(pem.encode()) for pem in results["certificates"]]
        return results

    return run


def san(cert):
    return sorted(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName))


def revoked(place, cert):
    return bool(place.house.api("GET", f"/certificates/{cert.serial_number:032x}").json.get("revoked_at"))


def test_acme_client(place, acme_client):
    name = place.name("npm.example.test")
    alpn = place.name("npm-alpn.example.test")
    done = acme_client({"issue": [name], "by": "http-01"}, {"contact": "other@example.org"}, {"newKey": True},
                       {"issue": [name], "by": "http-01"}, {"revoke": 0}, {"issue": [alpn], "by": "tls-alpn-01"},
                       {"issue": ["nw.example.test", "*.nw.example.test"], "by": "dns-01"}, {"deactivate": True})
    first, second, third, wild = done["certificates"]
    assert (san(first), san(third), san(wild)) == ([name], [alpn], ["*.nw.example.test", "nw.example.test"])
    assert (revoked(place, first), revoked(place, second)) == (True, False)
    assert done["account"] == "deactivated"


def test_acme_client__external_account(place, acme_client):
    name = place.name("npm-bound.example.test")
    done = acme_client({"register": True}, {"issue": [name], "by": "http-01"}, endpoint="bound", external=place.external_key())
    assert san(done["certificates"][0]) == [name]
