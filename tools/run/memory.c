/* memory.c: strings in the program's memory. */
#include "memory.h"

#include <string.h>

#define PAGE 4096

long memory_read_string(char *to, uint64_t address, size_t capacity)
{
    size_t held = 0;
    while (held < capacity) {
        size_t size = PAGE - ((address + held) & (PAGE - 1));
        size = size < capacity - held ? size : capacity - held;
        if (!memory_read(to + held, address + held, size))
            return -1;
        const char *end = memchr(to + held, 0, size);
        if (end)
            return end - to;
        held += size;
    }
    return -1;
}

long memory_string_length(uint64_t address)
{
    char piece[PAGE];
    for (uint64_t held = 0;;) {
        size_t size = PAGE - ((address + held) & (PAGE - 1));
        if (!memory_read(piece, address + held, size))
            return -1;
        const char *end = memchr(piece, 0, size);
        if (end)
            return (long)held + (end - piece);
        held += size;
    }
}
