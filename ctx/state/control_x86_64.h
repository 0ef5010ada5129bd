/* control_x86_64.h: the control registers that a context saves, and whether the thread has a shadow stack. */
#ifndef SEGUE_CTX_CONTROL_H
#define SEGUE_CTX_CONTROL_H

#if !defined(__x86_64__)
#error "control_x86_64.h is specific to x86-64"
#endif

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

/* RDSSPQ does nothing without a shadow stack; a shadow stack pointer is never 0. */
static inline bool control_has_shadow_stack(void)
{
    uint64_t pointer = 0;
    __asm__ volatile("rdsspq %0" : "+r"(pointer));
    return pointer != 0;
}

#endif
