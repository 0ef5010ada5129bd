#!/bin/sh
# run.sh BUILD [TEST...]: runs every test of a build, or those that are named, and closes with one line that counts
# them. A name that no test has is an error, and nothing is run: meson leaves it out without a word. Meson's own options
# may stand before the names: --suite quick.
set -u
build=$1
shift
names() {
    meson test -C "$build" --no-rebuild --list 2>/dev/null | sed 's/.* //'
}
if [ $# -gt 0 ]; then
    unknown=$(known=$(names)
        value=
        for name; do
            [ -z "$value" ] || { value=; continue; }
            case $name in
            --suite | --no-suite) value=1 ;;
            -*) break ;; # meson's other options, and their values
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
