/* frame.h: one fault or signal as the system delivered it to a handler: read once, written once.
 *
 * The neutral half: segue_frame_open is in <segue/posix.h>. What is done with an open frame is
 * here, and the same everywhere. A handler of one's own is:
 *
 *      struct segue_frame frame;
 *      if (segue_frame_open(&frame, info, ucontext) == SEGUE_HANDLED) return;
 *      ... segue_frame_plan, segue_frame_step ... */
#ifndef SEGUE_FRAME_H
#define SEGUE_FRAME_H

#include <segue/decode.h>
#include <segue/emulate.h>
#include <segue/regs.h>
#include <segue/status.h>
#include <segue/window.h>

SEGUE_BEGIN

struct segue_context;

/* An open frame. Lives on the handler's stack until the handler ends. */
struct segue_frame {
    /* The interrupted thread's; the segment bases are a guest's if one was interrupted. */
    struct segue_regs regs;
    /* A view of the extended state in the frame; an area of NULL where the frame has none. */
    struct segue_xstate xstate;
    /* The fault, as the processor reported it; of one that has no address by its report (not a page
     * fault) that of the access that no memory can have, found by decoding the instruction. Where
     * there is none, signal and code alone. */
    struct segue_fault fault;
    /* POSIX: siginfo_t * and ucontext_t *. */
    void *native[2];
    uint64_t private_[8];
};

/* On systems that keep vector state in pieces: gathers it into `area`, 64-byte aligned, of
 * segue_xstate_size(0) bytes; segue_frame_write scatters it again. Elsewhere (Linux) does nothing:
 * xstate is a view of the frame. Returns SEGUE_OK; SEGUE_INVALID for NULL or an area that is not
 * aligned; SEGUE_TOO_SMALL for one that is smaller than the frame's state. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_gather(struct segue_frame *frame, void *area, size_t size);

/* Reads and decodes (by way of a cache of the library's own) the instruction at frame->regs.rip,
 * and plans its step against frame->fault. Returns as segue_plan; SEGUE_FAULT when the instruction
 * cannot be read; SEGUE_INVALID for NULL. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_plan(const struct segue_frame *frame,
                                             const struct segue_window *windows,
                                             size_t window_count, struct segue_plan *plan);

/* segue_step with the frame's registers and state, then segue_frame_write: return from the handler,
 * and the thread goes on behind the instruction. Returns as segue_step; with SEGUE_FAULT
 * frame->fault is the instruction's own new fault, and elements of a string that came before it are
 * done. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_step(struct segue_frame *frame,
                                             const struct segue_plan *plan);

/* Stores `regs` in the system's frame, which the handler's return goes on with; and `xstate`, where
 * that is another area than the frame's. Segment bases, selectors, and those flags that a program
 * cannot set are left alone. Returns SEGUE_OK; SEGUE_INVALID, and nothing was changed, for NULL or
 * an xstate that is not aligned to 64, lacks its header, has reserved bits of MXCSR set or
 * components that the frame has not. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_write(struct segue_frame *frame);

/* How a handler is left. */
enum segue_restore_method {
    /* By its return, with the frame edited: everywhere. */
    SEGUE_RESTORE_RETURN = 0,
    /* By loading the state (XRSTOR, then IRETQ) without the kernel: faster. */
    SEGUE_RESTORE_DIRECT = 1,
    /* So too, with one system call before for the signal mask. */
    SEGUE_RESTORE_DIRECT_MASK = 2,
};

/* Leaves the handler: the thread goes on with frame->regs (but for the segment bases) and
 * frame->xstate (an area of NULL: as the frame has it), and with the frame's signal mask. Nothing
 * is written to the stack that `regs` names, red zone and guard page included. With a direct
 * `method` it does not return, unless this one frame does not allow it: the thread was not in
 * 64-bit code, its alternate stack has SS_AUTODISARM, the address to go on at or the stack pointer
 * is not one that a program can have, the state's protection keys close what those in force leave
 * open, the handler uses tiles and the frame has none, the area is shorter than the frame's. Then,
 * and with SEGUE_RESTORE_RETURN, the frame is written and the caller has to return from its
 * handler. Returns SEGUE_OK in that case; SEGUE_INVALID as segue_frame_write. Called on the
 * handler's own stack. The method is segue_restore_choose's. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_restore(struct segue_frame *frame,
                                                enum segue_restore_method method);

/* Arranges that the handler's return goes on with `to`, in place of what was interrupted. The
 * kernel puts back what it must on the way: the alternate stack, and the signal mask, which is
 * `to`'s if it has one of its own and else the interrupted thread's. Nothing is written to the
 * interrupted stack. Returns SEGUE_OK: return from the handler; SEGUE_INVALID for NULL or when
 * there is nothing in `to` to go on with. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_set_context(struct segue_frame *frame,
                                                    struct segue_context *to);

SEGUE_END

#endif
