/* processor.c: whose processor this is.
 *
 * SOURCES: Intel SDM volume 2 and AMD APM volume 3, CPUID leaf 0. */
#include "processor.h"

#include <cpuid.h>
#include <string.h>

unsigned char processor_answer;

bool processor_vendor_is_amd(const char vendor[12])
{
    return memcmp(vendor, "AuthenticAMD", 12) == 0 || memcmp(vendor, "HygonGenuine", 12) == 0;
}

bool processor_ask_amd(void)
{
    unsigned eax, vendor[3] = {0};
    /* The letters are in EBX, EDX, ECX. */
    __cpuid(0, eax, vendor[0], vendor[2], vendor[1]);
    bool amd = processor_vendor_is_amd((const char *)vendor);
    __atomic_store_n(&processor_answer, amd ? 2 : 1, __ATOMIC_RELAXED);
    return amd;
}
