/* engines.h: the instruction classes that engines carry out. Used inside emulate/, and by the generator of its
 * documentation. */
#ifndef SEGUE_EMULATE_ENGINES_H
#define SEGUE_EMULATE_ENGINES_H

#include <segue/emulate.h>

/* The engine for instructions of this class, except plain moves; SEGUE_ENGINE_NONE if there is no engine. */
enum segue_engine engines_of(enum segue_class number);

/* The reason why no engine carries out instructions of this class; NULL if one does. */
const char *engines_refusal(enum segue_class number);

/* The reason for one instruction, which may differ from that of its class. Async-signal-safe. */
const char *engines_insn_refusal(const struct segue_insn *insn);

#endif
