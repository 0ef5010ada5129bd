/* status.h: the status type, the version, and what every public header needs.
 *
 * Terms used in every header, as in the glibc manual: MT-Safe: any threads may call it at once.
 * AS-Safe: async-signal-safe: it may be called in a signal handler and in a policy. AS-Unsafe
 * functions return SEGUE_BUSY when they are called inside a fault. */
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

SEGUE_BEGIN

/* What a call came to. Zero is success; every other value means that nothing was changed, except
 * where a function says otherwise. */
enum segue_status {
    /* Done. */
    SEGUE_OK = 0,
    /* It cannot be done exactly, so it was not done. */
    SEGUE_UNSUPPORTED,
    /* An argument lies outside what the function documents. */
    SEGUE_INVALID,
    /* The bytes are no instruction: the processor would raise #UD. */
    SEGUE_UNDEFINED,
    /* The bytes end before the instruction does. */
    SEGUE_TRUNCATED,
    /* No access of the instruction covers the address that the processor reported. */
    SEGUE_MISMATCH,
    /* A part of the access lies in memory that cannot be reached. */
    SEGUE_FAULT,
    /* The caller's list is too short; the needed length was stored. */
    SEGUE_TOO_SMALL,
    /* The range shares a page with a region that is already there. */
    SEGUE_OVERLAP,
    /* There is no such thing to find, remove or restore. */
    SEGUE_NOT_FOUND,
    /* It is there already: installed, or attached. */
    SEGUE_EXISTS,
    /* Somebody installed a handler after us, so ours cannot be taken out from under it. */
    SEGUE_NOT_LAST,
    /* It is in use, or the caller stands inside a fault where this may not be done. */
    SEGUE_BUSY,
    /* The system has no more memory or no more mappings to give. */
    SEGUE_NO_MEMORY,
    /* A system call failed; errno says why. */
    SEGUE_SYSTEM,
    /* It did not happen in the time that was given. */
    SEGUE_TIMEOUT,
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

/* Why the calling thread's last call of segue_feature_check, segue_replay_prepare,
 * segue_forced_prepare, or of segue_region_add for a forced window, that did not return SEGUE_OK
 * failed; "" if none did. The string is static. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_reason(void);

/* What a system or a process may lack. */
enum segue_feature {
    /* The replay engine: executable memory of the library's own. Without it the handler steps plain
     * moves and what moves the stack, and no more; segue_install does not fail for it. */
    SEGUE_FEATURE_REPLAY = 1,
    /* Forced windows. */
    SEGUE_FEATURE_FORCED = 2,
};

/* Whether this process has the feature; prepares it if it was not. Returns SEGUE_OK;
 * SEGUE_UNSUPPORTED, and segue_reason tells why; SEGUE_NO_MEMORY; SEGUE_INVALID for a number that
 * is no feature. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_feature_check(enum segue_feature feature);

SEGUE_END

#endif
