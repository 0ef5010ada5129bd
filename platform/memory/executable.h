/* executable.h: memory that the processor executes and that changes: the owner of all such memory.
 *
 * One memory has two views: one can be read and executed, the other read and written. No page is ever both, and no page
 * becomes executable that was writable before, so systems that refuse that (PR_SET_MDWE, SELinux execmem) allow it.
 * Further executable views show any part of the memory at other addresses; several may show the same part.
 *
 * Preconditions: addresses, offsets and sizes are multiples of a page, unless a function says otherwise; sizes are
 * greater than 0. Postconditions: no function replaces what is mapped, except at an address where the caller says so;
 * what fails changes nothing. Every function is async-signal-safe and thread-safe: it makes system calls and allocates
 * nothing. Bytes that a processor may have executed change by the rules for cross-modifying code
 * (platform_serialise in code.h); one that no processor has executed yet may be written plainly before that.
 *
 * After fork the child has the executable views, shared with its parent and read-only: what the parent writes from then
 * on shows in the child. It does not have the writable view. executable_memory_own makes the memory the child's own.
 * So a parent that may have such children only adds code, or its children own their memory before the parent changes
 * what they may execute. */
#ifndef SEGUE_PLATFORM_EXECUTABLE_H
#define SEGUE_PLATFORM_EXECUTABLE_H

#include <segue/status.h>

/* ---- where a view may be ---- */

/* A view lies in [low, end): as close to `near` as the free addresses allow, but at the far end of those that the heap
 * or the first thread's stack may grow into. If the system does not show the list of mappings, some places are tried.
 * The addresses are arbitrary. */
struct executable_range {
    uint64_t low, end, near;
};

/* Code at one end of so many bytes reaches the other by a displacement of 32 bits, with a page to spare. */
#define EXECUTABLE_REACH (UINT64_C(0x80000000) - 4096)

/* All of the view and all of [start, end) reach each other. Empty if they cannot. */
static inline struct executable_range executable_near(uint64_t start, uint64_t end)
{
    uint64_t low = end > EXECUTABLE_REACH ? end - EXECUTABLE_REACH : 0;
    uint64_t high = start < UINT64_MAX - EXECUTABLE_REACH ? start + EXECUTABLE_REACH : UINT64_MAX;
    return (struct executable_range){low, high, end};
}

/* The same, and the view is above or below [start, end). */
static inline struct executable_range executable_above(uint64_t start, uint64_t end)
{
    struct executable_range range = executable_near(start, end);
    range.low = end;
    return range;
}

static inline struct executable_range executable_below(uint64_t start, uint64_t end)
{
    struct executable_range range = executable_near(start, end);
    range.end = range.near = start;
    return range;
}

/* At this address and nowhere else. The list of mappings is not read. */
static inline struct executable_range executable_at(uint64_t address, uint64_t size)
{
    return (struct executable_range){address, address + size, address};
}

/* ---- the memory ---- */

/* Its fields are to be read only. */
struct executable_memory {
    uint64_t size;
    /* The addresses of the two views of all of it. */
    uint64_t executable, writable;
    /* The further views, and the most that there may be. */
    uint32_t views, most_views;
    /* The executable view has inaccessible guards around it (PLATFORM_VIEW_GUARD), as the writable one has. */
    bool is_guarded;
};

/* Makes a memory of `size` zeroed bytes, for at most `most_views` further views. The executable view is in `range`, or,
 * if that is NULL, where the system likes, at a random distance below 2 GiB from the writable one. The writable view is
 * in no core dump. SEGUE_OK; SEGUE_EXISTS: the range has no such room; SEGUE_NO_MEMORY; SEGUE_UNSUPPORTED: the system
 * lets the process execute no memory that it writes. */
enum segue_status executable_memory_create(const struct executable_range *range, uint64_t size, uint32_t most_views,
                                           struct executable_memory *memory);

/* Why the system may return SEGUE_UNSUPPORTED: a static string. */
const char *executable_memory_refusal(void);

/* Unmaps the two views. Further views stay as they are, and can still be unmapped. */
void executable_memory_free(struct executable_memory *memory);

/* Unmaps the executable view, for a caller whose further views show all that it executes. No more can be made. */
void executable_memory_leave(struct executable_memory *memory);

/* Excludes the executable view, and further views that are made from then on, from a child made by fork. False if the
 * system cannot do that. */
bool executable_memory_keep_from_child(const struct executable_memory *memory);

/* To be called in a child that was made by fork, and only once: gives the memory a new writable view, and pages that
 * the parent does not share. The executable view stays where it is, and is replaced at once: threads may be executing
 * it. It shows the first `used` bytes as they were, of any number, and zeros behind them. Further views show the
 * parent's memory until executable_view_renew. SEGUE_OK; SEGUE_NO_MEMORY; SEGUE_UNSUPPORTED. */
enum segue_status executable_memory_own(struct executable_memory *memory, uint64_t used);

/* ---- further views ---- */

/* Maps `size` bytes of the memory, from `offset` on, to be read and executed in `range`, and stores the address.
 * SEGUE_OK; SEGUE_EXISTS: the range has no such room; SEGUE_INVALID: the offset or the size is not a multiple of a page
 * or reaches beyond the memory; SEGUE_BUSY: there are most_views; SEGUE_NO_MEMORY: the system has too many mappings;
 * SEGUE_UNSUPPORTED. */
enum segue_status executable_view_create(struct executable_memory *memory, const struct executable_range *range,
                                         uint64_t offset, uint64_t size, uint64_t *address);

/* Replaces what is mapped at the address, which must be the caller's to give: a view that shows what the memory was
 * before executable_memory_own, or one that shows another part. The number of views stays. If the system fails
 * (SEGUE_NO_MEMORY), the addresses may be unmapped. */
enum segue_status executable_view_renew(const struct executable_memory *memory, uint64_t address, uint64_t offset,
                                        uint64_t size);

void executable_view_unmap(struct executable_memory *memory, uint64_t address, uint64_t size);

/* ---- code that is written once ---- */

/* Maps code that is never written again: a copy of `size` bytes, any number, at the beginning of `room` bytes, the rest
 * of which are breakpoints; then `data` bytes that can be read and written, private to the process and zeroed. One
 * range, for platform_unmap. A child made by fork shares the code, and has a copy of the data. NULL if the system has
 * no memory, or lets the process execute none that it has written. */
void *executable_copy(const void *code, size_t size, size_t room, size_t data);

#endif
