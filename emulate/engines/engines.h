/* engines.h: which classes of instructions the engines do. Used inside emulate/, and by what documents it. */
#ifndef SEGUE_EMULATE_ENGINES_H
#define SEGUE_EMULATE_ENGINES_H

#include <segue/emulate.h>

/* Which engine does instructions of this class, plain moves apart; SEGUE_ENGINE_NONE if none does. */
enum segue_engine engines_of(enum segue_class number);

/* Why no engine does instructions of this class; NULL if one does. */
const char *engines_refusal(enum segue_class number);

/* The same of one instruction, whose reason may be another than its class's. Async-signal-safe. */
const char *engines_insn_refusal(const struct segue_insn *insn);

#endif
