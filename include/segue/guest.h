/* guest.h: code with registers, and segment bases, of its own, run on the calling thread. No
 * sandbox.
 *
 * SOURCES: trapframe-rs (UserContext); seeds/003. */
#ifndef SEGUE_GUEST_H
#define SEGUE_GUEST_H

#include <segue/regs.h>

SEGUE_BEGIN

struct segue_frame;

/* In trap_num, beside the processor's exception numbers (0 to 31). */
enum segue_guest_reason {
    /* The guest called its entry. */
    SEGUE_GUEST_CALLED = 0x100,
    /* segue_guest_stop. */
    SEGUE_GUEST_STOPPED = 0x101,
};

/* A guest: `general`, `trap_num` and `error_code` are named, and follow each other, as in
 * trapframe-rs's UserContext; the selectors at the end of `general` are not in that. Between two
 * runs all of it may be changed; selectors are stored when the guest is left, and never loaded. */
struct segue_guest {
    struct segue_regs general;
    /* Why the guest was left: enum segue_guest_reason, or the processor's exception number; and its
     * error code. */
    uint64_t trap_num, error_code;
    /* For a page fault the address that could not be accessed, else 0. */
    uint64_t fault_address;
    /* The guest's vector, x87 and control state: an area of the standard format with its
     * components, loaded when the guest is entered and stored when it is left. A component whose
     * bit in the header is clear is in its initial state, whatever its bytes. With an area of NULL
     * none is kept: the guest begins with what is in the registers, and its own is lost. */
    struct segue_xstate xstate;
    /* Where guest code calls in place of a system call: a call that clobbers nothing. It is the
     * same for all guests of a process, whatever thread runs them. It needs 56 writable bytes below
     * the guest's stack pointer, of which eight are for its return address; only these are written
     * to as long as no second thread has run guests. What is missing is the guest's page fault, at
     * the entry. Called by code that is no guest's, it ends in an undefined instruction; but by
     * another thread, while the only one that has run guests runs one, it must not be. */
    uint64_t entry;
    void *private_;
    uint64_t reserved[4];
};

/* How the bases are set. */
enum segue_guest_method {
    /* By the instructions where the kernel allows them (AT_HWCAP2), else by arch_prctl. */
    SEGUE_GUEST_BEST,
    SEGUE_GUEST_INSTRUCTIONS,
    SEGUE_GUEST_SYSTEM_CALLS,
};

/* All zero bytes are the defaults. */
struct segue_guest_options {
    /* The extended state that the guest keeps, as in XCR0; components that the system does not
     * offer, and the protection keys, are left out. 0: none. */
    uint64_t features;
    enum segue_guest_method method;
    uint32_t reserved32;
    uint64_t reserved[4];
};

/* Prepares a guest: all zero except the entry, and its extended state, initial. Needs two pages,
 * one of them executable. `options` may be NULL. SEGUE_OK; SEGUE_INVALID for a NULL guest or an
 * unknown method; SEGUE_UNSUPPORTED where no executable page is to be had, under a shadow stack,
 * without XSAVE for features, and for a method that the kernel does not allow; SEGUE_NO_MEMORY.
 * MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_guest_new(struct segue_guest *guest,
                                                        const struct segue_guest_options *options);

/* Gives it all back. It must not be running. SEGUE_OK, or SEGUE_INVALID. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_guest_free(struct segue_guest *guest);

/* Runs the guest from `general` until it calls its entry, faults or traps, or is stopped; then all
 * of it is in `general` and `xstate`, and trap_num tells why. All sixteen registers, RIP, RFLAGS
 * and both segment bases are the guest's, to the bit; flags that a program cannot set are left out.
 * A base that is not canonical, which the processor would refuse to load, makes every access by it
 * (to 2 GiB on both sides) a general protection fault of the guest.
 *
 * While the guest runs, handlers run on the thread's alternate stack, and those that were installed
 * with segue_guest_sigaction or segue_install find the host's bases. Others must not use
 * thread-local storage, errno and stack protectors included. Faults are told if their signals'
 * handler is segue_install's, or calls segue_guest_catch.
 *
 * Returns SEGUE_OK; SEGUE_INVALID for NULL or a guest that was not made; SEGUE_BUSY when it is
 * running, or the thread is running another; SEGUE_UNSUPPORTED when the thread has no alternate
 * stack; SEGUE_NO_MEMORY when too many threads run guests (4,096). MT-Safe for different guests,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_guest_enter(struct segue_guest *guest);

/* Asks the guest to be left with SEGUE_GUEST_STOPPED as soon as it can: by `signal`, sent to the
 * thread that runs it, or at once when it is next entered. Its handler must call segue_guest_catch.
 * A request is used up by the one return that tells of it. Returns SEGUE_OK; SEGUE_INVALID;
 * SEGUE_SYSTEM when the signal could not be sent. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_guest_stop(struct segue_guest *guest, int signal);

/* For a handler: if the signal interrupted a guest of this thread and is a fault or trap of its, or a
 * request to stop, arranges that the handler's return leads out of segue_guest_enter. Returns SEGUE_OK:
 * return from the handler; SEGUE_NOT_FOUND: no guest was interrupted, or it has nothing to do with it;
 * SEGUE_INVALID for NULL, or a frame that was opened without siginfo. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_guest_catch(struct segue_frame *frame);

SEGUE_END

#endif
