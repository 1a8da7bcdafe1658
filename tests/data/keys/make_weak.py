#!/usr/bin/python3
"""Make the weak RSA public keys in weak/: one SubjectPublicKeyInfo a weakness. The private halves are not kept.

    /usr/bin/python3 tests/data/keys/make_weak.py
"""
import os
import secrets


def is_prime(n):
    for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        if n % p == 0:
            return n == p
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for _ in range(12):
        x = pow(secrets.randbelow(n - 3) + 2, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def next_prime(n):
    n |= 1
    while not is_prime(n):
        n += 2
    return n


def random_prime(bits):
    return next_prime(secrets.randbits(bits) | 3 << (bits - 2))


def small_primes(count):
    found, n = [], 2
    while len(found) < count:
        if all(n % p for p in found):
            found.append(n)
        n += 1
    return found


def roca_prime(bits):
    """k * M + (65537^a mod M), M the product of the first 126 primes (CVE-2017-15361)."""
    m = 1
    for p in small_primes(126):
        m *= p
    low, high = (3 << (bits - 2)) // m, (1 << bits) // m
    while True:
        p = (low + secrets.randbelow(high - low)) * m + pow(65537, secrets.randbits(256), m)
        if p.bit_length() == bits and is_prime(p):
            return p


def tlv(tag, contents):
    n = len(contents)
    length = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + contents


def integer(v):
    return tlv(0x02, v.to_bytes(v.bit_length() // 8 + 1, "big"))


def spki(n, e):
    algorithm = tlv(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return tlv(0x30, algorithm + tlv(0x03, b"\0" + tlv(0x30, integer(n) + integer(e))))


def save(name, n, e=65537):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "weak", name + ".der")
    with open(path, "wb") as f:
        f.write(spki(n, e))


def main():
    p, q = random_prime(1024), random_prime(1024)
    save("roca", roca_prime(1024) * roca_prime(1024))
    save("close-primes", p * next_prime(p + 2))
    save("close-primes-500-bits-apart", p * next_prime(p + secrets.randbits(500)))
    save("exponent-one", p * q, 1)
    save("exponent-even", p * q, 65538)
    save("exponent-large", p * q, 1 << 257 | 1)
    save("small-factor-4093", 4093 * next_prime(secrets.randbits(2036) | 1 << 2036))
    save("small-factor-3", 3 * next_prime(secrets.randbits(2047) | 1 << 2047))
    save("good", p * q)


if __name__ == "__main__":
    main()
