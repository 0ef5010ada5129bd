/* hot.c: hot sites as a program sees them: results, counts, policies, updates, removal, fork, signals. Each case runs
 * in a child of its own: sites of this program stay hot. */
#include "tests/support/test.h"

#include <pthread.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "decode/x86/page.h"
#include "tests/support/child.h"

#define PAGES 16u
#define SIZE (PAGES * PAGE)
#define ROUNDS 1000u

uint64_t sites_load_two(void *at), sites_load_three(void *at), sites_load_four(void *at), sites_load_seven(void *at);
uint64_t sites_sum(void *at, uint64_t count), sites_sum_with_carry(void *at, uint64_t count);
uint64_t sites_follow(void *at, uint64_t count), sites_modify(void *at), sites_vectors(void *at);
uint64_t sites_to_nowhere(void *at), sites_copy(void *at, uint64_t size, void *to), sites_call(void *at),
    sites_stack(void *at);
uint64_t sites_load_masked(void *at, uint64_t mask), sites_masked(void *at, uint64_t mask, void *to);

static struct segue_mapping memory;

/* Faults whose access was stepped; all faults. */
static uint64_t steps(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.stepped;
}

static uint64_t faults(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.faults;
}

static void fill(char *at)
{
    for (uint64_t i = 0; i < SIZE; i += 8) {
        uint64_t word = i * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(at + i, &word, 8);
    }
}

static struct segue_region region_with(uint32_t flags)
{
    struct segue_region region = {.window = segue_mapping_window(&memory), .flags = SEGUE_REGION_HOT | flags};
    return region;
}

static void begin(const struct segue_region *region)
{
    assert_int_equal(segue_region_add(region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, 0), SEGUE_OK);
}

static void begin_with(uint32_t flags)
{
    struct segue_region region = region_with(flags);
    begin(&region);
}

static void make_memory(void)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, SIZE, &memory), SEGUE_OK);
    fill(memory.alias);
}

/* All of them, on memory that was just filled. */
static uint64_t run_all(char *at, char *alias)
{
    uint64_t sum = 0;
    char copy[600];
    fill(alias);
    sum = sum * 31 + sites_load_two(at);
    sum = sum * 31 + sites_load_three(at + 24);
    sum = sum * 31 + sites_load_four(at + 48);
    sum = sum * 31 + sites_load_seven(at + 72);
    sum = sum * 31 + sites_sum(at + 8, 200);
    sum = sum * 31 + sites_sum_with_carry(at + 16, 200);
    sum = sum * 31 + sites_vectors(at + 512);
    sum = sum * 31 + sites_copy(at + 1000, sizeof copy, copy);
    sum = sum * 31 + sites_stack(at + 2000);
    sum = sum * 31 + sites_modify(at + 3000);
    sum = sum * 31 + sites_call(at + 4000);
    for (size_t i = 0; i < sizeof copy; i++)
        sum = sum * 31 + (unsigned char)copy[i];
    /* The functions of the program's own text, whose addresses are data here. */
    memset(alias + 4000, 0, 0x200);
    for (size_t i = 0; i < SIZE; i += 8) {
        uint64_t word;
        memcpy(&word, alias + i, 8);
        sum = sum * 31 + word;
    }
    return sum;
}

static int results_are_those_of_open_memory(void)
{
    static char plain[SIZE] __attribute__((aligned(PAGE)));
    make_memory();
    uint64_t wanted = run_all(plain, plain);
    begin_with(0);
    uint64_t first = faults();
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(run_all(memory.memory, memory.alias), wanted);
    uint64_t in_all = faults() - first;
    /* The string instruction goes on faulting, once a round, or twice on two pages. */
    assert_in_range(in_all, ROUNDS, 3 * ROUNDS);
    /* The same sites, on memory in no region. */
    assert_int_equal(run_all(plain, plain), wanted);
    assert_int_equal(run_all(memory.memory, memory.alias), wanted);
    return 0;
}

static enum segue_status add_accesses(void *context, const struct segue_patch *patch)
{
    *(uint64_t *)context += patch->accesses;
    return SEGUE_OK;
}

static uint64_t counted(void)
{
    uint64_t sum = 0;
    assert_int_equal(segue_patches_list(0, SIZE_MAX, add_accesses, &sum), SEGUE_OK);
    return sum;
}

static int counts_are_exact(void)
{
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    uint64_t before = faults(), stepped = steps();
    for (unsigned i = 0; i < ROUNDS; i++)
        sites_sum(memory.memory, 100);
    assert_int_equal(counted() + (steps() - stepped), 100 * ROUNDS);
    assert_in_range(faults() - before, 1, 10);
    for (unsigned i = 0; i < ROUNDS; i++)
        sites_modify(memory.memory);
    assert_int_equal(counted() + (steps() - stepped), 106 * ROUNDS);
    assert_in_range(faults() - before, 1, 30);
    return 0;
}

static volatile uint64_t asked, asked_ordinarily;
static volatile uint64_t last_address, last_site;
static volatile uint32_t last_size, last_direction;
static volatile int wants_ordinary;

static SEGUE_HOT_POLICY enum segue_verdict hot_policy(void *context, const struct segue_hot_event *event)
{
    *(volatile uint64_t *)context += 1;
    last_address = event->address;
    last_site = event->site;
    last_size = event->size;
    last_direction = event->direction;
    return wants_ordinary ? SEGUE_RETRY : SEGUE_STEP;
}

static enum segue_verdict policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    asked_ordinarily++;
    return SEGUE_STEP;
}

static struct segue_region region_with_policy(uint32_t flags)
{
    struct segue_region region = region_with(flags);
    region.policy = policy;
    region.hot_policy = hot_policy;
    region.context = (void *)(uintptr_t)&asked;
    return region;
}

static int policies_are_asked_about_each_access(void)
{
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    begin(&region);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(asked + asked_ordinarily, 100 * ROUNDS);
    assert_in_range(asked_ordinarily, 0, 10);
    assert_int_equal(last_address, (uint64_t)(uintptr_t)memory.memory + 99 * 8);
    assert_int_equal(last_size, 8);
    assert_int_equal(last_direction, SEGUE_READ);
    assert_in_range(last_site - (uint64_t)(uintptr_t)sites_sum, 1, 4);
    sites_modify(memory.memory);
    uint64_t before = asked + asked_ordinarily;
    sites_modify(memory.memory);
    assert_int_equal(asked + asked_ordinarily - before, 6);
    /* Another answer: the ordinary policy gets it. */
    wants_ordinary = 1;
    before = asked_ordinarily;
    wanted = sites_sum(memory.alias, 100);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(asked_ordinarily - before, 100);
    return 0;
}

/* Bits in one row, in several, none; those above bit 31 select nothing. */
static const uint64_t masks[] = {0xff, 0xffff0, 0x80000000, 0xffffffff, 0x5, 0xf0f0, 0, 0xffffffff00000000, 1, 0xffff};
#define MASKS (sizeof masks / sizeof *masks)

static bool has_masks(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static int masked_accesses_are_those_of_open_memory(void)
{
    static char plain[SIZE] __attribute__((aligned(PAGE)));
    char results[2][96];
    if (!has_masks())
        return 0;
    make_memory();
    begin_with(0);
    memcpy(plain, memory.alias, SIZE);
    uint64_t first = faults();
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t at = i % 16 ? i % 64 : SIZE - 256;
        assert_int_equal(sites_masked((char *)memory.memory + at, masks[i % MASKS], results[0]),
                         sites_masked(plain + at, masks[i % MASKS], results[1]));
        assert_memory_equal(results[0], results[1], sizeof *results);
    }
    assert_memory_equal(memory.alias, plain, SIZE);
    assert_in_range(faults() - first, 1, 10);
    return 0;
}

static int masked_accesses_are_counted_if_there_are_any(void)
{
    char results[96];
    if (!has_masks())
        return 0;
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    uint64_t stepped = steps(), wanted = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t mask = masks[i % MASKS];
        sites_masked(memory.memory, mask, results);
        /* Two of 32 elements, three of 16. */
        wanted += 2u * ((mask & 0xffffffff) != 0) + 3u * ((mask & 0xffff) != 0);
    }
    assert_int_equal(counted() + (steps() - stepped), wanted);
    assert_in_range(steps() - stepped, 0, 10);
    return 0;
}

static int policies_are_shown_what_a_mask_selects(void)
{
    if (!has_masks())
        return 0;
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    begin(&region);
    sites_load_masked(memory.memory, 1);
    char *at = (char *)memory.memory + 8;
    for (unsigned i = 0; i < MASKS; i++) {
        uint64_t mask = masks[i] & 0xffffffff, before = asked, ordinary = asked_ordinarily;
        assert_int_equal(sites_load_masked(at, masks[i]), sites_load_masked((char *)memory.alias + 8, masks[i]));
        /* One question for each row of ones. */
        uint64_t rows = 0;
        for (uint64_t left = mask, last = 0; left; last = left & 1, left >>= 1)
            rows += (left & 1) && !last;
        assert_int_equal(asked - before, rows);
        assert_int_equal(asked_ordinarily, ordinary);
        if (!mask)
            continue;
        /* The last one is the highest. */
        unsigned end = 64 - (unsigned)__builtin_clzll(mask), first = end;
        while (first && mask >> (first - 1) & 1)
            first--;
        assert_int_equal(last_address, (uint64_t)(uintptr_t)at + first);
        assert_int_equal(last_size, end - first);
    }
    return 0;
}

static __attribute__((target("sse2"))) enum segue_verdict vector_policy(void *context,
                                                                        const struct segue_hot_event *event)
{
    volatile double ruin = (double)event->address;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm15, %%xmm15\n\tfninit" ::: "xmm0", "xmm15");
    ruin *= 2;
    (void)ruin;
    *(volatile uint64_t *)context += 1;
    return event->regs && event->regs->rdi == event->address && event->regs->rip == event->site ? SEGUE_STEP
                                                                                                : SEGUE_RETRY;
}

static int vectors_and_registers_are_kept_for_a_policy(void)
{
    static char plain[PAGE] __attribute__((aligned(PAGE)));
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_REGS);
    region.hot_policy = vector_policy;
    begin(&region);
    memcpy(plain, memory.alias, PAGE);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_vectors(memory.memory), sites_vectors(plain));
    uint64_t wanted = sites_sum(memory.alias, 8), before = asked;
    asked_ordinarily = 0;
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(memory.memory, 8), wanted);
    assert_int_equal(asked - before + asked_ordinarily, 8 * ROUNDS);
    assert_in_range(asked_ordinarily, 0, 20);
    return 0;
}

static volatile int nesting, changed_events;

static void ask_inside(int number)
{
    (void)number;
    sites_load_three((char *)memory.memory + 64);
}

/* In the first question a handler comes that asks as well. */
static enum segue_verdict nesting_policy(void *context, const struct segue_hot_event *event)
{
    const struct segue_hot_event before = *event;
    *(volatile uint64_t *)context += 1;
    if (nesting++ == 0)
        raise(SIGUSR2);
    nesting--;
    changed_events += memcmp(&before, event, sizeof before) != 0 || before.region->hot_policy != nesting_policy;
    return SEGUE_STEP;
}

static int policies_may_be_asked_inside_one(void)
{
    make_memory();
    struct segue_region region = region_with_policy(0);
    region.hot_policy = nesting_policy;
    begin(&region);
    signal(SIGUSR2, ask_inside);
    sites_load_three(memory.memory);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < 10; i++)
        sites_sum(memory.memory, 100);
    uint64_t before = asked, ordinary = asked_ordinarily;
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(asked - before, 2 * 100 * ROUNDS);
    assert_int_equal(asked_ordinarily, ordinary);
    assert_int_equal(changed_events, 0);
    /* No thread is in a policy now: this ends. */
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    return 0;
}

static int updates_take_effect(void)
{
    make_memory();
    struct segue_region region = region_with_policy(SEGUE_REGION_HOT_GENERAL);
    begin(&region);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < 10; i++)
        sites_sum(memory.memory, 100);
    static uint64_t other;
    region.context = &other;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    uint64_t before = asked;
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(asked, before);
    assert_int_equal(other, 100);
    /* Idle: no policy is called, and nothing faults. */
    uint64_t first = faults();
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    region.flags |= SEGUE_REGION_IDLE;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(other, 100);
    assert_int_equal(faults(), first);
    region.flags &= ~(uint32_t)SEGUE_REGION_IDLE;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, 0), SEGUE_OK);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(other, 200);
    assert_int_equal(faults(), first);
    /* Another way of bodies: without a policy. */
    region.policy = NULL;
    region.hot_policy = NULL;
    region.flags = SEGUE_REGION_HOT;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(other, 200);
    assert_in_range(faults() - first, 1, 10);
    region.window.size -= PAGE;
    assert_int_equal(segue_region_update(&region), SEGUE_NOT_FOUND);
    return 0;
}

static int a_region_that_is_removed_is_left_alone(void)
{
    make_memory();
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 100);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    uint64_t before = faults();
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(segue_mapping_destroy(&memory), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, 4 * SIZE, &memory), SEGUE_OK);
    fill(memory.alias);
    assert_int_equal(faults(), before);
    begin_with(0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_in_range(faults() - before, 1, 20);
    return 0;
}

static void begin_many(struct segue_mapping *mappings, unsigned count, struct segue_region (*region_of)(uint32_t),
                       uint32_t flags)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(segue_mapping_create(NULL, SIZE, &mappings[i]), SEGUE_OK);
        memory = mappings[i];
        fill(memory.alias);
        struct segue_region region = region_of(flags);
        begin(&region);
    }
}

static int many_regions_are_found(void)
{
    struct segue_mapping mappings[8];
    begin_many(mappings, 8, region_with, 0);
    uint64_t wanted = sites_sum(mappings[0].alias, 100);
    for (unsigned i = 0; i < 8 * 20; i++)
        assert_int_equal(sites_sum(mappings[i % 8].memory, 100), wanted);
    uint64_t before = faults();
    for (unsigned i = 0; i < 8 * 20; i++)
        assert_int_equal(sites_sum(mappings[i % 8].memory, 100), wanted);
    assert_in_range(faults() - before, 0, 10);
    return 0;
}

/* A body of one region serves all that count. */
static int accesses_of_many_regions_are_counted(void)
{
    struct segue_mapping mappings[4];
    begin_many(mappings, 4, region_with, SEGUE_REGION_COUNT);
    uint64_t wanted = sites_sum(mappings[0].alias, 100), stepped = steps(), before = faults();
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_sum(mappings[i % 4].memory, 100), wanted);
    assert_int_equal(counted() + (steps() - stepped), 100 * ROUNDS);
    assert_in_range(faults() - before, 1, 10);
    return 0;
}

static int policies_of_many_regions_are_asked(void)
{
    struct segue_mapping mappings[8];
    begin_many(mappings, 8, region_with_policy, SEGUE_REGION_HOT_GENERAL);
    uint64_t wanted = sites_sum(mappings[0].alias, 100);
    for (unsigned i = 0; i < 8 * 20; i++)
        assert_int_equal(sites_sum(mappings[i % 8].memory, 100), wanted);
    assert_int_equal(asked + asked_ordinarily, 8 * 20 * 100);
    uint64_t before = faults();
    for (unsigned i = 0; i < 8 * 20; i++) {
        assert_int_equal(sites_sum(mappings[i % 8].memory, 100), wanted);
        assert_int_equal(last_address, (uint64_t)(uintptr_t)mappings[i % 8].memory + 99 * 8);
    }
    assert_int_equal(asked + asked_ordinarily, 2 * 8 * 20 * 100);
    assert_int_equal(faults(), before);
    return 0;
}

static int undone_sites_fault_again(void)
{
    size_t count;
    unsigned char before[64], after[64];
    make_memory();
    memcpy(before, (void *)(uintptr_t)sites_sum, sizeof before);
    begin_with(0);
    for (unsigned i = 0; i < 20; i++)
        sites_sum(memory.memory, 100);
    memcpy(after, (void *)(uintptr_t)sites_sum, sizeof after);
    assert_memory_not_equal(before, after, sizeof before);
    assert_int_equal(segue_patches_undo(0, SIZE_MAX, &count), SEGUE_OK);
    assert_true(count > 0);
    memcpy(after, (void *)(uintptr_t)sites_sum, sizeof after);
    assert_memory_equal(before, after, sizeof before);
    uint64_t first = faults();
    sites_sum(memory.memory, 100);
    assert_in_range(faults() - first, 1, 100);
    return 0;
}

static volatile sig_atomic_t ticks;
static uint64_t low, high;
static volatile uint64_t strays;

static void tick(int number, siginfo_t *info, void *context)
{
    struct segue_frame frame;
    (void)number;
    ticks = ticks + 1;
    segue_frame_open(&frame, info, context);
    segue_translate(&frame.regs);
    uint64_t rip = frame.regs.rip;
    if (rip < low || rip >= high)
        strays++;
}

static int signals_may_come_at_any_time(void)
{
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct itimerval often = {{0, 50}, {0, 50}};
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    uint64_t wanted = sites_sum(memory.alias, SIZE / 8), carry = sites_sum_with_carry(memory.alias, SIZE / 8);
    uint64_t first = steps(), rounds = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (ticks < 5000) {
        assert_int_equal(sites_sum(memory.memory, SIZE / 8), wanted);
        assert_int_equal(sites_sum_with_carry(memory.memory, SIZE / 8), carry);
        rounds++;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    assert_int_equal(counted() + (steps() - first), rounds * 2 * (SIZE / 8));
    return 0;
}

/* ---- single steps ---- */

#define STEPS 4096u
static struct {
    uint64_t rip, rax, flags;
} trail[2][STEPS];
static volatile size_t step_count;
static volatile int trail_in_use;

static void note_step(int number, siginfo_t *info, void *context)
{
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)number;
    (void)info;
    if (step_count < STEPS) {
        trail[trail_in_use][step_count].rip = (uint64_t)registers[REG_RIP];
        trail[trail_in_use][step_count].rax = (uint64_t)registers[REG_RAX];
        trail[trail_in_use][step_count].flags = (uint64_t)registers[REG_EFL] & 0xcd5;
    }
    step_count++;
}

static size_t step_through(uint64_t (*function)(void *at, uint64_t count), void *at, uint64_t count)
{
    step_count = 0;
    __asm__ volatile("xor %%eax, %%eax\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tcall *%2\n\t"
                     "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq"
                     : "+D"(at), "+S"(count), "+r"(function)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return step_count;
}

static int single_steps_show_the_program(void)
{
    static char plain[SIZE] __attribute__((aligned(PAGE)));
    struct sigaction action = {.sa_sigaction = note_step, .sa_flags = SA_SIGINFO};
    uint64_t (*const functions[])(void *, uint64_t) = {sites_sum, sites_sum_with_carry};
    sigaction(SIGTRAP, &action, NULL);
    make_memory();
    memcpy(plain, memory.alias, SIZE);
    begin_with(SEGUE_REGION_COUNT);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = steps();
        trail_in_use = 0;
        size_t wanted = step_through(functions[i], plain, 20);
        assert_in_range(wanted, 80, STEPS);
        functions[i](memory.memory, 20);
        uint64_t count = counted();
        trail_in_use = 1;
        assert_int_equal(step_through(functions[i], memory.memory, 20), wanted);
        /* The last steps are behind the call. */
        assert_memory_equal(trail[0], trail[1], (wanted - 4) * sizeof trail[0][0]);
        assert_int_equal(counted() - count + (steps() - before), 20);
    }
    return 0;
}

static int children_have_their_own(void)
{
    make_memory();
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 100);
    sites_sum(memory.memory, 100);
    pid_t child = fork();
    if (child == 0) {
        uint64_t chain = sites_load_three(memory.alias);
        for (unsigned i = 0; i < ROUNDS; i++)
            if (sites_sum(memory.memory, 100) != wanted || sites_load_three(memory.memory) != chain)
                _exit(1);
        _exit(0);
    }
    uint64_t four = sites_load_four(memory.alias);
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
        assert_int_equal(sites_load_four(memory.memory), four);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return 0;
}

static volatile int stop;

static void *sum_for_ever(void *wanted)
{
    uint64_t wrong = 0;
    while (!stop)
        wrong += sites_sum(memory.memory, 500) != (uint64_t)(uintptr_t)wanted;
    return (void *)(uintptr_t)wrong;
}

static int threads_go_on_while_sites_change(void)
{
    pthread_t threads[4];
    make_memory();
    uint64_t wanted = sites_sum(memory.alias, 500);
    begin_with(0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sum_for_ever, (void *)(uintptr_t)wanted), 0);
    struct segue_region region = region_with(0);
    for (unsigned i = 0; i < 100; i++) {
        usleep(1000);
        assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
        usleep(1000);
        assert_int_equal(segue_region_update(&region), SEGUE_OK);
    }
    stop = 1;
    for (unsigned i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    return 0;
}

static int what_is_wrong_is_named(void)
{
    make_memory();
    struct segue_region region = region_with(0);
    region.policy = policy;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    assert_string_equal(segue_reason(), "region.hot_policy of a hot region with a policy is NULL");
    region = region_with_policy(SEGUE_REGION_COUNT);
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = region_with(0);
    region.window.alias = (char *)memory.memory + (UINT64_C(1) << 33);
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = region_with(0);
    region.flags = SEGUE_REGION_COUNT;
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    region = region_with(0);
    region.window = segue_window_exposed(memory.memory, memory.size);
    assert_int_equal(segue_region_add(&region), SEGUE_INVALID);
    return 0;
}

static void *list_for_ever(void *unused)
{
    (void)unused;
    while (!stop)
        counted();
    return NULL;
}

/* Also of a process that answers no faults of segment registers. */
static int children_may_list_what_a_thread_lists(void)
{
    pthread_t lister;
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    sites_sum(memory.memory, 100);
    assert_int_equal(pthread_create(&lister, NULL, list_for_ever, NULL), 0);
    for (unsigned i = 0; i < 200; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            alarm(10);
            counted();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    stop = 1;
    pthread_join(lister, NULL);
    return 0;
}

/* Where the alias of a region that is gone was, there is another region; it was the last one that the site met. */
static int an_alias_may_become_a_region(void)
{
    struct segue_mapping first;
    make_memory();
    first = memory;
    begin_with(0);
    for (unsigned i = 0; i < 10; i++)
        sites_sum(memory.memory, 100);
    assert_int_equal(segue_region_remove(first.memory), SEGUE_OK);
    void *at = first.alias;
    size_t size = first.size;
    assert_int_equal(segue_mapping_destroy(&first), SEGUE_OK);
    memory.size = size;
    memory.memory = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(memory.memory, at);
    /* The same pages again, close to the pages that are there. */
    memory.alias = mremap(at, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)at + 2 * size);
    assert_ptr_equal(memory.alias, (char *)at + 2 * size);
    fill(memory.alias);
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 100);
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    return 0;
}

/* The code that a site's line leads to is read; the read may fail. */
static int a_line_may_lead_to_no_memory(void)
{
    uint64_t wanted;
    make_memory();
    memcpy(&wanted, memory.alias, 8);
    begin_with(0);
    uint64_t first = faults();
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(sites_to_nowhere(memory.memory), wanted);
    assert_in_range(faults() - first, 1, 10);
    return 0;
}

static void take_a_trap(int number)
{
    (void)number;
    strays++;
}

/* A program that handles SIGTRAP would get the breakpoints of code changes. */
static int no_code_changes_while_sigtrap_is_the_programs(void)
{
    struct sigaction action = {.sa_handler = take_a_trap}, before;
    make_memory();
    begin_with(0);
    uint64_t wanted = sites_sum(memory.alias, 100);
    assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
    uint64_t first = faults();
    assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_int_equal(faults() - first, 100);
    assert_int_equal(strays, 0);
    assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
    first = faults();
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(sites_sum(memory.memory, 100), wanted);
    assert_in_range(faults() - first, 1, 100);
    return 0;
}

static const struct child_case cases[] = {
    {"results_are_those_of_open_memory", results_are_those_of_open_memory},
    {"counts_are_exact", counts_are_exact},
    {"policies_are_asked_about_each_access", policies_are_asked_about_each_access},
    {"masked_accesses_are_those_of_open_memory", masked_accesses_are_those_of_open_memory},
    {"masked_accesses_are_counted_if_there_are_any", masked_accesses_are_counted_if_there_are_any},
    {"policies_are_shown_what_a_mask_selects", policies_are_shown_what_a_mask_selects},
    {"vectors_and_registers_are_kept_for_a_policy", vectors_and_registers_are_kept_for_a_policy},
    {"policies_may_be_asked_inside_one", policies_may_be_asked_inside_one},
    {"updates_take_effect", updates_take_effect},
    {"a_region_that_is_removed_is_left_alone", a_region_that_is_removed_is_left_alone},
    {"many_regions_are_found", many_regions_are_found},
    {"accesses_of_many_regions_are_counted", accesses_of_many_regions_are_counted},
    {"policies_of_many_regions_are_asked", policies_of_many_regions_are_asked},
    {"undone_sites_fault_again", undone_sites_fault_again},
    {"signals_may_come_at_any_time", signals_may_come_at_any_time},
    {"single_steps_show_the_program", single_steps_show_the_program},
    {"children_have_their_own", children_have_their_own},
    {"threads_go_on_while_sites_change", threads_go_on_while_sites_change},
    {"children_may_list_what_a_thread_lists", children_may_list_what_a_thread_lists},
    {"an_alias_may_become_a_region", an_alias_may_become_a_region},
    {"no_code_changes_while_sigtrap_is_the_programs", no_code_changes_while_sigtrap_is_the_programs},
    {"a_line_may_lead_to_no_memory", a_line_may_lead_to_no_memory},
    {"what_is_wrong_is_named", what_is_wrong_is_named},
};

static void in_child(void **state)
{
    struct child_result result = child_run(*state);
    if (result.status != 0)
        print_message("%s\nsignal %d\n", result.output, result.signal);
    assert_int_equal(result.status, 0);
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, in_child, NULL, NULL, (void *)(uintptr_t) #name                                                         \
    }

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        CASE(results_are_those_of_open_memory),
        CASE(counts_are_exact),
        CASE(policies_are_asked_about_each_access),
        CASE(masked_accesses_are_those_of_open_memory),
        CASE(masked_accesses_are_counted_if_there_are_any),
        CASE(policies_are_shown_what_a_mask_selects),
        CASE(vectors_and_registers_are_kept_for_a_policy),
        CASE(policies_may_be_asked_inside_one),
        CASE(updates_take_effect),
        CASE(a_region_that_is_removed_is_left_alone),
        CASE(many_regions_are_found),
        CASE(accesses_of_many_regions_are_counted),
        CASE(policies_of_many_regions_are_asked),
        CASE(undone_sites_fault_again),
        CASE(signals_may_come_at_any_time),
        CASE(single_steps_show_the_program),
        CASE(children_have_their_own),
        CASE(threads_go_on_while_sites_change),
        CASE(children_may_list_what_a_thread_lists),
        CASE(an_alias_may_become_a_region),
        CASE(no_code_changes_while_sigtrap_is_the_programs),
        CASE(a_line_may_lead_to_no_memory),
        CASE(what_is_wrong_is_named),
    };
    child_main(count, arguments, cases, sizeof cases / sizeof *cases);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
