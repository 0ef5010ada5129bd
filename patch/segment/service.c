/* service.c: see service.h. */
#include "service.h"

#include <segue/patch.h>

#include "patch/poke/excluded.h"
#include "patch/poke/poke.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/process/probes.h"

/* The most attempts to take a byte back while another thread changes code. */
#define TRIES 1000u

static struct segment_service *in_force;
static struct fork_lock changing = FORK_LOCK_INITIALIZER;

void segment_put_in_force(struct segment_service *service)
{
    __atomic_store_n(&in_force, service, __ATOMIC_RELEASE);
}

struct segment_service *segment_in_force(void)
{
    return __atomic_load_n(&in_force, __ATOMIC_ACQUIRE);
}

/* The code was excluded while the byte was written: whoever did that may have found the old byte, and left it. If
 * another thread keeps the lock for a second (lock.c), the site stays rewritten, and in the table: not without end,
 * since that thread may wait for this one. */
static enum segue_status take_back(struct ledger_entry *entry)
{
    enum segue_status status = SEGUE_BUSY;
    for (unsigned i = 0; i < TRIES && status == SEGUE_BUSY; i++)
        status = poke_byte(entry->address, entry->old_byte, POKE_ANY);
    if (status != SEGUE_OK)
        return SEGUE_OK;
    __atomic_store_n(&entry->state, LEDGER_FORGOTTEN, __ATOMIC_RELEASE);
    return SEGUE_UNSUPPORTED;
}

enum segue_status segment_change(struct segment_service *present, const struct segue_site *site, unsigned faults)
{
    uint64_t address = site->address + site->index;
    if (code_is_excluded(address, 1))
        return SEGUE_UNSUPPORTED;
    /* Records first: a change that could not be undone is not made. */
    if (!ledger_add(&present->ledger, address, site, faults))
        return SEGUE_NO_MEMORY;
    struct ledger_entry *entry = ledger_find(&present->ledger, address);
    enum segue_status status = poke_byte(address, site->new_byte, POKE_ANY);
    /* The thread that holds the lock may be changing this very site. */
    if (status == SEGUE_UNSUPPORTED)
        __atomic_store_n(&entry->state, LEDGER_FORGOTTEN, __ATOMIC_RELEASE);
    if (status != SEGUE_OK)
        return status;
    /* Once more: a thread that undid sites meanwhile has forgotten this one, if it found the old byte. */
    __atomic_store_n(&entry->state, LEDGER_REWRITTEN, __ATOMIC_SEQ_CST);
    PROBE_2(patch, site->address, SEGUE_PATCH_SEGMENT);
    return code_is_excluded(address, 1) ? take_back(entry) : SEGUE_OK;
}

/* --- The lock. --- */

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

bool segment_lock_prepare(void)
{
    return fork_register(FORK_PATCHES, &hooks);
}

/* If the hooks cannot be registered, or a fork is in progress at the first call, a child may find the lock taken. */
void segment_lock(void)
{
    segment_lock_prepare();
    fork_lock_take(&changing);
}

void segment_unlock(void)
{
    fork_lock_release(&changing);
}
