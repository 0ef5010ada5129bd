/* selectors.h: the selectors that 64-bit code of this system runs with. They are a system's choice, and the running thread
 * has them: nothing is written down. A handler has the same as the code that it interrupted, if that was 64-bit code.
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
