"""What orders keep where the inventory keeps little, and what ends."""
import json
import sqlite3
import time

import pytest

from test_acme import make_csr, refused, world  # noqa: F401 (a fixture)

LEAN = {"kind": "Profile", "name": "lean", "authority": "issuing-ca", "lifetime": {"default": "10d"}, "subject": {"empty": "allow"},
        "san": {"allow": {"dns": {}}, "min": 1}}


@pytest.mark.parametrize("level", ["metadata", "minimal"])
@pytest.mark.parametrize("approved", [False, True])
def test_a_certificate_is_fetched_again(world, level, approved):
    """The answer to finalize, or the certificate, may be lost on its way: the order has it, whatever the inventory keeps."""
    name = f"lean-{level}-{approved}".lower()
    world.house.cli("apply", "-f", "-", data=json.dumps({**LEAN, "name": name, "retention": {"level": level}, "approval": {"required": approved}}))
    world.open("acme-" + name, profiles=[name])
    c = world.client("acme-" + name)
    host = world.name(name + ".example.test")
    order = c.order(host)
    order.prove("http-01", world.web.provide)
    before = {r["id"] for r in world.house.api("GET", "/requests?status=pending").json["items"]}
    order.finalize(make_csr([host])[0])
    if approved:
        [waiting] = {r["id"] for r in world.house.api("GET", "/requests?status=pending").json["items"]} - before
        world.house.cli("request", "approve", waiting)
    assert order.refresh()["status"] == "valid"
    first = order.certificates()
    assert len(first) == 2 and order.certificates() == first
    assert first[0].issuer == first[1].subject


def test_a_deactivated_account_leaves(world):
    """It stays for the endpoint's retention, and for ever while it is used."""
    world.open("acme-leaving", retention="1h")
    c = world.client("acme-leaving")
    store = sqlite3.connect(f"file:{world.house.home}/store/touchmark.db?mode=ro", uri=True)
    row = lambda: store.execute("SELECT keep_until FROM object WHERE kind = 1 AND id = ?", (c.kid.rpartition("/")[2],)).fetchone()[0]
    assert row() == 0
    c.post(c.kid, {"status": "deactivated"})
    assert 3000 < row() - time.time() < 3700
    store.close()
