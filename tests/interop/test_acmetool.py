"""acmetool (Debian's), against a real server. It has no external accounts, no key change and no tls-alpn-01;
its `revoke` (0.2.2) marks a certificate in its own directory and asks the server for nothing."""
import json
import os
import time

import pytest
from place import names, need, read

PROFILE = {"kind": "Profile", "name": "acmetool", "authority": "issuing-ca", "subject": {"empty": "allow"},
           "san": {"allow": {"dns": {"wildcards": True}}, "min": 1}}


@pytest.fixture(scope="module")
def acmetool(place):
    program = need("acmetool")
    state, hooks = place.path("acmetool"), place.path("acmetool-hooks")
    os.makedirs(state + "/conf")
    os.mkdir(hooks)
    place.script("acmetool-hooks/txt", f"""
case "$1" in
challenge-dns-start) printf '%s\\n' "$4" >>"{place.txt}/_acme-challenge.$2" ;;
challenge-dns-stop) rm -f "{place.txt}/_acme-challenge.$2" ;;
*) exit 42 ;;
esac
""")
    run = Acmetool(place, program, state, hooks)
    run.profile({"default": "60d"})
    place.endpoint("acmetool", place.web.port, place.alpn.port, profile="acmetool")
    with open(state + "/conf/responses", "w", encoding="ascii") as f:
        f.write('"acme-enter-email": "acmetool@example.org"\n')
    with open(state + "/conf/target", "w", encoding="ascii") as f:
        f.write(f"request:\n  provider: {place.url('acmetool')}\n  key: {{type: ecdsa}}\n  challenge:\n    webroot-paths: [{place.files}]\n"
                f"    http-self-test: false\n    http-ports: [{place.http_port}]\n")
    return run


class Acmetool:
    def __init__(self, place, program, state, hooks):
        self.place, self.state = place, state
        self.base = [program, "--batch", "--state", state, "--hooks", hooks]

    def __call__(self, *args):
        return self.place.run(*self.base, *args, env={"SSL_CERT_FILE": self.place.house.ca_bundle})

    def profile(self, lifetime):
        self.place.house.cli("apply", "-f", "-", data=json.dumps({**PROFILE, "lifetime": lifetime}))

    def live(self, name):
        return os.path.join(self.state, "live", name, "cert")


def test_acmetool(place, acmetool):
    name = place.name("acmetool.example.test")
    acmetool.profile({"default": "2s", "min": "1s"})  # it renews by the calendar only
    acmetool("want", name)
    first = os.path.realpath(acmetool.live(name))
    assert names(first) == [name]
    acmetool.profile({"default": "60d"})
    time.sleep(2)
    acmetool("reconcile")
    assert read(acmetool.live(name)).serial_number != read(first).serial_number


@pytest.mark.slow
def test_acmetool__wildcard(place, acmetool):
    acmetool("want", "*.at.example.test")
    assert names(acmetool.live("*.at.example.test")) == ["*.at.example.test"]
