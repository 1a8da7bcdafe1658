"""A DNS server on loopback for tests: answers A, AAAA, TXT, CAA and CNAME from a table, over UDP and TCP.

    with DnsServer() as dns:
        dns.add("www.example.test", "A", "127.0.0.1")
        dns.set_txt("_acme-challenge.example.test", ["..."])
        dns.address  # "127.0.0.1@5353", as endpoints name resolvers

Nobody is to remember its answers (TTL 0). What it does not know is NXDOMAIN; a fault (see `faults`) makes it drop, fail or loop.
"""
import os
import random
import socket
import socketserver
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28, "CAA": 257}
NXDOMAIN, SERVFAIL = 3, 2


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split(".") if label) + b"\0"


def decode_name(data, at):
    labels = []
    while data[at]:
        n = data[at]
        labels.append(data[at + 1:at + 1 + n].decode("latin-1"))
        at += 1 + n
    return ".".join(labels), at + 1


def encode_value(kind, value):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "TXT":
        raw = value.encode()
        return b"".join(bytes([len(raw[i:i + 255])]) + raw[i:i + 255] for i in range(0, max(len(raw), 1), 255))
    if kind == "CAA":  # "[critical] tag value", such as "issue ca.example; accounturi=…"
        critical = value.startswith("critical ")
        tag, _, text = value.removeprefix("critical ").partition(" ")
        return bytes([0x80 if critical else 0, len(tag)]) + tag.encode() + text.encode()
    if kind == "SOA":
        return encode_name("ns." + value) + encode_name("admin." + value) + struct.pack(">IIIII", 1, 60, 60, 60, 1)
    return encode_name(value)


class DnsServer:
    def __init__(self, drop=0.0, seed=1):
        self.records = {}          # (name, type) -> [value]
        self.faults = {}           # name -> "drop" | "servfail" | "loop"
        self.drop = drop           # of all queries over UDP
        self.random = random.Random(seed)
        self.queries = []
        self.txt_dir = None        # a file <name> in it holds TXT records, one a line: for hooks in other processes
        self.lock = threading.Lock()
        outer = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                data, sock = self.request
                if outer.random.random() < outer.drop:
                    return
                answer = outer.answer(data)
                if answer:
                    sock.sendto(answer, self.client_address)

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self):
                head = self.request.recv(2)
                if len(head) < 2:
                    return
                data = self.request.recv(struct.unpack(">H", head)[0])
                answer = outer.answer(data)
                if answer:
                    self.request.sendall(struct.pack(">H", len(answer)) + answer)

        for _ in range(50):  # one port for both; another's TCP connection may hold it
            self.udp = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Udp)
            self.port = self.udp.server_address[1]
            try:
                self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Tcp)
                break
            except OSError:
                self.udp.server_close()
        for server in (self.udp, self.tcp):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()

    @property
    def address(self):
        return f"127.0.0.1@{self.port}"

    # --- the table ---

    def add(self, name, kind, value):
        with self.lock:
            self.records.setdefault((name.lower(), kind), []).append(value)

    def set_txt(self, name, values):
        with self.lock:
            self.records[(name.lower().rstrip("."), "TXT")] = list(values)

    def add_txt(self, name, value):
        self.add(name.rstrip("."), "TXT", value)

    def remove(self, name, kind):
        with self.lock:
            self.records.pop((name.lower().rstrip("."), kind), None)

    # --- answers ---

    def lookup(self, name, kind):
        """Records to answer with as (name, type, value), following CNAMEs; None for a name that does not exist."""
        answers = []
        for _ in range(8):
            with self.lock:
                values = self.records.get((name, kind))
                alias = self.records.get((name, "CNAME"))
                known = any(n == name or n.endswith("." + name) for n, _ in self.records)
            if kind == "TXT" and self.txt_dir and os.path.exists(os.path.join(self.txt_dir, name)):
                with open(os.path.join(self.txt_dir, name), encoding="ascii") as f:
                    values = f.read().split()
            if values is not None:
                return answers + [(name, kind, v) for v in values]
            if not alias:
                return answers if known or answers else None
            answers.append((name, "CNAME", alias[0]))
            name = alias[0].lower()
        return answers

    def answer(self, data):
        if len(data) < 17:
            return None
        ident, flags, _ = struct.unpack(">HHH", data[:6])
        name, at = decode_name(data, 12)
        kind_number = struct.unpack(">H", data[at:at + 2])[0]
        question = data[12:at + 4]
        kind = next((k for k, v in TYPES.items() if v == kind_number), None)
        self.queries.append((name.lower(), kind))
        fault = self.faults.get(name.lower())
        if fault == "drop":
            return None
        code, records = 0, []
        if fault == "servfail":
            code = SERVFAIL
        elif fault == "loop":
            records = [(name.lower(), "CNAME", name.lower())]
        else:
            found = self.lookup(name.lower(), kind) if kind else []
            code, records = (NXDOMAIN, []) if found is None else (0, found)
        body = b"".join(encode_name(n) + struct.pack(">HHIH", TYPES[k], 1, 0, len(encode_value(k, v))) + encode_value(k, v)
                        for n, k, v in records)
        return struct.pack(">HHHHHH", ident, 0x8080 | (flags & 0x0100) | code, 1, len(records), 0, 0) + question + body
