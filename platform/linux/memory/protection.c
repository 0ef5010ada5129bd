/* protection.c: a page's protection, read from /proc/thread-self/maps a piece at a time, without libc.
 *
 * SOURCES: proc(5): "address perms offset dev inode path", in the order of addresses. Through the thread's entry: the
 * process's own entry is invalid once its first thread has ended. */
#if !defined(__linux__)
#error "platform/linux/memory/protection.c is specific to Linux"
#endif

#include "platform/memory/protection.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "platform/linux/call.h"

#define PIECE 256

/* The file, and the chunk of it that was read. */
struct reader {
    int file;
    size_t at, held;
    char piece[PIECE];
};

/* The next character, or -1 at the end. */
static int next(struct reader *reader)
{
    if (reader->at == reader->held) {
        long got = system_call3(SYS_read, reader->file, (long)reader->piece, PIECE);
        if (got <= 0)
            return -1;
        reader->held = (size_t)got;
        reader->at = 0;
    }
    return (unsigned char)reader->piece[reader->at++];
}

static int digit(int character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return -1;
}

/* Reads a hexadecimal number and the character after it; false if that is not `end`. */
static bool read_number(struct reader *reader, int end, uint64_t *number)
{
    int character;
    *number = 0;
    while (digit(character = next(reader)) >= 0)
        *number = *number << 4 | (uint64_t)digit(character);
    return character == end;
}

static bool read_line(struct reader *reader, struct protection_mapping *mapping)
{
    int character;
    if (!read_number(reader, '-', &mapping->start) || !read_number(reader, ' ', &mapping->end))
        return false;
    mapping->protection = 0;
    mapping->protection |= next(reader) == 'r' ? PROT_READ : 0;
    mapping->protection |= next(reader) == 'w' ? PROT_WRITE : 0;
    mapping->protection |= next(reader) == 'x' ? PROT_EXEC : 0;
    mapping->shared = next(reader) == 's';
    do
        character = next(reader);
    while (character >= 0 && character != '\n');
    return character == '\n';
}

bool protection_find(uint64_t address, struct protection_mapping *mapping)
{
    struct reader reader = {
        .file = (int)system_call4(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0),
    };
    bool found = false;
    if (reader.file < 0)
        return false;
    while (!found && read_line(&reader, mapping) && mapping->start <= address)
        found = address < mapping->end;
    system_call3(SYS_close, reader.file, 0, 0);
    return found;
}
