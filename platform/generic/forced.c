/* forced.c: platform/memory/forced.h where no memory is reached past its protection. */
#include "platform/memory/forced.h"

enum segue_status forced_prepare(void)
{
    return SEGUE_UNSUPPORTED;
}

const char *forced_refusal(void)
{
    return "this system lets no process write past its own protection";
}

bool forced_ready(void)
{
    return false;
}

bool forced_read(uint64_t address, void *bytes, size_t size)
{
    (void)address;
    (void)bytes;
    (void)size;
    return false;
}

bool forced_write(uint64_t address, const void *bytes, size_t size)
{
    (void)address;
    (void)bytes;
    (void)size;
    return false;
}

size_t forced_write_parts(const struct forced_part *parts, size_t count)
{
    (void)parts;
    (void)count;
    return 0;
}

void forced_hold(void)
{
}

void forced_let_go(void)
{
}

void forced_in_child(void)
{
}

void forced_leave_parent(void)
{
}
