/* mapping.c: memory that is mapped twice, so that the program's view can be protected while the alias stays
 * accessible. */
#include <errno.h>
#include <segue/mapping.h>

#include "adopted.h"
#include "platform/memory/memory.h"
#include "platform/reason.h"

/* For segue_mapping_destroy: there are protected guard pages around the memory, and around the alias. */
#define MEMORY_GUARDED 1u
#define ALIAS_GUARDED 2u

/* Of SEGUE_SYSTEM. */
static const char by_errno[] = "a system call failed; errno says why";

static enum segue_status status_of(long result)
{
    errno = (int)-result;
    switch (errno) {
    case ENOMEM:
        return SEGUE_NO_MEMORY;
    case EEXIST:
        return SEGUE_EXISTS;
    default:
        return SEGUE_SYSTEM;
    }
}

/* With vm.overcommit_memory=2 the system accounts for shared anonymous memory as a whole, in advance, and may refuse
 * it; it accounts for a file page by page. After other errors a file fails, too. */
static long create(uint64_t at, size_t size, struct platform_views *views)
{
    const int access = PLATFORM_READ | PLATFORM_WRITE;
    long first = platform_views_create(at, size, access, PLATFORM_BACKING_ANONYMOUS, views);
    if (first == 0 || first == -EEXIST || platform_views_create(at, size, access, PLATFORM_BACKING_FILE, views) != 0)
        return first;
    return 0;
}

enum segue_status segue_mapping_create(void *at, size_t size, struct segue_mapping *mapping)
{
    size_t page = platform_page_size();
    struct platform_views views;
    if (!mapping || size == 0 || size > SIZE_MAX / 4)
        return reason_give(SEGUE_INVALID, "mapping is NULL, or size is 0 or too large");
    if ((uintptr_t)at % page)
        return reason_give(SEGUE_INVALID, "at is not a multiple of the page size");
    size = (size + page - 1) / page * page;
    long result = create((uint64_t)(uintptr_t)at, size, &views);
    if (result != 0)
        return reason_give(status_of(result), result == -EEXIST ? "something is mapped at the address" : by_errno);
    /* A core dump has the contents from the memory's first view. */
    platform_view_keep_from_dump(views.second, size);
    *mapping = (struct segue_mapping){
        .memory = (void *)(uintptr_t)views.first,
        .alias = (void *)(uintptr_t)views.second,
        .size = size,
        .private_ = ALIAS_GUARDED | (at ? 0 : MEMORY_GUARDED),
    };
    return SEGUE_OK;
}

enum segue_status segue_mapping_destroy(struct segue_mapping *mapping)
{
    if (!mapping)
        return SEGUE_INVALID;
    if (mapping->private_ & MAPPING_ADOPTED)
        return reason_give(SEGUE_INVALID, "the mapping was adopted: release it");
    if (mapping->size) {
        platform_view_unmap((uint64_t)(uintptr_t)mapping->memory, mapping->size, mapping->private_ & MEMORY_GUARDED);
        platform_view_unmap((uint64_t)(uintptr_t)mapping->alias, mapping->size, mapping->private_ & ALIAS_GUARDED);
    }
    *mapping = (struct segue_mapping){0};
    return SEGUE_OK;
}

enum segue_status segue_mapping_protect(const struct segue_mapping *mapping, size_t offset, size_t size,
                                        uint8_t allowed)
{
    _Static_assert(SEGUE_READ == (int)PLATFORM_READ && SEGUE_WRITE == (int)PLATFORM_WRITE &&
                       SEGUE_FETCH == (int)PLATFORM_EXECUTE,
                   "what is allowed is passed on as it is");
    if (!mapping || offset > mapping->size || size > mapping->size - offset)
        return reason_give(SEGUE_INVALID, "mapping is NULL, or the range reaches beyond it");
    if ((offset | size) % platform_page_size())
        return reason_give(SEGUE_INVALID, "offset or size is not a multiple of the page size");
    if (allowed & ~(SEGUE_READ | SEGUE_WRITE | SEGUE_FETCH) || (allowed & SEGUE_WRITE && allowed & SEGUE_FETCH))
        return reason_give(SEGUE_INVALID, "allowed has an unknown bit, or both SEGUE_WRITE and SEGUE_FETCH");
    long result = size ? platform_protect((uint64_t)(uintptr_t)mapping->memory + offset, size, allowed) : 0;
    return result == 0 ? SEGUE_OK : reason_give(status_of(result), by_errno);
}
