/* code_linux.c: writes code through the process's own memory file, which costs a third of making the page writable;
 * without that file, as after chroot, makes the page writable for the moment.
 *
 * SOURCES: proc(5) (mem), mprotect(2). ASSUMPTIONS: code that cannot be written may be read and executed. */
#include "code.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "decode/x86/page.h"
#include "tools/run/host/memory.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/services/descriptor.h"

#define TRIES 64

/* How often one process opens the file anew to keep it: threads may have descriptors of their own (unshare), and would
 * replace it in turn. */
#define REPLACED_MOST 16

/* The file, the process that opened it, and its identity, in case the program has put another file at the descriptor.
 * Processes that share memory may have descriptors of their own (CLONE_VM without CLONE_FILES): the file is kept for
 * its opener, and for the processes that inherited its descriptors; others open it for each store. */
static struct {
    int file;
    long process;
    unsigned replaced;
    uint64_t device, inode;
} kept = {.file = -1};

static bool is_ours(void)
{
    struct stat status;
    return kept.file >= 0 && system_call3(SYS_fstat, kept.file, (long)&status, 0) == 0 &&
           status.st_dev == kept.device && status.st_ino == kept.inode;
}

/* Whether a process in which it is missing may keep a new one. */
static bool may_keep(long process)
{
    if (kept.file < 0 || system_call3(SYS_kill, kept.process, 0, 0) == -ESRCH)
        return true;
    return kept.process == process && kept.replaced++ < REPLACED_MOST;
}

/* Returns the file, to be closed after the store unless it is kept: another process's may have the same number. */
static int open_file(bool *is_kept)
{
    struct stat status;
    int file = (int)system_call4(SYS_openat, AT_FDCWD, (long)"/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
    long process = system_call3(SYS_getpid, 0, 0, 0);
    file = file < 0 ? -1 : descriptor_lift(file);
    if (file < 0 || !may_keep(process) || system_call3(SYS_fstat, file, (long)&status, 0) != 0)
        return file;
    kept.file = file;
    kept.process = process;
    kept.device = status.st_dev;
    kept.inode = status.st_ino;
    *is_kept = true;
    return file;
}

void code_in_child(bool shares_descriptors)
{
    if (!shares_descriptors && is_ours())
        system_call3(SYS_close, kept.file, 0, 0);
    kept.file = -1;
    kept.replaced = 0;
}

static bool write_through_file(uint64_t address, const void *bytes, size_t size)
{
    bool is_kept = is_ours();
    int file = is_kept ? kept.file : open_file(&is_kept);
    if (file < 0)
        return false;
    long done = system_call4(SYS_pwrite64, file, (long)bytes, (long)size, (long)address);
    if (!is_kept)
        system_call3(SYS_close, file, 0, 0);
    return done == (long)size;
}

/* Another thread that has made the page writable may protect it again between this thread's look at the protection and
 * its store. */
static bool write_opened(uint64_t address, const void *bytes, size_t size)
{
    uint64_t page = address & -(uint64_t)PAGE;
    for (unsigned i = 0; i < TRIES; i++) {
        if (memory_write_freely(address, bytes, size))
            return true;
        if (system_call3(SYS_mprotect, (long)page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
            return false;
        bool done = memory_write_freely(address, bytes, size);
        system_call3(SYS_mprotect, (long)page, PAGE, PROT_READ | PROT_EXEC);
        if (done)
            return true;
    }
    return false;
}

bool code_write(uint64_t address, const void *bytes, size_t size)
{
    return write_through_file(address, bytes, size) || write_opened(address, bytes, size);
}

/* ---- code of files ---- */

#define FILES 512

static struct {
    uint64_t start, end;
    bool is_loaded;
} files[FILES];
/* How many of them have ever been in use. */
static unsigned files_used;

void code_forget(uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < files_used; i++)
        if (start < files[i].end && files[i].start < end)
            files[i].end = 0;
}

/* Without room, the code is not noted. */
void code_note_file(uint64_t start, uint64_t end, bool is_loaded)
{
    unsigned place = 0;
    while (place < files_used && files[place].end)
        place++;
    if (place == FILES)
        return;
    files[place].start = start;
    files[place].is_loaded = is_loaded;
    __atomic_store_n(&files[place].end, end, __ATOMIC_RELEASE);
    if (place == files_used)
        __atomic_store_n(&files_used, place + 1, __ATOMIC_RELEASE);
}

static bool find(uint64_t page, bool loaded)
{
    unsigned used = __atomic_load_n(&files_used, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < used; i++)
        if (page < __atomic_load_n(&files[i].end, __ATOMIC_ACQUIRE) && page >= files[i].start)
            return files[i].is_loaded || !loaded;
    return false;
}

bool code_is_of_file(uint64_t page)
{
    return find(page, false);
}

bool code_is_loaded(uint64_t page)
{
    return find(page, true);
}
