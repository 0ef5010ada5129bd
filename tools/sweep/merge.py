#!/usr/bin/env python3
"""merge.py [--json FILE] OUT...: adds up what the tasks of sweeps have left in their folders, in one report: for each
sweep its states, how fast, and on which processors; what was covered by processor, mode, window, encoding and mnemonic;
and every difference in its smallest form. FILE has all counts. Status 1 if there is a difference, or a shard is missing;
2 if there is nothing."""
import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

# What is no sum over shards.
LARGEST = ("edges", "features")


def read_log(path):
    text = path.read_text(errors="replace")
    counts = {name.strip(): int(value) for name, value in re.findall(r"^ *([a-z][a-z ]*?)  +(\d+)", text, re.M)}
    seconds = re.search(r"workers, ([0-9.]+) s\)", text)
    processor = re.search(r"^processor +(.*)$", text, re.M)
    return counts, float(seconds.group(1)) if seconds else 0.0, processor.group(1) if processor else "?"


def read_coverage(path):
    """{(window, encoding, mnemonic): states}"""
    lines = path.read_text().splitlines() if path.is_file() else []
    return Counter({tuple(line.split("\t")[:3]): int(line.split("\t")[3]) for line in lines})


class Sweep:
    """A folder of shards."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.mode, shards = (self.folder / "sweep").read_text().split()
        self.shards = int(shards)
        self.total, self.processors, self.coverage = {}, Counter(), {}
        self.seconds, self.missing, self.restarted = 0.0, [], 0
        for number in range(self.shards):
            self.add(number)
        self.differences = sorted((self.folder / "differences").glob("*.txt"))

    def add(self, number):
        starts, log = self.folder / f"{number}.starts", self.folder / f"{number}.log"
        self.restarted += starts.is_file() and len(starts.read_text().splitlines()) > 1
        if not log.is_file():
            self.missing.append(number)
            return
        counts, took, processor = read_log(log)
        for name, value in counts.items():
            old = self.total.get(name, 0)
            self.total[name] = max(old, value) if name in LARGEST else old + value
        self.processors[processor] += counts.get("states", 0)
        self.seconds += took
        self.coverage.setdefault(processor, Counter()).update(read_coverage(self.folder / f"{number}.coverage"))

    @property
    def states(self):
        return self.total.get("states", 0)

    @property
    def is_clean(self):
        return not (self.missing or self.differences or self.total.get("differences", 0))

    def print_counts(self):
        print(f"{self.folder.name}: {self.mode}")
        print(f"  shards      {self.shards - len(self.missing):14d}  of {self.shards}; "
              f"{self.restarted} tasks were started more than once")
        print(f"  states      {self.states:14d}  in {self.seconds / 3600:.2f} hours of a processor, "
              f"{self.states / max(self.seconds, 0.001) * 3600 / 1e6:.2f} million an hour")
        for name in ("rows run", "distinct forms", "stepped", "fault natively") + LARGEST:
            if name in self.total:
                print(f"  {name:12s}{self.total[name]:14d}")
        print(f"  differences {self.total.get('differences', len(self.differences)):14d}  "
              f"{len(self.differences)} after reduction")
        if self.missing:
            print("  missing     " + " ".join(map(str, self.missing)))

    def report(self):
        return {"mode": self.mode, "shards": self.shards, "missing": self.missing, "restarted": self.restarted,
                "seconds": self.seconds, "counts": self.total, "processors": self.processors,
                "differences": [path.name for path in self.differences]}


def covered(sweeps):
    """{processor: {mode: {window: {encoding: {mnemonic: states}}}}}"""
    result = {}
    for sweep in sweeps:
        for processor, counts in sweep.coverage.items():
            for (window, encoding, mnemonic), states in counts.items():
                place = result.setdefault(processor, {}).setdefault(sweep.mode, {}).setdefault(window, {})
                by_name = place.setdefault(encoding, {})
                by_name[mnemonic] = by_name.get(mnemonic, 0) + states
    return result


def print_coverage(coverage):
    for processor, modes in sorted(coverage.items()):
        print(f"\ncovered on {processor}:")
        print("  mode         window      encoding  mnemonics          states   fewest states of one")
        for mode, windows in sorted(modes.items()):
            for window, encodings in sorted(windows.items()):
                for encoding, names in sorted(encodings.items()):
                    fewest = min(names, key=lambda name: (names[name], name))
                    print(f"  {mode:12s} {window:11s} {encoding:8s} {len(names):10d} {sum(names.values()):15d}   "
                          f"{names[fewest]} {fewest}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="all counts go there")
    parser.add_argument("folders", nargs="+", metavar="OUT")
    options = parser.parse_args()
    folders = [Path(folder) for folder in options.folders]
    for folder in folders:
        if not (folder / "sweep").is_file():
            print(f"merge.py: {folder}: no task has begun there", file=sys.stderr)
            return 2
    sweeps = [Sweep(folder) for folder in folders]
    for sweep in sweeps:
        sweep.print_counts()
    coverage = covered(sweeps)
    print_coverage(coverage)
    for path in (path for sweep in sweeps for path in sweep.differences):
        print(f"\n{path}\n{path.read_text().rstrip()}")
    if options.json:
        report = {"version": 2, "sweeps": {str(sweep.folder): sweep.report() for sweep in sweeps},
                  "coverage": coverage}
        Path(options.json).write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    if not any(sweep.total or sweep.differences for sweep in sweeps):
        return 2
    return 0 if all(sweep.is_clean for sweep in sweeps) else 1


if __name__ == "__main__":
    sys.exit(main())
