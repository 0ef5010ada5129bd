/* control.h: the control registers that a context saves, and whether the thread has a shadow stack. */
#ifndef SEGUE_CTX_CONTROL_H
#define SEGUE_CTX_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/x86/processor.h"

static inline uint32_t control_mxcsr(void)
{
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    return mxcsr;
}

static inline uint16_t control_x87(void)
{
    uint16_t word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}

/* Whether STMXCSR is slow after an LDMXCSR that has changed the exception flags: measured on an Intel processor
 * (docs/facts.md); AMD's are not slow. */
static inline bool control_flags_are_slow(void)
{
    return !processor_is_amd();
}

static inline bool control_has_shadow_stack(void)
{
    return shadow_stack_in_force();
}

#endif
