/* maps_linux.c: SOURCES: proc(5) (maps: a descriptor shows the memory of the process that opened it). */
#include "maps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/descriptor.h"

/* The descriptor, the process whose list it shows, and its identity, in case the program has put another file there. */
static struct {
    int file, process;
    uint64_t device, inode;
} kept = {.file = -1};

static int open_list(void)
{
    return (int)system_call4(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0);
}

static bool is_ours(void)
{
    struct stat status;
    return kept.file >= 0 && system_call3(SYS_fstat, kept.file, (long)&status, 0) == 0 &&
           status.st_dev == kept.device && status.st_ino == kept.inode;
}

void maps_keep(void)
{
    struct stat status;
    /* It shows the parent's list. */
    if (is_ours())
        system_call3(SYS_close, kept.file, 0, 0);
    kept.file = -1;
    int file = descriptor_lift(open_list());
    if (file < 0)
        return;
    if (system_call3(SYS_fstat, file, (long)&status, 0) != 0) {
        system_call3(SYS_close, file, 0, 0);
        return;
    }
    kept.file = file;
    kept.process = (int)system_call3(SYS_getpid, 0, 0, 0);
    kept.device = status.st_dev;
    kept.inode = status.st_ino;
}

void maps_forget(void)
{
    kept.file = -1;
}

static bool is_kept(void)
{
    return kept.process == system_call3(SYS_getpid, 0, 0, 0) && is_ours() &&
           system_call3(SYS_lseek, kept.file, 0, SEEK_SET) == 0;
}

bool maps_open(struct maps *maps)
{
    maps->at = maps->held = 0;
    maps->is_kept = is_kept();
    maps->file = maps->is_kept ? kept.file : open_list();
    return maps->file >= 0;
}

void maps_close(struct maps *maps)
{
    /* The number alone does not identify it: a process that shares only memory may have opened another file with the
     * same number. */
    if (!maps->is_kept)
        system_call3(SYS_close, maps->file, 0, 0);
}

static int next(struct maps *maps)
{
    if (maps->at == maps->held) {
        long got = system_call3(SYS_read, maps->file, (long)maps->piece, sizeof maps->piece);
        if (got <= 0)
            return -1;
        maps->held = (size_t)got;
        maps->at = 0;
    }
    return (unsigned char)maps->piece[maps->at++];
}

/* Reads a number in hex or decimal, and skips the character that ends it. */
static uint64_t read_number(struct maps *maps, unsigned base)
{
    uint64_t number = 0;
    for (;;) {
        int character = next(maps);
        unsigned digit = UINT32_MAX;
        if (character >= '0' && character <= '9')
            digit = (unsigned)character - '0';
        else if (character >= 'a' && character <= 'f')
            digit = (unsigned)character - 'a' + 10;
        if (digit >= base)
            return number;
        number = number * base + digit;
    }
}

/* start-end perms offset major:minor inode path */
bool maps_next(struct maps *maps, struct mapping *mapping)
{
    int character = next(maps);
    if (character < 0)
        return false;
    maps->at--;
    mapping->start = read_number(maps, 16);
    mapping->end = read_number(maps, 16);
    mapping->protection = next(maps) == 'r' ? PROT_READ : 0;
    mapping->protection |= next(maps) == 'w' ? PROT_WRITE : 0;
    mapping->protection |= next(maps) == 'x' ? PROT_EXEC : 0;
    mapping->is_shared = next(maps) == 's';
    next(maps);
    mapping->offset = read_number(maps, 16);
    uint64_t major = read_number(maps, 16), minor = read_number(maps, 16);
    mapping->file = read_number(maps, 10);
    if (mapping->file)
        mapping->file ^= major << 56 ^ minor << 44;
    do
        character = next(maps);
    while (character >= 0 && character != '\n');
    return true;
}

uint64_t maps_file_of(uint64_t address)
{
    struct maps maps;
    struct mapping mapping;
    uint64_t file = 0;
    if (!maps_open(&maps))
        return 0;
    while (maps_next(&maps, &mapping))
        if (address - mapping.start < mapping.end - mapping.start)
            file = mapping.file;
    maps_close(&maps);
    return file;
}
