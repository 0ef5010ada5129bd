/* callers.h: who calls an allocator, by the tables of the program's files (.eh_frame); in the program itself, so that
 * it is known before the block is given out. */
#ifndef SEGUE_TOOLS_WATCH_CALLERS_H
#define SEGUE_TOOLS_WATCH_CALLERS_H

#include "tools/watch/agent/shared.h"

/* Is given the address that a call returns to, once for each frame, from that of the allocator's caller on; until it
 * returns false. */
typedef bool callers_visit(void *context, uint64_t address);

/* `caller`: where the allocator's function returns to. Frames behind it may be missing: in code without tables. */
void callers_walk(uint64_t caller, callers_visit *visit, void *context);

/* Where the call leads that returns to that address; 0 if it is not a call by an address in the code, or through one of
 * a linker's stubs or slots. */
uint64_t callers_target(uint64_t address);

#endif
