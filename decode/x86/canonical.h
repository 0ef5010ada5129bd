/* canonical.h: which numbers are addresses. A linear address is canonical if its upper bits all equal the highest bit that
 * is translated: bit 47, or bit 56 with five levels of paging. An access to any other raises a general protection fault (on
 * the stack a stack fault), which reports no address.
 *
 * Linear-address masking (LAM, and AMD's UAI) is not part of the answer. It lets the upper bits of data addresses hold
 * metadata, for a process that has asked the system for it, and the processor removes them before it translates: a page
 * fault reports the address without them. The list of accesses has them still, so such an access never covers the reported
 * address and is refused (SEGUE_MISMATCH); it never applies to instruction pointers.
 *
 * All are async-signal-safe and thread-safe.
 *
 * SOURCES: Intel SDM volume 1, 3.3.7.1 (canonical addresses); Intel's ISA extensions reference, chapter 6 (LAM: metadata is
 * not part of CR2); Linux Documentation/arch/x86/x86_64/5level-paging.rst. */
#ifndef SEGUE_X86_CANONICAL_H
#define SEGUE_X86_CANONICAL_H

#include <stdbool.h>
#include <stdint.h>

#include "page.h"

/* 0 until it has been asked for; then the bits of a linear address that are translated: 48 or 57. */
extern unsigned char canonical_known;

/* Asks the processor, and where that may have five levels of paging the system, once. */
unsigned canonical_ask(void);

/* Implemented by platform/: whether the system gives programs addresses that only five levels of paging translate. */
bool canonical_system_has_57(void);

static inline unsigned canonical_bits(void)
{
    unsigned known = __atomic_load_n(&canonical_known, __ATOMIC_RELAXED);
    return known ? known : canonical_ask();
}

static inline bool canonical_is(uint64_t address)
{
    int64_t upper = (int64_t)address >> (canonical_bits() - 1);
    return upper == 0 || upper == -1;
}

/* Whether it is canonical and in the lower half, which is a program's. */
static inline bool canonical_is_lower(uint64_t address)
{
    return address >> (canonical_bits() - 1) == 0;
}

/* Where a program's addresses end. The last page of the lower half is never given away: a system call at its end would
 * return to an address that is not canonical. */
static inline uint64_t canonical_user_end(void)
{
    return (UINT64_C(1) << (canonical_bits() - 1)) - PAGE;
}

#endif
