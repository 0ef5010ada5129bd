/* vendors.h: the only place that says how AMD and Intel processors differ in what an instruction leaves behind when it
 * faults, or in whether it faults (docs/facts.md has the evidence for each). Used inside emulate/ only. */
#ifndef SEGUE_X86_VENDORS_H
#define SEGUE_X86_VENDORS_H

#include "processor.h"

/* CALL to a non-canonical address: Intel processors push first, and the pushed word stays when the branch faults; AMD
 * processors fault before the push. */
static inline bool vendors_push_before_target(void)
{
    return !processor_is_amd();
}

/* REP CMPS and REP SCAS that stop at a fault: Intel processors restore the flags from before the instruction; AMD
 * processors leave those of the last element. */
static inline bool vendors_restore_flags_of_repetition(void)
{
    return !processor_is_amd();
}

/* An x87 store that an unmasked exception prevents: Intel processors do not access its memory; AMD processors fault if
 * it cannot be written. */
static inline bool vendors_probe_x87_store(void)
{
    return processor_is_amd();
}

/* FSTP and FBSTP of 80 bits: Intel processors store eight bytes first, which stay if the other two fault; AMD
 * processors store all ten or none. */
static inline bool vendors_store_x87_in_parts(void)
{
    return !processor_is_amd();
}

/* Masked stores of several elements, except MASKMOVQ and MASKMOVDQU, and FLDENV and FNSTENV, which fault on the second
 * of two pages: Intel processors report the last byte that they access, AMD processors the first one on that page. */
static inline bool vendors_report_last_byte(void)
{
    return !processor_is_amd();
}

/* Far CALL: AMD processors push the selector as a whole word, zero-extended. What Intel processors push there has not
 * been measured. */
static inline bool vendors_widen_pushed_selector(void)
{
    return processor_is_amd();
}

/* An EVEX gather that stops between lanes: AMD processors have cleared the destination above the vector length as soon
 * as one lane is done. VEX gathers do not. */
static inline bool vendors_clear_above_stopped_gather(void)
{
    return processor_is_amd();
}

#endif
