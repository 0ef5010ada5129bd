/* rewrite.c: which byte of an instruction changes, and to which value.
 *
 * SOURCES: Intel SDM volume 2, RDFSBASE/RDGSBASE (F3 0F AE /0 and /1), WRFSBASE/WRGSBASE (/2 and /3): ModRM.reg's
 * lowest bit distinguishes FS from GS. */
#include "rewrite.h"

#include "decode/encoding.h"

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

/* Whether the instruction reads or writes the base of `segment`: prefixes, F3 among them, 0F AE, and ModRM with a
 * register and one of the first four operations. */
static bool names_base(const struct segue_insn *insn, enum segue_segment segment)
{
    bool is_repeated = false;
    if (insn->length < 4 || insn->bytes[insn->length - 3] != 0x0f || insn->bytes[insn->length - 2] != 0xae)
        return false;
    for (unsigned i = 0; i + 3 < insn->length; i++) {
        if (!encoding_is_prefix(insn->bytes[i]))
            return false;
        is_repeated |= insn->bytes[i] == 0xf3;
    }
    uint8_t modrm = insn->bytes[insn->length - 1];
    return is_repeated && (modrm & 0xe0) == 0xc0 && (bool)(modrm & MODRM_GS) == (segment == SEGUE_SEGMENT_GS);
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
