#!/bin/sh
# format.sh SOURCE: C is laid out as .clang-format says. Headers for assembly are left out, and tests/programs,
# whose lines are cited by their numbers.
set -u
cd "$1" || exit 1
case $(clang-format --version 2>/dev/null) in
*"version 14."*) ;;
*)
    echo "SKIP: no clang-format 14, and other versions lay the same style out in another way"
    exit 77
    ;;
esac
list=$(mktemp)
trap 'rm -f "$list" "$list.said"' EXIT
{ git ls-files 2>/dev/null || find . -type f | sed 's|^\./||'; } | grep -E '\.(c|h|cpp)$' |
    grep -vE '^build|^tests/programs/' |
    xargs grep -LE '^[[:space:]]*\.macro|\.section' >"$list"
xargs clang-format --dry-run <"$list" 2>"$list.said" || { cat "$list.said"; exit 1; }
grep -E '^[^ ]+:[0-9]+:[0-9]+: warning' "$list.said" | sed 's/: warning: .*/: clang-format -i would change it/'
wrong=$(grep -cE '^[^ ]+:[0-9]+:[0-9]+: warning' "$list.said")
files=$(grep -oE '^[^ :]+:' "$list.said" | sort -u | wc -l)
echo "$(($(wc -l <"$list") - files)) passed, $files failed"
[ "$wrong" = 0 ]
