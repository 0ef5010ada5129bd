/* unwinder.h: one unwinder, and what it finds behind the frame of a body. */
#ifndef SEGUE_TESTS_UNWINDER_H
#define SEGUE_TESTS_UNWINDER_H

#include <segue/regs.h>
#include <stdbool.h>

/* Whether it looks up an interrupted frame by its instruction; else by what is before it, which is another row of the
 * frame's description at many places. */
extern const bool unwinder_is_exact;

/* Makes an .eh_frame section known, whose only description is of that range. */
void unwinder_begin(const uint8_t *section, uint32_t size, uint64_t start, uint64_t length);

/* Unwinds from the caller to the first frame in that range of code, and one further, and stores the registers of that
 * one, without the flags. False if there is no such frame. */
bool unwinder_find(uint64_t start, uint64_t size, struct segue_regs *regs);

#endif
