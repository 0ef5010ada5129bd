/* patch_stub_x86_64.S: runs code while FS cannot be used, and enters a handler from there. GS holds the host's base in
 * both, so that nothing but GS is needed to put FS right again. */

/* uint64_t run_without_fs(void *code, uint64_t argument, uint64_t fs_base): calls `code` with FS's base set to
 * `fs_base`; `code` is given the argument in rdi, and must touch no callee-saved register. */
        .text
        .globl  run_without_fs
        .type   run_without_fs, @function
run_without_fs:
        .cfi_startproc
        endbr64
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movq    %rdi, %rax
        movq    %rsi, %rdi
        wrfsbase %rdx
        call    *%rax
        .globl  after_code_without_fs
after_code_without_fs:
        rdgsbase %rcx
        wrfsbase %rcx
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   run_without_fs, . - run_without_fs

/* entry_without_fs(edi number, rsi info, rdx ucontext): puts FS right, calls handler_without_fs with the base that FS
 * had as fourth argument, and sets that again. */
        .globl  entry_without_fs
        .type   entry_without_fs, @function
entry_without_fs:
        .cfi_startproc
        endbr64
        rdfsbase %rcx
        pushq   %rcx
        .cfi_adjust_cfa_offset 8
        rdgsbase %rax
        wrfsbase %rax
        call    handler_without_fs
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        wrfsbase %rcx
        ret
        .cfi_endproc
        .size   entry_without_fs, . - entry_without_fs

        .section .note.GNU-stack, "", @progbits
