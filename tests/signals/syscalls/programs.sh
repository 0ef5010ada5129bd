#!/bin/bash
# programs.sh PRELOAD TESTS [NAME...]: programs with all of their system calls caught (bench/preload/calls.c), or those
# of these names, print what they print natively, and end with the same status. TESTS: tests/programs.
set -u
preload=$1 tests=$2
shift 2
names=" $* "
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
passed=0 failed=0

# Runs a shell command in an empty folder; the library to preload may be empty.
run() {
    mkdir -p work
    (cd work && timeout 60 env LD_PRELOAD="$1" bash -c "$2" 2>&1 < /dev/null; echo "status $?")
    rm -rf work
}

is_wanted() {
    [ "$names" = '  ' ] || [[ "$names" = *" $1 "* ]]
}

compare() {
    local name=$1 command=$2 native caught
    is_wanted "$name" || return
    native=$(run '' "$command")
    caught=$(run "$preload" "$command")
    if [ "$native" = "$caught" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$name: natively:"
        echo "$native" | head -20
        echo "$name: caught:"
        echo "$caught" | head -20
    fi
}

# A program of tests/programs, in the folder that it runs in. A program that prints the mask of a handler prints SIGSYS
# in it natively (docs/syscalls.md, "What else the kernel does").
compare_program() {
    is_wanted "$1" || return
    "${CC:-cc}" -w -O1 "$tests/$1.c" -o "$folder/$1" -pthread -ldl || return
    compare "$1" "cp ../$1 .; ./$1 > ../out; status=\$?; sed '${2:-}' ../out; exit \$status"
}

compare pipes 'seq 20000 | sort -r | tail -n 3; for i in 1 2 3; do (echo $i; exit $i) | cat; done'
compare traps 'trap "echo usr1" USR1; kill -USR1 $$; sleep 60 & kill $!; wait $!; echo $?; trap "echo end" EXIT'
compare dd 'dd if=/dev/zero bs=1 count=5000 2> /dev/null | md5sum
dd if=/dev/zero of=x bs=4k count=50 2> /dev/null; md5sum < x'
compare tar 'mkdir a; for i in $(seq 50); do echo $i > a/$i; done
tar cf - a | tar tf - | sort | md5sum; find a | wc -l'
compare core '{ bash -c "kill -SEGV \$\$"; echo $?; bash -c "kill -SYS \$\$"; echo $?; } 2> /dev/null'
if command -v python3 > /dev/null; then
    compare python_threads 'python3 -c "
import threading, time
total = []
def work(n):
    for i in range(50): time.sleep(0.0001)
    total.append(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(total))"'
    compare python_processes 'python3 -c "
import subprocess, os, signal, select, socket
print(subprocess.run([\"echo\", \"x\"], capture_output=True))
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(w, b\"child\"); os._exit(4)
print(os.read(r, 100), os.waitpid(pid, 0)[1])
signal.signal(signal.SIGALRM, lambda *a: print(\"alarm\"))
signal.setitimer(signal.ITIMER_REAL, 0.05)
print(select.select([r], [], [], 0.3))
a, b = socket.socketpair()
a.sendmsg([b\"abc\", b\"def\"]); print(b.recvmsg(100)[0])
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); print(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])) > 60)
os.kill(os.getpid(), signal.SIGTERM); print(signal.sigwait([signal.SIGTERM]))"'
    compare python_pool 'python3 -c "
import multiprocessing
if __name__ == \"__main__\":
    print(multiprocessing.Pool(3).map(abs, range(-50, 0)))"'
fi
command -v perl > /dev/null && compare perl 'perl -e "
\$SIG{CHLD} = sub { 1 while waitpid(-1, 1) > 0; \$n++ };
for (1 .. 5) { exit 0 unless fork }
select undef, undef, undef, 0.05 while \$n < 1 or (kill 0, 1) < 0;
print qq(done\n)"'
command -v git > /dev/null && compare git 'git init -q .; git config user.email a@b; git config user.name a
export GIT_AUTHOR_DATE="1000000000 +0000" GIT_COMMITTER_DATE="1000000000 +0000"
for i in 1 2 3; do echo $i > f; git add f
git commit -qm $i; done; git log --format=%H; git gc -q'
command -v xz > /dev/null && compare xz 'seq 200000 > s; xz -T2 -k s; xz -dc s.xz | md5sum'
command -v sqlite3 > /dev/null && compare sqlite 'sqlite3 d "create table t(a); insert into t values(1),(2);"
sqlite3 d "select * from t"'
command -v cc > /dev/null && compare cc 'echo "int main(void){return 3;}" > m.c; cc m.c -o m; ./m; echo $?'
# Not steps: single-stepped calls take more steps. Not bombard: it takes long.
if command -v cc > /dev/null; then
    for name in answers calls corners exec filter forks hello keys overflow second segments sharers tables threads \
        waits; do
        compare_program $name
    done
    compare_program sent 's/^\(in order: 31 \|at its end: 31 \)(mask [0-9a-f]*/\1(/'
    # Refused: an action that is cleared would be the library's, too.
    compare_program clones '/actions cleared/d'
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
