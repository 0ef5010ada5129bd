/* exceptions.h: which exceptions a flow is in the middle of: those that it handles, and how many it has thrown that
 * nobody has caught yet. The C++ runtime keeps both in two words of the thread. */
#ifndef SEGUE_CTX_EXCEPTIONS_H
#define SEGUE_CTX_EXCEPTIONS_H

#include <segue/context.h>

/* Whether the program has a C++ runtime. */
bool exceptions_known(void);

/* Right before a switch: a context that has a state of its own gets it, and whoever it takes over from keeps theirs.
 * `from` is NULL when its flow ends here. */
void exceptions_exchange(struct segue_context *from, struct segue_context *to);

#endif
