/* code_range.h: fault-PC translation: the one registry of code that no application wrote. For a thread that stands in
 * such code it finds the corresponding place in the application. Handlers, suspension, chaining and profilers use it.
 *
 * The owner of such code describes it in a `struct code_range` beside the code itself. Ranges of the program's text are
 * in a constant list, which the caller passes; code made at run time is added here. This is independent of the system;
 * it is in platform/ because emulate/, ctx/ and signals/ own ranges, and share no other folder below them.
 *
 * SOURCES: DynamoRIO, core/translate.c (recreate_app_state). */
#ifndef SEGUE_PLATFORM_CODE_RANGE_H
#define SEGUE_PLATFORM_CODE_RANGE_H

#include <segue/regs.h>
#include <stdbool.h>

/* The result of a translation. */
enum code_range_result {
    /* The thread is in no range, or its registers are correct as they are: the range is a function that was called. */
    CODE_RANGE_NOT_FOUND,
    /* The registers are now the application's; the thread already has the application's extended state. The code has
     * nothing left to do: the thread may resume with these registers. */
    CODE_RANGE_REGISTERS,
    /* The same, but the code has work left, and the thread must resume where it is. */
    CODE_RANGE_SHOWN,
    /* `*frame` is the context of a signal frame that holds the application's registers and extended state. The frame is
     * that of the library's own handler, which begins or ends; or of an application's handler that has returned. */
    CODE_RANGE_FRAME,
    CODE_RANGE_RETURNED_FRAME,
};

struct code_range {
    /* From the first byte to the one after the last. Both NULL: the code is in several places, and `translate` checks
     * whether the instruction is in one of them. */
    const void *begin, *end;
    /* Replaces the registers of a thread that stands in the range, at regs->rip, by the application's; or, if no
     * application's instruction corresponds to it (a stub of the replay engine), by those of the function that called
     * it. Changes nothing if it returns CODE_RANGE_NOT_FOUND. Called on that thread, in a handler that has
     * interrupted it. Async-signal-safe. */
    enum code_range_result (*translate)(const struct code_range *range, struct segue_regs *regs, const void **frame);
};

/* The range of code that this system or processor lacks, for the file that stands in for its owner: no thread stands in
 * what does not exist. */
extern const char code_range_no_code[1];
enum code_range_result code_range_not_there(const struct code_range *range, struct segue_regs *regs,
                                            const void **frame);
#define CODE_RANGE_NOT_THERE                                                                                           \
    {                                                                                                                  \
        code_range_no_code, code_range_no_code, code_range_not_there                                                   \
    }

/* Adds a range, before any thread stands in it. False if there are too many. Async-signal-safe, thread-safe, lock-free.
 */
bool code_range_add(const struct code_range *range);

/* Removes the range that begins there, after the last thread has left it: a concurrent lookup finds the range or
 * nothing. Ignores an unknown range. Async-signal-safe, thread-safe, lock-free. */
void code_range_remove(const void *begin);

/* Translates by the range that contains regs->rip: one of the list, which ends with NULL, or one that was added. If
 * the result is in another range, translates again, until the application or a frame is found. CODE_RANGE_NOT_FOUND
 * if rip is in no range. Async-signal-safe, thread-safe, wait-free. */
enum code_range_result code_range_translate(const struct code_range *const *list, struct segue_regs *regs,
                                            const void **frame);

/* For the owners of ranges: whether `rip` is within a piece of code; whether it is at a given place. */
static inline bool code_is_within(uint64_t rip, const void *begin, const void *end)
{
    return rip - (uint64_t)(uintptr_t)begin < (uint64_t)((uintptr_t)end - (uintptr_t)begin);
}

static inline bool code_is_at(uint64_t rip, const void *place)
{
    return rip == (uint64_t)(uintptr_t)place;
}

#endif
