#!/usr/bin/env bash
# ctx_shadow.sh PROGRAM SHIM MODE...: runs each case of ctx_shadow.c and ctx_shadow_threads.c as it is, and then with
# each of those of clone_shim.c's ways to handle its clones; then other people's programs. Without randomization, so
# that a program that another one executes has the shim where the filter, which it inherits, lets its calls pass.
set -uo pipefail
program=$(realpath "$1")
shim=$(realpath "$2")
modes=("${@:3}")
passed=0 failed=0

if ! setarch -R true 2>/dev/null; then
    echo "SKIP: addresses cannot be left unrandomized here"
    exit 77
fi

# run MODE COMMAND...
run() {
    local mode=$1
    shift
    if [ -n "$mode" ]; then
        timeout -k 5 60 setarch -R env CLONE_SHIM="$mode" LD_PRELOAD="$shim" "$@"
    else
        timeout -k 5 60 setarch -R "$@"
    fi
}

note() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL ${*:2} (status $1)"
    fi
}

for mode in '' "${modes[@]}"; do
    for case in $("$program"); do
        # A program that is executed where every call is trapped has no handler when its loader makes the first.
        [[ $mode == a* && $case == exec_* ]] && continue
        [[ $mode == *n && $case == clone3_* ]] && continue
        run "$mode" "$program" "$case"
        note $? "$case" "${mode:-as it is}"
    done
done

# compare COMMAND...: the same output and status whoever makes the clones.
compare() {
    local mode wanted got
    command -v "$1" >/dev/null || { echo "SKIP $1: it is not installed"; return; }
    wanted=$(run '' "$@" 2>&1; echo "status $?")
    for mode in "${modes[@]}"; do
        [[ $mode == m* && $mode != *n ]] || continue
        got=$(run "$mode" "$@" 2>&1; echo "status $?")
        [ "$got" = "$wanted" ]
        note $? "$mode $*: $got, wanted $wanted"
    done
}

compare python3 -c '
import os, subprocess, threading
print(os.system("exit 3"), subprocess.run(["echo", "a"], capture_output=True).stdout)
print(subprocess.run("exit 4", shell=True).returncode, subprocess.check_output(["sh", "-c", "echo b; exit 0"]))
print(subprocess.run(["true"], close_fds=False).returncode)
pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], os.environ)
print(os.waitpid(pid, 0)[1])
threads = [threading.Thread(target=lambda: subprocess.run(["true"], check=True)) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
try: subprocess.run(["/nowhere/missing"])
except FileNotFoundError: print("missing")
pid = os.fork()
if pid == 0: os._exit(6)
print(os.waitpid(pid, 0)[1])'
compare python3 -c '
import multiprocessing
with multiprocessing.Pool(3) as pool: print(sum(pool.map(abs, range(-50, 50))))'
compare bash -c 'seq 1 1000 | sort -rn | head -n 3; (exit 7); echo $?; x=$(echo a | tr a b); echo "$x"'
compare sh -c 'echo a | cat; (exit 3); echo $?'
compare perl -e 'print `echo a`; system("sh", "-c", "exit 4"); print $? >> 8, "\n"; 
    defined(my $p = fork) or die; exit 5 unless $p; waitpid $p, 0; print $? >> 8, "\n"'

[ "$failed" = 0 ] || exit 1
echo "[  PASSED  ] $passed test(s)."
