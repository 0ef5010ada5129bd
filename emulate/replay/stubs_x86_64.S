/* stubs_x86_64.S: the addresses where stubs are executed. The library's own code has them, so that its unwind table,
 * which every unwinder finds, covers them: a handler or a cancellation that interrupts a stub gets past it. What the
 * file has there is mapped over, and never runs.
 *
 *      rsp     the return address, at each instruction of a stub
 */
#if !defined(__x86_64__)
#error "stubs_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"

#include "stubs_layout.h"

        SECTION_TEXT(stubs_region)
        .p2align 12
FUNCTION(stubs_region)
        .cfi_startproc
        .fill   STUBS_PLACES * STUBS_PLACE_SIZE + STUBS_HEADER_SIZE, 1, 0xcc
        .cfi_endproc
        END(stubs_region)

        END_OF_FILE
