/* mutator_fault.c: at every instruction of a fault, from the kernel's entry to the return, the application's registers
 * are what is shown, and the only reference to an object is found. */
#include "mutator_fixture.h"

#include <segue/posix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "ctx/restore/shortcut.h"
#include "platform/frame/frame.h"
#include "signals/ranges.h"
#include "tests/support/times.h"

/* Of how many places one is traced: each instruction is trapped at, which takes a virtual machine 10 us. What a
 * sanitizer adds is stepped over too, and shows no more. */
#ifdef __SANITIZE_ADDRESS__
#define TRACED_EVERY 150
#else
#define TRACED_EVERY 21
#endif

static struct {
    uint64_t rsp;
    unsigned traps, lost, wrong, entries, exits, jumps;
    uint64_t worst;
} trace;

/* What a fault is handed on to. */
static void step_over(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] += LONE_FAULT_LENGTH;
}

/* Once the application is in a handler of its own, what it had is in that handler's frame. */
static bool is_on_stack(const struct segue_mutator *context)
{
    const uint64_t *word = (const uint64_t *)(uintptr_t)context->regs.rsp;
    for (size_t i = 0; i < getauxval(AT_MINSIGSTKSZ) / sizeof *word; i++)
        if (word[i] == reference())
            return true;
    return false;
}

/* The jump of a way out without IRETQ is not trapped at, since the trap flag has been put back by then: seen as the
 * processor would have it behind the instruction that was. */
static void look_behind(const ucontext_t *frame)
{
    struct segue_mutator context;
    struct segue_frame opened;
    struct {
        uint64_t restorer; /* The kernel puts its address right below the ucontext. */
        ucontext_t ucontext;
    } behind = {((const uint64_t *)frame)[-1], *frame};
    greg_t *regs = behind.ucontext.uc_mcontext.gregs;
    regs[REG_RSP] = *(const greg_t *)(uintptr_t)regs[REG_RSP];
    regs[REG_RIP] += SHORTCUT_JUMP - SHORTCUT_STACK;
    segue_frame_open(&opened, NULL, &behind.ucontext);
    segue_mutator_from_frame(&context, &opened);
    trace.jumps++;
    trace.wrong += context.regs.rsp != trace.rsp || context.in_fault ||
                   context.regs.rip != (uint64_t)(uintptr_t)lone_fault_instruction + LONE_FAULT_LENGTH;
}

static void on_trap(int number, siginfo_t *info, void *ucontext)
{
    struct segue_mutator context;
    struct segue_frame opened;
    (void)number;
    (void)info;
    uint64_t rip = (uint64_t)((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
    trace.traps++;
    segue_frame_open(&opened, NULL, ucontext);
    segue_mutator_from_frame(&context, &opened);
    bool is_before = context.regs.rip == (uint64_t)(uintptr_t)lone_fault_instruction;
    bool is_after = context.regs.rip == (uint64_t)(uintptr_t)lone_fault_instruction + LONE_FAULT_LENGTH;
    bool same = context.regs.rsp == trace.rsp && (is_before || is_after);
    if (context.regs.rip == (uint64_t)(uintptr_t)step_over) {
        trace.lost += !is_on_stack(&context);
        trace.exits++;
        return;
    }
    for (unsigned i = 0; i < 16; i++)
        if (i != SEGUE_RSP)
            same &= segue_register_get(&context.regs, i) == image.general[i];
    if (!same && !trace.wrong++)
        trace.worst = rip;
    trace.lost += count_in(&context) == 0;
    uint64_t target;
    unsigned step;
    if (shortcut_holds(rip, &target, &step) && step == SHORTCUT_STACK && is_after)
        look_behind(ucontext);
    trace.entries += is_before;
    trace.exits += is_after;
}

static enum segue_verdict verdict;

static enum segue_verdict note_stack(void *context, const struct segue_event *event)
{
    (void)context;
    trace.rsp = event->regs->rsp;
    return verdict;
}

/* The handler's own flags have the trap flag; what it returns to has not. */
static void trace_fault(const struct place *place, uint32_t flags)
{
    struct segue_options options = {.flags = flags};
    struct sigaction traps = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, ours, traced, kept, kept_fault;
    struct sigaction previous = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGTRAP, &traps, &kept);
    sigaction(SIGSEGV, &previous, &kept_fault);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    close_page(note_stack);
    make_image(place);
    /* Once without, so that the stack is known. */
    lone_fault(&image, area, components);
    uint64_t rsp = trace.rsp;
    sigaction(SIGSEGV, NULL, &ours);
    traced = ours;
    traced.sa_sigaction = traced_entry;
    memset(&trace, 0, sizeof trace);
    trace.rsp = rsp;
    sigaction(SIGSEGV, &traced, NULL);
    lone_fault(&image, area, components);
    sigaction(SIGSEGV, &ours, NULL);
    open_page();
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGTRAP, &kept, NULL);
    sigaction(SIGSEGV, &kept_fault, NULL);
    if (trace.wrong || trace.lost)
        fail_msg("%s: of %u instructions %u showed other registers, the first at %lx, and %u lost the reference",
                 place->name, trace.traps, trace.wrong, trace.worst, trace.lost);
    assert_true(trace.traps > 200 && trace.entries > 100 && trace.exits > 5);
    /* Without XSAVE every way out is the kernel's. */
    if (verdict == SEGUE_STEP && !(flags & SEGUE_INSTALL_BLOCK_SIGNALS) && components)
        assert_int_equal(trace.jumps, 1);
}

static void application_is_told_at_every_instruction_of_a_fault(void **state)
{
    static const uint32_t flags[] = {0, SEGUE_INSTALL_OWN_STACK, SEGUE_INSTALL_BLOCK_SIGNALS,
                                     SEGUE_INSTALL_OPEN_SIGNALS};
    (void)state;
    for (size_t i = 0, every = test_stride(TRACED_EVERY); i < place_count; i += every) {
        verdict = SEGUE_STEP;
        trace_fault(&places[i], flags[i / every % 4]);
        verdict = SEGUE_PASS;
        trace_fault(&places[i], flags[i / every % 4]);
    }
}

/* ---- a signal that is sent on the way out ------------------------------------------------------------------------ */

static struct {
    struct sigaction ours;
    /* At which of the instructions that the registry leads out of, and how many there were. */
    unsigned at, seen;
    unsigned taken, wrong;
} sent;

/* The program's own, behind the library's. */
static void take_sent(int number, siginfo_t *info, void *ucontext)
{
    struct segue_regs regs;
    (void)number;
    frame_get_registers(ucontext, &regs);
    bool same = info->si_code == SI_TKILL && regs.rsp == trace.rsp &&
                regs.rip == (uint64_t)(uintptr_t)lone_fault_instruction + LONE_FAULT_LENGTH;
    for (unsigned i = 0; i < 16; i++)
        if (i != SEGUE_RSP)
            same &= segue_register_get(&regs, i) == image.general[i];
    sent.taken++;
    sent.wrong += !same;
}

/* It is blocked here, and comes where the trap came. */
static void send_at_trap(int number, siginfo_t *info, void *ucontext)
{
    struct segue_regs regs;
    const void *frame;
    (void)number;
    (void)info;
    frame_get_registers(ucontext, &regs);
    if (code_range_translate(library_ranges, &regs, &frame) != CODE_RANGE_REGISTERS || sent.seen++ != sent.at)
        return;
    sigaction(SIGSEGV, &sent.ours, NULL);
    syscall(SYS_tgkill, getpid(), gettid(), SIGSEGV);
}

static void handler_before_ours_finds_the_application_on_the_way_out(void **state)
{
    static const struct place nowhere = {.name = "nowhere", .kind = NOWHERE};
    struct segue_options options = {.flags = SEGUE_INSTALL_OPEN_SIGNALS};
    struct sigaction traps = {.sa_sigaction = send_at_trap, .sa_flags = SA_SIGINFO}, traced, kept, kept_fault;
    struct sigaction previous = {.sa_sigaction = take_sent, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)state;
    if (!components)
        skip_if("without XSAVE every way out is the kernel's");
    sigaddset(&traps.sa_mask, SIGSEGV);
    sigaction(SIGTRAP, &traps, &kept);
    sigaction(SIGSEGV, &previous, &kept_fault);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    verdict = SEGUE_STEP;
    close_page(note_stack);
    make_image(&nowhere);
    lone_fault(&image, area, components);
    sigaction(SIGSEGV, NULL, &sent.ours);
    traced = sent.ours;
    traced.sa_sigaction = traced_entry;
    sent.taken = sent.wrong = 0;
    /* The thread goes on with the application's instruction, so that none of the way out comes behind the one. */
    for (sent.at = 0; sent.taken == sent.at; sent.at++) {
        sent.seen = 0;
        sigaction(SIGSEGV, &traced, NULL);
        lone_fault(&image, area, components);
        assert_int_equal(sent.seen, sent.taken > sent.at ? sent.at + 1 : sent.at);
    }
    sigaction(SIGSEGV, &sent.ours, NULL);
    open_page();
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGTRAP, &kept, NULL);
    sigaction(SIGSEGV, &kept_fault, NULL);
    assert_int_equal(sent.wrong, 0);
    assert_in_range(sent.taken, 20, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(application_is_told_at_every_instruction_of_a_fault),
        cmocka_unit_test(handler_before_ours_finds_the_application_on_the_way_out),
    };
    return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
