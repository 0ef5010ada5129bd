/* text.h: which code may be changed, and what it was before it was changed.
 *
 * One caller at a time, except for the functions of hot_. Async-signal-safe, except text_prepare. */
#ifndef SEGUE_PATCH_HOT_TEXT_H
#define SEGUE_PATCH_HOT_TEXT_H

#include <segue/status.h>

#include "patch/poke/change.h"

/* INT3. */
#define TEXT_BREAKPOINT 0xcc

/* Finds the library's own code, if it is in a module of its own. Not async-signal-safe. */
void text_prepare(void);

/* Begins a batch: what the system maps where is asked anew, and code is read anew; by `peek`, which may be NULL
 * (request.h). */
void text_begin(poke_peek *peek);

/* Whether the `size` bytes from `address` on may be changed: NULL, or the reason why not. `any` allows code that is not
 * a file's, and code that may be written. */
const char *text_refusal(uint64_t address, unsigned size, bool any);

/* Copies code as it was when the batch first read that piece of it: as it is, or as the program wrote it, with this
 * module's changes taken out. Returns how many of the bytes can be read, from the first on. */
size_t text_peek(uint64_t address, uint8_t *bytes, size_t size);
size_t text_read_code(uint64_t address, uint8_t *bytes, size_t size);

/* Takes this module's changes out of code that text_peek has read from `address` on. */
void text_see_through(uint64_t address, uint8_t *bytes, size_t size);

/* The number of changes of code that have begun or ended: odd while code is being changed. Bytes that were read may be
 * those of no moment if it is another one afterwards. Async-signal-safe, lock-free. */
uint64_t hot_changes(void);

/* For who changes code: before and after each batch. */
void text_changes(void);

/* Copies code as the program wrote it, with this module's changes taken out. Returns how many of the bytes can be
 * read, from the first on. Async-signal-safe, thread-safe. */
size_t hot_read_code(uint64_t address, uint8_t *bytes, size_t size);

/* Takes this module's changes out of one instruction, whose code was read at its own address. Async-signal-safe,
 * thread-safe. */
void hot_see_through_site(uint64_t address, uint8_t *bytes, size_t size);

#endif
