#!/usr/bin/env bash
# run_places.sh SEGUE: programs that are executed where paths, /proc, descriptors or rights are not what they were:
# natively and under segue run, with calls that are trapped and that are rewritten. Standard output, standard error and
# the exit status must be the same, except where a program is refused by name.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
segue=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export LC_ALL=C
# The modes that rows are run in.
options="--syscalls=trap --syscalls=rewrite:1"

# result COMMAND...: what it writes, and its status.
result() {
    timeout 60 "$@" >out 2>err </dev/null
    echo "status $?"
    cat out err
}

# same WHAT COMMAND...
same() {
    local what=$1 native option
    shift
    native=$(result "$@")
    for option in $options; do
        check "$what ($option)" "$native" "$(result "$segue" run $option "$@")"
    done
}

# refuses WHAT TEXT COMMAND...: the program that is executed, not the one that is run.
refuses() {
    local what=$1 text=$2
    shift 2
    result "$segue" run "$@" >all
    check "$what" yes "$(grep -q -- "$text" all && echo yes || cat all)"
}

skip() {
    echo "SKIP $1: $2"
}

# ---- memory ----

same "processes under a limit on data" sh -c 'ulimit -d 2048; /bin/echo executed; (echo forked); echo | cat'

# ---- descriptors ----

cat >full.c <<'C'
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
/* Takes all descriptors that there are, then executes. */
int main(int count, char **arguments)
{
    struct rlimit few = {8, 64};
    if (count > 1 && setrlimit(RLIMIT_NOFILE, &few) != 0)
        return 2;
    while (dup(1) >= 0)
        continue;
    execl("/bin/busybox", "busybox", "echo", "with no descriptor left", (char *)0);
    perror("execl");
    return 1;
}
C
gcc -o full full.c
same "exec where all descriptors are in use" sh -c 'ulimit -S -n 16; ./full'
same "exec where all are, and the limit was lowered" ./full lower
options=--syscalls=trap
same "few descriptors" sh -c 'ulimit -n 4; sh -c "/bin/echo x; exec /bin/echo y"'
options="--syscalls=trap --syscalls=rewrite:1"
same "closed descriptors" python3 -c 'import os, subprocess
os.closerange(3, 4096)
subprocess.run(["/bin/echo", "closed"], close_fds=True)
os.execv("/bin/echo", ["echo", "and executed"])'
same "no descriptor of the host shows where a program counts them" sh -c \
    'exec 5<&-; busybox ls /proc/self/fd | busybox awk "\$1 < 512"'
same "a limit of the size of files" bash -c 'ulimit -f 0; /bin/echo | /bin/true; sh -c "/bin/true; exec /bin/true"'

cat >lent.py <<'PYTHON'
import os
os.getppid()
parent = os.getpid()
if os.fork() == 0:
    names = [os.path.realpath("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd")]
    print([name for name in names
           if name == "/proc/%d/mem" % parent or name == "/proc/%d/task/%d/mem" % (parent, parent)])
    os._exit(0)
os.wait()
PYTHON
same "a child has no descriptor of its parent's memory" python3 lent.py

# ---- the root, /proc ----

if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    mkdir -p root/bin root/proc root/empty
    cp /bin/busybox root/bin
    same "after chroot" chroot root /bin/busybox sh -c \
        '/bin/busybox echo a; busybox sh -c "busybox echo b"; exec busybox echo c'
    same "after chroot, descriptors closed" python3 -c 'import os
os.chroot("root"); os.chdir("/"); os.closerange(3, 4096)
os.execv("/bin/busybox", ["busybox", "sh", "-c", "busybox echo d; busybox echo e"])'
    same "without /proc" unshare -m sh -c 'umount -l /proc; /bin/echo a; /bin/echo b; sh -c "/bin/echo c"'
    same "after chroot, with /proc" unshare -m sh -c \
        'mount --bind /proc root/proc; chroot root /bin/busybox sh -c "busybox echo f; busybox readlink /proc/self/exe"'
    same "a shell script after chroot" sh -c \
        'printf "#!/bin/busybox sh\necho script \$0 \$1\n" >root/bin/s; chmod +x root/bin/s; chroot root /bin/s one'
    same "another user after chroot" chroot --userspec=65534:65534 root /bin/busybox sh -c \
        'busybox id -u; busybox echo g'
    same "in a process namespace of its own" unshare -mpf --mount-proc sh -c 'busybox echo h; sh -c "busybox echo i"'
    cat >apart.c <<'C'
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
/* As daemons part with their rights: a child in an empty root meets what its parent has not met yet. */
int main(void)
{
    int status;
    if (chroot("root/empty") != 0 || chdir("/") != 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            if (i == 1 && (setgid(65534) != 0 || setuid(65534) != 0))
                _exit(3);
            _exit(close(-1) == -1 && errno == EBADF ? 0 : 2);
        }
        wait(&status);
        printf("%x\n", status);
    }
    return 0;
}
C
    gcc -o apart apart.c
    same "children in an empty root" ./apart
else
    skip "roots and namespaces" "only root makes them"
fi

# ---- rights ----

if [ "$(id -u)" = 0 ] && command -v setcap >/dev/null && cp /bin/cat capable &&
    setcap cap_net_raw+ep capable 2>/dev/null; then
    chmod 755 "$work"
    as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
    same "file capabilities, as root" sh -c './capable /dev/null; echo $?'
    refuses "file capabilities" './capable has file capabilities' \
        $as_nobody sh -c './capable /proc/self/status | grep CapEff'
    same "file capabilities that give nothing" \
        $as_nobody --no-new-privs sh -c './capable /proc/self/status | grep CapEff'
else
    skip "file capabilities" "setcap is needed, and root"
fi
if [ "$(id -u)" = 0 ]; then
    cp /bin/busybox group && chgrp nogroup group && chmod g+s group
    refuses "set-group-ID" './group is set-group-ID' sh -c './group true'
    same "set-group-ID that gives nothing" setpriv --no-new-privs sh -c './group true; echo $?'
    cp a.sh scripted 2>/dev/null || printf '#!/bin/sh\necho script\n' >scripted
    chown nobody scripted && chmod 4755 scripted
    same "a set-user-ID script, which gives nothing" sh -c './scripted'
else
    skip "set-group-ID" "only root makes such a file"
fi

# ---- what the program finds of itself ----

printf '#!/bin/sh\ncat /proc/$$/comm; tr "\\0" " " </proc/$$/cmdline; echo\n' >named.sh && chmod +x named.sh
same "the name of a script, from a shell" sh -c './named.sh one; exec ./named.sh two'
same "the name of a script" ./named.sh three
same "the environment in /proc" env LD_LIBRARY_PATH=/nosuch GLIBC_TUNABLES=glibc.malloc.arena_max=1 MALLOC_ARENA_MAX=1 \
    sh -c 'tr "\0" "\n" </proc/self/environ | grep -E "^(LD_|GLIBC|MALLOC|SEGUE)"
        tr "\0" "\n" </proc/$$/environ | sort | md5sum'
cat >itself.c <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* Its own program by every spelling. */
static void tell(int folder, const char *path)
{
    char name[4096] = {0};
    struct stat by_name, own;
    readlinkat(folder, path, name, sizeof name - 1);
    fstatat(folder, path, &by_name, 0);
    stat("./itself", &own);
    const char *last = strrchr(name, '/');
    printf("%s: %s %d\n", path, last ? last : "none", by_name.st_ino == own.st_ino);
}
int main(void)
{
    char path[100];
    int process = open("/proc", O_RDONLY), self = open("/proc/self", O_RDONLY);
    tell(AT_FDCWD, "/proc/self/exe");
    tell(AT_FDCWD, "/proc//self/exe");
    tell(AT_FDCWD, "/proc/self/./exe");
    tell(AT_FDCWD, "//proc/self/../self/exe");
    tell(AT_FDCWD, "/proc/thread-self/exe");
    tell(process, "self/exe");
    tell(process, "thread-self/exe");
    tell(self, "exe");
    tell(self, "./exe");
    snprintf(path, sizeof path, "/proc/%d/exe", getpid());
    char *resolved = realpath("/proc/thread-self/exe", NULL);
    printf("%s %s\n", strrchr(resolved, '/'), strrchr(realpath(path, NULL), '/'));
    chdir("/proc/self");
    readlink("exe", path, sizeof path);
    int opened = open("exe", O_RDONLY);
    char magic[5] = {0};
    printf("%zd %s\n", read(opened, magic, 4), magic + 1);
    return 0;
}
C
gcc -w -o itself itself.c
same "its own program by every spelling" ./itself
printf '#!/proc/self/exe\necho by itself\n' >itself.sh && chmod +x itself.sh
same "a script whose interpreter is who executes it" bash -c './itself.sh; exec ./itself.sh'
same "the code's place in /proc" python3 -c 'import os
stat = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
start, end = int(stat[23]), int(stat[24])
def holds(line):
    first, end = line.split()[0].split("-")
    return int(first, 16) <= start < int(end, 16)
print(start < end, any("python" in line for line in open("/proc/self/maps") if holds(line)))'

mkdir patched
for library in libc.so.6 ld-linux-x86-64.so.2; do
    "$segue" patch "$(gcc -print-file-name=$library)" -o patched/$library >/dev/null 2>&1
done
check "patched libraries are the program's alone" "status 0 patched" \
    "$(LD_LIBRARY_PATH=$work/patched "$segue" run /bin/echo patched >out 2>err; echo "status $?" $(cat out err))"

# ---- programs that look into programs ----

if command -v valgrind >/dev/null; then
    cat >leak.c <<'C'
#include <stdlib.h>
int main(void) { char *room = malloc(10); room[10] = 1; free(room); return malloc(20) == 0; }
C
    gcc -g -O0 -w -o leak leak.c
    plain='s/==[0-9]*==//'
    native=$(valgrind ./leak 2>&1 | sed "$plain")
    for option in --syscalls=trap --syscalls=rewrite:1 --eager; do
        check "valgrind finds what it finds ($option)" "$native" \
            "$("$segue" run $option valgrind ./leak 2>&1 | sed "$plain")"
    done
else
    skip "valgrind" "it is not installed"
fi
if command -v gdb >/dev/null; then
    sleep 600 &
    for option in --syscalls=trap --syscalls=rewrite:1; do
        check "gdb attaches to a process ($option)" "rip
0" \
            "$(timeout 50 "$segue" run $option gdb -p $! -batch -ex 'info registers rip' 2>&1 </dev/null |
                grep -o '^rip'
            echo "${PIPESTATUS[0]}")"
    done
    kill $!
else
    skip "gdb" "it is not installed"
fi

# ---- under itself ----

result "$segue" run "$segue" run true >all
check "under itself" yes \
    "$(grep -q 'already runs under segue run' all && grep -q 'status 125' all && echo yes || cat all)"

check_end
