/* file.c: see file.h. */
#include "file.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* The most of a script's first line that the kernel reads (BINPRM_BUF_SIZE), and scripts that interpret scripts. */
#define SCRIPT_LINE 257
#define SCRIPTS 6u

/* Whether some program header is an interpreter: the loader, which preloads. */
static bool has_interpreter(int file, const Elf64_Ehdr *header)
{
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr part;
        off_t at = (off_t)(header->e_phoff + i * sizeof part);
        if (pread(file, &part, sizeof part, at) == (ssize_t)sizeof part && part.p_type == PT_INTERP)
            return true;
    }
    return false;
}

static enum file_kind kind_of(int file, const Elf64_Ehdr *header)
{
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64)
        return FILE_FOREIGN;
    return has_interpreter(file, header) ? FILE_DYNAMIC : FILE_STATIC;
}

/* The interpreter in a script's first line. False if it has none. */
static bool find_script_interpreter(int file, char *path, size_t size)
{
    const ssize_t length = pread(file, path, size - 1, 0);
    if (length < 2 || memcmp(path, "#!", 2) != 0)
        return false;
    path[length] = 0;
    const size_t blanks = 2 + strspn(path + 2, " \t"), held = strcspn(path + blanks, " \t\n");
    memmove(path, path + blanks, held);
    path[held] = 0;
    return held > 0;
}

static enum file_kind kind_of_file(int file, char *path, size_t size)
{
    Elf64_Ehdr header;
    path[0] = 0;
    if (pread(file, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        memcmp(header.e_ident, ELFMAG, SELFMAG) == 0)
        return kind_of(file, &header);
    if (!find_script_interpreter(file, path, size))
        path[0] = 0;
    return FILE_OTHER;
}

enum file_kind file_kind(const char *path)
{
    char interpreter[SCRIPT_LINE] = "";
    enum file_kind kind = FILE_OTHER;
    for (unsigned i = 0; i < SCRIPTS && kind == FILE_OTHER; i++) {
        int file = open(i == 0 ? path : interpreter, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            break;
        kind = kind_of_file(file, interpreter, sizeof interpreter);
        close(file);
        if (!interpreter[0])
            break;
    }
    return kind;
}
