/* rules.h: the mnemonics whose memory accesses differ from their operands. Used inside decode/ only. */
#ifndef SEGUE_DECODE_RULES_H
#define SEGUE_DECODE_RULES_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

/* How a mnemonic differs. */
enum rule {
    RULE_NONE,
    /* The operand is address-only (LEA), a hint (PREFETCH, NOP) or never evaluated (UD1): no access. */
    RULE_NO_ACCESS,
    /* It faults like a load of one byte. */
    RULE_BYTE,
    /* The same at the address in RAX, or in the register that the instruction names; and a store to the cache line at
     * RAX. */
    RULE_BYTE_AT_RAX,
    RULE_BYTE_AT_REGISTER,
    RULE_LINE_AT_RAX,
    /* It pushes or pops one element of the operand size, unless it is a far transfer. */
    RULE_PUSH,
    RULE_POP,
    RULE_LEAVE,
    /* Its hidden operand is on the stack. */
    RULE_STACK,
    /* Used for far returns; no mnemonic has it in the table. */
    RULE_FAR_RETURN,
    RULE_POP_ALL,
    RULE_INTERRUPT_RETURN,
    RULE_USER_INTERRUPT_RETURN,
    RULE_ENTER,
    /* A string instruction. A comparison of two strings reads the second one first. */
    RULE_STRING,
    RULE_COMPARE,
    RULE_XLAT,
    RULE_BIT_OFFSET,
    /* A vector's sign bits are the mask: those of the second operand; those of each byte; those of the third operand,
     * which is an opmask in EVEX. The last also gives the index size. */
    RULE_SIGNS,
    RULE_SIGNS_OF_BYTES,
    RULE_VECTOR_DOUBLEWORDS,
    RULE_VECTOR_QUADWORDS,
    RULE_COMPRESSED,
    /* The mask selects the operand as a whole, if any of sixteen bits or if one bit is set; or it selects pairs. */
    RULE_ONE_OF_SIXTEEN,
    RULE_ONE_OF_ONE,
    RULE_PAIRS,
    /* The mask suppresses no access, whatever Zydis' exception class says. */
    RULE_NOT_MASKED,
    /* A 16-byte operand that needs no alignment; operands that need it although their exception class does not say so;
     * operands that need it on some processors. */
    RULE_UNALIGNED,
    RULE_ALIGNED_16,
    RULE_WHOLE_16,
    RULE_SHA,
    /* XSAVE areas, whose layout depends on the processor. */
    RULE_XSAVE,
    RULE_XSAVEOPT,
    RULE_XSAVEC,
    RULE_XRSTOR,
    /* A 64-byte store to the address in the first operand. */
    RULE_DIRECT_STORE,
    /* RULE_REFUSED + enum segue_unlisted. */
    RULE_REFUSED,
};

/* The rule of each mnemonic. */
extern const uint8_t rules[ZYDIS_MNEMONIC_MAX_VALUE + 1];

#endif
