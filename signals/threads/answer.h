/* answer.h: the answer to a remover's question (readers_is_question). */
#ifndef SEGUE_SIGNALS_ANSWER_H
#define SEGUE_SIGNALS_ANSWER_H

/* For the question's handler, with its frame: lets go of what the interrupted thread has left without a return, a fault
 * or a hot policy. Async-signal-safe. */
void answer_remover(const void *context);

#endif
