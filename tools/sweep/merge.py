#!/usr/bin/env python3
"""merge.py OUT SHARDS: adds the logs of a sweep's tasks up, and prints what was covered, by window and by processor, how
fast, and every difference in its smallest form. Status 1 if there is a difference, or a shard is missing; 2 if there is
nothing."""
import json
import re
import sys
from pathlib import Path


def read(path):
    text = path.read_text(errors="replace")
    counts = {name.strip(): int(value) for name, value in re.findall(r"^ *([a-z][a-z ]*?)  +(\d+)", text, re.M)}
    seconds = re.search(r"workers, ([0-9.]+) s\)", text)
    processor = re.search(r"^processor +(.*)$", text, re.M)
    return counts, float(seconds.group(1)) if seconds else 0.0, processor.group(1) if processor else "?"


def main(out, shards):
    out, shards = Path(out), int(shards)
    total, processors, seconds, missing, restarted = {}, {}, 0.0, [], 0
    for shard in range(shards):
        path = out / ("%d.log" % shard)
        if not path.is_file():
            missing.append(shard)
            continue
        counts, took, processor = read(path)
        for name, value in counts.items():
            total[name] = total.get(name, 0) + value
        processors[processor] = processors.get(processor, 0) + counts.get("states", 0)
        seconds += took
        starts = out / ("%d.starts" % shard)
        restarted += starts.is_file() and len(starts.read_text().splitlines()) > 1
    if not total:
        print("merge.py: no shard of %d is done in %s" % (shards, out), file=sys.stderr)
        return 2
    differences = sorted((out / "differences").glob("*.txt")) if (out / "differences").is_dir() else []
    print("shards      %14d  of %d, %d of them started more than once" % (shards - len(missing), shards, restarted))
    print("states      %14d  in %.1f hours of a processor, %.0f million an hour" % (
        total.get("states", 0), seconds / 3600, total.get("states", 0) / max(seconds, 0.001) * 3600 / 1e6))
    for name in ("alias", "exposed", "callback", "forced", "mixed"):
        print("  %-10s%14d" % (name, total.get(name, 0)))
    for name in ("rows run", "distinct forms", "stepped", "fault natively"):
        if name in total:
            print("%-12s%14d" % (name, total[name]))
    for processor, states in sorted(processors.items()):
        print("on          %14d  %s" % (states, processor))
    print("differences %14d  %d after reduction" % (total.get("differences", 0), len(differences)))
    for path in differences:
        print("\n%s\n%s" % (path, path.read_text().rstrip()))
    if missing:
        print("\nmissing: " + " ".join(map(str, missing)))
    report = {"version": 1, "shards": shards, "missing": missing, "restarted": restarted, "seconds": seconds,
              "counts": total, "processors": processors, "differences": [path.name for path in differences]}
    (out / "report.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    return 1 if missing or differences or total.get("differences", 0) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
