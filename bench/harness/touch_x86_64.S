/* touch_x86_64.S: one load and one store of known length (see touch.h).
 *
 *      rdi     address
 *      rsi     value
 *      rax     result
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
1:      movq    (%rdi), %rax
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
        movq    %rsi, %rax
1:      movq    %rsi, (%rdi)
        CHECK_LENGTH 1b
        ret
        .cfi_endproc
        .size   touch_store, . - touch_store

        .section .note.GNU-stack, "", @progbits
