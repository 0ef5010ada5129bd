/* handler.h: installs the process's fault handler, gives threads their alternate stacks, and reads
 * the handler's counters.
 *
 * SOURCES: sigaction(2), sigaltstack(2), POSIX.1-2017 2.4; AddVectoredExceptionHandler;
 * docs/signals.md (chaining). */
#ifndef SEGUE_HANDLER_H
#define SEGUE_HANDLER_H

#include <segue/region.h>

SEGUE_BEGIN

/* How the handler is installed; a bit set. */
enum segue_install_flags {
    /* Run the handler on the faulting thread's own stack, never on an alternate one. A thread whose
     * stack is exhausted then dies of the fault. Not usable with Go's threads. Asynchronous signals
     * are delivered while a fault is served, as they would be to the program. */
    SEGUE_INSTALL_OWN_STACK = 1,
    /* Do not handle SIGBUS. */
    SEGUE_INSTALL_NO_SIGBUS = 2,
    /* Defer all asynchronous signals while a fault is served, also on the thread's own stack. */
    SEGUE_INSTALL_BLOCK_SIGNALS = 4,
    /* Also handle SIGTRAP. Needed if code is changed by more than one byte while other threads
     * execute it: a thread that runs into the temporary breakpoint waits until the change is
     * complete, then continues. Every other trap is forwarded to the guest that raised it, or to
     * the previous handler. */
    SEGUE_INSTALL_SIGTRAP = 8,
    /* Ask policies about system calls that are given pointers into regions, and make them on the
     * windows' memory (docs/syscalls.md). All system calls of the process are caught; SIGSYS
     * belongs to the library, also after segue_uninstall. Linux on x86-64, with syscall user
     * dispatch (Linux 5.11, and no filter that forbids it); elsewhere see the next flag. */
    SEGUE_INSTALL_SYSTEM_CALLS = 16,
    /* The same without syscall user dispatch: each SYSCALL instruction that the unwind tables show
     * in the modules that are loaded is replaced by an instruction that faults. Calls of other
     * code, as of modules that are loaded later, are not caught, and fail if they are given a
     * pointer into a region (EFAULT). SIGSEGV belongs to the library, too, also after
     * segue_uninstall; the program's masks and actions for it are kept aside. The process must
     * have one thread so far, and /proc. Together with SEGUE_INSTALL_SYSTEM_CALLS: only if there is
     * no dispatch. If no way that the flags allow is there, segue_install returns
     * SEGUE_UNSUPPORTED. */
    SEGUE_INSTALL_CALL_SITES = 512,
    /* Give the calling thread no alternate stack. */
    SEGUE_INSTALL_NO_ATTACH = 32,
    /* Deliver asynchronous signals on the alternate stack while a fault is served: the fastest
     * return path. Fatal under a collector that stops threads by a signal and takes the stack
     * pointer in its handler for the thread's own. A handler of such a signal may leave by
     * siglongjmp, but must not switch to another context and return later. Without this flag the
     * handler defers these signals until the thread is back on its own stack, except the signal
     * that suspends threads (<segue/suspend.h>). Not together with SEGUE_INSTALL_BLOCK_SIGNALS. */
    SEGUE_INSTALL_OPEN_SIGNALS = 64,
    /* macOS: faults come as Mach messages to the task's exception port, before they become signals,
     * and no signal's action is changed. A debugger that takes the port, and a program that sets a
     * port for a thread, come first. Implies SEGUE_INSTALL_OWN_STACK. A fault that is not served
     * happens again, and goes on to the port that was there before, then to the program's handlers
     * of signals. The library has a thread that receives the messages: a collector must not suspend
     * it. */
    SEGUE_INSTALL_MACH_PORT = 256,
    /* For a process with a collector such as MPS: faults and policies are served on the thread's
     * own stack, so that a scan from the stack pointer upwards covers all of it. */
    SEGUE_INSTALL_COLLECTOR = SEGUE_INSTALL_OWN_STACK | SEGUE_INSTALL_NO_ATTACH,
};

/* The options of segue_install; all zero bytes are the defaults. */
struct segue_options {
    /* enum segue_install_flags. */
    uint32_t flags;
    uint32_t reserved32;
    /* Bytes of alternate stack for policies and devices, in addition to the kernel's frame and the
     * handler's own need; 0 means 256 KiB. */
    size_t policy_stack_size;
    uint64_t reserved[6];
};

/* Installs the handler for SIGSEGV, SIGBUS and SIGFPE (a replayed instruction can raise SIGFPE;
 * flags exclude SIGBUS and add SIGTRAP), prepares the replay engine, and gives the calling thread
 * an alternate stack as segue_thread_attach does. `options` may be NULL. The library remembers the
 * previous handlers and forwards to them the signals that it does not serve. If the system refuses
 * executable memory, the handler is installed without the replay engine, and serves only plain
 * moves and instructions that move the stack; segue_feature_check(SEGUE_FEATURE_REPLAY) reports
 * that. Returns SEGUE_OK; SEGUE_EXISTS if it is installed already; SEGUE_INVALID for unknown or
 * contradictory flags; SEGUE_UNSUPPORTED under Valgrind, and for SEGUE_INSTALL_MACH_PORT where
 * there is no such port; SEGUE_BUSY inside a fault, and on an
 * alternate stack; SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_install(const struct segue_options *options);

/* The owner of a signal: the handler that the kernel calls. */
struct segue_owner {
    int signal;
    /* The handler's address. */
    void *handler;
    /* The object file that contains the handler, and the nearest symbol at or below its address;
     * NULL if unknown. Both strings are valid as long as the object is loaded. */
    const char *object;
    const char *symbol;
    uint64_t reserved[2];
};

/* Checks that the handler is installed, and is the one that the kernel calls for each of its
 * signals: a handler that was installed later receives the faults of regions before the library's,
 * or instead of it. Returns SEGUE_OK; SEGUE_NOT_FOUND if it is not installed; SEGUE_NOT_LAST, with
 * the other handler in `owner` (may be NULL). MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_install_check(struct segue_owner *owner);

/* Restores the previous handlers, and removes the calling thread's alternate stack if segue_install
 * gave it. Waits until the faults of other threads have been served. Returns SEGUE_OK;
 * SEGUE_NOT_FOUND if the handler is not installed; SEGUE_NOT_LAST if another handler was installed
 * later, with that handler in `owner` (may be NULL); SEGUE_BUSY while regions exist, inside a
 * fault, or if a thread has a signal of the library's pending, after 2 seconds: without the handler
 * that would end the process. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_uninstall(struct segue_owner *owner);

/* Gives the calling thread an alternate signal stack with a guard page below it, so that its faults
 * are served even if its own stack is exhausted. The stack is freed when the thread ends. A thread
 * whose alternate stack is large enough keeps that. The handler also serves threads that never call
 * this, on whatever stack they have. Returns SEGUE_OK; SEGUE_EXISTS if the thread is attached
 * already; SEGUE_BUSY inside a fault or on an alternate stack; SEGUE_NOT_FOUND if no handler is
 * installed; SEGUE_NO_MEMORY; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_thread_attach(void);

/* The smallest alternate stack, in bytes, on which every fault is served on this processor: the
 * kernel's frame, the handler's need of at most 1.5 KiB, and a second frame for a step that itself
 * faults. Policies and devices need more. On a smaller stack a fault is served if the remaining
 * space suffices; otherwise it ends as it would without the library. MT-Safe, AS-Safe. */
SEGUE_API size_t segue_handler_stack(void);

/* Removes the calling thread's alternate stack and restores the previous one. Returns SEGUE_OK;
 * SEGUE_NOT_FOUND if the library gave the thread no stack; SEGUE_BUSY inside a fault or on that
 * stack; SEGUE_SYSTEM. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_thread_detach(void);

/* Whether the calling thread is inside a fault: in a policy or a device, or in a handler of another
 * signal that interrupted the library's handler. MT-Safe, AS-Safe. */
SEGUE_API bool segue_in_fault(void);

/* What the handler has done so far in this process. Each member is a number of faults; `faults` is
 * the sum of all others. */
struct segue_counters {
    uint64_t faults;
    uint64_t stepped;
    uint64_t retried;
    /* In a region, and forwarded because its policy answered so, or because the instruction could
     * not be stepped. */
    uint64_t refused;
    /* In no region, and forwarded. */
    uint64_t passed;
    /* A policy answered SEGUE_DONE. */
    uint64_t done;
    uint64_t reserved[10];
};

/* Reads the counters. Each counter is exact; the set is not an atomic snapshot. Returns SEGUE_OK,
 * or SEGUE_INVALID for NULL. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_counters_read(struct segue_counters *counters);

/* How often the instructions of one mnemonic could not be stepped. */
struct segue_refusal {
    /* The mnemonic's number; segue_mnemonic_name (decode.h) gives its name. */
    uint16_t mnemonic;
    uint64_t count;
};

/* Lists the mnemonics of the instructions that faulted in a region and could not be stepped,
 * whatever the policy then did, the most frequent first. Stores their number in `count`, and as
 * many as fit in `refusals`. Returns SEGUE_OK; SEGUE_TOO_SMALL if not all fitted; SEGUE_INVALID for
 * a NULL pointer. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_refusals_read(struct segue_refusal *refusals, size_t capacity,
                                                size_t *count);

/* A place for a debugger's breakpoint; it does nothing, and only the library calls it: before it
 * lets a fault kill the process by the signal's default action. A debugger that passes SIGSEGV on
 * unseen can thus stop at unserved faults alone. Not called if the thread has no stack left for the
 * call. `fault` is what the processor reported. */
SEGUE_API void segue_debug_unhandled(const struct segue_fault *fault,
                                     const struct segue_regs *regs);

SEGUE_END

#endif
