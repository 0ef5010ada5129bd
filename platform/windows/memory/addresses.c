/* addresses.c: see decode/x86/canonical.h. Programs get no address beyond 47 bits here, whatever the processor's
 * paging: an access to one is taken for one that is not canonical, and refused.
 *
 * SOURCES: Microsoft, "Virtual address spaces" (128 TiB for a 64-bit process). */
#if !defined(_WIN32)
#error "platform/windows/memory/addresses.c is specific to Windows"
#endif

#include "decode/x86/canonical.h"

bool canonical_system_has_57(void)
{
    return false;
}
