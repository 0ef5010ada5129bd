/* pages.c: see pages.h. */
#include "pages.h"

#include "decode/x86/page.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"

/* With the previous protection of each. */
static struct opened {
    uint64_t page;
    int protection;
} opened[PAGES_MOST];
static unsigned count;

static bool is_open(uint64_t page)
{
    for (unsigned i = count; i-- > 0;)
        if (opened[i].page == page)
            return true;
    return false;
}

static bool page_open(uint64_t page)
{
    struct mapping mapping;
    if (is_open(page))
        return true;
    if (count == PAGES_MOST || !mappings_find(page, &mapping) ||
        platform_protect(page, PAGE, mapping.protection | PLATFORM_WRITE) != 0)
        return false;
    opened[count++] = (struct opened){page, mapping.protection};
    return true;
}

bool pages_open(uint64_t address, size_t size)
{
    uint64_t first = address & -(uint64_t)PAGE, last = (address + size - 1) & -(uint64_t)PAGE;
    return page_open(first) && (last == first || page_open(last));
}

void pages_close(void)
{
    while (count > 0) {
        count--;
        platform_protect(opened[count].page, PAGE, opened[count].protection);
    }
}
