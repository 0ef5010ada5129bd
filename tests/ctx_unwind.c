/* ctx_unwind.c: the stack can be walked from anywhere: at every single instruction from before the first swap to after
 * the last one, by libunwind from a SIGTRAP handler, the walk goes through all the flows that are under way, innermost
 * first, and ends. The program single-steps itself with the trap flag. */
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <segue/ctx.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
 * one that it goes to, with nothing of its own there; then it is nobody's. */
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
    segue_context_create(&parent);
    assert_int_equal(segue_context_init(&child, NULL, stacks[0], STACK_SIZE, child_function, NULL, 0, &options), 0);
    assert_int_equal(
        segue_context_init(&grandchild, NULL, stacks[1], STACK_SIZE, grandchild_function, NULL, 0, &options), 0);
}

static void step_through(uint32_t flags)
{
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK}, before;
    stack_t alternate = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    sigaltstack(&alternate, NULL);
    sigaction(SIGTRAP, &action, &before);
    steps = wrong = walks_of_child = walks_of_grandchild = walks_of_outer = 0;
    prepare(flags);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_is_right_at_every_instruction_of_a_swap),
        cmocka_unit_test(walk_is_right_at_every_instruction_with_fixed_control),
        cmocka_unit_test(walk_is_right_at_every_instruction_of_a_slow_swap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
