/* engines.c: the table of instruction classes that engines carry out. */
#include "engines.h"

#include "decode/mnemonics/unserved.h"

static const char *const refusals[SEGUE_CLASS_COUNT] = {
    [SEGUE_CLASS_UNKNOWN] = "undefined instruction",
    [SEGUE_CLASS_SEGMENT] = "it reads or writes a segment register, and a handler runs with its own",
    [SEGUE_CLASS_SYSTEM] = "privileged or system instruction",
};

const char *engines_refusal(enum segue_class number)
{
    return number < SEGUE_CLASS_COUNT ? refusals[number] : refusals[SEGUE_CLASS_UNKNOWN];
}

__attribute__((hot)) const char *engines_insn_refusal(const struct segue_insn *insn)
{
    const char *of_class = engines_refusal((enum segue_class)insn->class_);
    const char *own = of_class ? unserved_text(insn) : NULL;
    return own ? own : of_class;
}

__attribute__((hot)) enum segue_engine engines_of(enum segue_class number)
{
    if (engines_refusal(number))
        return SEGUE_ENGINE_NONE;
    return number == SEGUE_CLASS_STACK || number == SEGUE_CLASS_BRANCH ? SEGUE_ENGINE_STACK : SEGUE_ENGINE_REPLAY;
}
