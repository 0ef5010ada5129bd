/* poke.h: changes bytes of code that other threads may be executing.
 *
 * One byte needs no protocol: a thread executes the old instruction or the new one. Several bytes are published in one
 * of two ways: as one store, if they lie in one aligned word that can be stored to; else behind a breakpoint, which is
 * on the first byte while the others change, with all the process's threads serialised between the steps. A thread may
 * then hit the breakpoint; the SIGTRAP handler calls poke_trap.
 *
 * SOURCES: Linux arch/x86/kernel/alternative.c (text_poke_bp); membarrier(2) SYNC_CORE; AMD APM volume 2, 7.6.1
 * (aligned words); Intel SDM volume 3, 9.1.3 (cross-modifying code). docs/patch.md has the measurements. */
#ifndef SEGUE_PATCH_POKE_H
#define SEGUE_PATCH_POKE_H

#include <segue/status.h>

#include "change.h"

/* Prepares what the other functions need: writing through the kernel, if possible, and serialising. Returns SEGUE_OK or
 * SEGUE_NO_MEMORY. Not async-signal-safe; thread-safe. */
enum segue_status poke_prepare(void);

/* Registers that the bytes at `base` can also be reached at `alias`. Returns SEGUE_OK; SEGUE_OVERLAP; SEGUE_NO_MEMORY
 * if there are too many. Removing returns SEGUE_OK or SEGUE_NOT_FOUND; no thread may poke there meanwhile. Not
 * async-signal-safe; thread-safe. */
enum segue_status poke_alias_add(uint64_t base, uint64_t size, void *alias);
enum segue_status poke_alias_remove(uint64_t base);

/* Changes one byte. Returns SEGUE_OK; SEGUE_BUSY if another thread is changing code and holds the lock: call again;
 * SEGUE_UNSUPPORTED if it can be written in none of these ways, or before poke_prepare. Async-signal-safe, thread-safe.
 * Signals must be blocked. */
enum segue_status poke_byte(uint64_t address, uint8_t byte, unsigned ways);

/* Changes up to POKE_BYTES bytes that are one instruction before and one after. A thread that executes them meanwhile
 * executes the one or the other, if its SIGTRAP handler calls poke_trap. Returns as poke_byte; also SEGUE_UNSUPPORTED
 * if threads cannot be serialised; SEGUE_INVALID for a size of zero or too many, and for bytes that begin with a
 * breakpoint. If it fails, every thread has executed only the old one, unless the memory was unmapped meanwhile. A
 * trapped thread may reach the new instruction's target after poke has returned, and after another change, until its
 * handler has ended. Async-signal-safe, thread-safe. Signals must be blocked. */
enum segue_status poke(uint64_t address, const uint8_t *bytes, size_t size, unsigned ways);

/* As poke for each, with one breakpoint protocol for all: rounds of breakpoints, tails and heads. Each change is made
 * wholly or not at all, and has a status as poke's; SEGUE_INVALID, too, for those that overlap. A change that fails
 * leaves the others made. Returns SEGUE_OK, or the status of one that was not made; for SEGUE_BUSY, and SEGUE_INVALID
 * for more than POKE_BATCH, nothing has changed.
 *
 * The order does not matter, but ascending or descending addresses are the quickest. If the old or the new instruction
 * of a change is longer than its `size`, it reads bytes of its successors, which may be changes of the same batch. No
 * thread then executes it with anything but their old (new) bytes. If one cannot be made, neither is the other that
 * depends on it: the one whose new instruction reads it, or that the old instruction reads. Bytes that an instruction
 * reads which is not in the batch must not change. Async-signal-safe, thread-safe. Signals must be blocked. */
enum segue_status poke_batch(struct poke_change *changes, size_t count, unsigned ways);

/* The same; code is read by `peek`, and otherwise only where it returns less than it was asked for. */
enum segue_status poke_batch_peeking(struct poke_change *changes, size_t count, unsigned ways, poke_peek *peek);

/* For a SIGTRAP handler: whether the breakpoint before the thread's instruction was one of poke's. If so, the handler
 * only needs to write rip and rsp to the frame and return. While the breakpoint is in place, the function emulates the
 * new instruction for the thread if that is a direct jump, a direct call or a NOP of several bytes, so that the thread
 * does not depend on the one that makes the change. Otherwise it waits for a while, and the thread returns to the site.
 * A breakpoint that the program later sets at the same place is not one of poke's. Async-signal-safe, thread-safe. */
bool poke_trap(struct poke_thread *thread);

/* The instruction at which a thread with that rip stands: the one of the breakpoint, if it has hit one of poke's and
 * its SIGTRAP handler has not called poke_trap yet; else rip. Async-signal-safe, thread-safe. */
uint64_t poke_site_of(uint64_t rip);

#endif
