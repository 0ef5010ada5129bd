/* segments.h: segment bases in 64-bit mode. FS and GS have a base; that of the others is 0.
 *
 * SOURCES: Intel SDM volume 3, 3.4.4. */
#ifndef SEGUE_DECODE_SEGMENTS_H
#define SEGUE_DECODE_SEGMENTS_H

#include <segue/regs.h>

static inline bool segment_has_base(unsigned segment)
{
    return segment == SEGUE_SEGMENT_FS || segment == SEGUE_SEGMENT_GS;
}

static inline uint64_t segment_base(const struct segue_regs *regs, unsigned segment)
{
    if (segment == SEGUE_SEGMENT_FS)
        return regs->fs_base;
    return segment == SEGUE_SEGMENT_GS ? regs->gs_base : 0;
}

/* The location of the base of FS or GS. */
static inline uint64_t *segment_base_at(struct segue_regs *regs, unsigned segment)
{
    return segment == SEGUE_SEGMENT_FS ? &regs->fs_base : &regs->gs_base;
}

#endif
