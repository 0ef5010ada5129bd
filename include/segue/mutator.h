/* mutator.h: a thread as a collector sees it: every word that may be a reference, its stack
 * pointer, its registers.
 *
 * A mutator context always describes the application: for a thread that is inside the library
 * (handler, trampoline, system-call detour) it has the registers and stack pointer of the
 * application's code that the library serves.
 *
 * SOURCES: MPS design/prmc (suspend.scan); System V ABI for x86-64, 3.2.2 (red zone); Intel SDM
 * volume 1, 13.4. */
#ifndef SEGUE_MUTATOR_H
#define SEGUE_MUTATOR_H

#include <segue/frame.h>

SEGUE_BEGIN

struct segue_event;

/* How the thread of a context was stopped. */
enum segue_mutator_kind {
    /* By a fault: the context of a policy's event, or of a frame in which the processor noted a
     * fault. */
    SEGUE_MUTATOR_FAULT = 1,
    /* By a suspension, or by a signal that is not a fault. */
    SEGUE_MUTATOR_THREAD = 2,
    /* Not stopped: the context is the caller's own. */
    SEGUE_MUTATOR_CALLER = 3,
};

/* A thread's context. It contains pointers into the signal frame, or to the caller's area. */
struct segue_mutator {
    /* The application's registers; regs.rip is the address of the instruction with which it
     * continues. */
    struct segue_regs regs;
    /* The application's vector and other extended state; the area is NULL if the context has no
     * extended state. */
    struct segue_xstate xstate;
    /* The size in bytes of the red zone below its stack pointer. */
    uint32_t red_zone;
    /* Whether the thread was inside the library's handler. */
    bool in_fault;
    /* enum segue_mutator_kind. */
    uint8_t kind;
    /* The handler's registers, extended state and stack. */
    struct {
        struct segue_regs regs;
        struct segue_xstate xstate;
        uint64_t stack, stack_end;
        /* Where the thread's registers are stored, as addresses: the signal frame's ucontext, and a
         * struct segue_regs. Each may be 0. */
        uint64_t native, stored;
        uint64_t reserved[11];
    } private_;
};

/* Fills in the context of the thread that a frame interrupted. It must be the calling thread, and
 * the frame its handler's own. The context is valid until the handler returns. Returns SEGUE_OK;
 * SEGUE_UNSUPPORTED if the system's frames cannot be decoded; SEGUE_INVALID for a NULL pointer.
 * MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mutator_from_frame(struct segue_mutator *context,
                                                     const struct segue_frame *frame);

/* Fills in the context of the thread whose fault a policy is asked about. It is valid until the
 * policy returns. Returns as segue_mutator_from_frame. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mutator_from_event(const struct segue_event *event,
                                                     struct segue_mutator *context);

/* Fills in the calling thread's context as of this call's return: every general register as the
 * caller left it (RDI, RSI and RDX are the arguments), RSP and RIP as they are after the return. No
 * register is mangled, as setjmp does to RBP. `area`, 64-byte aligned and of at least
 * segue_xstate_size(0) bytes, receives the extended state; with NULL the context has none, since
 * the ABI preserves no vector register across a call. The red zone is empty, because a caller has
 * none. Returns SEGUE_OK; SEGUE_INVALID for a NULL `context`, an area that is not aligned or too
 * small, or if segue_xstate_size(0) was never called; SEGUE_UNSUPPORTED. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mutator_capture(struct segue_mutator *context, void *area,
                                                  size_t area_size);

/* Checks, for assertions, that one of these functions filled the context, as far as its contents
 * show it. Returns SEGUE_OK, or SEGUE_INVALID, also for NULL. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mutator_check(const struct segue_mutator *context);

/* The lowest address of the stack in use, excluding the red zone. `context` must not be NULL.
 * MT-Safe, AS-Safe. */
SEGUE_API uint64_t segue_mutator_sp(const struct segue_mutator *context);

/* Scans the words in [base, limit), both multiples of 8; they may be copies. Returns 0 to continue;
 * any other value ends the scan. */
typedef int segue_scan_words(void *closure, const void *base, const void *limit);

/* Calls `scan` for every word of the context that may be a reference, in this order:
 *   1. struct segue_regs: the sixteen general registers, RIP, RFLAGS and the segment bases;
 *   2. the XSAVE area, lowest address first: the x87 and MMX registers, XMM0 to 15, then each
 *      further component (upper halves of YMM, mask registers, upper halves of ZMM0 to 15, ZMM16 to
 *      31, and any others of the processor). Components in their initial state, which are all zero
 *      by definition, are omitted;
 *   3. the red zone below the stack pointer, as far as it is readable;
 *   4. for a thread that was inside the library's handler: that handler's registers as 1 and 2, and
 *      its stack.
 * Words are 8 bytes at multiples of 8 from the lowest lane of each register. A reference that spans
 * two words of a vector register is in the bytes that `scan` receives, but not at a multiple of 8:
 * a collector whose code moves references at other offsets must search there itself. The stack from
 * segue_mutator_sp upwards is not scanned. The context's thread must not run. If the red zone may
 * be inaccessible, the program needs the handler that segue_peek needs. Returns 0, or what `scan`
 * returned. MT-Safe, AS-Safe if `scan` is. */
SEGUE_API int segue_mutator_scan(const struct segue_mutator *context, segue_scan_words *scan,
                                 void *closure);

/* May change the words in [base, limit), both multiples of 8. Returns as segue_scan_words. */
typedef int segue_update_words(void *closure, uint64_t *base, uint64_t *limit);

/* For collectors that move objects: calls `update` for the words of the application's registers and
 * stores what `update` left there. The thread continues with it; `context` has it too. The words:
 *   1. the sixteen general registers, including RSP; not RIP, RFLAGS and the segment bases;
 *   2. the vector, mask and x87 registers that are in use, in the order of segue_mutator_scan; no
 *      component of the processor's state that is not registers of the program (PKRU, tile
 *      configuration);
 *   3. the red zone, as far as it can be read and written.
 * It can update the context of
 *   - a suspended thread that is not in a fault;
 *   - the thread that a handler of the program's has interrupted (segue_mutator_from_frame):
 * updates the frame, and the registers in struct segue_frame;
 *   - a policy's event: updates event->regs and event->xstate, which take effect with SEGUE_DONE;
 *     the red zone at once.
 * Returns -1, without a call of `update`, for other contexts: a thread in the library's handler, or
 * in the last instructions before it continues, whose registers the library has already taken; a
 * context that segue_mutator_capture filled, whose registers nothing loads. A collector does not
 * move what segue_mutator_scan finds there, nor what it finds in the stack of a policy. Also
 * returns -1 if the system refuses to store the registers of a thread that it has stopped (not on
 * Linux). Otherwise returns 0, or what `update` returned; what it has changed by then is stored.
 * The thread must not run. MT-Safe, AS-Safe if `update` is. */
SEGUE_API int segue_mutator_update(struct segue_mutator *context, segue_update_words *update,
                                   void *closure);

/* Stores context->regs, except the segment bases and selectors: the thread continues with them.
 * Returns SEGUE_OK; SEGUE_UNSUPPORTED for a context that segue_mutator_update cannot update;
 * SEGUE_SYSTEM as there; SEGUE_INVALID for NULL. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_mutator_write(struct segue_mutator *context);

SEGUE_END

#endif
