/* registers.c: Zydis' register numbers as ours.
 *
 * ASSUMPTIONS: Zydis numbers each class of general registers in encoding order (rax rcx rdx rbx rsp rbp rsi rdi r8
 * ...), except that the byte class has AH..BH between BL and SPL. The tests hold every register against its name. */
#include "registers.h"

/* enum segue_register in encoding order. */
static const uint8_t by_encoding[16] = {
    SEGUE_RAX, SEGUE_RCX, SEGUE_RDX, SEGUE_RBX, SEGUE_RSP, SEGUE_RBP, SEGUE_RSI, SEGUE_RDI,
    SEGUE_R8,  SEGUE_R9,  SEGUE_R10, SEGUE_R11, SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15,
};

static const struct {
    ZydisRegister first, last;
    uint8_t size, shift, encoding;
} runs[] = {
    {ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_R15, 8, 0, 0}, {ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_R15D, 4, 0, 0},
    {ZYDIS_REGISTER_AX, ZYDIS_REGISTER_R15W, 2, 0, 0}, {ZYDIS_REGISTER_AL, ZYDIS_REGISTER_BL, 1, 0, 0},
    {ZYDIS_REGISTER_AH, ZYDIS_REGISTER_BH, 1, 8, 0},   {ZYDIS_REGISTER_SPL, ZYDIS_REGISTER_R15B, 1, 0, 4},
};

bool register_find(ZydisRegister zydis, struct register_place *place)
{
    if (zydis == ZYDIS_REGISTER_NONE)
        return false;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        if (zydis < runs[i].first || zydis > runs[i].last)
            continue;
        place->number = by_encoding[runs[i].encoding + (zydis - runs[i].first)];
        place->size = runs[i].size;
        place->shift = runs[i].shift;
        return true;
    }
    if (zydis == ZYDIS_REGISTER_RIP || zydis == ZYDIS_REGISTER_EIP || zydis == ZYDIS_REGISTER_IP) {
        *place = (struct register_place){.number = SEGUE_RIP, .size = 8, .shift = 0};
        return true;
    }
    return false;
}
