/* state.h: the extended state that a replay runs with. Used inside emulate/replay/ alone. */
#ifndef SEGUE_EMULATE_REPLAY_STATE_H
#define SEGUE_EMULATE_REPLAY_STATE_H

#include "context.h"

/* Asks the processor what the others need to know. Before it has been called they know of no component. */
void state_prepare(void);

/* Bytes of an area that every instruction's state has: the legacy region, and the header where there is one. */
size_t state_fixed_size(void);

/* The flags that only POPFQ loads: all where the processor has no SAHF in 64 bits. */
extern uint64_t state_popfq;
static inline uint64_t state_popfq_flags(void)
{
    return __atomic_load_n(&state_popfq, __ATOMIC_RELAXED);
}

/* Why the components that the instruction needs, which are some, cannot be had; NULL if they can. */
const char *state_refusal(const struct segue_plan *plan, const struct segue_regs *regs,
                          const struct segue_xstate *xstate);

/* Makes the context's part of it ready, for an instruction that needs some. */
void state_load(struct replay *replay);

/* The x87 state names the last instruction and its operand: not the stub and not the place, but what they
 * stand for. For a context with that component. */
void state_restore_x87_pointers(const struct replay *replay);

/* Whether an x87 instruction that stores has stored: it does not where its exception is unmasked, unless it is the one
 * for an inexact result; it completes all the same, and the next one faults. */
bool state_has_stored(const struct replay *replay);

#endif
