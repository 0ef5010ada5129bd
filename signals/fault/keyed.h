/* keyed.h: steps where the system uses protection keys (../ctx/state/keys.h). A handler begins with other rights than the
 * thread that it interrupts; the memory that an instruction reaches at its own address is the thread's affair.
 * All are async-signal-safe. */
#ifndef SEGUE_SIGNALS_KEYED_H
#define SEGUE_SIGNALS_KEYED_H

#include <segue/regs.h>

/* The rights that the handler has now, and to put them back after policies, which may have changed them. */
uint32_t keyed_begin(void);
void keyed_end(uint32_t begun);

/* Why a thread with such a state cannot be stepped by a handler that began with those rights; NULL if it can. */
const char *keyed_refusal(const struct segue_xstate *xstate, uint32_t begun);

/* For a step: the rights of the thread, and what policies have opened for themselves. Returns those in force before. */
uint32_t keyed_take_rights(const struct segue_xstate *xstate);
void keyed_give_rights_back(uint32_t before);

/* segue_peek, also into what may be executed only: the system closes such pages by a key. */
size_t keyed_peek(void *to, uint64_t address, size_t size);

#endif
