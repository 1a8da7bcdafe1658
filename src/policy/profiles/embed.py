#!/usr/bin/env python3
"""Write ready.c: the ready profiles as C strings, in the order of the arguments.

usage: embed.py OUT FILE.json...
"""
import json
import sys


def literal(text):
    lines = text.splitlines(keepends=True)
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines)
    return "\n".join(f'     "{line}"' for line in escaped)


def main():
    out, files = sys.argv[1], sys.argv[2:]
    rows = []
    for path in files:
        with open(path, encoding="ascii") as f:
            text = f.read()
        rows.append(f'    {{"{json.loads(text)["name"]}",\n{literal(text)}}},\n')
    with open(out, "w", encoding="ascii") as f:
        f.write('#include "policy/profile.h"\n\nconst struct ready_profile ready_profiles[] = {\n')
        f.writelines(rows)
        f.write("    {NULL, NULL},\n};\n")


main()
