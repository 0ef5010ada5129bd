/* memory.h: this process's memory: mapped, reserved, protected, mapped twice.
 *
 * Preconditions: addresses and sizes are multiples of platform_page_size() unless a function says otherwise; sizes are
 * greater than 0. Postconditions: what is mapped is zeroed, private to this process unless the function says shared,
 * and takes memory only where it is touched; a function that fails leaves everything as it was. Every function is
 * thread-safe; async-signal-safe are only those that say so. */
#ifndef SEGUE_PLATFORM_MEMORY_H
#define SEGUE_PLATFORM_MEMORY_H

#include <segue/status.h>

/* The unit of protection. */
size_t platform_page_size(void);

/* What a page allows; a bit set. None is ever to be written and executed at once. */
enum platform_access {
    PLATFORM_NONE = 0,
    PLATFORM_READ = 1,
    PLATFORM_WRITE = 2,
    PLATFORM_EXECUTE = 4,
};

/* ---- one mapping ---- */

/* Memory that can be read and written, or only reserved; NULL if the system has none. */
void *platform_map(size_t size);
void *platform_reserve(size_t size);

/* As platform_reserve, for a stack: the pages above the lowest `guard` bytes can be read and written. */
void *platform_map_stack(size_t size, size_t guard);

void platform_unmap(void *memory, size_t size);

/* The same, async-signal-safe; errno stays as it was. */
void *platform_map_quietly(size_t size);
void platform_unmap_quietly(void *memory, size_t size);

/* In a child made by fork the pages read as zero. False if the system cannot do that. */
bool platform_wipe_on_fork(void *memory, size_t size);

/* Asks for huge pages, or for none. A hint. */
void platform_prefer_huge_pages(void *memory, size_t size, bool huge);

/* The most bytes of address space that the process may have; SIZE_MAX for no limit. */
size_t platform_address_space_limit(void);

/* Sets what the pages allow (enum platform_access). False if the system refuses; some pages may then have changed.
 * Async-signal-safe. */
bool platform_protect(uint64_t address, uint64_t size, int access);

/* Code that is executed and never again written: a copy of `size` bytes, any number, at the beginning of `room` bytes,
 * whose rest are breakpoints; and behind them `data` bytes that can be read and written. No page is ever both. One
 * mapping, for platform_unmap. NULL if the system has no memory, or lets no page become executable. */
void *platform_map_code(const void *code, size_t size, size_t room, size_t data);

enum platform_look {
    /* The bytes were read. */
    PLATFORM_THERE,
    /* There is no such memory, or it allows no load. */
    PLATFORM_NOT_THERE,
    PLATFORM_NOT_KNOWN,
};

/* Copies `size` bytes at `address`, both any, without a fault where that cannot be done. Async-signal-safe. */
enum platform_look platform_look_at(uint64_t address, void *bytes, size_t size);

/* ---- two views of one memory ---- */

/* Closed addresses on each side of a view. */
#define PLATFORM_VIEW_GUARD UINT64_C(65536)

/* Where the memory comes from. */
enum platform_backing {
    /* The system's own: no limit on files and no file system's rights concern it. */
    PLATFORM_BACKING_ANONYMOUS,
    /* A file without a name, for systems that refuse the former; it is accounted page by page. */
    PLATFORM_BACKING_FILE,
};

struct platform_views {
    uint64_t first, second;
};

/* Makes two views of `size` bytes of shared memory. The first allows `access`, and never allowed anything else; the
 * second can be read and written. They stand apart at a random distance, below 2 GiB where the size lets them, with
 * closed addresses around each; around the first only if `at` is 0, else it stands there. Returns 0, or a negative error
 * number (errno.h: -EEXIST where something is mapped at `at`), and nothing is left mapped. Async-signal-safe. */
long platform_views_create(uint64_t at, uint64_t size, int access, enum platform_backing backing,
                           struct platform_views *views);

/* Unmaps one view and, if it has some, the closed addresses around it. Async-signal-safe. */
void platform_view_unmap(uint64_t view, uint64_t size, bool guarded);

/* A child made by fork does not have the guarded view; a core dump does not have it. False if the system cannot do
 * that. Async-signal-safe. */
bool platform_view_keep_from_child(uint64_t view, uint64_t size);
bool platform_view_keep_from_dump(uint64_t view, uint64_t size);

/* Moves pages to `to`, over what is mapped there; any address of a mapping may be part of them. Async-signal-safe. */
bool platform_move(uint64_t from, uint64_t size, uint64_t to);

/* Reserves these addresses if nothing is mapped there. Async-signal-safe. */
bool platform_reserve_at(uint64_t at, uint64_t size);

#endif
