"""What an operator says about an endpoint counts at once, for orders that stand open too."""
import json

from test_acme import PROFILES, make_csr, refused, world  # noqa: F401 (a fixture)


def test_a_profile_is_withdrawn(world):
    world.open("acme-changing")
    c = world.client("acme-changing")
    order = c.order(world.name("late.example.test"), profile=PROFILES[0])
    order.prove("http-01", world.web.provide)
    assert order.refresh()["status"] == "ready"
    endpoint = world.house.api("GET", "/resources/endpoints/acme-changing").json
    endpoint["profiles"] = PROFILES[1:]
    assert world.house.api("PUT", "/resources/endpoints/acme-changing", endpoint).status == 200
    csr, _ = make_csr(["late.example.test"])
    assert refused(order.finalize, csr).type == "invalidProfile"
    endpoint = world.house.api("GET", "/resources/endpoints/acme-changing").json
    endpoint["profiles"] = PROFILES
    assert world.house.api("PUT", "/resources/endpoints/acme-changing", endpoint).status == 200
    assert order.finalize(csr).json["status"] == "valid"


def test_the_address_is_the_configured_one(world):
    """A request that was signed for another server, and is brought here by it with a Host to match, is not taken (RFC 8555 6.4)."""
    here = world.house.url
    world.open("acme-named", url=here)
    c = world.client("acme-named")
    url = c.directory["newOrder"]
    elsewhere = url.replace(here, "https://evil.example")
    jws = c.sign(elsewhere, {"identifiers": [{"type": "dns", "value": "relay.example.test"}]})
    reply = c.http("POST", url, body=json.dumps(jws), headers={"Content-Type": "application/jose+json", "Host": "evil.example"})
    assert reply.status == 403 and reply.json["type"].endswith(":unauthorized"), reply.body
    assert c.order("relay.example.test").value["status"] == "pending"
