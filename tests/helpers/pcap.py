"""Recorded traffic, made up: TLS handshakes in TCP in IP in the frames of several links, as pcap and pcapng."""
import ipaddress
import struct

ETHERNET, RAW, COOKED, LOOP = 1, 101, 113, 108


def u24(n):
    return struct.pack(">I", n)[1:]


def record(body, version=0x0303, kind=22):
    return struct.pack(">BHH", kind, version, len(body)) + body


def message(kind, body):
    return bytes([kind]) + u24(len(body)) + body


def client_hello(name=""):
    exts = b""
    if name:
        entry = b"\0" + struct.pack(">H", len(name)) + name.encode()
        exts = struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry
    body = b"\3\3" + bytes(32) + b"\0" + struct.pack(">H", 4) + b"\xc0\x2f\x13\x01" + b"\1\0" + struct.pack(">H", len(exts)) + exts
    return message(1, body)


def server_hello(version=0x0303):
    exts = struct.pack(">HHH", 43, 2, 0x0304) if version == 0x0304 else b""
    return message(2, struct.pack(">H", min(version, 0x0303)) + bytes(32) + b"\0" + b"\xc0\x2f\0" + struct.pack(">H", len(exts)) + exts)


def certificate(*ders):
    chain = b"".join(u24(len(d)) + d for d in ders)
    return message(11, u24(len(chain)) + chain)


def ip_tcp(src, dst, sport, dport, seq, data=b"", flags=0x18):
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, 0, 0x50, flags, 65535, 0, 0) + data
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if a.version == 4:
        return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + a.packed + b.packed + tcp
    return struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + a.packed + b.packed + tcp


def frame(packet, link):
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    if link == ETHERNET:
        return bytes(12) + struct.pack(">HHH", 0x8100, 7, kind) + packet
    if link == COOKED:
        return bytes(14) + struct.pack(">H", kind) + packet
    if link == LOOP:
        return struct.pack(">I", 2) + packet
    return packet


class Connection:
    """Packets of one connection; what each side says is cut into segments."""

    def __init__(self, client="192.0.2.9", server="192.0.2.1", sport=40000, dport=443, cut=500):
        self.ends = ((client, sport), (server, dport))
        self.seq = [1000, 0xFFFFFF00]  # the server's wraps around
        self.cut = cut
        self.packets = []
        for side in (0, 1):
            self.packets.append(self.packet(side, b"", 2))
            self.seq[side] += 1

    def packet(self, side, data, flags=0x18):
        (src, sport), (dst, dport) = self.ends[side], self.ends[1 - side]
        return ip_tcp(src, dst, sport, dport, self.seq[side], data, flags)

    def say(self, side, data, shuffled=False):
        """`side` 0 is the client. Shuffled: segments in the wrong order, and one of them twice."""
        made = []
        for i in range(0, len(data), self.cut):
            piece = data[i:i + self.cut]
            made.append(self.packet(side, piece))
            self.seq[side] += len(piece)
        self.packets += (made[::-1] + made[:1]) if shuffled else made
        return self


def handshake(name="", chain=(), version=0x0303, **options):
    c = Connection(**options)
    c.say(0, record(client_hello(name), 0x0301))
    c.say(1, record(server_hello(version)) + (record(certificate(*chain)) + record(message(14, b"")) if version < 0x0304 else
                                              record(b"\x17" * 300, kind=23)))
    return c


def pcap(packets, link=ETHERNET, little=True, when=1700000000):
    e = "<" if little else ">"
    out = struct.pack(e + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    for i, p in enumerate(packets):
        f = frame(p, link)
        out += struct.pack(e + "IIII", when + i, 250000, len(f), len(f)) + f
    return out


def pcapng(packets, link=ETHERNET, when=1700000000):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", link, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 6, 0, 0))
    for i, p in enumerate(packets):
        f = frame(p, link)
        t = (when + i) * 1000000
        out += block(6, struct.pack("<IIIII", 0, t >> 32, t & 0xFFFFFFFF, len(f), len(f)) + f)
    return out + block(4, b"names")
