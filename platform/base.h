/* base.h: the bases of FS and GS.
 *
 * Every function: async-signal-safe, thread-safe; errno stays as it was. They use no thread-local storage, and may be
 * called with any bases in force. `by_instruction`: by the processor's instructions, which platform_bases_have_instructions
 * must have allowed; else by system calls. */
#ifndef SEGUE_PLATFORM_BASE_H
#define SEGUE_PLATFORM_BASE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the system lets programs use RDFSBASE and its like. */
bool platform_bases_have_instructions(void);

/* The bases in force. Precondition, without instructions: FS leads to the C library's thread control block. */
void platform_bases_read(bool by_instruction, uint64_t *fs, uint64_t *gs);

/* Sets both; the system takes no other than canonical ones. */
void platform_bases_write(bool by_instruction, uint64_t fs, uint64_t gs);

#endif
