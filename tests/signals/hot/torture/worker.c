/* worker.c: the threads of the torture: they work, are interrupted and suspended, fork, and end. */
#include <errno.h>
#include <link.h>
#include <segue/posix.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

#define SECOND UINT64_C(1000000000)
/* All workers together get 20,000 signals a second. */
#define TICK_NS (SECOND / 20000 * WORKERS)
#define CHILD_PIECES 200u
#define CHILDREN 16u
#define MODULES 128u

struct worker {
    unsigned number;
    pthread_t thread;
    char *stack;
    /* 0 when there is no thread. */
    segue_thread_id id;
    bool ended;
    /* Pieces of work that are left for its threads; the seed of the next one. */
    uint64_t left, life;
};

static struct worker workers[WORKERS];

static __thread struct {
    struct worker *worker;
    /* The next such tick leaves the work. */
    volatile unsigned jump_after;
    sigjmp_buf jump;
} self;

/* ---- where code is ---- */

static struct {
    uint64_t start, end;
} modules[MODULES];
static unsigned module_count;

static void add_module(uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < module_count; i++)
        if (modules[i].start == start && modules[i].end == end)
            return;
    if (module_count == MODULES)
        return;
    modules[module_count].start = start;
    modules[module_count].end = end;
    __atomic_store_n(&module_count, module_count + 1, __ATOMIC_RELEASE);
}

static int find_module(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X)
            add_module(info->dlpi_addr + part->p_vaddr, info->dlpi_addr + part->p_vaddr + part->p_memsz);
    }
    return 0;
}

void applications_find(void)
{
    uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
    dl_iterate_phdr(find_module, NULL);
    add_module(vdso, vdso + 8192);
}

bool is_application(uint64_t address)
{
    unsigned count = __atomic_load_n(&module_count, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < count; i++)
        if (address - modules[i].start < modules[i].end - modules[i].start)
            return true;
    return false;
}

static void check_place(const struct segue_regs *regs, const struct worker *worker, const char *who)
{
    if (!is_application(regs->rip))
        fail("%s: %#lx is not the application's\n", who, regs->rip);
    const char *wrong = work_check(regs, worker->stack, STACK_SIZE);
    if (wrong)
        fail("%s: at %#lx: %s (rsp %#lx rflags %#lx rax %#lx rcx %#lx rsi %#lx)\n", who, regs->rip, wrong, regs->rsp,
             regs->rflags, regs->rax, regs->rcx, regs->rsi);
}

/* ---- signals ---- */

static int tick_signal;

static void tick(int number, siginfo_t *info, void *context)
{
    struct segue_frame frame;
    int kept = errno;
    (void)number;
    happens(&happened.ticks, 1);
    if (!self.worker)
        return;
    segue_frame_open(&frame, info, context);
    if (segue_translate(&frame.regs) == SEGUE_OK)
        happens(&happened.translated, 1);
    check_place(&frame.regs, self.worker, "a handler");
    errno = kept;
    if (self.jump_after && in_work && (self.jump_after = self.jump_after - 1) == 0)
        siglongjmp(self.jump, 1);
}

static timer_t begin_ticks(struct random *random)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = tick_signal};
    event._sigev_un._tid = gettid();
    struct itimerspec often = {{0, (long)TICK_NS}, {0, 1 + (long)random_below(random, TICK_NS)}};
    if (options.without & WITHOUT_SIGNALS)
        often = (struct itimerspec){0};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &often, NULL) != 0) {
        perror("torture: timer");
        exit(1);
    }
    return timer;
}

/* ---- work ---- */

static uint64_t work_in_library(const struct slab *slab, struct random *random)
{
    happens(&happened.replaced, 1);
    return work_replaced(slab, random, &library);
}

/* One piece; left by a handler in some. What then has been done is not known, so this is not for counts. */
static uint64_t work(const struct slab *slab, struct random *random, bool in_library)
{
    enum work_kinds kinds = memory_counts() ? WORK_EXACT : WORK_ANY;
    if (kinds == WORK_ANY && random_below(random, 64) == 0) {
        if (sigsetjmp(self.jump, 1)) {
            in_work = false;
            happens(&happened.jumps, 1);
            slab_fill(slab, random);
            return 0;
        }
        self.jump_after = 1 + random_below(random, 2);
    }
    uint64_t accesses = in_library ? work_in_library(slab, random) : work_once(slab, random, kinds);
    self.jump_after = 0;
    return accesses;
}

static uint64_t work_some(const struct slab *slab, struct random *random, uint64_t pieces, bool is_child)
{
    uint64_t accesses = 0;
    for (uint64_t i = 0; i < pieces; i++) {
        bool in_library = random_below(random, 8) == 0 && !(options.without & WITHOUT_LIBRARIES);
        bool locks = in_library && !is_child;
        if (locks)
            pthread_rwlock_rdlock(&library_lock);
        accesses += work(slab, random, in_library);
        if (locks)
            pthread_rwlock_unlock(&library_lock);
    }
    return accesses;
}

/* ---- children ---- */

/* Goes on alone, where its parent stood. */
_Noreturn static void be_child(unsigned worker, struct random *random)
{
    alarm(options.seconds);
    uint64_t before = memory_counted();
    struct slab slab = memory_slab(worker, true);
    if (random_below(random, 2))
        begin_ticks(random);
    slab_fill(&slab, random);
    uint64_t done = work_some(&slab, random, CHILD_PIECES, true);
    uint64_t counted = memory_counted() - before;
    if (memory_counts() && counted != done)
        fail("a child: %lu accesses are counted in place of %lu\n", counted, done);
    _exit(failures != 0);
}

struct children {
    pid_t all[CHILDREN];
    unsigned count;
};

static void wait_for_children(struct children *children)
{
    int status;
    for (unsigned i = 0; i < children->count; i++) {
        while (waitpid(children->all[i], &status, 0) < 0)
            if (errno != EINTR) {
                fail("waitpid: %s\n", strerror(errno));
                break;
            }
        if (status != 0)
            fail("a child ended with status %#x\n", (unsigned)status);
    }
    children->count = 0;
}

/* The child's library stays as it is, since this thread is in it. */
static void fork_once(unsigned worker, struct random *random, struct children *children)
{
    if (children->count)
        wait_for_children(children);
    struct random for_child = random_for(random_next(random), worker);
    uint64_t failed = failures;
    pthread_rwlock_rdlock(&library_lock);
    pid_t child = fork();
    if (child == 0) {
        failures -= failed;
        be_child(worker, &for_child);
    }
    pthread_rwlock_unlock(&library_lock);
    if (child < 0) {
        fail("fork: %s\n", strerror(errno));
        return;
    }
    children->all[children->count++] = child;
    happens(&happened.forks, 1);
}

/* ---- lives ---- */

static uint64_t work_in_own_region(struct random *random)
{
    struct own_region own;
    struct slab slab = own_region_begin(&own);
    slab_fill(&slab, random);
    uint64_t accesses = work_some(&slab, random, 1 + random_below(random, 30), false);
    own_region_end(&own);
    return accesses;
}

/* Works until its part of the pieces is done. */
static void *live(void *argument)
{
    struct worker *worker = argument;
    struct random random = random_for(options.seed, worker->life * WORKERS + worker->number);
    struct slab slab = memory_slab(worker->number, false);
    struct children children = {.count = 0};
    uint64_t accesses = 0, most = worker->left < 64 ? worker->left : worker->left / 2 + 1;
    bool attached = random_below(&random, 2) && segue_thread_attach() == SEGUE_OK;
    self.worker = worker;
    __atomic_store_n(&worker->id, segue_thread_self(), __ATOMIC_RELEASE);
    timer_t timer = begin_ticks(&random);
    slab_fill(&slab, &random);
    uint64_t done = 0;
    while (done < most) {
        uint64_t some = 1 + random_below(&random, 50);
        uint32_t choice = random_below(&random, 400);
        accesses += work_some(&slab, &random, some, false);
        done += some;
        if (choice == 0 && !(options.without & WITHOUT_FORKS))
            fork_once(worker->number, &random, &children);
        else if (choice && choice < 8 && !(options.without & WITHOUT_OWN_REGIONS))
            accesses += work_in_own_region(&random);
    }
    wait_for_children(&children);
    timer_delete(timer);
    __atomic_store_n(&worker->id, 0, __ATOMIC_RELEASE);
    self.worker = NULL;
    if (attached && random_below(&random, 2))
        segue_thread_detach();
    happens(&happened.accesses, accesses);
    happens(&happened.pieces, done);
    worker->left = done < worker->left ? worker->left - done : 0;
    __atomic_store_n(&worker->ended, true, __ATOMIC_RELEASE);
    return NULL;
}

static void begin_life(struct worker *worker)
{
    pthread_attr_t attributes;
    worker->life++;
    worker->ended = false;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, worker->stack, STACK_SIZE);
    int error = pthread_create(&worker->thread, &attributes, live, worker);
    pthread_attr_destroy(&attributes);
    if (error) {
        fprintf(stderr, "torture: a thread: %s\n", strerror(error));
        exit(1);
    }
    happens(&happened.lives, 1);
}

void workers_run(unsigned round)
{
    unsigned living = options.without & WITHOUT_OTHERS ? 1 : WORKERS;
    for (unsigned i = 0; i < living; i++) {
        workers[i].left = options.pieces;
        workers[i].life = (uint64_t)round << 32;
        begin_life(&workers[i]);
    }
    for (unsigned i = 0; living; i = (i + 1) % WORKERS) {
        struct worker *worker = &workers[i];
        if (worker->thread && __atomic_load_n(&worker->ended, __ATOMIC_ACQUIRE)) {
            pthread_join(worker->thread, NULL);
            worker->thread = 0;
            if (worker->left)
                begin_life(worker);
            else
                living--;
        }
        if (i == 0)
            usleep(1000);
    }
}

void workers_prepare(void)
{
    char *stacks = mmap(NULL, WORKERS * STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stacks == MAP_FAILED) {
        perror("torture: stacks");
        exit(1);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].number = i;
        workers[i].stack = stacks + i * STACK_SIZE;
    }
    tick_signal = SIGRTMIN + 3;
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(tick_signal, &action, NULL);
    applications_find();
}

/* ---- as a collector sees them ---- */

static void look_at(const struct segue_suspension *suspension, const struct worker *worker)
{
    const struct segue_mutator *context = &suspension->context;
    if (__atomic_load_n(&worker->id, __ATOMIC_ACQUIRE) != suspension->thread)
        return;
    check_place(&context->regs, worker, "a collector");
    if (segue_mutator_sp(context) - (uint64_t)(uintptr_t)worker->stack > STACK_SIZE)
        fail("a collector: the stack pointer %#lx at %#lx is not the thread's\n", segue_mutator_sp(context),
             context->regs.rip);
    if (context->in_fault)
        happens(&happened.suspended_in_fault, 1);
}

void workers_suspend(struct random *random)
{
    struct segue_suspension list[WORKERS];
    const struct worker *of[WORKERS];
    size_t used = 0;
    uint32_t chosen = (uint32_t)random_next(random);
    memset(list, 0, sizeof list);
    for (unsigned i = 0; i < WORKERS; i++) {
        segue_thread_id id = __atomic_load_n(&workers[i].id, __ATOMIC_ACQUIRE);
        if (!id || !(chosen >> i & 1))
            continue;
        of[used] = &workers[i];
        list[used++].thread = id;
    }
    if (!used)
        return;
    enum segue_status status = segue_threads_suspend(list, used, options.seconds * SECOND);
    if (status != SEGUE_OK)
        fail("suspending %zu threads: %s\n", used, segue_status_name(status));
    for (size_t i = 0; i < used; i++)
        if (list[i].status == SEGUE_OK) {
            happens(&happened.suspensions, 1);
            look_at(&list[i], of[i]);
        }
    if (segue_threads_resume(list, used) != SEGUE_OK)
        fail("resuming %zu threads\n", used);
}
