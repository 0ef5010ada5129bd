/* loaded.c: see loaded.h. A library that is loaded again where it was takes no further place. */
#include "loaded.h"

#include <segue/region.h>
#include <string.h>

#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/threads/thread.h"
#include "signals/watch/queue/queue.h"

static struct loaded_list *own;
static bool is_followed;

void loaded_use(struct loaded_list *list)
{
    /* A thread without the lock may use it no longer. */
    if (list) {
        list->process = (uint32_t)platform_process_id();
        own = list;
    }
    __atomic_store_n(&is_followed, list != NULL, __ATOMIC_RELEASE);
}

SEGUE_HOT_POLICY bool loaded_are_followed(void)
{
    return __atomic_load_n(&is_followed, __ATOMIC_ACQUIRE);
}

static bool is_wanted(void)
{
    return own && (own->has_children || (uint32_t)platform_process_id() == own->process);
}

void loaded_miss(void)
{
    if (is_wanted())
        __atomic_fetch_add(&own->lost, 1, __ATOMIC_RELAXED);
}

static bool is_same(const struct loaded_code *known, const struct loaded_code *code)
{
    return known->start == code->start && known->end >= code->end && known->file == code->file &&
           known->offset == code->offset && strcmp(known->path, code->path) == 0;
}

/* What this process has mapped last of its range, or of a part of it, is the same. */
static bool is_known(const struct loaded_code *code)
{
    for (uint32_t i = loaded_count(own); i-- > 0;) {
        const struct loaded_code *known = &own->code[i];
        if (__atomic_load_n(&known->is_written, __ATOMIC_ACQUIRE) && known->process == code->process &&
            known->start < code->end && code->start < known->end)
            return is_same(known, code);
    }
    return false;
}

/* Children add to it, too. */
static struct loaded_code *take_place(void)
{
    uint32_t count = __atomic_load_n(&own->count, __ATOMIC_RELAXED);
    while (count < LOADED_MOST)
        if (__atomic_compare_exchange_n(&own->count, &count, count + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return &own->code[count];
    return NULL;
}

void loaded_note(uint64_t start, uint64_t size)
{
    struct loaded_code code = {
        .start = start, .end = start + size, .number = queue_number(), .process = (uint32_t)platform_process_id()};
    struct mapping mapping;
    if (!is_wanted() || !mappings_find_named(start, &mapping, code.path, sizeof code.path) || !mapping.file ||
        !(mapping.protection & PLATFORM_EXECUTE))
        return;
    code.file = mapping.file;
    code.offset = mapping.offset + (start - mapping.start);
    if (is_known(&code))
        return;
    struct loaded_code *place = code.path[0] ? take_place() : NULL;
    if (!place) {
        loaded_miss();
        return;
    }
    *place = code;
    __atomic_store_n(&place->is_written, 1, __ATOMIC_RELEASE);
}
