/* segment.c: handles faults of accesses through a register that cannot be set: rewrites the site, or steps the access
 * with the intended base.
 *
 * Both encodings are safe states: the old one faults again. Patching a site therefore needs no lock, and a late thread
 * finds it patched. `retried` bounds the number of retries: the bytes may already be rewritten while the processor, or
 * a binary translator, still executes the old ones. */
#include "decode/segments.h"
#include "modules.h"
#include "patch/poke/poke.h"
#include "platform/code.h"
#include "platform/lacks.h"
#include "platform/reason.h"
#include "rewrite.h"
#include "service.h"

#define KNOWN_FLAGS (SEGUE_SEGMENT_EMULATE | SEGUE_SEGMENT_WHOLE_MODULES | SEGUE_SEGMENT_CHOSEN_BASE)
#define DEFAULT_CAPACITY ((size_t)1 << 20)
/* The most consecutive retries of one fault before the code counts as unchanging. Each retry requires that another
 * thread rewrote the site between the fault and its examination, or keeps the lock of code for a millisecond. */
#define RETRIES 64u

static struct segment_service service;

/* The fault that this thread was last made to retry. */
static __thread struct {
    uint64_t instruction, address;
    uint32_t times;
} retried __attribute__((tls_model("initial-exec")));

/* --- Faults. --- */

/* Steps the access with the intended base, whichever of the two prefixes the instruction has. The fault is changed to
 * the one that the access would have raised with that base. */
static enum segue_segment_verdict have_it_done(const struct segue_segment_options *options, struct segue_regs *regs,
                                               struct segue_fault *fault)
{
    uint64_t base = segment_base(regs, options->rewrite.to);
    if (options->flags & SEGUE_SEGMENT_CHOSEN_BASE)
        base = options->base;
    if (fault->address_known)
        fault->address += base - segment_base(regs, options->rewrite.from);
    *segment_base_at(regs, options->rewrite.from) = base;
    return SEGUE_SEGMENT_DO;
}

/* Whether this fault may be retried: it has been retried fewer than `most` times in a row. */
static bool may_retry(uint64_t instruction, const struct segue_fault *fault, uint32_t most)
{
    uint64_t address = fault->address_known ? fault->address : 0;
    if (retried.instruction != instruction || retried.address != address)
        retried.times = 0;
    retried.instruction = instruction;
    retried.address = address;
    if (retried.times++ < most)
        return true;
    retried.times = 0;
    return false;
}

/* Has the access stepped once retries no longer help. */
static enum segue_segment_verdict retry(const struct segue_segment_options *options, struct segue_regs *regs,
                                        struct segue_fault *fault)
{
    return may_retry(regs->rip, fault, RETRIES) ? SEGUE_SEGMENT_RETRY : have_it_done(options, regs, fault);
}

static enum segue_segment_verdict rewrite(struct segment_service *present, struct segue_site *site,
                                          struct segue_regs *regs, struct segue_fault *fault)
{
    if (present->options.flags & SEGUE_SEGMENT_EMULATE)
        return have_it_done(&present->options, regs, fault);
    site->address = regs->rip;
    site->trust = SEGUE_TRUST_FUNCTION;
    switch (segment_change(present, site, 1)) {
    case SEGUE_OK:
        if (present->options.flags & SEGUE_SEGMENT_WHOLE_MODULES)
            modules_rewrite(present, regs->rip);
        break;
    case SEGUE_BUSY:
        break;
    default:
        return have_it_done(&present->options, regs, fault);
    }
    /* Not without end: a thread that holds the lock for a fork may wait for this one in another library's handler. */
    return retry(&present->options, regs, fault);
}

enum segue_segment_verdict segue_segment_serve(const struct segue_insn *insn, struct segue_regs *regs,
                                               const struct segue_xstate *xstate, struct segue_fault *fault)
{
    struct segment_service *present = segment_in_force();
    struct segue_site site;
    if (!present || !regs || !fault)
        return SEGUE_SEGMENT_PASS;
    switch (segue_segment_classify(insn, regs, xstate, fault, &present->options, &site)) {
    case SEGUE_SEGMENT_REWRITE:
        return rewrite(present, &site, regs, fault);
    case SEGUE_SEGMENT_RETRY:
        /* The site is rewritten in memory, and yet the processor still executes the old bytes: the access must be
         * stepped. */
        return retry(&present->options, regs, fault);
    case SEGUE_SEGMENT_RETRY_ONCE:
        return may_retry(regs->rip, fault, 1) ? SEGUE_SEGMENT_RETRY : SEGUE_SEGMENT_PASS;
    default:
        return SEGUE_SEGMENT_PASS;
    }
}

/* --- Begin and end. --- */

static enum segue_status enable(const struct segue_segment_options *options)
{
    if (segment_in_force())
        return SEGUE_EXISTS;
    enum segue_status status = poke_prepare();
    if (status == SEGUE_OK && !segment_lock_prepare())
        status = SEGUE_NO_MEMORY;
    if (status == SEGUE_OK)
        status = ledger_create(&service.ledger, options->capacity ? options->capacity : DEFAULT_CAPACITY);
    if (status == SEGUE_OK && (options->flags & SEGUE_SEGMENT_WHOLE_MODULES))
        status = modules_read();
    if (status != SEGUE_OK) {
        ledger_destroy(&service.ledger);
        return status;
    }
    service.options = *options;
    segment_put_in_force(&service);
    return SEGUE_OK;
}

/* What is wrong with the options; NULL if they are valid. */
static const char *misuse(const struct segue_segment_options *options)
{
    if (!options)
        return "options is NULL";
    if (!RESERVED_IS_ZERO(options))
        return "options.reserved is not zero: was the struct initialised?";
    if (options->flags & ~(uint32_t)KNOWN_FLAGS)
        return "options.flags has a bit that enum segue_segment_flags does not define";
    if (!rewrite_is_valid(options->rewrite))
        return "options.rewrite is neither from FS to GS nor from GS to FS";
    if ((options->flags & SEGUE_SEGMENT_CHOSEN_BASE) && !(options->flags & SEGUE_SEGMENT_EMULATE))
        return "options.flags has SEGUE_SEGMENT_CHOSEN_BASE without SEGUE_SEGMENT_EMULATE";
    return NULL;
}

enum segue_status segue_segment_enable(const struct segue_segment_options *options)
{
    const char *wrong = misuse(options);
    if (wrong)
        return reason_give(SEGUE_INVALID, wrong);
    if ((options->flags & SEGUE_SEGMENT_WHOLE_MODULES) && !modules_can_be_searched())
        return reason_give(SEGUE_UNSUPPORTED, "only 64-bit code is searched for sites");
    if (!PLATFORM_HAS_BASES)
        return reason_give(SEGUE_UNSUPPORTED, "the bases of FS and GS are the system's own here");
    segment_lock();
    enum segue_status status = enable(options);
    segment_unlock();
    return reason_give(status, status == SEGUE_EXISTS ? "faults of segment registers are answered already"
                                                      : "the system lets no code of this process be written");
}

enum segue_status segue_segment_disable(void)
{
    enum segue_status status = SEGUE_NOT_FOUND;
    segment_lock();
    if (segment_in_force()) {
        segment_put_in_force(NULL);
        ledger_destroy(&service.ledger);
        modules_free();
        status = SEGUE_OK;
    }
    segment_unlock();
    return status;
}

enum segue_status segue_segment_modules(void)
{
    enum segue_status status = SEGUE_NOT_FOUND;
    segment_lock();
    if (segment_in_force())
        status = modules_read();
    segment_unlock();
    return status;
}
