/* mapping_linux.c: memory that is mapped twice, so that the program's view can be protected while the other stays open.
 *
 * SOURCES: memfd_create(2), setrlimit(2) RLIMIT_FSIZE, madvise(2) MADV_DONTDUMP. */
#if !defined(__linux__)
#error "mapping_linux.c is specific to Linux"
#endif

#include <errno.h>
#include <segue/mapping.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "views.h"

/* What segue_mapping_destroy has to know: closed addresses stand around the memory, and around the alias. */
#define MEMORY_GUARDED 1u
#define ALIAS_GUARDED 2u

static enum segue_status status_of_errno(void)
{
    switch (errno) {
    case ENOMEM:
        return SEGUE_NO_MEMORY;
    case EEXIST:
        return SEGUE_EXISTS;
    default:
        return SEGUE_SYSTEM;
    }
}

static bool create(void *at, size_t size, int file, struct views *views)
{
    long result = views_create((uint64_t)(uintptr_t)at, size, PROT_READ | PROT_WRITE, file, views);
    if (result == 0)
        return true;
    errno = (int)-result;
    return false;
}

/* A file longer than the process may make would cost it a SIGXFSZ. */
static bool set_length(int file, size_t size)
{
    struct rlimit longest;
    if (getrlimit(RLIMIT_FSIZE, &longest) == 0 && longest.rlim_cur != RLIM_INFINITY && size > longest.rlim_cur) {
        errno = EFBIG;
        return false;
    }
    return ftruncate(file, (off_t)size) == 0;
}

/* A memory file is accounted page by page, where shared anonymous memory may be refused as a whole
 * (vm.overcommit_memory=2); else it can no more. */
static bool create_by_file(void *at, size_t size, struct views *views)
{
    int file = memfd_create("segue", MFD_CLOEXEC);
    if (file < 0)
        return false;
    bool created = set_length(file, size) && create(at, size, file, views);
    int kept = errno;
    close(file);
    errno = kept;
    return created;
}

enum segue_status segue_mapping_create(void *at, size_t size, struct segue_mapping *mapping)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct views views;
    if (!mapping || size == 0 || size > SIZE_MAX / 4 || (uintptr_t)at % page)
        return SEGUE_INVALID;
    size = (size + page - 1) / page * page;
    if (!create(at, size, -1, &views)) {
        int first = errno;
        if (first == EEXIST || !create_by_file(at, size, &views)) {
            errno = first;
            return status_of_errno();
        }
    }
    /* What the memory holds is in a core by the memory itself. */
    views_advise(views.second, size, MADV_DONTDUMP);
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
    if (mapping->size) {
        views_unmap((uint64_t)(uintptr_t)mapping->memory, mapping->size, mapping->private_ & MEMORY_GUARDED);
        views_unmap((uint64_t)(uintptr_t)mapping->alias, mapping->size, mapping->private_ & ALIAS_GUARDED);
    }
    *mapping = (struct segue_mapping){0};
    return SEGUE_OK;
}
