/* canonical.h: canonical addresses. A linear address is canonical if its upper bits all equal the highest translated
 * bit: bit 47, or bit 56 with five levels of paging. An access to any other address raises a general protection fault
 * (#SS for a stack access), which reports no address.
 *
 * Linear-address masking (Intel's LAM, AMD's UAI) is not considered. A process may ask the system for it; the upper
 * bits of data addresses may then hold metadata, which the processor removes before translation. A page fault reports
 * the address without metadata, while the access list has it. So such an access never covers the reported address and
 * is refused (SEGUE_MISMATCH). LAM never applies to instruction pointers.
 *
 * All are async-signal-safe and thread-safe.
 *
 * SOURCES: Intel SDM volume 1, 3.3.7.1 (canonical addresses); Intel's ISA extensions reference, chapter 6 (LAM:
 * metadata is not part of CR2); Linux Documentation/arch/x86/x86_64/5level-paging.rst. */
#ifndef SEGUE_X86_CANONICAL_H
#define SEGUE_X86_CANONICAL_H

#include <stdbool.h>
#include <stdint.h>

#include "page.h"

/* The number of translated bits, 48 or 57, or 33 in a 32-bit process; 0 until canonical_ask has run. */
extern unsigned char canonical_known;

/* Asks the processor once; if it supports five levels of paging, asks the system too. */
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

/* Whether the address is canonical and in the lower half, which belongs to programs. */
static inline bool canonical_is_lower(uint64_t address)
{
    return address >> (canonical_bits() - 1) == 0;
}

/* The end of a program's addresses. The system never maps the last page of the lower half: a system call at its end
 * would return to a non-canonical address. */
static inline uint64_t canonical_user_end(void)
{
    return (UINT64_C(1) << (canonical_bits() - 1)) - PAGE;
}

#endif
