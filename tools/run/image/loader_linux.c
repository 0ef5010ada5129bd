/* loader_linux.c: SOURCES: System V ABI, chapter 5 (program loading); Linux fs/binfmt_elf.c (rounding, the zeroes
 * behind the data, the program header's address in the auxiliary vector). */
#include "loader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decode/x86/canonical.h"
#include "decode/x86/page.h"
#include "tools/run/detours/code.h"
#include "tools/run/host/report.h"
#include "tools/run/options/settings.h"
#include "tools/run/signals/actions.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/number.h"
#include "tools/run/syscalls/services/descriptor.h"

/* As many as the kernel reads. */
#define PROGRAM_HEADERS (65536 / sizeof(Elf64_Phdr))

/* An open file and its headers. */
struct file {
    const char *path;
    int descriptor;
    /* The difference between its addresses in memory and in the file. */
    uint64_t bias;
    Elf64_Ehdr header;
    Elf64_Phdr segments[PROGRAM_HEADERS];
};

/* Ends the process as the kernel does when it fails after it has given up the old program. */
static _Noreturn void die(void)
{
    static const struct action standard = {.handler = 0};
    uint64_t number = SIGNAL_BIT(SIGSEGV);
    system_call4(SYS_rt_sigaction, SIGSEGV, (long)&standard, 0, sizeof number);
    system_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&number, 0, sizeof number);
    system_call3(SYS_kill, getpid(), SIGSEGV, 0);
    _exit(128 + SIGSEGV);
}

static _Noreturn void fail(const char *path, const char *why)
{
    report_message("cannot run %s: %s", path, why);
    _exit(EXIT_NOT_EXECUTABLE);
}

/* Fails where the kernel would fail, too. */
static _Noreturn void fail_as_natively(const char *path, const char *why)
{
    if (settings.is_inherited)
        die();
    fail(path, why);
}

/* Whether the file contains everything that is to be mapped. */
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

static void open_file(const char *path, int descriptor, struct file *file)
{
    Elf64_Ehdr *header = &file->header;
    file->path = path;
    file->descriptor = descriptor;
    if (pread(descriptor, header, sizeof *header, 0) != sizeof *header ||
        memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phnum > PROGRAM_HEADERS)
        fail(path, "it is not an ELF file");
    ssize_t size = (ssize_t)(header->e_phnum * sizeof(Elf64_Phdr));
    if (pread(descriptor, file->segments, (size_t)size, (off_t)header->e_phoff) != size)
        fail(path, "its program header cannot be read");
    if (!settings.is_inherited && !is_whole(file))
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

/* Reserves room for all segments, at the file's address or anywhere. */
static void reserve(struct file *file)
{
    uint64_t start = UINT64_MAX, end = 0, alignment = PAGE;
    for (unsigned i = 0; i < file->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &file->segments[i];
        if (segment->p_type != PT_LOAD)
            continue;
        if (segment->p_filesz > segment->p_memsz || segment->p_memsz > canonical_user_end())
            fail_as_natively(file->path, "a segment has more bytes in the file than in memory, or too many");
        start = segment->p_vaddr < start ? segment->p_vaddr : start;
        end = segment->p_vaddr + segment->p_memsz > end ? segment->p_vaddr + segment->p_memsz : end;
        if (segment->p_align > alignment && !(segment->p_align & (segment->p_align - 1)))
            alignment = segment->p_align;
    }
    if (start >= end)
        fail_as_natively(file->path, "it has nothing to load");
    start = page_down(start);
    uint64_t size = page_up(end) - start;
    bool is_fixed = file->header.e_type == ET_EXEC;
    uint64_t more = is_fixed || alignment == PAGE ? 0 : alignment;
    char *at = mmap(is_fixed ? (void *)(uintptr_t)start : NULL, size + more, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (is_fixed ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    if (at == MAP_FAILED)
        (errno == EEXIST ? fail : fail_as_natively)(file->path,
                                                    errno == EEXIST ? "its addresses are not free" : strerror(errno));
    uint64_t held = (uint64_t)(uintptr_t)at, aligned = more ? (held + more - 1) & -alignment : held;
    if (aligned > held)
        munmap(at, aligned - held);
    if (held + size + more > aligned + size)
        munmap((void *)(uintptr_t)(aligned + size), held + more - aligned);
    file->bias = aligned - start;
}

/* Whether the file has the page of a byte. */
static bool is_in_file(const struct file *file, uint64_t offset)
{
    struct stat status;
    return fstat(file->descriptor, &status) == 0 && page_down(offset) < (uint64_t)status.st_size;
}

static void map_segment(const struct file *file, const Elf64_Phdr *segment)
{
    uint64_t start = file->bias + segment->p_vaddr, data_end = start + segment->p_filesz;
    uint64_t first = page_down(start), file_pages = page_up(data_end), end = page_up(start + segment->p_memsz);
    int protection = protection_of(segment);
    if (segment->p_filesz && mmap((void *)(uintptr_t)first, file_pages - first, protection, MAP_PRIVATE | MAP_FIXED,
                                  file->descriptor, (off_t)(segment->p_offset - (start - first))) == MAP_FAILED)
        fail_as_natively(file->path, strerror(errno));
    if ((protection & (PROT_WRITE | PROT_EXEC)) == PROT_EXEC && segment->p_filesz)
        code_note_file(first, file_pages, true);
    if (!segment->p_filesz)
        file_pages = first;
    if (segment->p_memsz > segment->p_filesz && segment->p_filesz && (protection & PROT_WRITE) &&
        (data_end & (PAGE - 1))) {
        if (!is_in_file(file, segment->p_offset + segment->p_filesz - 1))
            die();
        memset((void *)(uintptr_t)data_end, 0, (end < file_pages ? end : file_pages) - data_end);
    }
    if (end > file_pages && mmap((void *)(uintptr_t)file_pages, end - file_pages, protection,
                                 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        fail_as_natively(file->path, strerror(errno));
}

static void map_file(struct file *file)
{
    reserve(file);
    for (unsigned i = 0; i < file->header.e_phnum; i++)
        if (file->segments[i].p_type == PT_LOAD)
            map_segment(file, &file->segments[i]);
}

/* The program header's address in memory; if no segment contains it, the address that the kernel would report. */
static uint64_t headers_of(const struct file *file)
{
    uint64_t offset = file->header.e_phoff;
    for (unsigned i = 0; i < file->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &file->segments[i];
        if (segment->p_type == PT_LOAD && offset - segment->p_offset < segment->p_filesz)
            return file->bias + segment->p_vaddr + (offset - segment->p_offset);
    }
    return file->bias;
}

/* Finds the bounds of code and data as the kernel does. */
static void measure(const struct file *file, struct image *image)
{
    image->code_start = image->data_start = UINT64_MAX;
    for (unsigned i = 0; i < file->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &file->segments[i];
        uint64_t start = file->bias + segment->p_vaddr, end = start + segment->p_filesz;
        if (segment->p_type == PT_GNU_STACK)
            image->executable_stack = segment->p_flags & PF_X;
        if (segment->p_type != PT_LOAD)
            continue;
        if ((segment->p_flags & PF_X) && start < image->code_start)
            image->code_start = start;
        if ((segment->p_flags & PF_X) && end > image->code_end)
            image->code_end = end;
        if (image->data_start == UINT64_MAX || start > image->data_start)
            image->data_start = start;
        if (end > image->data_end)
            image->data_end = end;
    }
}

/* ---- the program's own path ---- */

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), size = strlen(end);
    return length >= size && strcmp(text + length - size, end) == 0;
}

/* Without /proc, the path is the best name that is known. */
static void make_absolute(const char *path)
{
    size_t held = 0;
    if (*path != '/' && system_call3(SYS_getcwd, (long)settings.real_path, sizeof settings.real_path - 1, 0) > 0) {
        held = strlen(settings.real_path);
        settings.real_path[held++] = '/';
    }
    size_t length = strnlen(path, sizeof settings.real_path - 1 - held);
    memcpy(settings.real_path + held, path, length);
    settings.real_path[held + length] = 0;
}

/* A file without a name (any more) is kept open, so that the program can open it as /proc/self/exe. */
static void note_paths(const struct source *source)
{
    char link[40] = "/proc/self/fd/";
    number_write(link + strlen(link), (unsigned)source->file);
    ssize_t size = readlink(link, settings.real_path, sizeof settings.real_path - 1);
    if (size > 0)
        settings.real_path[size] = 0;
    else
        make_absolute(source->path);
    strcpy(settings.own_path, settings.real_path);
    if (size <= 0 || (*settings.real_path == '/' && !ends_in(settings.real_path, " (deleted)")))
        return;
    int kept = descriptor_lift(fcntl(source->file, F_DUPFD_CLOEXEC, 0));
    strcpy(settings.own_path, "/proc/self/fd/");
    number_write(settings.own_path + strlen(settings.own_path), (unsigned)(kept < 0 ? 0 : kept));
    if (kept < 0)
        strcpy(settings.own_path, settings.real_path);
}

/* Opens the interpreter if it could not be opened beside the program, which is then closed. -1 without one. */
static int open_interpreter(const struct file *program)
{
    char path[sizeof settings.real_path];
    for (unsigned i = 0; i < program->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &program->segments[i];
        if (segment->p_type != PT_INTERP || segment->p_filesz > sizeof path ||
            pread(program->descriptor, path, segment->p_filesz, (off_t)segment->p_offset) != (ssize_t)segment->p_filesz)
            continue;
        close(program->descriptor);
        int file = descriptor_open(AT_FDCWD, path, 0);
        if (file < 0)
            fail(path, strerror(-file));
        return file;
    }
    close(program->descriptor);
    return -1;
}

static void note_loader(const struct file *file)
{
    struct image image = {0};
    measure(file, &image);
    settings.loader_start = image.code_start;
    settings.loader_end = image.code_end;
}

void loader_map(const struct source *source, struct image *image)
{
    static struct file program, interpreter;
    open_file(source->path, source->file, &program);
    map_file(&program);
    *image = (struct image){
        .entry = program.bias + program.header.e_entry,
        .headers = headers_of(&program),
        .header_count = program.header.e_phnum,
    };
    image->start = image->entry;
    measure(&program, image);
    note_paths(source);
    int behind = source->interpreter >= 0 ? source->interpreter : open_interpreter(&program);
    if (source->interpreter >= 0)
        close(source->file);
    if (behind < 0)
        return;
    open_file(source->path, behind, &interpreter);
    map_file(&interpreter);
    close(behind);
    image->interpreter = interpreter.bias;
    image->start = interpreter.bias + interpreter.header.e_entry;
    note_loader(&interpreter);
}
