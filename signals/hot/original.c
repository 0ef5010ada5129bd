/* original.c: see original.h. */
#include "original.h"

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
    hot_see_through(address, original->bytes, original->size);
}

const uint8_t *original_read(struct original *original, uint64_t address, size_t wanted, size_t *size)
{
    uint64_t offset = address - original->start;
    if (offset >= original->size || original->size - offset < wanted) {
        read_piece(original, address, wanted);
        offset = 0;
    }
    size_t left = original->size - offset;
    *size = left < wanted ? left : wanted;
    return original->bytes + offset;
}
