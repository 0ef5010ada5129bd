/* context_sysv_i386.h: the swap as an inline function, as in context_sysv_x86_64.h, which says
 * how. context.h includes it. Names that end in `_` are private. The offsets are ABI.
 *
 * SOURCES: System V ABI for i386, 2.2; Intel SDM volume 1, 10.2.3 and 8.1.5. */
#ifndef SEGUE_CONTEXT_SYSV_I386_H
#define SEGUE_CONTEXT_SYSV_I386_H

#ifndef SEGUE_CONTEXT_H
#error "include <segue/context.h>"
#endif

SEGUE_BEGIN

#define SEGUE_CONTEXT_INLINE_ static __inline__ __attribute__((always_inline))

/* The part of segue_context_swap for contexts whose flags need more than registers. As
 * async-signal-safe as segue_context_swap. */
SEGUE_API enum segue_status segue_context_swap_slow_(struct segue_context *from,
                                                     struct segue_context *to);

/* Code that is compiled without SSE holds nothing in its registers. */
#ifdef __SSE__
#define SEGUE_CLOBBERS_SSE_ , "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"
#else
#define SEGUE_CLOBBERS_SSE_
#endif

/* Leaves `from` and continues with `to`; private.
 *
 *      struct segue_context       0 stack_pointer   8 frame_pointer   16 instruction
 *      edi from   esi to          24 flags   28 mxcsr   32 x87_control   36 parent   40 caller
 *      eax, edx                   where `to` continues, and its frame pointer
 *
 * The call to the next instruction finds its address; what it pushes is below the stack pointer
 * that is saved. */
SEGUE_CONTEXT_INLINE_ void segue_context_switch_(struct segue_context *from,
                                                 struct segue_context *to)
{
    /* clang-format off */
    __asm__ volatile(
        "testb $1, 24(%%edi)\n\t"
        "jnz 3f\n\t"
        "fnstcw 32(%%edi)\n\t"
        "stmxcsr 28(%%edi)\n"
        "3:\n\t"
        "movl %%esp, 0(%%edi)\n\t"
        "call 9f\n"
        "9:\n\t"
        SEGUE_CFI_(".cfi_adjust_cfa_offset 4\n\t")
        "popl %%eax\n\t"
        SEGUE_CFI_(".cfi_adjust_cfa_offset -4\n\t")
        "addl $1f - 9b, %%eax\n\t"
        "movl %%ebp, 8(%%edi)\n\t"
        "movl %%eax, 16(%%edi)\n\t"
        "movl %%edi, 36(%%esi)\n\t"
        "cmpl %%esi, 40(%%edi)\n\t"
        "je 7f\n\t"
        "movl %%edi, 40(%%esi)\n"
        "7:\n\t"
        "testb $1, 24(%%esi)\n\t"
        "jnz 4f\n\t"
        "movzwl 32(%%edi), %%eax\n\t"
        "testb $1, 24(%%edi)\n\t"
        "jnz 5f\n\t"
        "cmpw 32(%%esi), %%ax\n\t"
        "je 6f\n"
        "5:\n\t"
        "fldcw 32(%%esi)\n"
        "6:\n\t"
        "ldmxcsr 28(%%esi)\n"
        "4:\n\t"
        "movl 16(%%esi), %%eax\n\t"
        "movl 8(%%esi), %%edx\n\t"
        "movl 0(%%esi), %%esp\n\t"
        SEGUE_CFI_(".cfi_remember_state\n\t"
                   ".cfi_def_cfa %%esp, 0\n\t"
                   ".cfi_register %%eip, %%eax\n\t"
                   ".cfi_register %%ebp, %%edx\n\t"
                   ".cfi_undefined %%ebx\n\t"
                   ".cfi_undefined %%esi\n\t"
                   ".cfi_undefined %%edi\n\t")
        "movl %%edx, %%ebp\n\t"
        SEGUE_CFI_(".cfi_same_value %%ebp\n\t")
        "jmp *%%eax\n\t"
        SEGUE_CFI_(".cfi_restore_state\n\t")
        "nop\n"
        "1:\n\t"
        "endbr32"
        : "+D"(from), "+S"(to)
        :
        : "eax", "ebx", "ecx", "edx", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
          "st(7)", "memory", "cc" SEGUE_CLOBBERS_SSE_);
    /* clang-format on */
}

SEGUE_CONTEXT_INLINE_ enum segue_status segue_context_swap(struct segue_context *from,
                                                           struct segue_context *to)
{
    if (__builtin_expect(((from->flags | to->flags) & SEGUE_CONTEXT_SLOW_) != 0, 0))
        return segue_context_swap_slow_(from, to);
    segue_context_switch_(from, to);
    return SEGUE_OK;
}

SEGUE_END

#endif
