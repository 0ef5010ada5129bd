/* unserved.c: the table of those reasons (unserved.h).
 *
 * SOURCES: Intel SDM volume 2 (each instruction's page). */
#include "unserved.h"

#include "mnemonics.h"

#include "decode/zydis/zydis.h"

static const char descriptor_tables[] = "it looks a segment up in the descriptor tables, which no engine does";
static const char privilege_level[] = "it adjusts the privilege level of a selector, which no engine does";
static const char bounds[] = "it compares a register with bounds, which no engine does";
static const char key_handle[] = "it works with a wrapped key (Key Locker), which no engine does";

static const struct {
    ZydisMnemonic mnemonic;
    const char *text;
} rows[] = {
    {ZYDIS_MNEMONIC_LAR, descriptor_tables},      {ZYDIS_MNEMONIC_LSL, descriptor_tables},
    {ZYDIS_MNEMONIC_VERR, descriptor_tables},     {ZYDIS_MNEMONIC_VERW, descriptor_tables},
    {ZYDIS_MNEMONIC_ARPL, privilege_level},       {ZYDIS_MNEMONIC_BOUND, bounds},
    {ZYDIS_MNEMONIC_AESDEC128KL, key_handle},     {ZYDIS_MNEMONIC_AESDEC256KL, key_handle},
    {ZYDIS_MNEMONIC_AESDECWIDE128KL, key_handle}, {ZYDIS_MNEMONIC_AESDECWIDE256KL, key_handle},
    {ZYDIS_MNEMONIC_AESENC128KL, key_handle},     {ZYDIS_MNEMONIC_AESENC256KL, key_handle},
    {ZYDIS_MNEMONIC_AESENCWIDE128KL, key_handle}, {ZYDIS_MNEMONIC_AESENCWIDE256KL, key_handle},
};

const char *unserved_text(const struct segue_insn *insn)
{
    ZydisMnemonic mnemonic = mnemonic_to_zydis(insn->mnemonic);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mnemonic == rows[i].mnemonic)
            return rows[i].text;
    return NULL;
}
