/* stack_linux.c: the strings stay where the kernel has put them: so the program has them in one piece, as it would, and
 * may write over them to be listed by another name.
 *
 * SOURCES: System V ABI for x86-64, 3.4.1; Linux fs/binfmt_elf.c create_elf_tables; prctl(2) PR_SET_MM_MAP, which needs
 * no privilege. */
#include "stack.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "environment.h"
#include "report.h"

/* Left for the calls that are still to be made. */
#define DISTANCE 32768
#define FSGSBASE 2u
#define RANDOM_SIZE 16

static size_t count_pointers(char **list)
{
    size_t number = 0;
    while (list[number])
        number++;
    return number;
}

/* Behind the environment is the vector that the kernel made for us. */
static const Elf64_auxv_t *own_vector(char **environment)
{
    return (const Elf64_auxv_t *)(const void *)(environment + count_pointers(environment) + 1);
}

static uint64_t told(const Elf64_auxv_t *entry, const char *path, const struct image *image, uint64_t random)
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
    case AT_RANDOM:
        return random;
    case AT_HWCAP2:
        /* It may not set the base of FS. */
        return entry->a_un.a_val & ~(uint64_t)FSGSBASE;
    default:
        return entry->a_un.a_val;
    }
}

static uint64_t *put_strings(uint64_t *at, char **list)
{
    for (; *list; list++) {
        bool is_hidden = strncmp(*list, ENVIRONMENT_PREFIX, sizeof ENVIRONMENT_PREFIX - 1) == 0;
        *at++ = (uint64_t)(uintptr_t)(*list + (is_hidden ? sizeof ENVIRONMENT_PREFIX - 1 : 0));
    }
    *at++ = 0;
    return at;
}

/* A field of /proc/self/stat, counted from 1 as in proc(5); they begin behind the name's last bracket, with the third.
 */
static uint64_t read_field(const char *text, unsigned number)
{
    const char *at = strrchr(text, ')');
    for (unsigned field = 3; at && field <= number; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

/* ps and pidof see the program's arguments, and not the host's before them. A kernel that does not let us leaves them.
 */
static void tell_arguments(char **arguments, const Elf64_auxv_t *vector, size_t entries)
{
    char text[1024] = {0};
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0 || !arguments[0])
        return;
    struct prctl_mm_map map = {
        .start_code = read_field(text, 26),
        .end_code = read_field(text, 27),
        .start_stack = read_field(text, 28),
        .start_data = read_field(text, 45),
        .end_data = read_field(text, 46),
        .start_brk = read_field(text, 47),
        .brk = (uint64_t)(uintptr_t)sbrk(0),
        .arg_start = (uint64_t)(uintptr_t)arguments[0],
        .arg_end = read_field(text, 49),
        .env_start = read_field(text, 50),
        .env_end = read_field(text, 51),
        .auxv = (__u64 *)(uintptr_t)vector,
        .auxv_size = (uint32_t)(entries * sizeof *vector),
        .exe_fd = UINT32_MAX,
    };
    prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}

uint64_t stack_build(char **arguments, char **environment, const char *path, const struct image *image)
{
    const Elf64_auxv_t *vector = own_vector(environment);
    size_t entries = 0;
    while (vector[entries++].a_type != AT_NULL)
        continue;
    size_t words = 1 + count_pointers(arguments) + 1 + count_pointers(environment) + 1 + 2 * entries;
    uint64_t random = ((uint64_t)(uintptr_t)__builtin_frame_address(0) - DISTANCE - RANDOM_SIZE) & -(uint64_t)16;
    uint64_t pointer = (random - words * 8) & -(uint64_t)16, *at = (uint64_t *)(uintptr_t)pointer;
    if (getrandom((void *)(uintptr_t)random, RANDOM_SIZE, 0) != RANDOM_SIZE)
        report_fatal("no random bytes for the program: %s", strerror(errno));
    *at++ = count_pointers(arguments);
    at = put_strings(at, arguments);
    at = put_strings(at, environment);
    for (size_t i = 0; i < entries; i++) {
        *at++ = vector[i].a_type;
        *at++ = told(&vector[i], path, image, random);
    }
    tell_arguments(arguments, (const Elf64_auxv_t *)(const void *)(at - 2 * entries), entries);
    if (image->executable_stack)
        mprotect((void *)(uintptr_t)(pointer & -(uint64_t)4096), 4096,
                 PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
    return pointer;
}
