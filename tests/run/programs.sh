#!/usr/bin/env bash
# programs.sh SEGUE TABLE [ROW...]: runs the programs of a table natively and under `segue run`, each in a directory of
# its own with the same files, and compares standard output, standard error and exit status.
#   SEGUE_RUN_OPTIONS   options of segue run, as --lazy
#   SEGUE_ROUNDS        how often each row is run; 1
set -uo pipefail
segue=$(realpath "$1")
table=$(realpath "$2")
here=$(dirname "$(realpath "$0")")
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
export LC_ALL=C TZ=UTC PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

mkdir "$work/files"
(cd "$work/files" && "$here/programs_files.sh") || exit 1

# run NAME RUNNER...: in a fresh copy of the files, at a path of the same length whoever runs it.
run() {
    local name=$1
    shift
    rm -rf "$work/here"
    cp -a "$work/files" "$work/here"
    {
        (cd "$work/here" && PORT=$port timeout -k 5 120 "$@" bash -c "$command" \
            <"$work/input" >"$work/$name.out" 2>"$work/$name.err")
        echo $? >"$work/$name.status"
    } 2>/dev/null
}

# What differs from run to run whoever runs it: numbers of processes that a shell prints.
plain() {
    sed -E 's/(line [0-9]+:) +[0-9]+ /\1 PID /; s/^\[([0-9]+)\] [0-9]+$/[\1] PID/' "$1"
}

# One that no one listens on, below those that the system gives to clients.
port=$((20000 + $$ % 12000))
next_port() {
    port=$((20000 + (port - 19999) % 12000))
    while (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((20000 + (port - 19999) % 12000))
    done
}

compare() {
    local kind what=
    for kind in out err status; do
        if ! diff <(plain "$work/native.$kind") <(plain "$work/segue.$kind") >"$work/difference"; then
            what="$what $kind"
            sed "s/^/    $kind: /" "$work/difference" | head -8
        fi
    done
    [ -z "$what" ]
}

while IFS=$'\t' read -r name command input || [ -n "$name" ]; do
    case $name in '' | '#'*) continue ;; esac
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    program=${command%% *}
    if ! command -v "$program" >/dev/null && [[ $program != *[\;=]* ]]; then
        echo "SKIP $name: $program is not installed"
        skipped=$((skipped + 1))
        continue
    fi
    printf '%b' "$input" >"$work/input"
    next_port
    run native env
    for ((round = 0; round < ${SEGUE_ROUNDS:-1}; round++)); do
        next_port
        run segue "$segue" run ${SEGUE_RUN_OPTIONS-}
        if compare; then
            passed=$((passed + 1))
        else
            echo "FAILED: $name"
            failed=$((failed + 1))
        fi
    done
done <"$table"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
