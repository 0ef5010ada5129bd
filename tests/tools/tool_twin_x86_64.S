/* tool_twin_x86_64.S: assembled and linked twice, so that one file has two local symbols of one name. */
    .text
    .type twin, @function
twin:
    ret
    .size twin, . - twin
    .weak twin_caller
twin_caller:
    call twin
    ret

    .section .note.GNU-stack, "", @progbits
