/* frame.h: one fault or signal as the system delivered it: the only interface through which the library sees the
 * system's signal frame. A port implements it in platform/SYSTEM/frame.c (siginfo, masks, stacks) and frame_CPU.c
 * (registers, extended state, the processor's report).
 *
 * A fault uses it in three stages. At first a handler has a `struct native_frame`, two words, and queries only what
 * decides whose the signal is. Then frame_open reads the frame, once, into a `struct fault_frame`. At the end
 * frame_set_registers writes the registers back, once; a direct restore (ctx/restore) takes them from the
 * fault_frame.
 *
 * Preconditions of every function: it is called in the handler that received the frame, or on a thread that stands in
 * that handler; pointers are not NULL. Every function is async-signal-safe and preserves errno. `context` is the
 * frame's second word: a SA_SIGINFO handler's third argument. `info` is its first: the handler's second argument. */
#ifndef SEGUE_PLATFORM_FRAME_H
#define SEGUE_PLATFORM_FRAME_H

#include <segue/frame.h>

/* What the system passes to a handler, unread. Passed by value, in two registers. Linux: siginfo_t *, ucontext_t *. */
struct native_frame {
    void *info, *context;
};

/* The address range of the thread's alternate stack, as it was set when the frame was made. */
struct frame_stack {
    uint64_t base, size;
};

/* Whether a stack pointer is on the alternate stack. The stack pointer of a completely used stack is its lowest
 * address; that of an unused stack is its end. */
static inline bool frame_is_on(const struct frame_stack *stack, uint64_t stack_pointer)
{
    return stack_pointer - stack->base - 1 < stack->size;
}

/* ---- one fault ---- */

/* A frame that was read. */
struct fault_frame {
    /* The part that an embedder sees. The segment bases are those in force, which are the thread's unless it ran a
     * guest (guest_bases); the fault's address is known only for page faults. */
    struct segue_frame public;
    /* The thread's signal mask, which the handler's return restores. */
    uint64_t mask;
    struct frame_stack alternate_stack;
    /* frame_read was called. */
    bool is_read;
};

static inline struct native_frame frame_native(const struct segue_frame *frame)
{
    return (struct native_frame){frame->native[0], frame->native[1]};
}

/* Reads what the processor reported, the mask and the stack: `fault`, `mask`, `alternate_stack`. Precondition:
 * frame_is_fault. */
void frame_open(struct fault_frame *frame, struct native_frame native);

/* Reads the rest: registers, segment bases, the view of the extended state. Only for faults that need them. */
void frame_read(struct fault_frame *frame);

/* ---- before it is known whose the signal is ---- */

/* A handler's first act: clears those flags of the thread that the kernel leaves set and compiled code cannot run
 * with (AC). The frame keeps the thread's flags. */
void frame_begin(void);

/* Clears the given flags of the calling thread, and returns which of them were set. Assembly. */
uint64_t frame_clear_flags(uint64_t which);

/* The signal's own report: its number, its code, and its address if it has one. */
struct frame_signal {
    int number, code;
    uint64_t address;
};
struct frame_signal frame_signal(const void *info);

/* Whether the kernel raised the signal for the instruction at hand. False if a program or a timer sent it; the sender
 * may have used one of the kernel's codes, so the frame must agree with the code. */
bool frame_is_fault(struct native_frame native);

/* Whether that is certain: the processor has recorded a fault in the saved flags. Otherwise the frame may hold the
 * report of the thread's last fault, and a program may have sent that fault's siginfo again. */
bool frame_is_fault_for_sure(const void *context);

/* Whether the si_code says that a program or a timer sent the signal. A thread may send itself any code. */
bool frame_is_sent(const void *info);

/* Whether a program sent the signal and the kernel dropped its siginfo, because the user's queue was full. */
bool frame_is_lost(const void *info);

/* Whether the page's protection key refused the access. Also true for a PROT_NONE page whose key would refuse this
 * thread if the page were accessible. */
bool frame_is_key_refusal(const void *info);

/* Makes the signal one that the kernel raises without an address, for example for a frame that it could not write. */
void frame_set_kernel_signal(struct native_frame native, int number);

/* Makes the signal the single-step trap after an instruction: its siginfo and the processor's report. */
void frame_set_step_trap(struct native_frame native);

/* The room below one of the handler's stack pointers, if that is on the thread's alternate stack; SIZE_MAX if it is
 * on the thread's own stack, whose end is not known. */
size_t frame_room(const void *context, const void *stack_pointer);

/* The maximum size in bytes of the kernel's signal frame on this processor. */
size_t frame_size_most(void);

/* ---- the parts of a frame ---- */

/* The general registers, instruction pointer and flags; leaves the selectors and segment bases unchanged. */
void frame_get_general(const void *context, struct segue_regs *regs);
/* The same and the selectors: CS and SS come from the frame. The frame does not hold the others: they are those in
 * force, which a handler shares with the interrupted code. */
void frame_get_registers(const void *context, struct segue_regs *regs);
/* Writes all except the segment bases, the selectors, and those flags that a program cannot set. */
void frame_set_registers(void *context, const struct segue_regs *regs);

/* The selectors and the segment bases in force now. */
void frame_get_selectors(struct segue_regs *regs);
void frame_get_bases(struct segue_regs *regs);

/* Single values: the interrupted instruction's address, the stack pointer, the flags. */
uint64_t frame_instruction(const void *context);
void frame_set_instruction(void *context, uint64_t rip);
uint64_t frame_stack_pointer(const void *context);
uint64_t frame_flags(const void *context);

/* The code and stack segments that the thread runs with. */
void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack);

/* A view of the extended state. Its area is NULL if the frame has none; for the second also if it is not in the XSAVE
 * format. */
void frame_get_any_xstate(const void *context, struct segue_xstate *xstate);
void frame_get_xstate(const void *context, struct segue_xstate *xstate);

/* Where the system keeps the state in parts, and the frame has no area for it yet: gathers it into this one, which is
 * aligned to 64; false if that is too small. Otherwise true, and nothing. */
bool frame_gather_into(void *context, void *area, size_t size);
/* Writes the area that was gathered back to the parts: for a frame that an embedder's handler returns with. */
void frame_scatter(void *context);

/* The components that the system keeps for its threads, as in XCR0: one that it does not keep is no thread's, although
 * the processor may have it. 0 without XSAVE. */
uint64_t frame_components(void);

/* What the processor reported, as frame_open does. */
void frame_get_fault(struct native_frame native, struct segue_fault *fault);

/* The processor's report as it is in the frame, to be copied into another frame. The address is that of the thread's
 * last page fault, which is this fault if it is a page fault. */
struct frame_exception {
    uint64_t trap, error_code, address;
};
void frame_get_exception(const void *context, struct frame_exception *exception);
void frame_set_exception(void *context, const struct frame_exception *exception);

/* The signal mask that the handler's return restores. */
uint64_t frame_get_mask(const void *context);
void frame_set_mask(void *context, uint64_t mask);

/* The alternate stack at the time of the frame: whether the interrupted thread was on it, for instance in another
 * handler; and whether the frame itself is on it. */
struct frame_stack frame_get_alternate_stack(const void *context);
/* The same for a frame that may be unmapped, read by `peek`, which copies and returns whether it could; false if
 * not. */
bool frame_peek_alternate_stack(const void *context, bool (*peek)(void *to, const void *from, size_t size),
                                struct frame_stack *stack);
bool frame_was_on_alternate_stack(const void *context);
bool frame_is_on_alternate_stack(const void *context);

/* ---- other ways to resume ---- */

/* Makes the handler's return enter `instruction`, a function with one argument that never returns, in place of the
 * interrupted code: with the direction flag clear and the x87 stack empty, as between functions. The stack stays the
 * interrupted one, and may have no room: the function must not touch it. */
void frame_call(void *context, uint64_t instruction, uint64_t argument);

/* Whether the thread was in 64-bit code without the trap flag: then it may resume via instructions of the library. */
bool frame_allows_detour(const void *context);

/* Whether a direct restore does all that the kernel's return would do: the code is 64-bit code, the alternate stack
 * was not disarmed, the nested task flag is clear, and the frame has an XSAVE area. */
bool frame_allows_direct_restore(const void *context);

/* ---- frames for others ---- */

/* A copy of the frame, from which the kernel can restore as from the original: its size in bytes, and the copy, made
 * at `to`, a multiple of 64. Returns the copy's context. */
size_t frame_copy_size(const void *context);
void *frame_copy(const void *context, void *to);

/* Prepares the running thread so that the kernel can restore the frame, which may be another thread's, on it. A new
 * thread has no room yet for components that the kernel enables on demand (XFD); from a frame with such a component
 * the kernel would restore only x87 and SSE. */
void frame_make_room(const void *context);

/* Removes those components from a copy, so that a new thread can resume as the kernel made it: without them. */
void frame_narrow(void *context);

/* The size in bytes of the extended state's area, with the word that the kernel appends; 0 if the frame has no area. */
size_t frame_area_size(const void *context);

/* The memory that the frame occupies on its stack: `*low` is its first byte, `*high` the one after its last. */
void frame_get_extent(const void *context, uint64_t *low, uint64_t *high);

/* Whether the handler's return sets the frame's own alternate stack again, which the kernel had disarmed for the time
 * of the handler (SS_AUTODISARM). */
bool frame_rearms_alternate_stack(const void *context);

#endif
