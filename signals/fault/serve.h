/* serve.h: carries out the step of a fault, and reports a fault that the step meets. */
#ifndef SEGUE_SIGNALS_SERVE_H
#define SEGUE_SIGNALS_SERVE_H

#include <segue/emulate.h>

struct work;

/* Carries out the fault's plan; `regs` holds the registers that the plan was made with, and then those after it. If
 * `visit` is not NULL, serve_visit can report the values that were read and written. Returns as segue_step. */
enum segue_status serve_step(struct work *work, struct segue_regs *regs, segue_value_visit *visit);
void serve_visit(const struct work *work, segue_value_visit *visit, void *context);

/* As segue_step_preview. */
enum segue_status serve_preview(struct work *work, segue_value_visit *visit, void *context);

/* After a step that met unmapped memory: that fault is the instruction's own. Reports it at the address that the
 * program used, in place of the fault that the kernel delivered. */
void serve_tell_fault(struct work *work);

#endif
