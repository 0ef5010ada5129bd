/* stepper.c: single steps by the trap flag (see stepper.h). */
#include "stepper.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "decode/x86/flags.h"
#include "emulate/windows/guard.h"

#define MOST_STEPS 100000
#define STATE_MOST 16384
#define SOFTWARE_AT 464
#define SOFTWARE_SIZE_AT 16

static struct {
    const struct segue_regs *regs;
    stepper_at *at;
    void *context;
    bool is_stepped, runs, is_lost, has_state;
    unsigned steps;
    ucontext_t saved;
    uint8_t saved_state[STATE_MOST], first_state[STATE_MOST];
    size_t state_size;
} stepper;

static const int places[] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
                             REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP, REG_EFL};
#define PLACES (sizeof places / sizeof *places)

static void get(const ucontext_t *native, struct segue_regs *regs)
{
    memset(regs, 0, sizeof *regs);
    for (unsigned i = 0; i < PLACES; i++)
        *segue_register_at(regs, i) = (uint64_t)native->uc_mcontext.gregs[places[i]];
}

static void put(ucontext_t *native, const struct segue_regs *regs)
{
    for (unsigned i = 0; i < PLACES; i++)
        native->uc_mcontext.gregs[places[i]] = (greg_t)segue_register_get(regs, i);
    if (stepper.is_stepped)
        native->uc_mcontext.gregs[REG_EFL] |= (greg_t)FLAG_TRAP;
    else
        native->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)FLAG_TRAP;
}

static size_t state_size(const ucontext_t *native)
{
    uint32_t size;
    memcpy(&size, (const char *)native->uc_mcontext.fpregs + SOFTWARE_AT + SOFTWARE_SIZE_AT, sizeof size);
    return size;
}

static void begin(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    ucontext_t *native = context;
    stepper.saved = *native;
    stepper.state_size = state_size(native);
    if (stepper.state_size > STATE_MOST)
        abort();
    memcpy(stepper.saved_state, native->uc_mcontext.fpregs, stepper.state_size);
    if (!stepper.has_state)
        memcpy(stepper.first_state, stepper.saved_state, stepper.state_size);
    stepper.has_state = true;
    memcpy(native->uc_mcontext.fpregs, stepper.first_state, stepper.state_size);
    struct segue_regs regs = *stepper.regs;
    struct stepper_stop stopped = {.regs = &regs, .state = native->uc_mcontext.fpregs};
    stepper.runs = stepper.at(stepper.context, &stopped);
    if (stepper.runs)
        put(native, &regs);
}

static void stop(int number, siginfo_t *info, void *context)
{
    ucontext_t *native = context;
    uint64_t rip = (uint64_t)native->uc_mcontext.gregs[REG_RIP];
    if (rip >= (uint64_t)guard_begin && rip < (uint64_t)guard_end) {
        native->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)guard_failed;
        return;
    }
    if (!stepper.runs)
        abort();
    struct segue_regs regs;
    get(native, &regs);
    regs.rflags &= ~(FLAG_TRAP | FLAG_RESUME);
    struct stepper_stop stopped = {.regs = &regs,
                                   .signal = number == SIGTRAP ? 0 : number,
                                   .address = (uint64_t)(uintptr_t)info->si_addr,
                                   .state = native->uc_mcontext.fpregs};
    stepper.is_lost = ++stepper.steps > MOST_STEPS;
    if (!stepper.is_lost && stepper.at(stepper.context, &stopped)) {
        put(native, &regs);
        return;
    }
    stepper.runs = false;
    void *state = native->uc_mcontext.fpregs;
    memcpy(state, stepper.saved_state, stepper.state_size);
    native->uc_mcontext = stepper.saved.uc_mcontext;
    native->uc_mcontext.fpregs = state;
}

/* Each time: cmocka installs handlers of its own for each test. */
static void install(void)
{
    static const int faults[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    static uint8_t memory[1 << 18];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = begin, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_sigaction = stop;
    action.sa_flags |= SA_NODEFER;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigaction(faults[i], &action, NULL);
}

bool stepper_run(const struct segue_regs *regs, bool is_stepped, stepper_at *at, void *context)
{
    install();
    stepper.regs = regs;
    stepper.is_stepped = is_stepped;
    stepper.at = at;
    stepper.context = context;
    stepper.steps = 0;
    raise(SIGUSR1);
    return !stepper.is_lost;
}

size_t stepper_state_size(void)
{
    return stepper.state_size;
}
