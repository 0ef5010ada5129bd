/* addresses.c: non-canonical addresses in plans.
 *
 * SOURCES: Intel SDM volume 1, 3.3.7.1; volume 3, 6.15 (#SS and #GP); docs/facts.md. */
#include "addresses.h"

#include "decode/segments.h"
#include "decode/x86/canonical.h"
#include "emulate/elements/repeat.h"
#include "platform/lacks.h"

__attribute__((hot)) bool addresses_are_beyond_stack(const struct segue_plan *plan)
{
    for (uint32_t i = 0; i < plan->access_count; i++)
        if (plan->accesses[i].segment == SEGUE_SEGMENT_SS && !canonical_is(plan->accesses[i].address))
            return true;
    return false;
}

/* The address of an access; of a repeated string the address of its first element, since the string may end before the
 * others. */
static uint64_t first_address(const struct segue_access *access)
{
    return repeat_is_down(access) ? access->address + access->size - access->element : access->address;
}

__attribute__((hot)) bool addresses_are_beyond_segment(const struct segue_plan *plan, const struct segue_regs *regs)
{
    for (uint32_t i = 0; i < plan->access_count; i++) {
        uint64_t base = segment_base(regs, plan->accesses[i].segment);
        if (base && !canonical_is(first_address(&plan->accesses[i]) - base))
            return true;
    }
    return false;
}

bool addresses_are_beyond_limit(const struct segue_plan *plan, const struct segue_regs *regs)
{
    for (uint32_t i = 0; i < plan->access_count; i++) {
        const struct segue_access *access = &plan->accesses[i];
        if (access->segment == SEGUE_SEGMENT_FS &&
            (access->size > PLATFORM_FS_LIMIT ||
             access->address - regs->fs_base > PLATFORM_FS_LIMIT - (access->size - 1)))
            return true;
    }
    return false;
}

bool addresses_end_beyond(const struct segue_plan *plan)
{
    for (uint32_t i = 0; i < plan->access_count; i++) {
        const struct segue_access *access = &plan->accesses[i];
        bool is_repeated = access->flags & SEGUE_ACCESS_REPEATED;
        uint64_t address = first_address(access), last = address + (is_repeated ? access->element : access->size) - 1;
        if (canonical_is_lower(address) && !canonical_is_lower(last))
            return true;
    }
    return false;
}
