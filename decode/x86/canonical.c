/* canonical.c: how many bits of a linear address the processor translates.
 *
 * CPUID reports whether the processor supports five levels of paging. Whether they are enabled is in CR4, which no
 * program can read.
 *
 * SOURCES: Intel SDM volume 2, CPUID leaf 7 (LA57). */
#include "canonical.h"

#include "decode/x86/compiler/cpuid_leaf.h"

#define CPUID_EXTENDED_FEATURES 7
#define ECX_LA57 (1u << 16)
#define BITS_4_LEVELS 48
#define BITS_5_LEVELS 57
/* In 32-bit code each address counts as one of the lower half. */
#define BITS_32 33

unsigned char canonical_known;

unsigned canonical_ask(void)
{
    struct cpuid of;
    bool may = cpuid_find(CPUID_EXTENDED_FEATURES, 0, &of) && (of.ecx & ECX_LA57);
    bool is_32 = sizeof(void *) == 4;
    unsigned char bits = is_32 ? BITS_32 : may && canonical_system_has_57() ? BITS_5_LEVELS : BITS_4_LEVELS;
    __atomic_store_n(&canonical_known, bits, __ATOMIC_RELAXED);
    return bits;
}
