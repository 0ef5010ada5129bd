/* no_copy.c: executable_copy where nothing above needs it. */
#include "platform/memory/executable.h"

#include <stddef.h>

void *executable_copy(const void *code, size_t size, size_t room, size_t data)
{
    (void)code;
    (void)size;
    (void)room;
    (void)data;
    return NULL;
}
