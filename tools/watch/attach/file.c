/* file.c: see file.h. */
#include "file.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

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

static const char *refusal_of_elf(int file, const Elf64_Ehdr *header)
{
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64)
        return "it is not a program for x86-64";
    if (!has_interpreter(file, header))
        return "it is linked statically: nothing can be preloaded into it; link it dynamically";
    return NULL;
}

/* Any other file is a script, whose interpreter is watched. */
const char *file_refusal(const char *path)
{
    Elf64_Ehdr header;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return NULL;
    bool is_elf =
        read(file, &header, sizeof header) == (ssize_t)sizeof header && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0;
    const char *why = is_elf ? refusal_of_elf(file, &header) : NULL;
    close(file);
    return why;
}
