"""CMP messages that come more than once, at once or later: each is answered as the first one is, and does nothing again."""
import concurrent.futures
import os
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from cmp import IMPLICIT, Mac, explicit, integer, message, name, octets, oid, post, request, revocation, seq, tlv  # noqa: E402
from test_cmp_9483 import Device  # noqa: E402


def at_once(house, der, n=8):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: post(house, der), range(n)))


def secret(house, cn, profile):
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp", "--profile", profile, "--name", "CN=" + cn, "--name", "DNS:" + cn)
    return Mac(made["id"], made["secret"])


@pytest.mark.parametrize("infos", [[IMPLICIT], []], ids=["implicit", "certConf"])
def test_copies__of_a_request(house, infos):
    """One secret, one key: one certificate, whichever copy was quicker."""
    cn = f"copies-{len(infos)}.cmp.example.org"
    san = seq(oid("2.5.29.17"), octets(seq(tlv(0x82, cn.encode()))))
    key = ec.generate_private_key(ec.SECP256R1())
    ask = message("ir", seq(request(key, name(cn), extra=tlv(0xA9, san))), secret(house, cn, "server-internal-1y"), infos=infos)
    replies = at_once(house, ask)
    assert {r.body for r in replies} == {"ip"} and all(r.cert for r in replies), replies
    assert len({r.der for r in replies}) == 1
    denied = house.api("GET", "/register/events?type=enrollment.denied&subject=endpoint/cmp&limit=1000").json["items"]
    assert not any(cn in str(e) for e in denied)


def test_copies__of_a_request_for_a_key(house):
    """A key that is made here is given away once. Who is refused because another copy was quicker is not the transaction's answer."""
    cn = "copies-key.cmp.example.org"
    san = seq(oid("2.5.29.17"), octets(seq(tlv(0x82, cn.encode()))))
    template = seq(explicit(5, name(cn)), tlv(0xA9, san))
    ask = message("ir", seq(seq(seq(integer(0), template))), secret(house, cn, "server-internal-1y"), infos=[IMPLICIT])
    good = [r for r in at_once(house, ask) if r.cert]
    again = post(house, ask)
    assert again.cert and {r.cert for r in good} <= {again.cert}, again


def test_copies__of_a_revocation(house, factory):
    """What is played back does nothing: not at once, and a message without a time is not taken at all."""
    device = Device(house, factory, "SN-cmp-copies")
    mine = device.signer(device.enroll(infos=[IMPLICIT]))
    assert device.ask("rr", revocation(mine.cert), by=mine, drop=["messageTime"]).fail == "missingTimeStamp"
    ask = message("rr", revocation(mine.cert), device.by)
    replies = at_once(house, ask)
    assert {r.fail for r in replies} <= {None, "certRevoked"}
    again = post(house, ask)
    assert again.status == 0 and again.der in {r.der for r in replies}
    assert house.cli_json("cert", "get", f"{mine.cert.serial_number:032x}")["status"] == "revoked"


def test_given_up__while_it_waits(house):
    """The client's error takes the request away from those who approve."""
    profile = house.cli_json("get", "profiles", "server-internal-1y")
    document = {k: v for k, v in profile.items() if k != "version"}
    document.update(name="cmp-gives-up", approval={"required": True, "roles": ["operator", "admin"]})
    assert house.api("PUT", "/resources/profiles/cmp-gives-up", document).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "cmp-gives-up", "protocol": "cmp", "profiles": ["cmp-gives-up"], "authentication": {"token": True}}
    assert house.api("PUT", "/resources/endpoints/cmp-gives-up", endpoint).status in (200, 201)
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp-gives-up", "--profile", "cmp-gives-up")
    by, transaction = Mac(made["id"], made["secret"]), os.urandom(16)
    ask = message("ir", seq(request(ec.generate_private_key(ec.SECP256R1()), name("gives-up"))), by, transaction=transaction)
    reply = post(house, ask, "cmp-gives-up")
    assert reply.status == 3, reply
    mine = lambda: [r for r in house.cli_json("request", "list", "--status", "pending") if r["request"]["endpoint"] == "cmp-gives-up"]  # noqa: E731
    assert len(mine()) == 1
    error = message("error", seq(seq(integer(2))), by, transaction=transaction, recip_nonce=reply.nonce)
    assert post(house, error, "cmp-gives-up").body == "pkiconf"
    assert mine() == []


def test_copies__that_wait(house):
    """One request for those who approve, and the same answer to all."""
    profile = {k: v for k, v in house.cli_json("get", "profiles", "server-internal-1y").items() if k != "version"}
    profile.update(name="cmp-waits", approval={"required": True, "roles": ["operator", "admin"]})
    assert house.api("PUT", "/resources/profiles/cmp-waits", profile).status in (200, 201)
    endpoint = {"kind": "Endpoint", "name": "cmp-waits", "protocol": "cmp", "profiles": ["cmp-waits"], "authentication": {"token": True}}
    assert house.api("PUT", "/resources/endpoints/cmp-waits", endpoint).status in (200, 201)
    made = house.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp-waits", "--profile", "cmp-waits")
    ask = message("ir", seq(request(ec.generate_private_key(ec.SECP256R1()), name("waits"))), Mac(made["id"], made["secret"]))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: post(house, ask, "cmp-waits"), range(8)))
    assert {r.status for r in replies} == {3} and len({r.der for r in replies}) == 1, replies
    assert len([r for r in house.cli_json("request", "list", "--status", "pending") if r["request"]["endpoint"] == "cmp-waits"]) == 1
