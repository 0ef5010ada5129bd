/* patch.h: code that goes through one segment register is rewritten to go through the other.
 *
 * Where FS cannot be set, a program that was built to find its thread-local storage through FS is made to go through
 * GS: by changing exactly one byte of an instruction, at the fault, ahead of time in a file, or eagerly in memory. What
 * is not known to be an instruction is never changed.
 *
 * SOURCES: Intel SDM volume 2, 2.1.1 (prefixes), RDFSBASE and WRFSBASE; the System V ABI's x86-64 supplement, 3.4 and
 * TLS chapter (what FS leads to); docs/patch.md (trust, with counts). */
#ifndef SEGUE_PATCH_H
#define SEGUE_PATCH_H

#include <segue/decode.h>

SEGUE_BEGIN

/* From which segment register to which: SEGUE_SEGMENT_FS and SEGUE_SEGMENT_GS, either way round. */
struct segue_rewrite {
    enum segue_segment from;
    enum segue_segment to;
};

/* --- What is there to rewrite: pure. --- */

/* What a site is. */
enum segue_site_kind {
    /* An operand goes through the segment: the effective prefix changes. */
    SEGUE_SITE_ACCESS,
    /* RDFSBASE, WRFSBASE and their like: a bit of ModRM changes. */
    SEGUE_SITE_BASE,
    /* The segment register itself is loaded. There is nothing to change: it is told. */
    SEGUE_SITE_LOAD,
    /* SYSCALL: the kernel may be asked to set the base. It is told. */
    SEGUE_SITE_SYSTEM_CALL,
};

/* Why the bytes are known to be an instruction, or why they are not. */
enum segue_site_trust {
    /* They were reached by decoding from the start of their function. */
    SEGUE_TRUST_FUNCTION,
    /* They are one of the nine-byte forms in which compilers read the stack guard and the thread pointer, which no
     * other bytes have been seen to imitate. */
    SEGUE_TRUST_FORM,
    /* Not trusted: they lie outside every function that the unwind tables know. */
    SEGUE_TRUST_OUTSIDE,
    /* Not trusted: between them and the start of their function there are bytes that are no instruction. */
    SEGUE_TRUST_AFTER_DATA,
};

/* A place in code. */
struct segue_site {
    /* Of the instruction. */
    uint64_t address;
    uint8_t bytes[SEGUE_INSN_BYTES];
    uint8_t length;
    /* enum segue_site_kind, enum segue_site_trust. */
    uint8_t kind;
    uint8_t trust;
    /* Which byte changes, and from what to what; for those that are only told, the same twice. */
    uint8_t index;
    uint8_t old_byte;
    uint8_t new_byte;
    /* Of a SYSCALL: its number and first argument if they are loaded as constants in straight line before it; else
     * -1. */
    int64_t call_number;
    int64_t call_argument;
};

/* Whether the site may be rewritten. Async-signal-safe, thread-safe. */
static inline bool segue_site_is_trusted(const struct segue_site *site)
{
    return site->trust == SEGUE_TRUST_FUNCTION || site->trust == SEGUE_TRUST_FORM;
}

/* A function, as the unwind tables have it: [start, end). */
struct segue_extent {
    uint64_t start;
    uint64_t end;
};

/* Code to be scanned. */
struct segue_code {
    const uint8_t *bytes;
    size_t size;
    /* Where the first byte stands, or will. */
    uint64_t address;
    /* The functions in it, sorted by start; one that begins inside another ends it. */
    const struct segue_extent *functions;
    size_t function_count;
};

/* Called for each site, in the order of addresses. Anything but SEGUE_OK ends the scan. */
typedef enum segue_status segue_site_visit(void *context, const struct segue_site *site);

/* Finds all sites in `code`, 64-bit mode. What is visited as untrusted has the bytes of an instruction that goes
 * through the segment; bytes that are known to lie inside other instructions are not visited. Returns SEGUE_OK, what
 * `visit` returned, or SEGUE_INVALID for a NULL pointer or a rewrite that is none. Async-signal-safe if `visit` is;
 * thread-safe. */
SEGUE_API enum segue_status segue_scan(const struct segue_code *code, struct segue_rewrite rewrite,
                                       segue_site_visit *visit, void *context);

SEGUE_END

#endif
