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
