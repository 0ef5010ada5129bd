/* restorer.h: the addresses that handlers return to. In assembly. */
#ifndef SEGUE_SIGNALS_RESTORER_H
#define SEGUE_SIGNALS_RESTORER_H

#include "platform/code_range.h"

/* Returns through the kernel, with the byte sequence by which debuggers and unwinders recognise a restorer. */
extern const char restorer_plain[];

/* The same, for handlers that got a frame which differs from the kernel's: restorer_return first reads what the
 * handler has changed in it. */
extern const char restorer_of_relay[];
void restorer_return(void *ucontext);

extern const struct code_range restorer_plain_range, restorer_of_relay_range;

#endif
