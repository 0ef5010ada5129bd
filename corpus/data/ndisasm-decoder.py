#!/usr/bin/env python3
"""NASM's ndisasm as a decoder for `segue corpus check --decoder ndisasm=ndisasm-decoder.py` (docs/corpus.md): status and
length, not its text. With --version, prints its version, or fails.

Each row comes in a slot of 32 bytes that ends in NOPs, so the listing has a line for the first byte of each slot.
"""
import re
import subprocess
import sys
import tempfile

SLOT = 32
PREFIX = re.compile(r"[oa](16|32|64)|rep|repe|repne|lock|bnd|[c-gs]s|rex(\.[wrxb]+)?")


def run(*arguments):
    try:
        return subprocess.run(["ndisasm", *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              encoding="ascii").stdout
    except FileNotFoundError:
        sys.exit("ndisasm-decoder.py: there is no ndisasm (Debian: nasm)")


def main():
    if sys.argv[1:] == ["--version"]:
        print(run("-v").split("version ")[1].split()[0])
        return
    lines = {}
    with tempfile.NamedTemporaryFile() as file:
        count = 0
        for row in sys.stdin:
            file.write(bytes.fromhex(row))
            count += 1
        file.flush()
        last = None
        for line in run("-b", "64", file.name).splitlines():
            words = line.split()
            if line[0] == " ":
                # The rest of the bytes of a long instruction.
                lines[last][0] += words[0][1:]
            else:
                last = int(words[0], 16)
                lines[last] = [words[1], words[2:]]
    for start in range(0, count * SLOT, SLOT):
        at = start
        # Prefixes that it finds no use for stand on lines of their own.
        while len(lines[at][0]) == 2 and PREFIX.fullmatch(lines[at][1][0]) and at - start < SLOT - 2:
            at += len(lines[at][0]) // 2
        code, text = lines[at]
        print("refused" if text[0] == "db" else f"ok {at - start + len(code) // 2}")


main()
