/* ctx_context.h: what the tests of contexts begin with: a parent, two children, and what they note. */
#ifndef SEGUE_TESTS_CTX_CONTEXT_H
#define SEGUE_TESTS_CTX_CONTEXT_H

#include <segue/context.h>
#include <segue/emulate.h>
#include <string.h>

#include "tests/support/test.h"

#define STACK_SIZE 65536
#define ENTRY(function) ((void (*)(void))(function))

static _Alignas(16) char stack[STACK_SIZE] __attribute__((unused)), other_stack[STACK_SIZE] __attribute__((unused));
static struct segue_context parent, child, other;
static uint64_t seen[64];

static inline enum segue_status init_with(void (*entry)(void), const struct segue_argument *arguments, size_t count,
                                          const struct segue_context_options *options)
{
    return segue_context_init(&child, &parent, stack, sizeof stack, entry, arguments, count, options);
}

static inline void init(void (*entry)(void))
{
    assert_int_equal(init_with(entry, NULL, 0, NULL), SEGUE_OK);
}

static inline void go(void)
{
    assert_int_equal(segue_context_swap(&parent, &child), SEGUE_OK);
}

/* Before each test. */
static inline int begin(void **state)
{
    (void)state;
    segue_context_destroy(&child);
    segue_context_destroy(&other);
    parent = (struct segue_context){.flags = 0};
    memset(seen, 0, sizeof seen);
    return 0;
}

static inline void note_three(uint64_t a, uint64_t b, uint64_t c)
{
    seen[0] = a, seen[1] = b, seen[2] = c;
}

#endif
