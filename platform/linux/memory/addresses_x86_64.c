/* addresses_x86_64.c: whether Linux gives a program addresses above 47 bits.
 *
 * Without a hint it gives none, so that programs may keep other data in the upper bits of a pointer; with a hint above
 * 47 bits it gives one there if five levels of paging are in use, and a lower one if not. A hint replaces no mapping.
 *
 * SOURCES: Linux Documentation/arch/x86/x86_64/5level-paging.rst; mmap(2). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "addresses_x86_64.c is specific to Linux on x86-64"
#endif

#include <sys/mman.h>

#include "decode/x86/canonical.h"
#include "platform/linux/call_x86_64.h"

#define HINT (1L << 55)
#define FOUR_LEVELS_END (1L << 47)

bool canonical_system_has_57(void)
{
    long mapped = system_call6(CALL_MAP, HINT, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped < 0)
        return false;
    system_call3(SYS_munmap, mapped, PAGE, 0);
    return mapped >= FOUR_LEVELS_END;
}
