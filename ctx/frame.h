/* frame.h: what ctx reads and changes in a platform's signal frame; one file for each platform. `ucontext` is what a
 * SA_SIGINFO handler is given as its third argument. All are async-signal-safe. */
#ifndef SEGUE_CTX_FRAME_H
#define SEGUE_CTX_FRAME_H

#include <segue/regs.h>
#include <signal.h>

/* The handler's return enters `instruction`, a function that takes one argument and never returns, in place of what was
 * interrupted: with the direction flag clear and the x87 stack empty, as between functions. The stack stays the
 * interrupted one, and may have no room: the function must not touch it. */
void frame_call(void *ucontext, uint64_t instruction, uint64_t argument);

/* The signal mask that the return puts in force. */
uint64_t frame_get_mask(const void *ucontext);
void frame_set_mask(void *ucontext, uint64_t mask);

/* The registers but for the segment bases, which no frame holds. The selectors of CS and SS are the frame's; those that
 * no frame holds are the ones in force, which a handler shares with what it interrupted. */
void frame_get_registers(const void *ucontext, struct segue_regs *regs);
/* The same without the selectors, which are left as they are. */
void frame_get_general(const void *ucontext, struct segue_regs *regs);
/* All but the selectors. */
void frame_set_registers(void *ucontext, const struct segue_regs *regs);

/* The selectors in force now. */
void frame_get_selectors(struct segue_regs *regs);

/* A view of the extended state in the frame: its area is NULL if it has none, or not in the XSAVE format. */
void frame_get_xstate(const void *ucontext, struct segue_xstate *xstate);

/* A copy of the frame, from which the kernel can restore as from the original: the bytes it takes, and the copy, made
 * at `to`, a multiple of 64. Returns the copy's ucontext. */
size_t frame_copy_size(const void *ucontext);
void *frame_copy(const void *ucontext, void *to);

/* Makes the running thread one that the kernel can restore the frame to, which may be another thread's: a new one has
 * no room yet for components that are given on demand, and of a frame with such the kernel would take x87 and SSE only.
 */
void frame_make_room(const void *ucontext);

/* Leaves those components out of a copy, for a new thread to go on with as it comes from the kernel: without them. */
void frame_narrow(void *ucontext);

/* The bytes of the extended state's area, with what the kernel appends to it; 0 if there is none. */
size_t frame_area_size(const void *ucontext);

/* What the return puts in force as the alternate stack: the frame's own, if that was disarmed for the time of the
 * handler (SS_AUTODISARM). */
bool frame_rearms_alternate_stack(const void *ucontext);
void frame_set_alternate_stack(void *ucontext, const stack_t *present);

/* Whether the thread was on its alternate stack: in another handler. */
bool frame_interrupts_handler(const void *ucontext);

/* The memory that the frame takes on its stack: `*low` is its first byte, `*high` the one behind its last. */
void frame_get_extent(const void *ucontext, uint64_t *low, uint64_t *high);

/* Whether the thread was in 64-bit code without the trap flag: then it may as well go on by way of instructions of
 * ours.
 */
bool frame_allows_detour(const void *ucontext);

/* The address of the last page fault: of this one, if it is one. */
uint64_t frame_get_page_fault(const void *ucontext);

/* The processor's exception number and error code. */
void frame_get_trap(const void *ucontext, uint64_t *trap, uint64_t *error_code);

/* Whether a direct way out of the handler leaves nothing undone that the kernel's would do: the code is 64-bit code,
 * the alternate stack was not disarmed, the nested task flag is clear, and there is an XSAVE area. */
bool frame_allows_direct_restore(const void *ucontext);

/* The code and stack segments that a program runs with. */
void frame_get_segments(const void *ucontext, uint64_t *code, uint64_t *stack);

#endif
