/* loader.c: see loader.h.
 *
 * SOURCES: Linux fs/binfmt_elf.c (load_elf_interp); System V gABI, chapter 5. */
#include "loader.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decode/x86/page.h"

#define PARTS 32

const char *loader_path(void)
{
    const Elf64_Phdr *part = (const Elf64_Phdr *)(uintptr_t)getauxval(AT_PHDR);
    const unsigned long count = getauxval(AT_PHNUM);
    uint64_t bias = 0;
    for (unsigned long i = 0; i < count; i++)
        if (part[i].p_type == PT_PHDR)
            bias = (uint64_t)(uintptr_t)part - part[i].p_vaddr;
    for (unsigned long i = 0; i < count; i++)
        if (part[i].p_type == PT_INTERP)
            return (const char *)(uintptr_t)(bias + part[i].p_vaddr);
    return NULL;
}

/* ---- its file ---- */

struct file {
    uint64_t entry, end;
    unsigned count;
    /* Those that are loaded. */
    Elf64_Phdr parts[PARTS];
};

static bool read_parts(int descriptor, struct file *file)
{
    Elf64_Ehdr header;
    if (pread(descriptor, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_DYN || header.e_phnum > PARTS ||
        pread(descriptor, file->parts, header.e_phnum * sizeof *file->parts, (off_t)header.e_phoff) !=
            (ssize_t)(header.e_phnum * sizeof *file->parts))
        return false;
    for (unsigned i = 0; i < header.e_phnum; i++)
        if (file->parts[i].p_type == PT_LOAD)
            file->parts[file->count++] = file->parts[i];
    if (!file->count)
        return false;
    const Elf64_Phdr *last = &file->parts[file->count - 1];
    file->entry = header.e_entry;
    file->end = last->p_vaddr + last->p_memsz;
    return file->parts[0].p_vaddr == 0;
}

static bool read_file(const char *path, struct file *file)
{
    *file = (struct file){.count = 0};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    const bool is_read = descriptor >= 0 && read_parts(descriptor, file);
    if (descriptor >= 0)
        close(descriptor);
    return is_read;
}

/* ---- its mappings ---- */

static uint64_t up(uint64_t address)
{
    return (address + PAGE - 1) & -(uint64_t)PAGE;
}

static long map(struct remote *remote, uint64_t address, uint64_t size, int protection, int flags, int descriptor,
                uint64_t offset)
{
    const uint64_t arguments[REMOTE_ARGUMENTS] = {
        address, size, (uint64_t)protection, (uint64_t)(MAP_PRIVATE | flags), (uint64_t)descriptor, offset};
    return remote_call(remote, SYS_mmap, arguments);
}

static int protection_of(const Elf64_Phdr *part)
{
    return (part->p_flags & PF_R ? PROT_READ : 0) | (part->p_flags & PF_W ? PROT_WRITE : 0) |
           (part->p_flags & PF_X ? PROT_EXEC : 0);
}

/* Behind a part's bytes in the file there are zeros, up to its end in memory. */
static bool map_part(struct remote *remote, const Elf64_Phdr *part, uint64_t base, int descriptor)
{
    static const char zeros[PAGE];
    const uint64_t before = part->p_vaddr % PAGE, start = base + part->p_vaddr - before;
    const uint64_t bytes = base + part->p_vaddr + part->p_filesz, end = base + part->p_vaddr + part->p_memsz;
    if (map(remote, start, up(bytes) - start, protection_of(part), MAP_FIXED, descriptor, part->p_offset - before) < 0)
        return false;
    if (part->p_memsz == part->p_filesz)
        return true;
    if (bytes % PAGE && !remote_write(remote, bytes, zeros, up(bytes) - bytes))
        return false;
    return up(end) == up(bytes) ||
           map(remote, up(bytes), up(end) - up(bytes), protection_of(part), MAP_FIXED | MAP_ANONYMOUS, -1, 0) >= 0;
}

const char *loader_map(struct remote *remote, const char *path, uint64_t remote_path, struct loader *loader)
{
    struct file file;
    if (!read_file(path, &file))
        return "the loader cannot be read";
    const uint64_t opening[REMOTE_ARGUMENTS] = {(uint64_t)AT_FDCWD, remote_path, O_RDONLY | O_CLOEXEC};
    const long descriptor = remote_call(remote, SYS_openat, opening);
    if (descriptor < 0)
        return "it cannot open the loader";
    const long base = map(remote, 0, up(file.end), PROT_NONE, MAP_ANONYMOUS, -1, 0);
    bool is_mapped = base > 0;
    for (unsigned i = 0; is_mapped && i < file.count; i++)
        is_mapped = map_part(remote, &file.parts[i], (uint64_t)base, (int)descriptor);
    const uint64_t closing[REMOTE_ARGUMENTS] = {(uint64_t)descriptor};
    remote_call(remote, SYS_close, closing);
    *loader = (struct loader){(uint64_t)base, (uint64_t)base + file.entry};
    return is_mapped ? NULL : "it has no memory for the loader";
}
