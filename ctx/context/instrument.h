/* instrument.h: reports to the sanitizers and Valgrind which stack is in use. Their functions are found at load time
 * in the program: the library needs no special build. */
#ifndef SEGUE_CTX_INSTRUMENT_H
#define SEGUE_CTX_INSTRUMENT_H

#include <segue/context.h>

/* Whether this process runs under Valgrind. */
bool instrument_is_valgrind(void);

/* Whether any of them needs to know of a switch. */
bool instrument_wanted(void);

/* For a stack that is reused: clears the red zones that an unfinished flow's frames left there. */
void instrument_clean(void *stack, size_t size);

/* A context is created, with its stack, or destroyed. */
void instrument_create(struct segue_context *context);
void instrument_destroy(struct segue_context *context);

/* Right before a switch: `from` will be resumed later, or is NULL if this flow ends here. */
void instrument_leave(struct segue_context *from, struct segue_context *to);

/* This flow ends when the calling handler has returned, whose variables may lie in the sanitizer's memory. */
void instrument_leave_by_return(struct segue_context *to);

/* Right after a switch, on the new stack. */
void instrument_arrive(struct segue_context *to);

#endif
