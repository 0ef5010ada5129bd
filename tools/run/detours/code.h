/* code.h: the program's code, changed. All are async-signal-safe; signals must be blocked. */
#ifndef SEGUE_RUN_CODE_H
#define SEGUE_RUN_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stores bytes that lie in one page, whatever its protection, which is the same afterwards. Each byte changes at once,
 * in no order. False if it cannot be done. With the lock held, or by one that shares its memory with no other thread.
 */
bool code_write(uint64_t address, const void *bytes, size_t size);

/* Notes code of a file, which nobody writes to, and that what was noted at such addresses is there no more.
 * `is_loaded`: by the host or the program's own loader, and so to be executed; others map code for an emulator to read.
 */
void code_note_file(uint64_t start, uint64_t end, bool is_loaded);
void code_forget(uint64_t start, uint64_t end);

/* Whether the page was noted; and as loaded. */
bool code_is_of_file(uint64_t page);
bool code_is_loaded(uint64_t page);

/* In a child of fork: what the parent has kept leads to the parent's memory. `shares_descriptors`: it is still the
 * parent's to use. */
void code_in_child(bool shares_descriptors);

#endif
