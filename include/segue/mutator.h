/* mutator.h: a thread as a collector sees it: every word that may be a reference, its stack
 * pointer, its registers.
 *
 * It is the application that is shown, always: a thread that is inside the library (handler, hot
 * site, system-call detour) shows the registers and stack pointer of the code that it serves.
 *
 * SOURCES: MPS design/prmc (suspend.scan); System V ABI for x86-64, 3.2.2 (red zone); Intel SDM
 * volume 1, 13.4. */
#ifndef SEGUE_MUTATOR_H
#define SEGUE_MUTATOR_H

#include <segue/frame.h>

SEGUE_BEGIN

struct segue_event;

/* How a thread was stopped whose context it is. */
enum segue_mutator_kind {
    /* By a fault: a policy is asked, or a frame in whose flags the processor has noted one. */
    SEGUE_MUTATOR_FAULT = 1,
    /* By a suspension, or by a signal that is no fault. */
    SEGUE_MUTATOR_THREAD = 2,
    /* It is the caller's own. */
    SEGUE_MUTATOR_CALLER = 3,
};

/* A thread's context. It holds pointers into the signal frame, or to the caller's area. */
struct segue_mutator {
    /* The application's registers. regs.rip: the instruction that it goes on with. */
    struct segue_regs regs;
    /* Its vector and other extended state; an area of NULL where there is none. */
    struct segue_xstate xstate;
    /* How many bytes below its stack pointer are its own. */
    uint32_t red_zone;
    /* It was inside the library's handler. */
    bool in_fault;
    /* enum segue_mutator_kind. */
    uint8_t kind;
    /* That handler's own registers, extended state and stack. */
    struct {
        struct segue_regs regs;
        struct segue_xstate xstate;
        uint64_t stack, stack_end;
        uint64_t reserved[13];
    } private_;
};

/* The thread that a frame has interrupted, which must be the calling one, and the frame its handler's own. Good
 * until the handler returns. Returns SEGUE_OK; SEGUE_UNSUPPORTED where nothing can be decoded; SEGUE_INVALID for a NULL
 * pointer. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mutator_from_frame(struct segue_mutator *context, const struct segue_frame *frame);

/* The context of the thread that a policy is asked about. Good until the policy returns. Returns as
 * segue_mutator_from_frame. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mutator_from_event(const struct segue_event *event, struct segue_mutator *context);

/* The calling thread's context as of this call's return: every general register as the caller left
 * it (RDI, RSI and RDX are the arguments), RSP and RIP as they are after the return; nothing is
 * mangled, as setjmp does to RBP. With `area`, 64-byte aligned and of at least segue_xstate_size(0)
 * bytes, the extended state as well; with NULL none: by the ABI a call keeps nothing there. The red
 * zone is empty: a caller has none. Returns SEGUE_OK; SEGUE_INVALID for a NULL `context` or an area
 * that is not aligned or too small, or when segue_xstate_size(0) was never called; SEGUE_UNSUPPORTED.
 * MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mutator_capture(struct segue_mutator *context, void *area, size_t area_size);

/* Whether the context is one that these functions have filled, as far as that can be seen:
 * SEGUE_OK, or SEGUE_INVALID, for NULL as well. For assertions. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_mutator_check(const struct segue_mutator *context);

/* The lowest address of the stack that is in use, the red zone not counted. `context` must not be
 * NULL. MT-Safe, AS-Safe. */
SEGUE_API uint64_t segue_mutator_sp(const struct segue_mutator *context);

/* Looks at the words in [base, limit), both multiples of 8; they may be copies. Returns 0 to go on;
 * anything else ends the scan. */
typedef int segue_scan_words(void *closure, const void *base, const void *limit);

/* Calls `scan` for every word of the context that may be a reference, in this order:
 *   1. struct segue_regs: the sixteen general registers, RIP, RFLAGS and the segment bases;
 *   2. the XSAVE area, lowest address first: the x87 and MMX registers, XMM0 to 15, then each further component (upper
 *      halves of YMM, mask registers, upper halves of ZMM0 to 15, ZMM16 to 31, and what else the processor has).
 *      Components in their initial state, all zero by definition, are left out;
 *   3. the red zone below the stack pointer, as far as it is readable;
 *   4. of a thread that was inside the library's handler: that handler's registers as 1 and 2, and its stack.
 * Words are 8 bytes at multiples of 8 from the lowest lane of each register. A reference that lies
 * across two words of a vector register is in the bytes that `scan` is given, but at no multiple of
 * 8; who moves references by other amounts looks for them so. The stack itself, from
 * segue_mutator_sp upwards, is not scanned. Returns 0, or what `scan` returned. Needs the handler
 * that segue_peek needs, for a red zone that is not there. MT-Safe, AS-Safe if `scan` is; the
 * context's thread must not run. */
SEGUE_API int segue_mutator_scan(const struct segue_mutator *context, segue_scan_words *scan, void *closure);

SEGUE_END

#endif
