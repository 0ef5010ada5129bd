/* stubs_i386.S: reserves the addresses at which stubs execute. They lie in the library's own code, so that its unwind
 * table, which every unwinder finds, covers them: an unwinder gets past a stub that a handler or a cancellation has
 * interrupted. Other memory is mapped over the file's own bytes, which never execute.
 *
 *      esp     the return address, at each instruction of a stub
 */
#if !defined(__i386__)
#error "stubs_i386.S is specific to i386"
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
