/* ctx_unwind.c: the stack can be walked from anywhere: at every single instruction from before the first swap to after
 * the last one, by libunwind from a SIGTRAP handler, the walk goes through all the flows that are under way, innermost
 * first, and ends. So it does from every instruction of the ways out of a handler, to the instruction that faulted; and
 * where the registry (platform/code_range.h) knows that instruction, it says the same as the walk. The program
 * single-steps itself with the trap flag. */
#define UNW_LOCAL_ONLY
#include "tests/support/test.h"

#include <errno.h>
#include <libunwind.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ctx/restore/landing.h"
#include "ctx/restore/shortcut.h"
#include "platform/frame/frame.h"
#include "signals/ranges.h"

#define STACK_SIZE 65536
#define FRAMES 32
#define FLAG_TRAP 0x100u

static struct segue_context parent, child, grandchild;
static _Alignas(16) char stacks[2][STACK_SIZE], handler_stack[262144];

void outer_function(void), child_function(void), grandchild_function(void);

/* Which functions a walk met: their order, by letter. */
static char met[FRAMES + 1];

static char letter_of(uint64_t start)
{
    if (start == (uint64_t)(uintptr_t)outer_function)
        return 'o';
    if (start == (uint64_t)(uintptr_t)child_function)
        return 'c';
    if (start == (uint64_t)(uintptr_t)grandchild_function)
        return 'g';
    return 0;
}

static unw_word_t stack_pointer(unw_cursor_t *cursor)
{
    unw_word_t value = 0;
    unw_get_reg(cursor, UNW_REG_SP, &value);
    return value;
}

/* Returns whether the walk came to outer_function. The innermost frame may be between two flows: on the stack of the
 * one that it goes to, with nothing of its own there; then it has no owner. */
static bool walk(unw_context_t *from, int flags)
{
    unw_cursor_t cursor;
    size_t count = 0;
    memset(met, 0, sizeof met);
    if (unw_init_local2(&cursor, from, flags) != 0)
        return false;
    for (unsigned frames = 0; frames < FRAMES; frames++) {
        unw_proc_info_t info;
        char letter = unw_get_proc_info(&cursor, &info) == 0 ? letter_of(info.start_ip) : 0;
        unw_word_t before = stack_pointer(&cursor);
        if (unw_step(&cursor) <= 0)
            return false;
        if (!letter || (frames == 0 && stack_pointer(&cursor) == before))
            continue;
        met[count++] = letter;
        /* main and what is above it are the C library's affair. */
        if (letter == 'o')
            return true;
    }
    return false;
}

/* ---- stepping ---- */

static unsigned steps, wrong, walks_of_child, walks_of_grandchild, walks_of_outer;
static uint64_t first_wrong;
static char wrong_walk[FRAMES + 1];

/* Whether the walk was through the flows under way, innermost first. That it is the right one of the three follows from
 * their order in time: grandchild_function runs only while child_function waits for it. */
static bool is_right(void)
{
    if (strcmp(met, "o") == 0)
        walks_of_outer++;
    else if (strcmp(met, "co") == 0)
        walks_of_child++;
    else if (strcmp(met, "gco") == 0)
        walks_of_grandchild++;
    else
        return false;
    return true;
}

static void on_step(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info;
    steps++;
    if (walk(ucontext, UNW_INIT_SIGNAL_FRAME) && is_right())
        return;
    if (wrong++ == 0) {
        first_wrong = (uint64_t)((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
        strcpy(wrong_walk, met);
    }
}

static inline __attribute__((always_inline)) void set_trap_flag(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\npushfq\norl %0, (%%rsp)\npopfq\nlea 128(%%rsp), %%rsp\n" ::"i"(FLAG_TRAP)
                     : "memory", "cc");
}

static inline __attribute__((always_inline)) void clear_trap_flag(void)
{
    __asm__ volatile(
        "lea -128(%%rsp), %%rsp\npushfq\nandl %0, (%%rsp)\npopfq\nlea 128(%%rsp), %%rsp\n" ::"i"(~FLAG_TRAP)
        : "memory", "cc");
}

__attribute__((noinline)) void grandchild_function(void)
{
    segue_context_swap(&grandchild, &child);
    segue_context_swap(&grandchild, &child);
    __asm__ volatile("");
}

__attribute__((noinline)) void child_function(void)
{
    segue_context_swap(&child, &parent);
    segue_context_swap(&child, &grandchild);
    segue_context_swap(&child, &parent);
    segue_context_swap(&child, &grandchild);
    segue_context_swap(&child, &grandchild);
    segue_context_swap(&child, &parent);
    __asm__ volatile("");
}

__attribute__((noinline)) void outer_function(void)
{
    set_trap_flag();
    for (int i = 0; i < 4; i++)
        segue_context_swap(&parent, &child);
    clear_trap_flag();
}

static void prepare(uint32_t flags)
{
    const struct segue_context_options options = {.flags = flags};
    segue_context_destroy(&child);
    segue_context_destroy(&grandchild);
    parent = (struct segue_context){.flags = 0};
    assert_int_equal(segue_context_init(&child, NULL, stacks[0], STACK_SIZE, child_function, NULL, 0, &options), 0);
    assert_int_equal(
        segue_context_init(&grandchild, NULL, stacks[1], STACK_SIZE, grandchild_function, NULL, 0, &options), 0);
}

/* Processors differ in what they do of a swap. */
static void be_another_processor(void)
{
    child.flags ^= SEGUE_CONTEXT_COMPARED_;
    grandchild.flags ^= SEGUE_CONTEXT_COMPARED_;
}

static void step_through_on(uint32_t flags, bool another)
{
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK}, before;
    stack_t alternate = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    sigaltstack(&alternate, NULL);
    sigaction(SIGTRAP, &action, &before);
    steps = wrong = walks_of_child = walks_of_grandchild = walks_of_outer = 0;
    prepare(flags);
    if (another)
        be_another_processor();
    /* What libunwind loads at first use is loaded before. */
    unw_context_t here;
    unw_getcontext(&here);
    walk(&here, 0);
    outer_function();
    sigaction(SIGTRAP, &before, NULL);
    if (wrong)
        print_error("%u of %u walks wrong, the first at %#lx (child_function %p): \"%s\"\n", wrong, steps,
                    (unsigned long)first_wrong, (void *)child_function, wrong_walk);
    assert_int_equal(wrong, 0);
    assert_true(segue_context_is_finished(&child));
    assert_true(walks_of_outer > 50);
    assert_true(walks_of_child > 100);
    assert_true(walks_of_grandchild > 50);
    print_message("%u instructions: %u of the parent, %u of the child, %u of the grandchild\n", steps, walks_of_outer,
                  walks_of_child, walks_of_grandchild);
}

static void step_through(uint32_t flags)
{
    step_through_on(flags, false);
    step_through_on(flags, true);
}

static void walk_is_right_at_every_instruction_of_a_swap(void **state)
{
    (void)state;
    step_through(0);
}

static void walk_is_right_at_every_instruction_with_fixed_control(void **state)
{
    (void)state;
    step_through(SEGUE_CONTEXT_FIXED_CONTROL);
}

static void walk_is_right_at_every_instruction_of_a_slow_swap(void **state)
{
    (void)state;
    step_through(SEGUE_CONTEXT_CHECKED | SEGUE_CONTEXT_OWN_MASK);
}

/* ---- the way out of a handler ---- */

#define LOAD_LENGTH 3
#define RESUME_FLAG 0x10000
#define WALKS_MOST 5000
#define MAGIC 0x5e90e5e90e5e90e5u

void faulting_function(uint64_t address);
extern const char faulting_load[];

static struct {
    unsigned walks, wrong, in_shortcuts, in_landing, translated;
    uint64_t first_wrong, stack_pointer;
} way;

/* Whether the walk comes to the instruction that faulted, with the registers that it had, before or after its end. */
static bool finds_the_fault(unw_context_t *from)
{
    unw_cursor_t cursor;
    if (unw_init_local2(&cursor, from, UNW_INIT_SIGNAL_FRAME) != 0)
        return false;
    for (unsigned frames = 0; frames < FRAMES; frames++) {
        unw_proc_info_t info;
        unw_word_t rip, rbx = 0, r15 = 0;
        if (unw_get_proc_info(&cursor, &info) == 0 && info.start_ip == (uint64_t)(uintptr_t)faulting_function) {
            unw_get_reg(&cursor, UNW_REG_IP, &rip);
            unw_get_reg(&cursor, UNW_X86_64_RBX, &rbx);
            unw_get_reg(&cursor, UNW_X86_64_R15, &r15);
            uint64_t at = rip - (uint64_t)(uintptr_t)faulting_load;
            return (at == 0 || at == LOAD_LENGTH) && stack_pointer(&cursor) == way.stack_pointer && rbx == MAGIC &&
                   r15 == ~MAGIC;
        }
        if (unw_step(&cursor) <= 0)
            return false;
    }
    return false;
}

static void leave_stepping(int number, siginfo_t *info, void *ucontext);
static void skip_load(int number, siginfo_t *info, void *ucontext);

static bool is_at_the_fault(const struct segue_regs *regs)
{
    uint64_t at = regs->rip - (uint64_t)(uintptr_t)faulting_load;
    return (at == 0 || at == LOAD_LENGTH) && regs->rsp == way.stack_pointer && regs->rbx == MAGIC &&
           regs->r15 == ~MAGIC;
}

/* Whether the registry shows the instruction that the walk comes to, if it knows the one that the walk is from. On the
 * last step before a handler it shows that handler's first instruction, whose caller is the walk's. */
static bool registry_agrees(const ucontext_t *frame)
{
    struct segue_regs regs;
    const void *context = NULL;
    frame_get_registers(frame, &regs);
    enum code_range_result result = code_range_translate(library_ranges, &regs, &context);
    if (result == CODE_RANGE_NOT_FOUND)
        return true;
    way.translated++;
    if (result == CODE_RANGE_FRAME || result == CODE_RANGE_RETURNED_FRAME)
        frame_get_registers(context, &regs);
    if (regs.rip == (uint64_t)(uintptr_t)skip_load) {
        context = (const void *)(uintptr_t)regs.rdx;
        if (regs.rdi != SIGSEGV || regs.rdx != regs.rsp + 8)
            return false;
        frame_get_registers(context, &regs);
    }
    return is_at_the_fault(&regs);
}

/* Its assembly moves the stack pointer, which no compiler describes for unwinders. */
static bool is_in_the_tests_own_handler(unw_context_t *from)
{
    unw_cursor_t cursor;
    unw_proc_info_t info;
    return unw_init_local2(&cursor, from, UNW_INIT_SIGNAL_FRAME) == 0 && unw_get_proc_info(&cursor, &info) == 0 &&
           info.start_ip == (uint64_t)(uintptr_t)leave_stepping;
}

static void note_walk(ucontext_t *frame)
{
    uint64_t rip = (uint64_t)frame->uc_mcontext.gregs[REG_RIP];
    if (rip - (uint64_t)(uintptr_t)faulting_function < 64 && rip != (uint64_t)(uintptr_t)faulting_load + LOAD_LENGTH)
        return;
    if (is_in_the_tests_own_handler(frame))
        return;
    way.walks++;
    if ((!finds_the_fault(frame) || !registry_agrees(frame)) && way.wrong++ == 0)
        way.first_wrong = rip;
}

/* The last jump of a shortcut is not trapped at: the flags are back by then. It is looked at as the processor would
 * have it. */
static void on_step_of_way(int number, siginfo_t *info, void *ucontext)
{
    ucontext_t *frame = ucontext;
    greg_t *regs = frame->uc_mcontext.gregs;
    uint64_t target;
    unsigned step;
    bool in_landing = (uint64_t)regs[REG_RIP] - (uint64_t)(uintptr_t)landing_go <=
                      (uint64_t)(uintptr_t)landing_shortcut - (uint64_t)(uintptr_t)landing_go;
    (void)number, (void)info;
    way.in_landing += in_landing;
    /* A sanitizer reads the list of all mappings on the way. */
    bool is_last = in_landing || shortcut_holds((uint64_t)regs[REG_RIP], &target, &step);
    if (is_last || way.walks < WALKS_MOST)
        note_walk(frame);
    if (!shortcut_holds((uint64_t)regs[REG_RIP], &target, &step))
        return;
    way.in_shortcuts++;
    if (step != SHORTCUT_STACK)
        return;
    greg_t rip = regs[REG_RIP], rsp = regs[REG_RSP];
    regs[REG_RIP] += SHORTCUT_JUMP - SHORTCUT_STACK;
    regs[REG_RSP] = *(const greg_t *)(uintptr_t)rsp;
    note_walk(frame);
    regs[REG_RIP] = rip;
    regs[REG_RSP] = rsp;
}

static greg_t keep_flags;

static void leave_stepping(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number, (void)info;
    segue_frame_open(&frame, NULL, ucontext);
    frame.regs.rip += LOAD_LENGTH;
    frame.regs.rflags &= ~(uint64_t)RESUME_FLAG | (uint64_t)keep_flags;
    way.stack_pointer = frame.regs.rsp;
    set_trap_flag();
    segue_frame_restore(&frame, SEGUE_RESTORE_DIRECT);
}

__attribute__((noinline)) void faulting_function(uint64_t address)
{
    register uint64_t r15 __asm__("r15") = ~MAGIC;
    __asm__ volatile(".globl faulting_load\nfaulting_load:\n\tmovq (%0), %0"
                     : "+a"(address)
                     : "b"(MAGIC), "r"(r15)
                     : "memory");
}

static void walk_the_way_out(greg_t kept)
{
    struct sigaction steps_action = {.sa_sigaction = on_step_of_way, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction faults = {.sa_sigaction = leave_stepping, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct sigaction before, faults_before;
    stack_t alternate = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    keep_flags = kept;
    memset(&way, 0, sizeof way);
    sigaltstack(&alternate, NULL);
    sigaction(SIGTRAP, &steps_action, &before);
    sigaction(SIGSEGV, &faults, &faults_before);
    unw_context_t here;
    unw_getcontext(&here);
    walk(&here, 0);
    faulting_function(0);
    sigaction(SIGTRAP, &before, NULL);
    sigaction(SIGSEGV, &faults_before, NULL);
    if (way.wrong)
        fail_msg("%u of %u walks wrong, the first at %#lx", way.wrong, way.walks, (unsigned long)way.first_wrong);
    assert_true(way.walks > 100);
    print_message("%u instructions, %u of the landing, %u of a shortcut\n", way.walks, way.in_landing,
                  way.in_shortcuts);
}

static void walk_is_right_at_every_instruction_of_a_way_out_by_iretq(void **state)
{
    (void)state;
    walk_the_way_out(RESUME_FLAG);
    /* Two for each return that is captured, and all registers. */
    assert_true(way.in_landing > 50);
    assert_int_equal(way.translated, 22);
    assert_int_equal(way.in_shortcuts, 0);
}

static void walk_is_right_at_every_instruction_of_a_shortcut(void **state)
{
    (void)state;
    walk_the_way_out(0);
    assert_true(way.in_landing > 50);
    assert_int_equal(way.translated, 25);
    assert_int_equal(way.in_shortcuts, 2);
}

/* ---- the ways out of the library's own handler ------------------------------------------------------------------ */

/* What is walked from: the instructions between these. */
struct code {
    const char *begin, *end;
};

extern const char relay_gate[], relay_gate_end[];

static struct segue_mapping closed;
static struct code watched;
static unsigned in_watched;
static volatile sig_atomic_t steps_on;

/* The trap flag goes on until the handler is left: what is walked through puts other flags in force. */
static void on_step_of_library(int number, siginfo_t *info, void *ucontext)
{
    ucontext_t *frame = ucontext;
    uint64_t rip = (uint64_t)frame->uc_mcontext.gregs[REG_RIP];
    (void)number, (void)info;
    bool is_watched = rip >= (uint64_t)(uintptr_t)watched.begin && rip < (uint64_t)(uintptr_t)watched.end;
    bool in_landing = rip - (uint64_t)(uintptr_t)landing_forgotten < 256;
    if (is_watched || in_landing)
        note_walk(frame);
    in_watched += is_watched;
    if (steps_on)
        frame->uc_mcontext.gregs[REG_EFL] |= FLAG_TRAP;
    else
        frame->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)FLAG_TRAP;
}

static enum segue_verdict step_from_here(void *context, const struct segue_event *event)
{
    way.stack_pointer = event->regs->rsp;
    steps_on = 1;
    set_trap_flag();
    return *(const enum segue_verdict *)context;
}

static void skip_load(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info;
    steps_on = 0;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] += LOAD_LENGTH;
}

/* A fault that the policy answers so, with every instruction from there on looked at. */
static void walk_out_of_the_library(const struct segue_options *options, enum segue_verdict verdict, struct code code)
{
    struct sigaction steps_action = {.sa_sigaction = on_step_of_library, .sa_flags = SA_SIGINFO};
    struct sigaction faults = {.sa_sigaction = skip_load, .sa_flags = SA_SIGINFO}, before, faults_before;
    stack_t none = {.ss_flags = SS_DISABLE};
    watched = code;
    in_watched = 0;
    memset(&way, 0, sizeof way);
    sigaltstack(&none, NULL);
    sigaction(SIGTRAP, &steps_action, &before);
    sigaction(SIGSEGV, &faults, &faults_before);
    assert_int_equal(segue_install(options), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, 4096, &closed), SEGUE_OK);
    const struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)closed.memory,
                                                   .size = closed.size,
                                                   .kind = SEGUE_WINDOW_ALIAS,
                                                   .alias = closed.alias},
                                        .policy = step_from_here,
                                        .context = &verdict};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(closed.memory, closed.size, PROT_NONE), 0);
    unw_context_t here;
    unw_getcontext(&here);
    walk(&here, 0);
    faulting_function((uint64_t)(uintptr_t)closed.memory);
    steps_on = 0;
    __asm__ volatile("nop");
    assert_int_equal(segue_region_remove(closed.memory), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&closed), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGTRAP, &before, NULL);
    sigaction(SIGSEGV, &faults_before, NULL);
    if (way.wrong)
        fail_msg("%u of %u walks wrong, the first at %#lx", way.wrong, way.walks, (unsigned long)way.first_wrong);
    print_message("%u instructions, %u of those that are watched\n", way.walks, in_watched);
}

static void walk_is_right_at_every_instruction_of_the_gate_to_a_handler(void **state)
{
    const struct segue_options options = {.flags = SEGUE_INSTALL_OPEN_SIGNALS};
    (void)state;
    walk_out_of_the_library(&options, SEGUE_PASS, (struct code){relay_gate, relay_gate_end});
    assert_in_range(in_watched, 16, 40);
    assert_true(way.translated >= in_watched);
}

/* The landing's own call is refused, and no other: the unwinder makes some of its own. */
static bool refuse_masks_of_landings(void)
{
    const uint64_t begin = (uint64_t)(uintptr_t)landing_forgotten;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(begin >> 32), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)begin, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)begin + 128, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

/* The last one: the filter stays. */
static void walk_is_right_at_every_instruction_where_the_mask_is_refused(void **state)
{
    (void)state;
    if (!refuse_masks_of_landings())
        skip_if("there are no filters of system calls");
    walk_out_of_the_library(NULL, SEGUE_STEP, (struct code){landing_refused, landing_refused_end});
    assert_int_equal(in_watched, 2);
    assert_int_equal(way.translated, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_is_right_at_every_instruction_of_a_swap),
        cmocka_unit_test(walk_is_right_at_every_instruction_with_fixed_control),
        cmocka_unit_test(walk_is_right_at_every_instruction_of_a_slow_swap),
        cmocka_unit_test(walk_is_right_at_every_instruction_of_a_way_out_by_iretq),
        cmocka_unit_test(walk_is_right_at_every_instruction_of_a_shortcut),
        cmocka_unit_test(walk_is_right_at_every_instruction_of_the_gate_to_a_handler),
        cmocka_unit_test(walk_is_right_at_every_instruction_where_the_mask_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
