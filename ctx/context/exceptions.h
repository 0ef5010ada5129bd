/* exceptions.h: the C++ exceptions that a flow is handling, and the number that it has thrown and not yet caught. The
 * C++ runtime keeps both in two words of the thread. */
#ifndef SEGUE_CTX_EXCEPTIONS_H
#define SEGUE_CTX_EXCEPTIONS_H

#include <segue/context.h>

/* Whether the program has a C++ runtime. */
bool exceptions_known(void);

/* Right before a switch: a context with a state of its own gets it; the context that it takes over from keeps its
 * state. `from` is NULL if its flow ends here. */
void exceptions_exchange(struct segue_context *from, struct segue_context *to);

#endif
