/* selectors.c: the selectors in force (frame.h). Linux on x86-64 has its own, which stores all of them at once. */
#include "frame.h"

#include <string.h>

void frame_get_selectors(struct segue_regs *regs)
{
    memset(regs->selectors, 0, sizeof regs->selectors);
    __asm__("movw %%es, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_ES]));
    __asm__("movw %%cs, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_CS]));
    __asm__("movw %%ss, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_SS]));
    __asm__("movw %%ds, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_DS]));
    __asm__("movw %%fs, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_FS]));
    __asm__("movw %%gs, %0" : "=r"(regs->selectors[SEGUE_SEGMENT_GS]));
}
