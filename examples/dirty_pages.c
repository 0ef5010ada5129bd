/* dirty_pages.c: which pages of a heap were written since the last look? The first write to each page is noted and
 * opens it; taking a snapshot closes all of them again. That is what an incremental collector, or a checkpointer, asks.
 *
 * Twice, on two heaps with the same workload: by the library, whose policy is given the bytes that the instruction will
 * write, and by a SIGSEGV handler as Boehm's collector has one, which knows the faulting address and opens its page.
 * The sets must be the same. An instruction that writes across the edge of two pages faults twice in the second way,
 * and once in the first. */
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096u
#define PAGES 2048u
#define SNAPSHOTS 40
#define WRITES 3000

/* A heap, which of its pages were written, and how many faults showed it. */
struct heap {
    char *memory;
    bool dirty[PAGES];
    unsigned faults;
};

static struct heap ours, boehms;

static void note(struct heap *heap, uint64_t address, uint64_t size)
{
    uint64_t first = (address - (uint64_t)heap->memory) / PAGE;
    uint64_t last = (address + (size ? size : 1) - 1 - (uint64_t)heap->memory) / PAGE;
    heap->faults++;
    for (uint64_t page = first; page <= last && page < PAGES; page++)
        heap->dirty[page] = true;
    mprotect(heap->memory + first * PAGE, (last - first + 1) * PAGE, PROT_READ | PROT_WRITE);
}

/* By the library: all that the instruction will write is opened, and it runs again. */
static enum segue_verdict first_write(void *context, const struct segue_event *event)
{
    note(context, event->address, event->size);
    return SEGUE_RETRY;
}

/* By hand. What is not the heap's fault goes to the library, which was there before. */
static struct sigaction before;

static void boehm_handler(int number, siginfo_t *info, void *ucontext)
{
    uint64_t offset = (uint64_t)info->si_addr - (uint64_t)boehms.memory;
    if (offset < PAGES * PAGE)
        note(&boehms, (uint64_t)info->si_addr, 1);
    else
        before.sa_sigaction(number, info, ucontext);
}

/* Takes the set, and begins a new one. */
static void snapshot(struct heap *heap, bool set[PAGES])
{
    memcpy(set, heap->dirty, sizeof heap->dirty);
    memset(heap->dirty, 0, sizeof heap->dirty);
    mprotect(heap->memory, PAGES * PAGE, PROT_READ);
}

/* Words all over the heap, in bunches as programs write; some across an edge. */
static void mutate(struct heap *heap, unsigned seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (unsigned i = 0; i < WRITES; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t page = (state >> 33) % 256 + (state >> 20) % 16 * 7, offset = (state >> 45) % (PAGE - 8);
        if (i % 64 == 0)
            offset = PAGE - 3;
        memcpy(heap->memory + page * PAGE + offset, &state, sizeof state);
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Returns how long it took. */
static double run(struct heap *heap, const struct sigaction *handler, unsigned seed, bool set[PAGES])
{
    sigaction(SIGSEGV, handler, NULL);
    double start = now();
    mutate(heap, seed);
    snapshot(heap, set);
    return now() - start;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static char *map_heap(void)
{
    void *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        exit(1);
    memset(memory, 1, PAGES * PAGE);
    mprotect(memory, PAGES * PAGE, PROT_READ);
    return memory;
}

int main(void)
{
    static bool set[PAGES], other[PAGES];
    double ratios[SNAPSHOTS];
    unsigned pages = 0, differ = 0;
    ours.memory = map_heap();
    boehms.memory = map_heap();

    /* The window is the memory itself: it is only ever opened, never stepped past. */
    struct segue_region region = {
        .window = {.base = (uint64_t)ours.memory, .size = PAGES * PAGE, .kind = SEGUE_WINDOW_EXPOSED},
        .policy = first_write,
        .context = &ours,
    };
    if (segue_install(NULL) != SEGUE_OK || segue_region_add(&region) != SEGUE_OK)
        return 1;
    struct sigaction by_hand = {.sa_sigaction = boehm_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct sigaction library;
    sigaction(SIGSEGV, NULL, &library);
    before = library;

    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        /* The one first, then the other. */
        double with_library = i % 2 ? 0 : run(&ours, &library, i, set);
        double with_hands = run(&boehms, &by_hand, i, other);
        if (i % 2)
            with_library = run(&ours, &library, i, set);
        ratios[i] = with_library / with_hands;
        for (unsigned page = 0; page < PAGES; page++) {
            pages += set[page];
            differ += set[page] != other[page];
        }
    }
    bool same = memcmp(ours.memory, boehms.memory, PAGES * PAGE) == 0;
    printf("%u snapshots, %u dirty pages, %u reported differently, memory %s\n", SNAPSHOTS, pages, differ,
           same ? "equal" : "DIFFERENT");
    printf("faults: %u with the library, %u by hand\n", ours.faults, boehms.faults);
    qsort(ratios, SNAPSHOTS, sizeof *ratios, compare);
    printf("time with the library over time by hand: %.2f\n", ratios[SNAPSHOTS / 2]);
    return differ || !same || !pages;
}
