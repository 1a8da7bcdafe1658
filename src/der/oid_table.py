#!/usr/bin/python3
"""Rewrite oid_table.h in place: encode each row's dotted text, sort the rows by encoding, refuse doubles.

To add an object identifier, put a row `X(SYMBOL, "1.2.3", "name")` anywhere into the table and run this script.
oid_find() searches by bisection, so the order matters; tests/unit/der/test_oid.c checks both order and encodings."""
import pathlib
import re
import sys

TABLE = pathlib.Path(__file__).with_name("oid_table.h")
ROW = re.compile(r'X\(\s*(\w+)\s*,\s*"([0-9.]+)"\s*,\s*"([^"]+)"')
HEAD = """\
/* der/oid_table.h - the object identifiers we know, sorted by encoding; rewritten by der/oid_table.py, which says how to add one.
 * X(SYMBOL, "dotted", "name", encoded contents...) */
/* clang-format off */
"""


def base128(arc):
    out = [arc & 0x7F]
    while arc := arc >> 7:
        out.append(0x80 | (arc & 0x7F))
    return bytes(reversed(out))


def encode(dotted):
    arcs = [int(a) for a in dotted.split(".")]
    return b"".join(base128(a) for a in [arcs[0] * 40 + arcs[1], *arcs[2:]])


def main():
    rows = [(encode(m[2]), m[1], m[2], m[3]) for m in ROW.finditer(TABLE.read_text())]
    for what, column in (("encoding", 0), ("symbol", 1), ("name", 3)):
        values = [r[column] for r in rows]
        double = {v for v in values if values.count(v) > 1}
        if double:
            sys.exit(f"oid_table.py: {what} twice: {double}")
    lines = (f'X({s}, "{d}", "{n}", {", ".join(f"0x{b:02x}" for b in e)})\n' for e, s, d, n in sorted(rows))
    TABLE.write_text(HEAD + "".join(lines) + "/* clang-format on */\n")


if __name__ == "__main__":
    main()
