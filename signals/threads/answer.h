/* answer.h: the answer to a remover's knock. */
#ifndef SEGUE_SIGNALS_ANSWER_H
#define SEGUE_SIGNALS_ANSWER_H

#include <stddef.h>

/* For the question's handler, with its frame: lets go of what the interrupted thread has left without a return, a fault
 * or a hot policy; and, if there is `room` on the handler's stack, holds the bodies that it may come back to.
 * Async-signal-safe. */
void answer_remover(const void *context, size_t room);

#endif
