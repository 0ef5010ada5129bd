/* constants.c: see constants.h. */
#include "constants.h"

#include <string.h>

#include "decode/relocate/displaceable_cache.h"
#include "decode/scratch.h"
#include "patch/hot/hot.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"

static bool is_inside(const struct segue_window *window, uint64_t address, uint64_t size)
{
    uint64_t offset = address - window->base;
    return offset < window->size && window->size - offset >= size;
}

bool constants_rewrite(struct hot_slot *slot, struct displaceable_cache *cache, uint64_t site, const uint8_t *bytes,
                       unsigned length, uint8_t *rewritten, uint64_t *cookie)
{
    static struct decode_scratch scratch;
    struct displaceable form;
    uint8_t led[DISPLACED_BYTES];
    if (!displaceable_find(cache, &scratch, site, bytes, length, &form) || form.length != length ||
        !displaced_in_place(&form, slot->distance, led) ||
        !is_inside(&slot->region.window, displaced_constant(&form), form.memory.size) ||
        hot_slot_watches(slot, displaced_constant(&form), form.memory.size))
        return false;
    /* Whoever undoes them does it in the other order. */
    __atomic_store_n(&slot->has_led, true, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&slot->leads, __ATOMIC_SEQ_CST))
        return false;
    memcpy(rewritten, led, length);
    *cookie = (uint64_t)(uintptr_t)slot;
    return true;
}

uint64_t constants_address(uint64_t site, uint64_t address)
{
    const struct hot_site *found = hot_site_find(site);
    if (!found || __atomic_load_n(&found->state, __ATOMIC_ACQUIRE) != HOT_MADE || !found->is_rewritten)
        return address;
    const struct hot_slot *slot = (const struct hot_slot *)(uintptr_t)found->cookie;
    return hot_slot_is_at_alias(slot, address) ? address - (uint64_t)slot->distance : address;
}

enum segue_status constants_undo(struct hot_slot *slot)
{
    enum segue_status status;
    __atomic_store_n(&slot->leads, false, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&slot->has_led, __ATOMIC_SEQ_CST))
        return SEGUE_OK;
    uint64_t before = platform_asynchronous_hold();
    while ((status = hot_undo_rewritten((uint64_t)(uintptr_t)slot)) == SEGUE_BUSY)
        wait_a_moment();
    platform_signals_release(before);
    return status;
}
