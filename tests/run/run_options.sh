#!/usr/bin/env bash
# run_options.sh SEGUE: the options of segue run, what it refuses, and what it ends with.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
segue=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
# A folder on the path that this user may not look into would turn "no such program" into a question of rights.
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

# refuses STATUS TEXT WHAT COMMAND...
refuses() {
    local status=$1 text=$2 what=$3 got=0
    shift 3
    timeout 60 "$@" >out 2>err </dev/null || got=$?
    check "$what: status" "$status" "$got"
    check "$what: message" "yes" "$(grep -q -- "$text" err && echo yes || cat err)"
}

figure() {
    python3 -c 'import json, sys; print(json.load(open("stats"))[sys.argv[1]])' "$1"
}

stats() {
    timeout 60 "$segue" run --stats=json "$@" >out 2>stats </dev/null
}

stats /bin/echo hello
check "figures: output" hello "$(cat out)"
check "figures: FS base was never set" 0 "$(figure wrong_bases)"
check "figures: crossings" yes "$([ "$(figure crossings)" -gt 20 ] && echo yes)"
check "figures: one call of write" 1 "$(python3 -c 'import json; print(json.load(open("stats"))["calls"]["write"])')"
stats --lazy /bin/echo
check "lazy: no module is rewritten" "0 yes" "$(figure sites_eager) $([ "$(figure sites_lazy)" -gt 5 ] && echo yes)"
check "lazy: a fault for each site" "$(figure faults)" "$(figure sites_lazy)"
stats --eager /bin/echo
check "eager: modules are rewritten" "yes yes" \
    "$([ "$(figure sites_eager)" -gt 4000 ] && echo yes) $([ "$(figure faults)" -lt 20 ] && echo yes)"
stats python3 -c 'import threading, os
t = [threading.Thread(target=int) for i in range(5)]
[x.start() for x in t], [x.join() for x in t]
os.fork() or os._exit(0)
os.wait()'
check "figures: threads and processes" "5 1" "$(figure threads) $(figure processes)"
check "plain figures" yes \
    "$("$segue" run --stats /bin/true 2>&1 | has 'FS base set while the program ran' && echo yes)"
check "trace" yes "$("$segue" run --trace /bin/true 2>&1 | has 'exit_group(0x0' && echo yes)"

calls() {
    python3 -c 'import json; print(json.load(open("stats"))["calls"].get("write", 0))'
}
dd=(dd if=/dev/zero of=/dev/null bs=1 count=5000 status=none)
stats "${dd[@]}"
check "trapped calls: all are met" "yes 0" "$([ "$(calls)" -ge 5000 ] && echo yes) $(figure sites_calls)"
stats --syscalls=rewrite "${dd[@]}"
check "rewritten calls: met until they are often" "yes 2" \
    "$([ "$(calls)" -lt 200 ] && echo yes) $(figure sites_calls)"
stats --syscalls=rewrite:1 --lazy sh -c '"$@"; "$@"; exit 3' sh "${dd[@]}"
check "rewritten calls: met once, and in another program, too" "yes" "$([ "$(calls)" -lt 40 ] && echo yes)"
# A filter may not let the host write to code.
cat >filtered.c <<'C'
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void)
{
    struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &all};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 1;
    for (int i = 0; i < 1000; i++)
        getppid();
    return 0;
}
C
gcc -o filtered filtered.c
stats --syscalls=rewrite ./filtered
check "rewritten calls: none behind a filter" "0 1000" \
    "$(figure sites_calls) $(python3 -c 'import json; print(json.load(open("stats"))["calls"]["getppid"])')"

cat >maps.sh <<'SCRIPT'
grep -q segue-run /proc/self/maps && echo under || echo alone
SCRIPT
check "follows" under "$("$segue" run sh maps.sh)"
check "does not follow" alone "$("$segue" run --no-follow sh maps.sh)"
check "the process is the program's" same \
    "$(bash -c 'a=$$; exec "$0" run sh -c "[ \$\$ = $a ] && echo same"' "$segue")"
check "the program's name and arguments" "busybox busybox sh -c" \
    "$("$segue" run busybox sh -c 'cat /proc/$$/comm; tr "\0" " " </proc/$$/cmdline; true' | tr '\n' ' ' | cut -c1-21)"
check "status" 7 "$("$segue" run sh -c 'exit 7'; echo $?)"
check "arguments that look like options are the program's" "--stats -n" "$("$segue" run /bin/echo --stats -n)"

printf 'int main(void) { __asm__ volatile("int $0x80" : : "a"(20)); return 0; }' >int80.c
cat >gs.c <<'C'
#include <sys/syscall.h>
#include <unistd.h>
int main(void) { static char block[4096]; return syscall(SYS_arch_prctl, 0x1001, block) != 0; }
C
cat >traced.c <<'C'
#include <errno.h>
#include <sys/ptrace.h>
int main(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0) == -1 && errno == EPERM ? 6 : 0; }
C
gcc -o int80 int80.c && gcc -o gs gs.c && gcc -o traced traced.c
refuses 125 'sets the GS base' "a program that uses GS" "$segue" run ./gs
refuses 125 'int 0x80' "32-bit system calls" "$segue" run ./int80
refuses 6 'cannot be traced' "a program that wants to be traced" "$segue" run ./traced
for how in never rewrite: rewrite:0 rewrite:-1 rewrite:1x rewrite:1000001 ''; do
    refuses 125 'takes trap, rewrite, or rewrite:NUMBER' "system calls to be done $how" \
        "$segue" run "--syscalls=$how" /bin/true
done
check "system calls to be trapped" 0 "$("$segue" run --syscalls=trap /bin/true; echo $?)"
check "ignored signals stay ignored" alive \
    "$("$segue" run bash -c 'trap "" SEGV TRAP; exec bash -c "kill -SEGV \$\$; kill -TRAP \$\$; echo alive"')"
check "blocked signals stay blocked, and are pending" "{<Signals.SIGSEGV: 11>}" \
    "$("$segue" run python3 -c 'import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV})
os.execvp("python3", ["python3", "-c", "import os, signal; os.kill(os.getpid(), 11); print(signal.sigpending())"])')"
refuses 127 'there is no such program' "no such program" "$segue" run nosuchprogram
refuses 127 'No such file' "no such path" "$segue" run ./nosuchprogram
echo text >text
refuses 126 'ermission denied' "a file that may not be executed" "$segue" run ./text
chmod +x text
refuses 126 'neither an ELF file nor a script' "a file that is not a program" "$segue" run ./text
refuses 126 'directory' "a directory" "$segue" run ./
refuses 127 'there is no such program' "a directory on the path" env PATH="$work:/" "$segue" run usr
head -c 20000 /bin/true >short && chmod +x short
refuses 126 'cut off' "a program of which the end is missing" "$segue" run ./short
printf '#!/nosuch/interpreter\n' >script && printf '#!%s/round\n' "$work" >round && chmod +x script round
refuses 127 './script: its interpreter /nosuch/interpreter: No such file' "a script without interpreter" \
    "$segue" run ./script
refuses 126 'Too many levels' "a script that is its own interpreter" "$segue" run ./round
cp /bin/true uninterpreted && sed -i 's,/lib64/ld-linux-x86-64,/lib64/ld-nosuch-86-64,' uninterpreted
refuses 127 './uninterpreted: its interpreter /lib64/ld-nosuch' "a program without loader" "$segue" run ./uninterpreted
refuses 125 'no program to run' "nothing" "$segue" run --stats
refuses 125 'help run' "an unknown option" "$segue" run --nosuch /bin/true
if [ "$(id -u)" = 0 ]; then
    cp /bin/busybox suid && chown nobody suid && chmod u+s suid
    refuses 126 'set-user-ID' "a set-user-ID program" "$segue" run sh -c 'exec ./suid true'
    refuses 126 'set-user-ID' "a set-user-ID program named" "$segue" run ./suid true
    cp /bin/true unread && chmod 111 unread && mkdir tools &&
        cp "$segue" "$segue-run" $(ldd "$segue" | awk '/libsegue/ {print $3}') tools && chmod a+rx "$work" tools tools/*
    as_nobody="setpriv --reuid nobody --regid nogroup --clear-groups env LD_LIBRARY_PATH=$work/tools"
    refuses 126 'not read' "a program that may not be read" $as_nobody tools/segue run ./unread
    refuses 0 'runs natively' "a program that may not be read, from another" \
        $as_nobody tools/segue run sh -c './unread'
fi

check_end
