/* stubs_x86_64.S: reserves the addresses at which stubs execute. They lie in the library's own code, so that its unwind
 * table, which every unwinder finds, covers them: an unwinder gets past a stub that a handler or a cancellation has
 * interrupted. Other memory is mapped over the file's own bytes, which never execute.
 *
 *      rsp     the return address, at each instruction of a stub
 */
#if !defined(__x86_64__)
#error "stubs_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"

#include "stubs_layout.h"

        SECTION_HOT(stubs_region)
        .p2align 12
FUNCTION(stubs_region)
        .cfi_startproc
        .fill   STUBS_PLACES * STUBS_PLACE_SIZE + STUBS_HEADER_SIZE, 1, 0xcc
        .cfi_endproc
        END(stubs_region)

        END_OF_FILE
