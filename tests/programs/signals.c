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
