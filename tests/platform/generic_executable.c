/* generic_executable.c: the generic variant refuses executable memory, and leaves the caller's variables as they are.
 */
#include <stdio.h>
#include <string.h>

#include "platform/memory/executable.h"

int main(void)
{
    static const unsigned char code[] = {0xc3};
    const struct executable_range range = executable_near(0x10000000, 0x10001000);
    struct executable_memory memory, before;
    uint64_t address = 1;
    memset(&memory, 0x5a, sizeof memory);
    before = memory;
    int refused = executable_memory_create(NULL, 4096, 1, &memory) == SEGUE_UNSUPPORTED &&
                  executable_memory_create(&range, 4096, 1, &memory) == SEGUE_UNSUPPORTED &&
                  executable_view_create(&memory, &range, 0, 4096, &address) == SEGUE_UNSUPPORTED &&
                  executable_view_renew(&memory, 0x10000000, 0, 4096) == SEGUE_UNSUPPORTED &&
                  executable_memory_own(&memory, 0) == SEGUE_UNSUPPORTED &&
                  !executable_memory_keep_from_child(&memory) && !executable_copy(code, sizeof code, 4096, 0) &&
                  *executable_memory_refusal();
    executable_memory_leave(&memory);
    executable_memory_free(&memory);
    executable_view_unmap(&memory, 0x10000000, 4096);
    int kept = memcmp(&memory, &before, sizeof memory) == 0 && address == 1;
    printf("[  %s  ] executable memory is refused\n", refused && kept ? "PASSED" : "FAILED");
    return refused && kept ? 0 : 1;
}
