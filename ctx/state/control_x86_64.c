/* control_x86_64.c: what changing the control registers costs.
 *
 * SOURCES: Intel SDM volume 2, CPUID leaf 0; measured (docs/facts.md). */
#include "control_x86_64.h"

#include <cpuid.h>

/* The vendor's first four letters: "Genu". */
#define VENDOR_INTEL 0x756e6547u

enum { UNKNOWN, NO, YES };
static unsigned char answer;

bool control_flags_are_dear(void)
{
    unsigned a, b = 0, c, d;
    unsigned char known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    if (known == UNKNOWN) {
        __cpuid(0, a, b, c, d);
        known = b == VENDOR_INTEL ? YES : NO;
        __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
    }
    return known == YES;
}
