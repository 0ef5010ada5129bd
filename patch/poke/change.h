/* change.h: changes of code and the threads that hit their breakpoints, as poke.h takes them. */
#ifndef SEGUE_PATCH_CHANGE_H
#define SEGUE_PATCH_CHANGE_H

#include <segue/status.h>
#include <stddef.h>

/* How bytes of code can be written; a bit set. The ways are tried in this order. */
enum poke_ways {
    /* Through a second mapping that its owner has registered. */
    POKE_ALIAS = 1,
    /* Through the kernel, past the page's protection: private memory only. */
    POKE_KERNEL = 2,
    /* By making the page writable, and restoring its protection. */
    POKE_PROTECT = 4,
    POKE_ANY = 7,
    /* Beside POKE_KERNEL: allows a batch to rewrite bytes between its changes, with the values that it read a
     * microsecond before. A store of the program's, or a debugger's breakpoint, that comes in that microsecond is
     * lost: so not for code that the program writes to. poke_byte may be called meanwhile. */
    POKE_SPANS = 8,
    /* Beside POKE_KERNEL: a batch replaces the pages of its changes as a whole, so that no breakpoint is needed, if
     * they are a file's, private and not writable, and the system can do it. No one may unmap them meanwhile. Each page
     * becomes a mapping of its own. */
    POKE_PAGES = 16,
};

/* Copies up to `size` bytes from the address, and returns how many could be read: quicker than the kernel's way, which
 * takes 2 us. */
typedef size_t poke_peek(void *to, uint64_t address, size_t size);

/* The most bytes that can be changed at once. */
#define POKE_BYTES 16

/* The most changes in a batch. */
#define POKE_BATCH 256u

/* One change of a batch. */
struct poke_change {
    uint64_t address;
    /* Where the new instruction leads, if that is a direct jump which emulated_find does not recognise in `bytes`: one
     * longer than `size` bytes (a pun: its last bytes are its successor's), or with redundant prefixes. 0 otherwise. */
    uint64_t target;
    uint8_t bytes[POKE_BYTES];
    uint8_t size;
    /* The result. */
    enum segue_status status;
};

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

#endif
