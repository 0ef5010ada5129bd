/* target_linux.c: SOURCES: execve(2), execveat(2); Linux 6.1 fs/exec.c (do_open_execat, alloc_bprm, exec_binprm),
 * fs/binfmt_script.c, fs/binfmt_elf.c (load_elf_binary up to begin_new_exec, load_elf_phdrs). */
#include "target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tools/run/host/report.h"
#include "tools/run/options/settings.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/number.h"
#include "tools/run/syscalls/services/descriptor.h"
#include "tools/run/syscalls/services/identity.h"
#include "tools/run/syscalls/services/path.h"

#define SYS_faccessat2_number 439
#define AT_EFFECTIVE 0x200
#define KNOWN_FLAGS (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)
/* The kernel reads a program header of this size (before 5.18, of a page). */
#define HEADERS_SIZE 65536
#define HEADERS_READ 32

/* ---- one file ---- */

/* Whether a program has the file open for writing, as the kernel finds out when it denies writing. Only a process that
 * may hold a lease on the file can ask. If the lease is broken in between, the signal is one that is ignored. */
static bool is_open_for_writing(int file, bool is_shared)
{
    long signal = is_shared ? system_call3(SYS_fcntl, file, F_GETSIG, 0) : 0;
    if (is_shared && system_call3(SYS_fcntl, file, F_GETLEASE, 0) != F_UNLCK)
        return false;
    system_call3(SYS_fcntl, file, F_SETSIG, SIGURG);
    long result = system_call3(SYS_fcntl, file, F_SETLEASE, F_RDLCK);
    if (result == 0)
        system_call3(SYS_fcntl, file, F_SETLEASE, F_UNLCK);
    system_call3(SYS_fcntl, file, F_SETSIG, signal);
    return result == -EAGAIN;
}

/* Checks what must hold of a program, a script, and an interpreter. `is_shared`: the program has the open file, too. */
static long check_file(int file, bool is_shared, struct stat *status)
{
    long result = system_call3(SYS_fstat, file, (long)status, 0);
    if (result < 0)
        return result;
    if (!S_ISREG(status->st_mode))
        return -EACCES;
    return is_open_for_writing(file, is_shared) ? -ETXTBSY : 0;
}

/* Opens a file that may be executed. If it may not be read, returns -EACCES and sets `is_unreadable`. */
static int open_by_path(int folder, const char *path, int flags, bool *is_unreadable)
{
    int follow = flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
    long allowed =
        system_call4(SYS_faccessat2_number, folder, (long)path, 1, AT_EFFECTIVE | (flags & AT_SYMLINK_NOFOLLOW));
    if (allowed < 0)
        return (int)allowed;
    int file = descriptor_open(folder, path, O_NONBLOCK | O_NOCTTY | follow);
    *is_unreadable = file == -EACCES;
    return file;
}

/* Opens the same file by another descriptor, since it may have no path. A descriptor that was opened for its path alone
 * (O_PATH) cannot be read; then the file is opened anew. */
static int open_by_descriptor(int descriptor, bool *is_unreadable)
{
    char link[40] = "/proc/self/fd/", byte;
    long allowed = system_call4(SYS_faccessat2_number, descriptor, (long)"", 1, AT_EFFECTIVE | AT_EMPTY_PATH);
    if (allowed < 0)
        return (int)allowed;
    if (system_call4(SYS_pread64, descriptor, (long)&byte, 0, 0) == 0)
        return (int)system_call3(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, 0);
    number_write(link + strlen(link), (unsigned)descriptor);
    int file = descriptor_open(AT_FDCWD, link, O_NONBLOCK | O_NOCTTY);
    *is_unreadable = file == -EACCES;
    return file;
}

static long read_at(int file, void *to, size_t size, uint64_t offset)
{
    long got = system_call4(SYS_pread64, file, (long)to, (long)size, (long)offset);
    return got < 0 ? got : got == (long)size ? 0 : -EIO;
}

/* ---- an ELF file ---- */

/* Whether a file for this processor has a program header that can be read. */
static bool has_headers(int file, const Elf64_Ehdr *header)
{
    size_t size = header->e_phnum * sizeof(Elf64_Phdr);
    char last;
    return header->e_phentsize == sizeof(Elf64_Phdr) && size > 0 && size <= HEADERS_SIZE &&
           header->e_phoff <= INT64_MAX - size && read_at(file, &last, 1, header->e_phoff + size - 1) == 0;
}

/* Finds the segment that names the program's interpreter. False without one. */
static bool find_interpreter(int file, const Elf64_Ehdr *header, Elf64_Phdr *found)
{
    Elf64_Phdr segments[HEADERS_READ];
    for (unsigned i = 0; i < header->e_phnum; i++) {
        unsigned at = i % HEADERS_READ, left = header->e_phnum - i;
        if (at == 0 && read_at(file, segments, (left < HEADERS_READ ? left : HEADERS_READ) * sizeof *segments,
                               header->e_phoff + i * sizeof *segments) < 0)
            return false;
        *found = segments[at];
        if (found->p_type == PT_INTERP)
            return true;
    }
    return false;
}

static bool is_ours(const Elf64_Ehdr *header)
{
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
           header->e_machine == EM_X86_64;
}

static long check_interpreter(int file)
{
    struct stat status;
    Elf64_Ehdr header;
    long result = check_file(file, false, &status);
    if (result == 0)
        result = read_at(file, &header, sizeof header, 0);
    if (result == 0 && (!is_ours(&header) || !has_headers(file, &header)))
        result = -ELIBBAD;
    return result;
}

/* If there is a descriptor for only one of the two, checks the interpreter, then opens the program again; the host
 * opens the interpreter later. */
static long open_one_by_one(struct target *target, const char *path)
{
    bool is_unreadable = false;
    if (target->is_shared)
        return -EMFILE;
    system_call3(SYS_close, target->file, 0, 0);
    target->file = -1;
    int file = open_by_path(AT_FDCWD, path, 0, &is_unreadable);
    long result = is_unreadable ? TARGET_ALONE : file < 0 ? file : check_interpreter(file);
    if (file >= 0)
        system_call3(SYS_close, file, 0, 0);
    if (result == 0)
        target->file = open_by_path(target->folder, target->opened, 0, &is_unreadable);
    return result == 0 && target->file < 0 ? target->file : result;
}

static long open_interpreter(struct target *target, const char *path)
{
    bool is_unreadable = false;
    target->missing = path;
    /* An empty name means the folder itself to the kernel. */
    if (!*path)
        return -EACCES;
    int file = open_by_path(AT_FDCWD, path, 0, &is_unreadable);
    long result;
    if (file == -EMFILE) {
        result = open_one_by_one(target, path);
    } else {
        result = is_unreadable ? TARGET_ALONE : file < 0 ? file : check_interpreter(file);
        target->interpreter = file;
    }
    if (result == 0)
        target->missing = NULL;
    return result;
}

static long check_program(struct target *target, const Elf64_Ehdr *header)
{
    Elf64_Phdr segment;
    char *path = target->program_interpreter;
    target->why = "it is not a program";
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return -ENOEXEC;
    target->why = "its program header cannot be read";
    if (!has_headers(target->file, header))
        return -ENOEXEC;
    target->why = NULL;
    if (!find_interpreter(target->file, header, &segment))
        return 0;
    target->why = "the name of its interpreter cannot be read";
    if (segment.p_filesz > sizeof target->program_interpreter || segment.p_filesz < 2)
        return -ENOEXEC;
    long result = read_at(target->file, path, segment.p_filesz, segment.p_offset);
    if (result < 0)
        return result;
    if (path[segment.p_filesz - 1])
        return -ENOEXEC;
    target->why = NULL;
    return open_interpreter(target, path);
}

static long refuse_gain(struct target *target, const struct stat *status)
{
    const char *why = identity_gain(target->file, status);
    if (!why)
        return 0;
    report_message("%s %s", target->path, why);
    target->why = why;
    return -EPERM;
}

static long look_at_elf(struct target *target, const Elf64_Ehdr *header, const struct stat *status)
{
    if (is_ours(header)) {
        long result = refuse_gain(target, status);
        return result < 0 ? result : check_program(target, header);
    }
    if (header->e_ident[EI_CLASS] == ELFCLASS32 && (header->e_machine == EM_386 || header->e_machine == EM_X86_64))
        report_message("%s is not a program for x86-64: it runs natively", target->path);
    target->why = "it is not for x86-64";
    return TARGET_ALONE;
}

/* ---- all of it ---- */

/* Continues with the interpreter of the script that was found. */
static void take_interpreter(struct target *target, const char *interpreter, const char *argument)
{
    target->is_script = true;
    if (argument)
        strcpy(target->words[target->word_count++], argument);
    target->path = strcpy(target->words[target->word_count++], interpreter);
}

/* Checks the open file, or the script's interpreter, and so on. */
static long look(struct target *target)
{
    for (unsigned depth = 0;; depth++) {
        char head[SCRIPT_HEAD + 1] = {0}, *interpreter, *argument;
        struct stat status;
        bool is_unreadable = false;
        if (depth > SCRIPT_DEPTH)
            return -ELOOP;
        long result = check_file(target->file, depth == 0 && target->is_shared, &status);
        if (result == 0)
            result = system_call4(SYS_pread64, target->file, (long)head, SCRIPT_HEAD, 0);
        if (result < 0)
            return result;
        target->missing = NULL;
        if (memcmp(head, ELFMAG, SELFMAG) == 0)
            return look_at_elf(target, (const Elf64_Ehdr *)(const void *)head, &status);
        target->why = "it is neither an ELF file nor a script with an interpreter (#!); a shell may be able to run it: "
                      "segue run sh FILE";
        if (!script_split(head, &interpreter, &argument))
            return TARGET_ALONE;
        target->why = NULL;
        if (target->is_closed)
            return -ENOENT;
        take_interpreter(target, interpreter, argument);
        target->missing = target->path;
        system_call3(SYS_close, target->file, 0, 0);
        const char *opened = path_is_own_program(AT_FDCWD, interpreter) ? settings.own_path : interpreter;
        target->folder = AT_FDCWD;
        target->opened = opened == settings.own_path ? opened : target->path;
        target->file = open_by_path(AT_FDCWD, opened, 0, &is_unreadable);
        if (target->file < 0)
            return is_unreadable ? TARGET_ALONE : target->file;
    }
}

/* Names a file without a path of its own as the kernel does. */
static void name(struct target *target, int folder, const char *path)
{
    char *at = target->name;
    if (*path != '/' && folder != AT_FDCWD) {
        strcpy(at, "/dev/fd/");
        at = number_write(at + strlen(at), (unsigned)folder);
        if (*path)
            *at++ = '/';
        *at = 0;
    }
    size_t held = (size_t)(at - target->name);
    size_t length = strnlen(path, sizeof target->name - 1 - held);
    memcpy(at, path, length);
    at[length] = 0;
}

static long open_target(int folder, const char *path, int flags, bool *is_unreadable)
{
    if (*path && path_is_own_program(folder, path) && !(flags & AT_SYMLINK_NOFOLLOW))
        return open_by_path(AT_FDCWD, settings.own_path, 0, is_unreadable);
    if (*path)
        return open_by_path(folder, path, flags, is_unreadable);
    if (!(flags & AT_EMPTY_PATH))
        return -ENOENT;
    if (folder == AT_FDCWD)
        return -EACCES;
    return open_by_descriptor(folder, is_unreadable);
}

long target_find(struct target *target, int folder, const char *path, int flags)
{
    bool is_unreadable = false;
    target->file = target->interpreter = -1;
    target->word_count = 0;
    target->is_script = target->is_closed = false;
    target->is_shared = !*path;
    target->folder = folder;
    target->opened = path;
    target->missing = target->why = NULL;
    if (flags & ~KNOWN_FLAGS)
        return -EINVAL;
    if (*path == '/')
        folder = AT_FDCWD;
    name(target, folder, path);
    target->path = target->name;
    if (folder != AT_FDCWD)
        target->is_closed = system_call3(SYS_fcntl, folder, F_GETFD, 0) == FD_CLOEXEC;
    target->file = (int)open_target(folder, path, flags, &is_unreadable);
    long result = is_unreadable ? TARGET_ALONE : target->file < 0 ? target->file : look(target);
    if (result == TARGET_ALONE && (target->file == -EACCES || target->interpreter == -EACCES))
        target->why = TARGET_UNREADABLE;
    if (result != TARGET_FOUND)
        target_close(target);
    return result;
}

void target_close(struct target *target)
{
    if (target->file >= 0)
        system_call3(SYS_close, target->file, 0, 0);
    if (target->interpreter >= 0)
        system_call3(SYS_close, target->interpreter, 0, 0);
    target->file = target->interpreter = -1;
}
