/* signals.c: signals in the form that FreeBSD gives them. See loader.h.
 *
 * A handler of Linux's, on a stack of the loader's, writes the frame where FreeBSD would, and returns to the
 * trampoline. What the trampoline does last is an instruction that traps: then the same handler restores the thread
 * from the frame.
 */
#define _GNU_SOURCE
#include "frames.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- registers ---- */

/* clang-format off */
#if defined(__x86_64__)
#define EACH_REGISTER(DO)                                                                                              \
    DO(rax, RAX) DO(rbx, RBX) DO(rcx, RCX) DO(rdx, RDX) DO(rdi, RDI) DO(rsi, RSI) DO(rbp, RBP) DO(rsp, RSP) DO(r8, R8) \
    DO(r9, R9) DO(r10, R10) DO(r11, R11) DO(r12, R12) DO(r13, R13) DO(r14, R14) DO(r15, R15) DO(rip, RIP)              \
    DO(rflags, EFL)
#define FLAGS rflags
#define POINTER REG_RSP
#define INSTRUCTION REG_RIP
#define CONTEXT REG_RDI
#else
#define EACH_REGISTER(DO)                                                                                              \
    DO(eax, EAX) DO(ebx, EBX) DO(ecx, ECX) DO(edx, EDX) DO(edi, EDI) DO(esi, ESI) DO(ebp, EBP) DO(esp, ESP)            \
    DO(eip, EIP) DO(eflags, EFL)
#define FLAGS eflags
#define POINTER REG_ESP
#define INSTRUCTION REG_EIP
#define CONTEXT REG_EAX
#endif
/* clang-format on */

static uintptr_t fault_address(const ucontext_t *native)
{
#if defined(__x86_64__)
    return (uintptr_t)native->uc_mcontext.gregs[REG_CR2];
#else
    return native->uc_mcontext.cr2;
#endif
}

static void get_registers(const ucontext_t *native, struct f_machine *to)
{
    const greg_t *from = native->uc_mcontext.gregs;
    uint16_t es, ds;
#define GET(field, NAME) to->field = (long)from[REG_##NAME];
    EACH_REGISTER(GET)
#undef GET
    __asm__("movw %%es, %0" : "=r"(es));
    __asm__("movw %%ds, %0" : "=r"(ds));
    to->es = es;
    to->ds = ds;
#if defined(__x86_64__)
    to->cs = (long)((uint64_t)from[REG_CSGSFS] & 0xffff);
    to->ss = (long)((uint64_t)from[REG_CSGSFS] >> 48);
    to->flags = HAS_SEGMENTS;
    to->address = (long)fault_address(native);
    syscall(SYS_arch_prctl, ARCH_GET_FS, &to->fs_base);
    syscall(SYS_arch_prctl, ARCH_GET_GS, &to->gs_base);
#else
    to->cs = from[REG_CS];
    to->ss = from[REG_SS];
    to->fs = from[REG_FS];
    to->gs = from[REG_GS];
    __asm__("movl %%gs:0, %0" : "=r"(to->gs_base));
#endif
    to->length = sizeof *to;
}

static void set_registers(ucontext_t *native, const struct f_machine *from)
{
    greg_t *to = native->uc_mcontext.gregs;
    if (((unsigned long)from->FLAGS ^ (unsigned long)to[REG_EFL]) & ~USER_FLAGS & 0xffffffff)
        fail("sigreturn refuses flags %#lx, for they were %#lx", from->FLAGS, (unsigned long)to[REG_EFL]);
#define SET(field, NAME) to[REG_##NAME] = (greg_t)from->field;
    EACH_REGISTER(SET)
#undef SET
#if defined(__x86_64__)
    long fs, gs;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
    syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
    if (from->fs_base != fs)
        fail("a frame has another base of FS: the loader needs its own");
    if (from->gs_base != gs)
        syscall(SYS_arch_prctl, ARCH_SET_GS, from->gs_base);
#else
    to[REG_UESP] = to[REG_ESP];
#endif
}

/* ---- frames ---- */

/* From the frame to the thread. */
static void restore(struct thread *self, ucontext_t *native)
{
    const struct f_context *system = (const void *)(uintptr_t)native->uc_mcontext.gregs[CONTEXT];
    if (system->machine.flags & ~KNOWN_FLAGS)
        fail("sigreturn refuses mc_flags %#lx", (unsigned long)system->machine.flags);
    if (system->machine.length != sizeof system->machine)
        fail("a frame is restored that no signal has made");
    state_set(native, &system->machine);
    set_registers(native, &system->machine);
    set_mask(self, system->mask, false);
}

/* What the kernel enters: the C library's own handler, with all signals blocked. */
static void library_handler(int number, struct f_siginfo *info, struct f_context *system)
{
    struct thread *self = locals.self;
    struct f_action action = actions[number];
    struct f_context copy;
    struct mask mask;
    memcpy(&mask, action.mask, sizeof mask);
    mask.words[0] |= system->mask.words[0];
    mask.words[1] |= system->mask.words[1];
    if (!(action.flags & BSD_NODEFER))
        add(&mask, number);
    set_mask(self, mask, false);
    ((void (*)(int, uintptr_t, void *, void *))action.handler)(
        number, action.flags & BSD_SIGINFO ? (uintptr_t)info : (uintptr_t)(unsigned)info->code, system,
        (void *)info->address);
    memcpy(&copy, system, sizeof copy);
    loader_sigreturn(&copy);
}

/* Has the thread enter the handler of a signal. */
static void deliver(struct thread *self, ucontext_t *native, const struct f_siginfo *given, unsigned trap,
                    unsigned long error)
{
    greg_t *registers = native->uc_mcontext.gregs;
    struct f_action *action = &actions[given->number];
    uintptr_t pointer = (uintptr_t)registers[POINTER], at = pointer - 128;
    bool was_on = is_on(self, pointer), moves = self->has_stack && !was_on && (action->flags & BSD_ONSTACK);
    if (action->handler == 0)
        signal_die_of(given->number);
    if (action->handler == 1)
        return;
    if (moves)
        at = self->stack + self->stack_size;
    uint8_t *rest = (void *)(at = (at - (state_area_size - LEGACY)) & -(uintptr_t)64);
    struct f_frame *frame = (void *)(at = (at - sizeof *frame) & -(uintptr_t)16);
    if ((moves || was_on) && at - self->stack < 1024)
        fail("a handler has no room on its alternate stack");
    memset(frame, 0, sizeof *frame);
    frame->system.mask = self->mask;
    frame->system.stack = (struct f_stack){self->stack, self->stack_size, BSD_SS_DISABLE};
    if (self->has_stack)
        frame->system.stack.flags = was_on ? BSD_SS_ONSTACK : 0;
    frame->system.machine.on_stack = was_on;
    get_registers(native, &frame->system.machine);
    state_get(native, &frame->system.machine, rest);
    frame->system.machine.trap = trap;
    frame->system.machine.error = (long)error;
    frame->information = *given;
    frame->handler = (uintptr_t)library_handler;
    if (action->flags & BSD_RESETHAND)
        action->handler = 0;
    set_mask(self, (struct mask){{UINT64_MAX, UINT64_MAX}}, false);
    registers[INSTRUCTION] = (greg_t)(uintptr_t)loader_sigcode;
    registers[POINTER] = (greg_t)at;
    registers[REG_EFL] &= ~0x500;
#if defined(__x86_64__)
    registers[REG_RDI] = given->number;
    registers[REG_RSI] = (greg_t)(uintptr_t)&frame->information;
    registers[REG_RDX] = (greg_t)(uintptr_t)&frame->system;
    registers[REG_RCX] = (greg_t)given->address;
#else
    registers[REG_UESP] = registers[REG_ESP];
    frame->number = (uint32_t)given->number;
    frame->info = (uint32_t)(uintptr_t)&frame->information;
    frame->context = (uint32_t)(uintptr_t)&frame->system;
    frame->address = (uint32_t)given->address;
#endif
}

/* ---- faults ---- */

/* By the processor's vector: the exception's number, the signal and its code. */
static const struct {
    uint8_t vector, trap, signal, code;
} exceptions[] = {
    {0, T_DIVIDE, BSD_FPE, 2},     {1, T_TRCTRAP, BSD_TRAP, 2},  {3, T_BPTFLT, BSD_TRAP, 1},
    {4, T_OFLOW, BSD_FPE, 1},      {5, T_BOUND, BSD_FPE, 8},     {6, T_PRIVINFLT, BSD_ILL, 5},
    {11, T_SEGNPFLT, BSD_BUS, 2},  {12, T_STKFLT, BSD_BUS, 2},   {13, T_PROTFLT, BSD_BUS, 3},
    {16, T_ARITHTRAP, BSD_FPE, 7}, {17, T_ALIGNFLT, BSD_BUS, 1}, {19, T_XMMFLT, BSD_FPE, 7},
};

static void describe(const siginfo_t *told, const ucontext_t *native, struct f_siginfo *info)
{
    static int translation = -1;
    const greg_t *registers = native->uc_mcontext.gregs;
    *info = (struct f_siginfo){.address = (uintptr_t)registers[INSTRUCTION]};
    if (translation < 0)
        translation = getenv("LOADER_TRANSLATION") ? atoi(getenv("LOADER_TRANSLATION")) : 0;
    if (registers[REG_TRAPNO] == 14) {
        bool is_closed = told->si_signo == SIGSEGV && told->si_code != SEGV_MAPERR;
        info->trap = T_PAGEFLT;
        info->address = fault_address(native);
        info->number = BSD_SEGV;
        info->code = is_closed ? 2 : 1;
        if (is_closed && translation == 1) {
            info->number = BSD_BUS;
            info->code = T_PAGEFLT;
        } else if (told->si_signo == SIGBUS) {
            info->number = BSD_BUS;
            info->code = 3;
        }
        return;
    }
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (exceptions[i].vector == registers[REG_TRAPNO]) {
            info->trap = exceptions[i].trap;
            info->number = exceptions[i].signal;
            info->code = exceptions[i].code;
            return;
        }
    fail("exception %d", (int)registers[REG_TRAPNO]);
}

static void on_fault(int number, siginfo_t *told, void *context)
{
    ucontext_t *native = context;
    struct thread *self = locals.self;
    struct f_siginfo info;
    (void)number;
    if (native->uc_mcontext.gregs[INSTRUCTION] == (greg_t)(uintptr_t)loader_restore) {
        restore(self, native);
        signal_settle(self);
        return;
    }
    describe(told, native, &info);
    if (has(&self->mask, info.number))
        signal_die_of(info.number);
    deliver(self, native, &info, (unsigned)info.trap, (unsigned long)native->uc_mcontext.gregs[REG_ERR]);
}

/* ---- signals that are sent ---- */

#define SENT (SIGRTMIN + 1)

static int first_open(struct thread *self)
{
    for (int word = 0; word < 2; word++) {
        uint64_t open = __atomic_load_n(&self->pending.words[word], __ATOMIC_ACQUIRE) & ~self->mask.words[word];
        if (open)
            return word * 64 + __builtin_ctzll(open) + 1;
    }
    return 0;
}

/* The exception is that of the thread's last fault. */
static void on_sent(int number, siginfo_t *told, void *native)
{
    struct thread *self = locals.self;
    const greg_t *registers = ((ucontext_t *)native)->uc_mcontext.gregs;
    int first = first_open(self);
    (void)number;
    (void)told;
    if (!first)
        return;
    __atomic_and_fetch(&self->pending.words[(first - 1) / 64], ~(UINT64_C(1) << (first - 1) % 64), __ATOMIC_ACQ_REL);
    struct f_siginfo info = {.number = first, .code = self->codes[first - 1], .process = getpid(), .user = getuid()};
    unsigned trap = registers[REG_TRAPNO] == 14 ? T_PAGEFLT : T_TRCTRAP;
    deliver(self, native, &info, trap, (unsigned long)registers[REG_ERR]);
    signal_settle(self);
}

void signal_send(struct thread *thread, int number, int code)
{
    thread->codes[number - 1] = code;
    __atomic_or_fetch(&thread->pending.words[(number - 1) / 64], UINT64_C(1) << (number - 1) % 64, __ATOMIC_ACQ_REL);
    syscall(SYS_tgkill, getpid(), thread->number, SENT);
}

void signal_settle(struct thread *self)
{
    if (first_open(self))
        syscall(SYS_tgkill, getpid(), self->number, SENT);
}

/* ---- the beginning ---- */

void signals_begin_thread(void)
{
    const size_t size = 65536;
    stack_t stack = {.ss_sp = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                     .ss_size = size};
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) != 0)
        fail("no stack for the loader's handlers");
}

void signals_begin(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    uint32_t a, b, c, d, low, high;
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigaction(faults[i], &action, NULL);
    action.sa_sigaction = on_sent;
    sigaction(SENT, &action, NULL);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        fail("this processor has no XSAVE");
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    state_components = low | (uint64_t)high << 32;
    __cpuid_count(0xd, 0, a, state_area_size, c, d);
    signals_begin_thread();
}
