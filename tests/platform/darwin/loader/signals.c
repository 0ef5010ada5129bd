/* signals.c: signals in the form that macOS gives them. See loader.h.
 *
 * A handler of Linux's, on a stack of the loader's, writes the frame where macOS would, and returns to the trampoline.
 * What the trampoline does last is an instruction that traps: then the same handler restores the thread from the frame.
 */
#define _GNU_SOURCE
#include "actions.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RED_ZONE 128u
#define STYLE_INFO 30u

struct d_siginfo {
    int number, error, code, process;
    uint32_t user;
    int status;
    uint64_t address, value;
    int64_t band;
    uint64_t padding[7];
};
struct d_context {
    int on_stack;
    uint32_t mask;
    uint64_t stack, stack_size;
    int stack_flags, padding;
    uint64_t link, machine_size, machine;
};
struct d_exception {
    uint16_t trap, processor;
    uint32_t error;
    uint64_t address;
};
/* In this order. */
struct d_registers {
    uint64_t rax, rbx, rcx, rdx, rdi, rsi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags, cs, fs, gs;
};
struct d_machine {
    struct d_exception exception;
    struct d_registers general;
    uint8_t vectors[2444];
};
_Static_assert(sizeof(struct d_siginfo) == 104 && sizeof(struct d_context) == 56 && sizeof(struct d_registers) == 168 &&
                   sizeof(struct d_exception) == 16,
               "the sizes of Apple's headers");

/* By its size the state's kind is known: float, AVX, AVX-512. */
static size_t vectors_size = 524;
static const struct {
    unsigned component;
    size_t at, size, least;
} parts[] = {{2, 588, 256, 844}, {5, 844, 64, 2444}, {6, 908, 512, 2444}, {7, 1420, 1024, 2444}};

static uint32_t offset_of(unsigned component)
{
    uint32_t size, offset, c, d;
    __cpuid_count(0xd, component, size, offset, c, d);
    return offset;
}

/* ---- frames ---- */

/* clang-format off */
#define EACH_REGISTER(DO)                                                                                              \
    DO(rax, RAX) DO(rbx, RBX) DO(rcx, RCX) DO(rdx, RDX) DO(rdi, RDI) DO(rsi, RSI) DO(rbp, RBP) DO(rsp, RSP) DO(r8, R8) \
    DO(r9, R9) DO(r10, R10) DO(r11, R11) DO(r12, R12) DO(r13, R13) DO(r14, R14) DO(r15, R15) DO(rip, RIP)              \
    DO(rflags, EFL)
/* clang-format on */

static void get_registers(const ucontext_t *native, struct d_registers *to)
{
    const greg_t *from = native->uc_mcontext.gregs;
#define GET(field, NAME) to->field = (uint64_t)from[REG_##NAME];
    EACH_REGISTER(GET)
#undef GET
    to->cs = (uint64_t)from[REG_CSGSFS] & 0xffff;
    to->fs = to->gs = 0;
}

static void get_vectors(const ucontext_t *native, uint8_t *to)
{
    const uint8_t *area = (const void *)native->uc_mcontext.fpregs;
    uint64_t in_use;
    memset(to, 0, vectors_size);
    memcpy(to + 8, area, 464);
    memcpy(&in_use, area + 512, 8);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (vectors_size >= parts[i].least && in_use >> parts[i].component & 1)
            memcpy(to + parts[i].at, area + offset_of(parts[i].component), parts[i].size);
}

static void set_registers(ucontext_t *native, const struct d_registers *from)
{
    const uint64_t user_flags = 0x240dd5;
    greg_t *to = native->uc_mcontext.gregs;
#define SET(field, NAME) to[REG_##NAME] = (greg_t)from->field;
    EACH_REGISTER(SET)
#undef SET
    to[REG_EFL] = (greg_t)((from->rflags & user_flags) | 0x202);
}

/* What the state has no place for stays as it is. */
static void set_vectors(ucontext_t *native, const uint8_t *from)
{
    uint8_t *area = (void *)native->uc_mcontext.fpregs;
    uint64_t in_use;
    memcpy(area, from + 8, 464);
    memcpy(&in_use, area + 512, 8);
    in_use |= 3;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (vectors_size >= parts[i].least) {
            memcpy(area + offset_of(parts[i].component), from + parts[i].at, parts[i].size);
            in_use |= UINT64_C(1) << parts[i].component;
        }
    memcpy(area + 512, &in_use, 8);
}

static void get_exception(const ucontext_t *native, struct d_exception *to)
{
    const greg_t *from = native->uc_mcontext.gregs;
    *to = (struct d_exception){
        .trap = (uint16_t)from[REG_TRAPNO], .error = (uint32_t)from[REG_ERR], .address = (uint64_t)from[REG_CR2]};
}

enum { GENERAL64 = 4, FLOAT64 = 5, EXCEPTION64 = 6, AVX64 = 17, AVX512_64 = 20 };

size_t state_size(int flavor)
{
    switch (flavor) {
    case GENERAL64:
        return sizeof(struct d_registers);
    case EXCEPTION64:
        return sizeof(struct d_exception);
    case FLOAT64:
        return vectors_size == 524 ? 524 : 0;
    case AVX64:
        return vectors_size == 844 ? 844 : 0;
    case AVX512_64:
        return vectors_size == 2444 ? 2444 : 0;
    default:
        return 0;
    }
}

void state_get(const ucontext_t *native, int flavor, void *state)
{
    if (flavor == GENERAL64)
        get_registers(native, state);
    else if (flavor == EXCEPTION64)
        get_exception(native, state);
    else
        get_vectors(native, state);
}

void state_set(ucontext_t *native, int flavor, const void *state)
{
    if (flavor == GENERAL64)
        set_registers(native, state);
    else if (flavor != EXCEPTION64)
        set_vectors(native, state);
}

/* From the frame to the thread. */
static void restore(struct thread *self, ucontext_t *native)
{
    const greg_t *registers = native->uc_mcontext.gregs;
    const struct d_context *context = (const void *)(uintptr_t)registers[REG_RDI];
    const struct d_machine *machine = (const void *)(uintptr_t)context->machine;
    if ((uint64_t)registers[REG_RSI] != ((uint64_t)(uintptr_t)context ^ 0x5e60e))
        fail("a frame is restored that no signal has made");
    self->mask = context->mask & ~BIT(BSD_KILL);
    self->on_stack = context->on_stack & 1;
    self->handlers--;
    set_registers(native, &machine->general);
    set_vectors(native, machine->vectors);
}

/* Has the thread enter the handler of a signal. */
static void deliver(struct thread *self, ucontext_t *native, const struct d_siginfo *given,
                    const struct d_exception *exception)
{
    greg_t *registers = native->uc_mcontext.gregs;
    struct d_action action = actions[given->number];
    bool was_on_stack = self->on_stack;
    uint64_t at = (uint64_t)registers[REG_RSP], size = 0;
    if (action.handler == 0)
        signal_die_of(given->number);
    if (action.handler == 1)
        return;
    if (self->has_stack && !was_on_stack && (action.flags & BSD_ONSTACK)) {
        at = self->stack + self->stack_size;
        size = self->stack_size;
        self->on_stack = true;
    }
    at -= RED_ZONE;
    struct d_context *context = (void *)(uintptr_t)(at -= sizeof *context);
    struct d_siginfo *info = (void *)(uintptr_t)(at -= sizeof *info);
    size_t machine_size = offsetof(struct d_machine, vectors) + vectors_size;
    struct d_machine *machine = (void *)(uintptr_t)(at -= machine_size);
    at = (at & -UINT64_C(16)) - 8;
    if (self->on_stack && at - self->stack < 1024)
        fail("a handler has no room on its alternate stack");
    *info = *given;
    info->padding[0] = (uint64_t)registers[REG_RSP];
    machine->exception = *exception;
    get_registers(native, &machine->general);
    get_vectors(native, machine->vectors);
    *context = (struct d_context){.on_stack = was_on_stack,
                                  .mask = self->mask,
                                  .stack = at,
                                  .stack_size = size,
                                  .stack_flags = was_on_stack ? BSD_SS_ONSTACK : 0,
                                  .machine_size = machine_size,
                                  .machine = (uint64_t)(uintptr_t)machine};
    self->mask |= action.mask;
    if (!(action.flags & BSD_NODEFER))
        self->mask |= BIT(given->number);
    if (action.flags & BSD_RESETHAND)
        actions[given->number].handler = 0;
    self->handlers++;
    registers[REG_RIP] = (greg_t)(uintptr_t)loader_trampoline;
    registers[REG_RSP] = (greg_t)at;
    registers[REG_EFL] = 0x202;
    registers[REG_RDI] = (greg_t)action.handler;
    registers[REG_RSI] = STYLE_INFO;
    registers[REG_RDX] = given->number;
    registers[REG_RCX] = (greg_t)(uintptr_t)info;
    registers[REG_R8] = (greg_t)(uintptr_t)context;
    registers[REG_R9] = (greg_t)((uint64_t)(uintptr_t)context ^ 0x5e60e);
}

/* ---- faults ---- */

static void describe(const siginfo_t *native, const ucontext_t *context, struct d_siginfo *info)
{
    bool is_general = native->si_code == SI_KERNEL;
    *info = (struct d_siginfo){.address = (uint64_t)context->uc_mcontext.gregs[REG_RIP]};
    switch (native->si_signo) {
    case SIGSEGV:
        /* A protected page is KERN_PROTECTION_FAILURE: SIGBUS. One that is not mapped: SIGSEGV, as #GP. */
        info->number = !is_general && native->si_code != SEGV_MAPERR ? BSD_BUS : BSD_SEGV;
        info->code = is_general ? 0 : info->number == BSD_BUS ? 2 : 1;
        info->address = is_general ? 0 : (uint64_t)(uintptr_t)native->si_addr;
        return;
    case SIGBUS:
        info->number = BSD_BUS;
        info->code = 2;
        info->address = (uint64_t)context->uc_mcontext.gregs[REG_CR2];
        return;
    case SIGFPE:
        info->number = BSD_FPE;
        info->code = native->si_code == FPE_INTDIV ? 7 : native->si_code == FPE_FLTDIV ? 1 : 5;
        return;
    case SIGTRAP:
        info->number = BSD_TRAP;
        info->code = 1;
        return;
    default:
        info->number = BSD_ILL;
        info->code = 1;
    }
}

/* As user_trap calls it, from which ux_exception then makes the signal. */
static struct exception exception_of(const siginfo_t *native, const ucontext_t *context, const struct d_siginfo *info)
{
    enum { INVALID_ADDRESS = 1, PROTECTION_FAILURE = 2, MEMORY_ERROR = 10, GENERAL_PROTECTION = 13 };
    enum { DIVISION = 1, FLOATING = 5, SINGLE_STEP = 1, INT3 = 2, INVALID_OPERATION = 1 };
    bool is_general = native->si_code == SI_KERNEL, is_step = context->uc_mcontext.gregs[REG_TRAPNO] == 1;
    switch (native->si_signo) {
    case SIGSEGV:
    case SIGBUS:
        return (struct exception){BAD_ACCESS,
                                  {is_general                   ? GENERAL_PROTECTION
                                   : native->si_signo == SIGBUS ? MEMORY_ERROR
                                   : info->number == BSD_BUS    ? PROTECTION_FAILURE
                                                                : INVALID_ADDRESS,
                                   (int64_t)info->address}};
    case SIGFPE:
        return (struct exception){ARITHMETIC, {native->si_code == FPE_INTDIV ? DIVISION : FLOATING, 0}};
    case SIGTRAP:
        return (struct exception){BREAKPOINT, {is_step ? SINGLE_STEP : INT3, 0}};
    default:
        return (struct exception){BAD_INSTRUCTION, {INVALID_OPERATION, 0}};
    }
}

static void on_fault(int number, siginfo_t *told, void *native)
{
    ucontext_t *context = native;
    greg_t *registers = context->uc_mcontext.gregs;
    struct thread *self = thread_self();
    struct d_siginfo info;
    (void)number;
    if (registers[REG_RIP] == (greg_t)(uintptr_t)loader_restore) {
        restore(self, context);
        signal_settle(self);
        return;
    }
    struct d_exception exception;
    get_exception(context, &exception);
    describe(told, context, &info);
    struct exception of_mach = exception_of(told, context, &info);
    if (exception_raise(self, context, &of_mach))
        return;
    if (self->mask & BIT(info.number))
        signal_die_of(info.number);
    deliver(self, context, &info, &exception);
}

/* ---- signals that are sent ---- */

#define SENT (SIGRTMIN + 1)
#define HELD (SIGRTMIN + 2)

/* The exception is that of the thread's last fault. */
static void on_sent(int number, siginfo_t *told, void *native)
{
    struct thread *self = thread_self();
    (void)number;
    (void)told;
    uint32_t open = self->pending & ~self->mask;
    if (!open)
        return;
    int first = __builtin_ctz(open) + 1;
    __atomic_and_fetch(&self->pending, ~BIT(first), __ATOMIC_ACQ_REL);
    const greg_t *registers = ((ucontext_t *)native)->uc_mcontext.gregs;
    struct d_siginfo info = {.number = first, .process = getpid(), .user = getuid()};
    struct d_exception exception = {.trap = (uint16_t)registers[REG_TRAPNO], .address = (uint64_t)registers[REG_CR2]};
    if (first == BSD_BUS || first == BSD_SEGV) {
        /* As XNU: these fields say what they say of a fault. */
        info.code = first == BSD_BUS ? 2 : 0;
        info.address = exception.address;
        info.process = 0;
    }
    deliver(self, native, &info, &exception);
    signal_settle(self);
}

/* Timers' signals have the same numbers in both systems. */
static void on_timer(int number, siginfo_t *told, void *native)
{
    __atomic_or_fetch(&thread_self()->pending, BIT(number), __ATOMIC_ACQ_REL);
    on_sent(number, told, native);
}

void signal_send(struct thread *thread, int number)
{
    __atomic_or_fetch(&thread->pending, BIT(number), __ATOMIC_ACQ_REL);
    syscall(SYS_tgkill, getpid(), thread->number, SENT);
}

void signal_settle(struct thread *self)
{
    if (__atomic_load_n(&self->pending, __ATOMIC_ACQUIRE) & ~self->mask)
        syscall(SYS_tgkill, getpid(), self->number, SENT);
}

/* ---- a thread that is held ---- */

static void wait_while(uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void thread_stand_still(struct thread *self, ucontext_t *native)
{
    uint32_t value = __atomic_load_n(&self->suspensions, __ATOMIC_ACQUIRE);
    if (!value)
        return;
    self->registers = native;
    __atomic_store_n(&self->stopped, 1, __ATOMIC_RELEASE);
    wake(&self->stopped);
    for (; value; value = __atomic_load_n(&self->suspensions, __ATOMIC_ACQUIRE))
        wait_while(&self->suspensions, value);
    __atomic_store_n(&self->stopped, 0, __ATOMIC_RELEASE);
    wake(&self->stopped);
}

static void on_held(int number, siginfo_t *told, void *native)
{
    (void)number;
    (void)told;
    thread_stand_still(thread_self(), native);
}

bool thread_hold(struct thread *thread)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    if (__atomic_fetch_add(&thread->suspensions, 1, __ATOMIC_ACQ_REL) == 0)
        syscall(SYS_tgkill, getpid(), thread->number, HELD);
    while (!__atomic_load_n(&thread->stopped, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&thread->in_exception, __ATOMIC_ACQUIRE)) {
        if (!__atomic_load_n(&thread->number, __ATOMIC_ACQUIRE)) {
            thread_release(thread);
            return false;
        }
        syscall(SYS_futex, &thread->stopped, FUTEX_WAIT_PRIVATE, 0, &moment, NULL, 0);
    }
    return true;
}

/* Returns when it no longer stands still: who suspends it next does not find it as it was. */
void thread_release(struct thread *thread)
{
    if (__atomic_sub_fetch(&thread->suspensions, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    wake(&thread->suspensions);
    while (__atomic_load_n(&thread->stopped, __ATOMIC_ACQUIRE))
        wait_while(&thread->stopped, 1);
}

/* ---- system calls that the program makes itself ---- */

#define FIRST_CALL 0x1000000u

static void on_call(ucontext_t *native)
{
    enum { SET_CTHREAD_SELF = 0x3000003, THREAD_SELFID = 0x2000174, CTHREAD_SELECTOR = 0xf };
    struct thread *self = thread_self();
    greg_t *registers = native->uc_mcontext.gregs;
    switch (registers[REG_RAX]) {
    case SET_CTHREAD_SELF:
        self->base = (uint64_t)registers[REG_RDI];
        if (syscall(SYS_arch_prctl, ARCH_SET_GS, self->base) != 0)
            fail("the base of GS is set to %#llx", (unsigned long long)self->base);
        registers[REG_RAX] = CTHREAD_SELECTOR;
        return;
    case THREAD_SELFID:
        registers[REG_RAX] = self->number;
        return;
    default:
        fail("system call %#llx", (unsigned long long)registers[REG_RAX]);
    }
}

/* Linux has no calls with such numbers: they are trapped. */
static void trap_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_CALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        fail("system calls cannot be trapped");
}

/* Whether the base of FS has to be 0 from now on. */
bool signals_handle(int number, siginfo_t *told, void *native);
bool signals_handle(int number, siginfo_t *told, void *native)
{
    const struct thread *self = thread_self();
    const int error = errno;
    if (number == SIGSYS)
        on_call(native);
    else if (number == SENT)
        on_sent(number, told, native);
    else if (number == HELD)
        on_held(number, told, native);
    else if (number == SIGALRM || number == SIGVTALRM || number == SIGPROF)
        on_timer(number, told, native);
    else
        on_fault(number, told, native);
    /* What waits in it may end with an error of its own. */
    errno = error;
    return self->base != (uint64_t)(uintptr_t)self->keys;
}

void signals_begin_thread(void)
{
    char *memory = mmap(NULL, 2 * HANDLER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("a thread has no stack for the loader's handlers");
    memory = (char *)(((uintptr_t)memory + HANDLER_STACK - 1) & -(uintptr_t)HANDLER_STACK);
    const stack_t stack = {.ss_sp = memory, .ss_size = HANDLER_STACK};
    if (syscall(SYS_arch_prctl, ARCH_GET_FS, memory) != 0 || sigaltstack(&stack, NULL) != 0)
        fail("a thread has no stack for the loader's handlers");
}

void signals_begin(void)
{
    static const int timers[] = {SIGALRM, SIGVTALRM, SIGPROF};
    static const int others[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    const char *wanted = getenv("LOADER_STATE");
    unsigned a = 0, b = 0, c, d;
    uint32_t enabled = 0, high;
    if (!(getauxval(AT_HWCAP2) & 2))
        fail("Linux does not allow RDFSBASE and WRFSBASE here");
    sigfillset(&action.sa_mask);
    action.sa_handler = loader_on_signal;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        sigaction(others[i], &action, NULL);
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        sigaction(timers[i], &action, NULL);
    sigaction(SENT, &action, NULL);
    sigaction(HELD, &action, NULL);
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE))
        __asm__("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
    vectors_size = (enabled & 0xe0) == 0xe0 ? 2444 : (enabled & 4) ? 844 : 524;
    size_t most = !wanted ? 2444 : strcmp(wanted, "float") == 0 ? 524 : strcmp(wanted, "avx") == 0 ? 844 : 2444;
    vectors_size = vectors_size < most ? vectors_size : most;
    trap_calls();
}
