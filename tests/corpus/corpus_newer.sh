#!/usr/bin/env bash
# corpus_newer.sh SEGUE SOURCE: rows of instruction sets that came after Zydis 4.0.0, and of encodings that processors
# pass over, have a class that says who is right; rows that only look like them have none, and fail the check.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
segue=$1
data=$2/corpus/data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Reads rows, lets one check look at them, and counts those that the class takes and its verdict; for "none", those that
# no class takes.
expect() {
  local class=$1 right=$2 claim=${3:-x} rows status
  rows=$(sed "s/$/\t$claim/")
  printf '%s\n' "$rows" > "$work/rows.hex"
  "$segue" corpus check --data "$data" --referee all --json "$work/report.json" "$work/rows.hex" > "$work/text"
  status=$?
  check "$class: $right, all $(wc -l < "$work/rows.hex") rows" "" \
    "$(python3 - "$work/report.json" "$status" "$class" "$right" <<'END'
import json, sys
path, status, name, right = sys.argv[1:]
report = json.load(open(path))
unknown = [example["bytes"] for example in report["unknown"]["examples"]]
if int(status) != (1 if unknown else 0):
    print("status", status)
if name == "none":
    if len(unknown) != report["rows"]:
        print("taken:", {key: [e["bytes"] for e in value["examples"]] for key, value in report["classes"].items()})
else:
    found = report["classes"].get(name, {"rows": 0, "right": right})
    if found["rows"] != report["rows"] or found["right"] != right or unknown:
        print(found["rows"], "of", report["rows"], "right", found["right"], "unknown", unknown, list(report["classes"]))
END
)"
}

expect rex2-newer-than-zydis source x <<'END'
d51001c8
d5c8af00
66d51001c8
d500a18877665544332211
f0d5100108
d51950
d580ae00
d59006
d580c7f0
END
expect evex-map-4-newer-than-zydis source x <<'END'
62f47c1001c8
62ecec1001417b
62fcf41083407b7f
62fcfc0cf7587b
62f47c0c01c8
62f4fc18ffc8
62d4fc0839c0
62f44c0039c8
62f47d0866c8
62f47c0840c8
62f47f1840c0
END
expect evex-with-apx-fields source x <<'END'
62fb794819040801
62f9788c1000
62f1780c101c20
62fa7d49c62c00
62f5780858c0
END
expect evex-newer-than-zydis source x <<'END'
62f17e082e00
62f17f082fc1
62f17c0890c1
62f17d08d603
62f27c0850c0
62f27d084900
628a6900e6b4ac23010000
62eaf700f6d0
62f37d08520000
62f57d0858c0
62f67c0898c0
62f77f08f6c1d88b3c75
62f6f44895c2
62f3fd482fc005
62f264485eca
62f364488dca07
62f67c0880c0
END
expect vex-newer-than-zydis source x <<'END'
c4e2785001
c4a2786cc3
c4e27fcbc0
c4e279da07
c4c379de00dd
c4e578fdd0
c4c77af6c70d0e44b0
c4e2fb49c0
END
expect source-knows-newer source x <<'END'
0f388b00
0f38fc08
f20f38f8c1
f30f01ca
f20f00f0
END
expect segue-reads-reserved-nops segue nop <<'END'
660f1ace
0f1a30
f3440f1aca
0f1b0500000000
f30f1b0590909090
END
expect ptwrite-with-66 segue INVALID <<'END'
66f30fae20
66f30faee5
66f3480fae20
66f30faee6
END
expect lenience-lock-verw zydis <<'END'
f00f002c24
END
expect lenience-lock-move-from-control-register source <<'END'
f00f20c1
END
expect lenience-evex-zeroing zydis <<'END'
62f17d88c4524000
62138dc8441cb282
62729dc0de5301
END
expect lenience-evex-b zydis <<'END'
62f2551f3bf4
62b2e51e47cc
END
expect lenience-vex-w zydis <<'END'
c4c37d00c912
END
expect lenience-mask-register-extension zydis <<'END'
c461799100
c5799126
c5ad41cb
END
expect lock-not-lockable zydis <<'END'
f08bc0
f0660f1ace
END
expect source-reads-other-modes zydis <<'END'
06
END
expect source-reads-fragments zydis <<'END'
0f3810
END
expect source-reads-obsolete zydis <<'END'
0f2411
END

# Rows of assemblers' test suites that only Capstone or objdump sees otherwise.
expect newer-hints objdump <<'END'
0f183d78563412
0f183578563412
END
expect capstone-segment-hides-66 zydis <<'END'
663e97
666597
662699
663698
END
expect capstone-segment-hides-mandatory-prefix zydis <<'END'
663e0fec4511
66640f2b03
66650fc4c301
END
expect capstone-evex-index-by-v-and-displacement zydis <<'END'
62e2e540465c0240
62e2e5509a5c8240
END
expect exact-conversions-with-rounding zydis INVALID <<'END'
62f157382af0
62f157387bf0
END

# What only looks like one of these: REX2 before what it may not stand before, and behind REX; EVEX behind a legacy
# prefix, in map 4 with a vector length, zeroing or an opcode that it has not, elsewhere with fields that its opcode has
# not; VEX opcodes that Zydis knows, with another W; LOCK before a reserved NOP; a claim of another length.
expect none nobody <<'END'
d51040c0
d51078c0
d510a5
d510e800000000
d5803100
d5808000000000
d5900fc0
d580ae20
48d51001c8
66d500a18877665544332211
6662f47c1001c8
62f47c3001c8
62f47c9001c8
62f47c100fc8
62f17c6858c0
62f1fc0858c0
62f97c6858c0
62f2550858c0
c4e2f90cc0
660f38c8c0
END
printf 'd51001c8\tINVALID\n4889d8\tINVALID\n' > "$work/two.hex"
"$segue" corpus check --data "$data" "$work/two.hex" > "$work/text"
check "a claim that is wrong: status" 1 $?
check "a claim that is wrong: one row" 1 "$(grep -c '^  4889d8' "$work/text")"

check_end
