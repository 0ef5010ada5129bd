/* processor.h: whose processor this is, where makers' processors differ. Used inside decode/, by decode/x86/vendors.h, and
 * by the command for the text of an instruction. */
#ifndef SEGUE_DECODE_PROCESSOR_H
#define SEGUE_DECODE_PROCESSOR_H

#include <stdbool.h>

/* 0 until it has been asked; then 1 for no, 2 for yes. */
extern unsigned char processor_answer;

/* Asks CPUID, and remembers the answer. */
bool processor_ask_amd(void);

/* Whether it follows AMD's manual and not Intel's. */
static inline bool processor_is_amd(void)
{
    unsigned char known = __atomic_load_n(&processor_answer, __ATOMIC_RELAXED);
    return known ? known == 2 : processor_ask_amd();
}

#endif
