/* opened.c: the pages that are open, in a ring, oldest first.
 *
 * ASSUMPTIONS: one thread uses the memory. mprotect is a system call and nothing more, so a policy may call it. */
#include "opened.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u

/* A page that was opened: which, for which instruction, and at which fault. */
struct opened_page {
    size_t page;
    uint64_t instruction, fault;
};

static struct {
    struct segue_mapping mapping;
    struct opened_page ring[PATIENCE_MAX];
    size_t first, count;
    bool *is_open;
    unsigned patience;
    uint64_t faults;
} pages;

static struct opened_tally *tally;

static void count(uint64_t *counter, uint64_t amount)
{
    __atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}

static bool protect(size_t page, int protection)
{
    return mprotect((char *)pages.mapping.memory + page * PAGE, PAGE, protection) == 0;
}

/* Closes the page that has been open for the longest. */
static bool close_oldest(void)
{
    size_t page = pages.ring[pages.first].page;
    if (!protect(page, PROT_NONE))
        return false;
    pages.is_open[page] = false;
    pages.first = (pages.first + 1) % PATIENCE_MAX;
    pages.count--;
    count(&tally->pages_closed, 1);
    return true;
}

/* Closes what has been open for long enough. An instruction that faults on one page after the other, as a string
 * instruction may, keeps those that were opened for it up to the longest time that there is: it may need them all. */
static bool close_expired(uint64_t instruction)
{
    while (pages.count) {
        const struct opened_page *oldest = &pages.ring[pages.first];
        unsigned patience = oldest->instruction == instruction ? PATIENCE_MAX : pages.patience;
        if (pages.faults - oldest->fault < patience)
            return true;
        if (!close_oldest())
            return false;
    }
    return true;
}

static bool open_page(size_t page, uint64_t instruction)
{
    if (pages.is_open[page])
        return true;
    if (pages.count == PATIENCE_MAX && !close_oldest())
        return false;
    if (!protect(page, PROT_READ | PROT_WRITE))
        return false;
    pages.is_open[page] = true;
    pages.ring[(pages.first + pages.count++) % PATIENCE_MAX] =
        (struct opened_page){.page = page, .instruction = instruction, .fault = pages.faults};
    count(&tally->pages_opened, 1);
    return true;
}

/* Opens those pages of the heap that the bytes from `address` on lie in. */
static bool open_range(uint64_t address, uint64_t size, uint64_t instruction)
{
    uint64_t base = (uint64_t)(uintptr_t)pages.mapping.memory, end = base + pages.mapping.size;
    uint64_t first = address > base ? address : base;
    uint64_t last = address + size < end ? address + size : end;
    for (uint64_t at = first; at < last; at = (at / PAGE + 1) * PAGE)
        if (!open_page((at - base) / PAGE, instruction))
            return false;
    return true;
}

/* Opens all that the instruction needs, so that it cannot fault on one page because another was closed for it. */
static bool open_all(const struct segue_event *event)
{
    const struct segue_plan *plan = event->plan;
    for (size_t i = 0; i < plan->access_count; i++)
        if (!open_range(plan->accesses[i].address, plan->accesses[i].size, event->regs->rip))
            return false;
    return open_range(event->fault->address, 1, event->regs->rip);
}

enum segue_verdict opened_policy(void *unused, const struct segue_event *event)
{
    (void)unused;
    /* All accesses of the instruction were answered for with the first. */
    if (event->question > 0)
        return SEGUE_STEP;
    pages.faults++;
    if (!close_expired(event->regs->rip))
        return SEGUE_PASS;
    bool steps = event->can_step == SEGUE_OK;
    uint64_t before = tally->pages_opened;
    /* Nothing that could be opened: protection is not the fault's cause, and it would repeat without end. */
    if (!steps && (!open_all(event) || tally->pages_opened == before))
        return SEGUE_PASS;
    count(steps ? &tally->stepped : &tally->opened, 1);
    return steps ? SEGUE_STEP : SEGUE_RETRY;
}

struct opened_tally opened_read(void)
{
    return (struct opened_tally){
        .stepped = __atomic_load_n(&tally->stepped, __ATOMIC_RELAXED),
        .opened = __atomic_load_n(&tally->opened, __ATOMIC_RELAXED),
        .pages_opened = __atomic_load_n(&tally->pages_opened, __ATOMIC_RELAXED),
        .pages_closed = __atomic_load_n(&tally->pages_closed, __ATOMIC_RELAXED),
    };
}

enum segue_status opened_prepare(void)
{
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return tally == MAP_FAILED ? SEGUE_NO_MEMORY : SEGUE_OK;
}

enum segue_status opened_begin(const struct segue_mapping *mapping, unsigned patience)
{
    opened_end();
    pages.mapping = *mapping;
    pages.patience = patience;
    pages.is_open = calloc(mapping->size / PAGE, sizeof *pages.is_open);
    return pages.is_open ? SEGUE_OK : SEGUE_NO_MEMORY;
}

void opened_end(void)
{
    free(pages.is_open);
    memset(&pages, 0, sizeof pages);
    *tally = (struct opened_tally){.stepped = 0};
}
