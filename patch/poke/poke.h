/* poke.h: changing bytes of code that other threads may be running at that moment.
 *
 * One byte needs no protocol: a thread sees the old instruction or the new one. More bytes are published in one of two
 * ways: as one store, where they lie in one aligned word that can be stored to; else behind a breakpoint, which stands
 * on the first byte while the others change, with all the process's threads made to serialise between the steps. Then a
 * thread may run into the breakpoint, and whoever handles SIGTRAP asks poke_trap.
 *
 * SOURCES: Linux arch/x86/kernel/alternative.c (text_poke_bp); membarrier(2) SYNC_CORE; AMD APM volume 2, 7.6.1
 * (aligned words); Intel SDM volume 3, 9.1.3 (cross-modifying code). docs/patch.md has what was measured. */
#ifndef SEGUE_PATCH_POKE_H
#define SEGUE_PATCH_POKE_H

#include <segue/status.h>
#include <signal.h>

/* How the bytes of code can be reached for writing; a bit set. They are tried in this order. */
enum poke_ways {
    /* Through a second mapping that its owner told of. */
    POKE_ALIAS = 1,
    /* Through the kernel, past the page's protection: private memory only. */
    POKE_KERNEL = 2,
    /* By opening the page for writing, and putting its own protection back. */
    POKE_PROTECT = 4,
    POKE_ANY = 7,
};

/* The most bytes that can be changed at once. */
#define POKE_BYTES 16

/* Makes ready what the other functions need: the kernel's way, if there is one, and serialising. Returns SEGUE_OK or
 * SEGUE_NO_MEMORY. Not async-signal-safe; thread-safe. */
enum segue_status poke_prepare(void);

/* Tells that the bytes at `base` can also be reached at `alias`. Returns SEGUE_OK; SEGUE_OVERLAP; SEGUE_NO_MEMORY when
 * there are too many. Removing returns SEGUE_OK or SEGUE_NOT_FOUND; nothing may be poked there meanwhile. Not
 * async-signal-safe; thread-safe. */
enum segue_status poke_alias_add(uint64_t base, uint64_t size, void *alias);
enum segue_status poke_alias_remove(uint64_t base);

/* Changes one byte. Returns SEGUE_OK; SEGUE_BUSY when another thread is changing the protection of pages: ask again;
 * SEGUE_UNSUPPORTED when it can be written in none of these ways, or before poke_prepare. Async-signal-safe,
 * thread-safe. Signals must be blocked. */
enum segue_status poke_byte(uint64_t address, uint8_t byte, unsigned ways);

/* Changes up to POKE_BYTES bytes that are one instruction before and one after. A thread that runs it meanwhile runs
 * the one or the other, if its SIGTRAP goes to poke_trap. Returns as poke_byte; SEGUE_UNSUPPORTED also where threads
 * cannot be made to serialise; SEGUE_INVALID for a size of zero or too many, and for bytes that begin with a
 * breakpoint. If it fails, every thread has run the old one alone, unless the memory was unmapped meanwhile. A thread
 * that was trapped may come to the new one's target after poke has returned, and after another change, until its
 * handler has ended. Async-signal-safe, thread-safe. Signals must be blocked. */
enum segue_status poke(uint64_t address, const uint8_t *bytes, size_t size, unsigned ways);

/* A thread that has met a breakpoint. */
struct poke_thread {
    /* Behind the breakpoint; after poke_trap where it goes on. */
    uint64_t rip;
    uint64_t rsp;
    /* It executes 64-bit code, without the trap flag, which traps behind each instruction. */
    bool may_be_emulated;
    /* Stores a word where the thread itself could, or returns false. NULL: a call is waited for, as it must be where a
     * shadow stack is in force. */
    bool (*store)(uint64_t address, uint64_t word);
};

/* For a SIGTRAP handler: whether the breakpoint before the thread's instruction was one of poke's. If so, the handler
 * has nothing to do but put rip and rsp in the frame and return. While the breakpoint stands, a thread executes the new
 * instruction here if that is a direct jump, a direct call or a NOP of several bytes, so that it does not depend on the
 * thread that makes the change. Otherwise it waits for a while, and goes back to the site. A breakpoint of the
 * program's own, on the same place later, is not one of poke's. Async-signal-safe, thread-safe. */
bool poke_trap(struct poke_thread *thread);

#endif
