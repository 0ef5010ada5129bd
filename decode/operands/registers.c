/* registers.c: maps Zydis' register numbers to enum segue_register. It is a table: register numbers follow no pattern
 * that a branch predictor could learn, and comparisons would cost more than all other work on an operand. */
#include "registers.h"

#define PLACE(zydis, whole, size, shift) [ZYDIS_REGISTER_##zydis] = {SEGUE_##whole, size, shift}
#define REGISTER(whole, half, word, byte)                                                                              \
    PLACE(whole, whole, 8, 0), PLACE(half, whole, 4, 0), PLACE(word, whole, 2, 0), PLACE(byte, whole, 1, 0)

const struct register_place register_places[ZYDIS_REGISTER_MAX_VALUE + 1] = {
    REGISTER(RAX, EAX, AX, AL),
    REGISTER(RBX, EBX, BX, BL),
    REGISTER(RCX, ECX, CX, CL),
    REGISTER(RDX, EDX, DX, DL),
    REGISTER(RSI, ESI, SI, SIL),
    REGISTER(RDI, EDI, DI, DIL),
    REGISTER(RBP, EBP, BP, BPL),
    REGISTER(RSP, ESP, SP, SPL),
    REGISTER(R8, R8D, R8W, R8B),
    REGISTER(R9, R9D, R9W, R9B),
    REGISTER(R10, R10D, R10W, R10B),
    REGISTER(R11, R11D, R11W, R11B),
    REGISTER(R12, R12D, R12W, R12B),
    REGISTER(R13, R13D, R13W, R13B),
    REGISTER(R14, R14D, R14W, R14B),
    REGISTER(R15, R15D, R15W, R15B),
    PLACE(AH, RAX, 1, 8),
    PLACE(BH, RBX, 1, 8),
    PLACE(CH, RCX, 1, 8),
    PLACE(DH, RDX, 1, 8),
    PLACE(RIP, RIP, 8, 0),
    PLACE(EIP, RIP, 8, 0),
    PLACE(IP, RIP, 8, 0),
};
