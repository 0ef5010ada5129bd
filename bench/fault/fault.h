/* fault.h: what the parts of bench/fault/fault share. */
#ifndef SEGUE_BENCH_FAULT_H
#define SEGUE_BENCH_FAULT_H

#include "bench/harness/bench.h"

#include <signal.h>
#include <stddef.h>

#define PAGE 4096u

/* The handlers that take turns at SIGSEGV. */
enum action {
    /* Adds the instruction's length and returns: what any answer to a fault costs at least. */
    ACTION_FLOOR,
    /* The library's, with SEGUE_INSTALL_OPEN_SIGNALS; and with the default flags, by which signals wait. */
    ACTION_OURS,
    ACTION_OURS_DEFAULT,
    /* Opens the page, and lets the instruction run again. */
    ACTION_OPEN,
    /* GNU libsigsegv's, with a dispatcher whose area handler opens the page. */
    ACTION_LIBSIGSEGV,
    /* Opens the page, lets the processor run one instruction, and closes the page again in SIGTRAP. */
    ACTION_SINGLE_STEP,
    ACTION_COUNT,
};

/* Makes all of them ready, and installs the library. */
void actions_prepare(void);

/* Puts one in force. */
void action_use(enum action action);

/* Registers a page with libsigsegv. */
void action_register(void *page);

/* Sets the page's protection, or ends the program. */
void page_protect(void *page, int protection);

/* Counts so many faults as ones that the library must step. */
void expect_steps(uint64_t count);

/* One region of a million pages and a million regions of one page: the same memory, seen through two ranges. */
void regions_create(void);
void regions_destroy(void);

/* The variants of the two, and of the floor at the same addresses: `context` is one of those below. */
void regions_prepare(const struct bench_variant *variant);
void regions_run(const struct bench_variant *variant, unsigned operations);

struct walk;
extern struct walk walk_floor, walk_one, walk_million, walk_one_hot, walk_million_hot;

#endif
