/* unwind.c: platform/unwind.h where no code is shown to unwinders. */
#include "platform/unwind.h"

void platform_unwind_prepare(void)
{
}

void platform_unwind_show(uint64_t start, uint64_t size, void *image, uint32_t section, uint32_t description)
{
    (void)start;
    (void)size;
    (void)image;
    (void)section;
    (void)description;
}
