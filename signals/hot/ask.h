/* ask.h: calls hot policies, and records which threads are in one. */
#ifndef SEGUE_SIGNALS_HOT_ASK_H
#define SEGUE_SIGNALS_HOT_ASK_H

#include "slots.h"

/* Makes the bodies' thunks call the policies. Returns SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status ask_prepare(void);

/* From now on the calling thread may be asked without a fault. Async-signal-safe. */
void ask_attach(void);

/* The answer to a remover's question: the thread is not in the policy that a handler of the program's has left by
 * siglongjmp. `stack_pointer` is the interrupted one; `on_alternate`: it is on the alternate stack. Async-signal-safe.
 */
void ask_answer(uint64_t stack_pointer, bool on_alternate);

/* Waits until no thread is in a policy of the slot, which is closed and all threads have serialised since. Not
 * async-signal-safe. */
void ask_wait(const struct hot_slot *slot);

/* In a child made by fork: no other thread is in a policy. */
void ask_in_child(void);

#endif
