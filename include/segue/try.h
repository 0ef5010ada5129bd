/* try.h: blocks that may fault. */
#ifndef SEGUE_TRY_H
#define SEGUE_TRY_H

#include <segue/regs.h>

SEGUE_BEGIN

struct segue_frame;

/* A block under trial. The fields but `fault` are private. */
struct segue_trial {
    uint64_t registers[8];
    uint32_t mxcsr;
    uint16_t x87_control;
    struct segue_trial *outer;
    struct segue_fault fault;
    uint64_t private_[2];
};

/* Begins a block: returns 0. If a fault happens before segue_try_end it returns again, 1, with what
 * happened in `trial->fault`, and the block has ended. As with setjmp: local variables that changed
 * in between must be volatile, and the function that called may not return before the block has
 * ended. Blocks nest. The registers that a call keeps, MXCSR and the x87 control word are as they
 * were at the beginning; the signal mask is the interrupted code's. Costs no system call. Only
 * faults on this thread count, and those that a region of segue_install serves do not. Needs
 * segue_install, or a handler that calls segue_try_catch. A fault inside a function that holds a
 * lock leaves it held. MT-Safe, AS-Safe. */
SEGUE_RETURNS_TWICE SEGUE_API int segue_try(struct segue_trial *trial);

/* Ends the innermost block, which must be `trial`. Returns SEGUE_OK, or SEGUE_NOT_FOUND if it is
 * another one, or none: then nothing is changed. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_try_end(struct segue_trial *trial);

/* For a handler: if the thread is in a block, ends the innermost one: the return from the handler will
 * go on there. Returns SEGUE_OK: return from the handler; SEGUE_NOT_FOUND: there is no block, or the
 * signal was sent by a program and is no fault; SEGUE_INVALID for NULL, or a frame that was opened
 * without siginfo. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_try_catch(struct segue_frame *frame);

/* For a handler that runs code of others, whose faults are not the interrupted code's: sets the
 * thread's innermost block aside, so that there is none, and puts it back. MT-Safe, AS-Safe. */
SEGUE_API struct segue_trial *segue_try_set_aside(void);
SEGUE_API void segue_try_put_back(struct segue_trial *trial);

SEGUE_END

#endif
