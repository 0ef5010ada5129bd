/* words_x86_64.h: the words of a signal frame on x86-64 (see words.h). */
#ifndef SEGUE_PLATFORM_FRAME_WORDS_X86_64_H
#define SEGUE_PLATFORM_FRAME_WORDS_X86_64_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "words_x86_64.h is specific to Linux on x86-64"
#endif

#include <stdint.h>
#include <ucontext.h>

#define WORD_INSTRUCTION REG_RIP
#define WORD_STACK_POINTER REG_RSP

static inline uint64_t word_of(const void *context, int which)
{
    return (uint64_t)((const ucontext_t *)context)->uc_mcontext.gregs[which];
}

static inline uint64_t word_fault_address(const void *context)
{
    return word_of(context, REG_CR2);
}

static inline void word_set_fault_address(void *context, uint64_t address)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_CR2] = (greg_t)address;
}

/* The area of XSAVE or FXSAVE; NULL if the frame has none. */
static inline char *word_area_of(const void *context)
{
    return (char *)((const ucontext_t *)context)->uc_mcontext.fpregs;
}

#endif
