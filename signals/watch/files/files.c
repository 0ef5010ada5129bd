/* files.c: see files.h. */
#include "files.h"

#include <segue/region.h>

#include "platform/memory/memory.h"
#include "signals/watch/index/index.h"

static struct watched_file *followed;
static size_t followed_count;

void files_follow(struct watched_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        files[i].first = mappings_file_at(files[i].path);
        files[i].first_stat = mappings_stat_at(files[i].path);
    }
    /* A thread without the lock may look at what is followed no longer. */
    if (count)
        followed = files;
    __atomic_store_n(&followed_count, count, __ATOMIC_RELEASE);
}

SEGUE_HOT_POLICY bool files_are_followed(void)
{
    return __atomic_load_n(&followed_count, __ATOMIC_ACQUIRE) != 0;
}

/* A file may be made, or another one put in its place, while the program runs. */
static bool is_at(const struct watched_file *file, uint64_t present)
{
    return present && (present == file->first || present == mappings_file_at(file->path));
}

void files_each_of(int descriptor, void (*visit)(const struct watched_file *file, const char *why), const char *why)
{
    const size_t count = __atomic_load_n(&followed_count, __ATOMIC_ACQUIRE);
    const uint64_t present = mappings_stat_of(descriptor);
    for (size_t i = 0; i < count; i++) {
        const struct watched_file *file = &followed[i];
        if (present && (present == file->first_stat || present == mappings_stat_at(file->path)))
            visit(file, why);
    }
}

/* What of a range is in no range of the number. */
static void look_at_gaps(const struct watched_file *file, uint64_t at, uint64_t end, uint64_t offset,
                         files_visit *visit, void *context)
{
    for (uint64_t next; at < end; at = next) {
        uint64_t watched_end = index_watched(file->number, at, end, &next);
        if (next > at)
            visit(context, file, at, next - at, offset);
        offset += watched_end - at;
        next = watched_end;
    }
}

void files_look(const struct mapping *mapping, files_visit *visit, void *context)
{
    for (size_t i = 0; i < followed_count; i++) {
        const struct watched_file *file = &followed[i];
        const uint64_t mapped_end = mapping->offset + (mapping->end - mapping->start);
        const uint64_t wanted_end = file->size ? file->offset + file->size : UINT64_MAX;
        const uint64_t first = mapping->offset > file->offset ? mapping->offset : file->offset;
        const uint64_t last = mapped_end < wanted_end ? mapped_end : wanted_end;
        if (first >= last || !is_at(file, mapping->file))
            continue;
        if (mapping->protection & PLATFORM_EXECUTE) {
            __atomic_fetch_add(&file->found->code, 1, __ATOMIC_RELAXED);
            continue;
        }
        const uint64_t at = mapping->start + (first - mapping->offset);
        look_at_gaps(file, at, at + (last - first), first, visit, context);
    }
}
