#!/bin/sh
# run.sh BUILD [OPTION...]: runs every program in BUILD/bench, each with the options, and leaves tables (NAME.txt), JSON
# (NAME.json) and plots under BUILD/bench/report.
set -eu
here=$(dirname "$0")
[ $# -ge 1 ] || {
    echo "usage: run.sh BUILD [--quick] [--rounds N]" >&2
    exit 2
}
programs=$1/bench
report=$programs/report
shift

[ -d "$programs" ] || {
    echo "run.sh: there is no $programs; build first, with the option bench=true" >&2
    exit 1
}
command -v gnuplot >/dev/null 2>&1 || {
    echo "run.sh: gnuplot is missing, which draws the plots: make deps, or apt-get install gnuplot-nox" >&2
    exit 1
}

mkdir -p "$report"
ran=0
failed=
for program in "$programs"/*; do
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then
        continue
    fi
    name=$(basename "$program")
    rm -f "$report/$name".* "$report/$name"-*
    ran=$((ran + 1))
    if "$program" "$@" --json="$report/$name.json" >"$report/$name.txt"; then
        cat "$report/$name.txt"
        sh "$here/harness/plots.sh" "$report" "$name" || failed="$failed $name(plots)"
    else
        failed="$failed $name"
    fi
    echo
done
[ "$ran" -gt 0 ] || {
    echo "run.sh: there is no program in $programs; build first" >&2
    exit 1
}
[ -z "$failed" ] || {
    echo "run.sh: failed:$failed" >&2
    exit 1
}
echo "tables, JSON and plots: $report"
