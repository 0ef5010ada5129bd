/* compat.h: lets the oracle run an instruction of 32-bit mode: a slot is entered and left by far jumps, in the
 * process's own compatibility code segment. Registers beyond the eighth, and the upper halves of the others, mean
 * nothing there.
 *
 * FS keeps the host's base, which no 32-bit address reaches; so nothing that uses FS can be run. */
#ifndef SEGUE_TESTS_COMPAT_H
#define SEGUE_TESTS_COMPAT_H

/* The selectors of Linux' 32-bit code, 64-bit code and data. */
#define COMPAT_CODE 0x23
#define COMPAT_CODE_64 0x33
#define COMPAT_DATA 0x2b

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

/* Loads the segment registers that 64-bit mode does without. After oracle_prepare, whose slots must lie below 4 GiB.
 * NULL, or why it cannot be done here. */
const char *compat_prepare(void);

/* As oracle_slot_write, for an instruction of 32-bit mode. */
void compat_slot_write(size_t slot, const void *bytes, size_t length);

/* What struct oracle_input is to have for `code`, to run the instruction that stands there. */
uint64_t compat_code(uint64_t address);

#endif
#endif
