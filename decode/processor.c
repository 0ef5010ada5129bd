/* processor.c: whose processor this is.
 *
 * SOURCES: Intel SDM volume 2 and AMD APM volume 3, CPUID leaf 0; Hygon's processors are AMD's design. */
#include "processor.h"

#include <cpuid.h>
#include <stdint.h>

/* The first four letters of CPUID's vendor: "Auth", "Hygo". */
#define VENDOR_AMD 0x68747541u
#define VENDOR_HYGON 0x6f677948u

bool processor_is_amd(void)
{
    enum { UNKNOWN, NO, YES };
    static uint8_t answer;
    uint8_t known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    unsigned eax, ebx = 0, ecx, edx;
    if (known == UNKNOWN) {
        __cpuid(0, eax, ebx, ecx, edx);
        known = ebx == VENDOR_AMD || ebx == VENDOR_HYGON ? YES : NO;
        __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
    }
    return known == YES;
}
