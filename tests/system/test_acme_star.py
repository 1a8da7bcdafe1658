"""Orders that renew themselves (STAR, RFC 8739): a fresh certificate at one address until the order ends or is canceled."""
import email.utils
import json
import sqlite3
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from test_acme import Problem, World, make_csr, refused, world  # noqa: F401 (a fixture)

SHORT = {"kind": "Profile", "name": "star-short", "authority": "issuing-ca", "caa": "required",
         "lifetime": {"default": "10d", "max": "30d", "min": "1s", "requested": "honour"},
         "subject": {"empty": "allow"}, "san": {"allow": {"dns": {}}, "min": 1}}


def at(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


@pytest.fixture(scope="module")
def star(world):
    for profile in (SHORT, {**SHORT, "name": "star-approved", "approval": {"required": True}}):
        world.house.cli("apply", "-f", "-", data=json.dumps(profile))
    settings = {"auto-renewal": {"max-duration": "30d", "min-lifetime": "4s", "certificate-get": True}}
    world.open("acme-star", profiles=["star-short", "server-internal-1y", "star-approved"], **settings)
    return world


def renewing(world, client, name, **auto):
    order = client.order(world.name(name), **{"auto-renewal": {"end-date": at(86400), "lifetime": 4, **auto}})
    order.prove("http-01", world.web.provide)
    assert order.finalize(make_csr([name])[0]).json["status"] == "valid"
    return order


def fetch(client, order):
    reply = client.post(order.value["star-certificate"])
    leaf = x509.load_pem_x509_certificate(reply.body)
    return reply, leaf


def next_certificate(client, order, serial):
    end = time.monotonic() + 60
    while True:
        reply, leaf = fetch(client, order)
        if leaf.serial_number != serial:
            return reply, leaf
        assert time.monotonic() < end
        time.sleep(0.2)


def test_directory(star):
    assert star.client("acme-star", register=False).directory["meta"]["auto-renewal"] == {
        "min-lifetime": 4, "max-duration": 30 * 86400, "allow-certificate-get": True}
    assert "auto-renewal" not in star.client(register=False).directory["meta"]


def test_refused(star):
    c = star.client("acme-star")

    def ask(name="r.star.test", client=c, more=None, **auto):
        return refused(client.order, name, **{"auto-renewal": {"end-date": at(86400), "lifetime": 4, **auto}}, **(more or {})).type

    assert ask(client=star.client()) == "malformed"  # not offered there
    assert ask(lifetime=3) == "malformed"
    assert ask(lifetime="4") == "malformed"
    assert ask(**{"end-date": at(31 * 86400)}) == "malformed"
    assert ask(**{"end-date": at(-5)}) == "malformed"
    assert ask(**{"start-date": "tomorrow"}) == "malformed"
    assert ask(**{"start-date": at(2 * 86400)}) == "malformed"
    assert ask(more={"notAfter": at(3600)}) == "malformed"
    assert ask(more={"profile": "server-internal-1y"}) == "malformed"  # which sets the times itself
    assert ask(more={"profile": "star-approved"}) == "malformed"
    assert refused(c.order, "r.star.test", **{"auto-renewal": {"lifetime": 4}}).type == "malformed"
    plain = c.order("r.star.test")
    assert refused(c.post, plain.url, {"status": "canceled"}).type == "autoRenewalCancellationInvalid"


def test_life(star):
    c = star.client("acme-star")
    order = renewing(star, c, "life.star.test", **{"lifetime-adjust": 1})
    assert "certificate" not in order.value and order.value["auto-renewal"]["lifetime"] == 4
    assert order.value["auto-renewal"]["lifetime-adjust"] == 1 and "allow-certificate-get" not in order.value["auto-renewal"]
    reply, first = fetch(c, order)
    assert reply.headers["Content-Type"] == "application/pem-certificate-chain"
    for header, value in (("Cert-Not-Before", first.not_valid_before), ("Cert-Not-After", first.not_valid_after)):
        text = reply.headers[header]
        assert text[0] == text[-1] == '"' and email.utils.parsedate_to_datetime(text[1:-1]).replace(tzinfo=None) == value
    _, second = next_certificate(c, order, first.serial_number)
    assert second.public_key().public_numbers() == first.public_key().public_numbers()
    assert 0 < (second.not_valid_after - first.not_valid_after).total_seconds() <= 8
    assert c.http("GET", order.value["star-certificate"]).status == 404  # nobody asked for that
    for cert in (fetch(c, order)[1], first):  # and those before the present one
        p = refused(c.revoke, cert.public_bytes(Encoding.DER))
        assert (p.status, p.type) == (403, "autoRenewalRevocationNotSupported")
    canceled = c.post(order.url, {"status": "canceled"}).json
    assert canceled["status"] == "canceled" and "star-certificate" not in canceled
    p = refused(c.post, order.value["star-certificate"])
    assert (p.status, p.type) == (403, "autoRenewalCanceled")
    p = refused(c.post, order.url, {"status": "canceled"})
    assert (p.status, p.type) == (400, "autoRenewalCancellationInvalid")
    assert any("acme.order-canceled" in line for line in star.house.cli("register", "export").stdout.splitlines())


def test_unsigned_get_and_end(star):
    c = star.client("acme-star")
    order = renewing(star, c, "get.star.test", **{"allow-certificate-get": True, "end-date": at(6)})
    assert order.value["auto-renewal"]["allow-certificate-get"] is True
    reply = c.http("GET", order.value["star-certificate"])
    assert reply.status == 200 and x509.load_pem_x509_certificate(reply.body) == fetch(c, order)[1]
    end = time.monotonic() + 60
    while (reply := c.http("GET", order.value["star-certificate"])).status == 200:
        last = x509.load_pem_x509_certificate(reply.body)
        assert time.monotonic() < end
        time.sleep(0.3)
    p = Problem(reply)
    assert (p.status, p.type) == (403, "autoRenewalExpired")
    assert last.not_valid_after.isoformat() + "Z" <= order.value["auto-renewal"]["end-date"]
    assert order.refresh()["status"] == "valid"


def test_policy_is_asked_each_time(star):
    """What a profile, or the name's owner, refuses is put off and told; taken back is ended."""
    c = star.client("acme-star")
    order = renewing(star, c, "policy.star.test")
    star.dns.add("policy.star.test", "CAA", "issue other.example")
    value = c.wait(order.url, lambda o: "error" in o, 60)
    assert value["status"] == "valid" and "other authorities" in value["error"]["detail"]
    star.dns.remove("policy.star.test", "CAA")
    c.wait(order.url, lambda o: "error" not in o, 60)
    c.post(order.value["authorizations"][0], {"status": "deactivated"})
    assert c.wait(order.url, lambda o: o["status"] != "valid", 60)["status"] == "canceled"


def test_authorizations_are_gone(star):
    """An order may outlive its authorizations: what its names stood on is kept in it, and can still be taken back."""
    key = star.house.cli_json("token", "create", "--external", "--endpoint", "acme-star", "--name", "DNS:grounds.star.test")
    c = star.client("acme-star", external=(key["id"], key["secret"]))
    order = c.order("grounds.star.test", **{"auto-renewal": {"end-date": at(86400), "lifetime": 4}})
    assert order.finalize(make_csr(["grounds.star.test"])[0]).json["status"] == "valid"
    store = sqlite3.connect(f"{star.house.home}/store/touchmark.db", timeout=30)
    dropped = [url.rsplit("/", 1)[1] for url in order.value["authorizations"]]
    for authz in dropped:
        assert store.execute("DELETE FROM object WHERE id = ?", (authz,)).rowcount == 1
    store.commit()
    store.close()
    next_certificate(c, order, fetch(c, order)[1].serial_number)
    star.house.cli("token", "revoke", key["id"])
    assert c.wait(order.url, lambda o: o["status"] != "valid", 60)["status"] == "canceled"


@pytest.mark.slow
def test_restart(star, new_house):
    """A server that was killed renews what it had promised to."""
    house = new_house()
    house.cli("apply", "-f", "-", data=json.dumps(SHORT))
    w = World.__new__(World)
    w.house, w.dns, w.web, w.alpn = house, star.dns, star.web, star.alpn
    World.open(w, "acme-star", profiles=["star-short"], **{"auto-renewal": {"max-duration": "30d", "min-lifetime": "4s", "certificate-get": True}})
    house.start()
    c = w.client("acme-star")
    order = renewing(w, c, "kept.star.test", **{"allow-certificate-get": True})
    first = fetch(c, order)[1]
    house.process.kill()
    house.process.wait()
    house.start()
    c.close()
    path = order.value["star-certificate"].split("/acme/", 1)[1]
    end = time.monotonic() + 60
    while x509.load_pem_x509_certificate(c.http("GET", f"{house.url}/acme/{path}").body).serial_number == first.serial_number:
        assert time.monotonic() < end
        time.sleep(0.2)


def test_start_date(star):
    c = star.client("acme-star")
    order = renewing(star, c, "later.star.test", **{"start-date": at(3600), "lifetime": 600, "lifetime-adjust": 300})
    _, leaf = fetch(c, order)
    assert leaf.not_valid_before.isoformat() + "Z" == order.value["auto-renewal"]["start-date"]
    assert (leaf.not_valid_after - leaf.not_valid_before).total_seconds() == 600
    c.post(c.kid, {"status": "deactivated"})
