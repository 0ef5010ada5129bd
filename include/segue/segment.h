/* segment.h: code that goes through one segment register is rewritten to go through the other.
 *
 * Where FS cannot be set, a program that was built to find its thread-local storage through FS
 * is made to go through GS: by changing exactly one byte of an instruction, at the fault, ahead
 * of time in a file, or eagerly in memory. What is not known to be an instruction is never
 * changed.
 *
 * SOURCES: Intel SDM volume 2, 2.1.1 (prefixes), RDFSBASE and WRFSBASE; the System V ABI's
 * x86-64 supplement, 3.4 and TLS chapter (what FS leads to); docs/patch.md (trust, with counts). */
#ifndef SEGUE_SEGMENT_H
#define SEGUE_SEGMENT_H

#include <segue/emulate.h>

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
    /* The segment register itself is loaded. There is nothing to change: it is only listed. */
    SEGUE_SITE_LOAD,
    /* SYSCALL: the kernel may be asked to set the base. It is only listed. */
    SEGUE_SITE_SYSTEM_CALL,
};

/* Why the bytes are known to be an instruction, or why they are not. */
enum segue_site_trust {
    /* They were reached by decoding from the start of their function. */
    SEGUE_TRUST_FUNCTION,
    /* They are one of the nine-byte forms in which compilers read the stack guard and the thread
     * pointer, which no other bytes have been seen to imitate. */
    SEGUE_TRUST_FORM,
    /* Not trusted: they lie outside every function that the unwind tables know. */
    SEGUE_TRUST_OUTSIDE,
    /* Not trusted: between them and the start of their function there are bytes that are no
     * instruction. */
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
    /* Which byte changes, and from what to what; for those that are only listed, the same twice. */
    uint8_t index;
    uint8_t old_byte;
    uint8_t new_byte;
    /* Of a SYSCALL: its number and first argument if they are loaded as constants in straight line
     * before it; else -1. */
    int64_t call_number;
    int64_t call_argument;
    uint64_t reserved[2];
};

/* Whether the site may be rewritten. MT-Safe, AS-Safe. */
SEGUE_INLINE bool segue_site_is_trusted(const struct segue_site *site)
{
    return site->trust == SEGUE_TRUST_FUNCTION || site->trust == SEGUE_TRUST_FORM;
}

/* A function, as the unwind tables have it: [start, end). */
struct segue_extent {
    uint64_t start;
    uint64_t end;
};

/* Code to be scanned. */
struct segue_segment_code {
    const uint8_t *bytes;
    size_t size;
    /* Where the first byte stands, or will. */
    uint64_t address;
    /* The functions in it, sorted by start; one that begins inside another ends it. */
    const struct segue_extent *functions;
    size_t function_count;
    uint64_t reserved[2];
};

/* Called for each site, in the order of addresses. Anything but SEGUE_OK ends the scan. */
typedef enum segue_status segue_site_visit(void *context, const struct segue_site *site);

/* Finds all sites in `code`, 64-bit mode. What is visited as untrusted has the bytes of an
 * instruction that goes through the segment; bytes that are known to lie inside other instructions
 * are not visited. Returns SEGUE_OK, what `visit` returned, or SEGUE_INVALID for a NULL pointer or
 * a rewrite that is none. Async-signal-safe if `visit` is; thread-safe. */
SEGUE_API enum segue_status segue_segment_scan(const struct segue_segment_code *code,
                                               struct segue_rewrite rewrite,
                                               segue_site_visit *visit, void *context);

/* --- At the fault. --- */

/* Options; a bit set. */
enum segue_segment_flags {
    /* Never change code: whoever asks does the instruction's work with the other register's base.
     * For translators that do not notice changed code, and for code that may not change. */
    SEGUE_SEGMENT_EMULATE = 1,
    /* After a module's first fault, rewrite all its other trusted sites: a thread that blocks
     * SIGSEGV dies at the first that it meets. The modules are those of segue_segment_modules. */
    SEGUE_SEGMENT_WHOLE_MODULES = 2,
    /* `base` is given: what stands for rewrite.from's base is that value, not the base of
     * rewrite.to. Only with SEGUE_SEGMENT_EMULATE. */
    SEGUE_SEGMENT_CHOSEN_BASE = 4,
};

/* How faults are answered. */
struct segue_segment_options {
    struct segue_rewrite rewrite;
    /* enum segue_segment_flags. */
    uint32_t flags;
    /* What rewrite.from's base holds where it cannot be set: 0 on most systems. A base that is not
     * canonical is taken to be unusable, too. A fault while the base holds anything else is the
     * program's own. */
    uint64_t unusable_base;
    uint64_t base;
    /* How many sites the ledger holds; 0 means 1,048,576. Memory is taken as it fills. */
    size_t capacity;
    uint64_t reserved[4];
};

/* What a fault turned out to be. */
enum segue_segment_verdict {
    /* The program's own fault, before or after rewriting. */
    SEGUE_SEGMENT_PASS,
    /* The access went through the register that cannot be set: `site` tells which byte to change.
     */
    SEGUE_SEGMENT_REWRITE,
    /* The bytes have changed since the fault: another thread was first. */
    SEGUE_SEGMENT_RETRY,
    /* It cannot be told whether the bytes have changed since: run it again, once. */
    SEGUE_SEGMENT_RETRY_ONCE,
    /* Do its work with regs->fs_base or gs_base as segue_segment_serve has left them. */
    SEGUE_SEGMENT_DO,
};

/* Tells what a fault of `insn` with `regs` is. Pure. `regs` holds both bases as they were at the
 * fault. `xstate` may be NULL. `site` is filled with SEGUE_SEGMENT_REWRITE, but for its address and
 * trust. What cannot be told exactly is SEGUE_SEGMENT_PASS. MT-Safe, AS-Safe. */
SEGUE_API enum segue_segment_verdict
segue_segment_classify(const struct segue_insn *insn, const struct segue_regs *regs,
                       const struct segue_xstate *xstate, const struct segue_fault *fault,
                       const struct segue_segment_options *options, struct segue_site *site);

/* Begins to answer faults, with an empty ledger. Returns SEGUE_OK; SEGUE_EXISTS when it has begun;
 * SEGUE_INVALID for unknown flags, a rewrite that is none, or a chosen base without
 * SEGUE_SEGMENT_EMULATE; SEGUE_NO_MEMORY. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_enable(const struct segue_segment_options *options);

/* Ends it, and drops the ledger: what was rewritten stays so unless it was undone before. No thread
 * may be in a fault. Returns SEGUE_OK, or SEGUE_NOT_FOUND. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_disable(void);

/* Answers a fault: classifies it, and rewrites. segue_install's handler calls it for faults in no
 * region; who has a handler of their own calls it with all signals blocked and the host's segment
 * bases in force. Returns SEGUE_SEGMENT_RETRY: return, and the instruction runs again;
 * SEGUE_SEGMENT_DO: do its work with `regs`, whose base has been replaced; SEGUE_SEGMENT_PASS: none
 * of ours, or it could not be rewritten; then `fault->address` is the one that the program would
 * have had with the register set. Never says SEGUE_SEGMENT_RETRY for ever. MT-Safe, AS-Safe. */
SEGUE_API enum segue_segment_verdict segue_segment_serve(const struct segue_insn *insn,
                                                         struct segue_regs *regs,
                                                         const struct segue_xstate *xstate,
                                                         struct segue_fault *fault);

/* Reads the program's modules, for SEGUE_SEGMENT_WHOLE_MODULES: those that are loaded now.
 * segue_segment_enable does it as well; call it after dlopen, and after dlclose before anything
 * else is loaded. Returns SEGUE_OK; SEGUE_NOT_FOUND when faults are not answered; SEGUE_NO_MEMORY.
 * MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_modules(void);

/* --- Eagerly, in memory. They need segue_segment_enable, and rewrite by its options. --- */

/* What came of it. */
struct segue_rewrite_counts {
    /* Sites rewritten now. */
    size_t rewritten;
    /* Instructions that may be sites and are not trusted, or are only listed (loads, system calls).
     */
    size_t untrusted;
    size_t listed_only;
    /* Trusted, and could not be written. */
    size_t failed;
    uint64_t reserved[2];
};

/* Rewrites all trusted sites of the module that holds `address`, by its unwind table. `counts` may
 * be NULL. Returns SEGUE_OK; SEGUE_NOT_FOUND when there is no such module, it has no unwind table,
 * or faults are not answered; SEGUE_UNSUPPORTED when a site could not be written; SEGUE_NO_MEMORY.
 * MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_rewrite_module(const void *address,
                                                         struct segue_rewrite_counts *counts);

/* Rewrites code that its owner hands over: `code->bytes` is where it can be read, `code->address`
 * where it runs. Without functions, all of it is one, so it begins with an instruction. `alias` is
 * where the same bytes can be written, or NULL. Returns as segue_segment_rewrite_module;
 * SEGUE_INVALID for a NULL pointer. MT-Safe, AS-Unsafe. */
SEGUE_API enum segue_status segue_segment_rewrite(const struct segue_segment_code *code,
                                                  void *alias, struct segue_rewrite_counts *counts);

SEGUE_END

#endif
