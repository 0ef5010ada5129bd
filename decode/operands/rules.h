/* rules.h: which mnemonics access memory otherwise than their operands tell. Used inside decode/ alone. */
#ifndef SEGUE_DECODE_RULES_H
#define SEGUE_DECODE_RULES_H

#include <Zydis/Zydis.h>
#include <segue/decode.h>

/* What is different about a mnemonic. */
enum rule {
    RULE_NONE,
    /* Its memory operands are names of addresses, hints, or never reached: no access. */
    RULE_NO_ACCESS,
    /* Faults as a load of one byte does. */
    RULE_BYTE,
    /* As the last, at the address in RAX, or in the register named; and a store to the cache line there. */
    RULE_BYTE_AT_RAX,
    RULE_BYTE_AT_REGISTER,
    RULE_LINE_AT_RAX,
    /* One element of the operand's width goes to the stack, or comes from it, unless it is a far transfer. */
    RULE_PUSH,
    RULE_POP,
    RULE_LEAVE,
    /* Its hidden operand is on the stack. */
    RULE_STACK,
    /* No mnemonic's own, but that of returns that are far. */
    RULE_FAR_RETURN,
    RULE_POP_ALL,
    RULE_INTERRUPT_RETURN,
    RULE_USER_INTERRUPT_RETURN,
    RULE_ENTER,
    /* A string instruction. Of two strings that are compared, the second is read first. */
    RULE_STRING,
    RULE_COMPARE,
    RULE_XLAT,
    RULE_BIT_OFFSET,
    /* A vector's sign bits choose: the second operand's; those of each byte; the third operand's, with an opmask
     * instead in EVEX; and how wide an index is. */
    RULE_SIGNS,
    RULE_SIGNS_OF_BYTES,
    RULE_VECTOR_DOUBLEWORDS,
    RULE_VECTOR_QUADWORDS,
    RULE_COMPRESSED,
    /* The mask chooses: the operand as a whole, if any of sixteen bits, or if one, is set; pairs. */
    RULE_ONE_OF_SIXTEEN,
    RULE_ONE_OF_ONE,
    RULE_PAIRS,
    /* The mask does not choose, whatever Zydis' exception class says. */
    RULE_NOT_MASKED,
    /* Sixteen bytes that need no alignment; operands that do though their exception class does not say so;
     * those that do on some processors. */
    RULE_UNALIGNED,
    RULE_ALIGNED_16,
    RULE_WHOLE_16,
    RULE_SHA,
    /* State areas whose layout is the processor's. */
    RULE_XSAVE,
    RULE_XSAVEOPT,
    RULE_XSAVEC,
    RULE_XRSTOR,
    /* Sixty-four bytes at once, to an address in the first operand. */
    RULE_DIRECT_STORE,
    /* RULE_REFUSED + enum segue_unlisted. */
    RULE_REFUSED,
};

/* The rule of each mnemonic. */
extern const uint8_t rules[ZYDIS_MNEMONIC_MAX_VALUE + 1];

#endif
