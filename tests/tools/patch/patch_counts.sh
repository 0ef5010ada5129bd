#!/bin/sh
# patch_counts.sh SEGUE FILE...: holds the sites that `segue patch` would change against an independent list: the fs:
# operands that objdump prints, restricted to the functions that readelf finds in .eh_frame. Both lists must be the
# same, address by address. objdump reads a section from its beginning or from symbols, and data between functions can
# lead it astray; so where the lists differ it is asked again from the start of that function. Outside functions only
# strict forms may be changed, and objdump must see each of those as well. What this cannot show: anything about code
# that objdump itself reads wrongly.
set -eu
segue=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# The addresses of operands through fs, 16 digits each, sorted.
objdump_sites() {
    objdump -d --no-show-raw-insn "$@" |
        awk '/%fs:/ && !/nop/ { sub(":", "", $1); printf "%16s\n", $1 }' | tr ' ' 0 | LC_ALL=C sort -u
}

# "start end" of every function, likewise.
functions() {
    readelf --debug-dump=frames "$1" 2>/dev/null |
        awk '/ FDE / { split($0, part, "pc="); split(part[2], pc, "[.][.]"); print pc[1], pc[2] }' | LC_ALL=C sort -u
}

# Splits sorted addresses on standard input into those inside functions ($2) and outside ($3).
split_by_functions() {
    awk -v inside="$2" -v outside="$3" '
        BEGIN { printf "" > inside; printf "" > outside }
        FNR == NR { start[NR] = "x" $1; end[NR] = "x" $2; count = NR; next }
        {
            address = "x" $1
            while (at + 1 <= count && start[at + 1] <= address)
                at++
            # A function may reach over the start of the next.
            found = 0
            for (i = at; i > 0 && i > at - 4; i--)
                if (address < end[i])
                    found = 1
            print $1 > (found ? inside : outside)
        }' "$1" -
}

# The functions of $1 that the addresses on standard input lie in.
functions_of() {
    awk 'FNR == NR { start[NR] = "x" $1; end[NR] = "x" $2; line[NR] = $0; count = NR; next }
        {
            address = "x" $1
            while (at + 1 <= count && start[at + 1] <= address)
                at++
            print line[at]
        }' "$1" - | uniq
}

# Replaces what objdump said about the functions on standard input by what it says from their starts on.
ask_again() {
    while read -r start end; do
        awk -v start="x$start" -v end="x$end" '"x" $1 < start || "x" $1 >= end' "$work/objdump" >"$work/others"
        objdump_sites --start-address="0x$start" --stop-address="0x$end" "$1" |
            LC_ALL=C sort -u - "$work/others" >"$work/objdump"
    done
}

for file in "$@"; do
    objdump_sites "$file" >"$work/objdump"
    functions "$file" >"$work/functions"
    "$segue" patch --dry-run --json "$file" >"$work/json"
    sed -n '/^ "sites":/,/^ "reported":/p' "$work/json" |
        awk '/"address":/ { gsub(",", ""); printf "%016x\n", $2 }' | LC_ALL=C sort -u >"$work/segue"
    LC_ALL=C comm -3 "$work/objdump" "$work/segue" | tr -d '\t' >"$work/disputed"
    split_by_functions "$work/functions" "$work/disputed_in" "$work/disputed_out" <"$work/disputed"
    functions_of "$work/functions" <"$work/disputed_in" >"$work/again"
    ask_again "$file" <"$work/again"
    split_by_functions "$work/functions" "$work/objdump_in" "$work/objdump_out" <"$work/objdump"
    split_by_functions "$work/functions" "$work/segue_in" "$work/segue_out" <"$work/segue"
    missed=$(LC_ALL=C comm -23 "$work/objdump_in" "$work/segue_in" | wc -l)
    false=$(LC_ALL=C comm -13 "$work/objdump_in" "$work/segue_in" | wc -l)
    false_outside=$(LC_ALL=C comm -13 "$work/objdump_out" "$work/segue_out" | wc -l)
    left=$(LC_ALL=C comm -23 "$work/objdump_out" "$work/segue_out" | wc -l)
    echo "$(basename "$file"): $(wc -l <"$work/segue_in") in functions, missed $missed, false $false" \
        "($(wc -l <"$work/again") functions read again);"\
        "$(wc -l <"$work/segue_out") strict forms outside, false $false_outside; left alone outside $left"
    if [ "$missed" -ne 0 ] || [ "$false" -ne 0 ] || [ "$false_outside" -ne 0 ] || [ ! -s "$work/functions" ]; then
        failed=1
    fi
done
exit $failed
