/* rules.h: how a thread that stands in a body is unwound: call frame information that any unwinder of DWARF can use.
 *
 * There is one description for all bodies. A body is a signal frame between the application's function, which it
 * interrupts at the original instruction, and what runs above it: a handler, or a thunk and its policy. The rules are
 * expressions that read the tables of translation: they find the body by the program counter, then its piece, and
 * compute the registers that body_translate computes, without the flags.
 *
 * If there is no body at the program counter, the return address is 0: there the unwinder ends.
 *
 * SOURCES: DWARF 5, 6.4 (call frame information); LSB 5.0 core, 10.6 (.eh_frame); System V ABI for x86-64, 3.6.2
 * (DWARF's numbers of registers), 4.2.4 (.eh_frame). */
#ifndef SEGUE_SIGNALS_HOT_UNWIND_RULES_H
#define SEGUE_SIGNALS_HOT_UNWIND_RULES_H

#include "patch/hot/sites.h"

#define RULES_MOST 12288u

/* Writes an .eh_frame section: the rules (a CIE), a description with them for the `size` bytes from `start` on, and an
 * end. A body's cookie is the address of something of which the table is at `table_at`. Returns its size; 0 if the room
 * is too small. */
uint32_t rules_write(const struct hot_index *index, uint64_t table_at, uint64_t start, uint64_t size, uint8_t *section,
                     uint32_t room);

/* Where the description of a section is; sets its range anew. */
uint32_t rules_description(const uint8_t *section);
void rules_set_range(uint8_t *section, uint64_t start, uint64_t size);

#endif
