/* status.h: the status type, the version, and what every public header needs.
 *
 * Terms used in every header, as in the glibc manual: MT-Safe: any threads may call it at once.
 * AS-Safe: async-signal-safe: it may be called in a signal handler and in a policy.
 *
 * The ABI rule, the same for every struct in these headers (docs/abi.md):
 *   1. A struct whose layout the architecture gives (regs, xstate, access, fault) never changes.
 *   2. Every other struct that may grow ends in `reserved` words. A caller leaves them zero (= {0}
 *      or designated initialisers do); a word that is not zero is SEGUE_INVALID, so a struct that
 *      was never initialised is found at once. The library stores zero in those that it fills. A
 *      new field takes a reserved word, and zero in it means what this version does.
 *   3. Members named `private_` are the library's. Sizes never change within one soname.
 *   4. Numbers of enumerators never change; new ones are appended. */
#ifndef SEGUE_STATUS_H
#define SEGUE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of these headers; segue_version tells that of the library. */
#define SEGUE_VERSION_MAJOR 0
#define SEGUE_VERSION_MINOR 1
#define SEGUE_VERSION_PATCH 0
#define SEGUE_VERSION (SEGUE_VERSION_MAJOR * 0x10000 + SEGUE_VERSION_MINOR * 0x100 + SEGUE_VERSION_PATCH)

#ifdef __cplusplus
#define SEGUE_BEGIN extern "C" {
#define SEGUE_END }
#else
#define SEGUE_BEGIN
#define SEGUE_END
#endif

/* Marks what the shared library exports. SEGUE_SHARED: the program links the DLL (segue.pc
 * defines it). */
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
/* A status that must not be ignored; -DSEGUE_UNCHECKED turns the warning off. */
#if defined(__GNUC__) && !defined(SEGUE_UNCHECKED)
#define SEGUE_CHECK __attribute__((warn_unused_result))
#else
#define SEGUE_CHECK
#endif

SEGUE_BEGIN

/* What a call came to. Zero is success; every other value means that nothing was changed, except
 * where a function says otherwise. */
enum segue_status {
    /* Done. */
    SEGUE_OK = 0,
    /* It cannot be done exactly, so it was not done. */
    SEGUE_UNSUPPORTED = 1,
    /* An argument lies outside what the function documents. */
    SEGUE_INVALID = 2,
    /* The bytes are no instruction: the processor would raise #UD. */
    SEGUE_UNDEFINED = 3,
    /* The bytes end before the instruction does. */
    SEGUE_TRUNCATED = 4,
    /* No access of the instruction covers the address that the processor reported. */
    SEGUE_MISMATCH = 5,
    /* A part of the access lies in memory that cannot be reached. */
    SEGUE_FAULT = 6,
    /* The caller's list is too short; the needed length was stored. */
    SEGUE_TOO_SMALL = 7,
    /* The range shares a page with a region that is already there. */
    SEGUE_OVERLAP = 8,
    /* There is no such thing to find, remove or restore. */
    SEGUE_NOT_FOUND = 9,
    /* It is there already: installed, or attached. */
    SEGUE_EXISTS = 10,
    /* Somebody installed a handler after us, so ours cannot be taken out from under it. */
    SEGUE_NOT_LAST = 11,
    /* It is in use, or the caller stands inside a fault where this may not be done. */
    SEGUE_BUSY = 12,
    /* The system has no more memory or no more mappings to give. */
    SEGUE_NO_MEMORY = 13,
    /* A system call failed; errno says why. */
    SEGUE_SYSTEM = 14,
    /* It did not happen in the time that was given. */
    SEGUE_TIMEOUT = 15,
    /* The signal was the library's own business, which is done: return from the handler. */
    SEGUE_HANDLED = 16,
};

/* The status as it is written in code, "SEGUE_OK". A value that is no status gives "SEGUE_?". The
 * string is static. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_status_name(enum segue_status status);

/* The status as a sentence for a person. The string is static. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_status_text(enum segue_status status);

/* The version of the library that runs, as SEGUE_VERSION; and in words, "0.1.0". The string is
 * static. MT-Safe, AS-Safe. */
SEGUE_API uint32_t segue_version(void);
SEGUE_API const char *segue_version_text(void);

/* Why this thread's last call that gives a reason and did not return SEGUE_OK failed, as a static
 * string that names the argument or the limit ("region.window.base is not a multiple of the page
 * size"); "" if none did. The functions that install, uninstall, add, make and prepare something,
 * and those that tell whether it is there, give reasons. What a policy calls does not change what
 * the interrupted code finds. The string is static. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_reason(void);

/* What a system, a processor, a process or this version of the library may lack. Every neutral
 * function exists on every system, and returns SEGUE_UNSUPPORTED where the system cannot. */
enum segue_feature {
    /* The replay engine: executable memory of the library's own. Without it the handler steps plain
     * moves and what moves the stack, and no more; segue_install does not fail for it. */
    SEGUE_FEATURE_REPLAY = 1,
    /* Forced windows. */
    SEGUE_FEATURE_FORCED = 2,
    /* Faults are served on a stack beside the thread's own. */
    SEGUE_FEATURE_ALTERNATE_STACK = 3,
    /* A handler is left without the kernel. */
    SEGUE_FEATURE_DIRECT_RESTORE = 4,
    /* Hot sites. */
    SEGUE_FEATURE_HOT = 5,
    /* System calls that are given pointers into regions. */
    SEGUE_FEATURE_SYSTEM_CALLS = 6,
    /* Threads are suspended. */
    SEGUE_FEATURE_SUSPEND = 7,
    SEGUE_FEATURE_GUEST = 8,
    /* A child's own copy of a mapping. */
    SEGUE_FEATURE_FORK_COPY = 9,
    /* Both views of a mapping within 2 GiB. */
    SEGUE_FEATURE_NEAR = 10,
    /* fs: is rewritten to gs:. */
    SEGUE_FEATURE_SEGMENT = 11,
    SEGUE_FEATURE_WATCH = 12,
};

/* Whether this process has the feature; prepares it if it was not. SEGUE_OK; SEGUE_UNSUPPORTED, and
 * segue_reason says why; SEGUE_NO_MEMORY; SEGUE_INVALID for a number that is no feature. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_feature_check(enum segue_feature feature);

SEGUE_END

#endif
