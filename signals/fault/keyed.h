/* keyed.h: steps where the system uses protection keys (../ctx/state/keys.h). A handler starts with PKRU rights that
 * differ from those of the thread that it interrupts; whether an instruction may reach memory at its own address
 * depends on the thread's rights. All functions are async-signal-safe. */
#ifndef SEGUE_SIGNALS_KEYED_H
#define SEGUE_SIGNALS_KEYED_H

#include <segue/regs.h>

/* Returns the handler's present rights; keyed_end restores them after policies, which may have changed them. */
uint32_t keyed_begin(void);
void keyed_end(uint32_t begun);

/* Why a handler that began with those rights cannot step a thread with that state; NULL if it can. */
const char *keyed_refusal(const struct segue_xstate *xstate, uint32_t begun);

/* For a step: sets the thread's rights plus those that policies have opened for themselves. Returns the rights
 * before. */
uint32_t keyed_take_rights(const struct segue_xstate *xstate);
void keyed_give_rights_back(uint32_t before);

/* The same for a system call, by the signal's frame: the kernel, in whose place its pointers are followed, does so with
 * the thread's rights. */
uint32_t keyed_take_rights_of(const void *context);

/* As segue_peek, but also reads execute-only memory, which the system protects by a key. */
size_t keyed_peek(void *to, uint64_t address, size_t size);

#endif
