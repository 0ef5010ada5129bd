/* addresses_i386.c: addresses have 32 bits. */
#if !defined(__linux__) || !defined(__i386__)
#error "addresses_i386.c is specific to Linux on i386"
#endif

#include "decode/x86/canonical.h"

bool canonical_system_has_57(void)
{
    return false;
}
