/* calls_linux_x86_64.c: SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst (SIGSYS, SYS_USER_DISPATCH; the
 * instruction pointer is behind the instruction, RAX is the number); Linux kernel/signal.c (restart: the instruction
 * pointer goes back to the instruction, RAX is the number again). */
#include "calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "decode/x86/page.h"
#include "decode/x86/canonical.h"
#include "tools/run/signals/actions.h"
#include "call_linux_x86_64.h"
#include "tools/run/detours/code.h"
#include "tools/run/signals/deliver.h"
#include "tools/run/detours/detour.h"
#include "tools/run/signals/fault.h"
#include "filter.h"
#include "tools/run/host/host.h"
#include "tools/run/signals/keys.h"
#include "tools/run/host/lock.h"
#include "tools/run/host/memory.h"
#include "tools/run/image/module.h"
#include "path.h"
#include "tools/run/signals/registers.h"
#include "tools/run/host/report.h"
#include "tools/run/host/settings.h"

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#define ARCH_REQ_XCOMP_PERM 0x1023
#define SET_SIZE 8
#define SYS_epoll_pwait2_number 441
#define SYS_io_uring_enter_number 426
#define SYS_move_mount_number 429
#define URING_EXTENDED_ARGUMENT 8u
#define URING_EXTENDED_SIZE 24

/* ---- made by the program's registers ---- */

bool calls_is_stub(const struct thread *thread, uint64_t instruction)
{
    return instruction - thread_gate(thread, run_gate) < (uint64_t)(run_gate_end - run_gate);
}

void calls_leave_stub(struct thread *thread, ucontext_t *frame)
{
    uint64_t instruction = get(frame, REG_RIP);
    thread->is_led = false;
    if (!calls_is_stub(thread, instruction)) {
        thread->has_call_mask = false;
        return;
    }
    if (instruction < thread_gate(thread, run_gate_pass)) {
        set(frame, REG_RIP, thread->target);
        set(frame, REG_RCX, thread->target);
        thread->has_call_mask = false;
        return;
    }
    bool is_made = instruction != thread_gate(thread, run_gate_pass);
    for (int i = 0; i < 6; i++)
        set(frame, argument_registers[i], thread->arguments[i]);
    set(frame, REG_RIP, is_made ? thread->target : thread->target - CALL_SIZE);
    /* What the program asked for may not be what the stub was to call. */
    if (!is_made && get(frame, REG_RAX) == thread->made_number)
        set(frame, REG_RAX, thread->led_number);
    /* Only a call that was interrupted leaves its handler the mask that it had. */
    if (!is_made || get(frame, REG_RAX) != (uint64_t)-EINTR)
        thread->has_call_mask = false;
    set(frame, REG_RCX, thread->target);
}

void calls_pass(struct thread *thread, ucontext_t *frame, const uint64_t *before)
{
    for (int i = 0; i < 6; i++)
        thread->arguments[i] = before ? before[i] : argument(frame, i);
    thread->led_number = thread->made_number = get(frame, REG_RAX);
    thread->target = get(frame, REG_RIP);
    set(frame, REG_RIP, thread_gate(thread, run_gate_pass));
    thread->is_led = true;
    count(&counters->passed, 1);
}

/* For a call with a mask of its own, which is noted: one that was kept and may come now interrupts it at once. */
static void pass_waiting(struct thread *thread, ucontext_t *frame, const uint64_t *before)
{
    if (!thread->has_call_mask || !deliver_has_waiting(thread)) {
        calls_pass(thread, frame, before);
        return;
    }
    for (int i = 0; i < 6; i++)
        set(frame, argument_registers[i], before[i]);
    set(frame, REG_RAX, (uint64_t)-EINTR);
}

void *calls_scratch(struct thread *thread, size_t size)
{
    if (thread->scratch_size >= size)
        return thread->scratch;
    if (thread->scratch)
        system_call3(SYS_munmap, (long)thread->scratch, (long)thread->scratch_size, 0);
    long at = system_call6(SYS_mmap, 0, (long)size, 3, 0x22, -1, 0);
    bool failed = at < 0 && at > -4096;
    thread->scratch = failed ? NULL : (void *)at;
    thread->scratch_size = failed ? 0 : size;
    return thread->scratch;
}

/* ---- calls with a signal mask of their own ---- */

/* Which argument is the mask's address, and which its size. */
struct masked {
    uint16_t number;
    uint8_t mask, size;
};

static const struct masked masked[] = {
    {.number = SYS_rt_sigsuspend, .mask = 0, .size = 1},
    {.number = SYS_ppoll, .mask = 3, .size = 4},
    {.number = SYS_epoll_pwait, .mask = 4, .size = 5},
    {.number = SYS_epoll_pwait2_number, .mask = 4, .size = 5},
    {.number = SYS_io_uring_enter_number, .mask = 4, .size = 5},
};

/* The mask without the signals that cannot be blocked. False if it is not there: the kernel says so itself. */
static bool replace_mask(struct thread *thread, uint64_t address)
{
    if (!address || !memory_read(&thread->call_mask, address, SET_SIZE))
        return false;
    thread->words[0] = thread->call_mask & ~FORCED_SIGNALS;
    thread->has_call_mask = true;
    return true;
}

static void pass_masked(struct thread *thread, ucontext_t *frame, const struct masked *call)
{
    uint64_t before[6];
    for (int i = 0; i < 6; i++)
        before[i] = argument(frame, i);
    if (before[call->size] == SET_SIZE && replace_mask(thread, before[call->mask]))
        set(frame, argument_registers[call->mask], (uint64_t)(uintptr_t)&thread->words[0]);
    pass_waiting(thread, frame, before);
}

/* pselect6 and io_pgetevents: the last argument leads to the mask's address and size. */
static void pass_masked_pair(struct thread *thread, ucontext_t *frame)
{
    uint64_t before[6], pair[2];
    for (int i = 0; i < 6; i++)
        before[i] = argument(frame, i);
    if (before[5] && memory_read(pair, before[5], sizeof pair) && pair[1] == SET_SIZE &&
        replace_mask(thread, pair[0])) {
        thread->words[1] = (uint64_t)(uintptr_t)&thread->words[0];
        thread->words[2] = SET_SIZE;
        set(frame, REG_R9, (uint64_t)(uintptr_t)&thread->words[1]);
    }
    pass_waiting(thread, frame, before);
}

/* io_uring_enter with the flag that says so: the argument leads to the mask's address, with more behind it. */
static void pass_masked_extended(struct thread *thread, ucontext_t *frame)
{
    uint64_t before[6], extended[URING_EXTENDED_SIZE / 8];
    for (int i = 0; i < 6; i++)
        before[i] = argument(frame, i);
    if (before[5] == sizeof extended && memory_read(extended, before[4], sizeof extended) &&
        (uint32_t)extended[1] == SET_SIZE && replace_mask(thread, extended[0])) {
        extended[0] = (uint64_t)(uintptr_t)&thread->words[0];
        memcpy(&thread->words[1], extended, sizeof extended);
        set(frame, REG_R8, (uint64_t)(uintptr_t)&thread->words[1]);
    }
    pass_waiting(thread, frame, before);
}

static bool serve_masked(struct thread *thread, ucontext_t *frame, uint64_t number)
{
    if (number == SYS_io_uring_enter_number && (argument(frame, 3) & URING_EXTENDED_ARGUMENT)) {
        pass_masked_extended(thread, frame);
        return true;
    }
    if (number == SYS_pselect6 || number == SYS_io_pgetevents) {
        pass_masked_pair(thread, frame);
        return true;
    }
    for (unsigned i = 0; i < sizeof masked / sizeof *masked; i++) {
        if (masked[i].number != number)
            continue;
        pass_masked(thread, frame, &masked[i]);
        return true;
    }
    return false;
}

/* ---- done on the program's behalf ---- */

static long serve_arch_prctl(struct thread *thread, uint64_t code, uint64_t value)
{
    uint64_t base;
    switch (code) {
    case ARCH_SET_FS:
        if (value >= canonical_user_end())
            return -EPERM;
        set_gs_base(value);
        thread->thread_pointer = value;
        return 0;
    case ARCH_GET_FS:
        base = gs_base();
        return memory_write(value, &base, sizeof base) ? 0 : -EFAULT;
    case ARCH_GET_GS:
        base = 0;
        return memory_write(value, &base, sizeof base) ? 0 : -EFAULT;
    case ARCH_SET_GS:
        if (value == 0 || value >= canonical_user_end())
            return value ? -EPERM : 0;
        report_fatal("the program uses GS itself (arch_prctl %x), where its thread-local storage has been put", code);
    case ARCH_REQ_XCOMP_PERM:
        return actions_permit_component(thread, value);
    default:
        return system_call3(SYS_arch_prctl, (long)code, (long)value, 0);
    }
}

/* Code that was mapped is rewritten when the module's other parts are there, too: at the next call that maps none. */
static void note_code(struct thread *thread, const ucontext_t *frame, const uint64_t *arguments, long result)
{
    bool is_loaded = get(frame, REG_RIP) - settings.loader_start < settings.loader_end - settings.loader_start;
    bool is_file = (int)arguments[4] >= 0 && !(arguments[3] & MAP_ANONYMOUS);
    uint64_t start = (uint64_t)result, end = start + ((arguments[1] + PAGE - 1) & -(uint64_t)PAGE);
    if (result <= 0)
        return;
    code_forget(start, end);
    if (is_file && (arguments[3] & MAP_PRIVATE) && !(arguments[2] & PROT_WRITE))
        code_note_file(start, end, is_loaded);
    if (settings.rewriting == REWRITE_EAGERLY && is_file && is_loaded)
        thread->fresh_code = start;
}

static long make(uint64_t number, const uint64_t *arguments)
{
    return system_call6((long)number, (long)arguments[0], (long)arguments[1], (long)arguments[2], (long)arguments[3],
                        (long)arguments[4], (long)arguments[5]);
}

/* A traced program stops at each signal, and each of its system calls is one. Its debugger would see those; and if it
 * has made the program by vfork, it does not run before the program does. */
static bool refuse_tracing(struct thread *thread, uint64_t request)
{
    if (request != PTRACE_TRACEME)
        return false;
    report_message("a program under segue run cannot be traced: each system call would stop it for its debugger");
    thread->wanted_tracing = true;
    return true;
}

/* Who does not look at that answer stops for its debugger next, which would wait for it for ever. */
static bool stops_for_debugger(struct thread *thread, uint64_t number, const uint64_t *arguments)
{
    uint64_t signal = number == SYS_tgkill ? arguments[2] : arguments[1];
    uint64_t own =
        (uint64_t)(number == SYS_kill ? system_call3(SYS_getpid, 0, 0, 0) : system_call3(SYS_gettid, 0, 0, 0));
    bool stops = thread->wanted_tracing && signal == SIGSTOP && arguments[number == SYS_tgkill ? 1 : 0] == own;
    thread->wanted_tracing &= !stops;
    return stops;
}

/* Behind which the host's file may not be found by way of /proc any more. */
static bool changes_places(uint64_t number)
{
    return number == SYS_chroot || number == SYS_pivot_root || number == SYS_umount2 || number == SYS_mount ||
           number == SYS_move_mount_number || number == SYS_unshare || number == SYS_setns || number == SYS_setrlimit ||
           number == SYS_prlimit64;
}

/* Whether the host may have to do with a call, by its arguments. All others are passed on, or go by detours, and none
 * of what follows sees them. */
static bool is_looked_at(uint64_t number)
{
    switch (number) {
    case SYS_arch_prctl:
    case SYS_clone:
    case SYS_clone3:
    case SYS_execve:
    case SYS_execveat:
    case SYS_exit:
    case SYS_exit_group:
    case SYS_fork:
    case SYS_io_pgetevents:
    case SYS_kill:
    case SYS_mmap:
    case SYS_pkey_alloc:
    case SYS_prctl:
    case SYS_pselect6:
    case SYS_ptrace:
    case SYS_rt_sigaction:
    case SYS_rt_sigpending:
    case SYS_rt_sigprocmask:
    case SYS_rt_sigreturn:
    case SYS_seccomp:
    case SYS_sigaltstack:
    case SYS_tgkill:
    case SYS_tkill:
    case SYS_vfork:
        return true;
    default:
        if (changes_places(number))
            return true;
    }
    for (unsigned i = 0; i < sizeof masked / sizeof *masked; i++)
        if (masked[i].number == number)
            return true;
    return path_may_serve(number);
}

/* Returns whether the call is done; else it was arranged, or is to be passed on. */
static bool serve(struct thread *thread, ucontext_t *frame, uint64_t number, const uint64_t *arguments, long *result)
{
    switch (number) {
    case SYS_rt_sigaction:
        *result = actions_change(thread, arguments[0], arguments[1], arguments[2], arguments[3]);
        return true;
    case SYS_rt_sigprocmask:
        *result = actions_change_mask(thread, frame, arguments);
        return true;
    case SYS_rt_sigpending:
        *result = actions_pending(thread, arguments[0], arguments[1]);
        return true;
    case SYS_sigaltstack:
        *result = actions_change_stack(thread, frame, arguments[0], arguments[1]);
        return true;
    case SYS_arch_prctl:
        *result = serve_arch_prctl(thread, arguments[0], arguments[1]);
        return true;
    case SYS_clone:
        *result = process_clone(thread, frame);
        return true;
    case SYS_clone3:
        *result = process_clone3(thread, frame);
        return true;
    case SYS_fork:
        *result = process_fork(thread, frame, 0);
        return true;
    case SYS_vfork:
        *result = process_fork(thread, frame, 1);
        return true;
    case SYS_execve:
    case SYS_execveat:
        *result = exec_serve(thread, frame);
        return *result < 0;
    case SYS_mmap:
        if (!(arguments[2] & PROT_EXEC))
            return false;
        *result = make(number, arguments);
        note_code(thread, frame, arguments, *result);
        return true;
    case SYS_prctl:
    case SYS_seccomp:
        *result = -EINVAL;
        if (number == SYS_prctl && arguments[0] == PR_SET_SYSCALL_USER_DISPATCH)
            return true;
        filter_serve(thread, frame, number);
        return false;
    case SYS_ptrace:
        *result = -EPERM;
        return refuse_tracing(thread, arguments[0]);
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
        *result = 0;
        return thread->wanted_tracing && stops_for_debugger(thread, number, arguments);
    default:
        return path_serve(thread, frame, result);
    }
}

/* The filter will be one for our calls, too: what is rewritten now needs none later. */
static void before_filter(void)
{
    static bool is_done;
    detour_stop();
    host_note_filter();
    fault_prepare();
    if (!__atomic_exchange_n(&is_done, true, __ATOMIC_RELAXED))
        module_rewrite_all();
}

/* Made here, so that no signal comes between the figures and the end, and has both told again. */
static void end_process(const ucontext_t *frame)
{
    report_end(0);
    system_call3(SYS_exit_group, (long)argument(frame, 0), 0, 0);
}

static void prepare_call(struct thread *thread, const ucontext_t *frame, uint64_t number)
{
    if (number == SYS_exit)
        thread_ends(thread);
    if (number == SYS_exit_group)
        end_process(frame);
    if (number == SYS_seccomp || (number == SYS_prctl && argument(frame, 0) == PR_SET_SECCOMP))
        before_filter();
    if (number == SYS_pkey_alloc)
        keys_note_use();
    if (changes_places(number) && (number != SYS_prlimit64 || argument(frame, 2))) {
        lock_take();
        host_prepare();
        lock_release();
    }
    if (thread->fresh_code && number != SYS_mmap) {
        module_rewrite(thread->fresh_code);
        thread->fresh_code = 0;
    }
}

void calls_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info)
{
    uint64_t number = call_number(frame), arguments[6];
    long result = 0;
    if (info->si_arch != AUDIT_ARCH_X86_64)
        report_fatal("the program makes a 32-bit system call (int 0x80) at %x, which is not done here",
                     get(frame, REG_RIP) - CALL_SIZE);
    for (int i = 0; i < 6; i++)
        arguments[i] = argument(frame, i);
    count(&counters->calls[number < CALL_NUMBERS ? number : CALL_NUMBERS - 1], 1);
    report_call(frame);
    prepare_call(thread, frame, number);
    if (!is_looked_at(number)) {
        detour_note(thread, get(frame, REG_RIP), number);
        calls_pass(thread, frame, NULL);
        return;
    }
    if (number == SYS_rt_sigreturn) {
        deliver_return(thread, frame);
        count(&counters->served, 1);
        return;
    }
    if (serve_masked(thread, frame, number))
        return;
    if (serve(thread, frame, number, arguments, &result)) {
        if (result == CALLS_AGAIN)
            set(frame, REG_RIP, get(frame, REG_RIP) - CALL_SIZE);
        else
            set(frame, REG_RAX, (uint64_t)result);
        count(&counters->served, 1);
    } else if (!thread->is_led) {
        calls_pass(thread, frame, NULL);
    }
}
