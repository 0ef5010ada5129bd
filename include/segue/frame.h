/* frame.h: one fault or signal as the system delivered it to a handler: read once, written once.
 *
 * segue_frame_open, which depends on the system, is in <segue/posix.h> and <segue/windows.h>. The
 * functions on an open frame are here, and the same on every system. A program's own handler looks
 * so, with what the system gives it:
 *   struct segue_frame frame;
 *   if (segue_frame_open(&frame, info, ucontext) == SEGUE_HANDLED) return;
 *   ... segue_frame_plan, segue_frame_step ...
 *
 * SOURCES: sigaction(2); Intel SDM volume 1, chapter 13 (XSAVE, XRSTOR), volume 2 (IRETQ);
 * docs/ctx.md. */
#ifndef SEGUE_FRAME_H
#define SEGUE_FRAME_H

#include <segue/decode.h>
#include <segue/emulate.h>
#include <segue/regs.h>
#include <segue/status.h>
#include <segue/window.h>

SEGUE_BEGIN

struct segue_context;

/* An open frame. It is on the handler's stack, and valid until the handler ends. */
struct segue_frame {
    /* The interrupted thread's registers; the segment bases are the guest's if the signal
     * interrupted a guest. */
    struct segue_regs regs;
    /* A view of the extended state in the frame; the area is NULL if the frame has none. */
    struct segue_xstate xstate;
    /* The fault as the processor reported it. If the report has no address (not a page fault), the
     * address of the access that is not canonical, found by decoding the instruction. If the
     * instruction has no such access, only the signal and the code. */
    struct segue_fault fault;
    /* Linux: siginfo_t * and ucontext_t *. Elsewhere the library's own. */
    void *native[2];
    uint64_t private_[20];
};

/* On systems that keep vector state in several parts (Windows, macOS, FreeBSD): gathers it into
 * `area`, which is 64-byte aligned and has segue_xstate_size(0) bytes; segue_frame_write scatters
 * it again. On Linux it does nothing, because xstate is a view of the frame. Returns SEGUE_OK;
 * SEGUE_INVALID for NULL or an area that is not aligned; SEGUE_TOO_SMALL for an area smaller than
 * the frame's state. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_gather(struct segue_frame *frame, void *area, size_t size);

/* Reads and decodes the instruction at frame->regs.rip, through a cache of the library, and plans
 * its step against frame->fault. Returns as segue_plan (with SEGUE_TOO_SMALL, segue_frame_plan_in
 * has room); SEGUE_FAULT if the instruction cannot be read; SEGUE_INVALID for NULL. MT-Safe,
 * AS-Safe. */
SEGUE_API enum segue_status segue_frame_plan(const struct segue_frame *frame,
                                             const struct segue_window *windows,
                                             size_t window_count, struct segue_plan *plan);

/* As segue_frame_plan, with a plan in the caller's memory, as segue_plan_in has it. `*plan` is NULL
 * with SEGUE_INVALID and SEGUE_FAULT. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_plan_in(const struct segue_frame *frame,
                                                const struct segue_window *windows,
                                                size_t window_count, void *memory, size_t size,
                                                const struct segue_plan **plan);

/* Calls segue_step with the frame's registers and state, then segue_frame_write. When the handler
 * returns, the thread continues after the instruction. Returns as segue_step; with SEGUE_FAULT
 * frame->fault is the fault of the step itself, with the frame's signal and code, and the preceding
 * elements of a string are done. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_step(struct segue_frame *frame,
                                             const struct segue_plan *plan);

/* Stores `regs` in the system's frame, with which the thread continues when the handler returns;
 * and `xstate`, if it is another area than the frame's. Segment bases, selectors, and flags that a
 * program cannot set do not change. Returns SEGUE_OK; SEGUE_INVALID, with nothing changed, for NULL
 * or an xstate that is not aligned to 64, lacks its header, has reserved bits of MXCSR set, or has
 * components that the frame lacks. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_write(struct segue_frame *frame);

/* How a thread leaves a signal handler. */
enum segue_restore_method {
    /* By returning, with the frame edited: possible everywhere. */
    SEGUE_RESTORE_RETURN = 0,
    /* By loading the state (XRSTOR, then IRETQ) without the kernel: faster. */
    SEGUE_RESTORE_DIRECT = 1,
    /* The same, after one system call that restores the signal mask. */
    SEGUE_RESTORE_DIRECT_MASK = 2,
};

/* Leaves the handler: the thread continues with frame->regs (except for the segment bases),
 * frame->xstate (an area of NULL: the frame's state), and the frame's signal mask. Writes nothing
 * to the stack of `regs`, including its red zone and guard page. `method` is what
 * segue_restore_choose returned. Called on the handler's own stack.
 *
 * A direct `method` does not return, unless this frame does not allow it: the thread was not in
 * 64-bit code; its alternate stack has SS_AUTODISARM; the new instruction or stack pointer is not a
 * user address; the state's protection keys deny an access that the current ones allow; the handler
 * uses AMX tiles and the frame has none; the area is shorter than the frame's. In these cases, and
 * with SEGUE_RESTORE_RETURN, it writes the frame, and the caller must return from its handler.
 * Returns SEGUE_OK then; SEGUE_INVALID as segue_frame_write. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_restore(struct segue_frame *frame,
                                                enum segue_restore_method method);

/* Makes the handler's return continue with the context `to` instead of the interrupted code. The
 * kernel restores the alternate stack and the signal mask: `to`'s mask if it has its own, otherwise
 * the interrupted thread's. Writes nothing to the interrupted stack. Returns SEGUE_OK: return from
 * the handler; SEGUE_INVALID for NULL, or if `to` is empty or has finished. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_set_context(struct segue_frame *frame,
                                                    struct segue_context *to);

/* Fault-PC translation, for profilers: if `regs` are those of a thread that stands in the library's
 * own code (a hot site's body, a stub, a handler's entry or return path), replaces them by the
 * application's, at the instruction that this code stands for. Call it on that thread, in the
 * handler that interrupted it, with the registers of the handler's frame. Leaves the segment bases
 * and selectors alone. Returns SEGUE_OK; SEGUE_NOT_FOUND if the thread stands elsewhere, and
 * nothing has changed; SEGUE_INVALID for NULL. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_translate(struct segue_regs *regs);

SEGUE_END

#endif
