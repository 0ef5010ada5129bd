/* mapped.c: the system calls that change what is mapped.
 *
 * SOURCES: mmap(2), munmap(2), mremap(2), mprotect(2), pkey_mprotect(2), madvise(2), mlock(2), brk(2), mseal(2),
 * remap_file_pages(2), shmat(2) (SHMLBA is a page on x86); Linux mm/madvise.c, mm/mprotect.c (what a range with holes
 * does). */
#if !defined(__linux__)
#error "mapped.c is specific to Linux"
#endif

#include <segue/region.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "decode/x86/page.h"
#include "gates.h"
#include "platform/calls/calls.h"
#include "platform/linux/call.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static SEGUE_HOT_POLICY uint64_t pages(uint64_t size)
{
    return (size + PAGE - 1) & -(uint64_t)PAGE;
}

/* What the two views cannot both have, or what a fork looks at. */
static SEGUE_HOT_POLICY enum memory_change_kind kind_of_advice(uint64_t advice)
{
    switch ((int)advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
        return MEMORY_DROPPED;
    case MADV_DONTFORK:
    case MADV_WIPEONFORK:
    case MADV_HWPOISON:
    case MADV_SOFT_OFFLINE:
    case MADV_GUARD_INSTALL:
        return MEMORY_REPLACED;
    default:
        return MEMORY_ADVISED;
    }
}

static SEGUE_HOT_POLICY bool protects_only(uint64_t protection)
{
    return !(protection & ~(uint64_t)(PROT_READ | PROT_WRITE));
}

static SEGUE_HOT_POLICY void take_move(const struct system_call *call, struct memory_change *change)
{
    const uint64_t *arguments = call->arguments;
    const uint64_t size = pages(arguments[1]);
    change->kind = MEMORY_REPLACED;
    /* Of no size: a second mapping of the page, for memory that is shared. */
    change->end = change->start + (size ? size : PAGE);
    change->moved = arguments[2];
    change->stays = size == 0;
    if (arguments[3] & MREMAP_FIXED) {
        change->second_start = arguments[4];
        change->second_end = arguments[4] + pages(arguments[2]);
    }
}

/* What the break leaves behind. */
static SEGUE_HOT_POLICY bool take_break(const struct system_call *call, struct memory_change *change)
{
    const uint64_t present = (uint64_t)calls_call(SYS_brk, 0, 0, 0, 0, 0, 0);
    if (!call->arguments[0] || call->arguments[0] >= present)
        return false;
    *change =
        (struct memory_change){.kind = MEMORY_REPLACED, .start = pages(call->arguments[0]), .end = pages(present)};
    return true;
}

/* In place of what is mapped there. */
static SEGUE_HOT_POLICY bool take_segment(const struct system_call *call, struct memory_change *change)
{
    const uint64_t *arguments = call->arguments;
    const bool is_rounded = arguments[2] & SHM_RND;
    struct shmid_ds segment;
    if (!(arguments[2] & SHM_REMAP) || !arguments[1] || (arguments[1] % PAGE && !is_rounded) ||
        calls_call(SYS_shmctl, (long)arguments[0], IPC_STAT, (long)&segment, 0, 0, 0) != 0)
        return false;
    const uint64_t start = arguments[1] & -(uint64_t)PAGE;
    *change = (struct memory_change){.kind = MEMORY_REPLACED, .start = start, .end = start + pages(segment.shm_segsz)};
    return true;
}

static SEGUE_HOT_POLICY void take_lock(const struct system_call *call, struct memory_change *change)
{
    change->start &= -(uint64_t)PAGE;
    change->end = pages(call->arguments[0] + call->arguments[1]);
    change->kind = MEMORY_ADVISED;
}

/* The system refuses a call whose address is within a page. */
SEGUE_HOT_POLICY bool calls_changes_memory(const struct system_call *call, struct memory_change *change)
{
    const uint64_t *arguments = call->arguments;
    const bool is_aligned = arguments[0] % PAGE == 0;
    *change = (struct memory_change){.start = arguments[0], .end = arguments[0] + pages(arguments[1])};
    switch (call->number) {
    case SYS_brk:
        return take_break(call, change);
    case SYS_mmap:
        change->kind = MEMORY_REPLACED;
        return is_aligned && (arguments[3] & MAP_FIXED) && !(arguments[3] & MAP_FIXED_NOREPLACE);
    case SYS_shmat:
        return take_segment(call, change);
    case SYS_mremap:
        take_move(call, change);
        return is_aligned && change->second_start % PAGE == 0;
    case SYS_munmap:
    case SYS_remap_file_pages:
    case SYS_mseal:
        change->kind = MEMORY_REPLACED;
        return is_aligned;
    case SYS_pkey_mprotect:
    case SYS_mprotect:
        change->kind = protects_only(arguments[2]) && (call->number == SYS_mprotect || (int)arguments[3] == -1)
                           ? MEMORY_PROTECTED
                           : MEMORY_REPLACED;
        change->protection = (int)arguments[2];
        return is_aligned;
    case SYS_madvise:
        change->kind = kind_of_advice(arguments[2]);
        change->passes_holes = true;
        return is_aligned;
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_munlock:
        take_lock(call, change);
        return true;
    default:
        return false;
    }
}

bool calls_lock_all(const struct system_call *call)
{
    static uint64_t done;
    const struct call_record record = {.busy = (uint64_t)(uintptr_t)&done};
    const uint64_t wanted = MCL_CURRENT | MCL_FUTURE, flags = call->arguments[0];
    if (!(flags & wanted) || (flags & ~(wanted | MCL_ONFAULT)))
        return false;
    const uint64_t arguments[CALL_ARGUMENTS] = {flags | MCL_ONFAULT};
    return calls_make(call, arguments, &record);
}

SEGUE_HOT_POLICY uint64_t calls_maps_file(const struct system_call *call)
{
    const uint64_t *arguments = call->arguments;
    if (call->number == SYS_mremap)
        return pages(arguments[2]);
    return call->number == SYS_mmap && !(arguments[3] & MAP_ANONYMOUS) ? pages(arguments[1]) : 0;
}

SEGUE_HOT_POLICY bool calls_maps_code(const struct system_call *call)
{
    const uint64_t *arguments = call->arguments;
    return call->number == SYS_mmap && (arguments[2] & PROT_EXEC) && !(arguments[3] & MAP_ANONYMOUS);
}

int calls_mapped_file(const struct system_call *call)
{
    return call->number == SYS_mmap ? (int)call->arguments[4] : -1;
}

long calls_change_range(const struct system_call *call, uint64_t start, uint64_t end)
{
    const uint64_t *arguments = call->arguments;
    return calls_call((long)call->number, (long)start, (long)(end - start), (long)arguments[2], (long)arguments[3],
                      (long)arguments[4], (long)arguments[5]);
}

long calls_change(const struct system_call *call)
{
    const uint64_t *arguments = call->arguments;
    return calls_call((long)call->number, (long)arguments[0], (long)arguments[1], (long)arguments[2],
                      (long)arguments[3], (long)arguments[4], (long)arguments[5]);
}

/* The break stays where it was, which is its result. */
bool calls_change_failed(const struct system_call *call, long result)
{
    return call->number == SYS_brk ? (uint64_t)result != call->arguments[0] : system_call_failed(result);
}
