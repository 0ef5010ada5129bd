/* corpus_reach.c: rows of the generated corpus hold every mnemonic that the decoder knows, except those named here,
 * and why. A mnemonic that is named and reached all the same fails, too: the list is to be true.
 *
 *      corpus_reach FILE */
#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

#include "corpus/decoders/decoders.h"
#include "corpus/rows/rows.h"

static const struct {
    const char *why;
    const char *names;
} unreached[] = {
    {"64-bit mode does not have it",
     " aaa aad aam aas arpl bound daa das into jcxz lds les popa popad popfd pusha pushad pushfd salc "},
    {"it is Knights Corner's alone, in MVEX or beside it, and decode/zydis/quirks.c refuses it",
     " kmov knot kortest vaddnps vaddsetsps vcvtfxpntpd2dq vcvtfxpntpd2udq vcvtfxpntps2dq vcvtfxpntps2udq vexp223ps "
     "vfixupnanps vfmadd233ps vgatherpf0hintdps vgmaxabsps vgmaxps vgminps vloadunpackhpd vloadunpackhq vloadunpacklpd "
     "vloadunpacklq vlog2ps vmovnrapd vmovnraps vmovnrngoapd vmovnrngoaps vpackstorehd vpackstorehpd vpackstorehps "
     "vpackstorehq vpackstoreld vpackstorelpd vpackstorelps vpackstorelq vpadcd vpaddsetcd vpaddsetsd vpcmpltd "
     "vpermf32x4 vpmadd231d vpmadd233d vpmulhd vpmulhud vpsbbd vpsbbrd vpsubrd vpsubrsetbd vpsubsetbd vrcp23ps "
     "vrndfxpntps vrsqrt23ps vscaleps vscatterpf0hintdps vsubrps "},
};

/* Why the mnemonic is not reached; NULL if it ought to be. */
static const char *reason(const char *name)
{
    char word[40];
    snprintf(word, sizeof word, " %s ", name);
    for (size_t i = 0; i < sizeof unreached / sizeof *unreached; i++)
        if (strstr(unreached[i].names, word))
            return unreached[i].why;
    return NULL;
}

static void mark(const struct corpus_rows *rows, bool reached[ZYDIS_MNEMONIC_MAX_VALUE + 1])
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t slot[CORPUS_SLOT_BYTES];
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (size_t i = 0; i < rows->count; i++) {
        corpus_slot_fill(slot, &rows->rows[i]);
        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, slot, sizeof slot, &instruction, operands)))
            reached[instruction.mnemonic] = true;
    }
}

int main(int count, char **arguments)
{
    static bool reached[ZYDIS_MNEMONIC_MAX_VALUE + 1];
    struct corpus_rows rows = {0};
    struct corpus_error error;
    unsigned wrong = 0, found = 0;
    if (count != 2)
        return 2;
    if (!corpus_rows_read(&rows, arguments[1], &error)) {
        char text[512];
        corpus_error_text(&error, text, sizeof text);
        fprintf(stderr, "%s\n", text);
        return 2;
    }
    mark(&rows, reached);
    for (unsigned i = ZYDIS_MNEMONIC_INVALID + 1; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++) {
        const char *name = ZydisMnemonicGetString((ZydisMnemonic)i), *why = reason(name);
        found += reached[i];
        if (reached[i] == !why)
            continue;
        printf("%s is %s%s\n", name, reached[i] ? "reached, but named: " : "not reached", why ? why : "");
        wrong++;
    }
    printf("%u of %u mnemonics reached by %zu rows\n", found, (unsigned)ZYDIS_MNEMONIC_MAX_VALUE, rows.count);
    corpus_rows_free(&rows);
    return wrong != 0;
}
