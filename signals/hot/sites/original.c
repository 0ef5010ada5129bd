/* original.c: see original.h. */
#include "original.h"

#include <string.h>

#include "decode/x86/page.h"
#include "patch/hot/text.h"
#include "signals/fault/keyed.h"

/* Not further than to the end of the page, if what is wanted lies in it. */
static void read_piece(struct original *original, uint64_t address, size_t wanted)
{
    size_t in_page = PAGE - address % PAGE, size = in_page < wanted ? wanted : in_page;
    if (size > ORIGINAL_BYTES)
        size = ORIGINAL_BYTES;
    original->start = address;
    original->size = keyed_peek(original->bytes, address, size);
}

size_t original_read(struct original *original, uint64_t address, uint8_t *bytes, size_t size)
{
    uint64_t offset = address - original->start;
    if (offset >= original->size || original->size - offset < size) {
        read_piece(original, address, size);
        offset = 0;
    }
    size_t left = original->size - offset;
    size = left < size ? left : size;
    memcpy(bytes, original->bytes + offset, size);
    /* An instruction changes only where it is a hot site itself. */
    hot_see_through_site(address, bytes, size);
    return size;
}
