/* posix.h: where signals and the neutral headers meet: Linux, macOS, FreeBSD. segue.h does not
 * include it.
 *
 * SOURCES: sigaction(2), POSIX.1-2017 2.4, ucontext.h of each system. */
#ifndef SEGUE_POSIX_H
#define SEGUE_POSIX_H

#ifdef _WIN32
#error "segue/posix.h: Windows has no signals"
#endif
#include <signal.h>
#ifndef SA_SIGINFO
#error "segue/posix.h needs POSIX: compile with -std=gnu11 or -D_POSIX_C_SOURCE=200809L"
#endif

#include <segue/context.h>
#include <segue/guest.h>
#include <segue/try.h>

SEGUE_BEGIN

/* Reads a fault from what a SA_SIGINFO handler is given, for those who have a handler of their own:
 * address and direction from the processor's own report for a page fault; for other faults the
 * address is the one that no access can have (not canonical), found by decoding the instruction,
 * where there is one. Returns SEGUE_OK; SEGUE_NOT_FOUND when the signal was sent by a program and
 * is no fault; SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_fault_read(const siginfo_t *info, const void *ucontext, struct segue_fault *fault);

/* Reads and writes the registers of a signal frame. regs->fs_base and gs_base are read, never
 * written. SEGUE_OK, or SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_read(const void *ucontext, struct segue_regs *regs,
                                             struct segue_xstate *xstate);
SEGUE_API enum segue_status segue_frame_write(void *ucontext, const struct segue_regs *regs);

/* How a signal handler is left. */
enum segue_restore_method {
    /* By its return, with the frame edited: everywhere. */
    SEGUE_RESTORE_RETURN,
    /* By loading the state (XRSTOR, then IRETQ) without the kernel: faster. */
    SEGUE_RESTORE_DIRECT,
    /* So too, with one system call before for the signal mask. */
    SEGUE_RESTORE_DIRECT_MASK,
};

/* Chooses the fastest method that is safe on this machine and in this process, for a handler that
 * is installed with `action`: to be asked once, at install. It is by return under a shadow stack
 * (only the kernel can take its frame off), and without XSAVE. A handler that blocks signals, its
 * own by the lack of SA_NODEFER included, needs the mask put back. `reason` (may be NULL) is told
 * why in words. MT-Safe, AS-Safe. */
SEGUE_API enum segue_restore_method segue_restore_choose(const struct sigaction *action, const char **reason);

/* Leaves a handler: the interrupted thread goes on with `regs` (NULL: as the frame says; the
 * segment bases are left alone) and `xstate` (NULL or an area of NULL: as the frame says), and with
 * the frame's signal mask. Nothing is written to the stack that `regs` names, red zone and guard
 * page included. With a direct `method` it does not return, unless this one frame does not allow
 * it: the thread was not in 64-bit code, its alternate stack has SS_AUTODISARM, the address to go
 * on at or the stack pointer is not one that a program can have, the state's protection keys close
 * what those in force leave open, the handler uses tiles and the frame has none, the area is
 * shorter than the frame's. Then, and with SEGUE_RESTORE_RETURN, the frame is edited and the caller
 * has to return from its handler. Returns SEGUE_OK in that case; SEGUE_INVALID for a NULL
 * `ucontext` or an xstate that is not aligned to 64, lacks its header, has reserved bits of MXCSR
 * set or components that the frame has not: then nothing was changed. Called on the handler's own
 * stack. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_restore(void *ucontext, const struct segue_regs *regs,
                                          const struct segue_xstate *xstate, enum segue_restore_method method);

/* For a SA_SIGINFO handler: if the thread is in a block, ends the innermost one: the return from
 * the handler will go on there. Returns SEGUE_OK: return from the handler; SEGUE_NOT_FOUND: there
 * is no block, or the signal was sent by a program and is no fault; SEGUE_INVALID for NULL.
 * MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_try_catch(const siginfo_t *info, void *ucontext);

/* In a handler: arranges that its return goes on with `to`, in place of what the signal
 * interrupted. The kernel puts back what it must on the way: the alternate stack, and the signal
 * mask, which is `to`'s if it has one of its own and else the interrupted thread's. Nothing is
 * written to the interrupted stack. `ucontext` is the handler's third argument. Returns SEGUE_OK;
 * SEGUE_INVALID for NULL or when there is nothing in `to` to go on with. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_context_set_from_signal(struct segue_context *to, void *ucontext);

/* The mask that a context with SEGUE_CONTEXT_OWN_MASK begins or goes on with. It must not be
 * running. Returns SEGUE_OK; SEGUE_INVALID for NULL or a context without such a mask. MT-Safe,
 * AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_context_set_mask(struct segue_context *context, const sigset_t *mask);

/* As sigaction(2), but the handler always finds the host's segment bases in force, also when it
 * interrupts a guest. SA_SIGINFO and SA_ONSTACK are implied; SIG_DFL and SIG_IGN pass as they are.
 * Returns 0, or -1 with errno. MT-Safe, AS-Unsafe. */
SEGUE_API int segue_guest_sigaction(int number, const struct sigaction *action, struct sigaction *previous);

/* For a handler: if the signal interrupted a guest of this thread and is a fault or trap of its, or
 * a request to stop, arranges that the handler's return leads out of segue_guest_enter. Returns
 * SEGUE_OK: return from the handler; SEGUE_NOT_FOUND: no guest was interrupted, or it has nothing
 * to do with it; SEGUE_INVALID for NULL. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_guest_catch(const siginfo_t *info, void *ucontext);

/* A handler made of segue_guest_catch, to be given to segue_guest_sigaction; what is no guest's
 * gets the default action. MT-Safe, AS-Safe. */
SEGUE_API void segue_guest_handler(int number, siginfo_t *info, void *ucontext);

SEGUE_END

#endif
