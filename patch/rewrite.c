/* rewrite.c: which byte of an instruction changes, and to what.
 *
 * SOURCES: Intel SDM volume 2, RDFSBASE/RDGSBASE (F3 0F AE /0 and /1), WRFSBASE/WRGSBASE (/2 and /3): ModRM.reg's
 * lowest bit tells FS from GS. */
#include "rewrite.h"

#include <string.h>

#define MODRM_GS 0x08

bool rewrite_is_valid(struct segue_rewrite rewrite)
{
    return (rewrite.from == SEGUE_SEGMENT_FS && rewrite.to == SEGUE_SEGMENT_GS) ||
           (rewrite.from == SEGUE_SEGMENT_GS && rewrite.to == SEGUE_SEGMENT_FS);
}

uint8_t rewrite_prefix(enum segue_segment segment)
{
    return segment == SEGUE_SEGMENT_FS ? 0x64 : 0x65;
}

bool rewrite_goes_through(const struct segue_insn *insn, enum segue_segment segment)
{
    if (insn->segment_prefix == SEGUE_NO_PREFIX || insn->bytes[insn->segment_prefix] != rewrite_prefix(segment))
        return false;
    for (size_t i = 0; i < insn->memory_count; i++)
        if (insn->memory[i].segment == segment)
            return true;
    return false;
}

/* The instruction names the base of `segment`. */
static bool names_base(const struct segue_insn *insn, enum segue_segment segment)
{
    static const char *const names[][2] = {{"rdfsbase", "rdgsbase"}, {"wrfsbase", "wrgsbase"}};
    if (insn->length < 4 || insn->bytes[insn->length - 3] != 0x0f || insn->bytes[insn->length - 2] != 0xae)
        return false;
    const char *mnemonic = segue_mnemonic_name(insn->mnemonic);
    for (size_t i = 0; i < 2; i++)
        if (strcmp(mnemonic, names[i][segment == SEGUE_SEGMENT_GS]) == 0)
            return true;
    return false;
}

bool rewrite_find(const struct segue_insn *insn, struct segue_rewrite rewrite, struct segue_site *site)
{
    if (rewrite_goes_through(insn, rewrite.from)) {
        site->kind = SEGUE_SITE_ACCESS;
        site->index = insn->segment_prefix;
        site->old_byte = rewrite_prefix(rewrite.from);
        site->new_byte = rewrite_prefix(rewrite.to);
        return true;
    }
    if (names_base(insn, rewrite.from)) {
        site->kind = SEGUE_SITE_BASE;
        site->index = (uint8_t)(insn->length - 1);
        site->old_byte = insn->bytes[site->index];
        site->new_byte = site->old_byte ^ MODRM_GS;
        return true;
    }
    return false;
}
