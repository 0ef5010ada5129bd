#!/usr/bin/env bash
# pages.sh MAN3 LIBRARY INCLUDE SEGUE SEGUE.1 SEGUE-VERB.1...: each public function and each verb has a manual page,
# which groff reads without a warning.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
pages=$1 library=$2 include=$3 segue=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{
    nm -D --defined-only "$library" | grep -o 'segue_[a-z_0-9]*' | grep -v '_$'
    tr '\n' ' ' < <(cat "$include"/segue/*.h) | grep -oE 'SEGUE_INLINE [a-z_0-9 *]*(segue_[a-z_0-9]+)\(' |
        grep -oE 'segue_[a-z_0-9]+\(' | tr -d '(' | grep -v '_$'
} | sort -u > "$work/functions"
find "$pages" -name '*.3' -printf '%f\n' | sed 's/\.3$//' | sort > "$work/pages"
check "there are functions" yes "$([ "$(wc -l < "$work/functions")" -gt 100 ] && echo yes)"
check "each function has its page" "" "$(comm -23 "$work/functions" "$work/pages" | paste -s -d ' ')"
check "and each page its function" "" "$(comm -13 "$work/functions" "$work/pages" | paste -s -d ' ')"
mapfile -t whole < <(grep -L '^\.so ' "$pages"/*.3)
for section in NAME SYNOPSIS DESCRIPTION 'SEE ALSO'; do
    check "each has a section $section" "" "$(grep -L "^\.SH $section\$" "${whole[@]}")"
done
check "those that lead to another lead to one that is there" "" \
    "$(sed -n 's|^\.so man3/||p' "$pages"/*.3 | sort -u | while read -r other; do
        [ -f "$pages/$other" ] || echo "$other"
    done)"
check "a description is not empty" "" "$(awk '
    FNR == 1 { was = "" }
    was == ".SH DESCRIPTION" && /^\.SH/ { print FILENAME }
    { was = $0 }' "${whole[@]}" | paste -s -d ' ')"

"$segue" help | sed -nE 's/^  ([a-z]+) .*/segue-\1.1/p' | grep -v '^segue-help' | sort > "$work/verbs"
check "each verb has its page" "$(paste -s -d ' ' "$work/verbs")" \
    "$(printf '%s\n' "${@:2}" | sed 's|.*/||' | sort | paste -s -d ' ')"
for page in "${@:2}"; do
    verb=$(basename "$page" .1)
    "$segue" help "${verb#segue-}" | sed -nE 's/^ +(-[a-z], )?(--[a-z-]+).*/\2/p' | sort -u > "$work/options"
    MANWIDTH=200 man -l "$page" 2> /dev/null | col -b > "$work/text"
    check "$verb has all options" "" "$(while read -r option; do
        grep -q -e "$option" "$work/text" || echo "$option"
    done < "$work/options")"
done

check "no warning" "" "$(groff -man -ww -z -Tutf8 "${whole[@]}" "$@" 2>&1 | head -5)"
check "as a reader has it" yes \
    "$(MANWIDTH=80 man -l "$pages/segue_region_add.3" 2> /dev/null | col -b | has '^RETURN VALUE' && echo yes)"
check "man has no warning either" "" "$(MANWIDTH=80 man --warnings -l "$pages/segue_region_add.3" 2>&1 > /dev/null)"

check_end
