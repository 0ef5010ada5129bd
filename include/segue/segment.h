/* segment.h: rewrites code that uses one of FS and GS so that it uses the other.
 *
 * On systems where a program cannot set the FS base, a program that was compiled to find its
 * thread-local storage through FS is made to use GS. The library changes exactly one byte of an
 * instruction, at the fault, ahead of time in a file, or eagerly in memory. It never changes bytes
 * that are not known to be an instruction.
 *
 * SOURCES: Intel SDM volume 2, 2.1.1 (prefixes), RDFSBASE and WRFSBASE; the System V ABI's x86-64
 * supplement, 3.4 and TLS chapter (the data that FS points to); docs/patch.md (trust, with
 * counts). */
#ifndef SEGUE_SEGMENT_H
#define SEGUE_SEGMENT_H

#include <segue/emulate.h>

SEGUE_BEGIN

/* The segment registers of a rewrite: SEGUE_SEGMENT_FS and SEGUE_SEGMENT_GS, in either order. */
struct segue_rewrite {
    enum segue_segment from;
    enum segue_segment to;
};

/* --- Finding sites; pure. --- */

/* The kind of a site. */
enum segue_site_kind {
    /* A memory operand uses the segment: the effective prefix changes. */
    SEGUE_SITE_ACCESS,
    /* RDFSBASE, WRFSBASE and similar: a bit of ModRM changes. */
    SEGUE_SITE_BASE,
    /* The instruction loads the segment register itself. Only listed, because no change of a byte
     * helps. */
    SEGUE_SITE_LOAD,
    /* SYSCALL: it may ask the kernel to set the base. Only listed. */
    SEGUE_SITE_SYSTEM_CALL,
};

/* Why the bytes are known to be an instruction, or are not. */
enum segue_site_trust {
    /* Decoding from the start of their function reached them. */
    SEGUE_TRUST_FUNCTION,
    /* They are one of the nine-byte signatures with which compilers read the stack guard and the
     * thread pointer; no other bytes have been seen to match them. */
    SEGUE_TRUST_FORM,
    /* Not trusted: they are outside every function of the unwind tables. */
    SEGUE_TRUST_OUTSIDE,
    /* Not trusted: between the start of their function and them are bytes that are not an
     * instruction. */
    SEGUE_TRUST_AFTER_DATA,
};

/* One site. */
struct segue_site {
    /* The instruction's address. */
    uint64_t address;
    uint8_t bytes[SEGUE_INSN_BYTES];
    uint8_t length;
    /* enum segue_site_kind, enum segue_site_trust. */
    uint8_t kind;
    uint8_t trust;
    /* The index of the byte that changes, and its values before and after; the same value twice for
     * sites that are only listed. */
    uint8_t index;
    uint8_t old_byte;
    uint8_t new_byte;
    /* For SYSCALL: its number and first argument if straight-line code before it loads them as
     * constants; otherwise -1. */
    int64_t call_number;
    int64_t call_argument;
    uint64_t reserved[2];
};

/* Whether the site is trusted, and may be rewritten. MT-Safe, AS-Safe. */
SEGUE_INLINE bool segue_site_is_trusted(const struct segue_site *site)
{
    return site->trust == SEGUE_TRUST_FUNCTION || site->trust == SEGUE_TRUST_FORM;
}

/* A function's range in the unwind tables: [start, end). */
struct segue_extent {
    uint64_t start;
    uint64_t end;
};

/* Code to scan. */
struct segue_segment_code {
    const uint8_t *bytes;
    size_t size;
    /* The address of the first byte, now or once loaded. */
    uint64_t address;
    /* The functions in the code, sorted by start. A function that begins inside another ends it. */
    const struct segue_extent *functions;
    size_t function_count;
    uint64_t reserved[2];
};

/* Called for each site, in the order of addresses. Any status but SEGUE_OK ends the scan. */
typedef enum segue_status segue_site_visit(void *context, const struct segue_site *site);

/* Finds all sites in `code`, which is 64-bit code. An untrusted site has the bytes of an
 * instruction that uses the segment; the scan skips bytes that are known to be inside other
 * instructions. Returns SEGUE_OK, what `visit` returned, or SEGUE_INVALID for a NULL pointer or an
 * invalid rewrite. MT-Safe, AS-Safe if `visit` is. */
SEGUE_API enum segue_status segue_segment_scan(const struct segue_segment_code *code,
                                               struct segue_rewrite rewrite,
                                               segue_site_visit *visit, void *context);

/* --- Serving faults. --- */

/* Options; a bit set. */
enum segue_segment_flags {
    /* Never change code: the caller does the instruction's work with the other register's base. For
     * binary translators that do not notice changed code, and for code that must not change. */
    SEGUE_SEGMENT_EMULATE = 1,
    /* After a module's first fault, rewrite all of its other trusted sites, because a thread that
     * blocks SIGSEGV dies at the first site that it executes. The modules are those of
     * segue_segment_modules. */
    SEGUE_SEGMENT_WHOLE_MODULES = 2,
    /* `base` is valid: its value replaces rewrite.from's base, instead of the base of rewrite.to.
     * Only with SEGUE_SEGMENT_EMULATE. */
    SEGUE_SEGMENT_CHOSEN_BASE = 4,
};

/* How the library serves these faults. */
struct segue_segment_options {
    struct segue_rewrite rewrite;
    /* enum segue_segment_flags. */
    uint32_t flags;
    /* The value of rewrite.from's base on a system where it cannot be set: 0 on most. The library
     * treats a base that is not canonical as unusable, too. With any other base, a fault is the
     * program's own. */
    uint64_t unusable_base;
    uint64_t base;
    /* The capacity of the patch table in sites; 0 means 1,048,576. It takes memory as it fills. */
    size_t capacity;
    uint64_t reserved[4];
};

/* What a fault is. */
enum segue_segment_verdict {
    /* The program's own fault, with or without a rewrite. */
    SEGUE_SEGMENT_PASS,
    /* The access used the register that cannot be set: `site` has the byte to change. */
    SEGUE_SEGMENT_REWRITE,
    /* The bytes have changed since the fault: another thread rewrote them first. */
    SEGUE_SEGMENT_RETRY,
    /* It is unknown whether the bytes have changed since the fault: run the instruction again,
     * once. */
    SEGUE_SEGMENT_RETRY_ONCE,
    /* Do the instruction's work with regs->fs_base or gs_base as segue_segment_serve left them. */
    SEGUE_SEGMENT_DO,
};

/* Classifies a fault of `insn` with `regs`, which have both bases as they were at the fault. Pure.
 * `xstate` may be NULL. With SEGUE_SEGMENT_REWRITE it fills `site`, except for its address and
 * trust. Returns SEGUE_SEGMENT_PASS if the answer is not exactly known. MT-Safe, AS-Safe. */
SEGUE_API enum segue_segment_verdict
segue_segment_classify(const struct segue_insn *insn, const struct segue_regs *regs,
                       const struct segue_xstate *xstate, const struct segue_fault *fault,
                       const struct segue_segment_options *options, struct segue_site *site);

/* Begins to serve faults, with an empty patch table. Returns SEGUE_OK; SEGUE_EXISTS if it has begun
 * already; SEGUE_INVALID for unknown flags, an invalid rewrite, or a chosen base without
 * SEGUE_SEGMENT_EMULATE; SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_enable(const struct segue_segment_options *options);

/* Stops serving faults, and frees the patch table: sites that were not undone before stay
 * rewritten. No thread may be inside a fault. Returns SEGUE_OK, or SEGUE_NOT_FOUND. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_disable(void);

/* Serves a fault: classifies it, and rewrites the site. segue_install's handler calls it for faults
 * outside all regions; a program's own handler calls it with all signals blocked and the host's
 * segment bases. Returns SEGUE_SEGMENT_RETRY: return from the handler, and the instruction runs
 * again; SEGUE_SEGMENT_DO: do the instruction's work with `regs`, in which the base has been
 * replaced; SEGUE_SEGMENT_PASS: not such a fault, or the site could not be rewritten; then
 * `fault->address` is the address that the program would have used with the register set. Never
 * returns SEGUE_SEGMENT_RETRY indefinitely for one fault. MT-Safe, AS-Safe. */
SEGUE_API enum segue_segment_verdict segue_segment_serve(const struct segue_insn *insn,
                                                         struct segue_regs *regs,
                                                         const struct segue_xstate *xstate,
                                                         struct segue_fault *fault);

/* Records the modules that are loaded now, for SEGUE_SEGMENT_WHOLE_MODULES. segue_segment_enable
 * does it as well; call it after dlopen, and after dlclose before anything else is loaded. Returns
 * SEGUE_OK; SEGUE_NOT_FOUND if segue_segment_enable was not called; SEGUE_NO_MEMORY. MT-Safe,
 * AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_modules(void);

/* --- Rewriting eagerly in memory, with the options of segue_segment_enable, which must have been
 * called. --- */

/* The numbers of sites that an eager rewrite met. */
struct segue_rewrite_counts {
    /* Sites rewritten now. */
    size_t rewritten;
    /* Sites that are not trusted; sites that are only listed (loads, system calls). */
    size_t untrusted;
    size_t listed_only;
    /* Trusted sites that could not be written. */
    size_t failed;
    uint64_t reserved[2];
};

/* Rewrites all trusted sites of the module that contains `address`, by its unwind table. `counts`
 * may be NULL. Returns SEGUE_OK; SEGUE_NOT_FOUND if no module contains it, the module has no unwind
 * table, or segue_segment_enable was not called; SEGUE_UNSUPPORTED if a site could not be written;
 * SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_rewrite_module(const void *address,
                                                         struct segue_rewrite_counts *counts);

/* Rewrites code that its owner hands over. `code->bytes` is where it can be read, `code->address`
 * where it runs. Without functions the whole code is one function, and must begin with an
 * instruction. `alias` is where the same bytes can be written, or NULL. Returns as
 * segue_segment_rewrite_module; SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_rewrite(const struct segue_segment_code *code,
                                                  void *alias, struct segue_rewrite_counts *counts);

SEGUE_END

#endif
