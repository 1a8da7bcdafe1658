"""Orders that wait for approval, where several are made with one key: each gets its own answer."""
import json

from cryptography import x509

from test_acme import APPROVED, World, make_csr, refused, world  # noqa: F401 (a fixture)


def waiting(world):
    return [r["id"] for r in world.house.api("GET", "/requests?status=pending").json["items"]]


def ordered(world, client, name):
    order = client.order(world.name(name), profile="acme-approved")
    order.prove("http-01", world.web.provide)
    return order


def test_two_orders_one_key(world):
    c = world.client()
    one, two = ordered(world, c, "one.approved.test"), ordered(world, c, "two.approved.test")
    csr, key = make_csr(["one.approved.test"])
    before = set(waiting(world))
    assert one.finalize(csr).json["status"] == "processing"
    assert two.finalize(make_csr(["two.approved.test"], key)[0]).json["status"] == "processing"
    [first, second] = sorted(set(waiting(world)) - before, key=waiting(world).index)
    world.house.cli("request", "approve", first)
    assert sorted([one.refresh()["status"], two.refresh()["status"]]) == ["processing", "valid"]
    world.house.cli("request", "approve", second)
    for order, name in ((one, "one.approved.test"), (two, "two.approved.test")):
        assert order.refresh()["status"] == "valid"
        assert names_of(order.certificates()[0]) == [name]


def test_renewal_with_the_same_key(world):
    """A second order is a second certificate: approved anew, not the first one's answer again."""
    c = world.client()
    csr, key = make_csr(["again.approved.test"])
    serials = set()
    for _ in range(2):
        order = ordered(world, c, "again.approved.test")
        before = set(waiting(world))
        assert order.finalize(csr).json["status"] == "processing"
        [fresh] = set(waiting(world)) - before
        world.house.cli("request", "approve", fresh)
        assert order.refresh()["status"] == "valid"
        serials.add(order.certificates()[0].serial_number)
    assert len(serials) == 2


def test_rejected_then_ordered_again(world):
    c = world.client()
    csr, _ = make_csr(["no.approved.test"])
    order = ordered(world, c, "no.approved.test")
    before = set(waiting(world))
    order.finalize(csr)
    [fresh] = set(waiting(world)) - before
    world.house.cli("request", "reject", fresh)
    assert order.refresh()["status"] == "invalid"
    assert refused(order.finalize, csr).type == "orderNotReady"
    again = ordered(world, c, "no.approved.test")
    assert again.finalize(csr).json["status"] == "processing"


def test_taken_back_meanwhile(world):
    """Who approves is told that the account, or its authorization, is gone; nothing is issued."""
    c = world.client()
    for name, take_back in (("authz.approved.test", lambda o: c.post(o.value["authorizations"][0], {"status": "deactivated"})),
                            ("account.approved.test", lambda o: c.post(c.kid, {"status": "deactivated"}))):
        order = ordered(world, c, name)
        before = set(waiting(world))
        assert order.finalize(make_csr([name])[0]).json["status"] == "processing"
        [fresh] = set(waiting(world)) - before
        take_back(order)
        told = world.house.cli("request", "approve", fresh, ok=False)
        assert told.returncode == 1 and ("taken back" in told.stderr or "deactivated" in told.stderr), told.stderr
        assert world.house.cli_json("cert", "list", "--san", name) == []
        world.house.cli("request", "reject", fresh)


def test_without_a_server(new_house, world):
    """What the door has to look at and to write is not left out: an order's approval waits for the server."""
    house = new_house()
    house.start()
    w = World.__new__(World)
    w.house, w.dns, w.web, w.alpn = house, world.dns, world.web, world.alpn
    house.cli("apply", "-f", "-", data=json.dumps(APPROVED))
    w.open("acme", profiles=["acme-approved"])
    c, name = w.client(), "offline.approved.test"
    order = ordered(w, c, name)
    assert order.finalize(make_csr([name])[0]).json["status"] == "processing"
    [fresh] = waiting(w)
    house.stop()
    assert "start it" in house.cli("request", "approve", fresh, ok=False).stderr
    house.start()
    house.cli("request", "approve", fresh)
    # The server has another port now.
    url = f"{house.url}/acme/" + order.url.split("/acme/", 1)[1]
    assert w.client(key=c.key).post(url).json["status"] == "valid"
    assert len(house.cli_json("cert", "list", "--san", name)) == 1


def names_of(cert):
    return cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
