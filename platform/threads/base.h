/* base.h: the bases of FS and GS.
 *
 * Every function is async-signal-safe and thread-safe, and preserves errno. They use no thread-local storage, and may
 * be called with any bases in force. `by_instruction`: use the processor's instructions, which
 * platform_bases_have_instructions must have allowed; otherwise system calls. */
#ifndef SEGUE_PLATFORM_BASE_H
#define SEGUE_PLATFORM_BASE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the system lets programs use RDFSBASE and the like. */
bool platform_bases_have_instructions(void);

/* Reads the bases in force. Precondition, without instructions: FS points to the C library's thread control block. */
void platform_bases_read(bool by_instruction, uint64_t *fs, uint64_t *gs);

/* Sets both; the system accepts only canonical ones. */
void platform_bases_write(bool by_instruction, uint64_t fs, uint64_t gs);

/* The calling thread's number as GET_THREAD_ID gives it (platform/asm_calls.h). Not that of platform_thread_id
 * everywhere. */
int platform_base_thread_id(void);

#endif
