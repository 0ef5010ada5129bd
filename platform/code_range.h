/* code_range.h: the one registry of code that no application wrote, and of the place in the application for which a
 * thread that stands there counts (fault-PC translation): handlers, suspension, chaining and profilers ask it.
 *
 * Each owner of such code describes it in a `struct code_range` beside the code itself. What is part of a program's
 * text is in a constant list, which the asker hands over; what is made at run time is added here. It depends on no
 * system; it is in platform/ because emulate/, ctx/ and signals/ own ranges, and share no other folder below them.
 *
 * SOURCES: DynamoRIO, core/translate.c (recreate_app_state). */
#ifndef SEGUE_PLATFORM_CODE_RANGE_H
#define SEGUE_PLATFORM_CODE_RANGE_H

#include <segue/regs.h>
#include <stdbool.h>

/* What is known of a thread that stands in a range. */
enum code_range_result {
    /* It does not stand in one, or its registers are what they seem: the range is a function that was called. */
    CODE_RANGE_NOT_FOUND,
    /* The registers have been made the application's, whose extended state the thread has already. Nothing is left to
     * do: the thread may as well go on with them. */
    CODE_RANGE_REGISTERS,
    /* The same, but the code has something left to do, and the thread must go on where it is. */
    CODE_RANGE_SHOWN,
    /* A signal frame, whose context `*frame` is, has the application's registers and extended state: of the library's
     * own handler, which begins or ends; or of a handler of the application's, which has returned. */
    CODE_RANGE_FRAME,
    CODE_RANGE_RETURNED_FRAME,
};

struct code_range {
    /* From the first byte to the one behind the last. Both NULL: the code is in several places, and `translate` looks
     * whether the instruction is in one. */
    const void *begin, *end;
    /* Makes the registers of a thread that stands in the range, at regs->rip, those of the application; or, where no
     * application's instruction is behind it (a stub of the replay engine), those of the function that called it. With
     * CODE_RANGE_NOT_FOUND nothing is changed. Called on that thread, in a handler that has interrupted it.
     * Async-signal-safe. */
    enum code_range_result (*translate)(const struct code_range *range, struct segue_regs *regs, const void **frame);
};

/* Adds a range, before any thread stands in it. False if there are too many. Async-signal-safe, thread-safe, lock-free.
 */
bool code_range_add(const struct code_range *range);

/* Removes the range that begins there, after the last thread has left it: whoever asks meanwhile finds the range or
 * none. A range that is not there is left alone. Async-signal-safe, thread-safe, lock-free. */
void code_range_remove(const void *begin);

/* Asks the range that regs->rip is in, of the list, which ends with NULL, or of those that were added; and, where that
 * one leads to another range, that one, until the application is found or a frame. CODE_RANGE_NOT_FOUND where rip is in
 * none. Async-signal-safe, thread-safe, wait-free. */
enum code_range_result code_range_translate(const struct code_range *const *list, struct segue_regs *regs,
                                            const void **frame);

/* For those who describe ranges: whether `rip` is in a piece of code; whether it is at a place. */
static inline bool code_is_within(uint64_t rip, const void *begin, const void *end)
{
    return rip - (uint64_t)(uintptr_t)begin < (uint64_t)((uintptr_t)end - (uintptr_t)begin);
}

static inline bool code_is_at(uint64_t rip, const void *place)
{
    return rip == (uint64_t)(uintptr_t)place;
}

#endif
