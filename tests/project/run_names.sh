#!/usr/bin/env bash
# run_names.sh RUN.SH: a test that is misspelled is an error, not a success. Tried on a build of its own.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
run=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/meson.build" << 'END'
project('names')
test('good', find_program('true'))
test('bad', find_program('false'), suite: 'wrong')
END
meson setup "$work/build" "$work" > "$work/log" 2>&1
check "configures" 0 $?

# NAME...: the exit status of a run, and how many tests it ran.
outcome() {
    "$run" "$work/build" "$@" > "$work/said" 2>&1
    echo "$? $(grep -oE '^ *[0-9]+/[0-9]+ (names \/ )?[a-z]+' "$work/said" | sort -u | wc -l)"
}
check "a test that is there is run" "0 1" "$(outcome good)"
check "one that fails fails the run" "1 2" "$(outcome good bad)"
check "a name that no test has is an error" "1 0" "$(outcome goood)"
check "which is told" yes "$(grep -q 'has no test named goood' "$work/said" && echo yes)"
check "also among others" "1 0" "$(outcome good goood)"
check "without names all are run" "1 2" "$(outcome)"
check "those of a suite" "1 1" "$(outcome --suite wrong)"
check "all but those of a suite" "0 1" "$(outcome --no-suite wrong)"
check "a suite and names of it" "1 1" "$(outcome --suite wrong bad)"
check "a misspelled name after a suite" "1 0" "$(outcome --suite wrong baad)"

check_end
