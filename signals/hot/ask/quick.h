/* quick.h: the usual question to a hot policy, in assembly, since it comes with each access. Bodies call it in place of
 * BODY_THUNK_ASK (struct body_request), to which it goes on where a question is not a usual one: the thread has no
 * asker or is in a policy, or the direction flag is set and the policy may mind.
 *
 * Unlike that thunk it does not clear the alignment check flag, since an instruction that reads this flag takes as long
 * as a sixth of the question. If a policy's access traps because of it, the handler of SIGBUS clears it, and it is set
 * again when the policy has returned. So it is used only where the library has that handler.
 *
 * Every function but quick_prepare is async-signal-safe and thread-safe. */
#ifndef SEGUE_SIGNALS_HOT_QUICK_H
#define SEGUE_SIGNALS_HOT_QUICK_H

#include <segue/regs.h>
#include <stdbool.h>

#include "emulate/body/body.h"
#include "leaf.h"

/* Stores what bodies call, for struct body_request, by enum quick_kind. `otherwise`: the address of BODY_THUNK_ASK. */
void quick_prepare(uint64_t otherwise, uint64_t words[QUICK_KINDS][BODY_QUICK_COUNT]);

/* If the calling thread stands in a question, replaces its registers by those of the body that asked, behind the call;
 * except the registers that the body has in slots. False if it does not, or if it counts as one in the policy, or its
 * stack cannot be read. */
bool quick_leave(struct segue_regs *regs);

/* The calling thread has been put back from `rip` so: it is in no policy, whatever it had yet to note. */
void quick_was_left(uint64_t rip);

#endif
