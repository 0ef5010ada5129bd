/* registers.h: the program's registers: in a signal frame, by name; and its thread pointer, which is in the base of
 * GS. */
#ifndef SEGUE_RUN_REGISTERS_H
#define SEGUE_RUN_REGISTERS_H

#include <stdint.h>

#include "platform/linux/calls/trap_x86_64.h"

static inline uint64_t registers_gs_base(void)
{
    uint64_t base;
    __asm__ volatile("rdgsbase %0" : "=r"(base));
    return base;
}

static inline void registers_set_gs_base(uint64_t base)
{
    __asm__ volatile("wrgsbase %0" : : "r"(base));
}

#endif
