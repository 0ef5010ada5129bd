/* frame.h: one fault or signal as the system delivered it: the only interface through which the library sees the
 * system's frame. A port implements it in platform/SYSTEM/frame.c (siginfo, masks, stacks) and frame_CPU.c (registers,
 * extended state, the processor's report).
 *
 * The way of one fault crosses it three times. While nothing is known yet a handler has a `struct native_frame`, two
 * words, and asks for what decides whose the signal is. Then frame_open reads all of it, once, into a `struct
 * fault_frame`. frame_set_registers writes back what has become of it, once; the way out (ctx/restore) takes the
 * registers from the fault_frame.
 *
 * Preconditions of every function: it is called in the handler that received the frame, or on a thread that stands in
 * that handler; pointers are not NULL. Postconditions: async-signal-safe, and errno is kept. `context` is the frame's
 * second word: a SA_SIGINFO handler's third argument. `info` is its first: the handler's second argument. */
#ifndef SEGUE_PLATFORM_FRAME_H
#define SEGUE_PLATFORM_FRAME_H

#include <segue/frame.h>

/* What the system hands a handler, unread. Passed by value: it is two registers. Linux: siginfo_t *, ucontext_t *. */
struct native_frame {
    void *info, *context;
};

/* A range of addresses that the thread has as its alternate stack, as it was set when the frame was made. */
struct frame_stack {
    uint64_t base, size;
};

/* Whether a stack pointer is on it. A stack that is all used up ends at its lowest byte, and one that is not used at
 * all, at its end. */
static inline bool frame_is_on(const struct frame_stack *stack, uint64_t stack_pointer)
{
    return stack_pointer - stack->base - 1 < stack->size;
}

/* ---- one fault ---- */

/* An open frame. */
struct fault_frame {
    /* As an embedder sees it. The segment bases are those in force, which are the thread's unless it ran a guest
     * (guest_bases); the fault's address is known for page faults alone. */
    struct segue_frame public;
    /* The signal mask that the thread had, and will have again. */
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

/* Reads the rest: registers, segment bases, the view of the extended state. For those faults that are looked into. */
void frame_read(struct fault_frame *frame);

/* ---- before it is known whose the signal is ---- */

/* A handler's first act: clears what of the thread's flags the kernel leaves in force, and compiled code cannot run
 * with. The frame keeps the thread's own. */
void frame_begin(void);

/* Clears those of the calling thread's flags, and returns which of them were set. Assembly. */
uint64_t frame_clear_flags(uint64_t which);

/* What the signal says of itself: its number, its code, and its address if it has one. */
struct frame_signal {
    int number, code;
    uint64_t address;
};
struct frame_signal frame_signal(const void *info);

/* Whether the kernel raised the signal for the instruction at hand; false when a program or a timer sent it, which may
 * have given it a code of the kernel's: the frame must agree with the code. */
bool frame_is_fault(struct native_frame native);

/* Whether that is certain: the processor has noted a fault in the flags. Otherwise the frame may hold what is left of
 * the thread's last fault, and a program have sent that one's siginfo again. */
bool frame_is_fault_for_sure(const void *context);

/* Whether the signal was sent by a program or a timer, as its code says. A thread may send itself any code. */
bool frame_is_sent(const void *info);

/* Whether the signal was sent by a program, and what it sent with it was lost, since the user's queue was full. */
bool frame_is_lost(const void *info);

/* Whether the page's protection key refused the access: also where the page is closed to everybody, but would not be
 * open to this thread if it were open. */
bool frame_is_key_refusal(const void *info);

/* Makes the signal one that the system raises for no address: a frame that it could not write, for one. */
void frame_set_kernel_signal(struct native_frame native, int number);

/* Makes the signal the trap behind an instruction that was stepped: its siginfo and the processor's report. */
void frame_set_step_trap(struct native_frame native);

/* The room below a stack pointer of the handler's, where it is on the thread's alternate stack; SIZE_MAX where it is on
 * the thread's own, whose end is not known. */
size_t frame_room(const void *context, const void *stack_pointer);

/* The most bytes of stack that the system's frame takes on this processor. */
size_t frame_size_most(void);

/* ---- the parts of a frame ---- */

/* The general registers, instruction pointer and flags; the selectors and segment bases are left as they are. */
void frame_get_general(const void *context, struct segue_regs *regs);
/* The same and the selectors: CS and SS are the frame's; those that no frame holds are the ones in force, which a
 * handler shares with what it interrupted. */
void frame_get_registers(const void *context, struct segue_regs *regs);
/* Everything except the segment bases, the selectors, and those flags that a program cannot set. */
void frame_set_registers(void *context, const struct segue_regs *regs);

/* The selectors and the segment bases in force now. */
void frame_get_selectors(struct segue_regs *regs);
void frame_get_bases(struct segue_regs *regs);

/* Alone: the interrupted instruction's address, the stack pointer, the flags. */
uint64_t frame_instruction(const void *context);
void frame_set_instruction(void *context, uint64_t rip);
uint64_t frame_stack_pointer(const void *context);
uint64_t frame_flags(const void *context);

/* The code and stack segments that the thread runs with. */
void frame_get_segments(const void *context, uint64_t *code, uint64_t *stack);

/* A view of the extended state: its area is NULL if the frame has none; the second, if it is not in the XSAVE format.
 */
void frame_get_any_xstate(const void *context, struct segue_xstate *xstate);
void frame_get_xstate(const void *context, struct segue_xstate *xstate);

/* What the processor reported, as frame_open does. */
void frame_get_fault(struct native_frame native, struct segue_fault *fault);

/* The processor's report as it stands in the frame, to be kept and put into another frame. The address is that of the
 * thread's last page fault: of this one, if it is one. */
struct frame_exception {
    uint64_t trap, error_code, address;
};
void frame_get_exception(const void *context, struct frame_exception *exception);
void frame_set_exception(void *context, const struct frame_exception *exception);

/* The signal mask that the return puts in force. */
uint64_t frame_get_mask(const void *context);
void frame_set_mask(void *context, uint64_t mask);

/* Whether the interrupted thread was on its alternate stack, in another handler for one; and whether the frame itself
 * is.
 */
struct frame_stack frame_get_alternate_stack(const void *context);
/* The same of a frame that may be gone, read by `peek`, which copies and says whether it could; false if not. */
bool frame_peek_alternate_stack(const void *context, bool (*peek)(void *to, const void *from, size_t size),
                                struct frame_stack *stack);
bool frame_was_on_alternate_stack(const void *context);
bool frame_is_on_alternate_stack(const void *context);

/* ---- ways to go on ---- */

/* The handler's return enters `instruction`, a function that takes one argument and never returns, in place of what was
 * interrupted: with the direction flag clear and the x87 stack empty, as between functions. The stack stays the
 * interrupted one, and may have no room: the function must not touch it. */
void frame_call(void *context, uint64_t instruction, uint64_t argument);

/* Whether the thread was in 64-bit code without the trap flag: then it may as well go on by way of instructions of the
 * library's. */
bool frame_allows_detour(const void *context);

/* Whether a direct way out of the handler leaves nothing undone that the system's would do: the code is 64-bit code,
 * the alternate stack was not disarmed, the nested task flag is clear, and there is an XSAVE area. */
bool frame_allows_direct_restore(const void *context);

/* ---- frames for others ---- */

/* A copy of the frame, from which the kernel can restore as from the original: the bytes it takes, and the copy, made
 * at `to`, a multiple of 64. Returns the copy's context. */
size_t frame_copy_size(const void *context);
void *frame_copy(const void *context, void *to);

/* Makes the running thread one that the kernel can restore the frame to, which may be another thread's: a new one has
 * no room yet for components that are given on demand, and of a frame with such the kernel would take x87 and SSE only.
 */
void frame_make_room(const void *context);

/* Leaves those components out of a copy, for a new thread to go on with as it comes from the kernel: without them. */
void frame_narrow(void *context);

/* The bytes of the extended state's area, with what the kernel appends to it; 0 if there is none. */
size_t frame_area_size(const void *context);

/* The memory that the frame takes on its stack: `*low` is its first byte, `*high` the one behind its last. */
void frame_get_extent(const void *context, uint64_t *low, uint64_t *high);

/* Whether the return puts the frame's own alternate stack in force, which was disarmed for the time of the handler
 * (SS_AUTODISARM). */
bool frame_rearms_alternate_stack(const void *context);

#endif
