/* touch_i386.S: one load and one store of known length (see touch.h).
 *
 *      4(%esp)     address
 *      8(%esp)     value
 *      eax         result
 */
#include <cet.h>

#include "touch.h"

        .text

.macro CHECK_LENGTH from
        .if     . - \from != TOUCH_LENGTH
        .error  "TOUCH_LENGTH is not the length of the instruction"
        .endif
.endm

        .globl  touch_load
        .type   touch_load, @function
        .p2align 4
touch_load:
        .cfi_startproc
        _CET_ENDBR
        movl    4(%esp), %edx
1:      movl    (%edx), %eax
        CHECK_LENGTH 1b
        ret
        .cfi_endproc
        .size   touch_load, . - touch_load

        .globl  touch_store
        .type   touch_store, @function
        .p2align 4
touch_store:
        .cfi_startproc
        _CET_ENDBR
        movl    4(%esp), %edx
        movl    8(%esp), %eax
1:      movl    %eax, (%edx)
        CHECK_LENGTH 1b
        ret
        .cfi_endproc
        .size   touch_store, . - touch_store

        .section .note.GNU-stack, "", @progbits
