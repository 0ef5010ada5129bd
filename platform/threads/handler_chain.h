/* handler_chain.h: the handlers of exceptions that a thread has on its stack, as a chain of records. On Windows for
 * i386 the thread's block leads to the innermost; the outermost is the system's, and ends the chain. The system takes a
 * chain that does not end with that handler, or leaves the stack's bounds, for damaged (SEHOP), and ends the process.
 * So a new stack begins with a record that has the same handler.
 *
 * SOURCES: Microsoft, "Preventing the Exploitation of Structured Exception Handler (SEH) Overwrites with SEHOP"; boost
 * context, src/asm/make_i386_ms_pe_masm.asm (the same for its stacks). */
#ifndef SEGUE_PLATFORM_HANDLER_CHAIN_H
#define SEGUE_PLATFORM_HANDLER_CHAIN_H

#include <stdint.h>

/* A record: the next outer one, and its handler. */
struct handler_record {
    uintptr_t next, handler;
};

/* Fills in the record that a new stack begins with, and returns what leads to it in the thread's block; 0 where a
 * system has no such chain. */
static inline uintptr_t handler_chain_begin(struct handler_record *first)
{
#if defined(_WIN32) && defined(__i386__)
    const struct handler_record *record;
    __asm__ volatile("movl %%fs:0, %0" : "=r"(record));
    *first = (struct handler_record){UINTPTR_MAX, 0};
    if ((uintptr_t)record == UINTPTR_MAX)
        return UINTPTR_MAX;
    while (record->next != UINTPTR_MAX)
        record = (const struct handler_record *)record->next;
    first->handler = record->handler;
    return (uintptr_t)first;
#else
    *first = (struct handler_record){0, 0};
    return 0;
#endif
}

#endif
