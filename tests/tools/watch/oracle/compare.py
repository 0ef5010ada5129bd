#!/usr/bin/env python3
"""compare.py SEGUE ORACLE CC PROGRAM.c...: `segue watch` reports each access of a program's first thread to chosen
variables once, in order, with the right value: as the processor's watchpoints do (oracle.c).

The values are followed from access to access, so a wrong one shows, also of a part. Of a program that does not do the
same twice, the oracle's two runs differ, and it is left out by name; so is one that it cannot follow to its end.
"""
import json
import os
import subprocess
import sys
import tempfile

segue, oracle, compiler = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
MOST = 4
failed = passed = accesses = left_out = 0


def variables(program):
    """The address and size of each that a watchpoint covers; of larger ones, their first eight bytes."""
    lines = subprocess.run(["nm", "-S", program], capture_output=True, text=True, check=True).stdout.split("\n")
    for words in (line.split() for line in lines):
        if len(words) != 4 or words[2] not in "bBdD" or words[3].startswith(("__TMC", "_IO_")):
            continue
        address, size = int(words[0], 16), int(words[1], 16)
        if address < 4096:
            continue
        size = max(n for n in (1, 2, 4, 8) if n <= size and address % n == 0)
        yield address, size


def watched(ranges, program, folder):
    """What `segue watch` reports of the first thread: as the oracle does. System calls are not the oracle's."""
    report = os.path.join(folder, "report")
    names = [f"{address:#x}:{size}" for address, size in ranges]
    with open("/dev/null", "r+") as null:
        done = subprocess.run(["setarch", "-R", segue, "watch", "--read", "--write", "--json", "-o", report, *names, "--",
                               program], stdin=null, stdout=null, stderr=subprocess.PIPE, cwd=folder, timeout=100)
    if not os.path.exists(report):
        return done.returncode, [done.stderr.decode()]
    values, found = {}, []
    for line in open(report):
        event = json.loads(line)
        number = next(i for i, (at, size) in enumerate(ranges) if at <= event["address"] < at + size)
        start, size = ranges[number]
        shift = 8 * (event["address"] - start)
        mask = ((1 << 8 * event["size"]) - 1) << shift
        text = event.get("new", event["old"])
        value = int(text, 16) if text.startswith("0x") or " " not in text else None
        if value is None:
            value = int.from_bytes(bytes.fromhex(text.replace(" ", "")), "little")
        values[number] = (values.get(number, initial(program, *ranges[number])) & ~mask) | value << shift
        if event["thread"] == event["process"] and not event["instruction"].startswith("system call"):
            found.append(shown(number, values[number]))
    return done.returncode, found


def shown(number, value):
    """Libraries, mappings and stacks lie elsewhere under `segue watch`."""
    return f"{number} {'somewhere' if value >> 40 == 0x7F else hex(value)}"


def initial(program, address, size):
    """The value in the file."""
    from_file = subprocess.run(["objdump", "-s", f"--start-address={address:#x}", f"--stop-address={address + size:#x}",
                                program], capture_output=True, text=True, check=True).stdout.split("\n")
    digits = "".join("".join(line[1:].split("  ")[0].split()[1:]) for line in from_file if line.startswith(" "))
    return int.from_bytes(bytes.fromhex(digits or "0"), "little") if digits else 0


def measured(ranges, program, folder):
    """Its status, and the values; a program with a timer may not come on for the oracle's stops: TimeoutExpired."""
    names = [f"{address:#x}:{size}" for address, size in ranges]
    done = subprocess.run([oracle, *names, "--", program], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          cwd=folder, timeout=30)
    lines = (line.split() for line in done.stdout.split("\n")[:-1])
    return done.returncode, [shown(number, int(value, 16)) for number, value in lines]


def compare(source, folder):
    global failed, passed, accesses, left_out
    program = os.path.join(folder, os.path.basename(source)[:-2])
    built = subprocess.run([compiler, "-O1", "-w", "-no-pie", "-o", program, source, "-lpthread", "-ldl"],
                           capture_output=True)
    if built.returncode != 0:
        print(f"SKIP: {source} is not compiled")
        return
    every = list(variables(program))
    for first in range(0, min(len(every), 3 * MOST), MOST):
        ranges = every[first:first + MOST]
        try:
            one, two = measured(ranges, program, folder), measured(ranges, program, folder)
        except subprocess.TimeoutExpired:
            left_out += 1
            print(f"left out: {os.path.basename(source)}, {ranges}: the oracle does not come to the program's end")
            continue
        if one[0] == 77:
            print("SKIP: the system has no watchpoints")
            sys.exit(77)
        if one != two:
            left_out += 1
            print(f"left out: {os.path.basename(source)}, {ranges}: two runs differ")
            continue
        found = watched(ranges, program, folder)
        if found == one:
            passed += 1
            accesses += len(one[1])
            continue
        failed += 1
        where = next((i for i, pair in enumerate(zip(one[1], found[1])) if pair[0] != pair[1]), "the end")
        print(f"FAILED: {os.path.basename(source)}, {ranges}: status {one[0]}, {found[0]}; {len(one[1])} accesses, "
              f"{len(found[1])} reported; they differ at {where}:", one[1][:3], found[1][:3])
        if isinstance(where, int):
            print(one[1][where - 2:where + 3], found[1][where - 2:where + 3])


for source in sys.argv[4:]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            compare(source, folder)
        except subprocess.TimeoutExpired as late:
            failed += 1
            print(f"FAILED: {source}: {late}")
print(f"{accesses} accesses, {left_out} left out; {passed} passed, {failed} failed")
sys.exit(failed != 0 or accesses == 0 or left_out > passed)
