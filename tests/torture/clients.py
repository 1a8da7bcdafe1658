"""Clients that enroll without a pause over kept-alive TLS connections, and remember what they were told."""
import base64
import collections
import json
import random
import re
import socket
import ssl
import threading
import time

BULK_LINES = 16


class Lost(Exception):
    """The connection ended before the answer did."""


class Connection:
    """HTTP/1.1 on one kept-alive TLS connection, no more than is needed here."""

    def __init__(self, port, context):
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = context.wrap_socket(raw, server_hostname="127.0.0.1")
        except BaseException:
            raw.close()
            raise
        self.data = b""

    def close(self):
        self.socket.close()

    def _more(self):
        got = self.socket.recv(65536)
        if not got:
            raise Lost("closed")
        self.data += got

    def _line(self):
        while b"\r\n" not in self.data:
            self._more()
        line, self.data = self.data.split(b"\r\n", 1)
        return line

    def _take(self, n):
        while len(self.data) < n:
            self._more()
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def exchange(self, request, on_data=None):
        """(status, body); the body goes to on_data piece by piece where that is given."""
        self.socket.sendall(request)
        status = int(self._line().split()[1])
        length, chunked, closing = 0, False, False
        while line := self._line().lower():
            if line.startswith(b"content-length:"):
                length = int(line[15:])
            elif line.startswith(b"transfer-encoding:"):
                chunked = b"chunked" in line
            elif line.startswith(b"connection:"):
                closing = b"close" in line
        body = []
        give = on_data or body.append
        if not chunked:
            give(self._take(length))
        while chunked:
            size = int(self._line().split(b";")[0], 16)
            if size:
                give(self._take(size))
            self._line()
            if not size:
                break
        if closing:
            self.close()
        return status, b"".join(body)


def request(method, target, body=b"", headers=()):
    head = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


class Ledger:
    """What the clients know."""

    def __init__(self):
        self.lock = threading.Lock()
        self.fresh = []  # serials of answers completely received since the last look
        self.asked = self.answered = 0  # certificates
        self.refused = collections.Counter()  # other answers
        self.retried = []  # (first serial or None, serial) of a request that was asked again with its idempotency key

    def ask(self, n=1):
        with self.lock:
            self.asked += n

    def acknowledge(self, serial):
        with self.lock:
            self.answered += 1
            self.fresh.append(serial)

    def refuse(self, what):
        with self.lock:
            self.refused[what] += 1

    def take(self):
        with self.lock:
            fresh, self.fresh = self.fresh, []
        return fresh


SERIAL = re.compile(rb"\xa0\x03\x02\x01\x02\x02\x10(.{16})", re.S)


class Client(threading.Thread):
    """Enrolls for ever, by one of the ways in."""

    def __init__(self, run, number):
        super().__init__(daemon=True)
        self.run_of = run
        self.random = random.Random(run.seed * 1000 + number)
        self.kind = ("est", "rest", "bulk", "key")[number % 4]
        self.stock = run.stock
        self.device = self.stock.devices[number // 4 % len(self.stock.devices)]
        self.unanswered = None  # an idempotency key whose answer was lost, and its request
        self.number = number
        self.count = 0

    def context(self):
        context = ssl.create_default_context(cafile=self.stock.bundle)
        context.check_hostname = False
        if self.kind == "est":
            context.load_cert_chain(*self.device[:2])
        return context

    def run(self):
        run, context = self.run_of, self.context()
        connection = None
        while not run.over:
            if not run.open.is_set():
                if connection:
                    connection.close()
                    connection = None
                run.open.wait(0.2)
                continue
            try:
                if not connection:
                    connection = Connection(run.victim.ports["enrollment"], context)
                getattr(self, self.kind)(connection)
                if connection.socket.fileno() < 0:
                    connection = None
            except (OSError, Lost, ValueError, IndexError):
                if connection:
                    connection.close()
                connection = None
                time.sleep(0.01)
        if connection:
            connection.close()

    def other(self, status, body):
        """An answer without a certificate: 503 is what a server without its signer has to say."""
        if status not in (503,):
            self.run_of.problems.append(f"{self.kind} was answered {status}: {body[:300]!r}")
        self.run_of.ledger.refuse(status)
        time.sleep(0.05)

    def est(self, connection):
        self.run_of.ledger.ask()
        status, body = connection.exchange(request("POST", "/.well-known/est/devices/simpleenroll", base64.b64encode(self.device[2]),
                                                   ["Content-Type: application/pkcs10"]))
        if status != 200:
            self.other(status, body)
            return
        found = SERIAL.search(base64.b64decode(body))
        self.run_of.ledger.acknowledge(found.group(1).hex())

    def post(self, connection, pem, headers=()):
        body = json.dumps({"profile": "server-internal-1y", "csr": pem}).encode()
        return connection.exchange(request("POST", "/api/v1/enroll", body, [
            "Content-Type: application/json", "Authorization: Bearer " + self.run_of.token, *headers]))

    def rest(self, connection):
        self.run_of.ledger.ask()
        status, body = self.post(connection, self.random.choice(self.stock.requests))
        if status != 201:
            self.other(status, body)
            return
        self.run_of.ledger.acknowledge(json.loads(body)["serial"])

    def key(self, connection):
        """With an idempotency key: what got no answer is asked again, and must be one certificate in the end."""
        if not self.unanswered:
            self.count += 1
            self.unanswered = (f"torture-{self.number}-{self.count}", self.random.choice(self.stock.requests))
            self.run_of.ledger.ask()
        name, pem = self.unanswered
        status, body = self.post(connection, pem, ["Idempotency-Key: " + name])
        if status not in (200, 201):
            self.other(status, body)
            return
        self.unanswered = None
        self.run_of.ledger.acknowledge(json.loads(body)["serial"])

    def bulk(self, connection):
        lines = "".join(json.dumps({"id": str(i), "csr": self.random.choice(self.stock.requests)}) + "\n" for i in range(BULK_LINES))
        self.run_of.ledger.ask(BULK_LINES)
        rest = b""

        def take(data):
            nonlocal rest
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                result = json.loads(line)
                if "serial" in result:
                    self.run_of.ledger.acknowledge(result["serial"])
                else:
                    self.refused_line(result, line)

        status, body = connection.exchange(request("POST", "/api/v1/enroll/bulk?profile=server-internal-1y", lines.encode(), [
            "Content-Type: application/x-ndjson", "Authorization: Bearer " + self.run_of.token]), take)
        if status != 200:
            self.other(status, body)

    def refused_line(self, result, line):
        status = result.get("status")
        if status not in (503, "failed"):
            self.run_of.problems.append(f"a bulk line was answered {line[:300]!r}")
        self.run_of.ledger.refuse(f"bulk {status}")
