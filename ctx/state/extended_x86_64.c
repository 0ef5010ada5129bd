/* extended_x86_64.c: what the processor says of its extended state.
 *
 * SOURCES: Intel SDM volume 1, 13.2 (CPUID leaf 0DH), 13.6 (which components are in use), 13.14 (XFD), volume 2 XGETBV.
 */
#include "extended.h"

#include <cpuid.h>

#define CPUID_XSAVE 0xd
#define EAX_COMPACTION 2u
#define EAX_XGETBV1 4u
/* No processor has a component of this number: the word is known, and there is nothing. */
#define KNOWN ((uint64_t)1 << 63)

#define ECX_ON_DEMAND 4u

/* XCR0, those components that can be had on demand, and EAX of the leaf's second part; CPUID is slow, and asked once.
 */
static uint64_t enabled, on_demand;
static uint32_t abilities;

static uint64_t get_register(unsigned number)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(number));
    return low | (uint64_t)high << 32;
}

static uint64_t find_on_demand(uint64_t components)
{
    uint64_t found = 0;
    for (unsigned i = 2; i < 63; i++) {
        unsigned a, b, c, d;
        if (components >> i & 1 && __get_cpuid_count(CPUID_XSAVE, i, &a, &b, &c, &d) && (c & ECX_ON_DEMAND))
            found |= (uint64_t)1 << i;
    }
    return found;
}

static uint64_t ask(void)
{
    unsigned a, b, c, d;
    uint64_t components;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return KNOWN;
    if (__get_cpuid_count(CPUID_XSAVE, 1, &a, &b, &c, &d))
        __atomic_store_n(&abilities, a, __ATOMIC_RELAXED);
    components = get_register(0);
    __atomic_store_n(&on_demand, find_on_demand(components), __ATOMIC_RELAXED);
    return KNOWN | components;
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

uint64_t extended_on_demand(void)
{
    return extended_enabled() ? __atomic_load_n(&on_demand, __ATOMIC_RELAXED) : 0;
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
