/* software_bytes.h: the kernel's own words in a signal frame's extended state: in the software bytes of the legacy
 * region, and a last word after the area.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h (_fpx_sw_bytes, FP_XSTATE_MAGIC1 and 2). */
#ifndef SEGUE_PLATFORM_SOFTWARE_BYTES_H
#define SEGUE_PLATFORM_SOFTWARE_BYTES_H

#if !defined(__linux__)
#error "platform/linux/frame/software_bytes.h is specific to Linux"
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "decode/x86/xsave.h"

#define SOFTWARE_MAGIC 0x46505853u
#define SOFTWARE_LAST_MAGIC 0x46505845u
#define SOFTWARE_LAST_SIZE sizeof(uint32_t)

struct software_bytes {
    /* SOFTWARE_MAGIC: the area has XSAVE's format. The size includes the last word. */
    uint32_t magic, extended_size;
    uint64_t features;
    uint32_t xstate_size;
};

/* A copy of the area's software bytes; all zero without an area, or if its format is another. */
static inline struct software_bytes software_bytes_of(const void *area)
{
    struct software_bytes bytes = {0};
    if (area)
        memcpy(&bytes, (const char *)area + XSAVE_SOFTWARE, sizeof bytes);
    return bytes.magic == SOFTWARE_MAGIC ? bytes : (struct software_bytes){0};
}

#endif
