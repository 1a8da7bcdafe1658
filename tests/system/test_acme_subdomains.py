"""Subdomain authorization (RFC 9444): who has proven a domain may have the names below it."""
import hashlib

import pytest

from test_acme import b64, make_csr, refused, world  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def below(world):
    world.open("acme-below", subdomains=True, challenges=["http-01", "dns-01"])
    return world


def prove(world, client, url):
    authz = client.post(url).json
    assert [c["type"] for c in authz["challenges"]] == ["dns-01"]
    challenge = authz["challenges"][0]
    digest = b64(hashlib.sha256(client.key_authorization(challenge["token"]).encode()).digest())
    world.dns.add_txt("_acme-challenge." + authz["identifier"]["value"], digest)
    client.post(challenge["url"], {})
    return client.wait(url, lambda z: z["status"] != "pending")


def named(name, ancestor):
    return {"type": "dns", "value": name, "ancestorDomain": ancestor}


def test_directory(below):
    assert below.client("acme-below", register=False).directory["meta"]["subdomainAuthAllowed"] is True
    assert "subdomainAuthAllowed" not in below.client(register=False).directory["meta"]


def test_pre_authorization(below):
    c = below.client("acme-below")
    reply = c.post(c.directory["newAuthz"], {"identifier": {"type": "dns", "value": "one.below.test", "subdomainAuthAllowed": True}})
    assert reply.status == 201 and reply.json["subdomainAuthAllowed"] is True
    assert c.order("a.one.below.test").value["status"] == "pending"  # not proven yet
    authz = prove(below, c, reply.location)
    assert authz["status"] == "valid" and authz["subdomainAuthAllowed"] is True
    names = ["b.one.below.test", "deep.c.one.below.test", "one.below.test"]
    order = c.order(*names)
    assert order.value["status"] == "ready" and order.value["authorizations"] == [reply.location]
    assert order.finalize(make_csr(names)[0]).json["status"] == "valid"
    assert len(order.certificates()) == 2
    assert c.order("besideone.below.test").value["status"] == "pending"
    assert c.order("two.below.test").value["status"] == "pending"
    assert below.client("acme-below").order("d.one.below.test").value["status"] == "pending"  # another account's
    c.post(reply.location, {"status": "deactivated"})
    assert c.order("e.one.below.test").value["status"] == "pending"


def test_ancestor_domain(below):
    c = below.client("acme-below")
    order = c.order(named("x.y.order.test", "order.test"), named("z.order.test", "order.test"), "other.test")
    assert len(order.value["authorizations"]) == 2
    above, other = [c.post(u).json for u in order.value["authorizations"]]
    assert above["identifier"]["value"] == "order.test" and above["subdomainAuthAllowed"] is True
    assert other["identifier"]["value"] == "other.test" and "subdomainAuthAllowed" not in other
    assert prove(below, c, order.value["authorizations"][0])["status"] == "valid"
    single = c.order(named("x.y.order.test", "order.test"))
    assert single.value["status"] == "ready"
    assert single.finalize(make_csr(["x.y.order.test"])[0]).json["status"] == "valid"


@pytest.mark.parametrize("ancestor", ["rder.test", "x.order.test", "order.example", "*.test", "", 7, "a.x.order.test"])
def test_no_ancestor(below, ancestor):
    c = below.client("acme-below")
    assert refused(c.order, named("x.order.test", ancestor)).type == "malformed"


def test_switched_off(below):
    c = below.client()
    order = c.order(named("x.off.test", "off.test"))
    [authz] = order.authorizations()
    assert authz["identifier"]["value"] == "x.off.test" and "subdomainAuthAllowed" not in authz
    reply = c.post(c.directory["newAuthz"], {"identifier": {"type": "dns", "value": "off.test", "subdomainAuthAllowed": True}})
    assert "subdomainAuthAllowed" not in reply.json


def test_no_challenge_that_proves_a_zone(below):
    below.open("acme-below-web", subdomains=True, challenges=["http-01"])
    c = below.client("acme-below-web")
    assert c.order(named("x.web.test", "web.test")).authorizations()[0]["identifier"]["value"] == "x.web.test"
