/* hot_quick.c: bodies that ask a policy quickly: each place of the question is rolled back; suspensions, closed slots,
 * askers that are in use, and threads without one. */
#include "tests/support/test.h"

#include <string.h>

#include "decode/x86/flags.h"
#include "emulate/body/body.h"
#include "emulate/body/table.h"
#include "signals/hot/ask/ask.h"
#include "signals/hot/ask/asker.h"
#include "signals/hot/ask/quick.h"
#include "signals/hot/ask/quick_layout.h"
#include "signals/threads/thread.h"
#include "tests/emulate/body/differential.h"

__asm__(".globl begin_accesses, end_accesses, begin_back, end_back, begin_load, end_load\n.text\n"
        "begin_accesses:\n mov 8(%rbx), %rax\n add %rax, 16(%rsi)\n adc (%rdi), %r8\n movzbl 3(%rbx), %edx\n"
        " lock xadd %r9, (%rbp)\n mov %r11, 24(%rdi)\n xchg %r10, 8(%rsi)\nend_accesses:\n"
        "begin_back:\n std\n mov 8(%rbx), %rax\n lodsb\n mov 16(%rdi), %rdx\n movsb\n cld\nend_back:\n"
        "begin_load:\n mov 8(%rbx), %rax\n adc 16(%rbx), %rax\nend_load:\n");
/* The policies of the test, but they change RAX alone; and RCX and RDX, too. */
__asm__(
    ".macro CHANGING_RAX name, policy\n.globl \\name\n\\name:\n push %rbp\n mov %rsp, %rbp\n push %rcx\n push %rdx\n"
    " push %rsi\n push %rdi\n push %r8\n push %r9\n push %r10\n push %r11\n and $-16, %rsp\n call \\policy\n"
    " lea -64(%rbp), %rsp\n pop %r11\n pop %r10\n pop %r9\n pop %r8\n pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n"
    " pop %rbp\n ret\n.endm\n"
    ".text\n CHANGING_RAX policy_of_one, policy_of_test\n CHANGING_RAX policy_of_blind, blind_policy_of_test\n"
    ".globl policy_of_three\npolicy_of_three:\n call policy_of_one\n mov $-1, %rcx\n mov $-1, %rdx\n ret\n");
extern segue_hot_policy policy_of_one, policy_of_three, policy_of_blind, policy_of_test;
extern enum segue_verdict blind_policy_of_test(void *context);
extern const uint8_t begin_accesses[], end_accesses[], begin_back[], end_back[], begin_load[], end_load[];
/* The first and the last place of the questions' code. */
extern const char quick_begin_rbx[], leaf_end_three_r15[];

/* Two of three answers. */
#define SOME 0xdb6db6db6db6db6d

static struct asker asker;
static struct hot_slot slot;
static uint64_t words[QUICK_KINDS][BODY_QUICK_COUNT];
static unsigned asked, suspended_every;
/* The place at which the thread is suspended while it counts as one in a policy, by the order of the places that it
 * comes by in a run, and how many those were; how often the policy had been asked then, and whether it must be again.
 */
static unsigned suspended_at, places_inside, asked_before;
static bool is_to_be_asked;
/* Of the last body. */
static unsigned scratch_register;
static enum quick_kind kind;

static SEGUE_HOT_POLICY enum segue_verdict answer(uint64_t site)
{
    if (suspended_every && asked % suspended_every == 0) {
        asker.attention |= ATTENTION_SUSPENDED;
        return SEGUE_STEP;
    }
    return world_answer(site) ? SEGUE_RETRY : SEGUE_STEP;
}

/* Of the event, it sees that it is there. */
__attribute__((used)) SEGUE_HOT_POLICY enum segue_verdict blind_policy_of_test(void *context)
{
    const struct segue_hot_event *event = &asker.event;
    asked++;
    if (context != &asked || event->thread != 77 || asker.at == 0)
        world_is_wrong();
    return answer(world_site());
}

__attribute__((used)) SEGUE_HOT_POLICY enum segue_verdict policy_of_test(void *context,
                                                                         const struct segue_hot_event *event)
{
    uint64_t offset = event->address - (uint64_t)(uintptr_t)world.memory;
    asked++;
    if (context != &asked || event->region != &slot.region || event->thread != asker.event.thread || event->regs ||
        event->at != world.alias + offset || !event->size || !event->direction || event->reserved8[0] ||
        event->reserved8[1] || event->reserved8[2] || asker.at == 0 || __builtin_ia32_readeflags_u64() & FLAG_DIRECTION)
        world_is_wrong();
    return answer(event->site);
}

static uint64_t compare(const uint8_t *begin, const uint8_t *end, struct variation variation, unsigned inside)
{
    struct segue_regs regs = {.rax = 1, .rcx = 2, .rdx = 3, .r8 = 4, .r9 = 5, .r10 = 6, .r11 = 7, .r12 = 8};
    struct outcome outcome;
    char why[256];
    const unsigned addresses[] = {SEGUE_RBX, SEGUE_RSI, SEGUE_RDI, SEGUE_RBP};
    for (unsigned i = 0; i < 4; i++)
        *segue_register_at(&regs, addresses[i]) =
            (uint64_t)(uintptr_t)(inside >> i & 1 ? world.memory : world.outside) + 512 * i + 64;
    regs.rsp = (uint64_t)(uintptr_t)world.stack + STACK_SIZE - STACK_ABOVE;
    regs.rflags = FIXED_FLAGS | FLAG_CARRY;
    size_t size = (size_t)(end - begin);
    if (!world_compare(begin, size, size, &regs, &variation, &outcome, why))
        fail_msg("addresses inside %x, rolled back at %u: %s", inside, variation.roll_back_at, why);
    assert_null(outcome.body.refusal);
    scratch_register = ((const struct body_table *)(const void *)outcome.body.table)->scratch_register;
    assert_int_equal(asker.at, 0);
    assert_int_equal(asker.attention, 0);
    return outcome.stops_in_thunks;
}

/* As a suspension does where the thread is not put back. */
static void be_suspended(const struct segue_regs *regs)
{
    const char *at = (const char *)(uintptr_t)regs->rip;
    if (!asker.at || at < quick_begin_rbx || at >= leaf_end_three_r15 || ++places_inside != suspended_at)
        return;
    asker.attention |= ATTENTION_SUSPENDED;
    asked_before = asked;
    is_to_be_asked = true;
}

/* A thread that is only looked at is not changed. The test goes on, or puts it back for good: both end in no policy. */
static bool leave(struct segue_regs *regs)
{
    const uint64_t rip = regs->rip, at = asker.at;
    if (!quick_leave(regs)) {
        be_suspended(regs);
        return false;
    }
    assert_int_equal(asker.at, at);
    if (is_to_be_asked && asked == asked_before)
        fail_msg("suspended at place %u in a policy, which was not asked again", suspended_at);
    is_to_be_asked = false;
    quick_was_left(rip);
    return true;
}

/* Each way of which addresses are inside, and from each place. */
static void all(uint64_t answers)
{
    uint64_t in_questions = 0;
    struct variation variation = {.mode = BODY_POLICY,
                                  .ask = BODY_THUNK_ASK,
                                  .answers = answers,
                                  .quick = words[kind],
                                  .leave_quick = leave,
                                  .slot = &slot};
    for (unsigned inside = 0; inside < 16; inside++)
        in_questions += compare(begin_accesses, end_accesses, variation, inside);
    assert_true(in_questions > 200);
    for (variation.roll_back_at = 1; variation.roll_back_at < 150; variation.roll_back_at++)
        compare(begin_accesses, end_accesses, variation, 15);
}

static void any_register_may_have_the_address(void **state)
{
    struct variation variation = {.mode = BODY_POLICY,
                                  .ask = BODY_THUNK_ASK,
                                  .answers = SOME,
                                  .quick = words[kind],
                                  .leave_quick = leave,
                                  .slot = &slot};
    uint32_t chosen = 0;
    (void)state;
    for (unsigned unused = 0; unused < 16; unused++) {
        uint8_t code[256];
        size_t size = (size_t)(end_load - begin_load);
        memcpy(code, begin_load, size);
        size += world_use_registers(code + size, unused);
        compare(code, code + size, variation, 15);
        chosen |= 1u << scratch_register;
    }
    assert_int_equal(chosen, 0xffff & ~(1u << SEGUE_RAX | 1u << SEGUE_RSP));
}

static int prepare(void **state)
{
    static segue_hot_policy *const policies[QUICK_KINDS] = {[QUICK_FULLY] = policy_of_test,
                                                            [QUICK_LEAF] = policy_of_one,
                                                            [QUICK_LEAF_OF_THREE] = policy_of_three,
                                                            [QUICK_LEAF_BLIND] = policy_of_blind};
    uint64_t thunks[BODY_THUNK_COUNT];
    bool vectors;
    kind = *(const enum quick_kind *)*state;
    world_prepare();
    body_thunks_fill(thunks, &vectors);
    quick_prepare(thunks[BODY_THUNK_ASK], words);
    slot = (struct hot_slot){
        .asked = policies[kind], .context = &asked, .distance = world.alias - world.memory, .is_open = true};
    asker = (struct asker){.owner = 1, .event = {.thread = 77}};
    thread_self.asker = &asker;
    asked = suspended_every = suspended_at = 0;
    return 0;
}

static void question_is_rolled_back_at_every_place(void **state)
{
    (void)state;
    all(~UINT64_C(0));
    assert_true(asked > 200);
    all(SOME);
}

static void thread_that_was_suspended_in_a_policy_is_asked_again(void **state)
{
    (void)state;
    suspended_every = 3;
    all(~UINT64_C(0));
    suspended_every = 2;
    all(SOME);
}

/* At each instruction of the question from which it is not put back. */
static void thread_that_was_suspended_in_a_question_is_asked_again(void **state)
{
    struct variation variation = {.mode = BODY_POLICY,
                                  .ask = BODY_THUNK_ASK,
                                  .answers = ~UINT64_C(0),
                                  .quick = words[kind],
                                  .leave_quick = leave,
                                  .slot = &slot};
    (void)state;
    do {
        suspended_at++;
        places_inside = 0;
        is_to_be_asked = false;
        compare(begin_load, end_load, variation, 15);
    } while (places_inside >= suspended_at);
    assert_true(suspended_at > 8);
}

static void policy_of_a_closed_slot_is_not_called(void **state)
{
    (void)state;
    slot.asked = leaf_that_refuses;
    all(~UINT64_C(0));
    assert_int_equal(asked, 0);
}

/* These are asked by the thunk. */
static void threads_without_an_asker_and_in_a_policy_are_not_asked_quickly(void **state)
{
    (void)state;
    thread_self.asker = NULL;
    all(SOME);
    assert_int_equal(asked, 0);
}

static void direction_flag_is_clear_in_a_policy(void **state)
{
    struct variation variation = {.mode = BODY_POLICY,
                                  .ask = BODY_THUNK_ASK,
                                  .answers = SOME,
                                  .quick = words[kind],
                                  .leave_quick = leave,
                                  .slot = &slot};
    (void)state;
    for (unsigned inside = 0; inside < 16; inside++)
        compare(begin_back, end_back, variation, inside);
    assert_int_equal(asked, 0);
}

static enum quick_kind kinds[] = {QUICK_FULLY, QUICK_LEAF, QUICK_LEAF_OF_THREE, QUICK_LEAF_BLIND};
#define CASE(name, kind) cmocka_unit_test_prestate_setup_teardown(name, prepare, NULL, &kinds[kind])
#define CASES(name)                                                                                                    \
    CASE(name, QUICK_FULLY), CASE(name, QUICK_LEAF), CASE(name, QUICK_LEAF_OF_THREE), CASE(name, QUICK_LEAF_BLIND)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASES(question_is_rolled_back_at_every_place),
        CASES(thread_that_was_suspended_in_a_policy_is_asked_again),
        CASES(thread_that_was_suspended_in_a_question_is_asked_again),
        CASES(policy_of_a_closed_slot_is_not_called),
        CASES(threads_without_an_asker_and_in_a_policy_are_not_asked_quickly),
        CASES(any_register_may_have_the_address),
        /* A leaf does not mind. */
        CASE(direction_flag_is_clear_in_a_policy, QUICK_FULLY),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
