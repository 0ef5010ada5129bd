/* regs.h: the one register file that every module shares.
 *
 * SOURCES: Intel SDM volume 1, 3.4 (registers), 13.4 (layout of the XSAVE area), volume 3, 6.15
 * (exceptions); the order of the general part is that of trapframe-rs's UserContext.general. */
#ifndef SEGUE_REGS_H
#define SEGUE_REGS_H

#include <segue/status.h>

SEGUE_BEGIN

/* A segment register, numbered as instructions encode it. */
enum segue_segment {
    SEGUE_SEGMENT_ES,
    SEGUE_SEGMENT_CS,
    SEGUE_SEGMENT_SS,
    SEGUE_SEGMENT_DS,
    SEGUE_SEGMENT_FS,
    SEGUE_SEGMENT_GS,
};

/* A thread's integer state. Each 64-bit field stands at eight times its number in enum
 * segue_register. */
struct segue_regs {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    /* The address of the instruction at hand. */
    uint64_t rip;
    uint64_t rflags;
    /* What an fs: or gs: operand adds to its effective address. */
    uint64_t fs_base, gs_base;
    /* Segment selectors by enum segue_segment; the last two are zero. CS 0: not known, and
     * instructions that read a selector are refused. */
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
    /* How many there are. */
    SEGUE_REGISTER_COUNT,
    /* No register: an operand without a base, or without an index. */
    SEGUE_REGISTER_NONE = 0xff,
};

/* A thread's vector, x87, mask and control state: a view of an XSAVE area in the standard (not
 * compacted) format. In a signal handler the area is the one in the signal frame; the processor's
 * own vector registers do not hold the thread's values there. */
struct segue_xstate {
    /* The area, 64-byte aligned; NULL where there is none. */
    void *area;
    /* Its length in bytes. */
    uint32_t size;
    /* The state components that the area has room for, as in XCR0. */
    uint64_t features;
};

/* Bytes of an area with the components `features` (0: all that the system offers), a multiple of
 * 64; 0 where the system gives none. Components that the system does not offer are left out.
 * MT-Safe, AS-Safe after its first call. */
SEGUE_API size_t segue_xstate_size(uint64_t features);

/* The field that `number` names. `number` must be below SEGUE_REGISTER_COUNT. MT-Safe, AS-Safe. */
SEGUE_INLINE uint64_t *segue_register_at(struct segue_regs *regs, unsigned number)
{
    return (uint64_t *)(void *)((char *)regs + number * sizeof(uint64_t));
}

/* The value of the field that `number` names; 0 for SEGUE_REGISTER_NONE. MT-Safe, AS-Safe. */
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
    /* The processor wanted the instruction itself. Only in faults, never in an access list. */
    SEGUE_FETCH = 4,
};

/* A fault as the processor, or the system, reported it: everywhere in these headers. */
struct segue_fault {
    /* The linear address that could not be accessed; valid only if `address_known`. An access that
     * straddles two pages may report the second page's first byte. */
    uint64_t address;
    /* enum segue_direction: one bit; 0 when not known. */
    uint8_t direction;
    bool address_known;
    /* The processor's exception number: 14 a page fault, 13 a general protection fault. */
    uint8_t trap;
    /* The page-fault error code; 0 where the system hides it. */
    uint32_t error_code;
    /* The instruction; 0 if none is meant. */
    uint64_t instruction;
    /* POSIX: the signal and si_code; Windows: 0 and the exception code. 0 if none is meant. */
    int32_t signal;
    int32_t code;
};

SEGUE_END

#endif
