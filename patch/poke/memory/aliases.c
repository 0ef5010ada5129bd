/* aliases.c: see aliases.h. */
#include "aliases.h"

#include "decode/x86/compiler/shared_word.h"
#include "platform/process/fork_lock.h"

#define ALIASES 64u

/* Each a sequence lock on which no thread waits: its version is odd while it changes. A reader that finds it odd, or
 * changed during the read, skips it: no thread pokes through an alias that is being added or removed. */
static struct alias {
    shared_word version;
    shared_word base;
    /* 0 if the place is free. */
    shared_word size;
    char *view;
} aliases[ALIASES];
static struct fork_lock aliases_changing = FORK_LOCK_INITIALIZER;

static void alias_store(struct alias *alias, uint64_t base, uint64_t size, char *view)
{
    __atomic_fetch_add(&alias->version, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&alias->base, base, __ATOMIC_RELAXED);
    __atomic_store_n(&alias->size, size, __ATOMIC_RELAXED);
    __atomic_store_n(&alias->view, view, __ATOMIC_RELAXED);
    __atomic_fetch_add(&alias->version, 1, __ATOMIC_RELEASE);
}

static enum segue_status alias_add(uint64_t base, uint64_t size, char *view)
{
    unsigned place = ALIASES;
    for (unsigned i = 0; i < ALIASES; i++) {
        if (!aliases[i].size)
            place = i;
        else if (base < aliases[i].base + aliases[i].size && aliases[i].base < base + size)
            return SEGUE_OVERLAP;
    }
    if (place == ALIASES)
        return SEGUE_NO_MEMORY;
    alias_store(&aliases[place], base, size, view);
    return SEGUE_OK;
}

enum segue_status aliases_add(uint64_t base, uint64_t size, void *alias)
{
    fork_lock_take(&aliases_changing);
    enum segue_status status = alias_add(base, size, alias);
    fork_lock_release(&aliases_changing);
    return status;
}

enum segue_status aliases_remove(uint64_t base)
{
    enum segue_status status = SEGUE_NOT_FOUND;
    fork_lock_take(&aliases_changing);
    for (unsigned i = 0; i < ALIASES; i++) {
        if (aliases[i].size && aliases[i].base == base) {
            alias_store(&aliases[i], 0, 0, NULL);
            status = SEGUE_OK;
        }
    }
    fork_lock_release(&aliases_changing);
    return status;
}

/* False if it is free, or changed meanwhile. */
static bool alias_read(const struct alias *from, struct alias *alias)
{
    alias->version = __atomic_load_n(&from->version, __ATOMIC_ACQUIRE);
    alias->base = __atomic_load_n(&from->base, __ATOMIC_RELAXED);
    alias->size = __atomic_load_n(&from->size, __ATOMIC_RELAXED);
    alias->view = __atomic_load_n(&from->view, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return alias->size && alias->version % 2 == 0 &&
           __atomic_load_n(&from->version, __ATOMIC_RELAXED) == alias->version;
}

char *alias_of(uint64_t address, size_t size)
{
    for (unsigned i = 0; i < ALIASES; i++) {
        struct alias alias;
        if (!alias_read(&aliases[i], &alias))
            continue;
        uint64_t offset = address - alias.base;
        if (offset < alias.size && size <= alias.size - offset)
            return alias.view + offset;
    }
    return NULL;
}

void aliases_before_fork(void)
{
    fork_lock_before(&aliases_changing);
}

void aliases_after_fork(void)
{
    fork_lock_after(&aliases_changing);
}

void aliases_in_child(void)
{
    fork_lock_in_child(&aliases_changing);
}
