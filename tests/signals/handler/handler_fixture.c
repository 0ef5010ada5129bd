/* handler_fixture.c: see handler_fixture.h. */
#include "handler_fixture.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/processor/registers.h"
#include "tests/support/test.h"

struct segue_mapping memory;

__attribute__((noinline)) uint64_t load(const volatile void *address)
{
    unsigned long value;
    __asm__ volatile(".globl handler_load\nhandler_load: mov (%1), %0" : "=&r"(value) : "r"(address) : "memory");
    return value;
}

__attribute__((noinline)) void store(volatile void *address, uint64_t value)
{
    __asm__ volatile(".globl handler_store\nhandler_store: mov %0, (%1)"
                     :
                     : "r"((unsigned long)value), "r"(address)
                     : "memory");
}

__attribute__((noinline)) void load_segment(const volatile void *address)
{
    __asm__ volatile("mov (%0), %%" SPARE_SEGMENT : : "r"(address) : "memory");
}

enum segue_status add(size_t page, size_t pages, segue_policy *policy, void *context)
{
    struct segue_region region = {
        .window = {.base = (uintptr_t)memory.memory + page * PAGE,
                   .size = pages * PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = (char *)memory.alias + page * PAGE},
        .policy = policy,
        .context = context,
    };
    enum segue_status status = segue_region_add(&region);
    mprotect((void *)(uintptr_t)region.window.base, region.window.size, PROT_NONE);
    return status;
}

char *page_of(size_t page)
{
    return (char *)memory.memory + page * PAGE;
}

int fixture_setup(void **state)
{
    (void)state;
    if (segue_mapping_create((void *)0x40000000, FIXTURE_PAGES * PAGE, &memory) != SEGUE_OK)
        return -1;
    for (uint64_t i = 0; i < FIXTURE_PAGES * PAGE; i += 8)
        memcpy((char *)memory.alias + i, &i, 8);
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    return segue_mapping_destroy(&memory) == SEGUE_OK ? 0 : -1;
}

/* The handler is taken out here and not in teardown, since cmocka puts
 * handlers of its own in force around each of the two. */
void fixture_run(void **state)
{
    void (*body)(void **) = (void (*)(void **))(uintptr_t)*state;
    body(NULL);
    mprotect(memory.memory, memory.size, PROT_READ | PROT_WRITE);
    for (size_t page = 0; page < FIXTURE_PAGES; page++)
        segue_region_remove(page_of(page));
    enum segue_status status = segue_uninstall(NULL);
    assert_true(status == SEGUE_OK || status == SEGUE_NOT_FOUND);
}

enum segue_verdict take_notes(void *context, const struct segue_event *event)
{
    struct notes *notes = context;
    notes->calls++;
    notes->fault = *event->fault;
    notes->address = event->address;
    notes->size = event->size;
    notes->direction = event->direction;
    notes->regs = *event->regs;
    notes->mnemonic = event->plan->insn.mnemonic;
    notes->accesses = event->plan->access_count;
    notes->access = event->plan->accesses[0];
    notes->can_step = event->can_step;
    notes->thread = event->thread;
    if (notes->open)
        mprotect((void *)(uintptr_t)(event->address & ~(uint64_t)(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
    errno = EILSEQ;
    return notes->verdict;
}

enum segue_verdict wait_at_gate(void *context, const struct segue_event *event)
{
    struct gate *gate = context;
    (void)event;
    gate->inside = 1;
    while (!gate->open)
        sched_yield();
    return SEGUE_STEP;
}

void *load_second_word(void *unused)
{
    (void)unused;
    return (void *)(uintptr_t)load(page_of(0) + 8);
}

void *remove_first_page(void *context)
{
    struct gate *gate = context;
    enum segue_status status = segue_region_remove(page_of(0));
    gate->removed = 1;
    return (void *)(uintptr_t)status;
}
