/* adopted.c: see platform/memory/adopted.h.
 *
 * A page is read by process_vm_readv, which reports the end of a file where an instruction would raise SIGBUS. The
 * protections of the second view are those that the program has set, so they need no other record.
 *
 * Memory that no file holds is not kept twice: its pages are dropped where the mapping is kept. Those of a file are
 * kept, and what differs at the end is written to them. Of a shared mapping the two views are further mappings of the
 * same pages: nothing is copied, and what other processes write is seen.
 *
 * SOURCES: mremap(2): with an old size of 0 it makes a second mapping of the same shared pages; with MREMAP_FIXED it
 * replaces what is mapped there. Linux mm/vma.c (a mapping that comes back to where it was becomes one with its
 * neighbours again, unless both were written to first while they were apart: is_mergeable_anon_vma). madvise(2)
 * MADV_POPULATE_WRITE. process_vm_readv(2). */
#if !defined(__linux__)
#error "platform/linux/memory/adopted.c is specific to Linux"
#endif

#include "platform/memory/adopted.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "platform/linux/call.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static long map(uint64_t at, uint64_t size, int protection, int flags)
{
    return system_call6(CALL_MAP, (long)at, (long)size, protection, MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

static void unmap(uint64_t at, uint64_t size)
{
    system_call3(SYS_munmap, (long)at, (long)size, 0);
}

static long protect(uint64_t at, uint64_t size, int protection)
{
    return system_call3(SYS_mprotect, (long)at, (long)size, protection);
}

/* Makes `from` appear at `to` instead: or also, with `size` 0 for a second mapping of shared memory. */
static long move(uint64_t from, uint64_t old_size, uint64_t size, uint64_t to)
{
    long result =
        system_call6(SYS_mremap, (long)from, (long)old_size, (long)size, MREMAP_MAYMOVE | MREMAP_FIXED, (long)to, 0);
    return system_call_failed(result) ? result : 0;
}

/* The part of the range that begins at `at` and has one mapping. */
static bool find_part(uint64_t at, uint64_t end, struct mapping *mapping, uint64_t *size)
{
    if (!mappings_find(at, mapping))
        return false;
    *size = (mapping->end < end ? mapping->end : end) - at;
    return true;
}

const char *platform_adopt_refusal(uint64_t at, uint64_t size)
{
    const uint64_t end = at + size;
    struct mapping mapping;
    char byte;
    for (uint64_t part; at < end; at += part) {
        if (!find_part(at, end, &mapping, &part))
            return "no memory is mapped at an address of the range";
        if (mapping.protection & PLATFORM_EXECUTE)
            return "the memory is code";
    }
    if (platform_look_at((uint64_t)(uintptr_t)&byte, &byte, 1) == PLATFORM_NOT_KNOWN)
        return "the system does not let the process read itself (process_vm_readv)";
    return NULL;
}

static bool is_zero(const uint64_t page[PAGE / sizeof(uint64_t)])
{
    uint64_t all = 0;
    for (size_t i = 0; i < PAGE / sizeof *page; i++)
        all |= page[i];
    return all == 0;
}

/* Copies what is not zero; a page behind the end of a file has no contents. */
static long copy(uint64_t from, uint64_t to, uint64_t size)
{
    uint64_t page[PAGE / sizeof(uint64_t)];
    for (uint64_t at = 0; at < size; at += PAGE) {
        enum platform_look look = platform_look_at(from + at, page, sizeof page);
        if (look == PLATFORM_NOT_KNOWN)
            return -EPERM;
        if (look == PLATFORM_THERE && !is_zero(page))
            __builtin_memcpy((void *)(uintptr_t)(to + at), page, sizeof page);
    }
    return 0;
}

/* ---- to a second view ---- */

/* Writes to the first page what it has: all of the mapping has been written to before it is cut. Pieces that are first
 * written to later never become one mapping, and the system moves one mapping only. Before Linux 5.14 nothing is
 * written here. */
static void make_one_again(uint64_t at, uint64_t part, const struct mapping *mapping)
{
    if (!mapping->is_shared && (mapping->protection & PROT_WRITE) && part < mapping->end - mapping->start)
        system_call3(SYS_madvise, (long)at, PAGE, MADV_POPULATE_WRITE);
}

/* Pages of the second view in place of the part that begins at `at`: the copy's, all of which can be written; or, of
 * shared memory, its own. After an error the part is as it was. */
static long replace_part(const struct adoption *adoption, uint64_t at, uint64_t part, const struct mapping *mapping)
{
    const uint64_t alias = at - adoption->at + adoption->alias, kept = at - adoption->at + adoption->kept;
    make_one_again(at, part, mapping);
    long result = move(at, part, part, kept);
    if (result != 0)
        return result;
    if (mapping->is_shared)
        result = move(kept, 0, part, alias);
    if (result == 0)
        result = move(alias, 0, part, at);
    if (result == 0)
        result = protect(at, part, mapping->protection);
    if (result == 0)
        result = protect(alias, part, mapping->protection);
    if (result != 0)
        move(kept, part, part, at);
    else if (!mapping->file && !mapping->is_shared)
        system_call3(SYS_madvise, (long)kept, (long)part, MADV_DONTNEED);
    return result;
}

static long copy_part(uint64_t from, uint64_t to, uint64_t part, int protection)
{
    if (protection & PROT_READ)
        return copy(from, to, part);
    long result = protect(from, part, PROT_READ);
    if (result == 0)
        result = copy(from, to, part);
    long back = protect(from, part, protection);
    return result == 0 ? back : result;
}

static long copy_all(const struct adoption *adoption)
{
    const uint64_t end = adoption->at + adoption->size;
    struct mapping mapping;
    long result = 0;
    for (uint64_t at = adoption->at, part; at < end && result == 0; at += part) {
        if (!find_part(at, end, &mapping, &part))
            return -ENOENT;
        if (!mapping.is_shared)
            result = copy_part(at, at - adoption->at + adoption->alias, part, mapping.protection);
    }
    return result;
}

/* Up to the address that is stored in `at`. */
static long replace_all(const struct adoption *adoption, uint64_t *at)
{
    const uint64_t end = adoption->at + adoption->size;
    struct mapping mapping;
    long result = 0;
    for (uint64_t part; *at < end && result == 0; *at += result == 0 ? part : 0) {
        if (!find_part(*at, end, &mapping, &part))
            return -ENOENT;
        result = replace_part(adoption, *at, part, &mapping);
    }
    return result;
}

static void reserve_anew(const struct adoption *adoption)
{
    map(adoption->alias, adoption->size, PROT_NONE, MAP_PRIVATE | MAP_FIXED);
    map(adoption->kept, adoption->size, PROT_NONE, MAP_PRIVATE | MAP_FIXED);
}

long platform_adopt(const struct adoption *adoption)
{
    uint64_t at = adoption->at;
    long mapped = map(adoption->alias, adoption->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED);
    if (system_call_failed(mapped))
        return mapped;
    long result = adoption->is_new ? 0 : copy_all(adoption);
    if (result == 0)
        result = replace_all(adoption, &at);
    const struct adoption replaced = {
        .at = adoption->at, .size = at - adoption->at, .alias = adoption->alias, .kept = adoption->kept};
    if (result != 0 && replaced.size)
        platform_release(&replaced);
    if (result != 0)
        reserve_anew(adoption);
    return result;
}

/* ---- to one view ---- */

/* Writes those pages of the second view to the kept mapping that differ. Both can be read, and the mapping written. */
static long write_back(uint64_t from, uint64_t to, uint64_t size)
{
    uint64_t page[PAGE / sizeof(uint64_t)], before[PAGE / sizeof(uint64_t)];
    for (uint64_t at = 0; at < size; at += PAGE) {
        enum platform_look look = platform_look_at(to + at, before, sizeof before);
        if (look == PLATFORM_THERE)
            look = platform_look_at(from + at, page, sizeof page);
        if (look == PLATFORM_NOT_KNOWN)
            return -EPERM;
        if (look == PLATFORM_THERE && __builtin_memcmp(page, before, sizeof page) != 0)
            __builtin_memcpy((void *)(uintptr_t)(to + at), page, sizeof page);
    }
    return 0;
}

static long write_part_back(uint64_t alias, uint64_t kept, uint64_t part, int protection)
{
    long result = protect(kept, part, PROT_READ | PROT_WRITE);
    if (result == 0 && !(protection & PROT_READ))
        result = protect(alias, part, PROT_READ);
    return result == 0 ? write_back(alias, kept, part) : result;
}

long platform_release(const struct adoption *adoption)
{
    const uint64_t end = adoption->alias + adoption->size;
    struct mapping of_alias, of_kept;
    uint64_t part, of_both;
    long result = 0;
    for (uint64_t alias = adoption->alias; alias < end && result == 0; alias += of_both) {
        const uint64_t offset = alias - adoption->alias, kept = adoption->kept + offset;
        if (!find_part(alias, end, &of_alias, &part) || !find_part(kept, kept + part, &of_kept, &of_both))
            return -ENOENT;
        if (!of_kept.is_shared)
            result = write_part_back(alias, kept, of_both, of_alias.protection);
        if (result == 0)
            result = protect(kept, of_both, of_alias.protection);
        if (result == 0)
            result = move(kept, of_both, of_both, adoption->at + offset);
    }
    if (result == 0)
        reserve_anew(adoption);
    return result;
}

/* New pages, shared, with the contents of a part of the second view; 0 if the system has no room. */
static uint64_t copy_of(uint64_t alias, uint64_t part, long *result)
{
    long made = map(0, part, PROT_READ | PROT_WRITE, MAP_SHARED);
    *result = system_call_failed(made) ? made : 0;
    if (*result != 0)
        return 0;
    *result = copy(alias, (uint64_t)made, part);
    if (*result == 0)
        return (uint64_t)made;
    unmap((uint64_t)made, part);
    return 0;
}

/* ---- anew ---- */

/* By a third view, which can be written whatever the program may do. */
static long refresh_part(uint64_t alias, uint64_t kept, uint64_t part, const struct mapping *of_kept)
{
    long view = system_call6(SYS_mremap, (long)alias, 0, (long)part, MREMAP_MAYMOVE, 0, 0);
    if (system_call_failed(view))
        return view;
    long result = protect((uint64_t)view, part, PROT_READ | PROT_WRITE);
    if (result == 0)
        result = system_call3(SYS_madvise, view, (long)part, MADV_REMOVE);
    if (result == 0 && of_kept->file)
        result = copy_part(kept, (uint64_t)view, part, of_kept->protection);
    unmap((uint64_t)view, part);
    return result;
}

long platform_adopt_refresh(const struct adoption *adoption)
{
    const uint64_t end = adoption->alias + adoption->size;
    struct mapping of_alias, of_kept;
    uint64_t part, of_both;
    long result = 0;
    for (uint64_t alias = adoption->alias; alias < end && result == 0; alias += of_both) {
        const uint64_t kept = alias - adoption->alias + adoption->kept;
        if (!find_part(alias, end, &of_alias, &part) || !find_part(kept, kept + part, &of_kept, &of_both))
            return -ENOENT;
        if (!of_kept.is_shared)
            result = refresh_part(alias, kept, of_both, &of_kept);
    }
    return result;
}

/* ---- in a child ---- */

/* Both views of a part, of which each has had one protection. */
static long renew_part(uint64_t at, uint64_t alias, uint64_t part, int of_view, int of_alias)
{
    long result = 0;
    if (!(of_alias & PROT_READ))
        result = protect(alias, part, PROT_READ);
    uint64_t made = result == 0 ? copy_of(alias, part, &result) : 0;
    if (!made)
        return result;
    result = move(made, 0, part, at);
    if (result == 0)
        result = protect(at, part, of_view);
    if (result == 0)
        result = protect(made, part, of_alias);
    if (result == 0)
        result = move(made, part, part, alias);
    if (result != 0)
        unmap(made, part);
    return result;
}

static long renew(const struct adoption *adoption)
{
    const uint64_t end = adoption->at + adoption->size;
    struct mapping of_view, of_alias, of_kept;
    uint64_t part, of_both, of_all;
    long result = 0;
    for (uint64_t at = adoption->at; at < end && result == 0; at += of_all) {
        const uint64_t offset = at - adoption->at, alias = offset + adoption->alias, kept = offset + adoption->kept;
        if (!find_part(at, end, &of_view, &part) || !find_part(alias, alias + part, &of_alias, &of_both) ||
            !find_part(kept, kept + of_both, &of_kept, &of_all))
            return -ENOENT;
        if (!of_kept.is_shared)
            result = renew_part(at, alias, of_all, of_view.protection, of_alias.protection);
    }
    return result;
}

/* A process that has more addresses than its limit gets none, not even in place of others. */
static void make_inaccessible(uint64_t at, uint64_t size)
{
    if (system_call_failed(map(at, size, PROT_NONE, MAP_PRIVATE | MAP_FIXED)))
        protect(at, size, PROT_NONE);
}

void platform_adopt_anew(const struct adoption *adoption)
{
    if (renew(adoption) == 0)
        return;
    make_inaccessible(adoption->at, adoption->size);
    make_inaccessible(adoption->alias, adoption->size);
}
