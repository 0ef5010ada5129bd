/* calls.h: the SYSCALL instructions of code, where one byte of them may be changed. Pure. */
#ifndef SEGUE_PATCH_CALLS_H
#define SEGUE_PATCH_CALLS_H

#include <segue/segment.h>
#include <stdbool.h>

/* Calls `visit` with the address of each SYSCALL, in ascending order: each pair of bytes that is known to be that
 * instruction, since one of the functions, read from its beginning, has it or goes on to it; and no short branch of the
 * functions, nor one with a long displacement anywhere in the code, leads to its second byte. False if there is no
 * memory. Not async-signal-safe; thread-safe. */
bool calls_scan(const struct segue_segment_code *code, void (*visit)(uint64_t address, void *context), void *context);

#endif
