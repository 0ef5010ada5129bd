/* addresses.c: see decode/x86/canonical.h. Where programs get no address beyond 47 bits, whatever the processor's
 * paging: an access to one is taken for one that is not canonical, and refused.
 *
 * SOURCES: Microsoft, "Virtual address spaces" (128 TiB for a 64-bit process); XNU osfmk/mach/i386/vm_param.h
 * (MACH_VM_MAX_ADDRESS). */
#include "decode/x86/canonical.h"

bool canonical_system_has_57(void)
{
    return false;
}
