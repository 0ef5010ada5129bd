#!/usr/bin/env bash
# explain_cut.sh SEGUE: of a file that was cut, segue explain names the table that is missing, where it should be, and
# where the file ends, and does not take the file for a stripped one. What is whole before the cut is explained.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
segue=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

cat > a.c <<'C'
int first(int a) { return a * 3; }
int main(int n, char **v) { return first(n) + **v; }
C
gcc -O1 -c -o a.o a.c && gcc -O1 -o a a.c && ar rc l.a a.o && gcc -m32 -c -o a32.o a.c || exit 1
figure() {
  readelf -hW "$1" 2> /dev/null | sed -n "s/.*$2: *\([0-9]*\).*/\1/p" | head -1
}
size=$(stat -c %s a)
sections=$(figure a 'Start of section headers')
section_bytes=$((64 * $(figure a 'Number of section headers')))
segment_bytes=$((56 * $(figure a 'Number of program headers')))
entry=0x$(nm a | sed -n 's/^0*\([0-9a-f]*\) T main/\1/p')

# cut FILE SIZE PLACE WHAT BYTES OFFSET
cut() {
  local status=0
  head -c "$2" "$1" > c
  "$segue" explain "c:$3" > out 2> err || status=$?
  check "$1 of $2 bytes, $3: status" 1 "$status"
  check "$1 of $2 bytes, $3" \
    "segue explain: c is cut short: its $4 ($5 bytes at offset $(printf 0x%x "$6")) should end at\
 offset $(printf 0x%x $(($5 + $6))), and the file ends at $(printf 0x%x "$2"), after $2 bytes; give the whole file" \
    "$(cat err)"
}

for short in 4 5 16 63; do
  cut a $short main "ELF header" 64 0
  cut a $short 0x1000 "ELF header" 64 0
done
cut a32.o 51 main "ELF header" 52 0
for short in 64 1000 "$sections" $((sections + 64)) $((size - 1)); do
  cut a "$short" main "section header table" $section_bytes "$sections"
  cut a "$short" .text "section header table" $section_bytes "$sections"
done
cut a 64 "$entry" "program header table" $segment_bytes 64
cut a $((64 + segment_bytes - 1)) "$entry" "program header table" $segment_bytes 64
cut a.o 64 main "section header table" $((64 * $(figure a.o 'Number of section headers'))) \
  "$(figure a.o 'Start of section headers')"
member=$(($(stat -c %s l.a) - $(stat -c %s a.o)))
cut l.a $((member + 100)) main member "$(stat -c %s a.o)" $member
cut l.a $((member - 1)) main "member's header" 60 $((member - 60))

head -c 1000 a > c
"$segue" explain "c:$entry" 2> err
check "bytes behind the cut" yes \
  "$(grep -q "c is cut short: the bytes of address $entry are at offset 0x[0-9a-f]*, and the file \
ends at 0x3e8, after 1000 bytes" err && echo yes || cat err)"
head -c "$sections" a > c
check "an address before the cut" "$("$segue" explain "a:$entry")" "$("$segue" explain "c:$entry")"

# Tables that end past the file's end with headers before them: the symbols' offset is moved there.
python3 - <<'END'
import struct
d = bytearray(open('a', 'rb').read())
at, n = struct.unpack_from('<Q', d, 40)[0], struct.unpack_from('<H', d, 60)[0]
for i in range(n):
    kind = struct.unpack_from('<I', d, at + 64 * i + 4)[0]
    if kind == 2:
        struct.pack_into('<Q', d, at + 64 * i + 24, len(d) - 8)
open('moved', 'wb').write(d)
END
"$segue" explain moved:nosuch 2> err
check "a symbol table past the end" yes \
  "$(grep -q "moved is cut short: its symbol table ([0-9]* bytes at offset $(printf 0x%x $((size - 8))))" err &&
    echo yes || cat err)"

# What is whole and stripped is reported as before.
strip -o stripped a
"$segue" explain stripped:main 2> err
check "stripped" yes "$(grep -q "has no symbol 'main'.*if the file was stripped" err && echo yes || cat err)"
"$segue" explain a:0x7000000000 2> err
check "no such address" yes "$(grep -q 'address 0x7000000000 is not in a' err && echo yes || cat err)"
"$segue" explain l.a:nosuch 2> err
check "no such symbol in an archive" yes "$(grep -q "l.a has no symbol 'nosuch'" err && echo yes || cat err)"

check_end
