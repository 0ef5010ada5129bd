/* ranges.c: what the registry says of a thread in those ranges that no test comes through step by step: the entries of
 * other handlers, the return from a handler whose frame was changed, the exits of a clone's first stack, and code that
 * is in no range. What the others say is compared at each instruction in mutator.c, ctx_unwind.c and ctx_guest.c. */
#include "tests/support/test.h"

#include <segue/handler.h>

#include "ctx/clone/pad.h"
#include "ctx/guest/gate.h"
#include "signals/chain/restorer.h"
#include "signals/handler/signal_entry.h"
#include "signals/mutator/suspend.h"
#include "signals/ranges.h"

#define FRAME UINT64_C(0x7000)
#define TARGET UINT64_C(0x1234)

static struct segue_regs regs;
static const void *frame;

/* RDX and RSP differ, so that what says where the frame is shows. */
static enum code_range_result ask(const void *at, uint64_t rdx, uint64_t rsp)
{
    regs = (struct segue_regs){.rip = (uint64_t)(uintptr_t)at, .rcx = TARGET, .rdx = rdx, .rsp = rsp};
    frame = NULL;
    return code_range_translate(library_ranges, &regs, &frame);
}

static void handler_that_is_entered_has_its_frame_in_rdx(void **state)
{
    const void *entries[] = {(const void *)(uintptr_t)signal_entry, (const void *)(uintptr_t)suspend_entry,
                             (const void *)(uintptr_t)guest_signal_entry, guest_run_handler};
    (void)state;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        assert_int_equal(ask(entries[i], FRAME, 0), CODE_RANGE_FRAME);
        assert_int_equal((uintptr_t)frame, FRAME);
    }
}

static void handler_that_has_returned_has_its_frame_on_top_of_the_stack(void **state)
{
    (void)state;
    assert_int_equal(ask(restorer_plain, 0, FRAME), CODE_RANGE_FRAME);
    assert_int_equal((uintptr_t)frame, FRAME);
    assert_int_equal(ask(restorer_of_relay, 0, FRAME), CODE_RANGE_RETURNED_FRAME);
    assert_int_equal((uintptr_t)frame, FRAME);
    /* The NOP before each, which is there for unwinders, is never executed. */
    assert_int_equal(ask((const void *)((uintptr_t)restorer_plain - 1), 0, FRAME), CODE_RANGE_NOT_FOUND);
}

/* A thread may only go on at once where the pad has been given back. */
static void clone_on_its_pads_exit_stands_where_it_goes_on(void **state)
{
    static const unsigned pads[] = {0, 1, PAD_COUNT - 1};
    (void)state;
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++) {
        const char *by_rcx = pad_rcx_exits[pads[i]], *by_word = pad_word_exits[pads[i]];
        pad_targets[pads[i]] = TARGET + 1;
        assert_int_equal(ask(by_rcx, 0, FRAME), CODE_RANGE_SHOWN);
        assert_int_equal(regs.rip, TARGET);
        assert_int_equal(ask(by_rcx + PAD_EXIT_JUMP, 0, FRAME), CODE_RANGE_REGISTERS);
        assert_int_equal(regs.rip, TARGET);
        assert_int_equal(ask(by_word, 0, FRAME), CODE_RANGE_SHOWN);
        assert_int_equal(regs.rip, TARGET + 1);
        assert_int_equal(ask(by_word + PAD_EXIT_JUMP, 0, FRAME), CODE_RANGE_REGISTERS);
        assert_int_equal(regs.rip, TARGET + 1);
        assert_int_equal(regs.rsp, FRAME);
        pad_targets[pads[i]] = 0;
    }
}

static void code_of_the_librarys_that_is_called_is_in_no_range(void **state)
{
    (void)state;
    assert_int_equal(ask((const void *)(uintptr_t)segue_uninstall, FRAME, FRAME), CODE_RANGE_NOT_FOUND);
    assert_int_equal(ask((const void *)(uintptr_t)segue_install, FRAME, FRAME), CODE_RANGE_NOT_FOUND);
    assert_int_equal(ask(NULL, FRAME, FRAME), CODE_RANGE_NOT_FOUND);
    assert_int_equal(regs.rip, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handler_that_is_entered_has_its_frame_in_rdx),
        cmocka_unit_test(handler_that_has_returned_has_its_frame_on_top_of_the_stack),
        cmocka_unit_test(clone_on_its_pads_exit_stands_where_it_goes_on),
        cmocka_unit_test(code_of_the_librarys_that_is_called_is_in_no_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
