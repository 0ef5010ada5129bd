/* state.c: how the processor lays out its extended state.
 *
 * CPUID is slow, in a virtual machine above all: it traps. What it tells of the layout never changes, so it is asked
 * once and remembered; whoever asks at the same time stores the same.
 *
 * SOURCES: Intel SDM volume 1, 13.2 (CPUID leaf 0DH), 13.3 (XCR0), volume 2 CPUID and XGETBV. */
#include "state.h"

#include <cpuid.h>

#define XSAVE_LEAF 0x0d
#define FEATURE_XSAVEC 2u
#define FEATURE_XGETBV_1 4u
#define KNOWN 1u

/* Per component: the offset above, then the size (both below 2^31), whether it is aligned, and that it is known. Zero
 * where nobody has asked yet. */
static uint64_t places[STATE_LIMIT];

#define SIZE_SHIFT 2
#define SIZE_BITS 30
#define OFFSET_SHIFT (SIZE_SHIFT + SIZE_BITS)

static uint64_t ask(unsigned component)
{
    unsigned size, offset, features, edx;
    if (__get_cpuid_max(0, NULL) < XSAVE_LEAF)
        return KNOWN;
    __cpuid_count(XSAVE_LEAF, component, size, offset, features, edx);
    return (uint64_t)offset << OFFSET_SHIFT | (uint64_t)size << SIZE_SHIFT | (features & 2) | KNOWN;
}

bool state_find(unsigned component, struct state_component *place)
{
    if (component < STATE_FIRST_EXTENDED || component >= STATE_LIMIT)
        return false;
    uint64_t word = __atomic_load_n(&places[component], __ATOMIC_RELAXED);
    if (!word) {
        word = ask(component);
        __atomic_store_n(&places[component], word, __ATOMIC_RELAXED);
    }
    place->offset = (uint32_t)(word >> OFFSET_SHIFT);
    place->size = (uint32_t)(word >> SIZE_SHIFT) & ((1u << SIZE_BITS) - 1);
    place->aligned = word & 2;
    return place->size != 0;
}

bool state_enabled(uint64_t *components)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    *components = (uint64_t)edx << 32 | eax;
    return true;
}

/* What the processor can do with its state beyond XSAVE and XRSTOR. */
static bool has_feature(unsigned feature)
{
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid_max(0, NULL) < XSAVE_LEAF)
        return false;
    __cpuid_count(XSAVE_LEAF, 1, eax, ebx, ecx, edx);
    return eax & feature;
}

bool state_can_compact(void)
{
    return has_feature(FEATURE_XSAVEC);
}

bool state_tells_use(void)
{
    return has_feature(FEATURE_XGETBV_1);
}
