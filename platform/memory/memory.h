/* memory.h: this process's memory: mapped, reserved, protected, mapped twice.
 *
 * Preconditions: addresses and sizes are multiples of platform_page_size() unless a function says otherwise; sizes are
 * greater than 0. Postconditions: a new mapping is zeroed, private to this process unless the function says shared, and
 * takes memory only where it is touched; a function that fails changes nothing. Every function is thread-safe; only
 * those that say so are async-signal-safe. */
#ifndef SEGUE_PLATFORM_MEMORY_H
#define SEGUE_PLATFORM_MEMORY_H

#include <segue/status.h>

/* The unit of protection. */
size_t platform_page_size(void);

/* The accesses that a page allows; a bit set. No page ever allows both writing and executing. */
enum platform_access {
    PLATFORM_NONE = 0,
    PLATFORM_READ = 1,
    PLATFORM_WRITE = 2,
    PLATFORM_EXECUTE = 4,
};

/* ---- one mapping ---- */

/* Maps memory that can be read and written, or only reserves it; NULL if the system has none. */
void *platform_map(size_t size);
void *platform_reserve(size_t size);

/* As platform_map, far from the addresses that jumps of the program's code reach, if the system gives them: for large
 * tables, which would take the room of other things there. */
void *platform_map_apart(size_t size);
/* The same for a table of which few pages will be touched: without huge pages. Async-signal-safe, and preserves errno.
 */
void *platform_map_sparse(size_t size);

/* As platform_reserve, for a stack: the pages above the lowest `guard` bytes can be read and written. */
void *platform_map_stack(size_t size, size_t guard);

void platform_unmap(void *memory, size_t size);

/* As platform_map, but async-signal-safe, and preserves errno. */
void *platform_map_quietly(size_t size);
void platform_unmap_quietly(void *memory, size_t size);

/* Makes the pages read as zero in a child made by fork. False if the system cannot do that. */
bool platform_wipe_on_fork(void *memory, size_t size);

/* Asks for huge pages, or for none. A hint. */
void platform_prefer_huge_pages(void *memory, size_t size, bool huge);

/* The most bytes of address space that the process may have; SIZE_MAX for no limit. */
size_t platform_address_space_limit(void);

/* Sets what the pages allow (enum platform_access). Returns 0, or a negative error number (-ENOMEM: too many mappings);
 * some pages may then have changed. Async-signal-safe, and preserves errno. */
long platform_protect(uint64_t address, uint64_t size, int access);

enum platform_look {
    /* The bytes were read. */
    PLATFORM_THERE,
    /* The memory is not mapped, or cannot be read. */
    PLATFORM_NOT_THERE,
    PLATFORM_NOT_KNOWN,
};

/* Copies `size` bytes from `address`, both arbitrary; reports memory that cannot be read, without a fault.
 * Async-signal-safe. */
enum platform_look platform_look_at(uint64_t address, void *bytes, size_t size);

/* ---- two views of one memory ---- */

/* The size of the inaccessible guard on each side of a view. */
#define PLATFORM_VIEW_GUARD UINT64_C(65536)

/* The kind of shared memory. */
enum platform_backing {
    /* Anonymous: neither limits on files nor a file system's permissions apply to it. */
    PLATFORM_BACKING_ANONYMOUS,
    /* A file without a name, for systems that refuse the former; the system accounts for it page by page. */
    PLATFORM_BACKING_FILE,
};

struct platform_views {
    uint64_t first, second;
};

/* A displacement of 32 bits reaches so far, and 16 MiB further. */
#define PLATFORM_VIEWS_NEAR (UINT64_C(0x7f000000) - 1)

/* Makes two views of `size` bytes of shared memory. The first allows `access`, and never allowed anything else; the
 * second can be read and written. If `at` is 0, their distance is random, and at most PLATFORM_VIEWS_NEAR if the size
 * permits; both are far from the library's code, because addresses within a jump's reach are scarce; and inaccessible
 * guards surround each. Otherwise the first view is at `at` without guards, and if it is executed, the second is far
 * from it. Returns 0, or a negative error number (errno.h: -EEXIST if something is mapped at `at`) and leaves nothing
 * mapped. Async-signal-safe. */
long platform_views_create(uint64_t at, uint64_t size, int access, enum platform_backing backing,
                           struct platform_views *views);

/* As platform_views_create, of memory of PLATFORM_BACKING_FILE that can be read and written, with choices. */
struct platform_views_order {
    uint64_t at, size;
    /* Of both views: a power of two, at least a page. */
    uint64_t alignment;
    /* Fail rather than make views that are farther apart than PLATFORM_VIEWS_NEAR. */
    bool is_near;
    /* Whether PLATFORM_BACKING_FILE is to be used, the file's name, and where to store its descriptor, which the caller
     * closes (platform_file_close). Without a file, anonymous memory. */
    bool is_file;
    const char *name;
    int *file;
};
long platform_views_create_as(const struct platform_views_order *order, struct platform_views *views);
void platform_file_close(int file);

/* Unmaps one view and, if `guarded`, the guards around it. Async-signal-safe. */
void platform_view_unmap(uint64_t view, uint64_t size, bool guarded);

/* Frees the memory of pages of a view that can be written: they read as zero in both views. False if the system cannot
 * do that. Async-signal-safe. */
bool platform_view_release(uint64_t pages, uint64_t size);

/* Excludes the view and its guards from a child made by fork; pages of a view from core dumps. False if the system
 * cannot do that. Async-signal-safe. */
bool platform_view_keep_from_child(uint64_t view, uint64_t size);
bool platform_view_keep_from_dump(uint64_t view, uint64_t size);

/* Asks for huge pages of shared memory in these pages of a view. False if the system has none. */
bool platform_view_prefer_huge_pages(uint64_t view, uint64_t size);

/* Reserves these addresses if nothing is mapped there. Returns 0, or a negative error number (-EEXIST).
 * Async-signal-safe, and preserves errno. */
long platform_reserve_at(uint64_t at, uint64_t size);

#endif
