/* values.h: steps that tell what they read and wrote. */
#ifndef SEGUE_EMULATE_VALUES_H
#define SEGUE_EMULATE_VALUES_H

#include <segue/emulate.h>

#include "scratch.h"

/* The most bytes of one operand that are told, and room for its alignment. */
#define VALUES_MOST 4096u
#define VALUES_ALIGNMENT 64u
#define VALUES_ROOM (SEGUE_MEMORY_OPERANDS * (VALUES_MOST + VALUES_ALIGNMENT))

/* Bytes of operands that have one copy: all that lie between the first and the last of them. */
struct values_copy {
    uint64_t first, size;
    /* Where it stands in both. */
    size_t at;
};

/* The device that a plan goes through, one at most: its own functions, which note what goes by. */
struct values_device {
    const struct segue_window *window;
    struct segue_window own;
    bool has_read, has_written;
    uint8_t read[VALUES_MOST], written[VALUES_MOST];
    uint64_t address;
};

/* The memory that it is done in; large. */
struct values {
    /* The plan as it is carried out on the copies, and with the pieces that they are copies of. */
    struct segue_plan plan, real;
    struct segue_regs regs;
    /* One for each operand, or for each access where an operand's lie anywhere. */
    struct values_copy copies[SEGUE_ACCESSES_MOST];
    unsigned copy_count;
    bool is_by_access;
    /* Of a repeated string: how many elements were done. */
    uint64_t elements;
    struct values_device device;
    _Alignas(VALUES_ALIGNMENT) uint8_t before[VALUES_ROOM];
    _Alignas(VALUES_ALIGNMENT) uint8_t after[VALUES_ROOM];
};

/* As step_in, by way of copies: then values_visit tells what was read and written. SEGUE_UNSUPPORTED, and nothing has
 * happened, also where that cannot be told. */
enum segue_status values_step(struct values *values, struct step_scratch *scratch, const struct segue_plan *plan,
                              struct segue_regs *regs, struct segue_xstate *xstate, struct segue_fault *fault);

/* The same without the step: memory stays as it is, and so do `regs`. `xstate` is changed, and must be a copy. */
enum segue_status values_preview(struct values *values, struct step_scratch *scratch, const struct segue_plan *plan,
                                 const struct segue_regs *regs, struct segue_xstate *xstate);

/* Calls `visit` for each access that was made, in order. */
void values_visit(const struct values *values, segue_value_visit *visit, void *context);

#endif
