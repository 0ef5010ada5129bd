/* work.h: what the torture of hot sites has its threads do: work on watched memory, of which the result and the number
 * of accesses are known. */
#ifndef SEGUE_TESTS_SIGNALS_HOT_TORTURE_WORK_H
#define SEGUE_TESTS_SIGNALS_HOT_TORTURE_WORK_H

#include <segue/regs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/random.h"

/* One thread's memory: all of the work has room in it. */
#define SLAB ((size_t)8192)

struct slab {
    /* As the program knows it; its alias; and memory that is in no region, which always holds the same. */
    char *memory, *alias, *plain;
};

/* Fills the slab. */
void slab_fill(const struct slab *slab, struct random *random);

enum work_kinds {
    /* Assembly, and a fault that ends in a segue_try block: the number of accesses is known. */
    WORK_EXACT,
    /* Compiled code, libc, and string instructions, too. */
    WORK_ANY,
};

/* Does some of the work at a random place of the slab. Returns how many accesses to the slab there were, if only such
 * work was asked for of which it is known. */
uint64_t work_once(const struct slab *slab, struct random *random, enum work_kinds kinds);

/* The work of the library that is open, if one is; its functions are called under the lock of the caller. */
struct replaced {
    uint64_t (*fold)(void *at, uint64_t words), (*branch)(void *at, uint64_t words);
    uint32_t number;
};
uint64_t work_replaced(const struct slab *slab, struct random *random, const struct replaced *library);

/* Whether the thread is in the work itself at the moment: a handler may leave it by siglongjmp. */
extern __thread volatile bool in_work;

/* A page that all threads work in by constant addresses: the program gives it a region, and `torture_alias`. Its first
 * word is how often they have, its fourth how often they should have. */
extern char torture_page[];
extern uint64_t *torture_alias;
enum { TORTURE_DONE = 0, TORTURE_READ = 1, TORTURE_ADDED = 2, TORTURE_EXPECTED = 3 };

/* An address in the code that the work consists of. */
uint64_t work_code(struct random *random);

/* What must hold of a thread that stands there, as it is shown to a handler or to a collector; `stack` and `size` are
 * its stack. NULL, or what is wrong. Async-signal-safe. */
const char *work_check(const struct segue_regs *regs, const char *stack, size_t size);

/* Reports a failure. Async-signal-safe. */
__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);
extern uint64_t failures;

#endif
