/* masked_linux.c: calls with a signal mask argument. The kernel gets the mask without the forced signals. */
#include "masked.h"

#include <errno.h>
#include <string.h>

#include "platform/linux/calls/table/masked.h"
#include "tools/run/host/memory.h"
#include "tools/run/signals/actions.h"
#include "tools/run/signals/deliver.h"
#include "tools/run/signals/registers.h"
#include "tools/run/syscalls/stub.h"

_Static_assert(sizeof((struct thread *)0)->words == sizeof((struct masked *)0)->words, "the thread has no room");

/* For a call with a mask of its own, which is noted: a kept signal that the mask allows interrupts it at once. */
static enum call_outcome pass_waiting(struct thread *thread, ucontext_t *frame, const uint64_t *before)
{
    if (!thread->has_call_mask || !deliver_has_waiting(thread)) {
        stub_pass(thread, frame, before);
        return CALL_ARRANGED;
    }
    registers_set_arguments(frame, before);
    registers_set(frame, REG_RAX, (uint64_t)-EINTR);
    return CALL_ARRANGED;
}

/* A mask that is not readable stays: the kernel then fails the call itself. */
enum call_outcome masked_lead(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    uint64_t before[CALL_ARGUMENTS], arguments[CALL_ARGUMENTS];
    struct masked masked;
    (void)result;
    registers_arguments(frame, before);
    if (masked_read(call->number, before, memory_read, &masked)) {
        thread->call_mask = masked.words[masked.mask];
        thread->has_call_mask = true;
        masked.words[masked.mask] &= ~FORCED_SIGNALS;
        memcpy(arguments, before, sizeof arguments);
        masked_place(&masked, (uint64_t)(uintptr_t)thread->words, arguments);
        memcpy(thread->words, masked.words, sizeof thread->words);
        registers_set_arguments(frame, arguments);
    }
    return pass_waiting(thread, frame, before);
}
