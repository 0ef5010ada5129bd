/* patches.c: the list of all patches: of segments (patch/segment) and of hot sites (patch/hot).
 *
 * One thread at a time is here (segment_lock); handlers go on making patches meanwhile. */
#include <segue/patch.h>
#include <stdlib.h>
#include <string.h>

#include "patch/hot/hot.h"
#include "patch/poke/excluded.h"
#include "patch/poke/poke.h"
#include "patch/segment/modules.h"
#include "patch/segment/service.h"
#include "patch/segment/table.h"
#include "platform/code.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"

/* --- The list. --- */

/* Patches as they are at one moment; `capacity` of the `count` fit. */
struct collected {
    struct segue_patch *patches;
    size_t count, capacity;
};

static void collect(void *context, const struct segue_patch *patch)
{
    struct collected *collected = context;
    if (collected->count++ < collected->capacity)
        collected->patches[collected->count - 1] = *patch;
}

/* Of an instruction that was rewritten, most bytes are as before. */
static void show_changed(const struct hot_site *site, struct segue_patch *patch)
{
    unsigned first = 0, end = site->changed;
    while (site->is_rewritten && end > first && site->old_bytes[end - 1] == site->new_bytes[end - 1])
        end--;
    while (site->is_rewritten && first < end && site->old_bytes[first] == site->new_bytes[first])
        first++;
    patch->changed = site->address + first;
    patch->length = (uint8_t)(end - first);
    memcpy(patch->old_bytes, site->old_bytes + first, patch->length);
    memcpy(patch->new_bytes, site->new_bytes + first, patch->length);
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
        patch.kind = site->is_rewritten ? SEGUE_PATCH_CONSTANT : SEGUE_PATCH_HOT;
        patch.tactic = site->tactic;
        patch.undone = state == HOT_UNDONE;
        show_changed(site, &patch);
    }
    collect(context, &patch);
    return true;
}

static void collect_all(struct collected *collected, uint64_t start, uint64_t size)
{
    collected->count = 0;
    segment_table_visit(start, size, collect, collected);
    hot_visit(start, size, collect_site, collected);
}

/* All patches of the range, for the caller to free; no `patches` if there is no memory, or no patch. */
static struct collected take_patches(uint64_t start, uint64_t size)
{
    struct collected collected = {0};
    segment_lock();
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
    segment_unlock();
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

/* --- Undoing. --- */

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
    segment_lock();
    uint64_t before = platform_asynchronous_hold();
    bool done = segment_table_undo(start, size, &undone);
    done &= undo_sites(start, size, &undone);
    platform_signals_release(before);
    segment_unlock();
    hot_reclaim();
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
    segment_lock();
    segment_table_forget(start, size);
    uint64_t before = platform_asynchronous_hold();
    while ((status = hot_forget(start, size)) == SEGUE_BUSY)
        wait_a_moment();
    platform_signals_release(before);
    segment_unlock();
    hot_reclaim();
    return status;
}

enum segue_status segue_patches_exclude(uint64_t start, uint64_t size)
{
    if (size == 0)
        return reason_give(SEGUE_INVALID, "the range is empty");
    /* What another thread patches that has asked just before, is undone with the rest. */
    segment_lock();
    enum segue_status status = excluded_add(start, size);
    segment_unlock();
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
