"""Killed under load, again and again: no order that was answered as valid is lost, and none is left half done."""
import json
import os
import random
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from acme import Client, Problem, make_csr  # noqa: E402

KILLS = int(os.environ.get("KILLS", "8"))
CLIENTS = 6


class Orderer(threading.Thread):
    """Orders one name after another, which its external key grants; takes note of what it was told."""

    def __init__(self, house, directory, number, external):
        super().__init__()
        self.house, self.directory, self.number, self.external = house, directory, number, external
        self.valid, self.begun, self.stopping, self.unexpected = [], [], False, []

    def run(self):
        client = None
        while not self.stopping:
            try:
                if not client:
                    client = Client(self.directory, self.house.ca_bundle, getattr(self, "key", None))
                    self.key = client.key
                    client.register(external=self.external)
                name = f"k{self.number}.kill.test"
                order = client.order(name)
                self.begun.append(order.url)
                csr, _ = make_csr([name])
                if order.finalize(csr).json["status"] == "valid":
                    self.valid.append(order.url)
            except OSError:  # the server is down
                if client:
                    client.close()
                time.sleep(0.1)
            except Problem as p:
                # A reply that was lost is asked for again by clients; here the next order is begun instead.
                self.unexpected.append(str(p))
                time.sleep(0.05)
            except Exception as e:  # http.client's own, when an answer ends early
                if client:
                    client.close()
                if "http.client" not in type(e).__module__:
                    self.unexpected.append(repr(e))
                time.sleep(0.1)
        self.client = client


@pytest.mark.slow
def test_kill(new_house):
    house = new_house()
    house.unlimit()
    house.start()
    # The same port again and again, so that addresses stay.
    port = house.ports["enrollment"]
    house.stop()
    house.configure("enrollment: { address: 127.0.0.1 }", f"enrollment: {{ address: 127.0.0.1, port: {port} }}")
    house.start()
    assert house.ports["enrollment"] == port
    # A quick machine has a thousand orders of an account done before the last kill.
    endpoint = {k: v for k, v in house.cli_json("get", "endpoint", "acme").items() if k != "version"}
    endpoint["acme"] = {**endpoint.get("acme", {}), "limits": {"orders-per-hour": 0}}
    house.cli("apply", "-f", "-", data=json.dumps(endpoint))
    made = [house.cli_json("token", "create", "--external", "--endpoint", "acme", "--name", f"DNS:k{i}.kill.test") for i in range(CLIENTS)]
    orderers = [Orderer(house, house.url + "/acme/acme/directory", i, (made[i]["id"], made[i]["secret"])) for i in range(CLIENTS)]
    for o in orderers:
        o.start()
    chance = random.Random(7)
    for _ in range(KILLS):
        time.sleep(1 + chance.random())
        house.process.kill()
        house.process.wait()
        house.start()
    time.sleep(1)
    for o in orderers:
        o.stopping = True
    for o in orderers:
        o.join(60)
    assert sum(len(o.valid) for o in orderers) > 20 * KILLS
    for o in orderers:
        assert not o.unexpected, o.unexpected[:3]
        for url in o.begun:
            order = o.client.post(url).json
            assert order["status"] in ("valid", "ready"), order
            assert order["status"] == "valid" or url not in o.valid
            if order["status"] == "valid":
                assert o.client.post(order["certificate"]).body.count(b"BEGIN CERTIFICATE") == 2
    # Every certificate of the inventory is an order's: nothing was issued beside them.
    count, after = 0, ""
    while True:
        page = house.api("GET", "/certificates?limit=1000" + after).json
        count += sum(c["endpoint"] == "acme" for c in page["items"])
        if not page.get("next"):
            break
        after = "&after=" + page["next"]
    assert count == sum(o.client.post(u).json["status"] == "valid" for o in orderers for u in o.begun)
    house.cli("register", "verify", timeout=300)
