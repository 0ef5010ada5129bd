/* inherited.c: see platform/memory/inherited.h.
 *
 * SOURCES: fork(2); proc(5), maps; madvise(2) MADV_DONTFORK. */
#if !defined(__linux__)
#error "platform/linux/memory/shared/inherited.c is specific to Linux"
#endif

#include "platform/memory/inherited.h"

#include <errno.h>
#include <sys/mman.h>

#include "platform/linux/memory/kept_file.h"
#include "platform/memory/mappings.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/process/once.h"
#include "shared_file.h"

struct record {
    struct inherited memory;
    /* The file as a kept word (kept_file.h). */
    uint64_t file;
    /* While a fork is in progress: the copy's file, or -1. */
    int copy;
    struct record *next;
};

static struct record *records;
static struct fork_lock lock = FORK_LOCK_INITIALIZER;

/* The descriptor, if it is still that of the file: the program may have closed it. */
static int file_of(const struct record *record)
{
    int file = kept_file_of(record->file);
    return kept_file_word(file) == record->file ? file : -1;
}

/* ---- before the fork, and in the parent ---- */

/* -1 if it cannot be made. */
static int make_copy(const struct record *record)
{
    int from = file_of(record);
    long file = from < 0 ? -1 : shared_file_make(record->memory.name, record->memory.size, false);
    if (file < 0)
        return -1;
    int lifted = shared_file_copy(from, (int)file, record->memory.size) ? kept_file_lift((int)file) : -1;
    kept_file_close((int)file);
    return lifted;
}

static void before(void)
{
    int kept = errno;
    fork_lock_before(&lock);
    for (struct record *record = records; record; record = record->next)
        record->copy = record->memory.kind == INHERITED_COPY ? make_copy(record) : -1;
    errno = kept;
}

static void in_parent(void)
{
    for (struct record *record = records; record; record = record->next)
        if (record->copy >= 0)
            kept_file_close(record->copy);
    fork_lock_after(&lock);
}

/* ---- in the child ---- */

/* A process that has more addresses than its limit gets none, not even in place of others. */
static void close_view(uint64_t view, uint64_t size)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    void *at = (void *)(uintptr_t)view;
    if (mmap(at, (size_t)size, PROT_NONE, flags, -1, 0) == MAP_FAILED)
        mprotect(at, (size_t)size, PROT_NONE);
}

/* Maps the copy over each mapping of the parent's file in the view. The kernel continues the list behind the last
 * mapping that it has shown, whatever has changed before. */
static bool replace_view(const struct record *record, uint64_t view, int file)
{
    const uint64_t end = view + record->memory.size, replaced = mappings_file_of(file);
    struct mappings list;
    struct mapping mapping;
    char piece[2048];
    if (!mappings_open(&list, piece, sizeof piece))
        return false;
    bool all = true;
    while (all && mappings_next(&list, &mapping) && mapping.start < end) {
        if (mapping.end <= view || mapping.start < view || mapping.end > end || mapping.file != replaced)
            continue;
        all = mmap((void *)(uintptr_t)mapping.start, (size_t)(mapping.end - mapping.start), mapping.protection,
                   MAP_SHARED | MAP_NORESERVE | MAP_FIXED, record->copy, (off_t)(mapping.start - view)) != MAP_FAILED;
    }
    mappings_close(&list);
    return all;
}

static void take_copy(struct record *record)
{
    struct inherited *memory = &record->memory;
    int file = file_of(record);
    bool is_replaced = record->copy >= 0 && file >= 0 && replace_view(record, memory->views.first, file) &&
                       replace_view(record, memory->views.second, file);
    if (!is_replaced) {
        close_view(memory->views.first, memory->size);
        close_view(memory->views.second, memory->size);
    }
    if (memory->omits_first)
        madvise((void *)(uintptr_t)memory->views.first, (size_t)memory->size, MADV_DONTDUMP);
    if (memory->omits_second)
        madvise((void *)(uintptr_t)memory->views.second, (size_t)memory->size, MADV_DONTDUMP);
    if (memory->wants_huge_pages && is_replaced) {
        platform_view_prefer_huge_pages(memory->views.first, memory->size);
        platform_view_prefer_huge_pages(memory->views.second, memory->size);
    }
    if (file >= 0)
        kept_file_close(file);
    record->file = kept_file_word(record->copy);
}

static void in_child(void)
{
    int kept = errno;
    for (struct record *record = records; record; record = record->next) {
        if (record->memory.kind == INHERITED_COPY) {
            take_copy(record);
        } else {
            /* The kernel has left them out. */
            platform_reserve_at(record->memory.views.first, record->memory.size);
            platform_reserve_at(record->memory.views.second, record->memory.size);
        }
    }
    fork_lock_in_child(&lock);
    errno = kept;
}

/* ---- the records ---- */

static bool watch_forks(void)
{
    static const struct fork_hooks hooks = {before, in_parent, in_child};
    return fork_register(FORK_MAPPINGS, &hooks);
}

static void discard(struct record *record)
{
    platform_unmap(record, platform_page_size());
}

static bool keep_file(struct record *record)
{
    if (record->memory.kind != INHERITED_COPY)
        return true;
    int lifted = kept_file_lift(record->memory.file);
    record->file = kept_file_word(lifted);
    if (!record->file)
        return false;
    kept_file_close(record->memory.file);
    return true;
}

static bool leave_out(const struct inherited *memory)
{
    return madvise((void *)(uintptr_t)memory->views.first, (size_t)memory->size, MADV_DONTFORK) == 0 &&
           madvise((void *)(uintptr_t)memory->views.second, (size_t)memory->size, MADV_DONTFORK) == 0;
}

long inherited_add(const struct inherited *memory)
{
    static struct once forks;
    struct record *record = platform_map(platform_page_size());
    if (!record)
        return -ENOMEM;
    *record = (struct record){.memory = *memory, .copy = -1};
    bool is_ready = once(&forks, watch_forks) && (memory->kind != INHERITED_NOTHING || leave_out(memory));
    if (!is_ready || !keep_file(record)) {
        discard(record);
        return is_ready ? -EMFILE : -ENOMEM;
    }
    fork_lock_take(&lock);
    record->next = records;
    records = record;
    fork_lock_release(&lock);
    return 0;
}

void inherited_remove(uint64_t first)
{
    fork_lock_take(&lock);
    struct record **at = &records;
    while (*at && (*at)->memory.views.first != first)
        at = &(*at)->next;
    struct record *record = *at;
    if (record)
        *at = record->next;
    fork_lock_release(&lock);
    if (!record)
        return;
    int file = record->memory.kind == INHERITED_COPY ? file_of(record) : -1;
    if (file >= 0)
        kept_file_close(file);
    discard(record);
}
