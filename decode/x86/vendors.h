/* makers.h: the one place that says what an instruction leaves behind when it faults, or whether it faults, where
 * makers' processors differ (docs/facts.md has the evidence for each). Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_MAKERS_H
#define SEGUE_EMULATE_MAKERS_H

#include "processor.h"

/* CALL to what is no address: Intel's processors push first, and what was pushed stays when the branch faults; AMD's
 * fault before. */
static inline bool makers_push_before_target(void)
{
    return !processor_is_amd();
}

/* CMPS and SCAS with a repeat prefix that stop at a fault: Intel's processors give back the flags from before the
 * instruction, AMD's leave those of the last element. */
static inline bool makers_restore_flags_of_repetition(void)
{
    return !processor_is_amd();
}

/* An x87 store that an unmasked exception keeps from storing: Intel's processors do not look at its memory, AMD's fault
 * if it cannot be written. */
static inline bool makers_probe_x87_store(void)
{
    return processor_is_amd();
}

/* FSTP and FBSTP of 80 bits: Intel's processors store eight bytes, which stay when the other two fault; AMD's store all
 * ten or none. */
static inline bool makers_store_x87_in_parts(void)
{
    return !processor_is_amd();
}

/* A store of several elements under a mask, but for MASKMOVQ and MASKMOVDQU, and FLDENV and FNSTENV, that fault on the
 * second page of two: Intel's processors tell the last byte that they access, AMD's the first on that page. */
static inline bool makers_tell_last_byte(void)
{
    return !processor_is_amd();
}

/* A far CALL: AMD's processors push the selector as a whole word, zeros above it. What Intel's push there has not been
 * measured. */
static inline bool makers_widen_pushed_selector(void)
{
    return processor_is_amd();
}

/* A gather in EVEX that stops between lanes: AMD's processors have cleared the destination's register above the vectors'
 * length as soon as a lane is done, in VEX not. */
static inline bool makers_clear_above_stopped_gather(void)
{
    return processor_is_amd();
}

#endif
