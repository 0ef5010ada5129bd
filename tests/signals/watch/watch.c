/* watch.c: ranges that are watched, in memory that the program has: globals, a heap, mappings. */
#include "tests/support/test.h"

#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/cases.h"

#define PAGE 4096u
#define RECORDS 4096u
#define THREADS 4
#define ROUNDS 500
#define CROWD 4

/* Neighbours of what is watched, on its page. */
static struct {
    char text[64];
    volatile long left;
    volatile long counter;
    volatile long right;
    char buffer[64];
} __attribute__((aligned(PAGE))) shared;

static struct segue_watch_record records[RECORDS];

static void prepare(void)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
}

static uint64_t begin(const volatile void *address, size_t size, uint32_t flags)
{
    const struct segue_watch watch = {.address = address, .size = size, .flags = flags};
    uint64_t id = 0;
    assert_int_equal(segue_watch_add(&watch, 1, &id), SEGUE_OK);
    return id;
}

static size_t read_all(void)
{
    size_t count = 0, more;
    uint64_t lost;
    while (segue_watch_read(records + count, RECORDS - count, 0, &more, &lost) == SEGUE_OK) {
        count += more;
        assert_int_equal(lost, 0);
    }
    return count;
}

static long value(const unsigned char *bytes)
{
    long word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static void check(const struct segue_watch_record *record, uint8_t direction, long before, long after)
{
    assert_int_equal(record->address, (uintptr_t)&shared.counter);
    assert_int_equal(record->size, sizeof shared.counter);
    assert_int_equal(record->direction, direction);
    assert_true(record->has_values);
    assert_int_equal(value(record->before), before);
    assert_int_equal(value(record->after), after);
    assert_int_equal(record->thread, segue_thread_self());
    assert_int_equal(record->process, getpid());
    assert_int_equal(record->system_call, SEGUE_NO_SYSTEM_CALL);
}

static int watch_reports_each_access_with_its_values(void)
{
    prepare();
    shared.counter = 5;
    uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_READ | SEGUE_WATCH_WRITE);
    for (int i = 0; i < 3; i++) {
        __atomic_fetch_add(&shared.counter, 10, __ATOMIC_SEQ_CST);
        shared.left = shared.left + 1;
        assert_int_equal(shared.counter, 15 + 20 * i);
        shared.right++;
        shared.counter = 25 + 20 * i;
    }
    assert_int_equal(read_all(), 9);
    for (int i = 0; i < 3; i++) {
        check(&records[3 * i], SEGUE_READ | SEGUE_WRITE, i ? 5 + 20 * i : 5, 15 + 20 * i);
        check(&records[3 * i + 1], SEGUE_READ, 15 + 20 * i, 15 + 20 * i);
        check(&records[3 * i + 2], SEGUE_WRITE, 15 + 20 * i, 25 + 20 * i);
        assert_int_equal(records[3 * i].id, id);
    }
    assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    assert_int_equal(segue_watch_remove(id), SEGUE_NOT_FOUND);
    assert_int_equal(shared.counter, 65);
    assert_int_equal(read_all(), 0);
    return 0;
}

static int watch_leaves_out_what_is_not_wanted(void)
{
    prepare();
    shared.counter = 1;
    uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_CHANGE);
    for (int i = 0; i < 10; i++) {
        shared.counter = 1;
        assert_int_equal(shared.counter, 1);
    }
    shared.counter = 2;
    assert_int_equal(read_all(), 1);
    check(records, SEGUE_WRITE, 1, 2);
    const struct segue_watch other = {
        .address = &shared.left, .size = 8, .flags = SEGUE_WATCH_READ | SEGUE_WATCH_WRITE, .thread = 1};
    uint64_t other_id;
    assert_int_equal(segue_watch_add(&other, 1, &other_id), SEGUE_OK);
    shared.left++;
    assert_int_equal(read_all(), 0);
    assert_int_equal(segue_watch_remove(other_id), SEGUE_OK);
    assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    return 0;
}

/* Each range gets its part of one access; and a part of a string's. */
static int watch_cuts_accesses_to_ranges(void)
{
    prepare();
    static const char text[16] = "0123456789abcdef";
    char *to = shared.buffer;
    size_t size = sizeof text;
    struct segue_watch watches[2] = {{.address = shared.buffer + 3, .size = 2, .flags = SEGUE_WATCH_WRITE},
                                     {.address = shared.buffer + 4, .size = 7, .flags = SEGUE_WATCH_WRITE}};
    uint64_t ids[2];
    memset(shared.buffer, '-', sizeof shared.buffer);
    assert_int_equal(segue_watch_add(watches, 2, ids), SEGUE_OK);
    const char *from = text;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    assert_int_equal(read_all(), 2);
    assert_int_equal(records[0].id, ids[0]);
    assert_int_equal(records[0].address, (uintptr_t)(shared.buffer + 3));
    assert_memory_equal(records[0].before, "--\0", 3);
    assert_memory_equal(records[0].after, "34\0", 3);
    assert_int_equal(records[1].size, 7);
    assert_memory_equal(records[1].after, "456789a\0", 8);
    for (int i = 0; i < 2; i++)
        assert_int_equal(segue_watch_remove(ids[i]), SEGUE_OK);
    assert_memory_equal(shared.buffer, text, sizeof text);
    return 0;
}

static void *add(void *context)
{
    (void)context;
    for (int i = 0; i < ROUNDS; i++) {
        __atomic_fetch_add(&shared.counter, 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&shared.left, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static int watch_orders_threads_by_their_values(void)
{
    prepare();
    pthread_t threads[THREADS];
    unsigned char seen[THREADS * ROUNDS] = {0};
    shared.counter = shared.left = 0;
    uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.left, THREADS * ROUNDS);
    assert_int_equal(read_all(), THREADS * ROUNDS);
    for (size_t i = 0; i < THREADS * ROUNDS; i++) {
        long before = value(records[i].before);
        assert_in_range(before, 0, THREADS * ROUNDS - 1);
        assert_int_equal(seen[before]++, 0);
        assert_int_equal(value(records[i].after), before + 1);
    }
    assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    return 0;
}

/* While other threads use the page. */
static int watch_begins_and_ends_beside_threads(void)
{
    prepare();
    pthread_t threads[THREADS];
    shared.counter = shared.left = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add, NULL), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(segue_watch_remove(begin(&shared.right, sizeof shared.right, SEGUE_WATCH_WRITE)), SEGUE_OK);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.left, THREADS * ROUNDS);
    assert_int_equal(shared.counter, THREADS * ROUNDS);
    assert_int_equal(read_all(), 0);
    return 0;
}

static __attribute__((noinline)) void hammer(volatile long *at, long times)
{
    for (long i = 0; i < times; i++)
        __asm__ volatile("incq %0" : "+m"(*at));
}

static int watch_counts_by_instruction(void)
{
    prepare();
    struct segue_watch_count counts[4];
    size_t count;
    uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE | SEGUE_WATCH_COUNT);
    hammer(&shared.counter, 10000);
    hammer(&shared.left, 1000);
    assert_int_equal(segue_watch_counts(id, counts, 4, &count), SEGUE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(counts[0].reads, 10000);
    assert_int_equal(counts[0].writes, 10000);
    assert_int_equal(segue_watch_counts(id, counts, 0, &count), SEGUE_TOO_SMALL);
    assert_int_equal(read_all(), 0);
    assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    assert_int_equal(segue_watch_counts(id, counts, 4, &count), SEGUE_NOT_FOUND);
    return 0;
}

/* Of eight bytes, three before the end of a page. */
extern void straddling(volatile long *at);
__asm__(".pushsection .text.straddling, \"ax\", @progbits\n\t"
        ".p2align 12\n\t.skip 4089\n\t"
        ".globl straddling\n\t.hidden straddling\n\t.type straddling, @function\n"
        "straddling:\n\tendbr64\n\tmovq $7, 8(%rdi)\n\tret\n\t"
        ".size straddling, . - straddling\n\t.popsection");

/* The site becomes hot, and its next access faults: what is read of its code is then in two pages. */
static int watch_sees_instructions_in_two_pages(void)
{
    prepare();
    shared.counter = 1;
    uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE);
    for (int i = 0; i < 5; i++)
        straddling(&shared.counter - 1);
    assert_int_equal(read_all(), 5);
    check(&records[4], SEGUE_WRITE, 7, 7);
    assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    return 0;
}

static __attribute__((noinline)) void touch_constants(void)
{
    __asm__ volatile("incq %0\n\tincq %1" : "+m"(shared.left), "+m"(shared.right));
}

/* Also of one that accessed the second view without a check before it was watched. */
static int watch_sees_constant_addresses(void)
{
    prepare();
    uint64_t first = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE);
    for (int i = 0; i < 10; i++)
        touch_constants();
    assert_int_equal(read_all(), 0);
    uint64_t second = begin(&shared.right, sizeof shared.right, SEGUE_WATCH_WRITE);
    for (int i = 0; i < 10; i++)
        touch_constants();
    assert_int_equal(read_all(), 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(records[i].address, (uintptr_t)&shared.right);
    assert_int_equal(segue_watch_remove(first), SEGUE_OK);
    touch_constants();
    assert_int_equal(read_all(), 1);
    assert_int_equal(segue_watch_remove(second), SEGUE_OK);
    return 0;
}

#define MANY 10000u
#define FEW (MANY / 8)

/* Returns how much time of a processor it has taken. */
static clock_t add_some(const struct segue_watch *watches, size_t count, uint64_t *ids)
{
    const clock_t begun = clock();
    assert_int_equal(segue_watch_add(watches, count, ids), SEGUE_OK);
    return clock() - begun;
}

static void remove_some(const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(segue_watch_remove(ids[i]), SEGUE_OK);
}

static int watch_takes_many_ranges(void)
{
    prepare();
    static struct segue_watch watches[MANY];
    static uint64_t ids[MANY];
    volatile long *cells = malloc(2 * MANY * sizeof *cells);
    for (size_t i = 0; i < MANY; i++) {
        cells[2 * i] = cells[2 * i + 1] = 0;
        watches[i] = (struct segue_watch){.address = &cells[2 * i], .size = 8, .flags = SEGUE_WATCH_WRITE};
    }
    const clock_t few = add_some(watches, FEW, ids);
    remove_some(ids, FEW);
    /* Fifty milliseconds; on a slow machine not the square of what few take. */
    const clock_t many = add_some(watches, MANY, ids);
    assert_true(many < CLOCKS_PER_SEC / 2 || many < few * (MANY / FEW) * (MANY / FEW) / 2);
    for (size_t i = 0; i < 2 * MANY; i++)
        if (i % 2 || i % 64 == 0)
            cells[i] = (long)i;
    size_t count = read_all();
    assert_int_equal(count, (2 * MANY + 63) / 64);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(records[i].id, ids[32 * i]);
        assert_int_equal(value(records[i].after), 64 * i);
    }
    remove_some(ids, MANY);
    for (size_t i = 0; i < 2 * MANY; i++)
        assert_int_equal(cells[i], i % 2 || i % 64 == 0 ? (long)i : 0);
    free((void *)(uintptr_t)cells);
    return 0;
}

static int watch_goes_on_in_a_child(void)
{
    prepare();
    shared.counter = shared.left = 1;
    uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE);
    shared.left = 2;
    pid_t child = fork();
    if (child == 0) {
        bool as_before = shared.counter == 1 && shared.left == 2;
        shared.counter = 3;
        shared.left = 3;
        _exit(as_before && shared.counter == 3 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(shared.counter, 1);
    assert_int_equal(shared.left, 2);
    assert_int_equal(read_all(), 1);
    assert_int_equal(records[0].process, child);
    assert_int_equal(value(records[0].after), 3);
    assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    return 0;
}

static volatile bool has_read_enough;

static void *read_on(void *unused)
{
    static struct segue_watch_record some[4];
    size_t count;
    while (!has_read_enough)
        (void)segue_watch_read(some, 4, 0, &count, NULL);
    return unused;
}

/* Wherever the parent's reader was. */
static int watch_is_read_in_a_child(void)
{
    prepare();
    pthread_t reader;
    uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE);
    assert_int_equal(pthread_create(&reader, NULL, read_on, NULL), 0);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            size_t count;
            alarm(10);
            _exit(segue_watch_read(records, 1, 0, &count, NULL) == SEGUE_TIMEOUT ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    has_read_enough = true;
    pthread_join(reader, NULL);
    assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    return 0;
}

/* One write, of which a range gets its part; and one read. */
static int watch_reports_system_calls(void)
{
    static const struct segue_options options = {.flags = SEGUE_INSTALL_SYSTEM_CALLS};
    enum segue_status status = segue_install(&options);
    if (status == SEGUE_UNSUPPORTED)
        return CASE_SKIPPED;
    assert_int_equal(status, SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    memset(shared.buffer, '-', sizeof shared.buffer);
    uint64_t id = begin(shared.buffer + 2, 4, SEGUE_WATCH_READ | SEGUE_WATCH_CHANGE);
    assert_int_equal(write(ends[1], "abcdefgh", 8), 8);
    assert_int_equal(read(ends[0], shared.buffer, 5), 5);
    assert_int_equal(write(ends[1], shared.buffer + 4, 8), 8);
    assert_int_equal(read_all(), 2);
    assert_int_equal(records[0].id, id);
    assert_int_equal(records[0].system_call, 0);
    assert_int_equal(records[0].direction, SEGUE_WRITE);
    assert_int_equal(records[0].address, (uintptr_t)(shared.buffer + 2));
    assert_int_equal(records[0].size, 3);
    assert_memory_equal(records[0].before, "---\0", 4);
    assert_memory_equal(records[0].after, "cde\0", 4);
    assert_int_equal(records[1].system_call, 1);
    assert_int_equal(records[1].direction, SEGUE_READ);
    assert_int_equal(records[1].size, 2);
    assert_memory_equal(records[1].before, "e-\0", 3);
    assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    assert_memory_equal(shared.buffer, "abcde---", 8);
    return 0;
}

static int waiting_pipe[2];
static unsigned bytes_read;

/* Its calls go by a trap, then by a gate, and at last by a detour. */
static void *read_bytes(void *failure)
{
    for (;;) {
        ssize_t size = read(waiting_pipe[0], shared.buffer, 1);
        if (size != 1)
            return size == 0 ? NULL : failure;
        __atomic_fetch_add(&bytes_read, 1, __ATOMIC_RELEASE);
    }
}

/* A call that waits with a pointer into the page begins again when the page is closed, and when it is given back. */
static int watch_begins_under_calls_that_wait(void)
{
    static const struct segue_options options = {.flags = SEGUE_INSTALL_SYSTEM_CALLS};
    static const struct timespec moment = {.tv_nsec = 200000};
    void *failure;
    pthread_t reader;
    enum segue_status status = segue_install(&options);
    if (status == SEGUE_UNSUPPORTED)
        return CASE_SKIPPED;
    assert_int_equal(status, SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(pipe(waiting_pipe), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_bytes, waiting_pipe), 0);
    for (unsigned i = 0; i < 30; i++) {
        nanosleep(&moment, NULL);
        uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE);
        for (unsigned written = 0; written < 3; written++)
            assert_int_equal(write(waiting_pipe[1], "x", 1), 1);
        nanosleep(&moment, NULL);
        assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    }
    close(waiting_pipe[1]);
    pthread_join(reader, &failure);
    assert_null(failure);
    assert_int_equal(bytes_read, 90);
    return 0;
}

/* glibc's, behind this program's own. */
void *__libc_malloc(size_t size);
static volatile unsigned large_blocks;

void *malloc(size_t size)
{
    large_blocks += size > PAGE;
    return __libc_malloc(size);
}

/* The allocator's own data may be on the page, and what accesses it waits until the change is done. A small block may
 * be made before that begins. */
static int watch_is_added_without_an_allocator(void)
{
    prepare();
    uint64_t first = begin(&shared.left, sizeof shared.left, SEGUE_WATCH_WRITE);
    for (unsigned i = 0; i < ROUNDS; i++)
        shared.buffer[i % sizeof shared.buffer]++;
    const unsigned before = large_blocks;
    uint64_t second = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE);
    assert_int_equal(segue_watch_remove(second), SEGUE_OK);
    assert_int_equal(segue_watch_remove(first), SEGUE_OK);
    assert_int_equal(large_blocks, before);
    return 0;
}

/* ---- threads that block the signal by which threads are suspended ---- */

static pthread_barrier_t meeting;

static void meet(void)
{
    pthread_barrier_wait(&meeting);
}

/* Without sched_yield, which costs a thread its turn for as long as others have work: it would answer that late. */
static void compute_until_the_end(void)
{
    while (!__atomic_load_n(&shared.left, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

/* One computes, one waits in a call, one has a signal of that number pending. */
static void *block_suspensions(void *kind)
{
    const char number = *(const char *)kind;
    const struct timespec none = {0};
    sigset_t all, suspending;
    siginfo_t info;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigemptyset(&suspending);
    sigaddset(&suspending, SIGXCPU);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (number == 'p')
        pthread_kill(pthread_self(), SIGXCPU);
    meet();
    if (number == 'c')
        compute_until_the_end();
    meet();
    /* What the library sent is not left to the thread. */
    const int pending = sigtimedwait(&suspending, &info, &none);
    if (number == 'p')
        return pending == SIGXCPU && info.si_pid == getpid() ? NULL : kind;
    return pending == -1 ? NULL : kind;
}

/* Does not block it. */
static void *compute(void *unused)
{
    meet();
    compute_until_the_end();
    meet();
    (void)unused;
    return NULL;
}

/* Suspends them again and again, and lets them end: each returns NULL if all is as before. */
static void watch_beside(const pthread_t *threads, int count)
{
    void *failed;
    for (int i = 0; i < 20; i++) {
        uint64_t id = begin(&shared.counter, sizeof shared.counter, SEGUE_WATCH_WRITE);
        shared.counter++;
        assert_int_equal(segue_watch_remove(id), SEGUE_OK);
    }
    assert_int_equal(read_all(), 20);
    __atomic_store_n(&shared.left, 1, __ATOMIC_RELEASE);
    meet();
    for (int i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static int watch_begins_under_threads_that_block_suspensions(void)
{
    static char kinds[] = "cwp";
    pthread_t threads[3];
    prepare();
    shared.left = 0;
    pthread_barrier_init(&meeting, NULL, 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, block_suspensions, &kinds[i]), 0);
    meet();
    watch_beside(threads, 3);
    return 0;
}

/* Signals then carry nothing that says whose they are. */
static int watch_begins_under_a_full_queue(void)
{
    static char kind = 'c';
    const struct rlimit none = {0, 0};
    pthread_t threads[CROWD];
    prepare();
    shared.left = 0;
    pthread_barrier_init(&meeting, NULL, CROWD + 1);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? compute : block_suspensions, &kind), 0);
    meet();
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
    watch_beside(threads, CROWD);
    return 0;
}

static int watch_refuses_by_name(void)
{
    prepare();
    static _Thread_local long local;
    long on_stack;
    uint64_t id;
    const struct {
        struct segue_watch watch;
        enum segue_status status;
    } cases[] = {
        {{.address = &on_stack, .size = 8, .flags = SEGUE_WATCH_READ}, SEGUE_BUSY},
        {{.address = &local, .size = 8, .flags = SEGUE_WATCH_READ}, SEGUE_UNSUPPORTED},
        {{.address = (void *)(uintptr_t)segue_watch_add, .size = 8, .flags = SEGUE_WATCH_READ}, SEGUE_UNSUPPORTED},
        {{.address = (void *)8, .size = 8, .flags = SEGUE_WATCH_READ}, SEGUE_UNSUPPORTED},
        {{.address = &shared, .size = 0, .flags = SEGUE_WATCH_READ}, SEGUE_INVALID},
        {{.address = &shared, .size = 8, .flags = SEGUE_WATCH_COUNT}, SEGUE_INVALID},
        {{.address = &shared, .size = 8, .flags = 1u << 20 | SEGUE_WATCH_READ}, SEGUE_INVALID},
        {{.address = &shared, .size = 8, .flags = SEGUE_WATCH_READ, .reserved = {1}}, SEGUE_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(segue_watch_add(&cases[i].watch, 1, &id), cases[i].status);
        assert_true(*segue_reason());
    }
    shared.left = 0;
    assert_int_equal(segue_watch_remove(0), SEGUE_NOT_FOUND);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(watch_reports_each_access_with_its_values)                                                                       \
    X(watch_leaves_out_what_is_not_wanted)                                                                             \
    X(watch_cuts_accesses_to_ranges)                                                                                   \
    X(watch_orders_threads_by_their_values)                                                                            \
    X(watch_begins_and_ends_beside_threads)                                                                            \
    X(watch_counts_by_instruction)                                                                                     \
    X(watch_sees_constant_addresses)                                                                                   \
    X(watch_sees_instructions_in_two_pages)                                                                            \
    X(watch_takes_many_ranges)                                                                                         \
    X(watch_goes_on_in_a_child)                                                                                        \
    X(watch_is_read_in_a_child)                                                                                        \
    X(watch_reports_system_calls)                                                                                      \
    X(watch_begins_under_calls_that_wait)                                                                              \
    X(watch_is_added_without_an_allocator)                                                                             \
    X(watch_begins_under_threads_that_block_suspensions) X(watch_begins_under_a_full_queue) X(watch_refuses_by_name)
CASES_MAIN(EACH_CASE)
