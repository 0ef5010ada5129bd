/* threads.c: how faults on two threads at once scale: steps a second on two processors over those on one, beside an
 * empty handler and the mprotect way. Each thread faults on a page of its own.
 *
 * The second thread waits on another processor and spins while a batch is about to run, so that both begin at the same
 * time. A batch in which either of them lost its processor is measured again: what is left is two threads running. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

#include "bench/harness/bench.h"
#include "bench/harness/kernel_action.h"
#include "bench/harness/touch.h"

#define PAGE 4096u
#define RESUME_FLAG 0x10000
#define STACK_SIZE 524288u

/* Nested task: IRETQ must not be used while it is set, so the library leaves its handler by way of the kernel. */
#define FLAG_NESTED_TASK 0x4000u

enum handler { FLOOR, FLOOR_BLOCKING, FLOOR_DIRECT, LIBRARY, OPEN, HANDLERS };

/* What both threads do. */
struct way {
    enum handler handler;
    /* The page is closed again after each access. */
    bool closes;
    /* The flag is set meanwhile. */
    bool by_kernel;
    unsigned threads;
};

static struct kernel_action handlers[HANDLERS];

/* What each of the two threads has for itself, a line apart. */
static struct self {
    _Alignas(128) char *page;
    char *stack;
    long switches, switches_before;
    uint64_t random;
} selves[2];

/* What the second thread is to do: a number that grows, and how many accesses; it answers with the same number. */
static struct {
    _Alignas(128) uint64_t asked;
    const struct way *way;
    unsigned operations;
    _Alignas(128) uint64_t done;
} order;
static sem_t wanted;
static pthread_t second;
static bool disturbed;

/* ---- handlers ------------------------------------------------------------------------------------------------- */

static void skip(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] += TOUCH_LENGTH;
}

/* As a step does: an instruction that has been done clears the resume flag, which a fault sets. */
static void skip_directly(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number;
    if (segue_frame_open(&frame, info, ucontext) == SEGUE_HANDLED)
        return;
    frame.regs.rip += TOUCH_LENGTH;
    frame.regs.rflags &= ~(uint64_t)RESUME_FLAG;
    segue_frame_restore(&frame, SEGUE_RESTORE_DIRECT);
}

static void protect(void *page, int protection)
{
    if (mprotect(page, PAGE, protection) != 0)
        bench_fail("mprotect of a page: %s", strerror(errno));
}

static void open_page(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)ucontext;
    protect((void *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1)), PROT_READ | PROT_WRITE);
}

/* ---- both threads --------------------------------------------------------------------------------------------- */

static void use_stack(const struct self *self)
{
    stack_t stack = {.ss_sp = self->stack, .ss_size = STACK_SIZE};
    if (sigaltstack(&stack, NULL) != 0)
        bench_fail("sigaltstack: %s", strerror(errno));
}

static long involuntary_switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

/* Two threads that do nothing but fault come to do so in step, some batches always in each other's way and some never.
 * So each does something of its own for up to half a microsecond in between, as programs do. */
static void do_something(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    for (uint64_t i = *random >> 59; i > 0; i--)
        __builtin_ia32_pause();
}

static void set_flags(uint64_t flags)
{
    __builtin_ia32_writeeflags_u64((__builtin_ia32_readeflags_u64() & ~(uint64_t)FLAG_NESTED_TASK) | flags);
}

static void touch(struct self *self, const struct way *way, unsigned operations)
{
    if (way->by_kernel)
        set_flags(FLAG_NESTED_TASK);
    for (unsigned i = 0; i < operations; i++) {
        do_something(&self->random);
        touch_load(self->page, 0);
        if (way->closes)
            protect(self->page, PROT_NONE);
    }
    if (way->by_kernel)
        set_flags(0);
}

static void *be_second(void *unused)
{
    struct self *self = &selves[1];
    (void)unused;
    for (;;) {
        uint64_t last;
        sem_wait(&wanted);
        if (!order.way)
            return NULL;
        use_stack(self);
        last = __atomic_load_n(&order.asked, __ATOMIC_ACQUIRE);
        __atomic_store_n(&order.done, last, __ATOMIC_RELEASE);
        for (;;) {
            uint64_t asked;
            while ((asked = __atomic_load_n(&order.asked, __ATOMIC_ACQUIRE)) == last)
                __builtin_ia32_pause();
            last = asked;
            if (order.operations == 0)
                break;
            self->switches_before = involuntary_switches();
            touch(self, order.way, order.operations);
            self->switches = involuntary_switches();
            __atomic_store_n(&order.done, last, __ATOMIC_RELEASE);
        }
    }
}

static void ask_second(unsigned operations)
{
    order.operations = operations;
    __atomic_store_n(&order.asked, order.asked + 1, __ATOMIC_RELEASE);
}

static void wait_for_second(void)
{
    while (__atomic_load_n(&order.done, __ATOMIC_ACQUIRE) != order.asked)
        __builtin_ia32_pause();
}

/* ---- variants ------------------------------------------------------------------------------------------------- */

static void prepare(const struct bench_variant *variant)
{
    const struct way *way = variant->context;
    kernel_action_exchange(SIGSEGV, &handlers[way->handler], NULL);
    use_stack(&selves[0]);
    if (way->threads == 1)
        return;
    order.way = way;
    order.asked++;
    sem_post(&wanted);
    wait_for_second();
}

static void finish(const struct bench_variant *variant)
{
    if (((const struct way *)variant->context)->threads == 2)
        ask_second(0);
}

/* Half of them on each of two threads, at the same time. */
static void run(const struct bench_variant *variant, unsigned operations)
{
    const struct way *way = variant->context;
    long before = involuntary_switches();
    if (way->threads == 2)
        ask_second(operations / 2);
    touch(&selves[0], way, operations / way->threads);
    if (way->threads == 2)
        wait_for_second();
    disturbed =
        involuntary_switches() != before || (way->threads == 2 && selves[1].switches != selves[1].switches_before);
}

static bool was_disturbed(void)
{
    return disturbed;
}

/* ---- the suite ------------------------------------------------------------------------------------------------ */

/* Those that the program may use, before it is pinned. */
static cpu_set_t allowed;

static void start_second(void)
{
    cpu_set_t present;
    pthread_attr_t attributes;
    sched_getaffinity(0, sizeof present, &present);
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &present))
            CPU_CLR(i, &allowed);
    if (CPU_COUNT(&allowed) == 0)
        bench_fail("there is one processor, and two threads are to run at once");
    for (unsigned i = 0, seen = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed) && seen++)
            CPU_CLR(i, &allowed);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof allowed, &allowed);
    if (sem_init(&wanted, 0, 0) != 0 || pthread_create(&second, &attributes, be_second, NULL) != 0)
        bench_fail("no second thread");
    pthread_attr_destroy(&attributes);
}

static void close_region(struct self *self)
{
    struct segue_mapping mapping;
    if (segue_mapping_create(NULL, PAGE, &mapping) != SEGUE_OK)
        bench_fail("segue_mapping_create");
    struct segue_region region = {.window = {.base = (uint64_t)(uintptr_t)mapping.memory,
                                             .size = PAGE,
                                             .kind = SEGUE_WINDOW_ALIAS,
                                             .alias = mapping.alias}};
    enum segue_status status = segue_region_add(&region);
    if (status != SEGUE_OK)
        bench_fail("segue_region_add: %s", segue_status_text(status));
    protect(mapping.memory, PROT_NONE);
    self->page = mapping.memory;
}

static void setup(void)
{
    static char stacks[2][STACK_SIZE];
    static void (*const own[])(int, siginfo_t *, void *) = {
        [FLOOR] = skip,
        [FLOOR_BLOCKING] = skip,
        [FLOOR_DIRECT] = skip_directly,
        [OPEN] = open_page,
    };
    for (size_t i = 0; i < HANDLERS; i++) {
        struct sigaction action = {.sa_sigaction = own[i], .sa_flags = SA_SIGINFO | SA_ONSTACK};
        action.sa_flags |= i == FLOOR_BLOCKING ? 0 : SA_NODEFER;
        if (!own[i])
            continue;
        if (sigaction(SIGSEGV, &action, NULL) != 0)
            bench_fail("sigaction: %s", strerror(errno));
        kernel_action_exchange(SIGSEGV, NULL, &handlers[i]);
    }
    signal(SIGSEGV, SIG_DFL);
    enum segue_status status = segue_install(NULL);
    if (status != SEGUE_OK)
        bench_fail("segue_install: %s", segue_status_text(status));
    kernel_action_exchange(SIGSEGV, NULL, &handlers[LIBRARY]);
    for (size_t i = 0; i < 2; i++) {
        selves[i].stack = stacks[i];
        selves[i].random = i;
        close_region(&selves[i]);
    }
    start_second();
}

/* What the counters say must be what was done: one step for each access of the library's variants, and no more. */
static void teardown(void)
{
    struct segue_counters counters;
    order.way = NULL;
    sem_post(&wanted);
    pthread_join(second, NULL);
    segue_counters_read(&counters);
    if (counters.stepped == 0 || counters.faults != counters.stepped)
        bench_fail("%lu faults, of which %lu were stepped", counters.faults, counters.stepped);
}

static struct way ways[] = {
    {.handler = FLOOR, .threads = 1},
    {.handler = FLOOR, .threads = 2},
    {.handler = FLOOR_BLOCKING, .threads = 1},
    {.handler = FLOOR_BLOCKING, .threads = 2},
    {.handler = FLOOR_DIRECT, .threads = 1},
    {.handler = FLOOR_DIRECT, .threads = 2},
    {.handler = LIBRARY, .by_kernel = true, .threads = 1},
    {.handler = LIBRARY, .by_kernel = true, .threads = 2},
    {.handler = LIBRARY, .threads = 1},
    {.handler = LIBRARY, .threads = 2},
    {.handler = OPEN, .closes = true, .threads = 1},
    {.handler = OPEN, .closes = true, .threads = 2},
};

#define VARIANT(name_, what_, way_)                                                                                    \
    {                                                                                                                  \
        .name = name_, .what = what_, .prepare = prepare, .finish = finish, .run = run, .context = &ways[way_],        \
    }
#define PAIR(name_, what_, way_)                                                                                       \
    VARIANT(name_ "_one", what_ ", one thread", way_), VARIANT(name_ "_two", what_ ", two threads", (way_) + 1)

static const struct bench_variant variants[] = {
    PAIR("floor", "an empty handler returns", 0),
    PAIR("floor_blocking", "an empty handler that blocks its signal returns", 2),
    PAIR("floor_direct", "an empty handler leaves directly", 4),
    PAIR("step", "a step; the library leaves by way of the kernel", 6),
    PAIR("step_direct", "a step; the library leaves directly, as it does", 8),
    PAIR("mprotect", "the page is opened, and closed again", 10),
};

#define SCALING(ratio_, name_)                                                                                         \
    {                                                                                                                  \
        ratio_, name_ "_one", name_ "_two"                                                                             \
    }
#define OVER(ratio_, name_, other_)                                                                                    \
    {                                                                                                                  \
        ratio_, name_ "_one", name_ "_two", other_ "_one", other_ "_two"                                               \
    }

static const struct bench_ratio ratios[] = {
    SCALING("floor_scaling", "floor"),
    SCALING("floor_blocking_scaling", "floor_blocking"),
    SCALING("floor_direct_scaling", "floor_direct"),
    SCALING("steps_scaling", "step"),
    SCALING("steps_direct_scaling", "step_direct"),
    SCALING("mprotect_scaling", "mprotect"),
    {"steps_direct_two_over_floor_two", "step_direct_two", "floor_two"},
};

static const struct bench_comparison comparisons[] = {
    OVER("steps_scaling_over_floor_scaling", "step", "floor"),
    OVER("steps_direct_scaling_over_floor_scaling", "step_direct", "floor"),
    OVER("steps_direct_scaling_over_floor_blocking_scaling", "step_direct", "floor_blocking"),
    OVER("steps_direct_scaling_over_floor_direct_scaling", "step_direct", "floor_direct"),
    OVER("floor_direct_scaling_over_floor_scaling", "floor_direct", "floor"),
    OVER("mprotect_scaling_over_floor_scaling", "mprotect", "floor"),
};

static const struct bench_suite suite = {
    .name = "threads",
    .title = "faults on two threads at once, over those on one",
    .clock = CLOCK_MONOTONIC,
    .operations = 100,
    .warm_up = 20,
    .rounds = 4000,
    .quick_rounds = 600,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .comparisons = comparisons,
    .comparison_count = COUNT(comparisons),
    .disturbed = was_disturbed,
    .setup = setup,
    .teardown = teardown,
};

int main(int argc, char **argv)
{
    sched_getaffinity(0, sizeof allowed, &allowed);
    return bench_main(argc, argv, &suite);
}
