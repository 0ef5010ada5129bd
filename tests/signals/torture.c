/* torture.c: very many threads fault at once, are suspended, fork, and end at random, and nothing is lost: every step
 * is counted in the memory that it changed, in what it read, and in the library's counters; a suspended thread shows
 * the stack pointer and the instruction of its own code; and all of it ends.
 *
 *     torture [--seed N] [--threads N] [--faults N] [--seconds N]
 *
 * The seed is printed; the same seed makes every thread choose the same again. What one run can show is bounded by the
 * scheduler of the day. Status 0: nothing lost; 1: something was, or it did not end within the seconds. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/random.h"

#define PAGE 4096u
#define THREADS_MOST 1900
#define STACK_SIZE ((size_t)128 * 1024)
#define SHARED_CELLS 64
#define SECOND UINT64_C(1000000000)
#define CHILD_STEPS 20
#define LIST_MOST 1024

/* ---- options -------------------------------------------------------------------------------------------------- */

static uint64_t seed, fault_goal = 200000;
static size_t thread_goal = 1000;
static unsigned seconds = 120;

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* One thread's own: no other thread writes it, except the next one in the same slot. */
struct cell {
    uint64_t sum, stored, exchanged, copied;
    _Alignas(16) uint8_t vector[16];
    uint8_t rest[16];
};

/* What is closed to all; the library reaches it through the alias. */
struct heap {
    uint64_t shared[SHARED_CELLS];
    _Alignas(PAGE) struct cell cells[THREADS_MOST];
    _Alignas(PAGE) uint64_t children;
    _Alignas(PAGE) uint8_t end[PAGE];
};

static struct segue_mapping mapping;
static struct heap *heap, *truth;

/* What has been done, by the doers' own count. `children_steps` is in memory that is shared with them. */
static uint64_t steps_done, shared_adds, suspensions, gone, suspended_in_fault, forks, lives, failures;
static uint64_t *children_steps;

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
    char text[256];
    va_list list;
    if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) >= 20)
        return;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    (void)!write(STDERR_FILENO, text, (size_t)length);
}

static void count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

/* ---- one access each, all in one section ---------------------------------------------------------------------- */

#define ACCESS static __attribute__((noinline, section("torture_accesses")))
extern const char __start_torture_accesses[], __stop_torture_accesses[];

ACCESS void add_locked(uint64_t *at)
{
    __asm__ volatile("lock addq $1, (%0)" : : "r"(at) : "memory", "cc");
}

ACCESS void add_plain(uint64_t *at)
{
    __asm__ volatile("addq $1, (%0)" : : "r"(at) : "memory", "cc");
}

ACCESS bool equals(const uint64_t *at, uint64_t value)
{
    bool same;
    __asm__ volatile("cmpq %2, (%1)\n\tsete %0" : "=r"(same) : "r"(at), "r"(value) : "memory", "cc");
    return same;
}

ACCESS void store(uint64_t *at, uint64_t value)
{
    __asm__ volatile("movq %1, (%0)" : : "r"(at), "r"(value) : "memory");
}

ACCESS uint64_t load(const uint64_t *at)
{
    uint64_t value;
    __asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(at) : "memory");
    return value;
}

ACCESS uint64_t exchange(uint64_t *at, uint64_t value)
{
    __asm__ volatile("xchgq %0, (%1)" : "+r"(value) : "r"(at) : "memory");
    return value;
}

ACCESS void store_vector(void *at, const void *from)
{
    __asm__ volatile("movdqu (%1), %%xmm5\n\tmovdqu %%xmm5, (%0)" : : "r"(at), "r"(from) : "memory", "xmm5");
}

ACCESS void load_vector(const void *at, void *to)
{
    __asm__ volatile("movdqu (%0), %%xmm6\n\tmovdqu %%xmm6, (%1)" : : "r"(at), "r"(to) : "memory", "xmm6");
}

ACCESS void copy_string(void *to, const void *from)
{
    uint64_t length = 8;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
}

enum access { ADD_LOCKED, ADD_PLAIN, EQUALS, STORE, LOAD, EXCHANGE, STORE_VECTOR, LOAD_VECTOR, COPY_STRING, ACCESSES };

/* ---- threads -------------------------------------------------------------------------------------------------- */

/* A place for one thread after another. */
struct slot {
    pthread_t thread;
    char *stack;
    /* The kernel's number of the thread that is there; 0 when the slot is empty. */
    segue_thread_id number;
    bool ended;
    /* What its cell holds. */
    struct cell expected;
};

static struct slot slots[THREADS_MOST];

/* What the thread's next policy shall do. */
static __thread struct {
    bool forks, suspends;
    pid_t child;
    uint64_t target;
} in_policy;

static void expect(const struct slot *slot, enum access access, bool holds)
{
    if (!holds)
        fail("slot %td: access %u found something else than was left there\n", slot - slots, access);
}

/* One access by the slot's thread, held against what it has done before. */
static void access_once(struct slot *slot, struct random *random, enum access access)
{
    struct cell *cell = &heap->cells[slot - slots], *expected = &slot->expected;
    uint64_t value = random_next(random);
    uint8_t bytes[16];
    switch (access) {
    case ADD_LOCKED:
        add_locked(&heap->shared[value % SHARED_CELLS]);
        count(&shared_adds, 1);
        break;
    case ADD_PLAIN:
        add_plain(&cell->sum);
        expected->sum++;
        break;
    case EQUALS:
        expect(slot, access, equals(&cell->sum, expected->sum));
        break;
    case STORE:
        store(&cell->stored, value);
        expected->stored = value;
        break;
    case LOAD:
        expect(slot, access, load(&cell->stored) == expected->stored);
        break;
    case EXCHANGE:
        expect(slot, access, exchange(&cell->exchanged, value) == expected->exchanged);
        expected->exchanged = value;
        break;
    case STORE_VECTOR:
        random_fill(random, expected->vector, sizeof expected->vector);
        store_vector(cell->vector, expected->vector);
        break;
    case LOAD_VECTOR:
        load_vector(cell->vector, bytes);
        expect(slot, access, memcmp(bytes, expected->vector, sizeof bytes) == 0);
        break;
    case COPY_STRING:
        copy_string(&cell->copied, &cell->stored);
        expected->copied = expected->stored;
        break;
    case ACCESSES:
        break;
    }
}

static bool is_in_stack(const struct slot *slot, uint64_t address)
{
    return address - (uint64_t)(uintptr_t)slot->stack <= STACK_SIZE;
}

/* The application's stack pointer and instruction, wherever in the library the thread was stopped. */
static void check_context(const struct segue_suspension *suspension, const struct slot *slot)
{
    const struct segue_mutator *context = &suspension->context;
    uint64_t rip = context->regs.rip;
    if (__atomic_load_n(&slot->number, __ATOMIC_ACQUIRE) != suspension->thread)
        return;
    if (!is_in_stack(slot, segue_mutator_sp(context)))
        fail("slot %td: stack pointer %lx at %lx is not the thread's\n", slot - slots, context->regs.rsp, rip);
    if (!context->in_fault)
        return;
    count(&suspended_in_fault, 1);
    if (rip - (uint64_t)(uintptr_t)__start_torture_accesses >
        (uint64_t)(__stop_torture_accesses - __start_torture_accesses))
        fail("slot %td: in a fault at %lx, where there is no access\n", slot - slots, rip);
}

/* Async-signal-safe. `first` and the slots after it, without the caller's own. */
static void suspend_some(struct segue_suspension *list, size_t length, uint64_t first)
{
    struct slot *of[LIST_MOST];
    size_t used = 0;
    segue_thread_id self = segue_thread_self();
    for (size_t i = 0; i < length && i < thread_goal; i++) {
        struct slot *slot = &slots[(first + i) % thread_goal];
        segue_thread_id number = __atomic_load_n(&slot->number, __ATOMIC_ACQUIRE);
        if (number == 0 || number == self)
            continue;
        of[used] = slot;
        list[used++].thread = number;
    }
    enum segue_status status = segue_threads_suspend(list, used, seconds * SECOND);
    if (status != SEGUE_OK)
        fail("suspending %zu threads: %s\n", used, segue_status_name(status));
    if (status == SEGUE_BUSY)
        return;
    for (size_t i = 0; i < used; i++) {
        count(list[i].status == SEGUE_OK ? &suspensions : &gone, 1);
        if (list[i].status == SEGUE_OK)
            check_context(&list[i], of[i]);
    }
    /* Whoever suspends may fault, wherever the others stand still. */
    add_locked(&heap->shared[first % SHARED_CELLS]);
    count(&shared_adds, 1);
    count(&steps_done, 1);
    if (segue_threads_resume(list, used) != SEGUE_OK)
        fail("resuming %zu threads\n", used);
}

static enum segue_verdict policy(void *context, const struct segue_event *event)
{
    struct segue_suspension one;
    (void)context;
    (void)event;
    if (in_policy.suspends) {
        in_policy.suspends = false;
        suspend_some(&one, 1, in_policy.target);
    }
    if (in_policy.forks) {
        in_policy.forks = false;
        in_policy.child = fork();
    }
    return SEGUE_STEP;
}

/* A child goes on where its parent stood, alone; it may have forked in its policy. It ends with what it found. */
_Noreturn static void be_child(void)
{
    struct segue_counters before, after;
    alarm(seconds);
    segue_counters_read(&before);
    for (unsigned i = 0; i < CHILD_STEPS; i++)
        add_locked(&heap->children);
    segue_counters_read(&after);
    __atomic_fetch_add(children_steps, CHILD_STEPS, __ATOMIC_RELAXED);
    _exit(after.stepped - before.stepped != CHILD_STEPS || after.faults - before.faults != CHILD_STEPS);
}

static void wait_for_child(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) {
            fail("waitpid: %s\n", strerror(errno));
            return;
        }
    if (status != 0)
        fail("a child ended with status %x\n", (unsigned)status);
    count(&forks, 1);
}

/* In its policy, or as a program does. The access is one that the child's own doing of it cannot be seen in. Returns
 * how many faults it took. */
static uint64_t fork_once(struct slot *slot, struct random *random)
{
    bool inside = random_below(random, 2);
    if (inside) {
        in_policy.forks = true;
        access_once(slot, random, LOAD);
    } else
        in_policy.child = fork();
    if (in_policy.child == 0)
        be_child();
    if (in_policy.child < 0)
        fail("fork: %s\n", strerror(errno));
    else
        wait_for_child(in_policy.child);
    return inside;
}

struct life {
    struct slot *slot;
    uint64_t number, faults;
};

/* Faults, and now and then something else, until its faults are used up; then it ends. */
static void *live(void *argument)
{
    struct life life = *(struct life *)argument;
    struct random random = random_for(seed, life.number);
    uint64_t done = 0;
    free(argument);
    bool attached = random_below(&random, 2) && segue_thread_attach() == SEGUE_OK;
    __atomic_store_n(&life.slot->number, segue_thread_self(), __ATOMIC_RELEASE);
    while (done < life.faults) {
        uint32_t choice = random_below(&random, 20000);
        in_policy.suspends = choice == 0;
        in_policy.target = random_next(&random);
        if (choice == 1)
            done += fork_once(life.slot, &random);
        access_once(life.slot, &random, (enum access)random_below(&random, ACCESSES));
        done++;
    }
    if (attached && random_below(&random, 2))
        segue_thread_detach();
    count(&steps_done, done);
    __atomic_store_n(&life.slot->number, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&life.slot->ended, true, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- the run -------------------------------------------------------------------------------------------------- */

static bool finished;

/* Suspends threads as a collector does: all, many, a few. */
static void *suspend_often(void *argument)
{
    struct random random = random_for(~seed, (uint64_t)(uintptr_t)argument);
    struct segue_suspension *list = calloc(LIST_MOST, sizeof *list);
    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
        size_t length = (size_t)1 << random_below(&random, 11);
        suspend_some(list, length, random_next(&random));
        usleep(random_below(&random, 20000));
    }
    free(list);
    return NULL;
}

static void begin_life(struct slot *slot, uint64_t faults)
{
    struct life *life = malloc(sizeof *life);
    pthread_attr_t attributes;
    if (!life)
        abort();
    *life = (struct life){.slot = slot, .number = lives++, .faults = faults};
    slot->ended = false;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, slot->stack, STACK_SIZE);
    int error = pthread_create(&slot->thread, &attributes, live, life);
    pthread_attr_destroy(&attributes);
    if (error) {
        fprintf(stderr, "torture: thread %zu: %s\n", (size_t)lives, strerror(error));
        exit(1);
    }
}

/* Hands the faults out, to as many threads at a time as there are slots. Lives are of all lengths. */
static void run(void)
{
    struct random random = random_for(seed, UINT64_MAX);
    uint64_t average = fault_goal / thread_goal / 3 + 1, given = 0;
    size_t living = 0;
    for (size_t i = 0; given < fault_goal || living; i = (i + 1) % thread_goal) {
        struct slot *slot = &slots[i];
        if (slot->thread && __atomic_load_n(&slot->ended, __ATOMIC_ACQUIRE)) {
            pthread_join(slot->thread, NULL);
            slot->thread = 0;
            living--;
        }
        if (!slot->thread && given < fault_goal) {
            uint64_t faults = 1 + random_next(&random) % (2 * average);
            faults = faults < fault_goal - given ? faults : fault_goal - given;
            given += faults;
            living++;
            begin_life(slot, faults);
        }
        if (i == 0)
            usleep(2000);
    }
}

static void compare(const char *what, uint64_t found, uint64_t wanted)
{
    if (found != wanted)
        fail("%s: %lu, where %lu are expected\n", what, found, wanted);
}

static void check(const struct segue_counters *before)
{
    struct segue_counters after;
    uint64_t sum = 0;
    segue_counters_read(&after);
    for (size_t i = 0; i < SHARED_CELLS; i++)
        sum += truth->shared[i];
    compare("additions to shared memory", sum, shared_adds);
    compare("the children's additions", truth->children, *children_steps);
    compare("the library's steps", after.stepped - before->stepped, steps_done);
    compare("the library's faults", after.faults - before->faults, steps_done);
    for (size_t i = 0; i < thread_goal; i++)
        if (memcmp(&truth->cells[i], &slots[i].expected, offsetof(struct cell, rest)) != 0)
            fail("slot %zu: its memory is not what it wrote\n", i);
}

static void on_alarm(int number)
{
    static const char text[] = "torture: it did not end in time\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "torture: %s failed\n", what);
    exit(1);
}

static void prepare(void)
{
    must(segue_mapping_create(NULL, sizeof(struct heap), &mapping) == SEGUE_OK, "segue_mapping_create");
    heap = mapping.memory;
    truth = mapping.alias;
    children_steps = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(children_steps != MAP_FAILED, "mmap");
    char *stacks = mmap(NULL, thread_goal * STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    must(stacks != MAP_FAILED, "mmap of the stacks");
    for (size_t i = 0; i < thread_goal; i++)
        slots[i].stack = stacks + i * STACK_SIZE;
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)heap,
                   .size = mapping.size,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = mapping.alias},
        .policy = policy,
    };
    must(segue_suspend_install(NULL) == SEGUE_OK, "segue_suspend_install");
    must(segue_install(NULL) == SEGUE_OK, "segue_install");
    must(segue_region_add(&region) == SEGUE_OK, "segue_region_add");
    must(mprotect(heap, mapping.size, PROT_NONE) == 0, "mprotect");
    signal(SIGALRM, on_alarm);
    alarm(seconds);
}

static void read_options(int count, char **arguments)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_nsec * 1000003u ^ (uint64_t)now.tv_sec;
    for (int i = 1; i < count; i += 2) {
        char *end = "?";
        uint64_t value = i + 1 < count ? strtoull(arguments[i + 1], &end, 0) : 0;
        if (strcmp(arguments[i], "--seed") == 0)
            seed = value;
        else if (strcmp(arguments[i], "--threads") == 0)
            thread_goal = value;
        else if (strcmp(arguments[i], "--faults") == 0)
            fault_goal = value;
        else if (strcmp(arguments[i], "--seconds") == 0)
            seconds = (unsigned)value;
        else
            end = "?";
        if (*end || thread_goal < 1 || thread_goal > THREADS_MOST || seconds < 1) {
            fprintf(stderr, "usage: torture [--seed N] [--threads N, up to %u] [--faults N] [--seconds N]\n",
                    THREADS_MOST);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct segue_counters before;
    pthread_t suspenders[2];
    struct timespec began, ended;
    read_options(argc, argv);
    printf("seed %#lx, %zu threads at a time, %lu faults\n", seed, thread_goal, fault_goal);
    fflush(stdout);
    prepare();
    clock_gettime(CLOCK_MONOTONIC, &began);
    segue_counters_read(&before);
    for (size_t i = 0; i < 2; i++)
        must(pthread_create(&suspenders[i], NULL, suspend_often, (void *)i) == 0, "pthread_create");
    run();
    __atomic_store_n(&finished, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 2; i++)
        pthread_join(suspenders[i], NULL);
    check(&before);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%lu steps by %lu threads, %lu forks with %lu steps; %lu suspensions, %lu of them in a fault, %lu came too "
           "late; %.1f s; %lu failures\n",
           steps_done, lives, forks, *children_steps, suspensions, suspended_in_fault, gone,
           (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9, failures);
    return failures != 0;
}
