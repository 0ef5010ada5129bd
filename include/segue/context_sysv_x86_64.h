/* context_sysv_x86_64.h: the swap as an inline function, because a call and the registers that it
 * preserves would be most of a swap's cost. context.h includes it. Names that end in `_` are
 * private. The offsets are ABI.
 *
 * SOURCES: System V ABI for x86-64, 3.2; Intel SDM volume 1, 10.2.3 and 8.1.5. */
#ifndef SEGUE_CONTEXT_SYSV_X86_64_H
#define SEGUE_CONTEXT_SYSV_X86_64_H

#ifndef SEGUE_CONTEXT_H
#error "include <segue/context.h>"
#endif

SEGUE_BEGIN

#define SEGUE_CONTEXT_INLINE_ static __inline__ __attribute__((always_inline))

/* The part of segue_context_swap for contexts whose flags need more than registers. As
 * async-signal-safe as segue_context_swap. */
SEGUE_API enum segue_status segue_context_swap_slow_(struct segue_context *from,
                                                     struct segue_context *to);

#ifdef __AVX512F__
#define SEGUE_CLOBBERS_512_                                                                        \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",  \
        "k7"
#else
#define SEGUE_CLOBBERS_512_
#endif

/* Leaves `from` and continues with `to`; private. The compiler spills what it holds in registers to
 * its own stack, as around a call, so that three words are the whole state of a context:
 *
 *      struct segue_context       0 stack_pointer   8 frame_pointer   16 instruction
 *      rdi from   rsi to          24 flags   28 mxcsr   32 x87_control   40 parent   48 caller
 *      rax, rdx                   where `to` continues, and its frame pointer
 *
 * The order of the control words is the fastest of those measured. FLDCW costs more than the
 * comparison that avoids it; LDMXCSR costs less, except on processors where STMXCSR waits for it:
 * contexts that were prepared on such a processor have SEGUE_CONTEXT_COMPARED_. The jump exists
 * twice, so that two contexts that take turns have one each, which the processor predicts by its
 * address. The NOP separates the jump from the byte before the return address, by which an unwinder
 * finds the caller's frame. */
SEGUE_CONTEXT_INLINE_ void segue_context_switch_(struct segue_context *from,
                                                 struct segue_context *to)
{
    /* clang-format off */
    __asm__ volatile(
        "testb $1, 24(%%rdi)\n\t"
        "jnz 3f\n\t"
        "fnstcw 32(%%rdi)\n\t"
        "stmxcsr 28(%%rdi)\n"
        "3:\n\t"
        "leaq 1f(%%rip), %%rax\n\t"
        "movq %%rsp, 0(%%rdi)\n\t"
        "movq %%rbp, 8(%%rdi)\n\t"
        "movq %%rax, 16(%%rdi)\n\t"
        "movq %%rdi, 40(%%rsi)\n\t"
        "cmpq %%rsi, 48(%%rdi)\n\t"
        "je 7f\n\t"
        "movq %%rdi, 48(%%rsi)\n"
        "7:\n\t"
        "testb $1, 24(%%rsi)\n\t"
        "jnz 4f\n\t"
        "movzwl 32(%%rdi), %%eax\n\t"
        "testb $1, 24(%%rdi)\n\t"
        "jnz 5f\n\t"
        "cmpw 32(%%rsi), %%ax\n\t"
        "je 6f\n\t"
        "fldcw 32(%%rsi)\n"
        "6:\n\t"
        "movzbl 24(%%rdi), %%eax\n\t"
        "orb 24(%%rsi), %%al\n\t"
        "jns 8f\n\t"
        "movl 28(%%rdi), %%eax\n\t"
        "cmpl 28(%%rsi), %%eax\n\t"
        "je 4f\n"
        "8:\n\t"
        "ldmxcsr 28(%%rsi)\n"
        "4:\n\t"
        "movq 16(%%rsi), %%rax\n\t"
        "movq 8(%%rsi), %%rdx\n\t"
        "cmpq %%rsi, %%rdi\n\t"
        "movq 0(%%rsi), %%rsp\n\t"
        SEGUE_CFI_(".cfi_remember_state\n\t"
                   ".cfi_def_cfa %%rsp, 0\n\t"
                   ".cfi_register %%rip, %%rax\n\t"
                   ".cfi_register %%rbp, %%rdx\n\t"
                   ".cfi_undefined %%rbx\n\t"
                   ".cfi_undefined %%r12\n\t"
                   ".cfi_undefined %%r13\n\t"
                   ".cfi_undefined %%r14\n\t"
                   ".cfi_undefined %%r15\n\t")
        /* MOV leaves the flags of the comparison. */
        "movq %%rdx, %%rbp\n\t"
        SEGUE_CFI_(".cfi_same_value %%rbp\n\t")
        "ja 2f\n\t"
        "jmp *%%rax\n"
        "2:\n\t"
        "jmp *%%rax\n\t"
        SEGUE_CFI_(".cfi_restore_state\n")
        "5:\n\t"
        "fldcw 32(%%rsi)\n\t"
        "jmp 8b\n\t"
        "nop\n"
        "1:\n\t"
        "endbr64"
        : "+D"(from), "+S"(to)
        :
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
          "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",
          "st(6)", "st(7)", "memory", "cc" SEGUE_CLOBBERS_512_);
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
