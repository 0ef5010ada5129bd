/* values.h: steps that report the values that they read and wrote. */
#ifndef SEGUE_EMULATE_VALUES_H
#define SEGUE_EMULATE_VALUES_H

#include <segue/emulate.h>

#include "scratch.h"

/* The most bytes of one operand whose values are reported, and room for its alignment. */
#define VALUES_MOST 4096u
#define VALUES_ALIGNMENT 64u
#define VALUES_ROOM (SEGUE_MEMORY_OPERANDS * (VALUES_MOST + VALUES_ALIGNMENT))

/* The range of operands that share one copy: from the first byte to the last. */
struct values_copy {
    uint64_t first, size;
    /* The offset in both buffers. */
    size_t at;
};

/* The only device that a plan may access: its own functions, which record the values that pass through. */
struct values_device {
    const struct segue_window *window;
    struct segue_window own;
    bool has_read, has_written;
    uint8_t read[VALUES_MOST], written[VALUES_MOST];
    uint64_t address;
};

/* The working memory; large. */
struct values {
    /* The plan as it is carried out on the copies, and the original plan. */
    LARGE_PLAN(plan);
    LARGE_PLAN(real);
    struct segue_regs regs;
    /* One for each operand, or for each access if an operand's accesses are scattered. */
    struct values_copy copies[SEGUE_ACCESSES_MOST];
    unsigned copy_count;
    bool is_by_access;
    /* Of a repeated string: how many elements were carried out. */
    uint64_t elements;
    struct values_device device;
    _Alignas(VALUES_ALIGNMENT) uint8_t before[VALUES_ROOM];
    _Alignas(VALUES_ALIGNMENT) uint8_t after[VALUES_ROOM];
};

/* As step_in, on copies; values_visit then reports what was read and written. Also returns SEGUE_UNSUPPORTED, and does
 * nothing, if the values cannot be reported. */
enum segue_status values_step(struct values *values, struct step_scratch *scratch, const struct segue_plan *plan,
                              struct segue_regs *regs, struct segue_xstate *xstate, struct segue_fault *fault);

/* The same without the step: memory and `regs` stay unchanged. `xstate` is changed, and must be a copy. */
enum segue_status values_preview(struct values *values, struct step_scratch *scratch, const struct segue_plan *plan,
                                 const struct segue_regs *regs, struct segue_xstate *xstate);

/* Calls `visit` for each access that was made, in order. */
void values_visit(const struct values *values, segue_value_visit *visit, void *context);

#endif
