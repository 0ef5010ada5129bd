/* instrument.h: tells the sanitizers and Valgrind which stack is in use. Their functions are found at load time, where
 * the program has them: no special build of this library is needed. */
#ifndef SEGUE_CTX_INSTRUMENT_H
#define SEGUE_CTX_INSTRUMENT_H

#include <segue/context.h>

/* Whether this process runs under Valgrind. */
bool instrument_is_valgrind(void);

/* Whether any of them wants to know of a switch. */
bool instrument_wanted(void);

/* A stack is used anew: a flow that was dropped half way left its frames' red zones there. */
void instrument_clean(void *stack, size_t size);

/* A context comes into being, with its stack, or ceases to be. */
void instrument_create(struct segue_context *context);
void instrument_destroy(struct segue_context *context);

/* Right before a switch: `from` will be gone on with, or is NULL when this flow ends here. */
void instrument_leave(struct segue_context *from, struct segue_context *to);

/* This flow ends when the handler that calls has returned, whose variables may stand in memory of the sanitizer's. */
void instrument_leave_by_return(struct segue_context *to);

/* Right after a switch, on the new stack. */
void instrument_arrive(struct segue_context *to);

#endif
