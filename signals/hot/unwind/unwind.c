/* unwind.c: see unwind.h. The rules of a chunk are in memory near it. Without such memory its bodies are not unwound.
 */
#include "unwind.h"

#include <string.h>

#include "patch/hot/space/chunks.h"
#include "patch/hot/space/rooms.h"
#include "platform/memory/memory.h"
#include "platform/process/once.h"
#include "platform/unwind.h"
#include "rules.h"

/* The rules, without a range: each chunk has its own. NULL: not prepared. */
static uint8_t *rules;
static uint32_t rules_size;
static uint64_t rules_table_at;
/* The chunks that are known. */
static uint32_t known;

static bool write_rules(void)
{
    const struct hot_index index = hot_index();
    uint8_t *written = platform_map_apart(RULES_MOST);
    rules_size = written ? rules_write(&index, rules_table_at, 0, 0, written, RULES_MOST) : 0;
    __atomic_store_n(&rules, rules_size ? written : NULL, __ATOMIC_RELEASE);
    return true;
}

void unwind_begin(uint64_t table_at)
{
    static struct once written;
    rules_table_at = table_at;
    once(&written, write_rules);
    platform_unwind_prepare();
}

static void show(const struct chunk *chunk)
{
    const char *refusal;
    void *image;
    if (rooms_take_data(chunk->start, UNWIND_HEAD + rules_size, &image, &refusal) != SEGUE_OK)
        return;
    uint8_t *section = (uint8_t *)image + UNWIND_HEAD;
    memcpy(section, rules, rules_size);
    rules_set_range(section, chunk->start, chunk->size);
    platform_unwind_show(chunk->start, chunk->size, image, rules_size, rules_description(section));
}

void unwind_update(void)
{
    uint64_t count = chunks_used().chunks;
    if (!__atomic_load_n(&rules, __ATOMIC_ACQUIRE))
        return;
    for (; known < count; known++)
        show(chunk_numbered(known));
}
