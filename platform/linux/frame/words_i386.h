/* words_i386.h: the words of a signal frame on i386 (see words.h), and the image of FSAVE before its XSAVE area. */
#ifndef SEGUE_PLATFORM_FRAME_WORDS_I386_H
#define SEGUE_PLATFORM_FRAME_WORDS_I386_H

#if !defined(__linux__) || !defined(__i386__)
#error "words_i386.h is specific to Linux on i386"
#endif

#include <stdint.h>
#include <ucontext.h>

#include "platform/frame/fsave_i386.h"
#include "platform/linux/abi.h"

#define WORD_INSTRUCTION REG_EIP
#define WORD_STACK_POINTER REG_ESP

static inline uint32_t word_of(const void *context, int which)
{
    return (uint32_t)((const ucontext_t *)context)->uc_mcontext.gregs[which];
}

static inline uint32_t word_fault_address(const void *context)
{
    return (uint32_t)((const ucontext_t *)context)->uc_mcontext.cr2;
}

static inline void word_set_fault_address(void *context, uint64_t address)
{
    ((ucontext_t *)context)->uc_mcontext.cr2 = (unsigned long)address;
}

/* The image of FSAVE, and the kernel's own words. */
struct frame_x87 {
    struct fsave image;
    uint16_t status_again, magic;
};
_Static_assert(sizeof(struct frame_x87) == AREA_LEAD, "the area follows it");
/* The area follows. */
#define FSAVE_HAS_AREA 0

static inline struct frame_x87 *x87_of(const void *context)
{
    return (struct frame_x87 *)((const ucontext_t *)context)->uc_mcontext.fpregs;
}

/* The area of XSAVE or FXSAVE; NULL if the frame has none. */
static inline char *word_area_of(const void *context)
{
    struct frame_x87 *legacy = x87_of(context);
    return legacy && legacy->magic == FSAVE_HAS_AREA ? (char *)(legacy + 1) : NULL;
}

#endif
