"""What must hold after every life of the server, compared with all that was seen before."""
import base64
import collections
import hashlib
import json
import os
import sqlite3
import ssl
import urllib.parse

from clients import Connection, request
from victim import Finding


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The roots of a growing Merkle tree (RFC 9162 2.1)."""

    def __init__(self):
        self.size = 0
        self.peaks = []  # (height, hash)

    def add(self, leaf):
        node = (0, leaf)
        while self.peaks and self.peaks[-1][0] == node[0]:
            node = (node[0] + 1, node_hash(self.peaks.pop()[1], node[1]))
        self.peaks.append(node)
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1][1]
        for _, peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Log:
    """One tenant's log, as far as it has been seen."""

    def __init__(self, tenant):
        self.tenant = tenant
        self.base = "/api/v1/register" if tenant == "default" else f"/api/v1/tenants/{tenant}/register"
        self.tree = Tree()
        self.leaves = []
        self.checkpoint = 0  # size of the newest one seen


class Auditor:
    """Reads the running server's API after each life and compares it with everything seen before."""

    def __init__(self, run):
        self.run_of = run
        self.logs = [Log("default"), Log("house")]
        self.serials = {}  # serial → position
        self.chain = {}  # number → hash of what was signed
        self.known = []  # every acknowledged serial
        self.context = ssl.create_default_context(cafile=run.stock.bundle)
        self.context.check_hostname = False
        self.connection = None

    def get(self, target, method="GET", accept=(200,)):
        status, body = self.connection.exchange(request(method, target, headers=["Authorization: Bearer " + self.run_of.token]))
        if status not in accept:
            raise Finding(f"{target} was answered {status}: {body[:300]!r}")
        return body

    def look(self, whole=False):
        self.connection = Connection(self.run_of.victim.ports["enrollment"], self.context)
        try:
            fresh = self.run_of.ledger.take()
            self.known += fresh
            for log in self.logs:
                self.read_checkpoint(log)
            self.acknowledged(fresh if whole else fresh[-100:] + self.run_of.random.sample(self.known, min(10, len(self.known))), fresh)
            if whole:
                self.verify()
        finally:
            self.connection.close()

    def read_checkpoint(self, log):
        note = self.get(log.base + "/checkpoint", accept=(200, 404)).decode()
        if not note.startswith("{") and "\n" in note:
            lines = note.split("\n")
            size, root = int(lines[1]), base64.b64decode(lines[2])
        else:
            size, root = 0, None
        if size < log.checkpoint:
            raise Finding(f"{log.tenant}: a checkpoint of {log.checkpoint} events was seen, now the newest has {size}")
        # The last few once more: what was read is durable and stays.
        start = max(0, len(log.leaves) - 20)
        events = self.events(log, start)
        if start + len(events) < len(log.leaves):
            raise Finding(f"{log.tenant}: {len(log.leaves)} events were seen, now there are {start + len(events)}")
        for offset, event in enumerate(events):
            self.event(log, start + offset, event)
        if root:
            self.compare(log, size, root)
            log.checkpoint = size

    def events(self, log, start):
        events = []
        while start is not None:
            page = json.loads(self.get(f"{log.base}/events?limit=1000&from={start}"))
            events += page["items"]
            start = page.get("next")
        return events

    def event(self, log, position, event):
        leaf = bytes.fromhex(event["leaf"])
        if event["pos"] != position:
            raise Finding(f"{log.tenant}: event {position} is missing, {event['pos']} follows")
        if position < len(log.leaves):
            if log.leaves[position] != leaf:
                raise Finding(f"{log.tenant}: event {position} is another one than before")
            return
        log.leaves.append(leaf)
        body = event["body"] or {}
        if event["type"] == "certificate.issued":
            serial = event["subject"].split("/")[1]
            if serial in self.serials:
                raise Finding(f"serial {serial} was issued twice")
            self.serials[serial] = position
        if "chain" in body and "tbs" in body:
            known = self.chain.setdefault(body["chain"], body["tbs"])
            if known != body["tbs"]:
                raise Finding(f"number {body['chain']} of the signer's chain stands for two signatures")

    def compare(self, log, size, root):
        if size > len(log.leaves):
            raise Finding(f"{log.tenant}: the checkpoint covers {size} events, {len(log.leaves)} are there")
        while log.tree.size < size:
            log.tree.add(log.leaves[log.tree.size])
        if log.tree.size == size and log.tree.root() != root:
            raise Finding(f"{log.tenant}: the checkpoint of {size} events does not hold those that were seen")

    def acknowledged(self, look_up, fresh):
        missing = [serial for serial in fresh if serial not in self.serials]
        if missing:
            raise Finding(f"{len(missing)} of {len(fresh)} acknowledged certificates are not in the register: {missing[:3]}")
        for serial in look_up:
            self.get("/api/v1/certificates/" + serial)

    def verify(self):
        for tenant in ("", "/tenants/house"):
            report = json.loads(self.get(f"/api/v1{tenant}/register/verify", "POST"))
            if not report["ok"]:
                raise Finding(f"the register does not verify: {report}")
            if report["chain_gaps"]:
                raise Finding(f"the signer's chain has gaps: {report}")

    def offline(self, victim):
        """After a good end: the verification without a server, and the tables themselves."""
        victim.cli("register", "verify")
        db = sqlite3.connect("file:" + urllib.parse.quote(os.path.join(victim.home, "store", "touchmark.db")) + "?mode=ro", uri=True)
        try:
            if db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                raise Finding("the store's file is damaged")
            stored = collections.Counter(row[0].hex() for row in db.execute("SELECT id FROM cert WHERE tenant = 1"))
            twice = [serial for serial, n in stored.items() if n > 1]
            missing = [serial for serial in self.known if serial not in stored]
            unregistered = [serial for serial in stored if serial not in self.serials and serial not in self.run_of.initial]
            if twice or missing or unregistered:
                raise Finding(f"in the tables: {len(twice)} serials twice, {len(missing)} acknowledged certificates missing,"
                              f" {len(unregistered)} without an event")
            keys = db.execute("SELECT count(*) FROM idempotency WHERE key LIKE 'torture-%'").fetchone()[0]
            asked = sum(client.count for client in self.run_of.clients if client.kind == "key")
            if keys > asked:
                raise Finding(f"{asked} idempotency keys were used, {keys} are stored")
        finally:
            db.close()
        if len(set(self.known)) > len(stored):
            raise Finding("more certificates were acknowledged than there are")
