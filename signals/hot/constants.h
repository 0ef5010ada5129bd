/* constants.h: instructions whose operand has a constant address in a hot region without a policy and without a count:
 * the address in the code becomes the alias's. They need no jump, no body and no check; but they neither ask nor count.
 * So before a region changes or is removed they are undone, while its slot is still open.
 *
 * Only while a slot's `leads` is set do its constants become the alias's. That and the undoing happen one at a time
 * (patch/hot): a constant either has changed before the slot's are undone, or finds that `leads` is not set any more.
 *
 * SOURCES: docs/hot.md. */
#ifndef SEGUE_SIGNALS_HOT_CONSTANTS_H
#define SEGUE_SIGNALS_HOT_CONSTANTS_H

#include "slots.h"

/* As hot_builder.rewrite, for an instruction that has faulted in the slot's region. The cookie is the slot. */
struct displaceable_cache;
bool constants_rewrite(struct hot_slot *slot, struct displaceable_cache *cache, uint64_t site, const uint8_t *bytes,
                       unsigned length, uint8_t *rewritten, uint64_t *cookie);

/* For the fault of an instruction in no body: the address in the region, if its operand's is the alias's and the fault
 * is there; else the address. Async-signal-safe, lock-free. */
uint64_t constants_address(uint64_t site, uint64_t address);

/* Undoes the slot's constants; no more change until the slot is opened again. Call it without a lock that fork takes.
 * SEGUE_OK; SEGUE_UNSUPPORTED: one could not be written, and goes on. Not async-signal-safe; thread-safe. */
enum segue_status constants_undo(struct hot_slot *slot);

#endif
