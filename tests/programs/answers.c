/* answers.c: filters that answer what threads and processes begin with by an error or by a signal, and what makes them
 * by 0. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static void answer(unsigned number, unsigned with, int by_seccomp)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, with),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (by_seccomp ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
                   : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        printf("no filter %d\n", errno);
}

static void told(int number, siginfo_t *info, void *context)
{
    (void)number;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -1000 - info->si_syscall;
}

static __thread int own = 1;
static void *inner(void *at)
{
    own += 10;
    return at == (void *)pthread_self() ? (void *)1 : (void *)0;
}

/* A thread made by a thread: it has its own storage. */
static void *outer(void *unused)
{
    pthread_t thread;
    void *same;
    (void)unused;
    own = 5;
    if (pthread_create(&thread, NULL, inner, (void *)pthread_self()))
        return (void *)2;
    pthread_join(thread, &same);
    return (void *)(long)(own == 5 && !same);
}

static void live(unsigned number)
{
    pthread_t thread;
    void *result = NULL;
    int error = pthread_create(&thread, NULL, outer, NULL), status = 0;
    if (!error)
        pthread_join(thread, &result);
    pid_t child = fork();
    if (!child)
        _exit(own + 4);
    waitpid(child, &status, 0);
    pid_t quick = vfork();
    if (!quick)
        _exit(6);
    int second = 0;
    waitpid(quick, &second, 0);
    errno = 0;
    long own_call = syscall(number, 0, 0, 0, 0, 0);
    printf("call %u: thread %d %p, child %x, vfork %x, own call %s %d\n", number, error, result, status, second,
           own_call == -1 ? "refused" : "made", own_call == -1 ? errno : 0);
}

/* A child that shares its parent's memory, and is killed for changing an action: the parent goes on to change one. */
static void end_sharer(void)
{
    int status;
    fflush(stdout);
    if (fork() == 0) {
        struct sigaction action;
        memset(&action, 0, sizeof action);
        answer(SYS_seccomp, SECCOMP_RET_ALLOW, 1);
        pid_t child = vfork();
        if (!child) {
            answer(SYS_rt_sigaction, SECCOMP_RET_KILL_PROCESS, 1);
            sigaction(SIGUSR1, &action, NULL);
            _exit(0);
        }
        waitpid(child, &status, 0);
        printf("the sharer ended by %d, ", WTERMSIG(status));
        printf("its parent goes on with %d\n", sigaction(SIGUSR1, &action, NULL));
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    printf("ended %x\n", status);
}

/* The answer 0 to a call that makes children, with no child made: the caller has it, and goes on. */
static void none_made(void)
{
    static const unsigned flags[] = {
        SIGCHLD,
        SIGCHLD | CLONE_VM,
        SIGCHLD | CLONE_VM | CLONE_VFORK,
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
    };
    static char stack[65536];
    int status;
    fflush(stdout);
    if (fork() == 0) {
        pid_t self = gettid();
        answer(SYS_clone, SECCOMP_RET_ERRNO, 1);
        for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
            long child = syscall(SYS_clone, flags[i], flags[i] & CLONE_VM ? stack + sizeof stack : NULL, 0, 0, 0);
            printf("flags %x: %ld, %s\n", flags[i], child, gettid() == self ? "itself" : "a child");
        }
        printf("no child to wait for: %d\n", wait(&status) == -1 && errno == ECHILD);
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    printf("ended %x\n", status);
}

int main(void)
{
    static const unsigned numbers[] = {SYS_prctl, SYS_gettid, SYS_getpid, SYS_pwrite64, SYS_mincore};
    static const unsigned answers[] = {SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO | ENOSYS};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (unsigned j = 0; j < sizeof answers / sizeof *answers; j++) {
            int status;
            fflush(stdout);
            pid_t child = fork();
            if (!child) {
                struct sigaction action;
                memset(&action, 0, sizeof action);
                action.sa_sigaction = told;
                action.sa_flags = SA_SIGINFO;
                sigaction(SIGSYS, &action, NULL);
                answer(numbers[i], answers[j], j % 2);
                live(numbers[i]);
                fflush(stdout);
                _exit(0);
            }
            waitpid(child, &status, 0);
            printf("ended %x\n", status);
        }
    }
    end_sharer();
    none_made();
    return 0;
}
