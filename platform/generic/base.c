/* base.c: platform/threads/base.h for systems and processors on which nothing above asks for the bases. */
#include "platform/threads/base.h"

bool platform_bases_have_instructions(void)
{
    return false;
}

void platform_bases_read(bool by_instruction, uint64_t *fs, uint64_t *gs)
{
    (void)by_instruction;
    *fs = *gs = 0;
}

void platform_bases_write(bool by_instruction, uint64_t fs, uint64_t gs)
{
    (void)by_instruction;
    (void)fs;
    (void)gs;
}
