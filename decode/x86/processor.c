/* processor.c: whose processor this is.
 *
 * SOURCES: Intel SDM volume 2 and AMD APM volume 3, CPUID leaf 0; Hygon's processors are AMD's design. */
#include "processor.h"

#include <cpuid.h>

/* The first four letters of CPUID's vendor: "Auth", "Hygo". */
#define VENDOR_AMD 0x68747541u
#define VENDOR_HYGON 0x6f677948u

unsigned char processor_answer;

bool processor_ask_amd(void)
{
    unsigned eax, ebx = 0, ecx, edx;
    __cpuid(0, eax, ebx, ecx, edx);
    bool amd = ebx == VENDOR_AMD || ebx == VENDOR_HYGON;
    __atomic_store_n(&processor_answer, amd ? 2 : 1, __ATOMIC_RELAXED);
    return amd;
}
