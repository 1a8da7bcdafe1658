#!/usr/bin/env python3
"""embed.py OUT.c FILE.sql... - the numbered migrations as C strings, in the order of their numbers.

A file is <number>-<name>.sql; numbers begin with 1 and have no gaps. Once released, a file never changes: the store keeps its
SHA-256 and refuses a database that was made by another text.
"""
import hashlib
import os
import re
import sys


def main():
    out, files = sys.argv[1], sorted(sys.argv[2:], key=os.path.basename)
    rows = []
    for number, path in enumerate(files, 1):
        name = re.fullmatch(r"(\d{4})-([a-z0-9-]+)\.sql", os.path.basename(path))
        if not name or int(name[1]) != number:
            sys.exit(f"{path}: expected {number:04}-<name>.sql")
        with open(path, "rb") as f:
            text = f.read()
        digest = ", ".join(f"0x{b:02x}" for b in hashlib.sha256(text).digest())
        lines = "\n".join(
            '        "' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"' for line in text.decode("ascii").splitlines()
        )
        rows.append(f'    {{.name = "{name[2]}",\n     .sha256 = {{{digest}}},\n     .sql =\n{lines}}},\n')
    with open(out, "w", encoding="ascii") as f:
        f.write('/* Made by schema/embed.py from the numbered files beside it. */\n#include "store/schema/schema.h"\n\n')
        f.write("const struct schema_step schema_steps[] = {\n" + "".join(rows) + "    {0},\n};\n")


main()
