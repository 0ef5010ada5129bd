#!/bin/bash
# runtimes.sh BUILD [RUNTIME...]: each runtime runs a program that uses its own fault handler and its collector, with a
# library that uses Segue (probe.c) loaded
#   early           by LD_PRELOAD, before the runtime installs its handlers
#   late            by dlopen, from the program
#   sigchain-early  early, behind libsegue-sigchain.so
#   sigchain-late   late, with libsegue-sigchain.so preloaded
# The program must print what it prints without Segue, and the probe's page must be stepped, or segue_install_check must
# name whoever has taken SIGSEGV: as the table says. docs/runtimes.md explains it. A runtime that is not installed is
# skipped.
set -u
here=$(cd "$(dirname "$0")" && pwd)
programs=$here/programs
build=$(cd "$1" && pwd) || exit 1
shift
probe=$build/tests/runtimes/probe.so
sigchain=$build/libsegue-sigchain.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$here/../support/check.sh"
skipped=0

# RUNTIME, what early finds and by whom, late, the two with sigchain:
#   stepped    the page is stepped
#   refused    this object has SIGSEGV, and the page is not touched
#   forwards   the same; but the object forwards to the handler that it found: the page is stepped all the same
#   aside      sigchain stands aside: as without it
table='
boehm   forwards libgc      stepped stepped
lua     stepped  -          stepped stepped
luajit  stepped  -          stepped stepped
python  refused  python     stepped stepped
ruby    refused  libruby    stepped stepped
node    refused  node       stepped stepped
java    forwards libjvm     stepped stepped
sbcl    refused  sbcl       stepped stepped
mono    refused  mono       stepped stepped
go      forwards golang     stepped aside
clisp   refused  libsigsegv stepped stepped
'
for name; do
    echo "$table" | grep -q "^$name " || { echo "runtimes.sh: there is no runtime $name" >&2; exit 1; }
done

# Sets `command` to what runs the program of a runtime; fails with a reason if it cannot.
prepare() {
    case $1 in
    boehm) command=("$build/tests/runtimes/boehm") needs=${command[0]} ;;
    lua) command=(lua5.4 "$programs/lua.lua") needs=lua5.4 ;;
    luajit) command=(luajit "$programs/lua.lua") needs=luajit ;;
    python) command=(/usr/bin/python3 "$programs/python.py") needs=/usr/bin/python3 ;;
    ruby) command=(ruby "$programs/ruby.rb") needs=ruby ;;
    node) command=(node "$programs/node.js") needs=node ;;
    java) command=(java -cp "$work" Main) needs=javac ;;
    sbcl) command=(sbcl --no-sysinit --no-userinit --non-interactive --load "$programs/sbcl.lisp") needs=sbcl ;;
    mono) command=(mono "$work/mono.exe") needs=mcs ;;
    go) command=("$work/golang") needs=go ;;
    clisp) command=(clisp -q -norc "$programs/clisp.lisp") needs=clisp ;;
    esac
    command -v "$needs" >/dev/null || { reason="no ${needs##*/}"; return 1; }
    case $1 in
    java) javac -d "$work" "$programs/Main.java" ;;
    mono) mcs -out:"$work/mono.exe" "$programs/mono.cs" ;;
    go) GOCACHE=$work/cache GO111MODULE=off go build -o "$work/golang" "$programs/golang.go" ;;
    esac >"$work/log" 2>&1 || { reason="cannot build the program: $(tail -n 1 "$work/log")"; return 1; }
}

# NAME=VALUE...: runs the program with these variables. The end of its output, and its status, are in the file `with`.
run() {
    local status
    { timeout 300 env "$@" "${command[@]}" >"$work/output" 2>"$work/errors"; } 2>/dev/null
    status=$?
    { tail -n 20 "$work/output"; echo "ends with $status"; } >"$work/with"
}

# WHICH PRELOADED EXPECTED [NAME=VALUE]
try() {
    local found expected=$3
    : >"$work/report"
    run PROBE="$probe" PROBE_REPORT="$work/report" LD_PRELOAD="$2" ${4:+"$4"}
    # What touched before the runtime took the signal does not count.
    found=$(grep '^refused' "$work/report" | sort -u | paste -s -d , -)
    [ -n "$found" ] || found=$(sort -u "$work/report")
    local before=$failed
    check "$name, $1: what it prints" "$(cat "$work/without")" "$(cat "$work/with")"
    [ "$failed" = "$before" ] || tail -n 5 "$work/errors"
    printf '%-7s %-15s %s\n' "$name" "$1" "$found"
    case $found in "$expected"*) found=$expected ;; esac
    check "$name, $1: the probe's page" "$expected" "$found"
}

while read -r name early object late behind; do
    [ -n "$name" ] || continue
    [ $# = 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    if ! prepare "$name"; then
        echo "SKIP: $name: $reason"
        skipped=$((skipped + 1))
        continue
    fi
    run LD_PRELOAD=
    mv "$work/with" "$work/without"
    check "$name without Segue" "ends with 0" "$(tail -n 1 "$work/without")"
    first=stepped
    [ "$early" = stepped ] || first="refused SIGSEGV $object"
    try early "$probe" "$first"
    [ "$early" != forwards ] || try early-insists "$probe" stepped PROBE_INSIST=1
    try late "" "$late"
    if [ "$behind" = aside ]; then
        try sigchain-early "$sigchain $probe" "$first"
        try sigchain-late "$sigchain" "$late"
    else
        try sigchain-early "$sigchain $probe" "$behind"
        try sigchain-late "$sigchain" "$behind"
    fi
done <<<"$table"

# LuaJIT with its whole heap closed: the same output, nothing refused, and hot sites in place of nearly all signals.
if [ $# = 0 ] || [[ " $* " = *" luajit "* ]]; then
    declare -A steps
    for how in "" watched hot; do
        command=("$build/tests/runtimes/luajit_heap" "$programs/heap.lua" $how)
        run LD_PRELOAD=
        steps[_$how]=$(sed -n 's/^stepped \([0-9]*\) refused 0$/\1/p' "$work/errors")
        if grep -qx 'ends with 77' "$work/with"; then
            echo "SKIP: luajit's heap: no libluajit-5.1.so.2"
            skipped=$((skipped + 1))
            break
        fi
        [ -n "$how" ] || mv "$work/with" "$work/without"
        [ -z "$how" ] || check "luajit, heap $how: what it prints" "$(cat "$work/without")" "$(cat "$work/with")"
        [ "$how" != watched ] || check "luajit, heap $how: all is seen" yes \
            "$([ "${steps[_watched]:-0}" -gt 100000 ] && echo yes)"
        [ "$how" != hot ] || check "luajit, heap $how: few signals" yes \
            "$([ "${steps[_hot]:-999999}" -lt $((${steps[_watched]} / 50)) ] && echo yes)"
        printf 'luajit  heap %-10s %s steps by signals\n' "${how:-open}" "${steps[_$how]}"
    done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
