/* masked_linux.c: calls with a signal mask argument. The kernel gets the mask without the forced signals.
 *
 * SOURCES: sigsuspend(2), select(2), poll(2), epoll_wait(2); Linux io_uring/io_uring.c (io_get_ext_arg). */
#include "masked.h"

#include <errno.h>
#include <string.h>

#include "tools/run/host/memory.h"
#include "tools/run/signals/actions.h"
#include "tools/run/signals/deliver.h"
#include "tools/run/signals/registers.h"
#include "tools/run/syscalls/stub.h"

#define SET_SIZE 8
#define URING_EXTENDED_ARGUMENT 8u
#define URING_EXTENDED_SIZE 24

/* For a call with a mask of its own, which is noted: a kept signal that the mask allows interrupts it at once. */
static enum call_outcome pass_waiting(struct thread *thread, ucontext_t *frame, const uint64_t *before)
{
    if (!thread->has_call_mask || !deliver_has_waiting(thread)) {
        stub_pass(thread, frame, before);
        return CALL_ARRANGED;
    }
    for (int i = 0; i < 6; i++)
        registers_set(frame, registers_of_arguments[i], before[i]);
    registers_set(frame, REG_RAX, (uint64_t)-EINTR);
    return CALL_ARRANGED;
}

/* Replaces the mask by one without the forced signals. False if the mask is not readable: the kernel then fails the
 * call itself. */
static bool replace_mask(struct thread *thread, uint64_t address)
{
    if (!address || !memory_read(&thread->call_mask, address, SET_SIZE))
        return false;
    thread->words[0] = thread->call_mask & ~FORCED_SIGNALS;
    thread->has_call_mask = true;
    return true;
}

enum call_outcome masked_lead(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    uint64_t before[6];
    (void)result;
    registers_arguments(frame, before);
    if (before[call->argument + 1] == SET_SIZE && replace_mask(thread, before[call->argument]))
        registers_set(frame, registers_of_arguments[call->argument], (uint64_t)(uintptr_t)&thread->words[0]);
    return pass_waiting(thread, frame, before);
}

enum call_outcome masked_lead_pair(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    uint64_t before[6], pair[2];
    (void)result;
    registers_arguments(frame, before);
    if (before[call->argument] && memory_read(pair, before[call->argument], sizeof pair) && pair[1] == SET_SIZE &&
        replace_mask(thread, pair[0])) {
        thread->words[1] = (uint64_t)(uintptr_t)&thread->words[0];
        thread->words[2] = SET_SIZE;
        registers_set(frame, registers_of_arguments[call->argument], (uint64_t)(uintptr_t)&thread->words[1]);
    }
    return pass_waiting(thread, frame, before);
}

/* With IORING_ENTER_EXT_ARG the argument points to the mask's address, with more after it. */
enum call_outcome masked_lead_uring(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    uint64_t before[6], extended[URING_EXTENDED_SIZE / 8];
    registers_arguments(frame, before);
    if (!(before[3] & URING_EXTENDED_ARGUMENT))
        return masked_lead(thread, frame, call, result);
    if (before[call->argument + 1] == sizeof extended &&
        memory_read(extended, before[call->argument], sizeof extended) && (uint32_t)extended[1] == SET_SIZE &&
        replace_mask(thread, extended[0])) {
        extended[0] = (uint64_t)(uintptr_t)&thread->words[0];
        memcpy(&thread->words[1], extended, sizeof extended);
        registers_set(frame, registers_of_arguments[call->argument], (uint64_t)(uintptr_t)&thread->words[1]);
    }
    return pass_waiting(thread, frame, before);
}
