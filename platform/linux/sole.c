/* sole.c: see sole.h. The first copy maps a page where no one else does, and leaves its name there.
 *
 * ASSUMPTIONS: nothing is placed at that address by chance: it is far above programs that are linked to a fixed address
 * and what sanitizers map, and far below programs with random addresses, libraries and stacks. If something is, no copy
 * knows of the others. */
#if !defined(__linux__)
#error "platform/linux/sole.c is specific to Linux"
#endif

#include "platform/process/sole.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "decode/x86/page.h"
#include "platform/memory/memory.h"
#include "platform/threads/wait.h"

#define PLACE UINT64_C(0x20005e900000)
#define TRIES 10u

static const char text[16] = "segue hot sites";
/* Its address is this copy's name. */
static const char self;

struct claim {
    const char *owner;
    char text[sizeof text];
};

static void write_claim(void)
{
    struct claim *claim = (struct claim *)(uintptr_t)PLACE;
    if (platform_protect(PLACE, PAGE, PLATFORM_READ | PLATFORM_WRITE) != 0)
        return;
    claim->owner = &self;
    memcpy(claim->text, text, sizeof text);
    platform_protect(PLACE, PAGE, PLATFORM_READ);
}

bool sole_claim(void)
{
    struct claim claim;
    long reserved = platform_reserve_at(PLACE, PAGE);
    if (reserved == 0)
        write_claim();
    if (reserved != -EEXIST)
        return true;
    /* The other copy may be about to write. */
    for (unsigned i = 0; i < TRIES; i++, wait_a_moment())
        if (platform_look_at(PLACE, &claim, sizeof claim) == PLATFORM_THERE &&
            memcmp(claim.text, text, sizeof text) == 0)
            return claim.owner == &self;
    return true;
}
