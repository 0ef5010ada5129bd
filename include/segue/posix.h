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
#include <segue/frame.h>
#include <segue/guest.h>
#include <segue/try.h>

SEGUE_BEGIN

/* A handler's first act: opens what a SA_SIGINFO handler was given. `info` may be NULL: then no
 * fault is looked for. Returns SEGUE_OK: a fault, in frame->fault; SEGUE_HANDLED: it was one of the
 * library's own guarded accesses, the breakpoint of a change to code, or a question of the
 * library's to this thread: return from the handler at once; SEGUE_NOT_FOUND: no fault, a program
 * sent the signal: the frame is open nevertheless; SEGUE_INVALID for a NULL frame or ucontext.
 * MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_open(struct segue_frame *frame, siginfo_t *info,
                                             void *ucontext);

/* Whether the handler that `signal` has now is fit for segue_step and segue_frame_step: SA_SIGINFO,
 * SA_NODEFER, and with SA_ONSTACK an alternate stack of the calling thread's that is large enough
 * (segue_handler_stack), if it has one. Returns SEGUE_OK; SEGUE_UNSUPPORTED, and segue_reason names
 * what is missing; SEGUE_INVALID for what is no signal. To be asked once, after sigaction. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_handler_check(int signal);

/* The fastest way out (segue_frame_restore) that is safe on this machine and in this process, for a
 * handler that is installed with `action`: to be asked once, at install. It is by return under a
 * shadow stack (only the kernel can take its frame off), and without XSAVE. A handler that blocks
 * signals, its own by the lack of SA_NODEFER included, needs the mask put back. segue_reason tells
 * why it is not a faster one. MT-Safe, AS-Safe. */
SEGUE_API enum segue_restore_method segue_restore_choose(const struct sigaction *action);

/* The mask that a context with SEGUE_CONTEXT_OWN_MASK begins or goes on with. It must not be
 * running. Returns SEGUE_OK; SEGUE_INVALID for NULL or a context without such a mask. MT-Safe,
 * AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_context_set_mask(struct segue_context *context,
                                                               const sigset_t *mask);

/* As sigaction(2), but the handler always finds the host's segment bases in force, also when it
 * interrupts a guest. SA_SIGINFO and SA_ONSTACK are implied; SIG_DFL and SIG_IGN pass as they are.
 * Returns 0, or -1 with errno. MT-Safe, AS-Unsafe. */
SEGUE_API int segue_guest_sigaction(int number, const struct sigaction *action,
                                    struct sigaction *previous);

/* A handler made of segue_frame_open and segue_guest_catch, to be given to segue_guest_sigaction;
 * what is no guest's gets the default action. MT-Safe, AS-Safe. */
SEGUE_API void segue_guest_handler(int number, siginfo_t *info, void *ucontext);

SEGUE_END

#endif
