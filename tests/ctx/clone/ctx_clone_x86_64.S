/* ctx_clone_x86_64.S: a program's clone, as an instruction that its handler emulates. */
        .text
/* long trap_clone(rdi request, rsi function, rdx argument): the handler finds the request in rdi. The child, on its
 * new stack or on its parent's, calls the function, and ends with its result. */
        .globl  trap_clone, trap_clone_instruction
        .type   trap_clone, @function
trap_clone:
        endbr64
        pushq   %rbx
        pushq   %r12
        subq    $8, %rsp
        movq    %rsi, %rbx
        movq    %rdx, %r12
trap_clone_instruction:
        ud2
        testq   %rax, %rax
        jz      1f
        addq    $8, %rsp
        popq    %r12
        popq    %rbx
        ret
1:      xorl    %ebp, %ebp
        andq    $-16, %rsp
        subq    $1024, %rsp
        movq    %r12, %rdi
        call    *%rbx
        movl    %eax, %edi
        movl    $60, %eax
        syscall
        ud2
        .size   trap_clone, . - trap_clone

/* long trap_clone_state(rdi request): the handler sends the child to state_dump, with all it has. */
        .globl  trap_clone_state, trap_state_instruction
        .type   trap_clone_state, @function
trap_clone_state:
        endbr64
trap_state_instruction:
        ud2
        ret
        .size   trap_clone_state, . - trap_clone_state

        .section .note.GNU-stack, "", @progbits
