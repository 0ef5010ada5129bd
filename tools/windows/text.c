/* text.c: see tools/explain/text.h: the decoder for Windows is built without its formatter, which needs more of Zycore
 * than its headers. */
#if !defined(_WIN32)
#error "tools/windows/text.c is specific to Windows"
#endif

#include "tools/explain/text.h"

#include <stdio.h>

void text_write(struct instruction *instruction)
{
    snprintf(instruction->text, sizeof instruction->text, "%s", segue_mnemonic_name(instruction->plan.insn.mnemonic));
}
