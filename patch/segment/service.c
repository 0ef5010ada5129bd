/* service.c: rewrites sites, and records them in the patch table. */
#include "service.h"

#include "patch/hot/text.h"
#include "patch/poke/poke.h"

static struct segment_service *in_force;

void segment_put_in_force(struct segment_service *service)
{
    __atomic_store_n(&in_force, service, __ATOMIC_RELEASE);
}

struct segment_service *segment_in_force(void)
{
    return __atomic_load_n(&in_force, __ATOMIC_ACQUIRE);
}

enum segue_status segment_change(struct segment_service *present, const struct segue_site *site, unsigned faults)
{
    uint64_t address = site->address + site->index;
    if (text_is_excluded(address, 1))
        return SEGUE_UNSUPPORTED;
    /* Records first: a change that could not be undone is not made. */
    if (!ledger_add(&present->ledger, address, site, faults))
        return SEGUE_NO_MEMORY;
    enum segue_status status = poke_byte(address, site->new_byte, POKE_ANY);
    /* The thread that holds the lock may be changing this very site. */
    if (status == SEGUE_UNSUPPORTED)
        __atomic_store_n(&ledger_find(&present->ledger, address)->state, LEDGER_FORGOTTEN, __ATOMIC_RELEASE);
    return status;
}
