/* regs.h: the registers, the extended state and the fault, as every module passes them.
 *
 * SOURCES: Intel SDM volume 1, 3.4 (registers), 13.4 (layout of the XSAVE area), volume 3, 6.15
 * (exceptions); the order of the general part is that of trapframe-rs's UserContext.general. */
#ifndef SEGUE_REGS_H
#define SEGUE_REGS_H

#include <segue/status.h>

SEGUE_BEGIN

/* A segment register, numbered as in instruction encodings. */
enum segue_segment {
    SEGUE_SEGMENT_ES,
    SEGUE_SEGMENT_CS,
    SEGUE_SEGMENT_SS,
    SEGUE_SEGMENT_DS,
    SEGUE_SEGMENT_FS,
    SEGUE_SEGMENT_GS,
};

/* A thread's integer registers. The offset of each 64-bit field is eight times its number in enum
 * segue_register. */
struct segue_regs {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    /* The address of the current instruction. */
    uint64_t rip;
    uint64_t rflags;
    /* The segment bases, which FS and GS operands add to their effective addresses. */
    uint64_t fs_base, gs_base;
    /* Segment selectors, indexed by enum segue_segment; the last two are zero. CS 0: the selectors
     * are unknown, and the library refuses instructions that read one. */
    uint16_t selectors[8];
};

/* The 64-bit fields of struct segue_regs by number. */
enum segue_register {
    SEGUE_RAX,
    SEGUE_RBX,
    SEGUE_RCX,
    SEGUE_RDX,
    SEGUE_RSI,
    SEGUE_RDI,
    SEGUE_RBP,
    SEGUE_RSP,
    SEGUE_R8,
    SEGUE_R9,
    SEGUE_R10,
    SEGUE_R11,
    SEGUE_R12,
    SEGUE_R13,
    SEGUE_R14,
    SEGUE_R15,
    SEGUE_RIP,
    SEGUE_RFLAGS,
    SEGUE_FS_BASE,
    SEGUE_GS_BASE,
    /* The number of registers. */
    SEGUE_REGISTER_COUNT,
    /* No register: an operand without a base, or without an index. */
    SEGUE_REGISTER_NONE = 0xff,
};

/* A thread's vector, x87, mask and control state: a view of an XSAVE area in the standard (not
 * compacted) format. In a signal handler this is the area in the signal frame; there, the
 * processor's vector registers do not hold the thread's values. */
struct segue_xstate {
    /* The area, 64-byte aligned; NULL if there is no such state. */
    void *area;
    /* Its length in bytes. */
    uint32_t size;
    /* The state components that the area has space for, as bits of XCR0. */
    uint64_t features;
};

/* The size in bytes of an XSAVE area with the components `features` (0: all that the system
 * offers), a multiple of 64. Components that the system does not offer are ignored. Without XSAVE,
 * returns the size of FXSAVE's area, 512. Returns 0 on a system whose signal frames the library
 * cannot read. MT-Safe, AS-Safe after its first call. */
SEGUE_API size_t segue_xstate_size(uint64_t features);

/* A pointer to register `number`, which must be below SEGUE_REGISTER_COUNT. MT-Safe, AS-Safe. */
SEGUE_INLINE uint64_t *segue_register_at(struct segue_regs *regs, unsigned number)
{
    return (uint64_t *)(void *)((char *)regs + number * sizeof(uint64_t));
}

/* The value of register `number`; 0 for SEGUE_REGISTER_NONE. MT-Safe, AS-Safe. */
SEGUE_INLINE uint64_t segue_register_get(const struct segue_regs *regs, unsigned number)
{
    if (number == SEGUE_REGISTER_NONE)
        return 0;
    return *(const uint64_t *)(const void *)((const char *)regs + number * sizeof(uint64_t));
}

/* What an access does to memory; a bit set. */
enum segue_direction {
    SEGUE_READ = 1,
    SEGUE_WRITE = 2,
    /* An instruction fetch. Only faults have it, never an access list. */
    SEGUE_FETCH = 4,
};

/* A fault as the processor or the system reported it. All of these headers use this struct. */
struct segue_fault {
    /* The linear address that could not be accessed; valid only if `address_known`. For an access
     * that straddles two pages, it may be the second page's first byte. */
    uint64_t address;
    /* enum segue_direction: one bit; 0 if unknown. */
    uint8_t direction;
    bool address_known;
    /* The processor's exception number: 14 for a page fault, 13 for a general protection fault. */
    uint8_t trap;
    /* The page-fault error code; 0 if the system hides it. */
    uint32_t error_code;
    /* The instruction's address; 0 if not given. */
    uint64_t instruction;
    /* POSIX: the signal and si_code. Windows: 0 and the exception code. 0 if not given. */
    int32_t signal;
    int32_t code;
};

SEGUE_END

#endif
