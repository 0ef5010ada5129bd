#!/usr/bin/env bash
# python.sh MODULE INCLUDE LIBRARY [SEGUE]: the Python module has the layout of the headers' structs, does what its own
# examples say, and makes a script a decoder for the corpus.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
module=$1 include=$2
SEGUE_LIBRARY=$(realpath "$3")
export SEGUE_LIBRARY
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! command -v python3 > /dev/null; then
    echo "SKIP: no python3"
    exit 77
fi
PYTHONPATH=$(dirname "$module")
export PYTHONPATH PYTHONDONTWRITEBYTECODE=1

# Each field's place, by Python; and by a compiler.
python3 - > "$work/python" << 'PY'
import ctypes, segue
for name, kind in (("insn", segue.Insn), ("memory_operand", segue.MemoryOperand), ("access", segue._Access),
                   ("regs", segue.Regs), ("xstate", segue._Xstate)):
    print(name, ctypes.sizeof(kind))
    for field in kind._fields_:
        print(name + "." + field[0], getattr(kind, field[0]).offset, getattr(kind, field[0]).size)
PY
{
    echo '#include <segue/segue.h>'
    echo '#include <stdio.h>'
    echo '#include <stddef.h>'
    echo 'int main(void)'
    echo '{'
    while read -r name _; do
        struct=${name%.*} field=${name#*.}
        case $name in
        *.*) echo "printf(\"$name %zu %zu\\n\", offsetof(struct segue_$struct, $field)," \
            "sizeof ((struct segue_$struct *)0)->$field);" ;;
        *) echo "printf(\"$name %zu\\n\", sizeof(struct segue_$name));" ;;
        esac
    done < "$work/python"
    echo '}'
} > "$work/layout.c"
cc -I "$include" -o "$work/layout" "$work/layout.c"
check "there are structs" yes "$([ "$(wc -l < "$work/python")" -gt 60 ] && echo yes)"
check "and they have the headers' layout" "$("$work/layout")" "$(cat "$work/python")"
check "its examples" "" "$(python3 -m doctest "$module" 2>&1)"

run() {
    python3 -c "import segue
$1" 2>&1
}
check "the version" "$(sed -n 's/.*SEGUE_VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9]\)$/\2/p' "$include/segue/status.h" |
    paste -s -d .)" "$(run 'print(segue.version)')"
check "too few bytes" "4" "$(run '
try: segue.decode(b"\x48")
except segue.Error as error: print(error.status)')"
check "no instruction" "3" "$(run '
try: segue.decode(b"\x06")
except segue.Error as error: print(error.status)')"
check "in 32 bits it is one" "push" "$(run 'print(segue.decode(b"\x06", segue.MODE_32).name)')"
check "a range with a byte that begins none" "[(0, 'nop'), (1, None), (2, 'nop')]" \
    "$(run 'print([(at, insn and insn.name) for at, insn in segue.disassemble(b"\x90\x06\x90")])')"
check "a repeated string is two accesses of as many elements" "[(4096, 24, 'read', 8), (8192, 24, 'write', 8)]" \
    "$(run 'print([one[:4] for one in segue.decode(b"\xf3\x48\xa5").accesses(rcx=3, rsi=0x1000, rdi=0x2000)])')"
check "a mask selects" "[(4096, 4, 'write', 4), (4104, 4, 'write', 4)]" \
    "$(run '
area = bytearray(832)
area[512] = 7
area[176:192] = bytes.fromhex("000000800000000000000080ffffff7f")
insn = segue.decode(bytes.fromhex("c4e2712e10"))
print([one[:4] for one in insn.accesses(rax=0x1000, xstate=area)])')"
check "without a list there is a reason" yes "$(run '
try: segue.decode(bytes.fromhex("0f38f603")).accesses()
except segue.Error as error: print("yes" if len(str(error)) > 10 else error)')"
check "no such register" "there is no register xyz" "$(run '
try: segue.decode(b"\x90").accesses(xyz=1)
except TypeError as error: print(error)')"
check "mnemonics have their numbers" "True mov" \
    "$(run 'names = segue.mnemonics(); insn = segue.decode(b"\x89\x03")
print(names["mov"] == insn.mnemonic, insn.name)')"

if [ $# -gt 3 ]; then
    # The document's program; and one that also names instructions.
    awk '/^```python/ { inside = 1; next } /^```/ { inside = 0 } inside' \
        "$(dirname "$0")/../../docs/python.md" > "$work/mine.py"
    sed 's/return insn.length$/return insn.length, insn.name/' "$work/mine.py" > "$work/named.py"
    printf '488b0433\n90\n06\n0f05\n' > "$work/rows"
    "$4" corpus check --referee none --decoder "mine=python3 $work/mine.py" --json "$work/report" "$work/rows" \
        > "$work/out" 2>&1
    "$4" corpus check --referee none --decoder "mine=python3 $work/named.py" --json "$work/named" "$work/rows" \
        > "$work/out" 2>&1
    check "names are compared, operands that are missing too" "0 0 1" "$(python3 -c "
import json
mine = json.load(open('$work/named'))['decoders']['mine']
print(mine['length'], mine['mnemonic'], mine['operands'])" 2>&1 || head -5 "$work/out")"
    check "a script is a decoder for the corpus" "4 0 0" "$(python3 -c "
import json
mine = json.load(open('$work/report'))['decoders']['mine']
print(mine['asked'], mine['status'], mine['length'])" 2>&1 || head -5 "$work/out")"
fi

check_end
