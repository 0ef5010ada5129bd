/* loader_linux.c: SOURCES: System V ABI, chapter 5 (program loading); Linux fs/binfmt_elf.c (rounding, the zeroes
 * behind the data, where the program header is told to be). */
#include "loader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

#define PAGE 4096
#define PROGRAM_HEADERS 64
#define PATH_SIZE 4096

/* An open file and its headers. */
struct file {
    const char *path;
    int descriptor;
    Elf64_Ehdr header;
    Elf64_Phdr segments[PROGRAM_HEADERS];
    /* What is added to its addresses. */
    uint64_t bias;
};

static _Noreturn void fail(const char *path, const char *why)
{
    report_message("cannot run %s: %s", path, why);
    _exit(EXIT_NOT_EXECUTABLE);
}

static _Noreturn void fail_interpreter(const char *path, const char *interpreter, int error)
{
    report_message("cannot run %s: its interpreter %s: %s", path, interpreter, strerror(error));
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* Whether all that is to be mapped is there. */
static bool is_whole(const struct file *file)
{
    struct stat status;
    if (fstat(file->descriptor, &status) != 0)
        return false;
    for (unsigned i = 0; i < file->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &file->segments[i];
        uint64_t size = (uint64_t)status.st_size;
        if (segment->p_type == PT_LOAD && (segment->p_offset > size || segment->p_filesz > size - segment->p_offset))
            return false;
    }
    return true;
}

static void open_file(const char *path, struct file *file)
{
    Elf64_Ehdr *header = &file->header;
    file->path = path;
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (file->descriptor < 0)
        fail(path, strerror(errno));
    if (pread(file->descriptor, header, sizeof *header, 0) != sizeof *header ||
        memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        fail(path, "it is no ELF file");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64)
        fail(path, "it is not for x86-64");
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        fail(path, "it is no program");
    ssize_t size = (ssize_t)(header->e_phnum * sizeof(Elf64_Phdr));
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > PROGRAM_HEADERS ||
        pread(file->descriptor, file->segments, (size_t)size, (off_t)header->e_phoff) != size)
        fail(path, "its program header cannot be read");
    if (!is_whole(file))
        fail(path, "it is cut off");
}

static uint64_t page_down(uint64_t address)
{
    return address & -(uint64_t)PAGE;
}

static uint64_t page_up(uint64_t address)
{
    return page_down(address + PAGE - 1);
}

static int protection_of(const Elf64_Phdr *segment)
{
    return (segment->p_flags & PF_R ? PROT_READ : 0) | (segment->p_flags & PF_W ? PROT_WRITE : 0) |
           (segment->p_flags & PF_X ? PROT_EXEC : 0);
}

/* Room for all of the segments, where the file wants it or anywhere. */
static void reserve(struct file *file)
{
    uint64_t start = UINT64_MAX, end = 0, alignment = PAGE;
    for (unsigned i = 0; i < file->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &file->segments[i];
        if (segment->p_type != PT_LOAD)
            continue;
        start = segment->p_vaddr < start ? segment->p_vaddr : start;
        end = segment->p_vaddr + segment->p_memsz > end ? segment->p_vaddr + segment->p_memsz : end;
        if (segment->p_align > alignment && !(segment->p_align & (segment->p_align - 1)))
            alignment = segment->p_align;
    }
    if (start >= end)
        fail(file->path, "it has nothing to load");
    start = page_down(start);
    uint64_t size = page_up(end) - start;
    bool is_fixed = file->header.e_type == ET_EXEC;
    uint64_t more = is_fixed || alignment == PAGE ? 0 : alignment;
    char *at = mmap(is_fixed ? (void *)(uintptr_t)start : NULL, size + more, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (is_fixed ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    if (at == MAP_FAILED)
        fail(file->path, is_fixed ? "its addresses are not free" : strerror(errno));
    uint64_t held = (uint64_t)(uintptr_t)at, aligned = more ? (held + more - 1) & -alignment : held;
    if (aligned > held)
        munmap(at, aligned - held);
    if (held + size + more > aligned + size)
        munmap((void *)(uintptr_t)(aligned + size), held + more - aligned);
    file->bias = aligned - start;
}

static void map_segment(const struct file *file, const Elf64_Phdr *segment)
{
    uint64_t start = file->bias + segment->p_vaddr, data_end = start + segment->p_filesz;
    uint64_t first = page_down(start), file_pages = page_up(data_end), end = page_up(start + segment->p_memsz);
    int protection = protection_of(segment);
    if (segment->p_filesz && mmap((void *)(uintptr_t)first, file_pages - first, protection, MAP_PRIVATE | MAP_FIXED,
                                  file->descriptor, (off_t)(segment->p_offset - (start - first))) == MAP_FAILED)
        fail(file->path, strerror(errno));
    if (!segment->p_filesz)
        file_pages = first;
    if (segment->p_memsz > segment->p_filesz && segment->p_filesz && (protection & PROT_WRITE))
        memset((void *)(uintptr_t)data_end, 0, (end < file_pages ? end : file_pages) - data_end);
    if (end > file_pages && mmap((void *)(uintptr_t)file_pages, end - file_pages, protection,
                                 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        fail(file->path, strerror(errno));
}

static void map_file(struct file *file)
{
    reserve(file);
    for (unsigned i = 0; i < file->header.e_phnum; i++)
        if (file->segments[i].p_type == PT_LOAD)
            map_segment(file, &file->segments[i]);
    close(file->descriptor);
}

/* The interpreter's path; an empty string without one. */
static void read_interpreter(const struct file *file, char *path, size_t capacity)
{
    *path = 0;
    for (unsigned i = 0; i < file->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &file->segments[i];
        if (segment->p_type != PT_INTERP)
            continue;
        if (segment->p_filesz < 2 || segment->p_filesz > capacity ||
            pread(file->descriptor, path, segment->p_filesz, (off_t)segment->p_offset) != (ssize_t)segment->p_filesz ||
            path[segment->p_filesz - 1] != 0)
            fail(file->path, "the name of its interpreter cannot be read");
    }
}

/* Where the program header stands in memory. */
static uint64_t headers_of(const struct file *file)
{
    uint64_t offset = file->header.e_phoff;
    for (unsigned i = 0; i < file->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &file->segments[i];
        if (segment->p_type == PT_LOAD && offset - segment->p_offset < segment->p_filesz)
            return file->bias + segment->p_vaddr + (offset - segment->p_offset);
    }
    return 0;
}

void loader_map(const char *path, struct image *image)
{
    static struct file program, interpreter;
    static char interpreter_path[PATH_SIZE];
    open_file(path, &program);
    read_interpreter(&program, interpreter_path, sizeof interpreter_path);
    map_file(&program);
    *image = (struct image){
        .entry = program.bias + program.header.e_entry,
        .headers = headers_of(&program),
        .header_count = program.header.e_phnum,
    };
    image->start = image->entry;
    for (unsigned i = 0; i < program.header.e_phnum; i++)
        if (program.segments[i].p_type == PT_GNU_STACK)
            image->executable_stack = program.segments[i].p_flags & PF_X;
    if (!*interpreter_path)
        return;
    if (access(interpreter_path, X_OK) != 0)
        fail_interpreter(path, interpreter_path, errno);
    open_file(interpreter_path, &interpreter);
    map_file(&interpreter);
    image->interpreter = interpreter.bias;
    image->start = interpreter.bias + interpreter.header.e_entry;
}
