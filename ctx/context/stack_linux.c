/* stack_linux.c: stacks with a guard page. */
#if !defined(__linux__)
#error "stack_linux.c is specific to Linux"
#endif

#include <segue/context.h>
#include <sys/mman.h>
#include <unistd.h>

enum segue_status segue_stack_new(size_t size, struct segue_stack *stack)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!stack || size == 0 || size > SIZE_MAX / 2)
        return SEGUE_INVALID;
    size_t usable = (size + page - 1) / page * page;
    char *mapping =
        mmap(NULL, usable + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED)
        return SEGUE_NO_MEMORY;
    if (mprotect(mapping + page, usable, PROT_READ | PROT_WRITE) != 0) {
        munmap(mapping, usable + page);
        return SEGUE_NO_MEMORY;
    }
    *stack =
        (struct segue_stack){.base = mapping + page, .size = usable, .mapping = mapping, .mapping_size = usable + page};
    return SEGUE_OK;
}

enum segue_status segue_stack_free(struct segue_stack *stack)
{
    if (!stack)
        return SEGUE_INVALID;
    if (stack->mapping)
        munmap(stack->mapping, stack->mapping_size);
    *stack = (struct segue_stack){.base = NULL};
    return SEGUE_OK;
}

/* Reading a page that was never written maps the kernel's page of zeroes: it costs no memory. */
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
