/* state.h: the extended state that a replay runs with. Used inside emulate/replay/ only. */
#ifndef SEGUE_EMULATE_REPLAY_STATE_H
#define SEGUE_EMULATE_REPLAY_STATE_H

#include "context.h"

/* Asks the processor for what the other functions need. Before it has run, no component is known. */
void state_prepare(void);

/* The bytes of an area that every instruction's state has: the legacy region, and the header if there is one. */
size_t state_fixed_size(void);

/* The flags that only POPFQ loads: all flags if the processor has no SAHF in 64-bit mode. */
extern uint64_t state_popfq;
static inline uint64_t state_popfq_flags(void)
{
    return __atomic_load_n(&state_popfq, __ATOMIC_RELAXED);
}

/* The refusal if the components that the instruction needs are not available; NULL if they are. For an instruction that
 * needs some. */
const char *state_refusal(const struct segue_plan *plan, const struct segue_regs *regs,
                          const struct segue_xstate *xstate);

/* Prepares the context's state, for an instruction that needs some. */
void state_load(struct replay *replay);

/* The x87 state holds the addresses of the last instruction and of its operand. Replaces those of the stub and of the
 * relocated operand by the program's. For a context with that component. */
void state_restore_x87_pointers(const struct replay *replay);

/* Whether an x87 store has stored. With an unmasked exception other than the one for an inexact result it does not
 * store; it completes nevertheless, and the next x87 instruction faults. */
bool state_has_stored(const struct replay *replay);

#endif
