/* stack_linux.c: leaves the strings where the kernel has put them: so the program finds them in one piece, as it does
 * natively, and may overwrite them to change its name in lists of processes.
 *
 * SOURCES: System V ABI for x86-64, 3.4.1; Linux fs/binfmt_elf.c create_elf_tables; prctl(2) PR_SET_MM_MAP, which needs
 * no privilege. */
#include "stack.h"

#include <elf.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/linux/abi.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

/* Stack left for the calls that follow. */
#define DISTANCE 32768

static size_t count_pointers(char **list)
{
    size_t number = 0;
    while (list[number])
        number++;
    return number;
}

/* The auxiliary vector that the kernel made for the host comes after the environment. */
static const Elf64_auxv_t *own_vector(char **environment)
{
    return (const Elf64_auxv_t *)(const void *)(environment + count_pointers(environment) + 1);
}

static uint64_t vector_value(const Elf64_auxv_t *entry, const char *path, const struct image *image)
{
    switch (entry->a_type) {
    case AT_PHDR:
        return image->headers;
    case AT_PHNUM:
        return image->header_count;
    case AT_BASE:
        return image->interpreter;
    case AT_ENTRY:
        return image->entry;
    case AT_EXECFN:
        return (uint64_t)(uintptr_t)path;
    case AT_HWCAP2:
        /* The program must not set the FS base. */
        return entry->a_un.a_val & ~(uint64_t)HWCAP2_FSGSBASE;
    default:
        return entry->a_un.a_val;
    }
}

static uint64_t *put_arguments(uint64_t *at, char **list)
{
    while (*list)
        *at++ = (uint64_t)(uintptr_t)*list++;
    *at++ = 0;
    return at;
}

/* The host's start may have replaced a string of the environment (GLIBC_TUNABLES): the program must get its own.
 * Strings follow one another from `string` on. Returns their end. */
static const char *put_environment(uint64_t **at, char **list, const char *string)
{
    for (; *list; list++) {
        *(*at)++ = (uint64_t)(uintptr_t)string;
        string += strlen(string) + 1;
    }
    *(*at)++ = 0;
    return string;
}

static uint64_t arguments_end(char **list)
{
    const char *end = *list;
    for (; *list; list++)
        end = *list + strlen(*list) + 1;
    return (uint64_t)(uintptr_t)end;
}

/* ps and pidof then show the program's arguments, and not the host's before them; and its code and data. If the kernel
 * refuses, they show the host's. */
static void set_shown_arguments(char **arguments, const char *strings, const char *strings_end, uint64_t pointer,
                                const Elf64_auxv_t *vector, size_t entries, const struct image *image)
{
    uint64_t heap = (uint64_t)system_call3(SYS_brk, 0, 0, 0);
    struct prctl_mm_map map = {
        .start_code = image->code_start,
        .end_code = image->code_end,
        .start_stack = pointer,
        .start_data = image->data_start,
        .end_data = image->data_end,
        .start_brk = heap,
        .brk = heap,
        .arg_start = (uint64_t)(uintptr_t)arguments[0],
        .arg_end = arguments_end(arguments),
        .env_start = (uint64_t)(uintptr_t)strings,
        .env_end = (uint64_t)(uintptr_t)strings_end,
        .auxv = (__u64 *)(uintptr_t)vector,
        .auxv_size = (uint32_t)(entries * sizeof *vector),
        .exe_fd = UINT32_MAX,
    };
    if (arguments[0])
        prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}

uint64_t stack_build(char **arguments, char **environment, const char *strings, const char *path,
                     const struct image *image)
{
    const Elf64_auxv_t *vector = own_vector(environment);
    size_t entries = 0;
    while (vector[entries++].a_type != AT_NULL)
        continue;
    size_t words = 1 + count_pointers(arguments) + 1 + count_pointers(environment) + 1 + 2 * entries;
    uint64_t top = (uint64_t)(uintptr_t)__builtin_frame_address(0) - DISTANCE;
    uint64_t pointer = (top - words * 8) & -(uint64_t)16, *at = (uint64_t *)(uintptr_t)pointer;
    *at++ = count_pointers(arguments);
    at = put_arguments(at, arguments);
    const char *strings_end = put_environment(&at, environment, strings);
    for (size_t i = 0; i < entries; i++) {
        *at++ = vector[i].a_type;
        *at++ = vector_value(&vector[i], path, image);
    }
    set_shown_arguments(arguments, strings, strings_end, pointer,
                        (const Elf64_auxv_t *)(const void *)(at - 2 * entries), entries, image);
    if (image->executable_stack)
        mprotect((void *)(uintptr_t)(pointer & -(uint64_t)4096), 4096,
                 PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
    return pointer;
}
