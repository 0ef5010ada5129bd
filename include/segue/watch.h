/* watch.h: who touches these bytes? Any number of ranges of any size, every access by an
 * instruction, all threads, with the value before and after.
 *
 * The library replaces the pages by shared memory with the same contents (segue_mapping_adopt),
 * closes them, and makes them a hot region: instructions that access other bytes of these pages
 * become hot sites and access the second view.
 *
 * With SEGUE_INSTALL_SYSTEM_CALLS, what system calls do to the range is reported, too. Without it,
 * a system call that gets a pointer into a watched page fails with EFAULT. Not seen: DMA, other
 * processes through shared memory, and what the kernel writes unasked (docs/watch.md).
 *
 * SOURCES: docs/watch.md, docs/hot.md. */
#ifndef SEGUE_WATCH_H
#define SEGUE_WATCH_H

#include <segue/region.h>

SEGUE_BEGIN

/* Which accesses are reported, and how; a bit set. */
enum segue_watch_flags {
    SEGUE_WATCH_READ = 1,
    SEGUE_WATCH_WRITE = 2,
    /* Of writes, those that change the value in the range. */
    SEGUE_WATCH_CHANGE = 4,
    /* Count by instruction (segue_watch_counts), and queue nothing. */
    SEGUE_WATCH_COUNT = 8,
    /* A thread waits while the queue is full; without this flag the queue drops its event, and
     * counts it. Some other thread must then read the queue, and may not wait for a lock that a
     * watching thread can hold. */
    SEGUE_WATCH_WAIT = 16,
};

/* A range to watch. */
struct segue_watch {
    /* Any bytes, without alignment. */
    const volatile void *address;
    size_t size;
    /* enum segue_watch_flags; SEGUE_WATCH_READ, _WRITE or _CHANGE at least. */
    uint32_t flags;
    uint32_t reserved32;
    /* The only thread whose accesses are reported; 0: all threads. */
    segue_thread_id thread;
    uint64_t reserved[6];
};

/* The most ranges that are watched at the same time. */
#define SEGUE_WATCHES_MOST 131071

/* What a record reports. */
enum segue_watch_kind {
    SEGUE_WATCH_ACCESS = 0,
    /* A system call of the program's has unmapped or replaced these bytes of the range, or made of
     * them what cannot be watched: they are watched no more. */
    SEGUE_WATCH_ENDED = 1,
    /* A system call has moved them (mremap), and they are watched where they are now. */
    SEGUE_WATCH_MOVED = 2,
};

/* One access to one range. */
struct segue_watch_record {
    /* The range's. */
    uint64_t id;
    /* Nanoseconds of the monotonic clock. */
    uint64_t time;
    /* The part of the access that lies in the range. */
    uint64_t address;
    uint64_t size;
    /* The address of the instruction: SYSCALL, if a system call makes the access. */
    uint64_t site;
    segue_thread_id thread;
    /* The process; it differs in a child made by fork. */
    uint32_t process;
    /* enum segue_direction bits. */
    uint8_t direction;
    /* `before` and `after` are valid. They are exact, also of a locked instruction; not known of a
     * few instructions (docs/watch.md). */
    bool has_values;
    /* enum segue_watch_kind. */
    uint8_t kind;
    uint8_t reserved8;
    /* The first bytes of the part, lowest address first; the other ones are zero. */
    unsigned char before[32];
    unsigned char after[32];
    /* The system call's number; SEGUE_NO_SYSTEM_CALL for an instruction's own access. `before` is
     * then the value when the call began, and `after` the value when it was done: other threads may
     * have written in between. */
    int32_t system_call;
    uint32_t reserved32;
    /* Of SEGUE_WATCH_MOVED: where `address` is now. */
    uint64_t moved_to;
};

/* Begins to watch `count` ranges; stores the names of the watches in `ids`. Many ranges take less
 * time in one call. Needs segue_install, and in a process of several threads segue_suspend_install,
 * because the other threads are suspended while pages are replaced. Until segue_watch_remove, the
 * program must not unmap, remap or change the protection of the pages, unless the library sees its
 * system calls (SEGUE_INSTALL_SYSTEM_CALLS): then all these go on working. Returns SEGUE_OK;
 * SEGUE_INVALID; SEGUE_BUSY inside a fault, or if the range has a page of a running thread's stack
 * at or below its stack pointer; SEGUE_UNSUPPORTED for memory that is code, a thread's static
 * thread-local storage or the library's own; SEGUE_OVERLAP if a page lies in a region of the
 * program's; SEGUE_TIMEOUT if a thread could not be suspended; SEGUE_NOT_FOUND without
 * segue_install or segue_suspend_install; SEGUE_NO_MEMORY; SEGUE_SYSTEM. With every status but
 * SEGUE_OK nothing is watched that was not before. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_watch_add(const struct segue_watch *watches,
                                                        size_t count, uint64_t *ids);

/* Ends a watch. With the last one of adjacent pages, their mapping is put back, with the present
 * contents. Events that are queued already stay in the queue. Returns SEGUE_OK;
 * SEGUE_NOT_FOUND; SEGUE_BUSY inside a fault; SEGUE_TIMEOUT, SEGUE_NO_MEMORY or SEGUE_SYSTEM if the
 * watch has ended, but the pages stay shared memory. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_watch_remove(uint64_t id);

/* Takes up to `capacity` queued events of all watches, in the order in which they were queued: for
 * each thread that of its accesses. Waits at most `timeout` nanoseconds for the first one.
 * `*count`: how many it has stored. `*lost` (may be NULL): how many the full queue has dropped
 * since the last call. For an ordinary thread, which may use stdio and locks with what it reads.
 * An event that a child made by fork has begun when it was killed is lost, too. Returns SEGUE_OK;
 * SEGUE_TIMEOUT, with a count of 0; SEGUE_NOT_FOUND before the first segue_watch_add; SEGUE_INVALID
 * for a NULL pointer or no capacity. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_watch_read(struct segue_watch_record *records, size_t capacity,
                                             uint64_t timeout, size_t *count, uint64_t *lost);

/* How often one instruction has accessed one range. */
struct segue_watch_count {
    uint64_t site;
    /* An access that reads and writes is in both. */
    uint64_t reads;
    uint64_t writes;
};

/* Lists the instructions of a watch with SEGUE_WATCH_COUNT, the most frequent first. Stores their
 * number in `count`, and as many as fit in `counts`. An access is counted twice if a signal or a
 * suspension interrupts the thread right before it. Returns SEGUE_OK; SEGUE_TOO_SMALL if not all
 * fitted; SEGUE_NOT_FOUND; SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_watch_counts(uint64_t id, struct segue_watch_count *counts,
                                               size_t capacity, size_t *count);

SEGUE_END

#endif
