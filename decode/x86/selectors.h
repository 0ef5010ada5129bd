/* selectors.h: the segment selectors of 64-bit programs. The system chooses them; the functions read them from the
 * running thread, so no value is written down. A handler has the same selectors as the code that it interrupted, if
 * that was 64-bit code.
 *
 * SOURCES: Intel SDM volume 3, 3.4.2 (selectors). */
#ifndef SEGUE_X86_SELECTORS_H
#define SEGUE_X86_SELECTORS_H

#include <stdint.h>

static inline uint16_t selectors_code(void)
{
    uint16_t selector;
    __asm__("movw %%cs, %0" : "=r"(selector));
    return selector;
}

static inline uint16_t selectors_stack(void)
{
    uint16_t selector;
    __asm__("movw %%ss, %0" : "=r"(selector));
    return selector;
}

#endif
