/* replaced.c: see replaced.h.
 *
 * A second private mapping of the file takes the bytes, and is then moved to where the first one is. The kernel holds
 * the lock of the mappings from before the old page is unmapped until the new one is there: page faults, which take
 * that lock, wait meanwhile. It has flushed the old page from the caches of all processors (TLB) before it puts the new
 * one in place, so no instruction is fetched half from the one and half from the other.
 *
 * SOURCES: mremap(2) MREMAP_FIXED; Linux mm/mremap.c mremap_to (do_munmap, then move_vma, under mmap_write_lock; it
 * looks before it unmaps whether the process may have so many mappings), mm/memory.c lock_mm_and_find_vma.
 * ASSUMPTIONS: no one else unmaps those pages meanwhile. */
#if !defined(__linux__)
#error "platform/linux/memory/replaced.c is specific to Linux"
#endif

#include "platform/memory/replaced.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>

#include "platform/linux/call.h"
#include "platform/memory/forced.h"
#include "platform/memory/mappings.h"

#define CODE (PROT_READ | PROT_EXEC)

/* Opens the file of the pages; less than 0 if they are not those of one that can be. */
static long open_file(uint64_t address, uint64_t size, struct mapping *mapping)
{
    static char name[PATH_MAX];
    if (!mappings_find_named(address, mapping, name, sizeof name) || mapping->end - address < size || !mapping->file ||
        mapping->is_shared || mapping->protection != CODE)
        return -1;
    long file = system_call4(SYS_openat, AT_FDCWD, (long)name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (file >= 0 && mappings_file_of((int)file) != mapping->file) {
        system_call3(SYS_close, file, 0, 0);
        return -1;
    }
    return file;
}

bool code_pages_replace(uint64_t address, uint64_t size, const void *bytes)
{
    struct mapping mapping;
    long file = forced_ready() ? open_file(address, size, &mapping) : -1;
    if (file < 0)
        return false;
    long pages = system_call6(CALL_MAP, 0, (long)size, CODE, MAP_PRIVATE, file,
                              CALL_MAP_OFFSET(mapping.offset + (address - mapping.start)));
    system_call3(SYS_close, file, 0, 0);
    if (system_call_failed(pages))
        return false;
    bool done = forced_write((unsigned long)pages, bytes, size) &&
                !system_call_failed(system_call6(SYS_mremap, pages, (long)size, (long)size,
                                                 MREMAP_MAYMOVE | MREMAP_FIXED, (long)address, 0));
    if (!done)
        system_call3(SYS_munmap, pages, (long)size, 0);
    return done;
}
