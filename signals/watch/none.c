/* none.c: watches and adopted mappings where there are no hot sites. */
#include <segue/mapping.h>
#include <segue/watch.h>

#include "platform/lacks.h"
#include "platform/reason.h"

static enum segue_status refuse(void)
{
    return reason_give(SEGUE_UNSUPPORTED, "watched memory needs " PLATFORM_LACKS);
}

enum segue_status segue_mapping_adopt(void *memory, size_t size, struct segue_mapping *mapping)
{
    (void)memory;
    (void)size;
    (void)mapping;
    return refuse();
}

enum segue_status segue_mapping_release(struct segue_mapping *mapping)
{
    (void)mapping;
    return refuse();
}

enum segue_status segue_watch_add(const struct segue_watch *watches, size_t count, uint64_t *ids)
{
    (void)watches;
    (void)count;
    (void)ids;
    return refuse();
}

enum segue_status segue_watch_remove(uint64_t id)
{
    (void)id;
    return SEGUE_NOT_FOUND;
}

enum segue_status segue_watch_read(struct segue_watch_record *records, size_t capacity, uint64_t timeout, size_t *count,
                                   uint64_t *lost)
{
    (void)records;
    (void)capacity;
    (void)timeout;
    (void)count;
    (void)lost;
    return refuse();
}

enum segue_status segue_watch_counts(uint64_t id, struct segue_watch_count *counts, size_t capacity, size_t *count)
{
    (void)id;
    (void)counts;
    (void)capacity;
    (void)count;
    return refuse();
}
