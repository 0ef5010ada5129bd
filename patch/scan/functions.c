/* functions.c: see functions.h. */
#include "functions.h"

#include <stdlib.h>

#include "unwind.h"

struct segue_extent *functions_of(const struct platform_module *module, size_t *count)
{
    const struct segue_extent range = {module->start, module->end};
    *count = 0;
    if (!module->unwind)
        return NULL;
    *count = unwind_functions(module->unwind, module->unwind_size, range, NULL, 0);
    struct segue_extent *functions = *count ? malloc(*count * sizeof *functions) : NULL;
    if (functions)
        unwind_functions(module->unwind, module->unwind_size, range, functions, *count);
    return functions;
}

bool functions_segment(const struct platform_module *module, unsigned number, const struct segue_extent *functions,
                       size_t count, struct segue_segment_code *segment)
{
    uint64_t address;
    size_t size, first = 0, held = 0;
    if (!platform_module_code(module, number, &address, &size))
        return false;
    while (first < count && functions[first].start < address)
        first++;
    while (first + held < count && functions[first + held].start - address < size)
        held++;
    *segment = (struct segue_segment_code){.bytes = (const uint8_t *)(uintptr_t)address,
                                           .size = size,
                                           .address = address,
                                           .functions = functions + first,
                                           .function_count = held};
    return true;
}
