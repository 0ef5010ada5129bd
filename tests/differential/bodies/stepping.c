/* stepping.c: see stepping.h. */
#include "stepping.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "bodies.h"
#include "memory.h"

struct stepping stepping;

static bool same_registers(const struct segue_regs *regs, const struct oracle_registers *wanted)
{
    return memcmp(regs, wanted->general, sizeof wanted->general) == 0 &&
           !((regs->rflags ^ wanted->rflags) & ~(uint64_t)(FLAG_TRAP | FLAG_RESUME));
}

/* What is wrong at a place in a body; NULL if nothing is. */
static const char *check_place(struct segue_regs *regs)
{
    struct body_place place;
    bool in_thunk = body_leave_thunk(regs);
    if (!bodies_contain(stepping.variant, regs->rip))
        return in_thunk ? "a thunk leads elsewhere" : NULL;
    if (!bodies_translate(stepping.variant, regs, &place))
        return "it is not translated";
    counts.places++;
    counts.in_thunks += in_thunk;
    uint64_t offset = regs->rip - subject.address;
    bool after = offset > subject.row;
    /* A branch leads to the end. */
    if (subject.form.flow != DISPLACED_FLOW_NEXT && after)
        offset = subject.size;
    if (offset >= BLOCK_ROOM || !stepping.is_boundary[offset])
        return "translated to no boundary";
    if (!same_registers(regs, &stepping.boundaries[offset]))
        return after ? "translated to other registers after it" : "translated to other registers before it";
    /* A call stores its return address early. */
    if (subject.form.flow != DISPLACED_FLOW_CALL_INDIRECT && !memory_is(after, stepping.led, stepping.variant))
        return after ? "translated to after it, memory is not" : "translated to before it, memory is not";
    return NULL;
}

static void note_boundary(const struct segue_regs *regs)
{
    uint64_t offset = regs->rip - subject.address;
    if (offset > subject.size)
        return;
    stepping.is_boundary[offset] = true;
    memcpy(stepping.boundaries[offset].general, regs, sizeof stepping.boundaries[offset].general);
    stepping.boundaries[offset].rflags = regs->rflags;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct segue_regs regs = {0};
    static const uint8_t order[] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
                                    REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP, REG_EFL};
    (void)number;
    (void)info;
    for (size_t i = 0; i < COUNT(order); i++)
        *segue_register_at(&regs, (unsigned)i) = (uint64_t)gregs[order[i]];
    if (stepping.is_native)
        note_boundary(&regs);
    const char *wrong = stepping.is_native ? NULL : check_place(&regs);
    if (wrong && !stepping.wrong) {
        stepping.wrong = wrong;
        stepping.wrong_at = (uint64_t)gregs[REG_RIP];
    }
    /* Behind the code, or the body. */
    uint64_t first = subject.address + (stepping.is_native ? subject.size : 0), rip = (uint64_t)gregs[REG_RIP];
    if (stepping.wrong || (rip >= first && rip < BODIES))
        gregs[REG_EFL] &= ~(greg_t)FLAG_TRAP;
}

void stepping_take_traps(void)
{
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&trap.sa_mask);
    sigaction(SIGTRAP, &trap, NULL);
}
