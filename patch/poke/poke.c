/* poke.c: changes code.
 *
 * ASSUMPTIONS: a processor fetches a byte that is stored as it was before or as it is after (both manuals). The same
 * holds for an aligned word stored at once (AMD's manual; no processor that does otherwise is known, docs/patch.md).
 * The kernel copies bytes in an unspecified order and width, so through the kernel a word is never published at
 * once. */
#include "poke.h"

#include "lock.h"
#include "patch/poke/memory/aliases.h"
#include "patch/poke/memory/pages.h"
#include "patch/poke/memory/writer.h"
#include "patch/poke/protocol/batch.h"
#include "patch/poke/protocol/standing.h"
#include "platform/code.h"
#include "platform/memory/forced.h"
#include "platform/process/fork.h"
#include "platform/process/once.h"

#define BREAKPOINT 0xcc

static bool can_serialise;

/* --- Preparation. --- */

static void before_fork(void)
{
    aliases_before_fork();
    code_lock_before_fork();
}

static void after_fork_in_parent(void)
{
    code_lock_after_fork();
    aliases_after_fork();
}

static void after_fork_in_child(void)
{
    code_lock_after_fork();
    aliases_in_child();
}

static bool prepare(void)
{
    can_serialise = platform_serialise_prepare();
    return code_lock_prepare();
}

/* From here on signals are delivered again, and their handlers may fault. */
_Static_assert(FORK_HANDLER < FORK_CODE, "the child's fault handler is ready before");

static const struct fork_hooks hooks = {
    .before = before_fork, .in_parent = after_fork_in_parent, .in_child = after_fork_in_child};

enum segue_status poke_prepare(void)
{
    static struct once prepared;
    if (!once(&prepared, prepare) || !fork_register(FORK_CODE, &hooks))
        return SEGUE_NO_MEMORY;
    /* If the kernel does not let the library write past a page's protection, that way fails when it is tried. */
    forced_prepare();
    return SEGUE_OK;
}

/* --- Aliases. --- */

enum segue_status poke_alias_add(uint64_t base, uint64_t size, void *alias)
{
    return aliases_add(base, size, alias);
}

enum segue_status poke_alias_remove(uint64_t base)
{
    return aliases_remove(base);
}

/* --- One byte. --- */

static void store_byte(char *at, uint8_t byte)
{
    __atomic_store_n(at, (char)byte, __ATOMIC_SEQ_CST);
}

static bool write_byte(uint64_t address, uint8_t byte, unsigned ways)
{
    char *alias = (ways & POKE_ALIAS) ? alias_of(address, 1) : NULL;
    if (alias)
        store_byte(alias, byte);
    return alias || ((ways & POKE_KERNEL) && forced_write(address, &byte, 1));
}

static bool write_byte_opened(uint64_t address, uint8_t byte)
{
    bool open = pages_open(address, 1);
    if (open)
        store_byte((char *)(uintptr_t)address, byte);
    pages_close();
    return open;
}

enum segue_status poke_byte(uint64_t address, uint8_t byte, unsigned ways)
{
    if (!code_lock_is_prepared())
        return SEGUE_UNSUPPORTED;
    uint64_t spans = writer_spans();
    bool done = write_byte(address, byte, ways);
    if (done && spans % 2 == 0 && writer_spans() == spans)
        return SEGUE_OK;
    if (!done && !(ways & POKE_PROTECT))
        return SEGUE_UNSUPPORTED;
    if (!code_lock_try())
        return SEGUE_BUSY;
    done = done ? write_byte(address, byte, ways) : write_byte_opened(address, byte);
    code_lock_release();
    return done ? SEGUE_OK : SEGUE_UNSUPPORTED;
}

/* --- More than one. --- */

static enum segue_status make(struct poke_change *changes, size_t count, unsigned ways, poke_peek *peek)
{
    if (!code_lock_is_prepared())
        return SEGUE_UNSUPPORTED;
    if (!code_lock_try())
        return SEGUE_BUSY;
    batch_make(changes, count, ways, can_serialise, peek);
    code_lock_release();
    return SEGUE_OK;
}

enum segue_status poke_batch_peeking(struct poke_change *changes, size_t count, unsigned ways, poke_peek *peek)
{
    enum segue_status status = count > POKE_BATCH ? SEGUE_INVALID : make(changes, count, ways, peek);
    for (size_t i = 0; i < count; i++) {
        if (status != SEGUE_OK)
            changes[i].status = status;
    }
    for (size_t i = 0; i < count && status == SEGUE_OK; i++)
        status = changes[i].status;
    return status;
}

enum segue_status poke_batch(struct poke_change *changes, size_t count, unsigned ways)
{
    return poke_batch_peeking(changes, count, ways, NULL);
}

enum segue_status poke(uint64_t address, const uint8_t *bytes, size_t size, unsigned ways)
{
    struct poke_change change = {.address = address, .size = (uint8_t)size};
    if (size == 0 || size > POKE_BYTES || bytes[0] == BREAKPOINT)
        return SEGUE_INVALID;
    if (size == 1)
        return poke_byte(address, *bytes, ways);
    for (size_t i = 0; i < size; i++)
        __atomic_store_n(&change.bytes[i], bytes[i], __ATOMIC_RELAXED);
    return poke_batch(&change, 1, ways);
}

bool poke_trap(struct poke_thread *thread)
{
    return standing_trap(thread);
}

uint64_t poke_site_of(uint64_t rip)
{
    return standing_site_of(rip);
}
