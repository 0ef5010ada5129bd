/* patch_batch_torture.c: many changes of code at once, under threads that run it. Each case runs for 0.2 seconds, or as
 * long as SEGUE_TORTURE says (in seconds). What it cannot show is another processor's behaviour. */
#include "tests/support/test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "batch_code.h"
#include "tests/support/company.h"

/* ---- torture --------------------------------------------------------------------------------------------------- */

static struct {
    const struct code *code;
    bool stop;
    uint64_t executions, wrong;
    unsigned processors;
} torture;

static double torture_seconds(void)
{
    const char *given = getenv("SEGUE_TORTURE");
    return given ? atof(given) : 0.2;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

/* Returns whether the site had one of the two effects. */
static bool run_move(const uint8_t *site)
{
    uint64_t rax = 0, rdx = 0;
    __asm__ volatile(CALL("%2") : "+a"(rax), "+d"(rdx) : "r"(site) : "memory", "cc");
    return (rax == 0x44332211 && rdx == 0) || (rax == 0 && rdx == 0xddccbbaa);
}

/* For a thread that has executed all sites once more. */
static void count_pass(uint64_t executions, uint64_t wrong)
{
    __atomic_fetch_add(&torture.executions, executions, __ATOMIC_RELAXED);
    if (wrong)
        __atomic_fetch_add(&torture.wrong, wrong, __ATOMIC_RELAXED);
}

static void *run_moves(void *unused)
{
    while (!__atomic_load_n(&torture.stop, __ATOMIC_RELAXED)) {
        uint64_t wrong = 0;
        for (unsigned i = 0; i < SITES; i++)
            wrong += !run_move(site_of(torture.code, i));
        count_pass(SITES, wrong);
    }
    return unused;
}

/* The threads and the one that changes the code share that many processors. */
static void use_processors(unsigned count, cpu_set_t *before)
{
    cpu_set_t some;
    CPU_ZERO(&some);
    assert_int_equal(sched_getaffinity(0, sizeof *before, before), 0);
    for (size_t i = 0; i < CPU_SETSIZE && count > 0; i++) {
        if (CPU_ISSET(i, before)) {
            CPU_SET(i, &some);
            count--;
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof some, &some), 0);
}

#define THREADS 2

struct work {
    void *(*run)(void *);
    /* Makes one batch. */
    void (*change)(unsigned number);
};

static void begin_torture(const struct code *code)
{
    memset(&torture, 0, sizeof torture);
    torture.code = code;
    take_traps();
}

static void run_torture(const char *name, const char *way, unsigned processors, const struct work *work)
{
    pthread_t threads[THREADS];
    struct timespec start;
    cpu_set_t before;
    sigset_t mask;
    unsigned batches = 0;
    use_processors(processors, &before);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work->run, NULL), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    block_signals();
    clock_gettime(CLOCK_MONOTONIC, &start);
    /* On a busy machine no thread may have come to run in that time. */
    while (seconds_since(&start) < torture_seconds() || !__atomic_load_n(&torture.executions, __ATOMIC_RELAXED))
        work->change(batches++);
    __atomic_store_n(&torture.stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    printf("%-8s %-18s %u processors: %6u batches, %10llu executions, %8llu traps, %8llu emulated, %llu wrong\n", name,
           way, processors, batches, (unsigned long long)torture.executions, (unsigned long long)traps,
           (unsigned long long)emulated, (unsigned long long)torture.wrong);
    signal(SIGTRAP, SIG_DFL);
    assert_true(torture.executions > 0);
    assert_int_equal(torture.wrong, 0);
}

static unsigned ways_of_torture;

static void change_moves(unsigned number)
{
    struct poke_change changes[SITES];
    enum segue_status status = SEGUE_BUSY;
    set_moves(changes, torture.code, number % 2);
    /* A fork in progress holds the lock. */
    while (status == SEGUE_BUSY)
        status = poke_batch(changes, SITES, ways_of_torture);
    assert_int_equal(status, SEGUE_OK);
}

static void make_moves(struct code *code, unsigned ways)
{
    code_create(code, ways);
    for (unsigned i = 0; i < SITES; i++) {
        memcpy(site_of(code, i), moves[0], 5);
        site_of(code, i)[5] = 0xc3;
    }
    code_close(code);
    ways_of_torture = ways;
    begin_torture(code);
}

static void threads_execute_the_old_or_the_new_of_all_sites(void **state)
{
    static const struct work work = {run_moves, change_moves};
    (void)state;
    if (!can_serialise())
        skip();
    for (unsigned way = 0; way < WAYS; way++) {
        for (unsigned processors = 1; processors <= 2; processors++) {
            struct code code;
            make_moves(&code, all_ways[way]);
            run_torture("moves", way_names[way], processors, &work);
            code_destroy(&code);
        }
    }
}

/* ---- puns ------------------------------------------------------------------------------------------------------ */

/* Chains of three instructions, of 3, 3 and 5 bytes, each of which becomes a jump: the first two read two bytes of
 * their successors. There are two sets of jumps: in the second, the first two jump 16 MiB further, so the bytes of the
 * one depend on those of the other. A jump with its successor's old bytes leads 1.4 GiB away, where nothing is. */
#define CHAINS 60u
#define CHAIN_SIZE 35u
#define FIELD_SIZE (48u << 20)
#define LINKS 3u
static uint8_t *field;

static const struct {
    unsigned offset, size;
    /* lea eax, [rdi + 1]; lea edx, [rsi + 2]; mov ecx, 77665544h. */
    const char *old;
    /* The distances of the jumps of both sets. */
    uint32_t distance[2];
} links[LINKS] = {
    {0, 3, "\x8d\x47\x01", {0x00e90000, 0x01e90000}},
    {3, 3, "\x8d\x56\x02", {0x00e98000, 0x00e9c001}},
    {6, 5, "\xb9\x44\x55\x66\x77", {0x00c00000, 0x00c04000}},
};

static uint8_t *link_of(unsigned chain, unsigned link)
{
    return field + PAGE + chain * CHAIN_SIZE + links[link].offset;
}

/* Set 0 is the program's own instructions. */
static void set_link(struct poke_change *change, unsigned chain, unsigned link, unsigned set)
{
    uint8_t *at = link_of(chain, link);
    set_change(change, at, links[link].old, links[link].size);
    if (set == 0)
        return;
    uint32_t distance = links[link].distance[set - 1];
    change->bytes[0] = 0xe9;
    memcpy(change->bytes + 1, &distance, links[link].size - 1);
    change->target = (uint64_t)(uintptr_t)at + 5 + distance;
}

/* The displaced instruction, xor r8d, r8d to differ, and a jump back. */
static void make_body(unsigned chain, unsigned link, unsigned set)
{
    uint8_t *at = link_of(chain, link), *body = at + 5 + links[link].distance[set];
    unsigned size = links[link].size;
    memcpy(body, links[link].old, size);
    memcpy(body + size, "\x45\x31\xc0\xe9", 4);
    int32_t back = (int32_t)(at + size - (body + size + 8));
    memcpy(body + size + 4, &back, sizeof back);
}

static void make_field(unsigned ways)
{
    field = code_map(FIELD_SIZE, ways);
    for (unsigned chain = 0; chain < CHAINS; chain++) {
        for (unsigned link = 0; link < LINKS; link++) {
            memcpy(link_of(chain, link), links[link].old, links[link].size);
            make_body(chain, link, 0);
            make_body(chain, link, 1);
        }
        link_of(chain, 2)[5] = 0xc3;
    }
    assert_int_equal(mprotect(field, FIELD_SIZE, PROT_READ | PROT_EXEC), 0);
}

static bool run_chain(unsigned chain)
{
    uint64_t rax = 0, rdx = 0, rcx = 0, rdi = chain, rsi = chain + 5;
    __asm__ volatile(CALL("%5")
                     : "+a"(rax), "+d"(rdx), "+c"(rcx), "+D"(rdi), "+S"(rsi)
                     : "r"(link_of(chain, 0))
                     : "r8", "memory", "cc");
    return rax == chain + 1 && rdx == chain + 7 && rcx == 0x77665544;
}

static void *run_chains(void *unused)
{
    while (!__atomic_load_n(&torture.stop, __ATOMIC_RELAXED)) {
        uint64_t wrong = 0;
        for (unsigned i = 0; i < CHAINS; i++)
            wrong += !run_chain(i);
        count_pass(CHAINS, wrong);
    }
    return unused;
}

static unsigned set_of_batch(unsigned number)
{
    static const unsigned sets[] = {1, 2, 0, 2, 1, 0};
    return sets[number % 6];
}

static void change_chains(unsigned number)
{
    struct poke_change changes[CHAINS * LINKS];
    for (unsigned i = 0; i < CHAINS * LINKS; i++)
        set_link(&changes[CHAINS * LINKS - 1 - i], i / LINKS, i % LINKS, set_of_batch(number));
    assert_int_equal(poke_batch(changes, CHAINS * LINKS, ways_of_torture), SEGUE_OK);
    for (unsigned i = 0; i < CHAINS * LINKS; i++)
        assert_memory_equal((void *)(uintptr_t)changes[i].address, changes[i].bytes, changes[i].size);
}

static void punned_jumps_are_never_executed_with_others_bytes(void **state)
{
    static const struct work work = {run_chains, change_chains};
    (void)state;
    if (!can_serialise())
        skip();
    for (unsigned way = 1; way < WAYS; way++) {
        for (unsigned processors = 1; processors <= 2; processors++) {
            make_field(all_ways[way]);
            ways_of_torture = all_ways[way];
            begin_torture(NULL);
            run_torture("puns", way_names[way], processors, &work);
            munmap(field, FIELD_SIZE);
        }
    }
}

/* Whether the two rounds have changed bytes that a punned jump reads while a thread could execute the jump: it stood
 * there before, or stands there now. */
static bool is_read_while_it_changes(const uint8_t *before, const uint8_t *now, unsigned chain, unsigned link)
{
    size_t reader = (size_t)(link_of(chain, link) - link_of(0, 0));
    size_t read = (size_t)(link_of(chain, link + 1) - link_of(0, 0));
    return memcmp(before + read, now + read, links[link + 1].size) != 0 &&
           (before[reader] == 0xe9 || now[reader] == 0xe9);
}

static uint8_t last_round[CHAINS * CHAIN_SIZE];
static unsigned rounds;

/* Stands for membarrier: the thread looks at what has changed since it last serialised, and executes it. */
static void end_round(int number, siginfo_t *info, void *ucontext)
{
    const uint8_t *now = link_of(0, 0);
    (void)number;
    (void)info;
    rounds++;
    for (unsigned chain = 0; chain < CHAINS; chain++) {
        for (unsigned link = 0; link + 1 < LINKS; link++)
            torture.wrong += is_read_while_it_changes(last_round, now, chain, link);
        if (link_of(chain, 0)[0] != BREAKPOINT && link_of(chain, 1)[0] != BREAKPOINT &&
            link_of(chain, 2)[0] != BREAKPOINT)
            torture.wrong += !run_chain(chain);
    }
    memcpy(last_round, now, sizeof last_round);
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RAX] = 0;
}

static bool trap_membarrier(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    const struct sigaction action = {.sa_sigaction = end_round, .sa_flags = SA_SIGINFO};
    return sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int look_at_rounds(void)
{
    if (!keep_company() || !trap_membarrier())
        return 1;
    memcpy(last_round, link_of(0, 0), sizeof last_round);
    for (unsigned i = 0; i < 12; i++)
        change_chains(i);
    /* The try, three rounds, and two more for the chains of three. */
    return torture.wrong || rounds < 12 * 6;
}

static void jump_is_never_in_place_while_what_it_reads_changes(void **state)
{
    (void)state;
    if (!can_serialise())
        skip();
    for (unsigned way = 1; way < WAYS; way++) {
        int status;
        if (all_ways[way] & POKE_PAGES)
            continue;
        make_field(all_ways[way]);
        ways_of_torture = all_ways[way];
        begin_torture(NULL);
        pid_t child = fork();
        if (child == 0)
            _exit(look_at_rounds());
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        signal(SIGTRAP, SIG_DFL);
        munmap(field, FIELD_SIZE);
    }
}

/* ---- signals, real-time threads, fork -------------------------------------------------------------------------- */

static uint64_t alarms;

static void on_alarm(int number)
{
    (void)number;
    __atomic_fetch_add(&alarms, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < CHAINS; i++)
        if (!run_chain(i))
            __atomic_fetch_add(&torture.wrong, 1, __ATOMIC_RELAXED);
}

static void signals_interrupt_threads_at_breakpoints(void **state)
{
    static const struct work work = {run_chains, change_chains};
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    const struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    (void)state;
    if (!can_serialise())
        skip();
    make_field(POKE_KERNEL);
    alarms = 0;
    ways_of_torture = POKE_KERNEL | POKE_SPANS;
    begin_torture(NULL);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    run_torture("signals", "the kernel, spans", 2, &work);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    signal(SIGALRM, SIG_DFL);
    assert_true(alarms > 0);
    munmap(field, FIELD_SIZE);
}

static bool is_real_time;

/* On the only processor: whoever changes the code runs only while this thread sleeps, also at a breakpoint. */
static void *run_moves_in_real_time(void *unused)
{
    const struct sched_param param = {.sched_priority = 1};
    const struct timespec pause = {.tv_nsec = 50000};
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0)
        __atomic_store_n(&is_real_time, true, __ATOMIC_RELAXED);
    while (!__atomic_load_n(&torture.stop, __ATOMIC_RELAXED)) {
        uint64_t wrong = 0;
        for (unsigned i = 0; i < SITES; i++)
            wrong += !run_move(site_of(torture.code, i));
        count_pass(SITES, wrong);
        nanosleep(&pause, NULL);
    }
    return unused;
}

static void real_time_threads_do_not_keep_a_batch_from_its_end(void **state)
{
    static const struct work work = {run_moves_in_real_time, change_moves};
    struct code code;
    (void)state;
    if (!can_serialise())
        skip();
    make_moves(&code, POKE_KERNEL);
    run_torture("realtime", "the kernel", 1, &work);
    code_destroy(&code);
    if (!is_real_time)
        skip_if("no thread may be a real-time thread");
}

static void *change_all_the_time(void *unused)
{
    block_signals();
    for (unsigned i = 0; !__atomic_load_n(&torture.stop, __ATOMIC_RELAXED); i++) {
        change_moves(i);
        sched_yield();
    }
    return unused;
}

/* No breakpoint, no half a change, no open page, and the child can make a batch. */
static bool child_is_fine(const struct code *code)
{
    for (unsigned i = 0; i < SITES; i++)
        if (memcmp(site_of(code, i), site_of(code, 0), 5) != 0)
            return false;
    if (site_of(code, 0)[0] == BREAKPOINT || protection_of(code->memory + PAGE) != (PROT_READ | PROT_EXEC))
        return false;
    change_moves(0);
    change_moves(1);
    return memcmp(site_of(code, SITES - 1), moves[1], 5) == 0;
}

static void child_begins_before_or_after_a_whole_batch(void **state)
{
    (void)state;
    if (!can_serialise())
        skip();
    for (unsigned way = 1; way < WAYS; way++) {
        struct code code;
        pthread_t thread;
        make_moves(&code, all_ways[way]);
        assert_int_equal(pthread_create(&thread, NULL, change_all_the_time, NULL), 0);
        for (unsigned i = 0; i < 50; i++) {
            int status;
            pid_t child = fork();
            if (child == 0)
                _exit(child_is_fine(&code) ? 0 : 1);
            assert_true(child > 0);
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_int_equal(status, 0);
        }
        __atomic_store_n(&torture.stop, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        code_destroy(&code);
    }
}

/* ---- bytes between changes ------------------------------------------------------------------------------------- */

/* The byte before each site is another thread's. */
static void *write_between(void *lost)
{
    block_signals();
    for (unsigned i = 0; !__atomic_load_n(&torture.stop, __ATOMIC_RELAXED); i++) {
        uint8_t *at = site_of(torture.code, 1 + i % (SITES - 2)) - 1;
        uint8_t byte = i % 3 == 0 ? BREAKPOINT : (uint8_t)(0x40 + i % 16);
        enum segue_status status;
        while ((status = poke_byte((uint64_t)(uintptr_t)at, byte, POKE_KERNEL)) == SEGUE_BUSY)
            continue;
        *(uint64_t *)lost += status != SEGUE_OK || __atomic_load_n(at, __ATOMIC_RELAXED) != byte;
    }
    return NULL;
}

static void write_between_changes(unsigned ways)
{
    struct timespec start;
    struct code code;
    pthread_t thread;
    uint64_t lost = 0;
    make_moves(&code, ways);
    assert_int_equal(pthread_create(&thread, NULL, write_between, &lost), 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; seconds_since(&start) < 2 * torture_seconds(); i++)
        change_moves(i);
    __atomic_store_n(&torture.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(lost, 0);
    signal(SIGTRAP, SIG_DFL);
    code_destroy(&code);
}

static void byte_that_is_written_between_changes_is_not_lost(void **state)
{
    (void)state;
    if (!can_serialise())
        skip();
    write_between_changes(POKE_KERNEL | POKE_SPANS);
    write_between_changes(POKE_KERNEL | POKE_PAGES);
}

/* ---- threads that block SIGTRAP -------------------------------------------------------------------------------- */

static void *run_moves_blocked(void *unused)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    return run_moves(unused);
}

/* A breakpoint would end the process. */
static void threads_that_block_all_signals_go_on(void **state)
{
    static const struct work work = {run_moves_blocked, change_moves};
    struct code code;
    (void)state;
    if (!can_serialise())
        skip();
    make_moves(&code, POKE_KERNEL | POKE_PAGES);
    run_torture("blocked", "pages replaced", 2, &work);
    assert_int_equal(traps, 0);
    code_destroy(&code);
}

static int prepare(void **state)
{
    (void)state;
    return keep_company() && poke_prepare() == SEGUE_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_execute_the_old_or_the_new_of_all_sites),
        cmocka_unit_test(punned_jumps_are_never_executed_with_others_bytes),
        cmocka_unit_test(jump_is_never_in_place_while_what_it_reads_changes),
        cmocka_unit_test(signals_interrupt_threads_at_breakpoints),
        cmocka_unit_test(real_time_threads_do_not_keep_a_batch_from_its_end),
        cmocka_unit_test(child_begins_before_or_after_a_whole_batch),
        cmocka_unit_test(byte_that_is_written_between_changes_is_not_lost),
        cmocka_unit_test(threads_that_block_all_signals_go_on),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
