/* protected_heap.c: blocks in size classes, four to each doubling, free ones on a stack per class. Nothing of this lies
 * in the protected memory, and what is asked of the kernel is asked with addresses only: a system call that is given a
 * pointer into closed memory fails with EFAULT.
 *
 * ASSUMPTIONS: one thread uses the heap. mprotect is a system call and nothing more, so a policy may call it. */
#include "protected_heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define GRAIN 16u
#define CLASSES_MAX 160u

/* Free blocks of one size, by offset into the heap. */
struct size_class {
    size_t size;
    size_t *free;
    size_t count, capacity;
};

/* A page that was opened: which, for which instruction, and at which fault. */
struct opened_page {
    size_t page;
    uint64_t instruction, fault;
};

static struct {
    struct segue_mapping mapping;
    struct size_class classes[CLASSES_MAX];
    size_t class_count;
    /* Everything from here on was never handed out. */
    size_t top;
} heap;

/* The pages that are open, oldest first. */
static struct {
    struct opened_page ring[HEAP_PATIENCE_MAX];
    size_t first, count;
    bool *is_open;
    unsigned patience;
    struct heap_tally tally;
} pages;

/* ---- Blocks. */

static char *program_at(size_t offset)
{
    return (char *)heap.mapping.memory + offset;
}

static char *alias_at(size_t offset)
{
    return (char *)heap.mapping.alias + offset;
}

static size_t offset_of(const void *block)
{
    return (size_t)((const char *)block - (const char *)heap.mapping.memory);
}

static void make_classes(void)
{
    size_t size = GRAIN, step = GRAIN;
    heap.class_count = 0;
    while (size <= heap.mapping.size && heap.class_count < CLASSES_MAX) {
        heap.classes[heap.class_count++] = (struct size_class){.size = size};
        if (size >= 8 * step)
            step *= 2;
        size += step;
    }
}

static struct size_class *class_of(size_t size)
{
    for (size_t i = 0; i < heap.class_count; i++)
        if (heap.classes[i].size >= size)
            return &heap.classes[i];
    return NULL;
}

static void *take_block(struct size_class *class)
{
    if (class->count)
        return program_at(class->free[--class->count]);
    if (heap.mapping.size - heap.top < class->size)
        return NULL;
    void *block = program_at(heap.top);
    heap.top += class->size;
    return block;
}

static void give_block(struct size_class *class, const void *block)
{
    if (class->count == class->capacity) {
        size_t capacity = class->capacity ? 2 * class->capacity : 64;
        size_t *longer = realloc(class->free, capacity * sizeof *longer);
        /* The block is lost to us, but nothing is wrong. */
        if (!longer)
            return;
        class->free = longer;
        class->capacity = capacity;
    }
    class->free[class->count++] = offset_of(block);
}

void *heap_allocate(void *unused, void *block, size_t old_size, size_t new_size)
{
    (void)unused;
    struct size_class *old = block ? class_of(old_size) : NULL;
    if (new_size == 0) {
        if (old)
            give_block(old, block);
        return NULL;
    }
    struct size_class *new = class_of(new_size);
    if (!new || new == old)
        return new ? block : NULL;
    void *fresh = take_block(new);
    /* Lua counts on a block that shrinks. */
    if (!fresh)
        return block && new_size <= old_size ? block : NULL;
    if (old) {
        memcpy(alias_at(offset_of(fresh)), alias_at(offset_of(block)), old_size < new_size ? old_size : new_size);
        give_block(old, block);
    }
    return fresh;
}

size_t heap_pages_used(void)
{
    return (heap.top + PAGE - 1) / PAGE;
}

/* ---- Pages: in the signal handler. */

static void count(uint64_t *counter, uint64_t amount)
{
    __atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}

static bool protect(size_t page, int protection)
{
    return mprotect(program_at(page * PAGE), PAGE, protection) == 0;
}

/* Closes the page that has been open for the longest. */
static bool close_oldest(void)
{
    size_t page = pages.ring[pages.first].page;
    if (!protect(page, PROT_NONE))
        return false;
    pages.is_open[page] = false;
    pages.first = (pages.first + 1) % HEAP_PATIENCE_MAX;
    pages.count--;
    count(&pages.tally.pages_closed, 1);
    return true;
}

/* Closes what has been open for long enough. An instruction that faults on one page after the other, as a string
 * instruction may, keeps those that were opened for it up to the longest time that there is: it may need them all. */
static bool close_expired(uint64_t instruction)
{
    while (pages.count) {
        const struct opened_page *oldest = &pages.ring[pages.first];
        unsigned patience = oldest->instruction == instruction ? HEAP_PATIENCE_MAX : pages.patience;
        if (pages.tally.faults - oldest->fault < patience)
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
    if (pages.count == HEAP_PATIENCE_MAX && !close_oldest())
        return false;
    if (!protect(page, PROT_READ | PROT_WRITE))
        return false;
    pages.is_open[page] = true;
    pages.ring[(pages.first + pages.count++) % HEAP_PATIENCE_MAX] =
        (struct opened_page){.page = page, .instruction = instruction, .fault = pages.tally.faults};
    count(&pages.tally.pages_opened, 1);
    return true;
}

/* Opens those pages of the heap that the bytes from `address` on lie in. */
static bool open_range(uint64_t address, uint64_t size, uint64_t instruction)
{
    uint64_t base = (uint64_t)(uintptr_t)heap.mapping.memory, end = base + heap.mapping.size;
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

static enum segue_verdict serve_fault(void *context, const struct segue_event *event)
{
    (void)context;
    /* All accesses of the instruction were answered for with the first. */
    if (event->question > 0)
        return SEGUE_STEP;
    count(&pages.tally.faults, 1);
    if (!close_expired(event->regs->rip))
        return SEGUE_PASS;
    bool steps = event->can_step == SEGUE_OK;
    uint64_t before = pages.tally.pages_opened;
    /* Nothing that could be opened: protection is not the fault's cause, and it would repeat without end. */
    if (!steps && (!open_all(event) || pages.tally.pages_opened == before))
        return SEGUE_PASS;
    count(steps ? &pages.tally.stepped : &pages.tally.opened, 1);
    count(&pages.tally.pages_open_sum, pages.count);
    return steps ? SEGUE_STEP : SEGUE_RETRY;
}

struct heap_tally heap_read_tally(void)
{
    const struct heap_tally *tally = &pages.tally;
    return (struct heap_tally){
        .faults = __atomic_load_n(&tally->faults, __ATOMIC_RELAXED),
        .stepped = __atomic_load_n(&tally->stepped, __ATOMIC_RELAXED),
        .opened = __atomic_load_n(&tally->opened, __ATOMIC_RELAXED),
        .pages_opened = __atomic_load_n(&tally->pages_opened, __ATOMIC_RELAXED),
        .pages_closed = __atomic_load_n(&tally->pages_closed, __ATOMIC_RELAXED),
        .pages_open_sum = __atomic_load_n(&tally->pages_open_sum, __ATOMIC_RELAXED),
    };
}

/* ---- The heap as a whole. */

static enum segue_status close_heap(void)
{
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)heap.mapping.memory,
                   .size = heap.mapping.size,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = heap.mapping.alias},
        .policy = serve_fault,
    };
    enum segue_status status = segue_region_add(&region);
    if (status == SEGUE_OK && mprotect(heap.mapping.memory, heap.mapping.size, PROT_NONE) != 0) {
        segue_region_remove(heap.mapping.memory);
        status = SEGUE_SYSTEM;
    }
    return status;
}

enum segue_status heap_create(size_t size, unsigned patience)
{
    memset(&pages, 0, sizeof pages);
    memset(&heap, 0, sizeof heap);
    enum segue_status status = segue_mapping_create(NULL, size, &heap.mapping);
    if (status != SEGUE_OK)
        return status;
    make_classes();
    pages.patience = patience;
    pages.is_open = calloc(heap.mapping.size / PAGE, sizeof *pages.is_open);
    status = pages.is_open ? close_heap() : SEGUE_NO_MEMORY;
    if (status != SEGUE_OK) {
        free(pages.is_open);
        segue_mapping_destroy(&heap.mapping);
    }
    return status;
}

void heap_destroy(void)
{
    mprotect(heap.mapping.memory, heap.mapping.size, PROT_READ | PROT_WRITE);
    segue_region_remove(heap.mapping.memory);
    segue_mapping_destroy(&heap.mapping);
    for (size_t i = 0; i < heap.class_count; i++)
        free(heap.classes[i].free);
    free(pages.is_open);
}
