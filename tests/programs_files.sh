#!/usr/bin/env bash
# programs_files.sh: makes the files that the rows of programs.tsv work on, in the working directory. They are the same each
# time.
set -euo pipefail

awk 'BEGIN { for (i = 1; i <= 2000; i++) printf "line %d of the text, %d\n", i, (i * 7919) % 1000 }' >text
awk 'BEGIN { for (i = 1; i <= 300; i++) print "key" i % 13, (i * 104729) % 997 }' >numbers
awk 'BEGIN { for (i = 1; i <= 40000; i++) printf "%d %s\n", (i * 7919) % 65537, substr("abcdefghijklmnopqrstuvwxyz", i % 20, 6) }' >big
head -c 3000 /bin/true >binary
mkdir -p tree/one/two tree/three
cp text tree/one/a.txt
cp numbers tree/one/two/b.tab
echo script >tree/three/c.sh
echo member >member
ar rc lib.a member
touch -d 2020-01-01 tree tree/* tree/one/* tree/one/two/* tree/three/* text numbers

cat >script.sh <<'SCRIPT'
square() { echo $(($1 * $1)); }
echo "$0 has $# arguments: $*"
for i in 1 2 3; do square $i; done | while read -r n; do echo "square $n"; done
case $1 in one) echo first ;; *) echo other ;; esac
read -r line
echo "read $line"
trap 'echo got usr1' USR1
kill -USR1 $$
(exit 4) || echo "status $?"
x=${HOME:+set}${NOTHING:-unset}
echo "$x ${x%un*} ${#x}"
cat <<END
here $((6 * 7))
END
sleep 5 & kill $!; wait $!; echo "waited $?"
trap 'echo at the end' EXIT
exit 9
SCRIPT

cat >features.sh <<'SCRIPT'
echo "$0 $# $2 ${@: -1}"
a=(1 2 3 "x y"); a+=(5); echo "${#a[@]} ${a[@]:1:2} ${!a[@]}"
for ((i = 0; i < 3; i++)); do printf '%03d ' $i; done; echo
f() { local v=$1; ((v > 0)) && f $((v - 1)) && echo -n "$v "; return 0; }
f 5; echo
s=Hello; echo "${s,,} ${s^^} ${s/l/L} ${s//l/L} ${s:1:3}"
select_one() { select w in p q; do echo "chose $w"; break; done; }
echo 2 | select_one 2>/dev/null
read -r -t 5 line; echo "$line"
echo {1..5} {a..c}{x,y}
[[ $s == H* && ! $s =~ z ]] && echo matches
shopt -s extglob; [[ foobar == +(foo|bar) ]] && echo extended
exec 5>out; echo to five >&5; exec 5>&-; cat out
(echo sub $BASH_SUBSHELL; exit 3); echo $?
time_of() { TIMEFORMAT=%0lR; time sleep 0; } 2>/dev/null
echo "$(< out)"
printf -v z '%s-' a b c; echo $z
echo one | { read -r q; echo "q $q"; }
set -o pipefail; false | true; echo $?
declare -i n=5; n+=3; echo $n
unset n; echo "${n-unset}"
type -t f echo if
trap 'echo bye' EXIT
SCRIPT

cat >traps.sh <<'SCRIPT'
trap 'echo usr1' USR1
trap 'echo usr2; trap - USR2' USR2
trap '' HUP
for i in 1 2 3 4 5; do kill -USR1 $$; done
kill -USR2 $$
kill -HUP $$
trap 'echo child' CHLD
set -m
sleep 0.1 &
wait
trap - CHLD
(trap 'echo term; exit 7' TERM; kill -TERM $BASHPID; sleep 1); echo $?
bash -c 'kill -PIPE $$'; echo $?
trap 'echo interrupted' INT
kill -INT $$
trap 'echo debugging' DEBUG; :; trap - DEBUG
trap 'echo error' ERR; false; trap - ERR
# With job control bash 5.2 may lose the job that wait -f waits for, and then it tries for ever.
set +m
sleep 30 & sleep 0.1; kill -STOP $!; kill -CONT $!; kill -TERM $!; wait $!; echo $?
yes | head -1; echo "${PIPESTATUS[@]}"
trap 'echo at exit $?' EXIT
kill -TERM $$
SCRIPT

cat >heredocs.sh <<'SCRIPT'
cat <<A; cat <<-"B"; read -r x <<<word; echo "$x"
value $((6*7)) ${NONE:-none}.
A
	$not expanded
	B
while read -r a b; do echo "$b $a"; done <<C
1 one
2 two
C
SCRIPT

cat >sql <<'SQL'
create table t(id integer primary key, name text, n real);
with recursive c(x) as (select 1 union all select x+1 from c where x<5000) insert into t select x, 'name'||x, x*1.5 from c;
select count(*), sum(n), avg(n), max(name) from t;
create index i on t(name);
select id from t where name='name777';
select n%7 k, count(*) from t group by cast(k as int) order by 1 limit 7;
select group_concat(id) from (select id from t where id%1000=0);
select json_extract('{"a":[1,2,3]}','$.a[1]'), upper('x'), printf('%08.3f', 3.14159), hex(zeroblob(3));
SQL

cat >threads.py <<'PYTHON'
import queue, threading
q, done, lock, total = queue.Queue(), queue.Queue(), threading.Lock(), 0
local = threading.local()
def work(number):
    global total
    local.sum = 0
    while (item := q.get()) is not None:
        local.sum += item * item
    with lock:
        total += local.sum
    done.put(number)
threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
[t.start() for t in threads]
for i in range(2000): q.put(i)
for t in threads: q.put(None)
[t.join(60) for t in threads]
print(total, sorted(done.get() for t in threads), threading.active_count())
event, barrier = threading.Event(), threading.Barrier(3)
print(event.wait(0.05), [t for t in [threading.Timer(0.01, event.set)] if not t.start()] and event.wait(30))
for round in range(50):
    t = [threading.Thread(target=lambda: None) for i in range(8)]
    [x.start() for x in t], [x.join() for x in t]
print("ended")
PYTHON

cat >processes.py <<'PYTHON'
import multiprocessing as m, os, sys
def square(x): return x * x
def child(q, n): q.put((n, os.getpid() != parent))
parent = os.getpid()
if __name__ == "__main__":
    with m.Pool(3) as pool: print(pool.map(square, range(20)))
    for method in "fork", "spawn":
        c = m.get_context(method); v = c.Value("i", 0); q = c.Queue()
        if method == "fork":
            p = [c.Process(target=child, args=(q, i)) for i in range(4)]
        else:
            p = [c.Process(target=print, args=("spawned",), kwargs={"flush": True})]
        [x.start() for x in p]; [x.join() for x in p]
        print(method, [x.exitcode for x in p], sorted(q.get() for x in p) if method == "fork" else "")
    p = m.Process(target=os.abort); p.start(); p.join(); print(p.exitcode)
    r = os.fork()
    if r == 0: os._exit(17)
    print(os.waitstatus_to_exitcode(os.waitpid(r, 0)[1]))
PYTHON

cat >signals.py <<'PYTHON'
import os, select, signal, threading, time
seen = []
signal.signal(signal.SIGUSR1, lambda n, f: seen.append(n))
for i in range(200): os.kill(os.getpid(), signal.SIGUSR1)
print(len(seen))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGSEGV})
os.kill(os.getpid(), signal.SIGUSR2)
print(sorted(signal.sigpending()), signal.sigwait({signal.SIGUSR2}))
print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, set())))
ticks = []
signal.signal(signal.SIGALRM, lambda n, f: ticks.append(n))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(ticks) < 20: signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0)
print("ticked")
class Late(Exception): pass
def late(n, f): raise Late
signal.signal(signal.SIGALRM, late)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try: time.sleep(20)
except Late: print("late")
r, w = os.pipe()
signal.set_wakeup_fd(w) if os.set_blocking(w, False) is None else 0
signal.signal(signal.SIGALRM, lambda n, f: None)
signal.setitimer(signal.ITIMER_REAL, 0.05)
print(select.select([r], [], [], 20)[0] == [r], os.read(r, 1))
signal.signal(signal.SIGCHLD, lambda n, f: seen.append("child"))
if os.fork() == 0: os._exit(0)
os.wait(); print(seen[-1])
t = threading.Thread(target=time.sleep, args=(0.2,)); t.start()
signal.pthread_kill(t.ident, signal.SIGUSR1); t.join()
print(signal.siginterrupt(signal.SIGUSR1, False), len(seen) > 200)
os.kill(os.getpid(), signal.SIGTERM)
PYTHON

cat >dies.py <<'PYTHON'
import ctypes, os, resource, signal, subprocess, sys, time
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2 if resource.getrlimit(resource.RLIMIT_CORE)[1] < 0 else resource.getrlimit(resource.RLIMIT_CORE))
def end(child):
    status = os.waitpid(child, 0)[1]
    return (os.WTERMSIG(status), os.WCOREDUMP(status)) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
for number in [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGBUS, signal.SIGSYS, signal.SIGTRAP, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGXCPU, signal.SIGRTMIN]:
    child = subprocess.Popen(["sleep", "30"])
    time.sleep(0.05)
    child.send_signal(number)
    status = os.waitpid(child.pid, 0)[1]
    print(number, os.WTERMSIG(status), os.WCOREDUMP(status))
def forked(what):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        what()
        os._exit(0)
    return end(child)
print("fault", forked(lambda: ctypes.string_at(8)), "abort", forked(os.abort), "exit", forked(lambda: os._exit(9)))
child = subprocess.Popen(["sleep", "30"])
os.kill(child.pid, signal.SIGTSTP)
status = os.waitpid(child.pid, os.WUNTRACED)[1]
print("stopped", os.WIFSTOPPED(status), os.WSTOPSIG(status) == signal.SIGTSTP)
os.kill(child.pid, signal.SIGCONT)
print("continued", os.WIFCONTINUED(os.waitpid(child.pid, os.WCONTINUED)[1]))
child.terminate()
print(child.wait(), subprocess.run(["timeout", "0.2", "sleep", "30"]).returncode, subprocess.run(["timeout", "-s", "KILL", "0.2", "sleep", "30"]).returncode)
PYTHON

cat >tasks.py <<'PYTHON'
import asyncio
async def wait(i):
    await asyncio.sleep(0.01 * i)
    return i
async def main():
    p = await asyncio.create_subprocess_exec("echo", "x", stdout=-1)
    print(await p.communicate())
    print(await asyncio.gather(*[wait(i) for i in range(5)]))
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, sum, range(1000)))
asyncio.run(main())
PYTHON

cat >fork.pl <<'PERL'
$| = 1;
my @kids;
for my $i (1 .. 4) { my $p = fork // die; if (!$p) { exit $i } push @kids, $p }
print join(",", map { waitpid $_, 0; $? >> 8 } @kids), "\n";
my $n = 0;
$SIG{USR1} = sub { $n++ }; kill USR1 => $$ for 1 .. 50; print "$n\n";
$SIG{ALRM} = sub { die "late\n" }; alarm 1; eval { sleep 20 }; alarm 0; print $@;
$SIG{CHLD} = sub { wait; print "reaped ", $? & 127, "\n" };
if (!(my $p = fork)) { $SIG{TERM} = "DEFAULT"; sleep 20; exit } else { select undef, undef, undef, 0.1; kill TERM => $p; sleep 2 }
$SIG{CHLD} = "DEFAULT"; $SIG{PIPE} = sub { print "pipe\n" };
pipe my $r, my $w; close $r; syswrite $w, "x"; print $!{EPIPE} ? "broken\n" : "whole\n";
print `echo back; exit 3`, $? >> 8, "\n"; print system("kill -9 \$\$"), "\n";
local $SIG{__WARN__} = sub { print "warned: $_[0]" }; warn "x\n";
$SIG{INT} = "IGNORE"; kill INT => $$; print "still here\n"; kill KILL => $$;
PERL

cat >hello.c <<'C'
#include <stdio.h>
int main(int count, char **arguments)
{
    printf("hello, %d arguments, last %s\n", count, arguments[count - 1]);
    return 42;
}
C

cat >threads.c <<'C'
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static __thread int mine = 7;
static pthread_mutex_t robust;
static pthread_key_t key;
static int destroyed;
static void destroy(void *value) { __atomic_fetch_add(&destroyed, (int)(long)value, __ATOMIC_RELAXED); }
static void *work(void *argument)
{
    mine += (int)(long)argument;
    pthread_setspecific(key, (void *)1L);
    for (int i = 0; i < 1000; i++) free(malloc((size_t)(i % 100) + 1));
    errno = mine;
    return (void *)(long)(errno == mine ? mine : -1);
}
static void *leave_locked(void *argument) { pthread_mutex_lock(&robust); return argument; }
static void *sleeper(void *argument) { for (;;) sleep(100); return argument; }
static void *spinner(void *argument) { pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL); for (volatile int i = 0;; i++) continue; return argument; }
int main(void)
{
    pthread_t threads[16], one; void *result; long sum = 0;
    pthread_mutexattr_t kind;
    pthread_key_create(&key, destroy);
    for (int round = 0; round < 20; round++) {
        for (long i = 0; i < 16; i++) if (pthread_create(&threads[i], NULL, work, (void *)i)) return 2;
        for (int i = 0; i < 16; i++) { pthread_join(threads[i], &result); sum += (long)result; }
    }
    printf("%ld %d %d\n", sum, mine, destroyed);
    pthread_mutexattr_init(&kind); pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST); pthread_mutex_init(&robust, &kind);
    pthread_create(&one, NULL, leave_locked, NULL); pthread_join(one, NULL);
    printf("%s\n", pthread_mutex_lock(&robust) == EOWNERDEAD ? "owner died" : "no");
    pthread_create(&one, NULL, sleeper, NULL); pthread_cancel(one); pthread_join(one, &result);
    printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "no");
    pthread_create(&one, NULL, spinner, NULL); usleep(1000); pthread_cancel(one); pthread_join(one, &result);
    printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "no");
    fflush(stdout);
    pthread_create(&one, NULL, work, NULL); pthread_detach(one);
    pthread_exit(NULL);
}
C

cat >signals.c <<'C'
#define _GNU_SOURCE
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <errno.h>
static sigjmp_buf again;
static volatile sig_atomic_t count, on_stack, code;
static char *volatile page;
static char alternate[65536];
static __thread int mine = 5;
static int is_on_alternate(void *p) { return (char *)p >= alternate && (char *)p < alternate + sizeof alternate; }
static void opened(int n, siginfo_t *info, void *context)
{
    count += n == SIGSEGV && info->si_addr == page && mine == 5; code = info->si_code;
    on_stack = is_on_alternate(&n);
    (void)context;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}
static void skips(int n, siginfo_t *info, void *context)
{
    ucontext_t *u = context; (void)n; (void)info;
    u->uc_mcontext.gregs[REG_RIP] += 2; u->uc_mcontext.gregs[REG_RAX] = 77; count++;
}
static void jumps(int n) { siglongjmp(again, n); }
static void counts(int n) { count += n == SIGUSR1; }
static void nested(int n) { if (++count < 5) raise(n); }
static double volatile kept;
static void uses_sse(int n) { (void)n; kept = kept * 3.0; for (int i = 0; i < 10; i++) kept += i; fesetround(FE_UPWARD); count++; }
static void info(int n, siginfo_t *i, void *c) { (void)c; printf("signal %d code %d value %d\n", n, i->si_code, i->si_value.sival_int); }
static void set(int n, void *handler, int flags)
{
    struct sigaction action; memset(&action, 0, sizeof action); action.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler; action.sa_flags = flags;
    sigaction(n, &action, NULL);
}
static void overflow(int depth) { volatile char big[8192]; big[0] = (char)depth; overflow(depth + 1); big[1] = big[0]; }
static void over(int n) { (void)n; printf("overflow on alternate %d\n", is_on_alternate(&n)); siglongjmp(again, 2); }
static void *sends(void *main) { for (int i = 0; i < 300; i++) { pthread_kill(*(pthread_t *)main, SIGUSR1); if (i % 50 == 0) usleep(100); } return NULL; }
int main(void)
{
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, old; struct sigaction present; sigset_t block, before, pending;
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&stack, NULL);
    set(SIGSEGV, opened, SA_SIGINFO | SA_ONSTACK);
    *page = 3; printf("%d %d %d on %d\n", *page, count, code == SEGV_ACCERR, on_stack);
    set(SIGILL, skips, SA_SIGINFO); long rax; __asm__ volatile("ud2" : "=a"(rax) : : "memory"); printf("skipped %ld\n", rax);
    set(SIGTRAP, counts, 0); __asm__ volatile("int3"); printf("trapped\n");
    set(SIGFPE, jumps, SA_NODEFER); if (!sigsetjmp(again, 1)) { volatile int z = 0; printf("%d", 1 / z); } else printf("divided\n");
    set(SIGSEGV, jumps, 0); for (int i = 0; i < 3; i++) if (!sigsetjmp(again, 1)) *(volatile int *)16 = 1;
    printf("jumped back\n");
    if (!sigsetjmp(again, 1)) *(volatile int *)0x8000000000000000 = 1; else printf("not canonical\n");
    count = 0; set(SIGUSR1, nested, SA_NODEFER); raise(SIGUSR1); printf("nested %d\n", count);
    sigemptyset(&block); sigaddset(&block, SIGUSR1); sigaddset(&block, SIGSEGV); sigaddset(&block, SIGTRAP);
    sigprocmask(SIG_BLOCK, &block, &before); count = 0; set(SIGUSR1, counts, SA_RESETHAND); set(SIGSEGV, counts, 0);
    raise(SIGUSR1); raise(SIGUSR1); sigpending(&pending); printf("pending %d count %d\n", sigismember(&pending, SIGUSR1), count);
    kill(getpid(), SIGSEGV); printf("blocked\n"); sigprocmask(SIG_SETMASK, &before, &pending);
    printf("was blocked %d %d, now %d\n", sigismember(&pending, SIGSEGV), sigismember(&pending, SIGBUS), count);
    sigaction(SIGUSR1, NULL, &present); printf("reset %d\n", present.sa_handler == SIG_DFL);
    kept = 1.5; double d = 2.25; set(SIGUSR2, uses_sse, 0); count = 0; raise(SIGUSR2); printf("%g %g %d round %d\n", d * 2, kept, count, fegetround());
    set(SIGRTMIN, info, SA_SIGINFO); union sigval v = {.sival_int = 9}; sigqueue(getpid(), SIGRTMIN, v);
    set(SIGSEGV, over, SA_ONSTACK); if (!sigsetjmp(again, 1)) overflow(0); sigaltstack(NULL, &old); printf("stack %d\n", old.ss_flags);
    set(SIGUSR1, counts, SA_RESTART); count = 0; pthread_t sender, me = pthread_self(); pthread_create(&sender, NULL, sends, &me);
    int pipes[2]; char byte; if (pipe(pipes)) return 1;
    for (int i = 0; i < 2000; i++) { if (write(pipes[1], "x", 1) != 1 || read(pipes[0], &byte, 1) != 1) { printf("broken %d\n", errno); break; } }
    pthread_join(sender, NULL); printf("restarted %d\n", count > 0);
    set(SIGALRM, counts, 0); alarm(1); errno = 0; long got = read(pipes[0], &byte, 1); printf("%ld %d\n", got, errno == EINTR);
    sigfillset(&block); sigdelset(&block, SIGALRM); alarm(1); printf("%d %d\n", sigsuspend(&block), errno == EINTR);
    pid_t child; char *arguments[] = {"sh", "-c", "exit 6", NULL}; extern char **environ; int status;
    posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ); waitpid(child, &status, 0); printf("spawned %d\n", WEXITSTATUS(status));
    if (!(child = vfork())) _exit(8);
    waitpid(child, &status, 0); printf("vforked %d\n", WEXITSTATUS(status));
    fflush(stdout);
    if (!fork()) { set(SIGSEGV, SIG_IGN, 0); *(volatile int *)8 = 1; _exit(0); }
    wait(&status); printf("ignored, died of %d\n", WTERMSIG(status)); fflush(stdout);
    if (!fork()) { abort(); }
    wait(&status); printf("aborted %d\n", WTERMSIG(status)); fflush(stdout);
    set(SIGSEGV, SIG_DFL, 0); *(volatile int *)8 = 1;
    return 0;
}
C

cat >keys.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#define INITIAL 0x55555554u
static unsigned rights(void) { unsigned a, d; __asm__ volatile("rdpkru" : "=a"(a), "=d"(d) : "c"(0)); return a; }
static void set_rights(unsigned v) { __asm__ volatile("wrpkru" : : "a"(v), "c"(0), "d"(0) : "memory"); }
static sigjmp_buf again; static volatile unsigned inside; static volatile int code, key_told; static char *page;
static void jumps(int n, siginfo_t *i, void *c)
{
    (void)c; inside = rights(); code = i->si_code; key_told = (int)i->si_pkey;
    if (n == SIGSEGV) siglongjmp(again, 1);
}
/* Gives the key back in the state that it returns to. */
static void opens(int n, siginfo_t *i, void *c)
{
    char *state = (char *)((ucontext_t *)c)->uc_mcontext.fpregs; unsigned a = 13, at, x = 9, d, all = 0; uint64_t present;
    (void)n; (void)i; __asm__("cpuid" : "+a"(a), "=b"(at), "+c"(x), "=d"(d));
    memcpy(state + at, &all, 4); memcpy(&present, state + 512, 8); present |= 1u << 9; memcpy(state + 512, &present, 8);
}
static void set(int n, void *handler, int flags)
{
    struct sigaction action; memset(&action, 0, sizeof action); action.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
    action.sa_flags = SA_SIGINFO | flags; sigaction(n, &action, NULL);
}
static void *work(void *argument) { printf("thread %x\n", rights()); return argument; }
int main(void)
{
    /* mov rax, fs:0x10; ret */
    static const unsigned char pointer[] = {0x64, 0x48, 0x8b, 4, 0x25, 16, 0, 0, 0, 0xc3};
    int key = pkey_alloc(0, 0); pthread_t one; char *code_page, link[64]; long r;
    if (key < 0) { printf("no keys\n"); return 0; }
    unsigned closed = INITIAL | 3u << 2 * key, open = INITIAL & ~(3u << 2 * key);
    printf("key %d, rights %x\n", key, rights());
    page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); strcpy(page, "hello"); pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, key);
    set(SIGUSR1, jumps, 0); raise(SIGUSR1); printf("handler %x, after %x\n", inside, rights());
    set_rights(closed); set(SIGSEGV, jumps, 0);
    if (!sigsetjmp(again, 1)) printf("%c\n", *page); else printf("fault %d, key %d, handler %x, after %x\n", code, key_told, inside, rights());
    set_rights(closed); set(SIGSEGV, opens, 0); printf("read %c\n", *page);
    set_rights(closed); errno = 0; r = write(1, page, 1); printf("write %ld %d\n", r, errno);
    errno = 0; r = syscall(SYS_rt_sigaction, SIGUSR2, page, NULL, 8); printf("closed %ld %d\n", r, errno);
    set_rights(open); memset(page, 0, 64); printf("open %ld", syscall(SYS_rt_sigaction, SIGUSR2, page, NULL, 8)); printf(" %ld\n", syscall(SYS_rt_sigprocmask, SIG_BLOCK, page, page + 8, 8));
    strcpy(page, "/proc/self/exe"); printf("link %d\n", readlink(page, link, sizeof link) > 0);
    pthread_create(&one, NULL, work, NULL); pthread_join(one, NULL); fflush(stdout);
    if (!fork()) { printf("child %x\n", rights()); fflush(stdout); _exit(0); }
    wait(NULL);
    code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); memcpy(code_page, pointer, sizeof pointer);
    printf("execute only %d\n", mprotect(code_page, 4096, PROT_EXEC)); set(SIGSEGV, jumps, 0);
    if (!sigsetjmp(again, 1)) { printf("pointer %d\n", ((void *(*)(void))(uintptr_t)code_page)() == (void *)pthread_self()); printf("%d\n", *(volatile char *)code_page); }
    else printf("cannot be read: %d\n", code);
    return 0;
}
C

cat >tiles.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
static struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape __attribute__((aligned(64))) = {.palette = 1, .bytes = {64}, .rows = {16}}, now __attribute__((aligned(64)));
static __thread uint8_t from[1024], to[1024];
static volatile unsigned size; static int mode;
static void load(int value) { memset(from, value, sizeof from); _tile_loadconfig(&shape); _tile_loadd(0, from, 64); }
static int held(void) { memset(to, 0xff, sizeof to); _tile_stored(0, to, 64); for (int i = 0; i < 1024; i++) if (to[i] != to[0]) return -1; return to[0]; }
static void widen(int value) { __m512i v = _mm512_set1_epi32(value); __asm__ volatile("vmovdqu64 %0, %%zmm17\nvmovdqu64 %0, %%zmm3" : : "m"(v) : "xmm3", "xmm17"); }
static int wide(void) { int v[2][16]; __asm__ volatile("vmovdqu64 %%zmm17, %0\nvmovdqu64 %%zmm3, %1" : "=m"(v[0]), "=m"(v[1])); return v[0][15] == v[1][15] ? v[0][15] : -1; }
/* Without a function between: what a call of the C library does to the registers is its own affair. */
static long call(long number, long a, long b, long c) { long r; __asm__ volatile("syscall" : "=a"(r) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r; }
static void handler(int n, siginfo_t *i, void *c) { (void)n; (void)i; memcpy((void *)&size, (char *)((ucontext_t *)c)->uc_mcontext.fpregs + 468, 4); if (mode == 1) load(9); if (mode == 2) { int s; pid_t p = fork(); if (p) { waitpid(p, &s, 0); printf("child of the handler %x\n", s); } } }
static void tell(int n) { call(SYS_tgkill, getpid(), gettid(), n); }
static void told(const char *what) { int w = wide(); printf("%s: wide %d, frame %u\n", what, w, size); fflush(stdout); }
static void configuration(const char *what) { _tile_storeconfig(&now); printf("%s: palette %d", what, now.palette); printf(now.palette ? " tile %d\n" : "\n", now.palette ? held() : 0); fflush(stdout); }
static void *work(void *argument) { int wrong = 0; for (int i = 0; i < 50; i++) { load((int)(long)argument); raise(SIGUSR1); wrong += held() != (int)(long)argument; } return (void *)(long)wrong; }
int main(void)
{
    static char small[4096]; stack_t stack = {.ss_sp = small, .ss_size = sizeof small}; long r; pthread_t threads[4]; void *wrong; pid_t child;
    struct sigaction action; memset(&action, 0, sizeof action); action.sa_sigaction = handler; action.sa_flags = SA_SIGINFO; sigaction(SIGUSR1, &action, NULL);
    sigaltstack(&stack, NULL); errno = 0; r = syscall(SYS_arch_prctl, 0x1023, 18); printf("with a small stack %ld %d\n", r, errno);
    stack.ss_flags = SS_DISABLE; sigaltstack(&stack, NULL); r = syscall(SYS_arch_prctl, 0x1023, 18); if (r) { printf("no tiles\n"); return 0; }
    stack.ss_flags = 0; errno = 0; r = sigaltstack(&stack, NULL); printf("a small stack afterwards %ld %d\n", r, errno);
    widen(71); mode = 0; tell(SIGUSR1); told("before the first use");
    widen(72); mode = 1; tell(SIGUSR1); told("first use in the handler");
    load(5); mode = 0; tell(SIGUSR1); printf("kept %d\n", held());
    load(6); widen(73); mode = 1; tell(SIGUSR1); told("another in the handler"); printf("kept %d\n", held()); fflush(stdout);
    load(7); widen(74); mode = 2; child = getpid(); tell(SIGUSR1);
    if (getpid() != child) { told("in the handler's child"); _exit(3); }
    printf("kept %d\n", held()); fflush(stdout);
    load(8); widen(75); child = (pid_t)call(SYS_fork, 0, 0, 0);
    if (!child) { int w = wide(); configuration("child"); printf("wide %d\n", w); fflush(stdout); _exit(0); }
    waitpid(child, NULL, 0); printf("kept %d\n", held()); mode = 0;
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    for (int i = 0; i < 4; i++) { pthread_join(threads[i], &wrong); printf("%ld wrong\n", (long)wrong); }
    return 0;
}
C

cat >filter.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
static char *volatile site;
static void told(int n, siginfo_t *i, void *c)
{
    greg_t *r = ((ucontext_t *)c)->uc_mcontext.gregs;
    printf("signal %d code %d call %d errno %d at %td, %td, rax %lld\n", n, i->si_code, i->si_syscall, i->si_errno, (char *)i->si_call_addr - site, (char *)r[REG_RIP] - site, r[REG_RAX]);
    r[REG_RAX] = -77;
}
static void filter(unsigned number, unsigned answer)
{
    struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, answer), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {4, f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) printf("no filter\n");
}
static long call(long n) { long r; char *at; __asm__ volatile("lea 1f(%%rip), %1\nmov %1, %2\n1: syscall" : "=a"(r), "=&b"(at), "=m"(site) : "0"(n) : "rcx", "r11", "memory"); return r; }
/* What has not run before, and goes through fs:. */
static void fresh(void) { errno = 0; printf("%.2f %s %d\n", 1.5, strerror(3), rand() != 0); setenv("A", "b", 1); printf("%s\n", getenv("A")); free(malloc(100)); close(-1); perror("closed"); fflush(stdout); }
static void in_child(const char *what, void (*does)(void)) { int s; fflush(stdout); if (!fork()) { does(); fflush(stdout); _exit(0); } wait(&s); printf("%s %x\n", what, s); }
static void strict(void) { fflush(stdout); prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); if (write(1, "strict\n", 7) != 7) for (;;) continue; syscall(SYS_exit, 3); }
static void beyond_strict(void) { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); syscall(SYS_getpid); syscall(SYS_exit, 3); }
static void killed(void) { filter(SYS_getgid, SECCOMP_RET_KILL_PROCESS); call(SYS_getgid); }
static void by_default(void) { signal(SIGSYS, SIG_DFL); call(SYS_getppid); }
static void no_actions(void) { filter(SYS_rt_sigaction, SECCOMP_RET_ERRNO | 33); printf("%d\n", signal(SIGSYS, SIG_DFL) == SIG_ERR); call(SYS_getppid); }
static void no_memory(void) { filter(SYS_pwrite64, SECCOMP_RET_KILL_PROCESS); filter(SYS_pread64, SECCOMP_RET_KILL_PROCESS); filter(SYS_mprotect, SECCOMP_RET_KILL_PROCESS); filter(SYS_openat, SECCOMP_RET_KILL_PROCESS); fresh(); }
static void trapped(void) { filter(SYS_pwrite64, SECCOMP_RET_TRAP); filter(SYS_mprotect, SECCOMP_RET_TRAP); filter(SYS_gettid, SECCOMP_RET_TRAP); fresh(); }
int main(void)
{
    struct sigaction action; uint64_t arguments[20] = {[4] = SIGCHLD}; int status; long child;
    dup2(1, 2);
    in_child("strict", strict); in_child("beyond strict", beyond_strict);
    in_child("no memory", no_memory); in_child("trapped", trapped);
    memset(&action, 0, sizeof action); action.sa_sigaction = told; action.sa_flags = SA_SIGINFO; sigaction(SIGSYS, &action, NULL);
    filter(SYS_getppid, SECCOMP_RET_TRAP | 5); printf("%ld\n", call(SYS_getppid));
    filter(SYS_getuid, SECCOMP_RET_ERRNO | 33); printf("%ld\n", call(SYS_getuid));
    in_child("killed", killed); in_child("by default", by_default); in_child("no actions", no_actions);
    fflush(stdout); child = syscall(SYS_clone3, arguments, sizeof arguments); if (!child) _exit(9);
    wait(&status); printf("from a larger structure %d %x\n", child > 0, status);
    arguments[19] = 1; errno = 0; child = syscall(SYS_clone3, arguments, sizeof arguments); printf("unknown %ld %d\n", child, errno);
    return 0;
}
C

cat >bombard.c <<'C'
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
/* Signals that are faults as a rule, sent at any time: to one that handles them, and to one that is just beginning. */
static const int numbers[] = {SIGSEGV, SIGBUS, SIGSYS, SIGTRAP, SIGUSR1};
enum { COUNT = 5 };
static struct { volatile int ready, done, held[COUNT]; } *shared;
static void holds(int n) { for (int i = 0; i < COUNT; i++) shared->held[i] += numbers[i] == n; }
static void handled(void)
{
    int status; pid_t child = fork();
    if (!child) {
        struct sigaction action; memset(&action, 0, sizeof action); action.sa_handler = holds;
        for (int i = 0; i < COUNT; i++) sigaction(numbers[i], &action, NULL);
        shared->ready = 1;
        while (!shared->done) { getppid(); access("nothing", F_OK); signal(SIGUSR2, SIG_IGN); }
        _exit(7);
    }
    while (!shared->ready) usleep(100);
    for (int i = 0; i < 4000; i++) { kill(child, numbers[i % COUNT]); usleep(10 + i % 37); }
    shared->done = 1; waitpid(child, &status, 0); printf("ended %x, held", status);
    for (int i = 0; i < COUNT; i++) printf(" %d", shared->held[i] > 0);
    printf("\n"); fflush(stdout);
}
static void beginning(int rounds)
{
    int status, wrong = 0;
    for (int i = 0; i < rounds; i++) {
        int number = numbers[i % COUNT]; pid_t child = fork();
        if (!child) { execl("/bin/sleep", "sleep", "30", NULL); _exit(9); }
        usleep(i * 7919 % 6000); kill(child, number); waitpid(child, &status, 0); wrong += WTERMSIG(status) != number;
    }
    printf("%d ended otherwise\n", wrong);
}
int main(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    handled(); beginning(200);
    return 0;
}
C

cat >overflow.c <<'C'
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
/* A stack that is too small for its handlers: they must not go on below it. */
static struct { int depth; char below[65536], stack[65536]; } *shared;
static void nested(int n) { shared->depth++; raise(n); }
static void set(int n, int flags) { struct sigaction action; memset(&action, 0, sizeof action); action.sa_handler = nested; action.sa_flags = flags; sigaction(n, &action, NULL); }
static void try(int flags, size_t size)
{
    int status; long touched = 0; memset(shared, 0, sizeof *shared);
    if (!fork()) { stack_t stack = {.ss_sp = shared->stack, .ss_size = size}; sigaltstack(&stack, NULL); set(SIGUSR1, SA_NODEFER | SA_ONSTACK | flags); raise(SIGUSR1); _exit(0); }
    wait(&status); for (size_t i = 0; i < sizeof shared->below; i++) touched += shared->below[i] != 0;
    printf("%x at depth %d, %ld bytes below\n", status, shared->depth, touched);
}
int main(void)
{
    size_t frame = getauxval(51) ? getauxval(51) : 4096;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    try(0, sizeof shared->stack); try(0, frame + 512); try(0, 2048); try(SA_SIGINFO, 3 * frame);
    return 0;
}
C

cat >waits.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static volatile int count;
static sigset_t inside;
static void counts(int n) { (void)n; count++; pthread_sigmask(SIG_BLOCK, NULL, &inside); }
static void set(int n, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(n, &action, NULL);
}
int main(void)
{
    sigset_t both, other, present; struct timespec five = {5, 0}, left; struct epoll_event event; siginfo_t info; int result, status;
    sigemptyset(&both); sigaddset(&both, SIGALRM); sigaddset(&both, SIGUSR1); other = both; sigdelset(&other, SIGALRM);
    set(SIGALRM, counts, SA_RESTART); set(SIGUSR1, counts, SA_RESTART); sigprocmask(SIG_BLOCK, &both, NULL);
    alarm(1); result = ppoll(NULL, 0, &five, &other);
    printf("ppoll %d %d count %d inside %d\n", result, errno == EINTR, count, sigismember(&inside, SIGUSR1));
    alarm(1); errno = 0; result = pselect(0, NULL, NULL, NULL, &five, &other); printf("pselect %d %d count %d\n", result, errno == EINTR, count);
    alarm(1); errno = 0; result = epoll_pwait(epoll_create1(0), &event, 1, 5000, &other); printf("epoll %d %d count %d\n", result, errno == EINTR, count);
    sigprocmask(SIG_BLOCK, NULL, &present); printf("mask %d %d\n", sigismember(&present, SIGALRM), sigismember(&present, SIGUSR1));
    raise(SIGUSR1); result = sigwaitinfo(&both, &info); printf("waited %d code %d\n", result == SIGUSR1, info.si_code);
    struct signalfd_siginfo read_info; int file = signalfd(-1, &both, 0); raise(SIGUSR1);
    result = (int)read(file, &read_info, sizeof read_info); printf("signalfd %d %d\n", result == (int)sizeof read_info, read_info.ssi_signo == SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &both, NULL);
    set(SIGALRM, counts, 0); alarm(1); result = nanosleep(&five, &left); printf("sleep %d %d\n", result, left.tv_sec >= 3);
    pid_t child = fork();
    if (!child) { sleep(2); _exit(3); }
    set(SIGALRM, counts, SA_RESTART); alarm(1); result = waitpid(child, &status, 0); printf("wait %d %d\n", result == child, WEXITSTATUS(status));
    set(SIGSEGV, SIG_IGN, 0); raise(SIGSEGV); printf("ignored\n"); fflush(stdout);
    sigemptyset(&both); sigaddset(&both, SIGSEGV); sigprocmask(SIG_BLOCK, &both, NULL);
    if (!fork()) { *(volatile int *)4 = 1; _exit(0); }
    wait(&status); printf("blocked, died of %d\n", WTERMSIG(status));
    return 0;
}
C

cat >worker.js <<'JS'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (isMainThread) {
    let sum = 0, left = 4;
    for (let i = 0; i < 4; i++) {
        const worker = new Worker(__filename, { workerData: i });
        worker.on('message', (n) => { sum += n; });
        worker.on('exit', () => { if (--left === 0) console.log('sum', sum); });
    }
} else {
    let n = 0;
    for (let i = 0; i < 1e6; i++) n = (n * 31 + i + workerData) % 1000003;
    parentPort.postMessage(n);
}
JS

cat >Threads.java <<'JAVA'
public class Threads {
    public static void main(String[] arguments) throws Exception {
        long[] sums = new long[4];
        Thread[] threads = new Thread[4];
        for (int i = 0; i < 4; i++) {
            int own = i;
            threads[i] = new Thread(() -> {
                for (int j = 0; j < 200000; j++)
                    sums[own] += Integer.toString(j).hashCode();
            });
            threads[i].start();
        }
        for (Thread thread : threads)
            thread.join();
        System.out.println(sums[0] + " " + sums[3]);
        String nothing = arguments.length > 9 ? "" : null;
        for (int i = 0; i < 3; i++) {
            try {
                System.out.println(nothing.length());
            } catch (NullPointerException expected) {
                System.out.println("nothing there");
            }
        }
        System.gc();
        System.exit(3);
    }
}
JAVA

cat >threads.rs <<'RUST'
use std::thread;
fn main() {
    let all: Vec<_> = (0..4).map(|i| thread::spawn(move || (0..1000u64).map(|x| x * i).sum::<u64>())).collect();
    for one in all {
        println!("{}", one.join().unwrap());
    }
    std::panic::set_hook(Box::new(|_| ()));
    println!("{}", std::panic::catch_unwind(|| panic!("expected")).is_err());
    std::process::exit(4)
}
RUST

cat >makefile <<'MAKE'
all: out.1 out.2 out.3 out.4
out.%:
	@sleep 0.0$*; echo made $* >$@
MAKE

printf '#!/bin/sh\necho a $0 $*\n' >a.sh
printf '#!/usr/bin/env perl\nprint "b @ARGV\\n";\n' >b.pl
