/* views_as.c: platform/memory/memory.h where memory with two views is made in one way: anonymous, without a choice of
 * its alignment, without huge pages, and kept until it is unmapped. */
#include <errno.h>

#include "platform/memory/memory.h"

bool platform_view_release(uint64_t pages, uint64_t size)
{
    (void)pages;
    (void)size;
    return false;
}

bool platform_view_prefer_huge_pages(uint64_t view, uint64_t size)
{
    (void)view;
    (void)size;
    return false;
}

/* No file is needed: where processes fork, a copy for the child is refused (inherited.h). */
long platform_views_create_as(const struct platform_views_order *order, struct platform_views *views)
{
    if (order->alignment != platform_page_size())
        return -ENOTSUP;
    long result = platform_views_create(order->at, order->size, PLATFORM_READ | PLATFORM_WRITE,
                                        PLATFORM_BACKING_ANONYMOUS, views);
    uint64_t distance = result == 0 ? views->second - views->first : 0;
    if (!order->is_near || distance + PLATFORM_VIEWS_NEAR <= 2 * PLATFORM_VIEWS_NEAR)
        return result;
    platform_view_unmap(views->first, order->size, !order->at);
    platform_view_unmap(views->second, order->size, true);
    return -ENOTSUP;
}

void platform_file_close(int file)
{
    (void)file;
}
