/* ask.h: calls hot policies, and records which threads are in one. */
#ifndef SEGUE_SIGNALS_HOT_ASK_H
#define SEGUE_SIGNALS_HOT_ASK_H

#include "signals/hot/slots.h"

/* Makes the bodies' thunks call the policies. Returns SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status ask_prepare(void);

/* Whether the library's handler takes the traps of accesses that are not aligned, from now on. */
void ask_follow_install(bool alignment);

/* Whether it does: then bodies may ask quickly (quick.h). */
bool ask_may_be_quick(void);

/* From now on the calling thread may be asked without a fault. Async-signal-safe. */
void ask_attach(void);

/* The answer to a remover's question: the thread is not in the policy that a handler of the program's has left by
 * siglongjmp. `stack_pointer` is the interrupted one; `on_alternate`: it is on the alternate stack. Async-signal-safe.
 */
void ask_answer(uint64_t stack_pointer, bool on_alternate);

/* The calling thread was suspended, and hot_leave has not moved it. Async-signal-safe. */
void ask_was_suspended(void);

/* The trap of an access that is not aligned, in a policy, because the application has set the alignment check flag: the
 * policy goes on without the flag. False if it is another fault. Async-signal-safe. */
bool ask_take_alignment(void *context);

/* Waits until no thread is in a policy of the slot, which is closed and all threads have serialised since. Not
 * async-signal-safe. */
void ask_wait(const struct hot_slot *slot);

/* In a child made by fork: no other thread is in a policy. */
void ask_in_child(void);

#endif
