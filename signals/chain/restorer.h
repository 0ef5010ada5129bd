/* restorer.h: where handlers return to. Addresses; in assembly. */
#ifndef SEGUE_SIGNALS_RESTORER_H
#define SEGUE_SIGNALS_RESTORER_H

#include "platform/code_range.h"

/* Goes back by way of the kernel, with the bytes that debuggers and unwinders know such a place by. */
extern const char restorer_plain[];

/* The same, for handlers that were shown a frame which differs from the kernel's: restorer_return first sees what
 * became of it. */
extern const char restorer_of_relay[];
void restorer_return(void *ucontext);

extern const struct code_range restorer_plain_range, restorer_of_relay_range;

#endif
