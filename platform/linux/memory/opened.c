/* opened.c: accesses protected memory by making its pages accessible for a moment.
 *
 * SOURCES: Linux mm/mmap.c vma_is_accessible, arch/x86/mm/fault.c access_error, arch/x86/mm/pkeys.c
 * __execute_only_pkey: a page that cannot be read by a thread with the rights to all protection keys has no rights at
 * all.
 * ASSUMPTIONS: the kernel copies the bytes, and reports missing memory by an error, not by a signal. */
#if !defined(__linux__)
#error "platform/linux/memory/opened.c is specific to Linux"
#endif

#include "opened.h"

#include "decode/x86/page.h"
#include "decode/x86/processor.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "platform/linux/call.h"
#include "platform/memory/mappings.h"
#include "platform/threads/thread.h"

#define ALL_SIGNALS UINT64_MAX
/* Of PKRU: to pages of every key. */
#define ALL_RIGHTS 0

/* Whether the kernel cannot read a word of the page as the processor would. All signals are blocked already: so
 * blocking some changes nothing. */
static bool cannot_be_read(uint64_t page)
{
    return system_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)page, 0, sizeof ALL_SIGNALS) != 0;
}

/* Whether the page is PROT_NONE: not even a load succeeds. One that may only be executed has a key that the thread has
 * no rights to; it is read while the thread has them. */
static bool is_closed(uint64_t page)
{
    if (!processor_uses_keys())
        return cannot_be_read(page);
    uint32_t rights = processor_get_rights();
    processor_set_rights(ALL_RIGHTS);
    bool closed = cannot_be_read(page);
    processor_set_rights(rights);
    return closed;
}

/* The page's protection. If /proc is out of reach, for instance after chroot, only PROT_NONE pages are recognised. */
static bool find_protection(uint64_t page, struct mapping *mapping)
{
    if (mappings_find(page, mapping))
        return true;
    *mapping = (struct mapping){.protection = PROT_NONE};
    return is_closed(page);
}

static bool transfer(long call, uint64_t address, void *bytes, size_t size)
{
    struct iovec here = {bytes, size}, there = {(void *)(uintptr_t)address, size};
    long self = system_call3(SYS_getpid, 0, 0, 0);
    return system_call6(call, self, (long)&here, 1, (long)&there, 1, 0) == (long)size;
}

/* Bytes of one page. */
static bool copy_in_page(long call, uint64_t address, void *bytes, size_t size)
{
    struct mapping mapping;
    uint64_t page = address & -PAGE;
    int wanted = call == SYS_process_vm_writev ? PROT_READ | PROT_WRITE : PROT_READ;
    if (!find_protection(page, &mapping))
        return false;
    if ((mapping.protection & wanted) == wanted)
        return transfer(call, address, bytes, size);
    if (mapping.is_shared && (wanted & PROT_WRITE))
        return false;
    if (system_call3(SYS_mprotect, (long)page, PAGE, mapping.protection | wanted) != 0)
        return false;
    bool done = transfer(call, address, bytes, size);
    return system_call3(SYS_mprotect, (long)page, PAGE, mapping.protection) == 0 && done;
}

static bool copy(long call, uint64_t address, void *bytes, size_t size)
{
    uint64_t all = ALL_SIGNALS, before;
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
    bool done = platform_thread_is_alone();
    for (size_t at = 0, part; done && at < size; at += part) {
        part = (size_t)(PAGE - (address + at) % PAGE);
        part = part < size - at ? part : size - at;
        done = copy_in_page(call, address + at, (char *)bytes + at, part);
    }
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before);
    return done;
}

bool opened_read(uint64_t address, void *bytes, size_t size)
{
    return copy(SYS_process_vm_readv, address, bytes, size);
}

bool opened_write(uint64_t address, const void *bytes, size_t size)
{
    return copy(SYS_process_vm_writev, address, (void *)(uintptr_t)bytes, size);
}
