/* mappings.c: /proc/thread-self/maps, read a piece at a time, without libc.
 *
 * SOURCES: proc(5): "start-end perms offset major:minor inode path", in the order of addresses. Through the thread's
 * entry: the process's own entry is invalid once its first thread has ended. */
#if !defined(__linux__)
#error "platform/linux/memory/mappings.c is specific to Linux"
#endif

#include "platform/memory/mappings.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "platform/linux/call.h"

#define PIECE 256

/* The next character, or -1 at the end. */
static int next(struct mappings *mappings)
{
    if (mappings->at == mappings->held) {
        long got = system_call3(SYS_read, mappings->file, (long)mappings->piece, (long)mappings->size);
        if (got <= 0)
            return -1;
        mappings->held = (size_t)got;
        mappings->at = 0;
    }
    return (unsigned char)mappings->piece[mappings->at++];
}

static unsigned digit(int character)
{
    if (character >= '0' && character <= '9')
        return (unsigned)(character - '0');
    if (character >= 'a' && character <= 'f')
        return (unsigned)(character - 'a') + 10;
    return UINT32_MAX;
}

/* Reads a number and the character after it; false if that is not `end`. */
static bool read_number(struct mappings *mappings, unsigned base, int end, uint64_t *number)
{
    int character;
    *number = 0;
    while (digit(character = next(mappings)) < base)
        *number = *number * base + digit(character);
    return character == end;
}

/* Reads the rest of the line, the name with blanks before it. */
static bool read_name(struct mappings *mappings, enum mapping_growth *growth)
{
    static const char heap[] = "[heap]\n", stack[] = "[stack]\n";
    bool is_heap = true, is_stack = true;
    int character;
    do
        character = next(mappings);
    while (character == ' ');
    for (size_t i = 0; character >= 0; i++) {
        is_heap = is_heap && i < sizeof heap - 1 && character == heap[i];
        is_stack = is_stack && i < sizeof stack - 1 && character == stack[i];
        if (character == '\n')
            break;
        character = next(mappings);
    }
    *growth = is_heap ? MAPPING_IS_HEAP : is_stack ? MAPPING_IS_STACK : MAPPING_KEEPS_ITS_SIZE;
    return character == '\n';
}

bool mappings_next(struct mappings *mappings, struct mapping *mapping)
{
    uint64_t major, minor;
    if (!read_number(mappings, 16, '-', &mapping->start) || !read_number(mappings, 16, ' ', &mapping->end))
        return false;
    mapping->protection = next(mappings) == 'r' ? PROT_READ : 0;
    mapping->protection |= next(mappings) == 'w' ? PROT_WRITE : 0;
    mapping->protection |= next(mappings) == 'x' ? PROT_EXEC : 0;
    mapping->is_shared = next(mappings) == 's';
    if (next(mappings) != ' ' || !read_number(mappings, 16, ' ', &mapping->offset) ||
        !read_number(mappings, 16, ':', &major) || !read_number(mappings, 16, ' ', &minor) ||
        !read_number(mappings, 10, ' ', &mapping->file))
        return false;
    if (mapping->file)
        mapping->file ^= major << 56 ^ minor << 44;
    return read_name(mappings, &mapping->growth);
}

void mappings_begin(struct mappings *mappings, int file, char *piece, size_t size)
{
    *mappings = (struct mappings){.file = file, .piece = piece, .size = size};
}

bool mappings_open(struct mappings *mappings, char *piece, size_t size)
{
    long file = system_call4(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0);
    mappings_begin(mappings, (int)file, piece, size);
    return file >= 0;
}

void mappings_close(struct mappings *mappings)
{
    system_call3(SYS_close, mappings->file, 0, 0);
}

bool mappings_find(uint64_t address, struct mapping *mapping)
{
    char piece[PIECE];
    struct mappings mappings;
    bool found = false;
    if (!mappings_open(&mappings, piece, sizeof piece))
        return false;
    while (!found && mappings_next(&mappings, mapping) && mapping->start <= address)
        found = address < mapping->end;
    mappings_close(&mappings);
    return found;
}
