#!/usr/bin/env bash
# compiles.sh SOURCE LIST TARGET COMPILER...: compiles every file of the library that no system's name is in, for
# another target, and holds what LIST says of it. Files that it does not speak of may fail: they are printed, with their
# first error.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
source=$1
list=$(realpath "$2")
target=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$source" || exit 1

# Whether LIST says that a file must compile: by its name, or by the folder that it is in.
must() {
    awk -v file="$1" -v target="$target" '
        $1 == "not" { if ($2 == file && (" " $3 " " ~ "[ ,]" target "[ ,]" || $3 == "all")) excepted = 1; next }
        NF && $1 !~ /^#/ && ($1 == file || index(file, $1 "/") == 1) { found = 1 }
        END { exit !found || excepted }' "$list"
}
# Whether LIST says that it does not.
excepted() {
    awk -v file="$1" -v target="$target" '
        $1 == "not" && $2 == file && (" " $3 " " ~ "[ ,]" target "[ ,]" || $3 == "all") { found = 1 }
        END { exit !found }' "$list"
}

# Files of a system, and those of a processor that this is not.
case $target in
x86_64-*) others='linux|darwin|freebsd|windows|posix|i386' ;;
*) others='linux|darwin|freebsd|windows|posix|x86_64' ;;
esac
find decode emulate patch ctx signals platform -name '*.c' | grep -vE "[_/]($others)[_./]" | sort >"$work/files"

compiled=0 all=0
while read -r file; do
    all=$((all + 1))
    if "$@" -c -o "$work/object" "$file" 2>"$work/errors"; then
        compiled=$((compiled + 1))
        excepted "$file" && check "$file compiles for $target: take it off $list" "" compiles
        must "$file" && passed=$((passed + 1))
    elif must "$file"; then
        check "$file must compile for $target" "" "$(cat "$work/errors")"
    else
        printf '%s: %s\n' "$file" "$(grep -m 1 -E '(error|Fehler):' "$work/errors" | sed 's/.*error: //')"
    fi
done <"$work/files"
echo "$compiled of $all files compile for $target"

# What LIST speaks of is there.
while read -r word file rest; do
    [ "$word" = not ] || file=$word
    [ -e "$file" ] || check "$list speaks of $file" "a file or a folder" "nothing"
done < <(grep -vE '^(#|$)' "$list")
check "there is something that must compile" yes "$([ "$passed" -gt 0 ] && echo yes)"
check_end
