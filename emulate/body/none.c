/* none.c: bodies are 64-bit code for a system with signals: there are no thunks, and none is built. */
#include "body.h"

#include <string.h>

body_ask_function *body_ask;
struct body_regions body_regions;

void body_thunks_fill(uint64_t words[BODY_THUNK_COUNT], bool *vectors)
{
    memset(words, 0, BODY_THUNK_COUNT * sizeof *words);
    *vectors = false;
}

bool body_leave_thunk(struct segue_regs *regs)
{
    (void)regs;
    return false;
}
