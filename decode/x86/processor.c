/* processor.c: the processor's vendor.
 *
 * SOURCES: Intel SDM volume 2 and AMD APM volume 3, CPUID leaves 0 and 7 (OSPKE). */
#include "processor.h"

#include <string.h>

#include "decode/x86/compiler/cpuid_leaf.h"

#define CPUID_EXTENDED_FEATURES 7
#define ECX_OSPKE (1u << 4)

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

bool processor_uses_keys(void)
{
    enum { UNKNOWN, NO, YES };
    static unsigned char answer;
    struct cpuid of;
    unsigned char known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    if (known == UNKNOWN) {
        known = cpuid_find(CPUID_EXTENDED_FEATURES, 0, &of) && (of.ecx & ECX_OSPKE) ? YES : NO;
        __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
    }
    return known == YES;
}

void processor_serialise(void)
{
    unsigned a, b, c, d;
    __cpuid(0, a, b, c, d);
}
