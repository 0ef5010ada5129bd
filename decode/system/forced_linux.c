/* forced_linux.c: memory reached past its protection through /proc/thread-self/mem.
 *
 * Two things can make an open descriptor lie. A child made by fork inherits one that leads to its parent's memory: so
 * the descriptor is remembered in a page that the kernel wipes in the child. A program that closes all its descriptors
 * and opens others may put a file of its own under our number: so the file is identified before each use.
 *
 * SOURCES: proc(5), madvise(2) MADV_WIPEONFORK, Linux fs/proc/base.c mem_rw and mm/gup.c FOLL_FORCE.
 * ASSUMPTIONS: reading and writing through /proc/PID/mem reaches private memory whatever its protection; a kernel may
 * forbid that (proc_mem.force_override), and then forced_prepare says so. */
#if !defined(__linux__)
#error "forced_linux.c is specific to Linux"
#endif

#include "forced.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "call_linux_x86_64.h"

/* The open file in one word, so that it is published whole: the inode number above, the descriptor plus one below.
 * Zero: none is open. It stands in a page of its own. */
#define DESCRIPTOR_BITS 20
static uint64_t *file;

/* Descriptors below this are left to the program, which may count on getting the lowest. */
#define LOWEST_DESCRIPTOR 512

static uint64_t word_of(int descriptor)
{
    struct stat status;
    if (descriptor < 0 || descriptor + 1 >= 1 << DESCRIPTOR_BITS ||
        system_call3(SYS_fstat, descriptor, (long)&status, 0) != 0)
        return 0;
    return ((status.st_ino ^ (uint64_t)status.st_dev << 32) << DESCRIPTOR_BITS) | (uint64_t)(descriptor + 1);
}

static int descriptor_of(uint64_t word)
{
    return (int)(word & ((1 << DESCRIPTOR_BITS) - 1)) - 1;
}

/* Opens the file and publishes it in place of the word `stale`. Whoever loses a race uses the winner's. By way of the
 * thread, since the process's own entry leads nowhere once its first thread has ended. */
static int open_memory_file(uint64_t stale)
{
    int low = (int)system_call4(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/mem", O_RDWR | O_CLOEXEC, 0);
    if (low < 0)
        return -1;
    int descriptor = (int)system_call3(SYS_fcntl, low, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (descriptor < 0)
        descriptor = low;
    else
        system_call3(SYS_close, low, 0, 0);
    uint64_t word = word_of(descriptor);
    if (word && __atomic_compare_exchange_n(file, &stale, word, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return descriptor;
    system_call3(SYS_close, descriptor, 0, 0);
    return word ? descriptor_of(stale) : -1;
}

static int memory_descriptor(void)
{
    if (!__atomic_load_n(&file, __ATOMIC_ACQUIRE))
        return -1;
    uint64_t word = __atomic_load_n(file, __ATOMIC_ACQUIRE);
    if (word && word_of(descriptor_of(word)) == word)
        return descriptor_of(word);
    return open_memory_file(word);
}

bool forced_read(uint64_t address, void *bytes, size_t size)
{
    int descriptor = memory_descriptor();
    return descriptor >= 0 &&
           system_call4(SYS_pread64, descriptor, (long)bytes, (long)size, (long)address) == (long)size;
}

bool forced_write(uint64_t address, const void *bytes, size_t size)
{
    int descriptor = memory_descriptor();
    return descriptor >= 0 &&
           system_call4(SYS_pwrite64, descriptor, (long)bytes, (long)size, (long)address) == (long)size;
}

/* Whether a closed page of our own can be written and read back. */
static bool works(void)
{
    static const char probe[8] = "segue\n\t";
    char copy[sizeof probe] = {0};
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    bool same = forced_write((uint64_t)page, probe, sizeof probe) && forced_read((uint64_t)page, copy, sizeof copy) &&
                __builtin_memcmp(probe, copy, sizeof probe) == 0;
    munmap(page, 4096);
    return same;
}

enum segue_status forced_prepare(void)
{
    if (!__atomic_load_n(&file, __ATOMIC_ACQUIRE)) {
        uint64_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            return SEGUE_NO_MEMORY;
        uint64_t *none = NULL;
        if (madvise(page, 4096, MADV_WIPEONFORK) != 0) {
            munmap(page, 4096);
            return SEGUE_UNSUPPORTED;
        }
        if (!__atomic_compare_exchange_n(&file, &none, page, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            munmap(page, 4096);
    }
    return works() ? SEGUE_OK : SEGUE_UNSUPPORTED;
}
