/* stack.c: stacks with a guard page. */
#include <segue/context.h>

#include "platform/memory/memory.h"
#include "platform/reason.h"

enum segue_status segue_stack_new(size_t size, struct segue_stack *stack)
{
    size_t page = platform_page_size();
    if (!stack || size == 0 || size > SIZE_MAX / 2)
        return reason_give(SEGUE_INVALID, "stack is NULL, or size is 0 or too large");
    size_t usable = (size + page - 1) / page * page;
    char *mapping = platform_map_stack(usable + page, page);
    if (!mapping)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    *stack =
        (struct segue_stack){.base = mapping + page, .size = usable, .mapping = mapping, .mapping_size = usable + page};
    return SEGUE_OK;
}

enum segue_status segue_stack_free(struct segue_stack *stack)
{
    if (!stack)
        return SEGUE_INVALID;
    if (stack->mapping)
        platform_unmap(stack->mapping, stack->mapping_size);
    *stack = (struct segue_stack){.base = NULL};
    return SEGUE_OK;
}

/* Reading a page that was never written maps the kernel's zero page: it costs no memory. */
__attribute__((no_sanitize_address)) size_t segue_stack_high_water(const struct segue_stack *stack)
{
    if (!stack || !stack->base)
        return 0;
    const volatile uint64_t *words = stack->base;
    size_t count = stack->size / sizeof *words, first = 0;
    while (first < count && words[first] == 0)
        first++;
    return (count - first) * sizeof *words;
}
