#!/bin/sh
# run.sh BUILD [TEST...]: runs every test of a build, or those that are named, and closes with one line that counts them.
# A name that no test has is an error, and nothing is run: meson leaves it out without a word.
# WITHOUT, in the environment: the names of tests that are left out where none is named.
set -u
build=$1
shift
names() {
    meson test -C "$build" --no-rebuild --list 2>/dev/null | sed 's/.* //'
}
if [ $# -eq 0 ] && [ -n "${WITHOUT:-}" ]; then
    left_out=$(echo "$WITHOUT" | tr ' ' '|')
    # shellcheck disable=SC2046
    set -- $(names | grep -vxE "$left_out")
elif [ $# -gt 0 ]; then
    unknown=$(known=$(names)
        for name; do
            case $name in
            -*) break ;; # meson's own options, and their values
            *[*?:]*) ;;
            *) echo "$known" | grep -qxF -e "$name" || echo "$name" ;;
            esac
        done)
    if [ -n "$unknown" ]; then
        echo "run.sh: $build has no test named" $unknown "(meson test -C $build --list)" >&2
        exit 1
    fi
fi
meson test -C "$build" --no-rebuild --print-errorlogs "$@"
status=$?
awk '
    /\[  PASSED  \] [0-9]+ test/ { passed += $4 }
    /\[  FAILED  \] [0-9]+ test/ { failed += $4 }
    /\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
    /^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3; skipped += /skipped/ ? $5 : 0 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }
' "$build/meson-logs/testlog.txt"
exit $status
