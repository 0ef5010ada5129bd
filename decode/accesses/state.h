/* state.h: how the processor lays out its extended state. Used inside decode/ alone. */
#ifndef SEGUE_DECODE_STATE_H
#define SEGUE_DECODE_STATE_H

#include <segue/decode.h>

/* State components by their number in XCR0. */
enum state_number {
    STATE_X87,
    STATE_SSE,
    STATE_AVX,
    STATE_FIRST_EXTENDED = STATE_AVX,
    STATE_OPMASK = 5,
    STATE_ZMM_HI256,
    STATE_HI16_ZMM,
    /* Above these are components that the XSAVE instructions of a program cannot save. */
    STATE_LIMIT = 32,
};

/* A component's bit in XCR0. */
#define STATE_BIT(number) ((uint8_t)(1u << (number)))

/* Where a component stands in the standard format. */
struct state_component {
    uint32_t offset;
    uint32_t size;
    /* In the compacted format it begins at a multiple of 64. */
    bool aligned;
};

/* The place of an extended component. False where this processor does not have it. */
bool state_find(unsigned component, struct state_component *place);

/* The components that the operating system has enabled: XCR0. False where XSAVE cannot be used. */
bool state_enabled(uint64_t *components);

/* Whether this processor knows the compacted format. */
bool state_can_compact(void);

/* Whether it tells which components are not in their initial state: XGETBV with ECX 1. */
bool state_tells_use(void);

#endif
