/* serve.h: the step of a fault, and what of it went wrong. */
#ifndef SEGUE_SIGNALS_SERVE_H
#define SEGUE_SIGNALS_SERVE_H

#include <segue/emulate.h>

struct work;

/* Carries the fault's plan out; `regs` are those that it was made with, and then those after it. With `visit` not NULL
 * what it read and wrote can be told (serve_visit). As segue_step. */
enum segue_status serve_step(struct work *work, struct segue_regs *regs, segue_value_visit *visit);
void serve_visit(const struct work *work, segue_value_visit *visit, void *context);

/* As segue_step_preview. */
enum segue_status serve_preview(struct work *work, segue_value_visit *visit, void *context);

/* After a step that met memory that is not there: that fault is the instruction's own. Tells it at the address that the
 * program used, in place of the one that brought us here. */
void serve_tell_fault(struct work *work);

#endif
