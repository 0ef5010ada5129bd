/* report.c: a difference, with all that is needed to repeat it (see report.h). */
#include "report.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

#include "tests/differential/states/oracle.h"

/* The case's bytes in hexadecimal digits. */
static void spell(const struct test_case *test, char *text)
{
    for (size_t i = 0; i < test->length; i++)
        sprintf(text + 3 * i, "%02x ", test->bytes[i]);
}

static void disassemble(const struct test_case *test, uint64_t address, char *text, size_t size)
{
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, test->bytes, test->length, &instruction, operands)) ||
        !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &instruction, operands,
                                                      instruction.operand_count_visible, text, size, address, NULL)))
        snprintf(text, size, "(Zydis does not decode it)");
}

void batch_report(const struct batch_options *options, enum area_set set, uint64_t number, size_t i,
                  const struct test_case *test, const char *what, const char *details)
{
    char text[16384], bytes[64] = "", insn[128], form[64];
    char before[16 * 17 + 1] = "";
    spell(test, bytes);
    disassemble(test, oracle_slot_address(i, test->length), insn, sizeof insn);
    generate_describe(test, form, sizeof form);
    for (size_t k = 0; k < 16; k++)
        sprintf(before + 17 * k, "%016llx ", (unsigned long long)test->registers.general[k]);
    snprintf(text, sizeof text,
             "DIFFERENCE: %s\n  case %llu (batch %llu, number %zu), %s window; repeat it with: %s --batch %llu\n"
             "  %s: %s\n  %s; gs base %016llx; rax rbx rcx rdx rsi rdi rbp rsp r8..r15 before:\n  %s\n%s",
             what, (unsigned long long)(number * BATCH_CASES + i), (unsigned long long)number, i, area_set_name(set),
             options->command, (unsigned long long)number, bytes, insn, form, (unsigned long long)test->gs_base, before,
             details);
    options->report(text);
}
