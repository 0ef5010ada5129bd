/* none.c: no policy of a hot region is asked where there are no hot sites. */
#include "ask.h"
#include "leaf.h"
#include "quick.h"

#include <string.h>

enum quick_kind leaf_kind(segue_hot_policy *policy)
{
    (void)policy;
    return QUICK_FULLY;
}

enum segue_verdict leaf_that_refuses(void *context, const struct segue_hot_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_RETRY;
}

void quick_prepare(uint64_t otherwise, uint64_t words[QUICK_KINDS][BODY_QUICK_COUNT])
{
    (void)otherwise;
    memset(words, 0, QUICK_KINDS * sizeof *words);
}

bool quick_leave(struct segue_regs *regs)
{
    (void)regs;
    return false;
}

void quick_was_left(uint64_t rip)
{
    (void)rip;
}

enum segue_status ask_prepare(void)
{
    return SEGUE_UNSUPPORTED;
}

void ask_follow_install(bool alignment)
{
    (void)alignment;
}

bool ask_may_be_quick(void)
{
    return false;
}

void ask_attach(void)
{
}

void ask_answer(uint64_t stack_pointer, bool on_alternate)
{
    (void)stack_pointer;
    (void)on_alternate;
}

void ask_was_suspended(void)
{
}

bool ask_take_alignment(void *context)
{
    (void)context;
    return false;
}

void ask_wait(const struct hot_slot *slot)
{
    (void)slot;
}

void ask_in_child(void)
{
}
