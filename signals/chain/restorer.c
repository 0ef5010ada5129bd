/* restorer.c: fault-PC translation for a thread that is returning from a handler: the frame is on top of the stack. */
#include "restorer.h"

#include "platform/frame/entry_layout.h"

/* The frame without the restorer's address, which the handler's return has popped. */
static const void *frame_at(const struct segue_regs *regs)
{
    return (const void *)(uintptr_t)(regs->rsp + ENTRY_CONTEXT - sizeof(void *));
}

/* In assembly. */
extern const char restorer_plain_end[], restorer_of_relay_end[];

static enum code_range_result translate_plain(const struct code_range *range, struct segue_regs *regs,
                                              const void **frame)
{
    (void)range;
    *frame = frame_at(regs);
    return CODE_RANGE_FRAME;
}

static enum code_range_result translate_of_relay(const struct code_range *range, struct segue_regs *regs,
                                                 const void **frame)
{
    (void)range;
    *frame = frame_at(regs);
    return CODE_RANGE_RETURNED_FRAME;
}

const struct code_range restorer_plain_range = {restorer_plain, restorer_plain_end, translate_plain};
const struct code_range restorer_of_relay_range = {restorer_of_relay, restorer_of_relay_end, translate_of_relay};
