/* posix.h: the functions that take POSIX types, for Linux, macOS and FreeBSD. segue.h does not
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

/* Opens the frame of a SA_SIGINFO handler; a handler calls it first. With a NULL `info` it reports
 * no fault. On macOS and FreeBSD the frame's vector state is in several parts: segue_frame_gather
 * must follow before a step, and the frame must stay where it is. Returns SEGUE_OK: the signal is a
 * fault, described by frame->fault; SEGUE_HANDLED: the library caused the signal (a guarded access,
 * the breakpoint of a code change, or a remover's question to this thread), and the handler must
 * return at once; SEGUE_NOT_FOUND: not a fault, a program sent the signal, and the frame is open;
 * SEGUE_INVALID for a NULL frame or ucontext. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_frame_open(struct segue_frame *frame, siginfo_t *info,
                                             void *ucontext);

/* Checks, once after sigaction, that the current handler of `signal` is fit for segue_step and
 * segue_frame_step: it has SA_SIGINFO and SA_NODEFER, and, with SA_ONSTACK, the calling thread's
 * alternate stack, if it has one, is large enough (segue_handler_stack). Returns SEGUE_OK;
 * SEGUE_UNSUPPORTED, with the missing part in segue_reason; SEGUE_INVALID for a number that is not
 * a signal. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_handler_check(int signal);

/* Chaining, for a handler of the program's own: its last statement about a signal that it does not
 * serve. Carries out `previous`, which sigaction returned, as the kernel would have: the handler
 * that it names gets the kernel's siginfo and ucontext (what frame->regs holds counts only after
 * segue_frame_write), its mask, its SA_NODEFER, and the stack that its SA_ONSTACK asks for. With
 * SA_RESETHAND it gets one signal: sets previous->sa_handler to SIG_DFL. SIG_DFL, and SIG_IGN of a
 * fault: the thread dies of the signal, with its original registers, when the calling handler
 * returns.
 *
 * A handler that the kernel has entered does not get its control back, and nothing of it runs any
 * more: a lock must be released before, and a destructor of C++ does not run. A handler that
 * another handler has called gets its control back, and must return at once, as must a handler that
 * calls this from a function that is not expanded inline in it; also under a shadow stack. Returns
 * SEGUE_OK then; SEGUE_INVALID for NULL, or a frame that was opened without a siginfo. MT-Safe,
 * AS-Safe. On macOS and FreeBSD every handler is called so, on the stack of the one that calls.
 *
 * segue_chain_at is the same for other languages: `handler_frame` is the handler's canonical frame
 * address, right above its return address; NULL for a call that returns in any case. */
SEGUE_API enum segue_status segue_chain_at(struct segue_frame *frame, struct sigaction *previous,
                                           const void *handler_frame);
#if defined(__GNUC__)
__attribute__((always_inline))
#endif
SEGUE_INLINE enum segue_status
segue_chain(struct segue_frame *frame, struct sigaction *previous)
{
#if defined(__GNUC__)
    return segue_chain_at(frame, previous, __builtin_dwarf_cfa());
#else
    return segue_chain_at(frame, previous, 0);
#endif
}

/* Chooses, once at installation, the fastest method for segue_frame_restore that is safe on this
 * machine and in this process, for a handler that is installed with `action`. Returns
 * SEGUE_RESTORE_RETURN under a shadow stack (only the kernel can remove its frame from it), and
 * without XSAVE. Returns SEGUE_RESTORE_DIRECT_MASK at best for a handler that blocks signals, also
 * its own by the lack of SA_NODEFER, since the mask must be restored. segue_reason says why a
 * faster method was not chosen. MT-Safe, AS-Safe. */
SEGUE_API enum segue_restore_method segue_restore_choose(const struct sigaction *action);

/* Sets the signal mask with which a context with SEGUE_CONTEXT_OWN_MASK begins or continues. The
 * context must not be running. Returns SEGUE_OK; SEGUE_INVALID for NULL or a context without its
 * own mask. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_context_set_mask(struct segue_context *context,
                                                               const sigset_t *mask);

/* As sigaction(2), but the handler always runs with the host's segment bases, also if it interrupts
 * a guest. SA_SIGINFO and SA_ONSTACK are implied; SIG_DFL and SIG_IGN are passed on unchanged.
 * Returns 0, or -1 with errno. MT-Safe, AS-Unsafe. */
SEGUE_API int segue_guest_sigaction(int number, const struct sigaction *action,
                                    struct sigaction *previous);

/* A signal handler for segue_guest_sigaction, made of segue_frame_open and segue_guest_catch. A
 * signal that does not concern a guest gets the default action. MT-Safe, AS-Safe. */
SEGUE_API void segue_guest_handler(int number, siginfo_t *info, void *ucontext);

SEGUE_END

#endif
