/* displaced.h: displaced instructions: an instruction's bytes for another address, with its memory operand moved by a
 * distance. 64-bit mode only. Pure: async-signal-safe, thread-safe. Each function is exact or returns false.
 *
 * SOURCES: Intel SDM volume 2, 2.1 (ModRM, SIB), 2.2.1.3 (moffs), 2.2.1.6 (RIP-relative), 2.3 (VEX), 2.7.5 (compressed
 * displacement); AMD APM volume 3, 1.2 (XOP, 3DNow!). */
#ifndef SEGUE_DECODE_DISPLACED_H
#define SEGUE_DECODE_DISPLACED_H

#include <segue/decode.h>

#include "decode/effects.h"

struct decode_scratch;

/* The most bytes that a function here writes. */
#define DISPLACED_BYTES 24

/* Where an instruction goes on. */
enum displaced_flow {
    /* With the next instruction. */
    DISPLACED_FLOW_NEXT,
    /* Direct near branches: Jcc; LOOP, LOOPE, LOOPNE, JECXZ and JRCXZ; JMP; CALL. */
    DISPLACED_FLOW_CONDITIONAL,
    DISPLACED_FLOW_LOOP,
    DISPLACED_FLOW_JUMP,
    DISPLACED_FLOW_CALL,
    /* Near branches through a register or memory, and near returns. */
    DISPLACED_FLOW_JUMP_INDIRECT,
    DISPLACED_FLOW_CALL_INDIRECT,
    DISPLACED_FLOW_RETURN,
    /* It must run at its own address: system calls, traps, far and 16-bit transfers, transactions, whatever holds
     * signals off for an instruction, privileged instructions, and instructions whose operands are not known. */
    DISPLACED_FLOW_STAYS,
};

/* How the memory operand that the instruction names is encoded. Operands whose address is in fixed registers (strings,
 * XLAT, the stack) do not count. */
enum displaced_operand {
    DISPLACED_OPERAND_NONE,
    /* ModRM, and SIB if there is one; also an absolute address of 32 bits. */
    DISPLACED_OPERAND_MODRM,
    /* Relative to RIP. */
    DISPLACED_OPERAND_RELATIVE,
    /* A whole address after the opcode: MOV with AL, AX, EAX or RAX (moffs). */
    DISPLACED_OPERAND_OFFSET,
};

/* An instruction at its address: made once, copied as often as needed. */
struct displaceable {
    uint64_t address;
    /* Of direct branches; else 0. */
    uint64_t target;
    uint8_t bytes[SEGUE_INSN_BYTES];
    uint8_t length;
    /* enum displaced_flow. */
    uint8_t flow;
    /* Offsets in `bytes`: of the opcode, or of the VEX, EVEX or XOP prefix (before it are only legacy prefixes and
     * REX); of ModRM, or 0; of the displacement, or of the place where it would be; and of what follows it (immediate,
     * 3DNow! opcode). The last two are the length if the instruction has no ModRM and no moffs. */
    uint8_t opcode, modrm, displacement, tail;
    /* enum displaced_operand. */
    uint8_t operand;
    /* Of an address, in bytes: 8 or 4. */
    uint8_t address_size;
    /* A displacement of one byte counts in units of the operand's size (EVEX). */
    bool is_compressed;
    /* The operand accesses exactly `memory.size` bytes at its effective address: it has no segment base, no mask and no
     * vector of indices, addresses are 64-bit, and the instruction accesses no other memory but the stack. */
    bool is_plain;
    /* The same, but a mask register of EVEX, `memory.mask`, selects elements, and no others are accessed or fault. */
    bool is_masked;
    /* An x87 instruction that leaves its own address, its opcode and its operand's address in the x87 state (FIP, FOP,
     * FDP). A copy leaves others there. */
    bool is_recorded;
    struct effects effects;
    /* The displacement as it is encoded, sign-extended and not compressed; an address with DISPLACED_OPERAND_OFFSET. */
    int64_t encoded;
    /* The operand, except with DISPLACED_OPERAND_NONE. `direction` and `size` are 0 if it is not accessed (LEA, NOP).
     * `displacement` differs from `encoded` for POP, whose address counts from the incremented stack pointer. */
    struct segue_memory_operand memory;
};

/* Decodes the instruction at `bytes`, of which `size` may be read and which the program has at `address`. False if the
 * bytes are no instruction, or are cut off. `scratch` has the decoded instruction afterwards. */
bool displaceable_make(struct decode_scratch *scratch, uint64_t address, const uint8_t *bytes, size_t size,
                       struct displaceable *made);

/* The instruction for address `to`, with `by` added to its operand's effective address (modulo 2^32 with 32-bit
 * addresses). A RIP-relative operand keeps its place in memory; so RSP-based operands can follow a moved stack pointer.
 * What does not depend on the address, and the meaning of prefixes, are kept. False for direct branches, calls and
 * instructions that stay (but displaced_call_as_jump); if there is no operand and `by` is not 0; and if
 * no encoding reaches. `out` has room for DISPLACED_BYTES; unspecified with false. */
bool displaced_copy(const struct displaceable *form, uint64_t to, int64_t by, uint8_t *out, uint8_t *length);

/* The instruction where it is and as long as it is, with `by` added to its operand's effective address. Only if nothing
 * else can differ: the address is a constant, without a segment base; exactly `memory.size` bytes at it are accessed,
 * or those of them that a mask selects; and the instruction records no address. False for all others, and where no such
 * encoding reaches. `out` has room for DISPLACED_BYTES; unspecified with false. */
bool displaced_in_place(const struct displaceable *form, int64_t by, uint8_t *out);

/* The address of such an operand. */
uint64_t displaced_constant(const struct displaceable *form);

/* An indirect call as a jump to the same place, for `to`: without the push. False for anything else, and where the
 * operand is RSP itself. */
bool displaced_call_as_jump(const struct displaceable *form, uint64_t to, int64_t by, uint8_t *out, uint8_t *length);

/* Puts the operand's effective address plus `by`, without a segment base, into the general register `reg` (enum
 * segue_register): LEA, or MOV of a constant address; no flag changes. A bit offset is not part of the address. False
 * without an operand, with a vector of indices, and if the displacement does not fit. */
bool displaced_lea(const struct displaceable *form, uint64_t to, int64_t by, uint8_t reg, uint8_t *out,
                   uint8_t *length);

#endif
