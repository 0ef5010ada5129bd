/* code.c: reads the instruction at an address of the running program. The read may fail: a program may fault by
 * jumping to an unmapped address, and its code may lie in protected memory. */
#include "code.h"

#include <segue/decode.h>

#include "decode/host.h"
#include "decode/x86/page.h"
#include "keyed.h"
#include "patch/hot/text.h"

#define LOAD 16u

struct segue_cache code_cache;

static enum segue_status decode(struct decode_scratch *scratch, struct segue_cache *cache, uint64_t address,
                                uint8_t *bytes, size_t size, struct segue_insn *insn)
{
    if (size == 0)
        return SEGUE_TRUNCATED;
    hot_see_through_site(address, bytes, size);
    return cache ? decode_cached_in(scratch, cache, HOST_MODE, address, bytes, size, insn)
                 : decode_in(scratch, HOST_MODE, bytes, size, insn);
}

__attribute__((hot)) enum segue_status code_decode(struct decode_scratch *scratch, struct segue_cache *cache,
                                                   uint64_t address, struct segue_insn *insn)
{
    uint8_t bytes[LOAD] = {0};
    size_t in_page = PAGE - address % PAGE;
    if (in_page >= LOAD)
        return decode(scratch, cache, address, bytes, keyed_peek(bytes, address, LOAD) ? SEGUE_INSN_BYTES : 0, insn);
    size_t size = keyed_peek(bytes, address, in_page);
    enum segue_status status = decode(scratch, cache, address, bytes, size, insn);
    if (status != SEGUE_TRUNCATED || size < in_page)
        return status;
    /* Both parts as they are in memory: in the first one a hot site's jump was replaced. */
    size = keyed_peek(bytes, address, in_page);
    if (size == in_page)
        size += keyed_peek(bytes + size, address + size, SEGUE_INSN_BYTES > size ? SEGUE_INSN_BYTES - size : 0);
    return decode(scratch, cache, address, bytes, size, insn);
}
