/* maps_linux.c: SOURCES: proc(5) (maps: a descriptor shows the memory of the process that opened it). */
#include "maps.h"

#include <stdio.h>
#include <sys/stat.h>

#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/services/descriptor.h"

/* The descriptor, the process whose list it shows, and its identity, in case the program has put another file there. */
static struct {
    int file, process;
    uint64_t device, inode;
} kept = {.file = -1};

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
    struct mappings list;
    int file = mappings_open(&list, NULL, 0) ? descriptor_lift(list.file) : -1;
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
    maps->is_kept = is_kept();
    if (!maps->is_kept)
        return mappings_open(&maps->list, maps->piece, sizeof maps->piece);
    mappings_begin(&maps->list, kept.file, maps->piece, sizeof maps->piece);
    return true;
}

void maps_close(struct maps *maps)
{
    /* The number alone does not identify it: a process that shares only memory may have opened another file with the
     * same number. */
    if (!maps->is_kept)
        mappings_close(&maps->list);
}

bool maps_next(struct maps *maps, struct mapping *mapping)
{
    return mappings_next(&maps->list, mapping);
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
