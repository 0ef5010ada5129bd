/* pointers.h: threads of a program that has a C library of its own, as one that is linked statically has.
 *
 * The library's thread-local memory is at fixed distances below the thread pointer. Such a program makes its threads'
 * blocks itself, by the template that its program header describes. So it is shown another header, whose template has
 * room for the library's memory below the program's: each thread of the program's then has both, with one thread
 * pointer.
 *
 *      pointer - size      the mark, by which such a block is recognised
 *      pointer - high      the library's: copied where a thread changes its pointer
 *      pointer - low       alignment
 *      pointer - values    the program's
 *      pointer             the program's C library's
 *
 * A thread without the mark must not run, since the library would overwrite what is there: the process ends, with a
 * message. The fork of such a C library runs no handlers of the library's: they run where the call is caught. */
#ifndef SEGUE_SIGNALS_POINTERS_H
#define SEGUE_SIGNALS_POINTERS_H

#include "platform/calls/calls.h"

#define POINTERS_MARK_SIZE 16u

struct block_layout {
    uint64_t size, high, low, values;
    unsigned char mark[POINTERS_MARK_SIZE];
    /* The program's initial values, which it may relocate before it has a thread pointer; and where its C library
     * copies them from. */
    const void *from;
    void *to;
    size_t count;
};

/* Before the program runs. Not async-signal-safe. */
void pointers_use(const struct block_layout *layout);

/* If the call makes a thread or a process, or sets the thread pointer: serves it, or ends the process. False if the
 * call is to be served as any other. Async-signal-safe. */
bool pointers_take(const struct system_call *call);

#endif
