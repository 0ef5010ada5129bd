/* move.h: the engine for plain moves. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_MOVE_H
#define SEGUE_EMULATE_MOVE_H

#include <segue/emulate.h>

/* Carries out a plan of SEGUE_ENGINE_MOVE, except for the instruction pointer and the resume flag. As segue_step. */
enum segue_status move_step(const struct segue_plan *plan, struct segue_regs *regs, struct segue_fault *fault);

#endif
