/* mappings.c: mappings_find where the system does not say what is mapped. */
#include "platform/memory/mappings.h"

bool mappings_find(uint64_t address, struct mapping *mapping)
{
    (void)address;
    (void)mapping;
    return false;
}
