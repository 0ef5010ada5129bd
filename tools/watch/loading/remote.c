/* remote.c: see remote.h.
 *
 * SOURCES: ptrace(2): a traced process stops by SIGTRAP when it has executed a program; a single step over SYSCALL
 * stops behind it. */
#include "remote.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define CALL 0x050fL
#define CALL_MASK 0xffffL

/* The signals that this command does not block itself are open again at the end. */
bool remote_prepare(void)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGTRAP);
    return sigprocmask(SIG_SETMASK, &all, NULL) == 0 && ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static long trace(enum __ptrace_request request, const struct remote *remote, uint64_t address, const void *data)
{
    return ptrace(request, remote->process, (void *)(uintptr_t)address, data);
}

/* One that has ended is left for others to wait for. */
static bool wait_for_stop(const struct remote *remote)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)remote->process, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL) != 0)
        if (errno != EINTR)
            return false;
    return info.si_code == CLD_TRAPPED && waitid(P_PID, (id_t)remote->process, &info, WSTOPPED | __WALL) == 0;
}

bool remote_begin(struct remote *remote, pid_t process)
{
    *remote = (struct remote){.process = process};
    if (!wait_for_stop(remote) || trace(PTRACE_SETOPTIONS, remote, 0, (void *)(uintptr_t)PTRACE_O_EXITKILL) != 0 ||
        trace(PTRACE_GETREGS, remote, 0, &remote->regs) != 0)
        return false;
    errno = 0;
    remote->code = trace(PTRACE_PEEKTEXT, remote, remote->regs.rip, NULL);
    const long code = (remote->code & ~CALL_MASK) | CALL;
    return !errno && trace(PTRACE_POKETEXT, remote, remote->regs.rip, (void *)(uintptr_t)code) == 0;
}

long remote_call(struct remote *remote, long number, const uint64_t *arguments)
{
    struct user_regs_struct regs = remote->regs;
    regs.rax = (uint64_t)number;
    regs.orig_rax = UINT64_MAX;
    regs.rdi = arguments[0];
    regs.rsi = arguments[1];
    regs.rdx = arguments[2];
    regs.r10 = arguments[3];
    regs.r8 = arguments[4];
    regs.r9 = arguments[5];
    if (trace(PTRACE_SETREGS, remote, 0, &regs) != 0)
        return -errno;
    /* A stop (SIGSTOP) may come first: it is left out. */
    do
        if (trace(PTRACE_SINGLESTEP, remote, 0, NULL) != 0 || !wait_for_stop(remote) ||
            trace(PTRACE_GETREGS, remote, 0, &regs) != 0)
            return -ESRCH;
    while (regs.rip == remote->regs.rip);
    return (long)regs.rax;
}

bool remote_read(const struct remote *remote, uint64_t address, void *to, size_t size)
{
    const struct iovec here = {to, size}, there = {(void *)(uintptr_t)address, size};
    return process_vm_readv(remote->process, &here, 1, &there, 1, 0) == (ssize_t)size;
}

bool remote_write(const struct remote *remote, uint64_t address, const void *from, size_t size)
{
    const struct iovec here = {(void *)(uintptr_t)from, size}, there = {(void *)(uintptr_t)address, size};
    return process_vm_writev(remote->process, &here, 1, &there, 1, 0) == (ssize_t)size;
}

bool remote_end(const struct remote *remote, uint64_t instruction, uint64_t stack)
{
    struct user_regs_struct regs = remote->regs;
    sigset_t mask;
    uint64_t bits = 0;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number <= 64; number++)
        bits |= (uint64_t)(sigismember(&mask, number) == 1) << (number - 1);
    regs.rip = instruction;
    regs.rsp = stack;
    regs.orig_rax = UINT64_MAX;
    return trace(PTRACE_POKETEXT, remote, remote->regs.rip, (void *)(uintptr_t)remote->code) == 0 &&
           trace(PTRACE_SETREGS, remote, 0, &regs) == 0 && trace(PTRACE_SETSIGMASK, remote, sizeof bits, &bits) == 0 &&
           trace(PTRACE_DETACH, remote, 0, NULL) == 0;
}
