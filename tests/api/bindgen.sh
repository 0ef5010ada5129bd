#!/usr/bin/env bash
# bindgen.sh SOURCE LIBRARY: Rust's declarations of the headers, made as docs/install.md says, have every function that
# the library exports, and the compiler of C agrees with every size and alignment in them; rustc, where it is, compiles
# and runs the tests that bindgen puts into them.
set -uo pipefail
source=$1 library=$2
. "$source/tests/support/check.sh"
command -v bindgen > /dev/null || {
    echo "SKIP: there is no bindgen"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The document's commands, with our headers in place of installed ones.
awk '/^\*\*Rust\.\*\*/ { in_part = 1 }
    in_part && /^    / { print substr($0, 5); found = 1; next }
    found && NF { exit }' "$source/docs/install.md" > "$work/commands"
check "the document has commands" yes "$(grep -q '^bindgen ' "$work/commands" && echo yes)"
(cd "$work" && C_INCLUDE_PATH=$source/include bash -e commands) > "$work/log" 2>&1
check "bindgen takes the headers" 0 "$?"
cat "$work/log"

nm -D --defined-only "$library" | awk '{ sub(/@.*/, "", $3); print $3 }' | grep '^segue_' | sort -u > "$work/exported"
grep -oE 'pub fn segue_[a-z0-9_]+' "$work/segue.rs" | awk '{ print $3 }' | sort -u > "$work/declared"
check "functions that the library exports and the declarations lack" "" "$(comm -23 "$work/exported" "$work/declared")"
check "declarations of functions that the library does not export" "" "$(comm -13 "$work/exported" "$work/declared")"

# Of ::std::mem::size_of::<NAME>(), and on the next line 96usize: an assertion for the compiler of C.
{
    echo '#include "segue.h"'
    awk '/::std::mem::(size|align)_of::<segue_[a-z0-9_]*>\(\),$/ {
            what = /size_of/ ? "sizeof" : "_Alignof"; name = $0
            sub(/.*</, "", name); sub(/>.*/, "", name)
            getline
            printf "_Static_assert(%s(struct %s) == %d, \"%s\");\n", what, name, $1, name
        }' "$work/segue.rs" | sort -u | grep -vE '\(struct [a-z_0-9]*__bindgen'
} > "$work/layout.c"
check "sizes are there" yes "$([ "$(wc -l < "$work/layout.c")" -gt 40 ] && echo yes)"
check "the compiler of C agrees" "" "$(gcc -D_GNU_SOURCE -I "$source/include" -fsyntax-only "$work/layout.c" 2>&1)"
if command -v rustc > /dev/null && rustc --version > /dev/null 2>&1; then
    (cd "$work" && rustc --test -A warnings segue.rs -o layout) > "$work/log" 2>&1
    check "rustc compiles the tests" 0 "$?"
    "$work/layout" > "$work/log" 2>&1
    check "they hold" 0 "$?"
fi
[ "$failed" = 0 ] || cat "$work/log"
check_end
