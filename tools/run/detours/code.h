/* code.h: the program's code, changed. All are async-signal-safe; signals must be blocked. */
#ifndef SEGUE_RUN_CODE_H
#define SEGUE_RUN_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stores bytes that are in one page, whatever its protection, which is the same afterwards. Each byte changes at once,
 * in no order. False on failure. The caller holds the lock, or its process shares its memory with no other thread. */
bool code_write(uint64_t address, const void *bytes, size_t size);

/* Notes code of a file, to which no program writes; code noted before at such addresses is forgotten. `is_loaded`: the
 * host or the program's own loader mapped it, so the program executes it; others may map code that an emulator
 * reads. */
void code_note_file(uint64_t start, uint64_t end, bool is_loaded);
void code_forget(uint64_t start, uint64_t end);

/* Whether the page was noted at all; and whether as loaded. */
bool code_is_of_file(uint64_t page);
bool code_is_loaded(uint64_t page);

/* In a child of fork: drops the parent's descriptor, which leads to the parent's memory. `shares_descriptors`: the
 * parent still uses it, so it stays open. */
void code_in_child(bool shares_descriptors);

#endif
