/* mapping.c: memory that is mapped twice, so that the program's view can be protected while the alias stays
 * accessible. */
#include <errno.h>
#include <segue/mapping.h>
#include <string.h>

#include "adopted.h"
#include "platform/memory/inherited.h"
#include "platform/memory/memory.h"
#include "platform/reason.h"

/* For segue_mapping_destroy: there are protected guard pages around the memory, and around the alias. */
#define MEMORY_GUARDED 1u
#define ALIAS_GUARDED 2u
/* A child has something else than the same bytes. */
#define INHERITED 8u

#define HUGE_PAGE (UINT64_C(1) << 21)
#define FLAGS                                                                                                          \
    (SEGUE_MAPPING_RESERVE | SEGUE_MAPPING_NEAR | SEGUE_MAPPING_HUGE | SEGUE_MAPPING_DUMP_ALIAS | SEGUE_MAPPING_NO_DUMP)

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
    case ENOTSUP:
        return SEGUE_UNSUPPORTED;
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

/* ---- with options ---- */

static const char *unusable(const struct segue_mapping_options *options, size_t alignment, size_t page)
{
    if (options->size == 0 || options->size > SIZE_MAX / 4)
        return "size is 0 or too large";
    if (options->flags & ~(uint32_t)FLAGS)
        return "flags has an unknown bit";
    if (options->fork > SEGUE_FORK_NONE)
        return "fork is not one of enum segue_fork";
    if (alignment & (alignment - 1) || alignment < page || alignment > SIZE_MAX / 4)
        return "alignment is not a power of two of at least a page";
    if ((uintptr_t)options->at % alignment)
        return "at is not a multiple of the alignment";
    if (options->name && strlen(options->name) >= sizeof((struct inherited *)NULL)->name)
        return "name is longer than 31 bytes";
    for (size_t i = 0; i < sizeof options->reserved / sizeof *options->reserved; i++)
        if (options->reserved[i])
            return "options.reserved is not zero: was the struct initialised?";
    return NULL;
}

static const char *why_not_created(long result, const struct platform_views_order *order)
{
    switch (-result) {
    case EEXIST:
        return "something is mapped at the address";
    case EFBIG:
        return "a copy for children needs a file, and the hard limit on a file's length is lower than the size";
    case ENOTSUP:
        return order->is_near ? "views that are less than 2 GiB apart cannot be had here"
                              : "this system gives no such mapping";
    default:
        return by_errno;
    }
}

/* As segue_mapping_create, anonymous memory first if a file is not needed. */
static long create_as(struct platform_views_order *order, bool needs_file, struct platform_views *views)
{
    order->is_file = needs_file;
    long first = platform_views_create_as(order, views);
    if (first == 0 || needs_file || first != -ENOMEM)
        return first;
    order->is_file = true;
    if (platform_views_create_as(order, views) != 0)
        return first;
    platform_file_close(*order->file);
    return 0;
}

/* What a child has; SEGUE_FORK_SHARE needs nothing. */
static long inherit(const struct segue_mapping_options *options, const struct segue_mapping *mapping, int file)
{
    struct inherited memory = {
        .kind = options->fork == SEGUE_FORK_COPY ? INHERITED_COPY : INHERITED_NOTHING,
        .views = {(uint64_t)(uintptr_t)mapping->memory, (uint64_t)(uintptr_t)mapping->alias},
        .size = mapping->size,
        .file = file,
        .omits_first = options->flags & SEGUE_MAPPING_NO_DUMP,
        .omits_second = !(options->flags & SEGUE_MAPPING_DUMP_ALIAS),
        .wants_huge_pages = options->flags & SEGUE_MAPPING_HUGE,
    };
    const char *name = options->name ? options->name : "segue";
    memcpy(memory.name, name, strlen(name) + 1);
    return inherited_add(&memory);
}

static void keep_from_dump(const struct segue_mapping_options *options, const struct segue_mapping *mapping)
{
    if (options->flags & SEGUE_MAPPING_NO_DUMP)
        platform_view_keep_from_dump((uint64_t)(uintptr_t)mapping->memory, mapping->size);
    if (!(options->flags & SEGUE_MAPPING_DUMP_ALIAS) || (options->flags & SEGUE_MAPPING_NO_DUMP))
        platform_view_keep_from_dump((uint64_t)(uintptr_t)mapping->alias, mapping->size);
}

/* After the views are there; the mapping is destroyed if something cannot be had. */
static enum segue_status finish(const struct segue_mapping_options *options, struct segue_mapping *mapping, int file)
{
    const uint64_t memory = (uint64_t)(uintptr_t)mapping->memory, alias = (uint64_t)(uintptr_t)mapping->alias;
    long result = options->fork == SEGUE_FORK_SHARE ? 0 : inherit(options, mapping, file);
    if (result != 0) {
        segue_mapping_destroy(mapping);
        if (file >= 0)
            platform_file_close(file);
        return reason_give(status_of(result),
                           result == -ENOTSUP ? "this system gives children no such mapping" : by_errno);
    }
    mapping->private_ |= options->fork == SEGUE_FORK_SHARE ? 0 : INHERITED;
    if ((options->flags & SEGUE_MAPPING_HUGE) && (!platform_view_prefer_huge_pages(memory, mapping->size) ||
                                                  !platform_view_prefer_huge_pages(alias, mapping->size))) {
        segue_mapping_destroy(mapping);
        return reason_give(SEGUE_UNSUPPORTED, "the kernel has no huge pages for shared memory (shmem_enabled)");
    }
    if (options->flags & SEGUE_MAPPING_RESERVE)
        result = platform_protect(memory, mapping->size, PLATFORM_NONE);
    if (result == 0 && (options->flags & SEGUE_MAPPING_RESERVE))
        result = platform_protect(alias, mapping->size, PLATFORM_NONE);
    if (result == 0)
        return SEGUE_OK;
    segue_mapping_destroy(mapping);
    return reason_give(status_of(result), by_errno);
}

enum segue_status segue_mapping_create_with(const struct segue_mapping_options *options, struct segue_mapping *mapping)
{
    size_t page = platform_page_size();
    int file = -1;
    if (!options || !mapping)
        return reason_give(SEGUE_INVALID, "options or mapping is NULL");
    size_t alignment = options->alignment ? options->alignment : page;
    if ((options->flags & SEGUE_MAPPING_HUGE) && alignment < HUGE_PAGE)
        alignment = HUGE_PAGE;
    const char *why = unusable(options, alignment, page);
    if (why)
        return reason_give(SEGUE_INVALID, why);
    struct platform_views views;
    struct platform_views_order order = {
        .at = (uint64_t)(uintptr_t)options->at,
        .size = (options->size + page - 1) / page * page,
        .alignment = alignment,
        .is_near = options->flags & SEGUE_MAPPING_NEAR,
        .name = options->name ? options->name : "segue",
        .file = &file,
    };
    const bool needs_file = options->fork == SEGUE_FORK_COPY;
    long result = create_as(&order, needs_file, &views);
    if (result == -EFBIG)
        return reason_give(SEGUE_UNSUPPORTED, why_not_created(result, &order));
    if (result != 0)
        return reason_give(status_of(result), why_not_created(result, &order));
    *mapping = (struct segue_mapping){
        .memory = (void *)(uintptr_t)views.first,
        .alias = (void *)(uintptr_t)views.second,
        .size = (size_t)order.size,
        .private_ = ALIAS_GUARDED | (options->at ? 0 : MEMORY_GUARDED),
    };
    keep_from_dump(options, mapping);
    return finish(options, mapping, needs_file ? file : -1);
}

enum segue_status segue_mapping_destroy(struct segue_mapping *mapping)
{
    if (!mapping)
        return SEGUE_INVALID;
    if (mapping->private_ & MAPPING_ADOPTED)
        return reason_give(SEGUE_INVALID, "the mapping was adopted: release it");
    if (mapping->private_ & INHERITED)
        inherited_remove((uint64_t)(uintptr_t)mapping->memory);
    if (mapping->size) {
        platform_view_unmap((uint64_t)(uintptr_t)mapping->memory, mapping->size, mapping->private_ & MEMORY_GUARDED);
        platform_view_unmap((uint64_t)(uintptr_t)mapping->alias, mapping->size, mapping->private_ & ALIAS_GUARDED);
    }
    *mapping = (struct segue_mapping){0};
    return SEGUE_OK;
}

static const char *not_a_range(const struct segue_mapping *mapping, size_t offset, size_t size)
{
    if (!mapping || offset > mapping->size || size > mapping->size - offset)
        return "mapping is NULL, or the range reaches beyond it";
    return (offset | size) % platform_page_size() ? "offset or size is not a multiple of the page size" : NULL;
}

static long protect_both(const struct segue_mapping *mapping, size_t offset, size_t size, int access)
{
    long result = platform_protect((uint64_t)(uintptr_t)mapping->alias + offset, size, access);
    return result ? result : platform_protect((uint64_t)(uintptr_t)mapping->memory + offset, size, access);
}

enum segue_status segue_mapping_commit(const struct segue_mapping *mapping, size_t offset, size_t size)
{
    const char *why = not_a_range(mapping, offset, size);
    if (why)
        return reason_give(SEGUE_INVALID, why);
    long result = size ? protect_both(mapping, offset, size, PLATFORM_READ | PLATFORM_WRITE) : 0;
    return result == 0 ? SEGUE_OK : reason_give(status_of(result), by_errno);
}

/* Pages are taken back through a view that can be written, also where they were never committed. */
enum segue_status segue_mapping_decommit(const struct segue_mapping *mapping, size_t offset, size_t size)
{
    const char *why = not_a_range(mapping, offset, size);
    if (why)
        return reason_give(SEGUE_INVALID, why);
    if (size == 0)
        return SEGUE_OK;
    const uint64_t alias = (uint64_t)(uintptr_t)mapping->alias + offset;
    long result = platform_protect(alias, size, PLATFORM_READ | PLATFORM_WRITE);
    if (result != 0)
        return reason_give(status_of(result), by_errno);
    if (!platform_view_release(alias, size))
        return reason_give(SEGUE_UNSUPPORTED, "the system does not take pages of shared memory back");
    result = protect_both(mapping, offset, size, PLATFORM_NONE);
    return result == 0 ? SEGUE_OK : reason_give(status_of(result), by_errno);
}

enum segue_status segue_mapping_protect(const struct segue_mapping *mapping, size_t offset, size_t size,
                                        uint8_t allowed)
{
    _Static_assert(SEGUE_READ == (int)PLATFORM_READ && SEGUE_WRITE == (int)PLATFORM_WRITE &&
                       SEGUE_FETCH == (int)PLATFORM_EXECUTE,
                   "what is allowed is passed on as it is");
    const char *why = not_a_range(mapping, offset, size);
    if (why)
        return reason_give(SEGUE_INVALID, why);
    if (allowed & ~(SEGUE_READ | SEGUE_WRITE | SEGUE_FETCH) || (allowed & SEGUE_WRITE && allowed & SEGUE_FETCH))
        return reason_give(SEGUE_INVALID, "allowed has an unknown bit, or both SEGUE_WRITE and SEGUE_FETCH");
    long result = size ? platform_protect((uint64_t)(uintptr_t)mapping->memory + offset, size, allowed) : 0;
    return result == 0 ? SEGUE_OK : reason_give(status_of(result), by_errno);
}
