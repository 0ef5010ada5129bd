/* cpuid_leaf.h: one leaf of CPUID, which every processor has that runs this code.
 *
 * Not by __get_cpuid and the like: on i386 they look whether the flag ID can be changed, and clang's leave it changed.
 * In a handler it then is the interrupted thread's, for Linux's sigreturn does not restore that flag.
 *
 * SOURCES: Intel SDM volume 2, CPUID; Linux arch/x86/kernel/signal_32.c (FIX_EFLAGS). */
#ifndef SEGUE_X86_CPUID_LEAF_H
#define SEGUE_X86_CPUID_LEAF_H

#include <cpuid.h>
#include <stdbool.h>

struct cpuid {
    unsigned eax, ebx, ecx, edx;
};

/* False, with zeroes, if the processor has no such leaf. */
static inline bool cpuid_find(unsigned leaf, unsigned subleaf, struct cpuid *found)
{
    struct cpuid most;
    *found = (struct cpuid){0};
    __cpuid(leaf & 0x80000000u, most.eax, most.ebx, most.ecx, most.edx);
    if (most.eax < leaf)
        return false;
    __cpuid_count(leaf, subleaf, found->eax, found->ebx, found->ecx, found->edx);
    return true;
}

#endif
