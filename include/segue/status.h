/* status.h: the status type, the version, and what every public header needs.
 *
 * Terms of every header, as in the glibc manual: MT-Safe: several threads may call the function at
 * the same time. AS-Safe: async-signal-safe: a signal handler and a policy may call it.
 *
 * The ABI rule, the same for every struct in these headers (docs/abi.md):
 *   1. A struct whose layout the architecture defines (regs, xstate, access, fault) never changes.
 *   2. Every other struct that may grow ends in `reserved` words. A caller leaves them zero, as
 *      = {0} and designated initialisers do. The library refuses a word that is not zero with
 *      SEGUE_INVALID, so it detects a struct that was never initialised. The library stores zero in
 *      the reserved words of the structs that it fills. A new field takes a reserved word, and zero
 *      there selects the behaviour of this version.
 *   3. Members named `private_` belong to the library. Sizes never change within one soname.
 *   4. Numbers of enumerators never change; new ones are appended. */
#ifndef SEGUE_STATUS_H
#define SEGUE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of these headers; segue_version returns the library's. */
#define SEGUE_VERSION_MAJOR 0
#define SEGUE_VERSION_MINOR 2
#define SEGUE_VERSION_PATCH 0
#define SEGUE_VERSION                                                                              \
    (SEGUE_VERSION_MAJOR * 0x10000 + SEGUE_VERSION_MINOR * 0x100 + SEGUE_VERSION_PATCH)

#ifdef __cplusplus
#define SEGUE_BEGIN extern "C" {
#define SEGUE_END }
#else
#define SEGUE_BEGIN
#define SEGUE_END
#endif

/* Marks the functions that the shared library exports. A program that links the DLL defines
 * SEGUE_SHARED (segue.pc does it). */
#if defined(_WIN32)
#if defined(SEGUE_BUILD)
#define SEGUE_API __declspec(dllexport)
#elif defined(SEGUE_SHARED)
#define SEGUE_API __declspec(dllimport)
#else
#define SEGUE_API
#endif
#else
#define SEGUE_API __attribute__((visibility("default")))
#endif

#if defined(__GNUC__)
#define SEGUE_INLINE static __inline__
#define SEGUE_NORETURN __attribute__((noreturn))
#define SEGUE_RETURNS_TWICE __attribute__((returns_twice))
#define SEGUE_ALIGNED(bytes) __attribute__((aligned(bytes)))
#else
#define SEGUE_INLINE static __inline
#define SEGUE_NORETURN __declspec(noreturn)
#define SEGUE_RETURNS_TWICE
#define SEGUE_ALIGNED(bytes) __declspec(align(bytes))
#endif
/* Marks a status that the caller must not ignore; -DSEGUE_UNCHECKED disables the warning. */
#if defined(__GNUC__) && !defined(SEGUE_UNCHECKED)
#define SEGUE_CHECK __attribute__((warn_unused_result))
#else
#define SEGUE_CHECK
#endif

SEGUE_BEGIN

/* The result of a call. Zero is success. With every other value the function changed nothing,
 * except where its comment says otherwise. */
enum segue_status {
    /* The function did what was asked. */
    SEGUE_OK = 0,
    /* The operation cannot be done exactly, so the function did not do it. */
    SEGUE_UNSUPPORTED = 1,
    /* An argument is outside the range that the function documents. */
    SEGUE_INVALID = 2,
    /* The bytes are not an instruction: the processor would raise #UD. */
    SEGUE_UNDEFINED = 3,
    /* The bytes end before the instruction does. */
    SEGUE_TRUNCATED = 4,
    /* No access of the instruction covers the address that the processor reported. */
    SEGUE_MISMATCH = 5,
    /* A part of the access lies in memory that cannot be reached. */
    SEGUE_FAULT = 6,
    /* The caller's list is too short; the function stored the needed length. */
    SEGUE_TOO_SMALL = 7,
    /* The range shares a page with an existing region. */
    SEGUE_OVERLAP = 8,
    /* The thing to find, remove or restore does not exist. */
    SEGUE_NOT_FOUND = 9,
    /* It exists already: the handler is installed, or the thread is attached. */
    SEGUE_EXISTS = 10,
    /* Another handler was installed after the library's, which therefore cannot be removed. */
    SEGUE_NOT_LAST = 11,
    /* It is in use, or the caller is inside a fault, where the operation is not allowed. */
    SEGUE_BUSY = 12,
    /* The system refused memory or a mapping. */
    SEGUE_NO_MEMORY = 13,
    /* A system call failed; errno says why. */
    SEGUE_SYSTEM = 14,
    /* The time limit passed first. */
    SEGUE_TIMEOUT = 15,
    /* The library caused the signal and has served it: return from the handler. */
    SEGUE_HANDLED = 16,
};

/* The status's name in code, "SEGUE_OK"; "SEGUE_?" for an unknown value. The string is static.
 * MT-Safe, AS-Safe. */
SEGUE_API const char *segue_status_name(enum segue_status status);

/* The status as a sentence for a human reader. The string is static. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_status_text(enum segue_status status);

/* The version of the running library, encoded as SEGUE_VERSION, and as text, "0.2.0". The string is
 * static. MT-Safe, AS-Safe. */
SEGUE_API uint32_t segue_version(void);
SEGUE_API const char *segue_version_text(void);

/* Why the calling thread's last failed call failed: a static string that names the argument or the
 * limit ("region.window.base is not a multiple of the page size"); "" if no call failed. Only some
 * functions store a reason: those that install, uninstall, add, make and prepare something, and
 * those that check whether it is installed or available. A policy's calls do not change the reason
 * that the interrupted code finds. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_reason(void);

/* Capabilities that a system, a processor, a process or this version of the library may lack. Every
 * neutral function exists on every system, and returns SEGUE_UNSUPPORTED where the system lacks the
 * capability. */
enum segue_feature {
    /* The replay engine, which needs executable memory for the library's out-of-line slots. Without
     * it the handler steps only plain moves and instructions that move the stack; segue_install
     * still succeeds. */
    SEGUE_FEATURE_REPLAY = 1,
    /* Forced windows. */
    SEGUE_FEATURE_FORCED = 2,
    /* The handler serves faults on an alternate stack. */
    SEGUE_FEATURE_ALTERNATE_STACK = 3,
    /* A thread leaves the handler by a direct restore, without the kernel. */
    SEGUE_FEATURE_DIRECT_RESTORE = 4,
    /* Sites that fault often are rewritten to jump to a trampoline. */
    SEGUE_FEATURE_HOT = 5,
    /* System calls accept pointers into regions: SEGUE_INSTALL_SYSTEM_CALLS. */
    SEGUE_FEATURE_SYSTEM_CALLS = 6,
    /* segue_threads_suspend. */
    SEGUE_FEATURE_SUSPEND = 7,
    SEGUE_FEATURE_GUEST = 8,
    /* A forked child gets its own copy of a mapping. */
    SEGUE_FEATURE_FORK_COPY = 9,
    /* Both views of a mapping are within 2 GiB. */
    SEGUE_FEATURE_NEAR = 10,
    /* fs: operands are rewritten to gs:. */
    SEGUE_FEATURE_SEGMENT = 11,
    SEGUE_FEATURE_WATCH = 12,
    /* The same: SEGUE_INSTALL_CALL_SITES. */
    SEGUE_FEATURE_CALL_SITES = 13,
};

/* Checks whether this process has the feature, and prepares it if needed. Returns SEGUE_OK;
 * SEGUE_UNSUPPORTED, with the cause in segue_reason; SEGUE_NO_MEMORY; SEGUE_INVALID for an unknown
 * number. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_feature_check(enum segue_feature feature);

SEGUE_END

#endif
