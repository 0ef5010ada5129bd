/* xsave.c: what CPUID reports about the extended state.
 *
 * SOURCES: Intel SDM volume 1, 13.2 (CPUID leaf 0DH), 13.3 (XCR0), 13.6 (which components are in use), 13.14 (XFD);
 * volume 2, CPUID and XGETBV. */
#include "xsave.h"

#include <stddef.h>
#include <string.h>

#include "decode/x86/compiler/cpuid_leaf.h"

#define LEAF 0x0d
#define ECX_ALIGNED 2u
#define ECX_ON_DEMAND 4u

/* Marks a cached answer. Bit 63 belongs to no component. */
#define KNOWN XSAVE_COMPACTED

uint64_t xsave_places[STATE_LIMIT];

/* XCR0; its components that plain moves can load and store; EAX of leaf 0DH, subleaf 1. */
static uint64_t enabled, movable;
static uint32_t extensions;

_Static_assert(XSAVE_PLACE_ALIGNED == ECX_ALIGNED && XSAVE_PLACE_ON_DEMAND == ECX_ON_DEMAND, "xsave.h");

/* Threads that ask at the same time store the same value. */
uint64_t xsave_ask(unsigned component)
{
    struct cpuid of;
    cpuid_find(LEAF, component, &of);
    uint64_t word = (uint64_t)of.ebx << XSAVE_PLACE_OFFSET_SHIFT | (uint64_t)of.eax << XSAVE_PLACE_SIZE_SHIFT |
                    (of.ecx & (ECX_ALIGNED | ECX_ON_DEMAND)) | XSAVE_PLACE_KNOWN;
    __atomic_store_n(&xsave_places[component], word, __ATOMIC_RELAXED);
    return word;
}

static uint64_t get_register(unsigned number)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(number));
    return low | (uint64_t)high << 32;
}

static uint64_t ask_enabled(void)
{
    struct cpuid of;
    if (!cpuid_find(1, 0, &of) || !(of.ecx & bit_OSXSAVE))
        return 0;
    if (cpuid_find(LEAF, 1, &of))
        __atomic_store_n(&extensions, of.eax, __ATOMIC_RELAXED);
    return get_register(0);
}

uint64_t xsave_enabled(void)
{
    uint64_t known = __atomic_load_n(&enabled, __ATOMIC_ACQUIRE);
    if (!known) {
        known = ask_enabled() | KNOWN;
        __atomic_store_n(&enabled, known, __ATOMIC_RELEASE);
    }
    return known & ~KNOWN;
}

uint64_t xsave_enabled_here(void)
{
    return xsave_enabled() ? get_register(0) : 0;
}

uint64_t xsave_on_demand(void)
{
    uint64_t found = 0;
    struct xsave_component place;
    for (uint64_t left = xsave_enabled(); left; left &= left - 1) {
        unsigned component = (unsigned)__builtin_ctzll(left);
        if (xsave_find(component, &place) && place.is_on_demand)
            found |= STATE_BIT(component);
    }
    return found;
}

uint32_t xsave_extensions(void)
{
    return xsave_enabled() ? __atomic_load_n(&extensions, __ATOMIC_RELAXED) : 0;
}

bool xsave_can_compact(void)
{
    return xsave_extensions() & XSAVE_HAS_XSAVEC;
}

bool xsave_reports_use(void)
{
    return xsave_extensions() & XSAVE_HAS_XGETBV_1;
}

__attribute__((hot)) bool xsave_exceeds(uint64_t components)
{
    uint64_t others = xsave_enabled() & ~components;
    return others && (!xsave_reports_use() || (get_register(1) & others));
}

/* The moves of AVX-512's components are instructions of AVX512F and AVX512BW (KMOVQ); tests/project/sources/facts.sh
 * has an assembler accept them with no other extension. */
static uint64_t ask_movable(void)
{
    struct cpuid of;
    if ((~xsave_enabled() & COMPONENTS_LEGACY_AVX) || !xsave_reports_use())
        return 0;
    bool has_instructions = cpuid_find(7, 0, &of) && (of.ebx & bit_AVX512F) && (of.ebx & bit_AVX512BW);
    return COMPONENTS_LEGACY_AVX |
           (has_instructions && !(~xsave_enabled() & COMPONENTS_AVX512) ? COMPONENTS_AVX512 : 0);
}

uint64_t xsave_movable(void)
{
    uint64_t known = __atomic_load_n(&movable, __ATOMIC_RELAXED);
    if (!known) {
        known = ask_movable() | KNOWN;
        __atomic_store_n(&movable, known, __ATOMIC_RELAXED);
    }
    return known & ~KNOWN;
}

uint32_t xsave_end(uint64_t components)
{
    uint32_t end = XSAVE_HEADER_END;
    struct xsave_component place;
    for (uint64_t left = components & ~COMPONENTS_LEGACY; left; left &= left - 1)
        if (xsave_find((unsigned)__builtin_ctzll(left), &place) && place.offset + place.size > end)
            end = place.offset + place.size;
    return end;
}

void xsave_fill_initial(unsigned char *area, uint64_t in_use)
{
    static const uint16_t x87_control = FCW_INITIAL;
    if (!(in_use & COMPONENT_X87)) {
        memset(area, 0, XSAVE_MXCSR);
        memcpy(area + XSAVE_FCW, &x87_control, sizeof x87_control);
        memset(area + XSAVE_ST, 0, XSAVE_ST_END - XSAVE_ST);
    }
    if (!(in_use & COMPONENT_SSE))
        memset(area + XSAVE_XMM, 0, XSAVE_XMM_END - XSAVE_XMM);
}

/* CPUID reports two sizes of the largest area: EBX for the enabled components, ECX for all that the processor has. */
static uint32_t ask_area_size(bool of_processor)
{
    struct cpuid of;
    if (!xsave_enabled() || !cpuid_find(LEAF, 0, &of))
        return XSAVE_LEGACY_SIZE;
    return of_processor ? of.ecx : of.ebx;
}

uint32_t xsave_area_size(void)
{
    static uint32_t size;
    uint32_t known = __atomic_load_n(&size, __ATOMIC_RELAXED);
    if (!known) {
        known = ask_area_size(false);
        __atomic_store_n(&size, known, __ATOMIC_RELAXED);
    }
    return known;
}

uint32_t xsave_area_size_of_processor(void)
{
    return ask_area_size(true);
}
