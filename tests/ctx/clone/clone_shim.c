/* clone_shim.c: a library to be preloaded, in which segue_clone makes the clones of a program that may make none: a
 * seccomp filter answers them with SIGSYS. It is what Shadow's shim is to Shadow, and shows what docs/ctx.md asks of a
 * filter: calls from this object, which has the library in it, pass by their address; SIGSYS is never blocked.
 *
 * CLONE_SHIM   a set of letters; without any, nothing is done
 *   m          clone, clone3, fork, vfork, rt_sigprocmask, rt_sigaction and sigaltstack are trapped
 *   a          every call is trapped
 *   s          the handler runs on the alternate stack
 *   v          each child begins with an alternate stack of its own
 *   n          clone3 is ENOSYS, as where a filter does not know it
 *
 * Nothing here uses thread-local storage: a child may have none of its own. */
#include <errno.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <segue/linux.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "platform/linux/call_x86_64.h"

#define ALTERNATE_SIZE 65536
#define SIGSYS_BIT ((uint64_t)1 << (SIGSYS - 1))
#define EXIT_SIGNAL_BITS 0xffu
#define RESTORER_FLAG 0x04000000
#define CLEAR_SIGHAND 0x100000000u

struct kernel_action {
    uint64_t handler, flags, restorer, mask;
};

struct clone3_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static bool on_alternate_stack, arms_children, lacks_clone3;

/* ---- clones ---- */

static struct kernel_action own_action;

struct birth {
    stack_t stack;
    bool clears_actions;
};

static void begin_child(void *block, size_t size)
{
    struct birth *birth = block;
    (void)size;
    /* Ours would be among those that are cleared. */
    if (birth->clears_actions)
        system_call4(SYS_rt_sigaction, SIGSYS, (long)&own_action, 0, 8);
    if (birth->stack.ss_sp)
        system_call3(SYS_sigaltstack, (long)&birth->stack, 0, 0);
}

static long make_clone(ucontext_t *frame, struct segue_clone *request)
{
    struct birth birth = {.stack = {.ss_size = ALTERNATE_SIZE}, .clears_actions = request->flags & CLEAR_SIGHAND};
    if (arms_children)
        birth.stack.ss_sp = (void *)system_call6(SYS_mmap, 0, ALTERNATE_SIZE, PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    request->start = begin_child;
    request->block = &birth;
    request->block_size = sizeof birth;
    return segue_clone(frame, request);
}

static long by_clone(ucontext_t *frame, const uint64_t *arguments)
{
    struct segue_clone request = {
        .flags = (uint32_t)arguments[0] & ~(uint64_t)EXIT_SIGNAL_BITS,
        .exit_signal = arguments[0] & EXIT_SIGNAL_BITS,
        .stack_pointer = arguments[1],
        .parent_tid = (int *)arguments[2],
        .pidfd = (int *)arguments[2],
        .child_tid = (int *)arguments[3],
        .tls = arguments[4],
    };
    return make_clone(frame, &request);
}

static long by_clone3(ucontext_t *frame, const uint64_t *arguments)
{
    struct clone3_arguments wanted = {0};
    if (lacks_clone3)
        return -ENOSYS;
    if (arguments[1] < 64)
        return -EINVAL;
    memcpy(&wanted, (const void *)arguments[0], arguments[1] < sizeof wanted ? arguments[1] : sizeof wanted);
    struct segue_clone request = {
        .flags = wanted.flags,
        .exit_signal = wanted.exit_signal,
        .stack_pointer = wanted.stack ? wanted.stack + wanted.stack_size : 0,
        .tls = wanted.tls,
        .parent_tid = (int *)wanted.parent_tid,
        .child_tid = (int *)wanted.child_tid,
        .pidfd = (int *)wanted.pidfd,
        .set_tid = (const int *)wanted.set_tid,
        .set_tid_size = wanted.set_tid_size,
        .cgroup = wanted.cgroup,
    };
    return make_clone(frame, &request);
}

static long by_fork(ucontext_t *frame, uint64_t flags)
{
    struct segue_clone request = {.flags = flags, .exit_signal = SIGCHLD};
    return make_clone(frame, &request);
}

/* ---- what would block SIGSYS, and what the handler's return puts back ---- */

static long set_mask(ucontext_t *frame, const uint64_t *arguments)
{
    uint64_t present, set;
    memcpy(&present, &frame->uc_sigmask, sizeof present);
    if (arguments[2])
        memcpy((void *)arguments[2], &present, sizeof present);
    if (!arguments[1])
        return 0;
    memcpy(&set, (const void *)arguments[1], sizeof set);
    if (arguments[0] == SIG_BLOCK)
        present |= set;
    else if (arguments[0] == SIG_UNBLOCK)
        present &= ~set;
    else if (arguments[0] == SIG_SETMASK)
        present = set;
    else
        return -EINVAL;
    present &= ~SIGSYS_BIT;
    memcpy(&frame->uc_sigmask, &present, sizeof present);
    return 0;
}

static long set_action(const uint64_t *arguments)
{
    struct kernel_action action;
    if (arguments[0] == SIGSYS) {
        if (arguments[2])
            memset((void *)arguments[2], 0, sizeof action);
        return 0;
    }
    if (!arguments[1])
        return system_call4(SYS_rt_sigaction, (long)arguments[0], 0, (long)arguments[2], 8);
    memcpy(&action, (const void *)arguments[1], sizeof action);
    action.mask &= ~SIGSYS_BIT;
    return system_call4(SYS_rt_sigaction, (long)arguments[0], (long)&action, (long)arguments[2], 8);
}

static long set_alternate_stack(ucontext_t *frame, const uint64_t *arguments)
{
    stack_t wanted = frame->uc_stack;
    if (arguments[0])
        memcpy(&wanted, (const void *)arguments[0], sizeof wanted);
    if (arguments[1])
        memcpy((void *)arguments[1], &frame->uc_stack, sizeof wanted);
    frame->uc_stack = wanted;
    return 0;
}

/* ---- the handler ---- */

static void handle(int number, siginfo_t *info, void *ucontext)
{
    ucontext_t *frame = ucontext;
    greg_t *gregs = frame->uc_mcontext.gregs;
    const uint64_t a[] = {(uint64_t)gregs[REG_RDI], (uint64_t)gregs[REG_RSI], (uint64_t)gregs[REG_RDX],
                          (uint64_t)gregs[REG_R10], (uint64_t)gregs[REG_R8],  (uint64_t)gregs[REG_R9]};
    long result, call = (long)gregs[REG_RAX];
    (void)number, (void)info;
    switch (call) {
    case SYS_clone:
        result = by_clone(frame, a);
        break;
    case SYS_clone3:
        result = by_clone3(frame, a);
        break;
    case SYS_fork:
        result = by_fork(frame, 0);
        break;
    case SYS_vfork:
        result = by_fork(frame, CLONE_VM | CLONE_VFORK);
        break;
    case SYS_rt_sigprocmask:
        result = set_mask(frame, a);
        break;
    case SYS_rt_sigaction:
        result = set_action(a);
        break;
    case SYS_sigaltstack:
        result = set_alternate_stack(frame, a);
        break;
    default:
        result = system_call6(call, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
    }
    gregs[REG_RAX] = result;
}

__asm__(".text\n.globl restorer\n.hidden restorer\nrestorer: movl $15, %eax\n\tsyscall\n");
extern const char restorer[] __attribute__((visibility("hidden")));

/* ---- the filter ---- */

struct range {
    uint64_t inside, start, end;
};

/* The executable segment of the object that this function is in. */
static int find_object(struct dl_phdr_info *info, size_t size, void *context)
{
    struct range *range = context;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X) || range->inside - start >= header->p_memsz)
            continue;
        range->start = start;
        range->end = start + header->p_memsz;
        return 1;
    }
    return 0;
}

#define LOAD(field, part) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + (part))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW_CALL(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), ANSWER(SECCOMP_RET_ALLOW)
#define TRAP_CALL(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), ANSWER(SECCOMP_RET_TRAP)

/* The range does not reach over a multiple of 4 GiB where programs are mapped without randomization. */
static bool filter_calls(const struct range *own, bool all)
{
    struct sock_filter filter[] = {
        LOAD(nr, 0),
        ALLOW_CALL(SYS_rt_sigreturn),
        LOAD(instruction_pointer, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(own->start >> 32), 0, 4),
        LOAD(instruction_pointer, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)own->start, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)own->end, 1, 0),
        ANSWER(SECCOMP_RET_ALLOW),
        LOAD(nr, 0),
        TRAP_CALL(SYS_clone),
        TRAP_CALL(SYS_clone3),
        TRAP_CALL(SYS_fork),
        TRAP_CALL(SYS_vfork),
        TRAP_CALL(SYS_rt_sigprocmask),
        TRAP_CALL(SYS_rt_sigaction),
        TRAP_CALL(SYS_sigaltstack),
        ANSWER(all ? SECCOMP_RET_TRAP : SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* All by calls of its own: the filter of a program that has executed this one is in force, and has no handler yet. */
__attribute__((constructor)) static void begin(void)
{
    const char *mode = getenv("CLONE_SHIM");
    struct range own = {.inside = (uint64_t)(uintptr_t)segue_clone};
    if (!mode || !*mode)
        return;
    on_alternate_stack = strchr(mode, 's');
    arms_children = strchr(mode, 'v');
    lacks_clone3 = strchr(mode, 'n');
    own_action = (struct kernel_action){.handler = (uint64_t)(uintptr_t)handle,
                                        .flags = SA_SIGINFO | SA_NODEFER | RESTORER_FLAG,
                                        .restorer = (uint64_t)(uintptr_t)restorer};
    if (on_alternate_stack) {
        stack_t stack = {.ss_size = ALTERNATE_SIZE};
        stack.ss_sp = mmap(NULL, ALTERNATE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        system_call3(SYS_sigaltstack, (long)&stack, 0, 0);
        own_action.flags |= SA_ONSTACK;
    }
    if (system_call4(SYS_rt_sigaction, SIGSYS, (long)&own_action, 0, 8) != 0 || !dl_iterate_phdr(find_object, &own) ||
        !filter_calls(&own, strchr(mode, 'a')))
        _exit(99);
}
