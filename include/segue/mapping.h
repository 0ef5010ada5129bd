/* mapping.h: memory with two views: one to protect, one that stays accessible.
 *
 * SOURCES: mmap(2), memfd_create(2), madvise(2), fork(2), lseek(2) (SEEK_DATA). */
#ifndef SEGUE_MAPPING_H
#define SEGUE_MAPPING_H

#include <segue/regs.h>
#include <segue/window.h>

SEGUE_BEGIN

/* Memory that is mapped twice. */
struct segue_mapping {
    /* The program's view, which the caller may protect. */
    void *memory;
    /* The second view, always readable and writable. */
    void *alias;
    /* The size in bytes, whole pages. */
    size_t size;
    /* The library's. */
    uint64_t private_;
    uint64_t reserved[4];
};

/* Maps `size` bytes (rounded up to whole pages) of zeroed memory with two views, both readable and
 * writable; the caller then protects `memory`. `at`, if not NULL, is the required address of
 * `memory`; nothing may be mapped there yet. The distance between the views is random, and below 2
 * GiB unless `at` or the size forbids it. The 64 KiB on each side of a view are inaccessible,
 * except around `at`, where the surroundings belong to the caller. Core dumps omit the alias.
 * RLIMIT_FSIZE does not limit the memory, unless the system accounts all memory in advance. The
 * memory is shared: a child made by fork sees and changes the same bytes. Returns SEGUE_OK;
 * SEGUE_INVALID for a zero size or an `at` that is not page-aligned; SEGUE_EXISTS if something is
 * mapped at `at`; SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_create(void *at, size_t size,
                                                             struct segue_mapping *mapping);

/* What a child made by fork has of a mapping. A raw clone and vfork run no fork handlers: the child
 * then shares, or has nothing with SEGUE_FORK_NONE. */
enum segue_fork {
    /* A private copy at the same addresses, with the same protections. The thread that forks copies
     * what is populated, in the library's fork handler, with asynchronous signals blocked. Fork
     * handlers that were registered before the process's first mapping of this kind run outside of
     * it: a lock that they take holds other threads off the memory meanwhile. If the copy cannot be
     * made (no memory, no /proc, or the program has closed the library's descriptor), the child has
     * no access to the mapping. */
    SEGUE_FORK_COPY = 0,
    /* The same bytes: parent and child see each other's stores. */
    SEGUE_FORK_SHARE = 1,
    /* Addresses without access. For children that exec. */
    SEGUE_FORK_NONE = 2,
};

/* Options of a mapping; a bit set. */
enum segue_mapping_flags {
    /* Addresses without access, to be committed by segue_mapping_commit. */
    SEGUE_MAPPING_RESERVE = 1,
    /* Fail rather than make views that are 2 GiB or more apart, also with `at`: hot regions need
     * views that are near. */
    SEGUE_MAPPING_NEAR = 2,
    /* Use huge pages; both views are then aligned to 2 MiB. */
    SEGUE_MAPPING_HUGE = 4,
    /* Core dumps contain the alias, too. */
    SEGUE_MAPPING_DUMP_ALIAS = 8,
    /* Core dumps contain neither view. */
    SEGUE_MAPPING_NO_DUMP = 16,
};

/* How to make a mapping; all zero bytes but `size` are the defaults. */
struct segue_mapping_options {
    /* In bytes; rounded up to whole pages. */
    size_t size;
    /* The required address of `memory`, or NULL; nothing may be mapped there yet. */
    void *at;
    /* The alignment of both views: a power of two; 0 means a page. */
    size_t alignment;
    /* enum segue_mapping_flags. */
    uint32_t flags;
    /* enum segue_fork. */
    uint32_t fork;
    /* The name in /proc/PID/maps, of at most 31 bytes; NULL means "segue". Only for
     * SEGUE_FORK_COPY, whose memory is a file without a path. */
    const char *name;
    uint64_t reserved[6];
};

/* As segue_mapping_create, with options. With SEGUE_FORK_COPY the library keeps a descriptor open,
 * of a high number if the limits allow it. Returns as segue_mapping_create; SEGUE_INVALID also for
 * an unknown flag or kind of fork, an alignment that is not a power of two, an `at` that it does
 * not divide, and a name that is too long; SEGUE_UNSUPPORTED, with the reason in segue_reason, for
 * a near or huge mapping or a kind of fork that the system cannot give; a copy also if the hard
 * limit on a file's length (RLIMIT_FSIZE) is lower than the size. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status
segue_mapping_create_with(const struct segue_mapping_options *options,
                          struct segue_mapping *mapping);

/* Makes `size` bytes from `offset` on accessible in both views, for reading and writing: zeroed,
 * unless they are committed already. Returns SEGUE_OK; SEGUE_INVALID as segue_mapping_protect;
 * SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_commit(const struct segue_mapping *mapping,
                                                             size_t offset, size_t size);

/* Gives the memory of committed pages back to the system, and makes them inaccessible in both
 * views: segue_mapping_commit makes them accessible again, zeroed. Returns as segue_mapping_commit;
 * SEGUE_UNSUPPORTED if the system cannot take pages back. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mapping_decommit(const struct segue_mapping *mapping,
                                                   size_t offset, size_t size);

/* Unmaps both views; not for an adopted mapping. The regions of the memory must have been removed:
 * the library does not look for them. Returns SEGUE_OK, or SEGUE_INVALID for a NULL
 * pointer or an adopted mapping. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_mapping_destroy(struct segue_mapping *mapping);

/* Gives `size` bytes of memory that is mapped already a second view, in place. Private memory: puts
 * shared memory with the same contents and protections there. Shared memory: both views are further
 * mappings of its pages. `memory` and `size` are whole pages, which may have different protections.
 * The alias has the program's protections, is within 2 GiB, and lies between inaccessible pages.
 * Other threads are suspended meanwhile, which needs segue_suspend_install (in a process of one
 * thread it does not): blocking system calls that they are in end or begin again as signal(7) says.
 * Of private memory a child made by fork gets a copy of its own, or, if there is no memory, pages
 * without access: its parent waits for that, at most 5 seconds; children made in another way
 * (vfork, posix_spawn, a bare system call) share it. Huge pages are split. Until
 * segue_mapping_release, the program must not unmap or remap the pages. Returns SEGUE_OK;
 * SEGUE_INVALID; SEGUE_BUSY inside a fault, or if a running thread's stack pointer is in the pages
 * or a little above them; SEGUE_UNSUPPORTED for memory that is code, a thread's static thread-local
 * storage or the library's own; SEGUE_TIMEOUT if a thread could not be suspended; SEGUE_NOT_FOUND
 * without segue_suspend_install; SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_adopt(void *memory, size_t size,
                                                            struct segue_mapping *mapping);

/* Puts the mapping back that was at the pages before, of the same file and with the same advice,
 * but with the present contents and the protections of the alias; and unmaps the alias. Returns as
 * segue_mapping_adopt; SEGUE_INVALID for a mapping that segue_mapping_adopt has not made. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_mapping_release(struct segue_mapping *mapping);

/* Sets the protection of `size` bytes of `memory` from `offset` on. `allowed` has the enum
 * segue_direction bits of the permitted accesses; 0 permits no access, and SEGUE_WRITE and
 * SEGUE_FETCH may not be combined. The alias stays accessible. Returns SEGUE_OK; SEGUE_INVALID for
 * a NULL mapping, a range that is not whole pages of the mapping, or unknown bits; SEGUE_NO_MEMORY
 * for too many mappings; SEGUE_SYSTEM if the system forbids it, as hardened systems forbid
 * SEGUE_FETCH. After these two some pages may have changed. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mapping_protect(const struct segue_mapping *mapping,
                                                              size_t offset, size_t size,
                                                              uint8_t allowed);

/* The alias window of the whole mapping. MT-Safe, AS-Safe. */
SEGUE_INLINE struct segue_window segue_mapping_window(const struct segue_mapping *mapping)
{
    return segue_window_alias(mapping->memory, mapping->size, mapping->alias);
}

SEGUE_END

#endif
