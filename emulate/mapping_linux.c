/* mapping_linux.c: memory that is mapped twice, so that the program's view can be protected while the other stays open.
 *
 * SOURCES: memfd_create(2), mmap(2) MAP_FIXED_NOREPLACE, setrlimit(2) RLIMIT_FSIZE. */
#if !defined(__linux__)
#error "mapping_linux.c is specific to Linux"
#endif

#include <errno.h>
#include <segue/emulate.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

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

/* Both views of the file. On failure nothing stays mapped. */
static enum segue_status map_views(int file, void *at, size_t size, struct segue_mapping *mapping)
{
    int placed = at ? MAP_FIXED_NOREPLACE : 0;
    void *memory = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | placed, file, 0);
    if (memory == MAP_FAILED)
        return status_of_errno();
    if (at && memory != at) {
        /* A kernel before 4.17 takes the address for a mere hint. */
        munmap(memory, size);
        return SEGUE_EXISTS;
    }
    void *alias = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (alias == MAP_FAILED) {
        enum segue_status status = status_of_errno();
        munmap(memory, size);
        return status;
    }
    *mapping = (struct segue_mapping){.memory = memory, .alias = alias, .size = size};
    return SEGUE_OK;
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

enum segue_status segue_mapping_create(void *at, size_t size, struct segue_mapping *mapping)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!mapping || size == 0 || size > SIZE_MAX / 4 || (uintptr_t)at % page)
        return SEGUE_INVALID;
    size = (size + page - 1) / page * page;
    int file = memfd_create("segue", MFD_CLOEXEC);
    if (file < 0)
        return status_of_errno();
    enum segue_status status = set_length(file, size) ? map_views(file, at, size, mapping) : status_of_errno();
    int kept = errno;
    close(file);
    errno = kept;
    return status;
}

enum segue_status segue_mapping_destroy(struct segue_mapping *mapping)
{
    if (!mapping)
        return SEGUE_INVALID;
    if (mapping->size) {
        munmap(mapping->memory, mapping->size);
        munmap(mapping->alias, mapping->size);
    }
    *mapping = (struct segue_mapping){0};
    return SEGUE_OK;
}
