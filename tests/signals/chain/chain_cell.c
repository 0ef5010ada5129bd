/* chain_cell.c: see chain_cell.h. */
#include "chain_cell.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_OF_THREAD 0x30000000u
#define STACK_OF_THREAD_SIZE 0x40000u
#define ALTERNATE 0x31000000u
#define ALTERNATE_SMALL 0x4000u
#define ALTERNATE_LARGE 0x100000u
#define FRAMES 24

/* chain_cell_x86_64.S */
void cell_handler(int, siginfo_t *, void *), cell_handle(int, siginfo_t *, void *);
extern char cell_resume[];
extern struct {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rflags;
    uint32_t mxcsr, x87;
    uint64_t xmm15;
} cell_after;
extern struct {
    uint64_t rsp, rbx, rbp, r8, r12, r15, rax, r10, rflags;
    uint32_t mxcsr, x87;
} cell_entry;
extern uint64_t cell_stack_pointer;

struct cell cell;
static volatile int depth;
static sigjmp_buf jump;
static ucontext_t context;
/* A handler is leaving for good. */
static volatile bool is_away;

__attribute__((format(printf, 1, 2))) void cell_say(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (write(STDOUT_FILENO, line, (size_t)length) < 0)
        _exit(95);
}

/* ---- what a handler sees --------------------------------------------------------------------------------------- */

static uint64_t word_of(const sigset_t *set)
{
    uint64_t word;
    memcpy(&word, set, sizeof word);
    return word;
}

static uint64_t present_mask(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return word_of(&mask);
}

/* For a handler without SA_SIGINFO the kernel writes none. */
static void tell_signal(int number, const siginfo_t *info)
{
    if (!(cell.previous->flags & SA_SIGINFO)) {
        cell_say("signal %d\n", number);
        return;
    }
    cell_say("signal %d: number %d code %d errno %d\n", number, info->si_signo, info->si_code, info->si_errno);
    if (cell.fault->kind != CELL_SENT)
        cell_say("address %p\n", info->si_addr);
    else if (info->si_code == SI_TIMER)
        cell_say("timer overrun %d value %d\n", info->si_overrun, info->si_value.sival_int);
    else
        cell_say("from %s user %d value %d\n", info->si_pid == getpid() ? "self" : "others", (int)info->si_uid,
                 info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
}

static void tell_registers(const ucontext_t *frame)
{
    const greg_t *regs = frame->uc_mcontext.gregs;
    static const uint8_t order[] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX,    REG_RSI,     REG_RDI,    REG_RBP, REG_RSP,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11,    REG_R12,     REG_R13,    REG_R14, REG_R15,
                                    REG_RIP, REG_EFL, REG_ERR, REG_TRAPNO, REG_OLDMASK, REG_CSGSFS, REG_CR2};
    for (size_t i = 0; i < sizeof order; i++)
        cell_say("%s%llx", i % 8 ? " " : i ? "\nregisters " : "registers ", regs[order[i]]);
    uint64_t xmm15;
    memcpy(&xmm15, frame->uc_mcontext.fpregs->_xmm[15].element, sizeof xmm15);
    cell_say("\nextended mxcsr %x x87 %x %x %x xmm15 %lx\n", frame->uc_mcontext.fpregs->mxcsr,
             frame->uc_mcontext.fpregs->cwd, frame->uc_mcontext.fpregs->swd, frame->uc_mcontext.fpregs->ftw, xmm15);
}

static void tell_entry(const siginfo_t *info, const ucontext_t *frame)
{
    cell_say("entry stack %lx: siginfo %ld ucontext %ld extended %ld\n", cell_entry.rsp,
             (char *)info - (char *)cell_entry.rsp, (char *)frame - (char *)cell_entry.rsp,
             (char *)frame->uc_mcontext.fpregs - (char *)cell_entry.rsp);
    if (cell.fault->kind != CELL_SENT)
        cell_say("entry registers %lx %lx %lx %lx %lx %lx %lx flags %lx\n", cell_entry.rbx, cell_entry.rbp,
                 cell_entry.r8, cell_entry.r12, cell_entry.r15, cell_entry.rax, cell_entry.r10, cell_entry.rflags);
    cell_say("entry mxcsr %x x87 %x\n", cell_entry.mxcsr, cell_entry.x87 & 0xffff);
}

/* The way back. Where the handler returns to may be another's function. */
static void tell_frames(void)
{
    void *frames[FRAMES], *restorer = *(void **)cell_entry.rsp;
    int count = backtrace(frames, FRAMES);
    cell_say("frames");
    for (int i = 1; i < count; i++)
        cell_say(" %p", frames[i] == restorer ? NULL : frames[i]);
    cell_say("\n");
}

static void tell(int number, const siginfo_t *info, const ucontext_t *frame)
{
    stack_t present;
    sigaltstack(NULL, &present);
    tell_signal(number, info);
    if (cell.fault->kind != CELL_SENT)
        tell_registers(frame);
    tell_entry(info, frame);
    cell_say("frame flags %lx link %p stack %p %lx size %zx mask %lx\n", frame->uc_flags, (void *)frame->uc_link,
             frame->uc_stack.ss_sp, frame->uc_stack.ss_size ? (unsigned long)frame->uc_stack.ss_flags : 0,
             frame->uc_stack.ss_size, word_of(&frame->uc_sigmask));
    cell_say("mask %lx\n", present_mask());
    if (cell.fault->kind == CELL_FAULT)
        tell_frames();
    cell_say("alternate stack %p flags %x size %zx\n", present.ss_sp, present.ss_flags, present.ss_size);
}

/* ---- the handler ----------------------------------------------------------------------------------------------- */

static void open_or_give_up(int number)
{
    if (cell.fault->address == CELL_CLOSED || cell.fault->address == CELL_PASSED)
        mprotect((void *)(uintptr_t)cell.fault->address, CELL_PAGE, PROT_READ | PROT_WRITE);
    else if (cell.fault->kind != CELL_SENT)
        signal(number, SIG_DFL);
}

static void skip(ucontext_t *frame)
{
    if (cell.fault->kind == CELL_SENT)
        return;
    frame->uc_mcontext.gregs[REG_RIP] = (greg_t)cell_resume;
    if (cell.fault->kind == CELL_OVERFLOW)
        frame->uc_mcontext.gregs[REG_RSP] = (greg_t)cell_stack_pointer;
}

void cell_handle(int number, siginfo_t *info, void *ucontext)
{
    int seen = errno;
    if (depth == 0 || cell.previous->ending != CELL_FAULTS)
        tell(number, info, ucontext);
    cell_say("errno %d\n", seen);
    errno = ERANGE;
    cell.handled++;
    if (write(cell.pipe[1], "", 1) != 1)
        _exit(93);
    switch (cell.previous->ending) {
    case CELL_NO_HANDLER:
        _exit(92);
    case CELL_RETURNS:
        return;
    case CELL_OPENS:
        open_or_give_up(number);
        return;
    case CELL_SKIPS:
        skip(ucontext);
        return;
    case CELL_JUMPS:
        is_away = true;
        siglongjmp(jump, 1);
    case CELL_SWITCHES:
        is_away = true;
        setcontext(&context);
        return;
    case CELL_EXITS:
        _exit(11);
    case CELL_FAULTS:
        if (depth++) {
            mprotect((void *)CELL_CLOSED, CELL_PAGE, PROT_READ | PROT_WRITE);
            return;
        }
        cell_say("inside: %d\n", *(volatile char *)CELL_CLOSED);
        skip(ucontext);
    }
}

/* ---- a cell ---------------------------------------------------------------------------------------------------- */

static void set_alternate_stack(bool is_before)
{
    bool is_large = cell.previous->stack == CELL_STACK_LARGE;
    stack_t stack = {.ss_sp = (void *)ALTERNATE, .ss_size = is_large ? ALTERNATE_LARGE : ALTERNATE_SMALL};
    if (cell.previous->stack == CELL_NO_STACK || is_before != (cell.previous->stack != CELL_STACK_AFTER))
        return;
    mmap(stack.ss_sp, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (sigaltstack(&stack, NULL) != 0)
        _exit(86);
}

static void set_previous(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_handler = cell.previous->handler, .sa_flags = (int)cell.previous->flags};
    sigaddset(&action.sa_mask, SIGUSR1);
    if (cell.previous->ending != CELL_NO_HANDLER)
        action.sa_sigaction = cell_handler;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && strcmp(cell.previous->name, "none") != 0; i++)
        sigaction(numbers[i], &action, NULL);
}

static void tell_after(void)
{
    const uint64_t *regs = &cell_after.rax;
    if (cell.fault->kind == CELL_FAULT)
        for (size_t i = 0; i < 17; i++)
            cell_say("%s%lx", i ? " " : "after ", regs[i]);
    if (cell.fault->kind == CELL_FAULT)
        cell_say(" mxcsr %x x87 %x xmm15 %lx\n", cell_after.mxcsr, cell_after.x87 & 0xffff, cell_after.xmm15);
    cell_say("after: mask %lx errno %d\n", present_mask(), errno);
}

/* Twice: what a handler leaves behind shows at the second time. */
static void have_it_happen(void)
{
    static volatile int turns;
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    for (turns = 0; turns < 2; turns++) {
        is_away = false;
        sigsetjmp(jump, 1);
        getcontext(&context);
        depth = 0;
        errno = EDOM;
        if (!is_away)
            cell.fault->happen(cell.fault->address);
        tell_after();
    }
}

static void *run_in_thread(void *argument)
{
    enum cell_thread thread = *(enum cell_thread *)argument;
    set_alternate_stack(true);
    if (thread == CELL_ATTACHED && !cell.bare && segue_thread_attach() != SEGUE_OK)
        _exit(85);
    set_alternate_stack(false);
    have_it_happen();
    return NULL;
}

static void start_thread(enum cell_thread *which)
{
    pthread_t thread;
    pthread_attr_t attributes;
    void *stack = mmap((void *)(STACK_OF_THREAD - CELL_PAGE), STACK_OF_THREAD_SIZE + CELL_PAGE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    mprotect((char *)stack + CELL_PAGE, STACK_OF_THREAD_SIZE, PROT_READ | PROT_WRITE);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, (char *)stack + CELL_PAGE, STACK_OF_THREAD_SIZE);
    if (pthread_create(&thread, &attributes, run_in_thread, which) != 0)
        _exit(84);
    pthread_join(thread, NULL);
}

int cell_run(const struct cell_previous *previous, const struct cell_fault *fault, enum cell_thread thread, bool bare)
{
    void *warm[2];
    cell = (struct cell){.previous = previous, .fault = fault, .bare = bare};
    backtrace(warm, 2);
    if (pipe(cell.pipe) != 0)
        return 83;
    cell_map(CELL_CLOSED, PROT_NONE);
    if (thread == CELL_MAIN)
        set_alternate_stack(true);
    set_previous();
    if (!cell.bare && segue_install(NULL) != SEGUE_OK)
        return 82;
    if (cell.fault->prepare)
        cell.fault->prepare(cell.bare);
    if (thread == CELL_MAIN) {
        set_alternate_stack(false);
        have_it_happen();
    } else {
        start_thread(&thread);
    }
    return 5;
}

/* ---- the tables ------------------------------------------------------------------------------------------------ */

#define OWN ((void (*)(int))(uintptr_t)cell_handler)

const struct cell_previous cell_previous[] = {
    {"none", NULL, 0, CELL_NO_HANDLER, CELL_NO_STACK},
    {"default", SIG_DFL, SA_NODEFER | SA_ONSTACK, CELL_NO_HANDLER, CELL_NO_STACK},
    {"ignored", SIG_IGN, 0, CELL_NO_HANDLER, CELL_NO_STACK},
    {"plain", OWN, 0, CELL_OPENS, CELL_NO_STACK},
    {"siginfo", OWN, SA_SIGINFO, CELL_SKIPS, CELL_NO_STACK},
    {"restart", OWN, SA_SIGINFO | SA_RESTART, CELL_SKIPS, CELL_NO_STACK},
    {"onstack", OWN, SA_SIGINFO | SA_ONSTACK, CELL_SKIPS, CELL_STACK_BEFORE},
    {"onstack_later", OWN, SA_SIGINFO | SA_ONSTACK, CELL_SKIPS, CELL_STACK_AFTER},
    {"onstack_large", OWN, SA_SIGINFO | SA_ONSTACK, CELL_SKIPS, CELL_STACK_LARGE},
    {"onstack_without", OWN, SA_SIGINFO | SA_ONSTACK, CELL_SKIPS, CELL_NO_STACK},
    {"stack_unused", OWN, SA_SIGINFO, CELL_SKIPS, CELL_STACK_LARGE},
    {"nodefer", OWN, SA_SIGINFO | SA_NODEFER, CELL_FAULTS, CELL_NO_STACK},
    {"faults", OWN, SA_SIGINFO, CELL_FAULTS, CELL_NO_STACK},
    {"resethand", OWN, SA_SIGINFO | SA_RESETHAND, CELL_RETURNS, CELL_NO_STACK},
    {"longjmp", OWN, 0, CELL_JUMPS, CELL_NO_STACK},
    {"longjmp_onstack", OWN, SA_ONSTACK, CELL_JUMPS, CELL_STACK_BEFORE},
    {"setcontext", OWN, SA_SIGINFO, CELL_SWITCHES, CELL_NO_STACK},
    {"exits", OWN, 0, CELL_EXITS, CELL_NO_STACK},
};
const size_t cell_previous_count = sizeof cell_previous / sizeof *cell_previous;

const char *const cell_thread_names[CELL_THREADS] = {"main", "attached", "other"};
