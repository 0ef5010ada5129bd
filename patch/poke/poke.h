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
#include <signal.h>

/* How bytes of code can be written; a bit set. The ways are tried in this order. */
enum poke_ways {
    /* Through a second mapping that its owner has registered. */
    POKE_ALIAS = 1,
    /* Through the kernel, past the page's protection: private memory only. */
    POKE_KERNEL = 2,
    /* By making the page writable, and restoring its protection. */
    POKE_PROTECT = 4,
    POKE_ANY = 7,
};

/* The most bytes that can be changed at once. */
#define POKE_BYTES 16

/* Prepares what the other functions need: writing through the kernel, if possible, and serialising. Returns SEGUE_OK or
 * SEGUE_NO_MEMORY. Not async-signal-safe; thread-safe. */
enum segue_status poke_prepare(void);

/* Registers that the bytes at `base` can also be reached at `alias`. Returns SEGUE_OK; SEGUE_OVERLAP; SEGUE_NO_MEMORY
 * if there are too many. Removing returns SEGUE_OK or SEGUE_NOT_FOUND; no thread may poke there meanwhile. Not
 * async-signal-safe; thread-safe. */
enum segue_status poke_alias_add(uint64_t base, uint64_t size, void *alias);
enum segue_status poke_alias_remove(uint64_t base);

/* Changes one byte. Returns SEGUE_OK; SEGUE_BUSY if another thread is changing the protection of pages: call again;
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

/* A thread that has hit a breakpoint. */
struct poke_thread {
    /* The address after the breakpoint; after poke_trap the address at which the thread continues. */
    uint64_t rip;
    uint64_t rsp;
    /* It executes 64-bit code, without the trap flag, which would trap after each instruction. */
    bool may_be_emulated;
    /* Stores a word where the thread itself could, or returns false. NULL: a call is not emulated but waited for, as it
     * must be with a shadow stack. */
    bool (*store)(uint64_t address, uint64_t word);
};

/* For a SIGTRAP handler: whether the breakpoint before the thread's instruction was one of poke's. If so, the handler
 * only needs to write rip and rsp to the frame and return. While the breakpoint is in place, the function emulates the
 * new instruction for the thread if that is a direct jump, a direct call or a NOP of several bytes, so that the thread
 * does not depend on the one that makes the change. Otherwise it waits for a while, and the thread returns to the site.
 * A breakpoint that the program later sets at the same place is not one of poke's. Async-signal-safe, thread-safe. */
bool poke_trap(struct poke_thread *thread);

#endif
