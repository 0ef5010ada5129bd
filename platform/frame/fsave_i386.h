/* fsave_i386.h: the image of FSAVE, in which systems for i386 keep the state of x87 beside that of FXSAVE or XSAVE.
 *
 * SOURCES: Intel SDM volume 1, 8.1.10 (the image in protected mode), 8.1.7 (tags). */
#ifndef SEGUE_PLATFORM_FRAME_FSAVE_I386_H
#define SEGUE_PLATFORM_FRAME_FSAVE_I386_H

#if !defined(__i386__)
#error "fsave_i386.h is specific to i386"
#endif

#include <stdint.h>

/* Of the first three words and the last the upper halves are not used. */
struct fsave {
    uint32_t control, status, tags, instruction, code_and_opcode, data, data_segment;
    uint8_t registers[8][10];
};
_Static_assert(sizeof(struct fsave) == 108, "the image has no padding");

/* Brings the image up to date with an area of FXSAVE or XSAVE; the selectors stay as they are. */
void fsave_fill(struct fsave *image, const void *area);

#endif
