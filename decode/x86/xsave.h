/* xsave.h: the layout of the XSAVE area, which holds the processor's extended state, for C and for assembly, and what
 * CPUID reports about it. No other file holds an offset of the area or reads CPUID leaf 0DH
 * (tests/project/sources/facts.sh).
 *
 * SOURCES: Intel SDM volume 1, 10.5.1 (FXSAVE area), 13.4 (XSAVE area), 13.5 (components), 13.2 and 13.3 (CPUID leaf
 * 0DH, XCR0), 13.14 (XFD); 10.2.3 (MXCSR), 8.1.5 (x87 control word). */
#ifndef SEGUE_X86_XSAVE_H
#define SEGUE_X86_XSAVE_H

#include "constant.h"

/* The legacy region, which is all that FXSAVE stores. */
#define XSAVE_FCW 0
#define XSAVE_FSW 2
#define XSAVE_FTW 4
#define XSAVE_FOP 6
#define XSAVE_FIP 8
#define XSAVE_FDP 16
#define XSAVE_MXCSR 24
#define XSAVE_MXCSR_MASK 28
#define XSAVE_ST 32
#define XSAVE_ST_END 160
#define XSAVE_XMM XSAVE_ST_END
#define XSAVE_XMM_SIZE 16
#define XSAVE_XMM_END 416
/* The processor leaves the bytes from here to the end of the legacy region to software; in a signal frame the system
 * keeps its own words there. */
#define XSAVE_SOFTWARE 464
#define XSAVE_LEGACY_SIZE 512

/* The header, after the legacy region. */
#define XSAVE_XSTATE_BV XSAVE_LEGACY_SIZE
#define XSAVE_XCOMP_BV 520
#define XSAVE_HEADER_SIZE 64
#define XSAVE_HEADER_END 576

#define XSAVE_ALIGNMENT 64
/* In XCOMP_BV: the area is in the compacted format. */
#define XSAVE_COMPACTED X86_CONSTANT(0x8000000000000000)

/* Initial values; the bits of MXCSR that exist where MXCSR_MASK is 0. */
#define FCW_INITIAL 0x37f
#define MXCSR_INITIAL 0x1f80
#define MXCSR_MASK_DEFAULT 0xffbf

/* State components by their number in XCR0. */
#define STATE_X87 0
#define STATE_SSE 1
#define STATE_AVX 2
#define STATE_OPMASK 5
#define STATE_ZMM_HI256 6
#define STATE_HI16_ZMM 7
#define STATE_PKRU 9
#define STATE_TILE_CONFIG 17
#define STATE_TILE_DATA 18
/* R16 to R31. */
#define STATE_APX 19
/* Components from this one on follow the header. */
#define STATE_FIRST_EXTENDED STATE_AVX
/* Bit 63 of XCR0 belongs to no component. */
#define STATE_LIMIT 63

/* The same as bits. */
#define STATE_BIT(number) (X86_CONSTANT(1) << (number))
#define COMPONENT_X87 STATE_BIT(STATE_X87)
#define COMPONENT_SSE STATE_BIT(STATE_SSE)
#define COMPONENT_AVX STATE_BIT(STATE_AVX)
#define COMPONENT_OPMASK STATE_BIT(STATE_OPMASK)
#define COMPONENT_ZMM_UPPER STATE_BIT(STATE_ZMM_HI256)
#define COMPONENT_ZMM_HIGH STATE_BIT(STATE_HI16_ZMM)
#define COMPONENT_PKRU STATE_BIT(STATE_PKRU)
#define COMPONENT_TILE_CONFIG STATE_BIT(STATE_TILE_CONFIG)
#define COMPONENT_TILE_DATA STATE_BIT(STATE_TILE_DATA)
#define COMPONENT_APX STATE_BIT(STATE_APX)

/* The components that FXSAVE stores; those of every processor with AVX; those that AVX-512 adds. */
#define COMPONENTS_LEGACY (COMPONENT_X87 | COMPONENT_SSE)
#define COMPONENTS_LEGACY_AVX (COMPONENTS_LEGACY | COMPONENT_AVX)
#define COMPONENTS_AVX512 (COMPONENT_OPMASK | COMPONENT_ZMM_UPPER | COMPONENT_ZMM_HIGH)

#ifndef __ASSEMBLER__

#include <stdbool.h>

/* All that follows is async-signal-safe and thread-safe. CPUID is slow, above all in a virtual machine, which traps it,
 * so each answer is cached. ASSUMPTION: the system does not change XCR0 while the process runs. */

/* The location of a component in the standard format. */
struct xsave_component {
    uint32_t offset;
    uint32_t size;
    /* In the compacted format it begins at a multiple of 64. */
    bool is_aligned;
    /* The system may allocate it for a thread only at the thread's first use (XFD). */
    bool is_on_demand;
};

/* One word for each extended component: the offset in the upper half, then the size (both below 2^29), two bits of ECX,
 * and a bit that says that the answer is known. Zero before xsave_ask has run for the component. */
extern uint64_t xsave_places[STATE_LIMIT];
uint64_t xsave_ask(unsigned component);
#define XSAVE_PLACE_KNOWN UINT64_C(1)
#define XSAVE_PLACE_ALIGNED UINT64_C(2)
#define XSAVE_PLACE_ON_DEMAND UINT64_C(4)
#define XSAVE_PLACE_SIZE_SHIFT 3
#define XSAVE_PLACE_OFFSET_SHIFT 32

/* The location of an extended component. False if this processor does not have it. */
static inline bool xsave_find(unsigned component, struct xsave_component *place)
{
    if (component < STATE_FIRST_EXTENDED || component >= STATE_LIMIT)
        return false;
    uint64_t word = __atomic_load_n(&xsave_places[component], __ATOMIC_RELAXED);
    if (!word)
        word = xsave_ask(component);
    place->offset = (uint32_t)(word >> XSAVE_PLACE_OFFSET_SHIFT);
    place->size = (uint32_t)word >> XSAVE_PLACE_SIZE_SHIFT;
    place->is_aligned = word & XSAVE_PLACE_ALIGNED;
    place->is_on_demand = word & XSAVE_PLACE_ON_DEMAND;
    return place->size != 0;
}

/* The components that the system has enabled: XCR0. 0 without XSAVE. */
uint64_t xsave_enabled(void);

/* The same, read anew, for a system that gives each thread an XCR0 of its own. */
uint64_t xsave_enabled_here(void);

/* The enabled components that the system may allocate for a thread only at the thread's first use: tiles. */
uint64_t xsave_on_demand(void);

/* The XSAVE extensions that the processor supports: EAX of CPUID leaf 0DH, subleaf 1. 0 without XSAVE. */
#define XSAVE_HAS_XSAVEOPT 1u
#define XSAVE_HAS_XSAVEC 2u
#define XSAVE_HAS_XGETBV_1 4u
#define XSAVE_HAS_XSAVES 8u
uint32_t xsave_extensions(void);

/* Whether the processor supports the compacted format: XSAVEC, and XRSTOR from it. */
bool xsave_can_compact(void);

/* Whether the processor reports which components are in use: XGETBV with ECX 1. */
bool xsave_reports_use(void);

/* Whether an enabled component other than `components` may be in use now, on this thread. */
bool xsave_exceeds(uint64_t components);

/* The enabled components that plain moves can load and store (components.h). 0 if the processor does not report their
 * use. */
uint64_t xsave_movable(void);

/* Writes the initial values of x87 and SSE, without MXCSR, into the legacy region for those of the two that are not
 * among `in_use`. x87's control word is not 0. */
void xsave_fill_initial(unsigned char *area, uint64_t in_use);

/* The end of the last of these components in an area of the standard format; at least XSAVE_HEADER_END. */
uint32_t xsave_end(uint64_t components);

/* The size of a standard-format area for all enabled components; of one for all that the processor has.
 * XSAVE_LEGACY_SIZE without XSAVE. */
uint32_t xsave_area_size(void);
uint32_t xsave_area_size_of_processor(void);

#endif
#endif
