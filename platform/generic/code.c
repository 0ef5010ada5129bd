/* code.c: platform/code.h, memory/mappings.h and memory/replaced.h where no code is changed and no module is looked
 * at. */
#include "platform/code.h"

#include "platform/memory/mappings.h"
#include "platform/memory/replaced.h"

bool platform_serialise_prepare(void)
{
    return false;
}

bool platform_serialise(void)
{
    return false;
}

bool platform_modules_visit(bool (*visit)(const struct platform_module *module, void *context), void *context)
{
    (void)visit;
    (void)context;
    return true;
}

bool platform_module_code(const struct platform_module *module, unsigned number, uint64_t *address, size_t *size)
{
    (void)module;
    (void)number;
    (void)address;
    (void)size;
    return false;
}

struct platform_symbol platform_symbol_at(const void *address)
{
    (void)address;
    return (struct platform_symbol){NULL, NULL};
}

void *platform_symbol_find(const char *name)
{
    (void)name;
    return NULL;
}

/* ---- the list of mappings is not shown ---- */

bool mappings_open(struct mappings *mappings, char *piece, size_t size)
{
    (void)mappings;
    (void)piece;
    (void)size;
    return false;
}

void mappings_close(struct mappings *mappings)
{
    (void)mappings;
}

bool mappings_next(struct mappings *mappings, struct mapping *mapping)
{
    (void)mappings;
    (void)mapping;
    return false;
}

void mappings_keep_open(void)
{
}

bool code_pages_replace(uint64_t address, uint64_t size, const void *bytes)
{
    (void)address;
    (void)size;
    (void)bytes;
    return false;
}
