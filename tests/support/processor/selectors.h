/* selectors.h: the selectors that the test itself runs with, as the processor has them. */
#ifndef SEGUE_TESTS_SELECTORS_H
#define SEGUE_TESTS_SELECTORS_H

#include <segue/regs.h>
#include <string.h>

/* Indexed by SEGUE_SEGMENT_; the other elements are zero. */
static inline void selectors_read(uint16_t selectors[8])
{
    memset(selectors, 0, 8 * sizeof *selectors);
    __asm__("movw %%es, %0" : "=m"(selectors[SEGUE_SEGMENT_ES]));
    __asm__("movw %%cs, %0" : "=m"(selectors[SEGUE_SEGMENT_CS]));
    __asm__("movw %%ss, %0" : "=m"(selectors[SEGUE_SEGMENT_SS]));
    __asm__("movw %%ds, %0" : "=m"(selectors[SEGUE_SEGMENT_DS]));
    __asm__("movw %%fs, %0" : "=m"(selectors[SEGUE_SEGMENT_FS]));
    __asm__("movw %%gs, %0" : "=m"(selectors[SEGUE_SEGMENT_GS]));
}

#endif
