"""A thousand clients at once, with a DNS that loses one query in five: nearly all get their certificate, nobody hangs, memory stays."""
import json
import os
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from acme import Client, HttpServer, Problem, make_csr  # noqa: E402
from dns import DnsServer  # noqa: E402

CLIENTS = int(os.environ.get("STORM_CLIENTS", "1000"))
SECONDS = 600


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


@pytest.mark.slow
def test_storm(new_house):
    house = new_house()
    house.unlimit()
    web = HttpServer()
    with DnsServer(drop=0.2) as dns:
        house.cli("apply", "-f", "-", data=json.dumps(
            {"kind": "Endpoint", "name": "storm", "protocol": "acme", "profiles": ["enterprise-tls-47d"],
             "acme": {"limits": {"accounts-per-hour": 0},
                     "validation": {"resolvers": [dns.address], "dnssec": False, "networks": ["127.0.0.0/8"], "http-port": web.port}}}))
        house.start()
        before = resident(house.process.pid)
        outcomes, lock, start = [], threading.Lock(), threading.Barrier(CLIENTS)

        def run(i):
            name, outcome = f"s{i}.storm.test", "hung"
            dns.add(name, "A", "127.0.0.1")
            try:
                client = Client(f"{house.url}/acme/storm/directory", house.ca_bundle)
                csr, _ = make_csr([name])
                start.wait(SECONDS)
                client.register()
                order = client.order(name)
                [authz] = order.authorizations()
                challenge = order.challenge(authz, "http-01")
                web.provide(name, challenge["token"], client.key_authorization(challenge["token"]))
                client.post(challenge["url"], {})
                end = time.monotonic() + SECONDS
                while order.refresh()["status"] == "pending" and time.monotonic() < end:
                    time.sleep(1)
                outcome = order.value["status"]
                if outcome == "ready":
                    outcome = order.finalize(csr).json["status"]
                    assert order.certificates()
                elif outcome == "invalid":
                    [authz] = order.authorizations()
                    outcome = order.challenge(authz, "http-01")["error"]["type"]
            except Problem as p:
                outcome = p.type
            except (OSError, AssertionError) as e:
                outcome = repr(e)
            with lock:
                outcomes.append(outcome)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(CLIENTS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(2 * SECONDS)
        counted = {o: outcomes.count(o) for o in set(outcomes)}
        assert len(outcomes) == CLIENTS, counted
        assert outcomes.count("valid") >= 0.99 * CLIENTS, counted
        assert set(counted) <= {"valid", "urn:ietf:params:acme:error:dns"}, counted
        after = resident(house.process.pid)
        assert after - before < 256 << 10, (before, after)
    web.close()
