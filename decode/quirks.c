/* quirks.c: the one place where defects of Zydis 4.0.0 are worked around.
 *
 * SOURCES: zyantific/zydis issue 592 (fixed upstream after 4.1.1); notes on MVEX in docs/facts.md. */
#include <cpuid.h>
#include <stdbool.h>

#include "quirks.h"

/* The first four letters of CPUID's vendor: "Auth", "Hygo". */
#define VENDOR_AMD 0x68747541u
#define VENDOR_HYGON 0x6f677948u

/* MOVSXD with a 16-bit destination: AMD's processors read four bytes and use two, Intel's read two (measured on one of
 * AMD's, docs/facts.md; binutils' documentation, "AMD64 ISA vs. Intel64 ISA"). Zydis says four always. */
static bool movsxd_reads_four_bytes(void)
{
    enum { UNKNOWN, NO, YES };
    static uint8_t answer;
    uint8_t known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    unsigned eax, ebx = 0, ecx, edx;
    if (known == UNKNOWN) {
        __cpuid(0, eax, ebx, ecx, edx);
        known = (ebx == VENDOR_AMD || ebx == VENDOR_HYGON) ? YES : NO;
        __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
    }
    return known == YES;
}

static void mend_movsxd(const ZydisDecodedInstruction *instruction,
                        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (instruction->mnemonic == ZYDIS_MNEMONIC_MOVSXD && instruction->operand_width == 16 &&
        !movsxd_reads_four_bytes())
        operands[1].size = 16;
}

/* 67h, ModRM.mod 0, SIB.base 5 and REX.B: there is no base register but a 32-bit displacement; Zydis gives R13D and
 * drops the displacement. */
static void mend_base_of_address32(const ZydisDecodedInstruction *instruction,
                                   ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    if (instruction->address_width != 32 || !(instruction->attributes & ZYDIS_ATTRIB_HAS_SIB) ||
        instruction->raw.modrm.mod != 0 || instruction->raw.sib.base != 5)
        return;
    for (size_t i = 0; i < instruction->operand_count; i++) {
        ZydisDecodedOperand *operand = &operands[i];
        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY || operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
            continue;
        operand->mem.base = ZYDIS_REGISTER_NONE;
        operand->mem.disp.has_displacement = ZYAN_TRUE;
        operand->mem.disp.value = instruction->raw.disp.value;
    }
}

bool quirks_mend(ZydisDecodedInstruction *instruction, ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    /* Knights Corner's encodings are accepted though that decoder mode is off; every processor since raises #UD. */
    if (instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX || instruction->meta.isa_set == ZYDIS_ISA_SET_KNCE ||
        instruction->meta.isa_set == ZYDIS_ISA_SET_KNCJKBR || instruction->meta.isa_set == ZYDIS_ISA_SET_KNCSTREAM ||
        instruction->meta.isa_set == ZYDIS_ISA_SET_KNCV || instruction->meta.isa_set == ZYDIS_ISA_SET_KNC_MISC ||
        instruction->meta.isa_set == ZYDIS_ISA_SET_KNC_PF_HINT)
        return false;
    mend_base_of_address32(instruction, operands);
    mend_movsxd(instruction, operands);
    return true;
}
