/* classify.c: classifies the fault of an access through FS or GS. Pure.
 *
 * It computes the access's address with either base and compares it with the address that the processor reported. An
 * instruction that accesses through the register that the program cannot set is a site to rewrite; if its bytes have
 * changed since, another thread has rewritten it after the fault. An access through the other register is the program's
 * own fault. A general protection fault reports no address.
 *
 * SOURCES: Intel SDM volume 3, 6.15 (#PF, #GP, #SS); volume 1, 3.3.7.1 (canonical addresses). */
#include "decode/segments.h"
#include "decode/x86/canonical.h"
#include "decode/x86/traps.h"
#include "patch/segment/rewrite.h"

#define ACCESSES 8

/* Whether an access through the prefix's segment, with `base` as its base, covers the fault. */
static bool covers(const struct segue_insn *insn, const struct segue_regs *regs, const struct segue_xstate *xstate,
                   const struct segue_fault *fault, enum segue_segment segment, uint64_t base)
{
    struct segue_regs with_base = *regs;
    struct segue_access accesses[ACCESSES];
    size_t count;
    *segment_base_at(&with_base, segment) = base;
    enum segue_status status = segue_accesses(insn, &with_base, xstate, accesses, ACCESSES, &count);
    if (status != SEGUE_OK && status != SEGUE_TOO_SMALL)
        return false;
    for (size_t i = 0; i < count && i < ACCESSES; i++)
        if (accesses[i].segment == segment && fault->address - accesses[i].address < accesses[i].size &&
            (!fault->direction || (accesses[i].direction & fault->direction)))
            return true;
    return false;
}

/* The instruction accesses memory through the register that cannot be set. */
static enum segue_segment_verdict classify_unwritten(const struct segue_insn *insn, const struct segue_regs *regs,
                                                     const struct segue_xstate *xstate, const struct segue_fault *fault,
                                                     enum segue_segment from, uint64_t from_base)
{
    if (!fault->address_known)
        return SEGUE_SEGMENT_REWRITE;
    return covers(insn, regs, xstate, fault, from, from_base) ? SEGUE_SEGMENT_REWRITE : SEGUE_SEGMENT_PASS;
}

/* It accesses memory through the other register: the program was written so, or the site has been rewritten. */
static enum segue_segment_verdict classify_written(const struct segue_insn *insn, const struct segue_regs *regs,
                                                   const struct segue_xstate *xstate, const struct segue_fault *fault,
                                                   enum segue_segment to, uint64_t from_base, uint64_t to_base)
{
    if (!fault->address_known)
        return SEGUE_SEGMENT_RETRY_ONCE;
    bool is_own = covers(insn, regs, xstate, fault, to, to_base);
    bool is_stale = covers(insn, regs, xstate, fault, to, from_base);
    if (is_own)
        return is_stale ? SEGUE_SEGMENT_RETRY_ONCE : SEGUE_SEGMENT_PASS;
    return is_stale ? SEGUE_SEGMENT_RETRY : SEGUE_SEGMENT_PASS;
}

enum segue_segment_verdict segue_segment_classify(const struct segue_insn *insn, const struct segue_regs *regs,
                                                  const struct segue_xstate *xstate, const struct segue_fault *fault,
                                                  const struct segue_segment_options *options, struct segue_site *site)
{
    if (!insn || !regs || !fault || !options || !site || !rewrite_is_valid(options->rewrite) ||
        fault->direction == SEGUE_FETCH)
        return SEGUE_SEGMENT_PASS;
    bool is_protection = fault->trap == TRAP_GENERAL_PROTECTION || fault->trap == TRAP_STACK;
    if (!fault->address_known && !is_protection)
        return SEGUE_SEGMENT_PASS;
    uint64_t from_base = segment_base(regs, options->rewrite.from), to_base = segment_base(regs, options->rewrite.to);
    if (from_base != options->unusable_base && canonical_is(from_base))
        return SEGUE_SEGMENT_PASS;
    if (rewrite_goes_through(insn, options->rewrite.from) && rewrite_find(insn, options->rewrite, site)) {
        site->length = insn->length;
        __builtin_memcpy(site->bytes, insn->bytes, sizeof site->bytes);
        for (size_t i = 0; i < sizeof site->reserved / sizeof *site->reserved; i++)
            site->reserved[i] = 0;
        return classify_unwritten(insn, regs, xstate, fault, options->rewrite.from, from_base);
    }
    if (rewrite_goes_through(insn, options->rewrite.to))
        return classify_written(insn, regs, xstate, fault, options->rewrite.to, from_base, to_base);
    return SEGUE_SEGMENT_PASS;
}
