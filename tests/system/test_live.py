"""The stream of events: what happens is sent as it happens, to those who may know, from where they were, for as long as they may."""
import http.client
import json
import os
import resource
import time

import pytest

from test_roles import token
from test_signin import Browser


class Stream:
    """Server-sent events as a browser reads them: (type, id, data)."""

    def __init__(self, house, secret, last=None, path="/events/stream", listener="console", cookie=None):
        self.connection = http.client.HTTPSConnection("127.0.0.1", house.ports[listener], context=house.tls(), timeout=30)
        headers = {"Cookie": cookie} if cookie else {"Authorization": "Bearer " + secret} if secret else {}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.connection.request("GET", "/api/v1" + path, headers=headers)
        self.reply = self.connection.getresponse()
        self.status = self.reply.status

    def next(self):
        """The next message; None at the end of the stream. Comments are passed over."""
        kind, at, data = "message", None, []
        for line in self.reply:
            line = line.decode().rstrip("\n")
            if line.startswith("data: "):
                data.append(line[6:])
            elif line.startswith("id: "):
                at = int(line[4:])
            elif line.startswith("event: "):
                kind = line[7:]
            elif not line and (data or kind != "message"):
                return kind, at, json.loads("\n".join(data))
        return None

    def until(self, subject):
        """The next message about this subject, and all before it."""
        before = []
        while True:
            message = self.next()
            assert message is not None, before
            if message[2].get("subject") == subject:
                return message, before
            before.append(message)

    def close(self):
        self.connection.close()


@pytest.fixture
def stream(house):
    opened = []

    def make(secret=None, **how):
        opened.append(Stream(house, house.admin_token if secret is None else secret, **how))
        return opened[-1]

    yield make
    for s in opened:
        s.close()


def register(house, device, **more):
    reply = house.api("PUT", "/devices/" + device, more)
    assert reply.status in (200, 201), reply


def test_stream__tells_what_happens(house, stream):
    s = stream()
    assert s.status == 200 and s.reply.getheader("Content-Type").startswith("text/event-stream")
    assert s.reply.getheader("Cache-Control") == "no-store"
    kind, at, data = s.next()
    assert kind == "ready" and data["pos"] == at + 1
    register(house, "LIVE-1", model="Pump")
    (kind, at, data), _ = s.until("device/LIVE-1")
    assert kind == "message" and data["pos"] == at and data["type"] == "device.registered"
    known = house.api("GET", f"/register/events?from={at}&limit=1").json["items"][0]
    assert known["body"] == data["body"] and known["time"] == data["time"]


def test_stream__goes_on_behind_the_last(house, stream):
    s = stream()
    at = s.next()[1]
    for i in range(3):
        register(house, f"LIVE-AGAIN-{i}")
    s.close()
    again = stream(last=at)
    assert again.next()[0] == "ready"
    for i in range(3):
        (_, here, _), before = again.until(f"device/LIVE-AGAIN-{i}")
        assert here > at and all(at < m[1] < here for m in before)
        at = here
    assert stream(last=10 ** 15).next()[0] == "ready"  # of another log: from now on
    for wrong in ("-1", "x", "9" * 19):
        assert stream(last=wrong).status == 422


def test_stream__large_events_do_not_end_it(house, stream):
    """More than a client may leave unread comes in turns, instead of ending the stream each time that it comes back for the same."""
    at = stream().next()[1]
    for i in range(30):
        register(house, f"LIVE-LARGE-{i}", tags={"note": "x" * 50000})
    register(house, "LIVE-HUGE", tags={"note": "x" * 65500}, identifiers={"imei": "x" * 65500})
    register(house, "LIVE-AFTER")
    s = stream(last=at)
    _, before = s.until("device/LIVE-AFTER")
    assert [m[2]["subject"] for m in before if m[0] == "message" and "LARGE" in m[2]["subject"]] == [f"device/LIVE-LARGE-{i}" for i in range(30)]
    skipped = [m[2] for m in before if m[0] == "skipped"]
    assert len(skipped) == 1 and skipped[0]["from"] == skipped[0]["to"]
    assert house.api("GET", f"/register/events?from={skipped[0]['from']}&limit=1").json["items"][0]["subject"] == "device/LIVE-HUGE"


def test_stream__an_owner_who_changes(house, stream):
    """Who answers for other devices now is not told of those of before."""
    doc = {"kind": "Principal", "name": "live-moves", "roles": ["owner"], "owner-of": "live-before"}
    assert house.api("PUT", "/resources/principals/live-moves", doc).status in (200, 201)
    s = stream(token(house, "live-moves"))
    assert s.next()[0] == "ready"
    assert house.api("PUT", "/resources/principals/live-moves", {**doc, "owner-of": "live-after"}).status == 200
    assert s.next() is None


def test_stream__too_many_are_skipped(house, stream):
    lines = "".join(f"LIVE-MANY-{i}\n" for i in range(400))
    reply = house.api("POST", "/devices/import", ("id\n" + lines).encode(), content_type="text/csv")
    assert reply.status == 200, reply
    size = house.api("GET", "/status").json["counts"]["events"]
    s = stream(last=0)
    assert s.next()[0] == "ready"
    kind, at, data = s.next()
    assert kind == "skipped" and data["from"] == 1 and data["to"] == at >= size - 1


def test_stream__owners_get_what_is_theirs(house, stream):
    principal = {"kind": "Principal", "name": "live-owner", "roles": ["owner"], "owner-of": "live-team"}
    assert house.api("PUT", "/resources/principals/live-owner", principal).status == 201
    register(house, "LIVE-MINE", owner="live-team")
    s = stream(token(house, "live-owner"))
    assert s.next()[0] == "ready"
    register(house, "LIVE-OTHERS", owner="somebody", model="secret")
    register(house, "LIVE-MINE", owner="live-team", model="Pump")
    _, before = s.until("device/LIVE-MINE")
    assert before == []


def test_stream__needs_a_role_and_no_parameter(house, stream):
    assert stream("").status == 401
    assert stream("nobody.nothing").status == 401
    assert stream(path="/events/stream?x=1").status == 422
    assert stream(path="/tenants/nobody/events/stream").status == 404


def test_stream__ends_with_the_token(house, stream):
    principal = {"kind": "Principal", "name": "live-reader", "roles": ["auditor"]}
    assert house.api("PUT", "/resources/principals/live-reader", principal).status == 201
    secret = token(house, "live-reader")
    s = stream(secret)
    assert s.next()[0] == "ready"
    assert house.api("DELETE", "/tokens/" + secret.split(".")[0]).status in (200, 204)
    while s.next() is not None:
        pass
    assert stream(secret).status == 401


def test_stream__many_cost_little_and_have_a_limit(house, stream):
    principal = {"kind": "Principal", "name": "live-many", "roles": ["auditor"]}
    assert house.api("PUT", "/resources/principals/live-many", principal).status == 201
    secret = token(house, "live-many")
    threads = len(os_threads(house))
    many = [stream(secret) for _ in range(256)]
    assert all(s.next()[0] == "ready" for s in many)
    refused = stream(secret)
    assert refused.status == 429 and refused.reply.getheader("Retry-After") and "256" in json.loads(refused.reply.read())["detail"]
    register(house, "LIVE-ALL")
    for s in many:
        s.until("device/LIVE-ALL")
    assert len(os_threads(house)) <= threads + 1
    for s in many:
        s.close()
    for _ in range(100):  # the places are free again
        again = stream(secret)
        if again.status == 200:
            return
        time.sleep(0.1)
    raise AssertionError("places of streams that ended are not given back")


def os_threads(house):
    return os.listdir(f"/proc/{house.process.pid}/task")


def memory(house):
    """PSS of the server and what it started, in KiB."""
    pids = [str(house.process.pid)]
    for pid in pids:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            pids += f.read().split()
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total


@pytest.mark.slow
def test_stream__a_thousand_browsers(new_house):
    """Twenty people with fifty sessions each, all of them watching: each is told, in bounded memory, and there is room for who comes on top."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    house = new_house()
    house.unlimit()
    house.start()
    streams = []
    try:
        before = memory(house)
        for i in range(20):
            doc = {"kind": "Principal", "name": f"watcher-{i}", "roles": ["operator"]}
            assert house.api("PUT", f"/resources/principals/watcher-{i}", doc).status == 201
            secret = token(house, f"watcher-{i}")
            for _ in range(50):
                browser = Browser(house)
                reply = browser.sign_in(method="token", token=secret)
                assert reply.status == 201, reply
                streams.append(Stream(house, None, cookie=browser.cookie))
                assert streams[-1].status == 200
        assert len(streams) == 1000
        register(house, "LIVE-THOUSAND")
        for s in streams:
            s.until("device/LIVE-THOUSAND")
        assert memory(house) - before < 128 << 10
        last = Browser(house)
        assert last.sign_in(method="token", token=house.admin_token).status == 201
        assert last.ask("GET", "/summary").status == 200
    finally:
        for s in streams:
            s.close()
