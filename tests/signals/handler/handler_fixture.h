/* handler_fixture.h: what the tests of the installed handler share: eight pages with a second view of them,
 * instructions whose address is known, and the commonest policies. */
#ifndef SEGUE_TESTS_HANDLER_FIXTURE_H
#define SEGUE_TESTS_HANDLER_FIXTURE_H

#include <segue/segue.h>

#include "decode/x86/page.h"

#define FIXTURE_PAGES 8u

/* The pages; each word of them holds its own offset. */
extern struct segue_mapping memory;

/* One access of a word each, at these instructions. load_segment: one that no engine does. */
extern char handler_load[], handler_store[];
uint64_t load(const volatile void *address);
void store(volatile void *address, uint64_t value);
void load_segment(const volatile void *address);

char *page_of(size_t page);

/* Makes `pages` pages from `page` on a region, and closes them. */
enum segue_status add(size_t page, size_t pages, segue_policy *policy, void *context);

/* cmocka's: the pages come and go with each test, and fixture_run runs one test's body, a function that is the test's
 * state, and takes regions and handler out again. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_run(void **state);

#define FIXTURE_TEST(name)                                                                                             \
    {                                                                                                                  \
#name, fixture_run, fixture_setup, fixture_teardown, (void *)(uintptr_t)(name)                                 \
    }

/* The context of take_notes, a policy that writes down what it is given. */
struct notes {
    unsigned calls;
    struct segue_fault fault;
    uint64_t address, size;
    uint8_t direction;
    struct segue_regs regs;
    uint32_t mnemonic, accesses;
    struct segue_access access;
    enum segue_status can_step;
    segue_thread_id thread;
    enum segue_verdict verdict;
    /* Whether to open the page before answering. */
    bool open;
};
enum segue_verdict take_notes(void *context, const struct segue_event *event);

/* The context of wait_at_gate, a policy that waits until it is opened; of remove_first_page, a thread that removes the
 * region at page 0 and returns the status; and load_second_word is a thread that returns that word of page 0. */
struct gate {
    volatile int inside, open, removed;
};
enum segue_verdict wait_at_gate(void *context, const struct segue_event *event);
void *load_second_word(void *unused);
void *remove_first_page(void *gate);

#endif
