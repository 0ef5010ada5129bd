/* hot_constants.c: hot sites whose operand has a constant address: its displacement in the code becomes the alias's. */
#include "hot_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "constants.h"

#define CONSTANT_PAGES 2u
#define BYTES (CONSTANT_PAGES * PAGE)
/* The sites that run_relative has. */
#define SITES 34u
#define REACH (UINT64_C(1) << 30)

/* constants_x86_64.S. */
uint64_t constants_load(void), constants_add(void), constants_modify(void), constants_vectors(void);
uint64_t constants_call(void), constants_stepped(void), constants_straddle(void), constants_prefixed(int with);
uint64_t constants_absolute(void), constants_offset(void);
uint64_t constants_behind(const void *at), constants_behind_it(void);
extern const char constants_end[];

extern char constants_memory[BYTES];
char constants_memory[BYTES] __attribute__((aligned(PAGE)));

static char *alias;
static int file;

/* Memory of the file, near the address, at a place that is free. */
static char *map_near(uint64_t address)
{
    for (uint64_t away = REACH / 64; away < REACH; away += REACH / 64) {
        void *at = (void *)(uintptr_t)(address > REACH ? address - away : address + away);
        void *mapped = mmap(at, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
        if (mapped == at)
            return mapped;
    }
    fail_msg("there is no room near %#lx", (unsigned long)address);
    return NULL;
}

/* The memory at the address becomes the file's, with an alias. */
static void make_constants_at(void *at)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    file = memfd_create("constants", 0);
    assert_int_equal(ftruncate(file, BYTES), 0);
    assert_ptr_equal(mmap(at, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0), at);
    alias = map_near((uint64_t)(uintptr_t)at);
}

static void fill_constants(void)
{
    for (uint64_t i = 0; i < BYTES; i += 8) {
        uint64_t word = i * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(alias + i, &word, 8);
    }
}

static struct segue_region constants_region(void *at, uint64_t size, uint32_t flags)
{
    return (struct segue_region){
        .window = {.base = (uint64_t)(uintptr_t)at, .size = size, .kind = SEGUE_WINDOW_ALIAS, .alias = alias},
        .flags = SEGUE_REGION_HOT | flags,
    };
}

static void begin_constants(uint32_t flags)
{
    struct segue_region region = constants_region(constants_memory, BYTES, flags);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(constants_memory, BYTES, PROT_NONE), 0);
}

static void end_constants(void)
{
    assert_int_equal(mprotect(constants_memory, BYTES, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(constants_memory), SEGUE_OK);
}

struct found {
    unsigned led, undone, jumps, bytes;
};

static enum segue_status look_at(void *context, const struct segue_patch *patch)
{
    struct found *found = context;
    if (patch->kind == SEGUE_PATCH_CONSTANT) {
        found->led += !patch->undone;
        found->undone += patch->undone;
        found->bytes += patch->length;
        assert_true(patch->changed > patch->address && patch->tactic == SEGUE_TACTIC_NONE);
    }
    found->jumps += patch->kind == SEGUE_PATCH_HOT && !patch->undone;
    return SEGUE_OK;
}

static struct found find_all(void)
{
    struct found found = {0};
    assert_int_equal(segue_patches_list(0, SIZE_MAX, look_at, &found), SEGUE_OK);
    return found;
}

static uint64_t run_relative(void)
{
    uint64_t sum = 0;
    fill_constants();
    sum = sum * 31 + constants_load();
    constants_add();
    sum = sum * 31 + constants_modify();
    sum = sum * 31 + constants_vectors();
    sum = sum * 31 + constants_call();
    for (size_t i = 0; i < BYTES; i += 8) {
        uint64_t word;
        memcpy(&word, alias + i, 8);
        sum = sum * 31 + word;
    }
    return sum;
}

/* The functions as they are in memory. */
static size_t copy_code(char *to)
{
    const char *from = (const char *)(uintptr_t)constants_load;
    memcpy(to, from, (size_t)(constants_end - from));
    return (size_t)(constants_end - from);
}

static int results_are_those_of_open_memory(void)
{
    make_constants_at(constants_memory);
    uint64_t wanted = run_relative();
    begin_constants(0);
    uint64_t first = faults(), first_steps = steps();
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(run_relative(), wanted);
    struct found found = find_all();
    assert_int_equal(found.led, SITES);
    assert_int_equal(found.jumps, 0);
    assert_in_range(found.bytes, found.led, 4 * found.led);
    /* One fault for each, and none is stepped. */
    assert_int_equal(faults() - first, found.led);
    assert_int_equal(steps() - first_steps, 0);
    return 0;
}

static int code_is_the_programs_again(void)
{
    char before[2048], after[2048];
    make_constants_at(constants_memory);
    size_t size = copy_code(before);
    uint64_t wanted = run_relative();
    for (unsigned i = 0; i < 20; i++) {
        begin_constants(0);
        assert_int_equal(run_relative(), wanted);
        assert_int_equal(find_all().led, SITES);
        end_constants();
        assert_int_equal(find_all().led, 0);
        copy_code(after);
        assert_memory_equal(before, after, size);
        assert_int_equal(run_relative(), wanted);
    }
    return 0;
}

static int undone_constants_fault_again(void)
{
    size_t count;
    make_constants_at(constants_memory);
    uint64_t wanted = run_relative(), start = (uint64_t)(uintptr_t)constants_load;
    begin_constants(0);
    assert_int_equal(run_relative(), wanted);
    assert_int_equal(segue_patches_undo(start, (size_t)(constants_end - (const char *)start), &count), SEGUE_OK);
    assert_int_equal(count, SITES);
    assert_int_equal(find_all().undone, SITES);
    uint64_t first = faults();
    assert_int_equal(run_relative(), wanted);
    assert_int_equal(faults() - first, SITES);
    assert_int_equal(find_all().led, SITES);
    assert_int_equal(segue_patches_exclude(start, (size_t)(constants_end - (const char *)start)), SEGUE_OK);
    assert_int_equal(find_all().led, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(run_relative(), wanted);
    assert_int_equal(find_all().led, 0);
    return 0;
}

static uint64_t asked;

static SEGUE_HOT_POLICY enum segue_verdict hot_policy(void *context, const struct segue_hot_event *event)
{
    (void)context;
    (void)event;
    __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
    return SEGUE_STEP;
}

static enum segue_verdict policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
    return SEGUE_STEP;
}

static void give_policy(struct segue_region *region)
{
    region->policy = policy;
    region->hot_policy = hot_policy;
    region->flags |= SEGUE_REGION_HOT_GENERAL;
}

static int changed_region_asks_and_counts(void)
{
    make_constants_at(constants_memory);
    begin_constants(0);
    for (unsigned round = 0; round < 5; round++) {
        struct segue_region region = constants_region(constants_memory, BYTES, 0);
        for (unsigned i = 0; i < 10; i++)
            constants_add();
        assert_int_equal(find_all().led, 1);
        give_policy(&region);
        assert_int_equal(segue_region_update(&region), SEGUE_OK);
        assert_int_equal(find_all().led, 0);
        uint64_t before = asked;
        for (unsigned i = 0; i < 10; i++)
            constants_add();
        assert_int_equal(asked - before, 10);
        region = constants_region(constants_memory, BYTES, SEGUE_REGION_COUNT);
        assert_int_equal(segue_region_update(&region), SEGUE_OK);
        before = counted() + steps();
        for (unsigned i = 0; i < 10; i++)
            constants_add();
        assert_int_equal(counted() + steps() - before, 10);
        region = constants_region(constants_memory, BYTES, 0);
        assert_int_equal(segue_region_update(&region), SEGUE_OK);
        assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
    }
    return 0;
}

struct worker {
    pthread_t thread;
    /* Set by the worker before each access: what the access must do. */
    uint64_t accesses, skipped;
};
/* Odd while each access must be asked about. */
static unsigned asking;
static bool is_over;

static void *access_always(void *context)
{
    struct worker *worker = context;
    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        unsigned turn = __atomic_load_n(&asking, __ATOMIC_ACQUIRE);
        uint64_t before = __atomic_load_n(&asked, __ATOMIC_SEQ_CST);
        constants_add();
        worker->accesses++;
        /* The mode may change while the access is made: then it is not known what it must do. */
        if (turn % 2 && __atomic_load_n(&asking, __ATOMIC_ACQUIRE) == turn)
            worker->skipped += __atomic_load_n(&asked, __ATOMIC_SEQ_CST) == before;
    }
    return NULL;
}

/* Another thread's accesses are made while its instruction changes; a policy is asked about each that begins after the
 * region has it. */
static int no_policy_is_skipped_by_a_thread(void)
{
    struct worker worker = {.accesses = 0};
    uint64_t made, led = 0;
    unsigned rounds = 0;
    make_constants_at(constants_memory);
    fill_constants();
    memcpy(&made, alias + 16, sizeof made);
    begin_constants(0);
    assert_int_equal(pthread_create(&worker.thread, NULL, access_always, &worker), 0);
    /* On a busy machine the thread may not have had its turn in all that time. */
    for (; rounds < 300 || !led; rounds++) {
        struct segue_region region = constants_region(constants_memory, BYTES, 0);
        usleep(200);
        led += find_all().led;
        give_policy(&region);
        assert_int_equal(segue_region_update(&region), SEGUE_OK);
        __atomic_fetch_add(&asking, 1, __ATOMIC_RELEASE);
        usleep(100);
        __atomic_fetch_add(&asking, 1, __ATOMIC_SEQ_CST);
        region = constants_region(constants_memory, BYTES, 0);
        assert_int_equal(segue_region_update(&region), SEGUE_OK);
        if (rounds % 3 == 0)
            assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(worker.thread, NULL), 0);
    assert_in_range(led, 1, rounds);
    assert_int_equal(worker.skipped, 0);
    uint64_t now;
    memcpy(&now, alias + 16, sizeof now);
    assert_int_equal(now - made, worker.accesses);
    return 0;
}

static int what_is_not_exact_goes_on_faulting(void)
{
    make_constants_at(constants_memory);
    fill_constants();
    uint64_t wanted = constants_stepped();
    fill_constants();
    begin_constants(0);
    for (unsigned i = 0; i < 10; i++) {
        fill_constants();
        assert_int_equal(constants_stepped(), wanted);
    }
    assert_int_equal(find_all().led, 0);
    return 0;
}

static int access_across_the_end_is_not_led(void)
{
    make_constants_at(constants_memory);
    fill_constants();
    uint64_t wanted = constants_straddle();
    struct segue_region region = constants_region(constants_memory, PAGE, 0);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(constants_memory, PAGE, PROT_NONE), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(constants_straddle(), wanted);
    assert_int_equal(find_all().led, 0);
    return 0;
}

static int instruction_with_and_without_a_prefix_is_one(void)
{
    uint64_t before, after;
    make_constants_at(constants_memory);
    begin_constants(0);
    for (unsigned round = 0; round < 4; round++) {
        memcpy(&before, alias + 24, 8);
        for (unsigned i = 0; i < 10; i++)
            constants_prefixed(round < 2 ? i % 2 : 1 - i % 2);
        memcpy(&after, alias + 24, 8);
        assert_int_equal(after - before, 10);
        assert_int_equal(find_all().led, 1);
        assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
        assert_int_equal(find_all().led, 0);
    }
    return 0;
}

/* Of a jump in its place, one would enter the middle. */
static int instruction_with_and_without_a_prefix_is_no_jump(void)
{
    uint64_t before, after;
    make_constants_at(constants_memory);
    begin_constants(SEGUE_REGION_COUNT);
    memcpy(&before, alias + 24, 8);
    for (unsigned i = 0; i < 10; i++)
        constants_prefixed(i % 2);
    memcpy(&after, alias + 24, 8);
    assert_int_equal(after - before, 10);
    assert_int_equal(find_all().jumps, 0);
    return 0;
}

static int absolute_addresses_are_led(void)
{
    char *low = (char *)CONSTANTS_LOW;
    make_constants_at(low);
    fill_constants();
    uint64_t wanted[] = {constants_absolute(), constants_offset()};
    struct segue_region region = constants_region(low, BYTES, 0);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(low, BYTES, PROT_NONE), 0);
    for (unsigned i = 0; i < 10; i++) {
        fill_constants();
        assert_int_equal(constants_absolute(), wanted[0]);
        assert_int_equal(constants_offset(), wanted[1]);
    }
    /* All but the one of 32 bits, which is in a body or stepped. */
    assert_int_equal(find_all().led, 5);
    return 0;
}

/* The jump before it is undone and made anew each time that the constant changes. */
static int constant_behind_a_pun_is_led(void)
{
    uint32_t words[2];
    make_constants_at(constants_memory);
    fill_constants();
    memcpy(&words[0], alias + 40, 4);
    memcpy(&words[1], alias + 56, 4);
    begin_constants(0);
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 10; i++) {
            assert_int_equal((uint32_t)constants_behind(constants_memory + 40), words[0] + words[1]);
            constants_behind_it();
            assert_int_equal((uint32_t)constants_behind(constants_memory + 40), words[0] + words[1]);
        }
        struct found found = find_all();
        assert_int_equal(found.led, 1);
        assert_int_equal(found.jumps, 1);
        /* The pun alone, the constant alone, both. */
        uint64_t start = (uint64_t)(uintptr_t)constants_behind;
        assert_int_equal(segue_patches_undo(start + (round % 3 == 1 ? 3 : 0), round % 3 ? 7 : 3, NULL), SEGUE_OK);
    }
    return 0;
}

static sigjmp_buf back;
static volatile uint64_t fault_address, fault_site;

static void leave_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    fault_address = (uint64_t)(uintptr_t)info->si_addr;
    fault_site = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    siglongjmp(back, 1);
}

/* The file is too short for the page: the program sees the address that its own instruction has. */
static int fault_at_the_alias_is_reported_in_the_region(void)
{
    const struct sigaction action = {.sa_sigaction = leave_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
    make_constants_at(constants_memory);
    begin_constants(0);
    constants_load();
    assert_int_equal(find_all().led, 1);
    assert_int_equal(ftruncate(file, 0), 0);
    if (sigsetjmp(back, 1) == 0)
        constants_load();
    assert_int_equal(fault_site, (uint64_t)(uintptr_t)constants_load);
    assert_int_equal(fault_address, (uint64_t)(uintptr_t)constants_memory + 8);
    return 0;
}

static int child_undoes_its_own(void)
{
    int status;
    make_constants_at(constants_memory);
    uint64_t wanted = run_relative();
    begin_constants(0);
    assert_int_equal(run_relative(), wanted);
    pid_t child = fork();
    if (child == 0) {
        struct segue_region region = constants_region(constants_memory, BYTES, 0);
        give_policy(&region);
        if (find_all().led != SITES || segue_region_update(&region) != SEGUE_OK || find_all().led)
            _exit(1);
        constants_add();
        _exit(asked == 1 ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(find_all().led, SITES);
    uint64_t first = faults();
    assert_int_equal(run_relative(), wanted);
    assert_int_equal(faults() - first, 0);
    return 0;
}

/* As a debugger writes it; it does not take the constant back. */
static int breakpoint_on_it_leaves_no_constant(void)
{
    char before[2048], after[2048];
    make_constants_at(constants_memory);
    size_t size = copy_code(before);
    begin_constants(0);
    constants_load();
    int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(mem, "\xcc", 1, (off_t)(uintptr_t)constants_load), 1);
    end_constants();
    copy_code(after);
    assert_memory_equal(before + 1, after + 1, size - 1);
    return 0;
}

/* Code that was mapped over it is not written to. */
static int replaced_code_is_forgotten(void)
{
    const uint64_t page = (uint64_t)(uintptr_t)constants_load & ~(uint64_t)(PAGE - 1);
    static char code[2 * PAGE];
    make_constants_at(constants_memory);
    begin_constants(0);
    memcpy(code, (const void *)page, sizeof code);
    constants_load();
    assert_int_equal(find_all().led, 1);
    /* The same instruction, but another place. */
    code[(uint64_t)(uintptr_t)constants_load - page + 3] ^= 8;
    int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(mem, code, sizeof code, (off_t)page), sizeof code);
    end_constants();
    assert_memory_equal(code, (const void *)page, sizeof code);
    assert_int_equal(find_all().led, 0);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(results_are_those_of_open_memory)                                                                                \
    X(code_is_the_programs_again)                                                                                      \
    X(undone_constants_fault_again)                                                                                    \
    X(changed_region_asks_and_counts)                                                                                  \
    X(no_policy_is_skipped_by_a_thread)                                                                                \
    X(what_is_not_exact_goes_on_faulting)                                                                              \
    X(access_across_the_end_is_not_led)                                                                                \
    X(instruction_with_and_without_a_prefix_is_one)                                                                    \
    X(instruction_with_and_without_a_prefix_is_no_jump)                                                                \
    X(absolute_addresses_are_led)                                                                                      \
    X(constant_behind_a_pun_is_led)                                                                                    \
    X(fault_at_the_alias_is_reported_in_the_region)                                                                    \
    X(child_undoes_its_own)                                                                                            \
    X(breakpoint_on_it_leaves_no_constant)                                                                             \
    X(replaced_code_is_forgotten)

CASES_MAIN(EACH_CASE)
