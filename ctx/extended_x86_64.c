/* extended_x86_64.c: what the processor says of its extended state.
 *
 * SOURCES: Intel SDM volume 1, 13.2 (CPUID leaf 0DH), 13.6 (which components are in use), volume 2 XGETBV. */
#include "extended.h"

#include <cpuid.h>

#define CPUID_XSAVE 0xd
#define EAX_COMPACTION 2u
#define EAX_XGETBV1 4u
/* No processor has a component of this number: the word is known, and there is nothing. */
#define KNOWN ((uint64_t)1 << 63)

/* XCR0, and EAX of the leaf's second part; CPUID is slow, and asked once. */
static uint64_t enabled;
static uint32_t abilities;

static uint64_t get_register(unsigned number)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(number));
    return low | (uint64_t)high << 32;
}

static uint64_t ask(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return KNOWN;
    if (__get_cpuid_count(CPUID_XSAVE, 1, &a, &b, &c, &d))
        __atomic_store_n(&abilities, a, __ATOMIC_RELAXED);
    return KNOWN | get_register(0);
}

uint64_t extended_enabled(void)
{
    uint64_t known = __atomic_load_n(&enabled, __ATOMIC_ACQUIRE);
    if (!known) {
        known = ask();
        __atomic_store_n(&enabled, known, __ATOMIC_RELEASE);
    }
    return known & ~KNOWN;
}

static bool can(uint32_t ability)
{
    return extended_enabled() && (__atomic_load_n(&abilities, __ATOMIC_RELAXED) & ability);
}

bool extended_can_compact(void)
{
    return can(EAX_COMPACTION);
}

bool extended_exceeds(uint64_t features)
{
    uint64_t others = extended_enabled() & ~features;
    return others && (!can(EAX_XGETBV1) || (get_register(1) & others));
}
