/* segment.c: handles faults of accesses through a register that cannot be set: rewrites the site, or steps the access
 * with the intended base.
 *
 * Both encodings are safe states: the old one faults again. Patching a site therefore needs no lock, and a late thread
 * finds it patched. `retried` bounds the number of retries: the bytes may already be rewritten while the processor, or
 * a binary translator, still executes the old ones. */
#include <segue/patch.h>
#include <stdlib.h>
#include <string.h>

#include "decode/segments.h"
#include "modules.h"
#include "patch/hot/hot.h"
#include "patch/poke/poke.h"
#include "platform/code.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "rewrite.h"
#include "service.h"

#define KNOWN_FLAGS (SEGUE_SEGMENT_EMULATE | SEGUE_SEGMENT_WHOLE_MODULES | SEGUE_SEGMENT_CHOSEN_BASE)
#define DEFAULT_CAPACITY ((size_t)1 << 20)
/* The most consecutive retries of one fault before the code counts as unchanging. Each retry requires that another
 * thread rewrote the site between the fault and its examination. */
#define RETRIES 64u

static struct segment_service service;
static struct fork_lock changing = FORK_LOCK_INITIALIZER;

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
        return may_retry(regs->rip, fault, RETRIES) ? SEGUE_SEGMENT_RETRY
                                                    : have_it_done(&present->options, regs, fault);
    case SEGUE_BUSY:
        return SEGUE_SEGMENT_RETRY;
    default:
        return have_it_done(&present->options, regs, fault);
    }
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
        return may_retry(regs->rip, fault, RETRIES) ? SEGUE_SEGMENT_RETRY
                                                    : have_it_done(&present->options, regs, fault);
    case SEGUE_SEGMENT_RETRY_ONCE:
        return may_retry(regs->rip, fault, 1) ? SEGUE_SEGMENT_RETRY : SEGUE_SEGMENT_PASS;
    default:
        return SEGUE_SEGMENT_PASS;
    }
}

/* --- Begin and end. --- */

static void before_fork(void)
{
    fork_lock_before(&changing);
}

static void after_fork_in_parent(void)
{
    fork_lock_after(&changing);
}

static void after_fork_in_child(void)
{
    fork_lock_in_child(&changing);
}

/* Code changes while this lock is held. */
_Static_assert(FORK_CODE < FORK_PATCHES, "fork takes the two locks in the same order");

static const struct fork_hooks hooks = {
    .before = before_fork, .in_parent = after_fork_in_parent, .in_child = after_fork_in_child};

bool patches_prepare(void)
{
    return fork_register(FORK_PATCHES, &hooks);
}

/* If the hooks cannot be registered, or a fork is in progress at the first call, a child may find the lock taken. */
static void take_lock(void)
{
    patches_prepare();
    fork_lock_take(&changing);
}

static enum segue_status enable(const struct segue_segment_options *options)
{
    if (segment_in_force())
        return SEGUE_EXISTS;
    enum segue_status status = poke_prepare();
    if (status == SEGUE_OK && !fork_register(FORK_PATCHES, &hooks))
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
    take_lock();
    enum segue_status status = enable(options);
    fork_lock_release(&changing);
    return reason_give(status, status == SEGUE_EXISTS ? "faults of segment registers are answered already"
                                                      : "the system lets no code of this process be written");
}

enum segue_status segue_segment_disable(void)
{
    enum segue_status status = SEGUE_NOT_FOUND;
    take_lock();
    if (segment_in_force()) {
        segment_put_in_force(NULL);
        ledger_destroy(&service.ledger);
        modules_free();
        status = SEGUE_OK;
    }
    fork_lock_release(&changing);
    return status;
}

enum segue_status segue_segment_modules(void)
{
    enum segue_status status = SEGUE_NOT_FOUND;
    take_lock();
    if (segment_in_force())
        status = modules_read();
    fork_lock_release(&changing);
    return status;
}

/* --- The table of patches. --- */

/* Patches as they are at one moment; `capacity` of the `count` fit. */
struct collected {
    struct segue_patch *patches;
    size_t count, capacity;
};

static void collect(struct collected *collected, const struct segue_patch *patch)
{
    if (collected->count++ < collected->capacity)
        collected->patches[collected->count - 1] = *patch;
}

static void collect_entry(struct collected *collected, const struct ledger_entry *entry)
{
    const struct segue_patch patch = {
        .address = entry->address - entry->index,
        .changed = entry->address,
        .length = 1,
        .old_bytes = {entry->old_byte},
        .new_bytes = {entry->new_byte},
        .kind = SEGUE_PATCH_SEGMENT,
        .undone = entry->state == LEDGER_UNDONE,
        .faults = __atomic_load_n(&entry->count, __ATOMIC_RELAXED),
        .time = __atomic_load_n(&entry->time, __ATOMIC_RELAXED),
    };
    collect(collected, &patch);
}

static bool is_listed(const struct ledger_entry *entry, uint64_t start, uint64_t size)
{
    uint8_t state = __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE);
    return (state == LEDGER_REWRITTEN || state == LEDGER_UNDONE) && entry->address - start < size;
}

static bool collect_site(void *context, const struct hot_site *site)
{
    uint8_t state = __atomic_load_n(&site->state, __ATOMIC_ACQUIRE);
    struct segue_patch patch = {
        .address = site->address,
        .changed = site->address,
        .kind = SEGUE_PATCH_NONE,
        .faults = __atomic_load_n(&site->faults, __ATOMIC_RELAXED),
        .accesses = __atomic_load_n(&site->accesses, __ATOMIC_RELAXED),
        .time = __atomic_load_n(&site->time, __ATOMIC_RELAXED),
        .reason = site->refusal,
    };
    /* What was counted there stays counted. */
    if (state == HOT_FORGOTTEN && !patch.accesses)
        return true;
    if (state == HOT_FORGOTTEN)
        patch.reason = "other code has taken the place of that which was counted";
    if (state == HOT_MADE || state == HOT_UNDONE) {
        patch.kind = SEGUE_PATCH_HOT;
        patch.tactic = site->tactic;
        patch.undone = state == HOT_UNDONE;
        patch.length = site->changed;
        memcpy(patch.old_bytes, site->old_bytes, site->changed);
        memcpy(patch.new_bytes, site->new_bytes, site->changed);
    }
    collect(context, &patch);
    return true;
}

static void collect_all(struct collected *collected, uint64_t start, uint64_t size)
{
    struct segment_service *present = segment_in_force();
    collected->count = 0;
    for (size_t i = 0; present && i < present->ledger.capacity; i++)
        if (is_listed(&present->ledger.entries[i], start, size))
            collect_entry(collected, &present->ledger.entries[i]);
    hot_visit(start, size, collect_site, collected);
}

/* All patches of the range, for the caller to free; no `patches` if there is no memory, or no patch. */
static struct collected take_patches(uint64_t start, uint64_t size)
{
    struct collected collected = {0};
    take_lock();
    hot_count_accesses();
    collect_all(&collected, start, size);
    if (collected.count)
        collected.patches = malloc(collected.count * sizeof *collected.patches);
    if (collected.patches) {
        /* Handlers may add some meanwhile. */
        collected.capacity = collected.count;
        collect_all(&collected, start, size);
        collected.count = collected.count < collected.capacity ? collected.count : collected.capacity;
    }
    fork_lock_release(&changing);
    return collected;
}

static int compare_patches(const void *left, const void *right)
{
    uint64_t a = ((const struct segue_patch *)left)->changed, b = ((const struct segue_patch *)right)->changed;
    return (a > b) - (a < b);
}

enum segue_status segue_patches_list(uint64_t start, uint64_t size, segue_patch_visit *visit, void *context)
{
    enum segue_status status = SEGUE_OK;
    if (!visit)
        return SEGUE_INVALID;
    struct collected collected = take_patches(start, size);
    if (!collected.patches)
        return collected.count ? SEGUE_NO_MEMORY : SEGUE_OK;
    qsort(collected.patches, collected.count, sizeof *collected.patches, compare_patches);
    for (size_t i = 0; i < collected.count && status == SEGUE_OK; i++) {
        struct segue_patch *patch = &collected.patches[i];
        patch->object = platform_symbol_at((const void *)(uintptr_t)patch->changed).object;
        status = visit(context, patch);
    }
    free(collected.patches);
    return status;
}

/* Called with asynchronous signals blocked. A byte that other code has changed since is left alone. */
static bool undo_entry(struct ledger_entry *entry, size_t *count)
{
    enum segue_status status;
    if (*(const volatile uint8_t *)(uintptr_t)entry->address != entry->new_byte) {
        __atomic_store_n(&entry->state, LEDGER_FORGOTTEN, __ATOMIC_RELEASE);
        return true;
    }
    /* Stores the state first: a fault right after the byte has changed marks the site as rewritten again. */
    __atomic_store_n(&entry->state, LEDGER_UNDONE, __ATOMIC_RELEASE);
    while ((status = poke_byte(entry->address, entry->old_byte, POKE_ANY)) == SEGUE_BUSY)
        continue;
    if (status == SEGUE_OK)
        ++*count;
    else
        __atomic_store_n(&entry->state, LEDGER_REWRITTEN, __ATOMIC_RELEASE);
    return status == SEGUE_OK;
}

/* Another thread that changes code is a fault's handler, and soon done. */
static bool undo_sites(uint64_t start, uint64_t size, size_t *count)
{
    enum segue_status status;
    size_t undone;
    while ((status = hot_undo(start, size, NULL, &undone)) == SEGUE_BUSY) {
        *count += undone;
        wait_a_moment();
    }
    *count += undone;
    return status == SEGUE_OK;
}

enum segue_status segue_patches_undo(uint64_t start, uint64_t size, size_t *count)
{
    size_t undone = 0;
    bool done = true;
    take_lock();
    uint64_t before = platform_asynchronous_hold();
    struct segment_service *present = segment_in_force();
    for (size_t i = 0; present && i < present->ledger.capacity; i++) {
        struct ledger_entry *entry = &present->ledger.entries[i];
        if (__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) == LEDGER_REWRITTEN && entry->address - start < size)
            done &= undo_entry(entry, &undone);
    }
    done &= undo_sites(start, size, &undone);
    platform_signals_release(before);
    fork_lock_release(&changing);
    if (count)
        *count = undone;
    return done ? SEGUE_OK : SEGUE_UNSUPPORTED;
}

enum segue_status segue_patches_undo_module(const void *address, size_t *count)
{
    uint64_t start, size;
    if (!modules_range((uint64_t)(uintptr_t)address, &start, &size))
        return SEGUE_NOT_FOUND;
    return segue_patches_undo(start, size, count);
}

enum segue_status segue_patches_forget(uint64_t start, uint64_t size)
{
    enum segue_status status;
    take_lock();
    struct segment_service *present = segment_in_force();
    for (size_t i = 0; present && i < present->ledger.capacity; i++) {
        struct ledger_entry *entry = &present->ledger.entries[i];
        if (entry->address && entry->address - start < size)
            __atomic_store_n(&entry->state, LEDGER_FORGOTTEN, __ATOMIC_RELEASE);
    }
    uint64_t before = platform_asynchronous_hold();
    while ((status = hot_forget(start, size)) == SEGUE_BUSY)
        wait_a_moment();
    platform_signals_release(before);
    fork_lock_release(&changing);
    return status;
}

enum segue_status segue_patches_exclude(uint64_t start, uint64_t size)
{
    enum segue_status status;
    if (size == 0)
        return reason_give(SEGUE_INVALID, "the range is empty");
    take_lock();
    uint64_t before = platform_asynchronous_hold();
    while ((status = hot_exclude(start, size)) == SEGUE_BUSY)
        wait_a_moment();
    platform_signals_release(before);
    fork_lock_release(&changing);
    if (status != SEGUE_OK)
        return reason_give(status, "there are as many excluded ranges as there may be");
    return segue_patches_undo(start, size, NULL);
}

/* --- Aliases. --- */

enum segue_status segue_patch_alias_add(uint64_t base, uint64_t size, void *alias)
{
    if (!alias || size == 0 || base + size < base)
        return reason_give(SEGUE_INVALID, "alias is NULL, or the range is empty or wraps around");
    enum segue_status status = poke_alias_add(base, size, alias);
    reason_give(status, "another alias has some of these bytes");
    if (status == SEGUE_NO_MEMORY)
        reason_last = "there are as many aliases as there may be";
    return status;
}

enum segue_status segue_patch_alias_remove(uint64_t base)
{
    return poke_alias_remove(base);
}
