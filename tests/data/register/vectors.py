#!/usr/bin/python3
"""Test vectors of the register, computed from the texts of RFC 9162, RFC 8032 and the C2SP notes, without Touchmark's code.

Prints vectors.json. Merkle trees follow the recursive definitions of RFC 9162 2.1; Ed25519 is the plain arithmetic of RFC 8032 5.1.
"""
import base64
import hashlib
import json


def sha(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.b64encode(data).decode()


# ---- RFC 9162 2.1 ----

def leaf_hash(entry):
    return sha(b"\0" + entry)


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


class Tree:
    """MTH, PATH and PROOF over the entries, with subtree hashes remembered."""

    def __init__(self, entries):
        self.leaves = [leaf_hash(e) for e in entries]
        self.known = {}

    def mth(self, lo, hi):
        if lo == hi:
            return sha(b"")
        if hi - lo == 1:
            return self.leaves[lo]
        if (lo, hi) not in self.known:
            k = split(hi - lo)
            self.known[lo, hi] = sha(b"\1" + self.mth(lo, lo + k) + self.mth(lo + k, hi))
        return self.known[lo, hi]

    def path(self, m, lo, hi):
        if hi - lo == 1:
            return []
        k = split(hi - lo)
        if m < k:
            return self.path(m, lo, lo + k) + [self.mth(lo + k, hi)]
        return self.path(m - k, lo + k, hi) + [self.mth(lo, lo + k)]

    def subproof(self, m, lo, hi, whole):
        if m == hi - lo:
            return [] if whole else [self.mth(lo, hi)]
        k = split(hi - lo)
        if m <= k:
            return self.subproof(m, lo, lo + k, whole) + [self.mth(lo + k, hi)]
        return self.subproof(m - k, lo + k, hi, False) + [self.mth(lo, lo + k)]


def merkle_vectors():
    # The eight entries that the Certificate Transparency implementations test with.
    entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    tree = Tree([bytes.fromhex(e) for e in entries])
    out = {
        "entries": entries,
        "roots": [tree.mth(0, n).hex() for n in range(len(entries) + 1)],
        "inclusion": [{"index": m, "size": n, "proof": [h.hex() for h in tree.path(m, 0, n)]}
                      for n in range(1, len(entries) + 1) for m in range(n)],
        "consistency": [{"old": m, "size": n, "proof": [h.hex() for h in tree.subproof(m, 0, n, True)]}
                        for n in range(1, len(entries) + 1) for m in range(1, n + 1)],
    }
    # Everything up to a size that has full tiles: one digest over all roots and proofs. Entry i is i in decimal.
    top = 300
    big = Tree([str(i).encode() for i in range(top)])
    digest = hashlib.sha256()
    for n in range(top + 1):
        digest.update(big.mth(0, n))
    for n in range(1, top + 1):
        for m in range(n):
            digest.update(b"".join(big.path(m, 0, n)))
        for m in range(1, n + 1):
            digest.update(b"".join(big.subproof(m, 0, n, True)))
    out["all"] = {"size": top, "sha256": digest.hexdigest()}
    # Roots of large trees, the leaf hash of entry i being the leaf hash of i in decimal.
    out["large"] = []
    for n in (65535, 65536, 65537, 70000):
        level = [leaf_hash(str(i).encode()) for i in range(n)]
        # Pairwise joining with a lone last node carried up gives the same tree as the recursion.
        while len(level) > 1:
            joined = [sha(b"\1" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
            level = joined + level[len(level) - len(level) % 2:]
        out["large"].append({"size": n, "root": level[0].hex()})
    return out


# ---- RFC 8032 5.1 ----

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    aa, bb = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    cc, dd = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = bb - aa, dd - cc, dd + cc, bb + aa
    return e * f % P, g * h % P, f * g % P, e * h % P


def mul(s, point):
    out = (0, 1, 1, 0)
    while s:
        if s & 1:
            out = add(out, point)
        point = add(point, point)
        s >>= 1
    return out


def base_point():
    y = 4 * pow(5, P - 2, P) % P
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x & 1:
        x = P - x
    return x, y, 1, x * y % P


def compress(point):
    x, y, z, _ = point
    inv = pow(z, P - 2, P)
    x, y = x * inv % P, y * inv % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def expand(secret):
    h = hashlib.sha512(secret).digest()
    a = int.from_bytes(h[:32], "little")
    return a & (1 << 254) - 8 | 1 << 254, h[32:]


def ed25519_public(secret):
    return compress(mul(expand(secret)[0], base_point()))


def ed25519_sign(secret, message):
    a, prefix = expand(secret)
    public = ed25519_public(secret)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % Q
    big_r = compress(mul(r, base_point()))
    h = int.from_bytes(hashlib.sha512(big_r + public + message).digest(), "little") % Q
    return big_r + ((r + h * a) % Q).to_bytes(32, "little")


# ---- C2SP signed-note, tlog-checkpoint ----

def key_id(name, public):
    return sha(name.encode() + b"\n\x01" + public)[:4]


def vkey(name, public):
    return "%s+%s+%s" % (name, key_id(name, public).hex(), b64(b"\x01" + public))


def note(text, name, secret):
    public = ed25519_public(secret)
    return text + "\n\u2014 %s %s\n" % (name, b64(key_id(name, public) + ed25519_sign(secret, text.encode())))


def checkpoint(origin, size, root, extensions=()):
    return "".join(line + "\n" for line in [origin, str(size), b64(root), *extensions])


# ---- docs/register.md ----

def event(salt, body):
    commitment = sha(salt + body.encode())
    return {"salt": salt.hex(), "body": body, "commitment": commitment.hex(), "leaf": leaf_hash(commitment).hex()}


def document_part(events, index, text, origin, secret):
    """One log's part of a proof document, over leaves of (salt, body)."""
    tree = Tree([sha(salt + body.encode()) for salt, body in events])
    salt, body = events[index]
    return {"checkpoint": note(text, origin, secret), "event": body, "index": index,
            "proof": [b64(h) for h in tree.path(index, 0, len(events))], "salt": b64(salt)}


def register_vectors():
    secret = bytes(range(32))
    public = ed25519_public(secret)
    house = "pki.example.org/touchmark"
    tenant = house + "/1"
    salts = [bytes([i]) * 16 for i in range(16)]
    bodies = ['{"@subject":"certificate/0141%028x","@time":1795219200%03d,"@type":"certificate.issued","profile":"device"}' % (i, i)
              for i in range(5)]
    events = list(zip(salts, bodies))
    root = Tree([sha(s + b.encode()) for s, b in events]).mth(0, len(events))
    text = checkpoint(tenant, len(events), root)
    anchor = ('{"@subject":"log/1","@time":1795219201000,"@type":"register.anchored","chain":6,"kind":"checkpoint",'
              '"log":"%s","root":"%s","size":%d,"tbs":"%s","tenant":1}' % (tenant, root.hex(), len(events), sha(text.encode()).hex()))
    house_events = [(salts[10], '{"@subject":"house","@time":1795219199000,"@type":"house.started"}'), (salts[11], anchor)]
    house_root = Tree([sha(s + b.encode()) for s, b in house_events]).mth(0, 2)
    chain = b"\0" * 32
    entries = []
    for i in range(5):
        tbs = sha(b"tbs %d" % i)
        chain = sha(chain + b"\x00" + tbs)
        entries.append({"seq": i + 1, "kind": 0, "tbs": tbs.hex(), "hash": chain.hex()})
    house_text = checkpoint(house, 2, house_root, ["signer-chain 5 " + chain.hex()])
    document = document_part(events, 3, text, tenant, secret)
    document["anchor"] = document_part(house_events, 1, house_text, house, secret)
    document["format"] = "touchmark-register-proof-v1"
    epoch_text = checkpoint(house + "#epoch-1", 2, house_root, ["signer-chain 5 " + chain.hex(), "epoch 1 " + house_root.hex()])
    return {
        "secret": secret.hex(), "public": public.hex(), "origin": house, "vkey": vkey(house, public),
        "events": [event(s, b) for s, b in events],
        "root": root.hex(), "checkpoint": text, "note": note(text, tenant, secret),
        "house_note": note(house_text, house, secret), "chain": entries,
        "epoch_checkpoint": epoch_text, "proof": json.dumps(document, sort_keys=True, separators=(",", ":")),
    }


if __name__ == "__main__":
    # RFC 8032 7.1, TEST 1, so that the arithmetic above is trusted for a reason.
    assert ed25519_public(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")).hex() == \
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    print(json.dumps({"merkle": merkle_vectors(), "register": register_vectors()}, indent=1, sort_keys=True))
