/* stepper.h: runs code with given registers one instruction at a time, by the trap flag, and shows each stop. */
#ifndef SEGUE_TESTS_STEPPER_H
#define SEGUE_TESTS_STEPPER_H

#include <segue/regs.h>
#include <stdbool.h>

struct stepper_stop {
    /* The registers before the next instruction; may be changed. */
    struct segue_regs *regs;
    /* 0 for a step; else the signal of a fault, and its address. */
    int signal;
    uint64_t address;
    /* The vector state: what the kernel saved. */
    const void *state;
};

/* Called at the beginning and after each instruction, in a signal handler. Returns whether to go on. */
typedef bool stepper_at(void *context, struct stepper_stop *stop);

/* Runs from `regs` on, with the vector state of the first call of this function. If `is_stepped` is false, only a fault
 * or INT3 stops. False if it takes too many steps. `state_size` is the size of the vector state. */
bool stepper_run(const struct segue_regs *regs, bool is_stepped, stepper_at *at, void *context);
size_t stepper_state_size(void);

#endif
