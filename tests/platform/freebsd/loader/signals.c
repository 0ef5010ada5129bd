/* signals.c: signals in the form that FreeBSD gives them. See loader.h.
 *
 * A handler of Linux's, on a stack of the loader's, writes the frame where FreeBSD would, and returns to the
 * trampoline. What the trampoline does last is an instruction that traps: then the same handler restores the thread
 * from the frame.
 */
#define _GNU_SOURCE
#include "loader.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What FreeBSD calls these. */
enum { F_ILL = 4, F_TRAP = 5, F_ABRT = 6, F_FPE = 8, F_KILL = 9, F_BUS = 10, F_SEGV = 11, F_STOP = 17, F_THR = 32 };
enum { F_USR1 = 30, F_USR2 = 31 };
enum { F_ONSTACK = 1, F_RESETHAND = 4, F_NODEFER = 0x10, F_SIGINFO = 0x40 };
enum { F_BLOCK = 1, F_UNBLOCK = 2, F_SETMASK = 3 };
enum { F_SS_ONSTACK = 1, F_SS_DISABLE = 4 };
enum { CODE_USER = 0x10001 };
enum { T_PRIVINFLT = 1, T_BPTFLT = 3, T_ARITHTRAP = 6, T_PROTFLT = 9, T_TRCTRAP = 10, T_PAGEFLT = 12 };
enum { T_ALIGNFLT = 14, T_DIVIDE = 18, T_OFLOW = 20, T_BOUND = 21, T_SEGNPFLT = 26, T_STKFLT = 27, T_XMMFLT = 29 };
enum { HAS_SEGMENTS = 1, HAS_STATE = 4, KNOWN_FLAGS = 15 };
enum { FORMAT_XMM = 0x10002, OWNED_NONE = 0x20000, OWNED_FPU = 0x20001, OWNED_PCB = 0x20002 };
#define LEAST_STACK 2048u
#define SIGNALS 128
/* The flags that sigreturn lets a program change. */
#define USER_FLAGS 0x254dd5ul

/* ---- FreeBSD's structures ---- */

struct f_siginfo {
    int number, error, code, process;
    uint32_t user;
    int status;
    uintptr_t address, value;
    int trap;
    long more[2];
    int rest[sizeof(long) == 8 ? 4 : 5];
};
#if defined(__x86_64__)
struct f_machine {
    long on_stack, rdi, rsi, rdx, rcx, r8, r9, rax, rbx, rbp, r10, r11, r12, r13, r14, r15;
    uint32_t trap;
    uint16_t fs, gs;
    long address;
    uint32_t flags;
    uint16_t es, ds;
    long error, rip, cs, rflags, rsp, ss, length, format, owned;
    uint8_t legacy[512] __attribute__((aligned(16)));
    long fs_base, gs_base, state, state_size, tls_base, spare[3];
};
#else
struct f_machine {
    long on_stack, gs, fs, es, ds, edi, esi, ebp, isp, ebx, edx, ecx, eax, trap, error, eip, cs, eflags, esp, ss;
    long length, format, owned, flags;
    uint8_t legacy[512] __attribute__((aligned(16)));
    long fs_base, gs_base, state, state_size, spare[4];
};
#endif
struct f_stack {
    uintptr_t lowest, size;
    int flags;
};
struct f_context {
    struct mask mask;
    struct f_machine machine;
    uintptr_t link;
    struct f_stack stack;
    int flags, spare[4];
};
struct f_action {
    uintptr_t handler;
    int flags;
    uint32_t mask[4];
};
/* What is on the stack. */
struct f_frame {
#if defined(__i386__)
    uint32_t number, info, context, address;
#endif
    uintptr_t handler;
    struct f_context system;
    struct f_siginfo information;
};
#if defined(__x86_64__)
_Static_assert(sizeof(struct f_machine) == 800 && sizeof(struct f_context) == 880 && sizeof(struct f_siginfo) == 80 &&
                   offsetof(struct f_frame, system) == 16,
               "the kernel's sizes");
#else
_Static_assert(sizeof(struct f_machine) == 640 && sizeof(struct f_context) == 704 && sizeof(struct f_siginfo) == 64 &&
                   offsetof(struct f_frame, system) == 32,
               "the kernel's sizes");
#endif

/* What the C library has, too: the kernel knows only the C library's own handler. */
static struct f_action actions[SIGNALS + 1];

/* ---- masks ---- */

static bool has(const struct mask *mask, int number)
{
    return mask->words[(number - 1) / 64] >> (number - 1) % 64 & 1;
}

static void add(struct mask *mask, int number)
{
    mask->words[(number - 1) / 64] |= UINT64_C(1) << (number - 1) % 64;
}

static void set_mask(struct thread *self, struct mask wanted, bool of_program)
{
    wanted.words[0] &= ~(UINT64_C(1) << (F_KILL - 1) | UINT64_C(1) << (F_STOP - 1));
    if (of_program)
        wanted.words[0] &= ~(UINT64_C(1) << (F_THR - 1));
    self->mask = wanted;
}

/* ---- numbers ---- */

static const int from_linux[][2] = {{SIGBUS, F_BUS}, {SIGUSR1, F_USR1}, {SIGUSR2, F_USR2}, {SIGSYS, 12},
                                    {SIGURG, 16},    {SIGSTOP, 17},     {SIGCHLD, 20}};
#define PAIRS (sizeof from_linux / sizeof *from_linux)

static int to_linux(int number)
{
    for (size_t i = 0; i < PAIRS; i++)
        if (from_linux[i][1] == number)
            return from_linux[i][0];
    return number;
}

int signal_status(int status)
{
    if (!WIFSIGNALED(status))
        return status;
    for (size_t i = 0; i < PAIRS; i++)
        if (from_linux[i][0] == WTERMSIG(status))
            return (status & ~0x7f) | from_linux[i][1];
    return status;
}

static _Noreturn void die_of(int number)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t none;
    int native = to_linux(number);
    sigaction(native, &by_default, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (;;)
        syscall(SYS_tgkill, getpid(), gettid(), native);
}

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

/* ---- extended state ---- */

#define LEGACY 512u
#define SOFTWARE 464u
#define HEADER_END 576u
/* The enabled components, and where they end. */
static uint64_t components;
static uint32_t area_size;

static uint8_t *area_of(const ucontext_t *native)
{
    uint8_t *area = (uint8_t *)native->uc_mcontext.fpregs;
    /* On i386 Linux has an image of FSAVE before it. */
    return area ? area + (sizeof(void *) == 4 ? 112 : 0) : NULL;
}

/* What x87 and SSE have initially, where they do not count as in use: zero, except x87's control word. */
static void fill_legacy(uint8_t *area, uint64_t in_use)
{
    if (!(in_use & 1)) {
        memset(area, 0, 24);
        memset(area + 32, 0, 128);
        memcpy(area, (uint16_t[]){0x37f}, 2);
    }
    if (!(in_use & 2))
        memset(area + 160, 0, 256);
}

/* All components count as in use, with their initial values. */
static void fill_initial(uint8_t *area)
{
    uint64_t in_use;
    uint32_t size, offset, c, d;
    memcpy(&in_use, area + LEGACY, 8);
    fill_legacy(area, in_use);
    for (unsigned i = 2; i < 63; i++) {
        if (!(components >> i & 1) || in_use >> i & 1)
            continue;
        __cpuid_count(0xd, i, size, offset, c, d);
        memset(area + offset, 0, size);
    }
    memcpy(area + LEGACY, &components, 8);
    memset(area + SOFTWARE, 0, LEGACY - SOFTWARE);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* As of a thread that has not used the unit. PKRU is not the unit's: Linux gives each thread one that is not 0. */
static bool is_initial(const uint8_t *area)
{
    uint32_t size, offset, c, d;
    uint16_t control;
    uint32_t mxcsr;
    memcpy(&control, area, 2);
    memcpy(&mxcsr, area + 24, 4);
    if (control != 0x37f || mxcsr != 0x1f80 || !is_zero(area + 2, 4) || !is_zero(area + 32, 128 + 256))
        return false;
    for (unsigned i = 2; i < 63; i++) {
        if (!(components >> i & 1) || i == 9)
            continue;
        __cpuid_count(0xd, i, size, offset, c, d);
        if (!is_zero(area + offset, size))
            return false;
    }
    return true;
}

static void get_state(const ucontext_t *native, struct f_machine *machine, uint8_t *rest)
{
    uint8_t copy[area_size];
    memcpy(copy, area_of(native), area_size);
    fill_initial(copy);
    memcpy(machine->legacy, copy, LEGACY);
    memcpy(rest, copy + LEGACY, area_size - LEGACY);
    machine->format = FORMAT_XMM;
    machine->owned = is_initial(copy) ? OWNED_NONE : OWNED_FPU;
    machine->flags |= HAS_STATE;
    machine->state = (long)rest;
    machine->state_size = (long)(area_size - LEGACY);
}

static void set_state(ucontext_t *native, const struct f_machine *machine)
{
    uint8_t *area = area_of(native);
    uint64_t in_use = 0;
    if (machine->format != FORMAT_XMM)
        fail("sigreturn refuses the format %#lx", machine->format);
    if (machine->owned == OWNED_NONE) {
        memcpy(area + LEGACY, &in_use, 8);
        return;
    }
    if (machine->owned != OWNED_FPU && machine->owned != OWNED_PCB)
        fail("sigreturn refuses the owner %#lx", machine->owned);
    memcpy(area, machine->legacy, SOFTWARE);
    in_use = 3;
    if (machine->flags & HAS_STATE) {
        const uint8_t *rest = (const void *)machine->state;
        if ((unsigned long)machine->state_size > area_size - LEGACY || machine->state_size < 64)
            fail("sigreturn refuses %ld bytes of state", machine->state_size);
        memcpy(&in_use, rest, 8);
        if (in_use & ~components)
            fail("sigreturn refuses the components %#llx", (unsigned long long)in_use);
        memcpy(area + HEADER_END, rest + 64, (size_t)machine->state_size - 64);
    }
#if defined(__i386__)
    /* Linux would ignore MXCSR where SSE does not count as in use. */
    fill_legacy(area, in_use);
    in_use |= 3;
#endif
    memcpy(area + LEGACY, &in_use, 8);
#if defined(__i386__)
    /* Linux takes x87's registers from the image of FSAVE: it is made to hold them. */
    void loader_fsave(uint8_t * image, const uint8_t *fxsave);
    loader_fsave(area - 112, area);
#endif
}

#if defined(__i386__)
/* By the processor: it loads the one and stores the other. */
void loader_fsave(uint8_t *image, const uint8_t *fxsave)
{
    uint8_t own[512] __attribute__((aligned(16))), wanted[512] __attribute__((aligned(16)));
    memcpy(wanted, fxsave, 512);
    __asm__ volatile("fxsave %0" : "=m"(own));
    memcpy(wanted + 24, own + 24, 4);
    __asm__ volatile("fxrstor %0\n\tfnsave %1\n\tfxrstor %2" : : "m"(wanted), "m"(*image), "m"(own) : "memory");
}
#endif

/* ---- frames ---- */

static bool is_on(const struct thread *self, uintptr_t address)
{
    return self->has_stack && address - self->stack < self->stack_size;
}

/* From the frame to the thread. */
static void restore(struct thread *self, ucontext_t *native)
{
    const struct f_context *system = (const void *)(uintptr_t)native->uc_mcontext.gregs[CONTEXT];
    if (system->machine.flags & ~KNOWN_FLAGS)
        fail("sigreturn refuses mc_flags %#lx", (unsigned long)system->machine.flags);
    if (system->machine.length != sizeof system->machine)
        fail("a frame is restored that no signal has made");
    set_state(native, &system->machine);
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
    if (!(action.flags & F_NODEFER))
        add(&mask, number);
    set_mask(self, mask, false);
    ((void (*)(int, uintptr_t, void *, void *))action.handler)(
        number, action.flags & F_SIGINFO ? (uintptr_t)info : (uintptr_t)(unsigned)info->code, system,
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
    bool was_on = is_on(self, pointer), moves = self->has_stack && !was_on && (action->flags & F_ONSTACK);
    if (action->handler == 0)
        die_of(given->number);
    if (action->handler == 1)
        return;
    if (moves)
        at = self->stack + self->stack_size;
    uint8_t *rest = (void *)(at = (at - (area_size - LEGACY)) & -(uintptr_t)64);
    struct f_frame *frame = (void *)(at = (at - sizeof *frame) & -(uintptr_t)16);
    if ((moves || was_on) && at - self->stack < 1024)
        fail("a handler has no room on its alternate stack");
    memset(frame, 0, sizeof *frame);
    frame->system.mask = self->mask;
    frame->system.stack = (struct f_stack){self->stack, self->stack_size, F_SS_DISABLE};
    if (self->has_stack)
        frame->system.stack.flags = was_on ? F_SS_ONSTACK : 0;
    frame->system.machine.on_stack = was_on;
    get_registers(native, &frame->system.machine);
    get_state(native, &frame->system.machine, rest);
    frame->system.machine.trap = trap;
    frame->system.machine.error = (long)error;
    frame->information = *given;
    frame->handler = (uintptr_t)library_handler;
    if (action->flags & F_RESETHAND)
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
    {0, T_DIVIDE, F_FPE, 2},   {1, T_TRCTRAP, F_TRAP, 2},   {3, T_BPTFLT, F_TRAP, 1},   {4, T_OFLOW, F_FPE, 1},
    {5, T_BOUND, F_FPE, 8},    {6, T_PRIVINFLT, F_ILL, 5},  {11, T_SEGNPFLT, F_BUS, 2}, {12, T_STKFLT, F_BUS, 2},
    {13, T_PROTFLT, F_BUS, 3}, {16, T_ARITHTRAP, F_FPE, 7}, {17, T_ALIGNFLT, F_BUS, 1}, {19, T_XMMFLT, F_FPE, 7},
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
        info->number = F_SEGV;
        info->code = is_closed ? 2 : 1;
        if (is_closed && translation == 1) {
            info->number = F_BUS;
            info->code = T_PAGEFLT;
        } else if (told->si_signo == SIGBUS) {
            info->number = F_BUS;
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

static void settle(struct thread *self);

static void on_fault(int number, siginfo_t *told, void *context)
{
    ucontext_t *native = context;
    struct thread *self = locals.self;
    struct f_siginfo info;
    (void)number;
    if (native->uc_mcontext.gregs[INSTRUCTION] == (greg_t)(uintptr_t)loader_restore) {
        restore(self, native);
        settle(self);
        return;
    }
    describe(told, native, &info);
    if (has(&self->mask, info.number))
        die_of(info.number);
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
    settle(self);
}

void signal_send(struct thread *thread, int number, int code)
{
    thread->codes[number - 1] = code;
    __atomic_or_fetch(&thread->pending.words[(number - 1) / 64], UINT64_C(1) << (number - 1) % 64, __ATOMIC_ACQ_REL);
    syscall(SYS_tgkill, getpid(), thread->number, SENT);
}

static void settle(struct thread *self)
{
    if (first_open(self))
        syscall(SYS_tgkill, getpid(), self->number, SENT);
}

/* ---- what programs call ---- */

static bool is_signal(int number)
{
    return number > 0 && number < SIGNALS && number != F_THR;
}

int f_sigaction(int number, const struct f_action *wanted, struct f_action *before);
int f_sigaction(int number, const struct f_action *wanted, struct f_action *before)
{
    struct f_action present;
    if (!is_signal(number) || (wanted && (number == F_KILL || number == F_STOP))) {
        errno = EINVAL;
        return -1;
    }
    present = actions[number];
    if (wanted)
        actions[number] = *wanted;
    if (before)
        *before = present;
    return 0;
}

uintptr_t f_signal(int number, uintptr_t handler);
uintptr_t f_signal(int number, uintptr_t handler)
{
    struct f_action wanted = {.handler = handler, .flags = 2}, before;
    return f_sigaction(number, &wanted, &before) == 0 ? before.handler : (uintptr_t)-1;
}

int f_sigprocmask(int how, const struct mask *wanted, struct mask *before);
int f_sigprocmask(int how, const struct mask *wanted, struct mask *before)
{
    struct thread *self = locals.self;
    struct mask next = self->mask, given = wanted ? *wanted : (struct mask){{0, 0}};
    if (before)
        *before = self->mask;
    if (!wanted)
        return 0;
    if (how < F_BLOCK || how > F_SETMASK) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        if (how == F_BLOCK)
            next.words[i] |= given.words[i];
        else if (how == F_UNBLOCK)
            next.words[i] &= ~given.words[i];
        else
            next.words[i] = given.words[i];
    }
    set_mask(self, next, how != F_UNBLOCK);
    settle(self);
    return 0;
}

int f_pthread_sigmask(int how, const struct mask *wanted, struct mask *before);
int f_pthread_sigmask(int how, const struct mask *wanted, struct mask *before)
{
    return f_sigprocmask(how, wanted, before) == 0 ? 0 : errno;
}

int f_sigpending(struct mask *pending);
int f_sigpending(struct mask *pending)
{
    *pending = locals.self->pending;
    return 0;
}

int f_sigaltstack(const struct f_stack *wanted, struct f_stack *before);
int f_sigaltstack(const struct f_stack *wanted, struct f_stack *before)
{
    struct thread *self = locals.self;
    bool is_in_use = is_on(self, (uintptr_t)__builtin_frame_address(0));
    struct f_stack next = wanted ? *wanted : (struct f_stack){0};
    if (before) {
        *before = (struct f_stack){self->stack, self->stack_size, F_SS_DISABLE};
        if (self->has_stack)
            before->flags = is_in_use ? F_SS_ONSTACK : 0;
    }
    if (!wanted)
        return 0;
    errno = is_in_use ? EPERM : next.flags & ~F_SS_DISABLE ? EINVAL : 0;
    if (!errno && !(next.flags & F_SS_DISABLE) && next.size < LEAST_STACK)
        errno = ENOMEM;
    if (errno)
        return -1;
    self->has_stack = !(next.flags & F_SS_DISABLE);
    if (self->has_stack) {
        self->stack = next.lowest;
        self->stack_size = next.size;
    }
    return 0;
}

int f_sigemptyset(struct mask *mask);
int f_sigemptyset(struct mask *mask)
{
    *mask = (struct mask){{0, 0}};
    return 0;
}

int f_sigfillset(struct mask *mask);
int f_sigfillset(struct mask *mask)
{
    *mask = (struct mask){{UINT64_MAX, UINT64_MAX}};
    return 0;
}

int f_sigaddset(struct mask *mask, int number);
int f_sigaddset(struct mask *mask, int number)
{
    add(mask, number);
    return 0;
}

int f_sigdelset(struct mask *mask, int number);
int f_sigdelset(struct mask *mask, int number)
{
    mask->words[(number - 1) / 64] &= ~(UINT64_C(1) << (number - 1) % 64);
    return 0;
}

int f_sigismember(const struct mask *mask, int number);
int f_sigismember(const struct mask *mask, int number)
{
    return has(mask, number);
}

/* A buffer need not be aligned for a mask. */
void setjmp_note(void *buffer);
void setjmp_note(void *buffer)
{
    memcpy(buffer, &locals.self->mask, sizeof(struct mask));
}

void longjmp_note(const void *buffer);
void longjmp_note(const void *buffer)
{
    struct mask mask;
    memcpy(&mask, buffer, sizeof mask);
    f_sigprocmask(F_SETMASK, &mask, NULL);
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
    components = low | (uint64_t)high << 32;
    __cpuid_count(0xd, 0, a, area_size, c, d);
    signals_begin_thread();
}
