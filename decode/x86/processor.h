/* processor.h: the processor's vendor: the only place that determines it. Used inside decode/, by vendors.h, by ctx/
 * for what an instruction costs, and by the command for the text of an instruction.
 *
 * All are async-signal-safe. */
#ifndef SEGUE_X86_PROCESSOR_H
#define SEGUE_X86_PROCESSOR_H

#include <stdbool.h>
#include <stdint.h>

/* 0 until processor_ask_amd has run; then 1 for no, 2 for yes. */
extern unsigned char processor_answer;

/* Executes CPUID, and stores the answer. */
bool processor_ask_amd(void);

/* Whether a processor of this vendor, by CPUID's twelve letters, follows AMD's manual: AMD's own and Hygon's, which are
 * AMD's design. All others follow Intel's manual: Intel's own and those of Centaur and Zhaoxin, whose documents refer
 * to it. */
bool processor_vendor_is_amd(const char vendor[12]);

/* Whether this processor follows AMD's manual and not Intel's. */
static inline bool processor_is_amd(void)
{
    unsigned char known = __atomic_load_n(&processor_answer, __ATOMIC_RELAXED);
    return known ? known == 2 : processor_ask_amd();
}

/* Whether the system uses protection keys. */
bool processor_uses_keys(void);

/* The thread's rights to pages by their keys, which are in PKRU. Precondition of both: processor_uses_keys. */
static inline uint32_t processor_get_rights(void)
{
    uint32_t rights, zero;
    __asm__ volatile("rdpkru" : "=a"(rights), "=d"(zero) : "c"(0));
    return rights;
}

static inline void processor_set_rights(uint32_t rights)
{
    __asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

/* Whether the calling thread has a shadow stack, which is also active in its handlers. RDSSP does nothing without one;
 * a shadow stack pointer is never 0. */
static inline bool shadow_stack_in_force(void)
{
    uintptr_t pointer = 0;
#if defined(__x86_64__)
    __asm__ volatile("rdsspq %0" : "+r"(pointer));
#else
    __asm__ volatile("rdsspd %0" : "+r"(pointer));
#endif
    return pointer != 0;
}

/* Makes the processor fetch the following instructions again, by CPUID, which a virtual machine intercepts: slow
 * there. */
void processor_serialise(void);

#endif
