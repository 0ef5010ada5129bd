/* processor.h: what the processor says of itself.
 *
 * SOURCES: Intel SDM volume 2, CPUID. */
#ifndef SEGUE_TOOLS_PROCESSOR_H
#define SEGUE_TOOLS_PROCESSOR_H

#if !defined(__x86_64__)
#error "processor.h is specific to x86"
#endif

#include <cpuid.h>
#include <stdint.h>

enum processor_register { EAX, EBX, ECX, EDX };

/* One register of a CPUID leaf; 0 for a leaf that the processor does not have. */
static inline uint32_t processor_leaf(uint32_t leaf, uint32_t part, enum processor_register which)
{
    unsigned values[4] = {0};
    if (!__get_cpuid_count(leaf, part, &values[EAX], &values[EBX], &values[ECX], &values[EDX]))
        return 0;
    return values[which];
}

#endif
