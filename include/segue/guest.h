/* guest.h: runs a guest on the calling thread: code with its own registers and segment bases. A
 * guest is not a sandbox.
 *
 * SOURCES: trapframe-rs (UserContext); seeds/003. */
#ifndef SEGUE_GUEST_H
#define SEGUE_GUEST_H

#include <segue/regs.h>

SEGUE_BEGIN

struct segue_frame;

/* Values of trap_num, in addition to the processor's exception numbers (0 to 31). */
enum segue_guest_reason {
    /* The guest called its entry. */
    SEGUE_GUEST_CALLED = 0x100,
    /* segue_guest_stop. */
    SEGUE_GUEST_STOPPED = 0x101,
};

/* A guest. `general`, `trap_num` and `error_code` have the names and the order of trapframe-rs's
 * UserContext, which lacks the selectors at the end of `general`. Between two runs the caller may
 * change every field; leaving the guest stores the selectors, and entering never loads them. */
struct segue_guest {
    struct segue_regs general;
    /* Why the guest was left: enum segue_guest_reason, or the processor's exception number; and the
     * exception's error code. */
    uint64_t trap_num, error_code;
    /* For a page fault, the address that could not be accessed; otherwise 0. */
    uint64_t fault_address;
    /* The guest's vector, x87 and control state: an area of the standard format with its
     * components, loaded when the guest is entered and stored when it is left. A component whose
     * bit in the header is clear is in its initial state, whatever its bytes. If the area is NULL,
     * no state is kept: the guest begins with the contents of the registers, and its own are
     * lost. */
    struct segue_xstate xstate;
    /* The address that guest code calls instead of making a system call: a call that clobbers
     * nothing. It is the same for all guests of a process, whatever thread runs them. The call
     * needs 56 writable bytes below the guest's stack pointer, eight of them for its return
     * address; as long as no second thread has run guests, it writes only those eight. If the bytes
     * are not writable, the guest has a page fault at the entry. Code that is not a guest's raises
     * #UD by calling the entry. Another thread must not call it while the only thread that has run
     * guests runs one. */
    uint64_t entry;
    void *private_;
    uint64_t reserved[4];
};

/* How the segment bases are set. */
enum segue_guest_method {
    /* By WRFSBASE and WRGSBASE if the kernel allows them (AT_HWCAP2), otherwise by arch_prctl. */
    SEGUE_GUEST_BEST,
    SEGUE_GUEST_INSTRUCTIONS,
    SEGUE_GUEST_SYSTEM_CALLS,
};

/* All zero bytes are the defaults. */
struct segue_guest_options {
    /* The extended state that the guest keeps, as bits of XCR0. Protection keys, and components
     * that the system does not offer, are ignored. 0: no extended state. */
    uint64_t features;
    enum segue_guest_method method;
    uint32_t reserved32;
    uint64_t reserved[4];
};

/* Prepares a guest: its registers are zero, its entry is set, and its extended state is in its
 * initial state. Needs two pages, one of them executable. `options` may be NULL. Returns SEGUE_OK;
 * SEGUE_INVALID for a NULL guest or an unknown method; SEGUE_UNSUPPORTED if the system refuses an
 * executable page, under a shadow stack, for features without XSAVE, for a method that the kernel
 * does not allow, and if hot sites that count cannot be undone; SEGUE_NO_MEMORY. MT-Safe,
 * AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_guest_new(struct segue_guest *guest,
                                                        const struct segue_guest_options *options);

/* Releases the guest, which must not be running. Returns SEGUE_OK, or SEGUE_INVALID. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_guest_free(struct segue_guest *guest);

/* Runs the guest from `general` until it calls its entry, faults or traps, or is stopped. Then
 * `general` and `xstate` have its whole state, and trap_num has the reason. All sixteen registers,
 * RIP, RFLAGS and both segment bases are exactly the guest's; flags that a program cannot set are
 * ignored. If a base is not canonical, which the processor would refuse to load, every access
 * through it (up to 2 GiB on either side) is a general protection fault of the guest.
 *
 * While the guest runs, handlers run on the thread's alternate stack. Handlers that
 * segue_guest_sigaction or segue_install installed find the host's segment bases. Other handlers
 * must not use thread-local storage, including errno and stack protectors. A fault ends the run
 * only if its signal's handler is segue_install's, or calls segue_guest_catch.
 *
 * Returns SEGUE_OK; SEGUE_INVALID for NULL or a guest that was not prepared; SEGUE_BUSY if the
 * guest is running, or the thread is running another; SEGUE_UNSUPPORTED if the thread has no
 * alternate stack, and if fs_base is not 0 where a program cannot set it (macOS); SEGUE_NO_MEMORY
 * if too many threads run guests (4,096). MT-Safe for different guests, AS-Unsafe. */
SEGUE_API enum segue_status segue_guest_enter(struct segue_guest *guest);

/* Makes the guest stop with SEGUE_GUEST_STOPPED as soon as possible: sends `signal` to the thread
 * that runs it, or stops it when it is next entered. The signal's handler must call
 * segue_guest_catch. A request is consumed by the one return that reports it. Returns SEGUE_OK;
 * SEGUE_INVALID; SEGUE_SYSTEM if the signal could not be sent. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_guest_stop(struct segue_guest *guest, int signal);

/* For a signal handler: if the signal interrupted a guest of this thread, and is that guest's fault
 * or trap or a request to stop, makes the handler's return leave segue_guest_enter. Returns
 * SEGUE_OK: return from the handler; SEGUE_NOT_FOUND: the signal interrupted no guest, or does not
 * concern it; SEGUE_INVALID for NULL, or a frame that was opened without siginfo. MT-Safe,
 * AS-Safe. */
SEGUE_API enum segue_status segue_guest_catch(struct segue_frame *frame);

SEGUE_END

#endif
