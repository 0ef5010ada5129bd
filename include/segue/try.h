/* try.h: blocks of code that may fault, as the `try` blocks of structured exceptions.
 *
 * SOURCES: setjmp(3); docs/ctx.md. */
#ifndef SEGUE_TRY_H
#define SEGUE_TRY_H

#include <segue/regs.h>

SEGUE_BEGIN

struct segue_frame;

/* The state of a block. Every field except `fault` is private. */
struct segue_trial {
    uint64_t registers[8];
    uint32_t mxcsr;
    uint16_t x87_control;
    struct segue_trial *outer;
    struct segue_fault fault;
    uint64_t private_[2];
#ifdef _WIN64
    /* What else is callee-saved there: RDI, RSI, XMM6 to XMM15. */
    uint64_t more_registers[2];
    unsigned char vectors[10][16];
#endif
};

/* Begins a block: returns 0. If a fault happens before segue_try_end, the block ends, and segue_try
 * returns a second time, with 1 and the fault in `trial->fault`. As with setjmp, local variables
 * that changed in between must be volatile, and the calling function must not return before the
 * block has ended. Blocks nest. After a fault the callee-saved registers, MXCSR and the x87 control
 * word have their values of the beginning; the signal mask is that of the interrupted code. Makes
 * no system call. Only faults on this thread count, except those that a region of segue_install
 * serves. Needs segue_install, or a handler that calls segue_try_catch. A fault inside a function
 * that holds a lock leaves the lock held. MT-Safe, AS-Safe. */
SEGUE_RETURNS_TWICE SEGUE_API int segue_try(struct segue_trial *trial);

/* Ends the innermost block, which must be `trial`. Returns SEGUE_OK, or SEGUE_NOT_FOUND, with
 * nothing changed, if `trial` is not the innermost block. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_try_end(struct segue_trial *trial);

/* For a signal handler: if the thread is in a block, ends the innermost one, and makes the
 * handler's return continue there. Returns SEGUE_OK: return from the handler; SEGUE_NOT_FOUND: the
 * thread is in no block, or a program sent the signal; SEGUE_INVALID for NULL, or a frame that was
 * opened without siginfo. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_try_catch(struct segue_frame *frame);

/* For a handler that runs other code, whose faults are not the interrupted code's:
 * segue_try_set_aside detaches the thread's innermost block and returns it, and segue_try_put_back
 * attaches it again. Between the two, the thread is in no block. MT-Safe, AS-Safe. */
SEGUE_API struct segue_trial *segue_try_set_aside(void);
SEGUE_API void segue_try_put_back(struct segue_trial *trial);

SEGUE_END

#endif
