/* busy.h: the system calls that use regions' windows while they are being made. Such a call's thread is in no fault,
 * and may wait for long; a remover that waits for it interrupts it, and the call begins again at the program's
 * instruction, where the region is not found any more. */
#ifndef SEGUE_SIGNALS_BUSY_H
#define SEGUE_SIGNALS_BUSY_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/x86/compiler/shared_word.h"

/* Notes a call of the calling thread, whose record (platform/calls/calls.h) is at that address, and the addresses whose
 * regions it uses. Returns the word that becomes 0 when the call is done; NULL if there are too many. Calls that the
 * thread has left by siglongjmp are forgotten. `memory`, which may be NULL, is what the call needs until it is
 * finished: if the thread has left it, and its stack shows so, it is given to `give`. Async-signal-safe. */
shared_word *busy_take(uint64_t record, uint64_t base, uint64_t end, void *memory, void (*give)(void *memory));

/* Waits until no call uses an address of the range, whose region cannot be found any more. Not async-signal-safe. */
void busy_wait(uint64_t base, uint64_t size);

/* The thread answers: it has the stack pointer, on its own stack, and is in no call that it can begin again.
 * Async-signal-safe. */
void busy_answer(uint64_t stack_pointer);

/* In a child made by fork. */
void busy_in_child(void);

#endif
