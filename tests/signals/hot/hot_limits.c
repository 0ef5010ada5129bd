/* hot_limits.c: what a program sets for hot sites (<segue/hot.h>, <segue/patch.h>), what is beyond a limit, and what
 * never becomes hot: all of it goes on faulting, with the right results. */
#include "hot_fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void configure(struct segue_hot_options options)
{
    assert_int_equal(segue_hot_configure(&options), SEGUE_OK);
}

/* How many sites are hot; how many are not, and the reason of the last one. */
struct listed {
    unsigned hot, refused;
    const char *reason;
};

static enum segue_status list_one(void *context, const struct segue_patch *patch)
{
    struct listed *listed = context;
    if (patch->kind == SEGUE_PATCH_HOT && !patch->undone)
        listed->hot++;
    if (patch->kind == SEGUE_PATCH_NONE && patch->reason) {
        listed->refused++;
        listed->reason = patch->reason;
    }
    return SEGUE_OK;
}

static struct listed list(uint64_t start, uint64_t size)
{
    struct listed listed = {.reason = NULL};
    assert_int_equal(segue_patches_list(start, size, list_one, &listed), SEGUE_OK);
    return listed;
}

static struct listed list_all(void)
{
    return list(0, SIZE_MAX);
}

static uint64_t address_of(uint64_t (*function)(void *))
{
    return (uint64_t)(uintptr_t)function;
}

/* Faults of so many calls, whose results are compared. */
static uint64_t faults_of(uint64_t (*function)(void *), unsigned calls)
{
    uint64_t wanted = function(memory.alias), before = faults();
    for (unsigned i = 0; i < calls; i++)
        assert_int_equal(function(memory.memory), wanted);
    return faults() - before;
}

/* ---- what is set ---- */

static int a_site_is_hot_with_the_fault_that_reaches_the_threshold(void)
{
    configure((struct segue_hot_options){.threshold = 3});
    make_memory();
    begin_with(0);
    assert_int_equal(faults_of(sites_load_three, 2), 2);
    assert_int_equal(list_all().hot, 0);
    assert_int_equal(faults_of(sites_load_three, 10), 1);
    assert_int_equal(list_all().hot, 1);
    assert_int_equal(segue_hot_configure(NULL), SEGUE_OK);
    assert_int_equal(faults_of(sites_load_four, 10), 1);
    return 0;
}

static int sites_that_are_soon_reached_become_hot_together(void)
{
    make_memory();
    begin_with(0);
    assert_int_equal(faults_of(sites_three_lines, 10), 1);
    assert_int_equal(list_all().hot, 3);
    return 0;
}

static int only_the_site_that_faulted_becomes_hot_if_asked(void)
{
    configure((struct segue_hot_options){.flags = SEGUE_HOT_NOT_EAGER});
    make_memory();
    begin_with(0);
    assert_int_equal(faults_of(sites_three_lines, 10), 3);
    assert_int_equal(list_all().hot, 3);
    return 0;
}

static int sites_beyond_the_most_go_on_faulting(void)
{
    struct segue_hot_options options = {.most_sites = 1};
    configure(options);
    make_memory();
    begin_with(0);
    assert_int_equal(faults_of(sites_load_seven, ROUNDS), 1);
    assert_int_equal(faults_of(sites_load_four, ROUNDS), ROUNDS);
    assert_int_equal(list_all().hot, 1);
    options.most_sites = 2;
    assert_int_equal(segue_hot_configure(&options), SEGUE_BUSY);
    assert_non_null(strstr(segue_reason(), "most_sites"));
    options.most_sites = 1;
    configure(options);
    return 0;
}

/* One site after another until the memory is used up; then more of it. */
static int limits_may_be_raised(struct segue_hot_options few, const char *reason)
{
    configure(few);
    make_memory();
    begin_with(0);
    uint64_t some = faults_of(sites_load_seven, 100) + faults_of(sites_load_four, 100);
    assert_true(some >= 100);
    struct listed listed = list_all();
    assert_true(listed.refused > 0);
    assert_non_null(strstr(listed.reason, reason));
    assert_int_equal(segue_hot_configure(NULL), SEGUE_OK);
    /* A site is tried again after twice as many faults. */
    assert_in_range(faults_of(sites_load_seven, ROUNDS), 0, 128);
    assert_in_range(faults_of(sites_load_four, ROUNDS), 0, 128);
    assert_int_equal(faults_of(sites_load_seven, 10) + faults_of(sites_load_four, 10), 0);
    return 0;
}

static int sites_without_memory_for_bodies_go_on_faulting(void)
{
    return limits_may_be_raised((struct segue_hot_options){.most_memory = 1}, "memory");
}

static int sites_without_mappings_go_on_faulting(void)
{
    return limits_may_be_raised((struct segue_hot_options){.most_mappings = 1}, "mapping");
}

static int a_region_without_memory_for_tables_is_refused_with_the_reason(void)
{
    const struct rlimit little = {64u << 20, 64u << 20};
    make_memory();
    struct segue_region region = region_with(0);
    assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
    assert_int_equal(segue_region_add(&region), SEGUE_NO_MEMORY);
    assert_non_null(strstr(segue_reason(), "no more memory"));
    return 0;
}

static int options_that_are_unknown_are_refused(void)
{
    struct segue_hot_options options = {.flags = 4};
    assert_int_equal(segue_hot_configure(&options), SEGUE_INVALID);
    options = (struct segue_hot_options){.reserved = {0, 0, 1}};
    assert_int_equal(segue_hot_configure(&options), SEGUE_INVALID);
    return 0;
}

/* ---- which code ---- */

#define CODE_SIZE 64u

/* The function's code in memory of no file; maps some if `code` is NULL. */
static uint8_t *write_code(uint8_t *code, uint64_t (*function)(void *))
{
    if (!code)
        code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(code, MAP_FAILED);
    assert_int_equal(mprotect(code, PAGE, PROT_READ | PROT_WRITE), 0);
    memcpy(code, (void *)(uintptr_t)function, CODE_SIZE);
    assert_int_equal(mprotect(code, PAGE, PROT_READ | PROT_EXEC), 0);
    return code;
}

static int code_of_no_file_goes_on_faulting(void)
{
    make_memory();
    begin_with(0);
    uint8_t *code = write_code(NULL, sites_load_seven);
    uint64_t (*generated)(void *) = (uint64_t(*)(void *))(uintptr_t)code;
    assert_int_equal(faults_of(generated, 100), 100);
    assert_memory_equal(code, (void *)(uintptr_t)sites_load_seven, CODE_SIZE);
    struct listed listed = list(address_of(generated), CODE_SIZE);
    assert_int_equal(listed.hot, 0);
    assert_string_equal(listed.reason, "its code may be rewritten");
    return 0;
}

static int code_of_a_jit_compiler_becomes_hot_if_allowed(void)
{
    configure((struct segue_hot_options){.flags = SEGUE_HOT_JIT});
    make_memory();
    begin_with(0);
    uint8_t *code = write_code(NULL, sites_load_seven);
    uint64_t (*generated)(void *) = (uint64_t(*)(void *))(uintptr_t)code;
    assert_int_equal(faults_of(generated, 100), 1);
    assert_memory_not_equal(code, (void *)(uintptr_t)sites_load_seven, CODE_SIZE);
    /* Undone, the code is the compiler's own again. */
    size_t count;
    assert_int_equal(segue_patches_undo(address_of(generated), CODE_SIZE, &count), SEGUE_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(code, (void *)(uintptr_t)sites_load_seven, CODE_SIZE);
    assert_in_range(faults_of(generated, 100), 1, 2);
    /* Forgotten, other code may be there. */
    assert_int_equal(segue_patches_forget(address_of(generated), CODE_SIZE), SEGUE_OK);
    write_code(code, sites_load_four);
    assert_int_equal(generated(memory.alias), sites_load_four(memory.alias));
    assert_in_range(faults_of(generated, 100), 1, 2);
    return 0;
}

static int excluded_code_stays_as_it_is(void)
{
    uint8_t before[CODE_SIZE];
    memcpy(before, (void *)(uintptr_t)sites_load_seven, sizeof before);
    assert_int_equal(segue_patches_exclude(address_of(sites_load_seven), 0), SEGUE_INVALID);
    assert_int_equal(segue_patches_exclude(address_of(sites_load_seven), 8), SEGUE_OK);
    make_memory();
    begin_with(0);
    assert_int_equal(faults_of(sites_load_seven, 100), 100);
    assert_memory_equal(before, (void *)(uintptr_t)sites_load_seven, sizeof before);
    struct listed listed = list(address_of(sites_load_seven), 8);
    assert_int_equal(listed.hot, 0);
    assert_string_equal(listed.reason, "the program excluded this code");
    /* What is hot already is undone. */
    memcpy(before, (void *)(uintptr_t)sites_stack, sizeof before);
    assert_in_range(faults_of(sites_stack, 100), 1, 3);
    assert_memory_not_equal(before, (void *)(uintptr_t)sites_stack, sizeof before);
    assert_int_equal(segue_patches_exclude(address_of(sites_stack), CODE_SIZE), SEGUE_OK);
    assert_memory_equal(before, (void *)(uintptr_t)sites_stack, sizeof before);
    assert_int_equal(faults_of(sites_stack, 100), 300);
    for (unsigned i = 2; i < 256; i++)
        assert_int_equal(segue_patches_exclude(0x1000 + i, 1), SEGUE_OK);
    assert_int_equal(segue_patches_exclude(0x1000, 1), SEGUE_NO_MEMORY);
    return 0;
}

/* The state of the x87 holds the address of its last instruction, which would be the body's. */
static int x87_loads_go_on_faulting(void)
{
    make_memory();
    for (unsigned i = 0; i < SIZE / 8; i++)
        ((double *)memory.alias)[i] = 1.5 * i;
    begin_with(0);
    assert_int_equal(faults_of(sites_x87, 100), 200);
    return 0;
}

/* ---- which regions ---- */

/* One region for each page of `memory`, with these flags. */
static void begin_pages(unsigned count, uint32_t flags)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, (size_t)count * PAGE, &memory), SEGUE_OK);
    for (unsigned i = 0; i < count; i++) {
        struct segue_region region = {.flags = SEGUE_REGION_HOT | flags};
        region.window = segue_window_alias((char *)memory.memory + i * PAGE, PAGE, (char *)memory.alias + i * PAGE);
        assert_int_equal(segue_region_add(&region), SEGUE_OK);
        *(uint64_t *)((char *)memory.alias + i * PAGE + 8) = i * UINT64_C(0x9e3779b97f4a7c15);
    }
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, 0), SEGUE_OK);
}

static void load_from_each(unsigned first, unsigned count)
{
    for (unsigned i = first; i < count; i++)
        assert_int_equal(sites_load_four((char *)memory.memory + i * PAGE), i * UINT64_C(0x9e3779b97f4a7c15));
}

/* Regions that have one slot each. */
#define SLOTS 4096u

static uint64_t page_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt;
}

/* The slots of all have 473 pages. */
static int the_first_region_touches_no_other_slots(void)
{
    make_memory();
    struct segue_region region = region_with(0);
    uint64_t before = page_faults();
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_in_range(page_faults() - before, 1, 400);
    return 0;
}

static int regions_beyond_the_most_stay_on_signals(void)
{
    const unsigned count = SLOTS + 20;
    begin_pages(count, 0);
    /* The first that have no slot fault each time, and make nothing hot. */
    for (unsigned i = 0; i < 10; i++)
        load_from_each(SLOTS, count);
    assert_int_equal(faults(), 10 * 20);
    assert_int_equal(list_all().hot, 0);
    load_from_each(0, count);
    load_from_each(0, 1);
    assert_int_equal(list_all().hot, 1);
    /* A slot that is given back can be taken. */
    assert_int_equal(segue_region_remove((char *)memory.memory + SLOTS * PAGE), SEGUE_OK);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    struct segue_region region = {.flags = SEGUE_REGION_HOT};
    region.window = segue_window_alias((char *)memory.memory + SLOTS * PAGE, PAGE, (char *)memory.alias + SLOTS * PAGE);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    uint64_t before = faults();
    for (unsigned i = 0; i < 100; i++)
        load_from_each(SLOTS, SLOTS + 1);
    assert_in_range(faults() - before, 0, 5);
    return 0;
}

/* A body looks up 256 regions; accesses to the others are stepped, or make the body theirs. */
static int accesses_of_more_regions_than_are_looked_up_are_exact(void)
{
    const unsigned count = 300, rounds = 20;
    begin_pages(count, SEGUE_REGION_COUNT);
    for (unsigned i = 0; i < rounds; i++)
        load_from_each(0, count);
    assert_int_equal(counted() + steps(), rounds * count);
    /* The first of them are found by every body. */
    uint64_t before = faults();
    for (unsigned i = 0; i < rounds; i++)
        load_from_each(0, 256);
    assert_in_range(faults() - before, 0, 5);
    assert_int_equal(counted() + steps(), rounds * (count + 256));
    return 0;
}

static enum segue_verdict step_and_count(void *context, const struct segue_event *event)
{
    (void)event;
    ++*(uint64_t *)context;
    return SEGUE_STEP;
}

static SEGUE_HOT_POLICY enum segue_verdict count_hot(void *context, const struct segue_hot_event *event)
{
    (void)event;
    ++*(uint64_t *)context;
    return SEGUE_STEP;
}

/* A barrier that rests at first. */
static int a_region_may_be_idle_from_the_start(void)
{
    uint64_t asked = 0;
    make_memory();
    struct segue_region region = region_with(SEGUE_REGION_IDLE | SEGUE_REGION_HOT_GENERAL);
    region.policy = step_and_count;
    region.hot_policy = count_hot;
    region.context = &asked;
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(faults_of(sites_load_four, 100), 0);
    region.flags &= ~(uint32_t)SEGUE_REGION_IDLE;
    assert_int_equal(segue_region_update(&region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, 0), SEGUE_OK);
    assert_in_range(faults_of(sites_load_four, 100), 1, 3);
    assert_int_equal(asked, 100);
    return 0;
}

/* A site that is hot for another region makes accesses to an idle one as the program wrote them. */
static int hot_sites_leave_idle_regions_alone(void)
{
    struct segue_mapping other;
    begin_many(&other, 1, region_with, SEGUE_REGION_COUNT);
    assert_int_equal(faults_of(sites_load_four, 100), 1);
    uint64_t count = counted();
    assert_int_equal(segue_mapping_create(NULL, SIZE, &memory), SEGUE_OK);
    fill(memory.alias);
    struct segue_region region = region_with(SEGUE_REGION_COUNT | SEGUE_REGION_IDLE);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(faults_of(sites_load_four, 100), 0);
    assert_int_equal(counted(), count);
    return 0;
}

/* ---- without the handler ---- */

static int a_hot_region_may_come_before_the_handler(void)
{
    assert_int_equal(segue_mapping_create(NULL, SIZE, &memory), SEGUE_OK);
    fill(memory.alias);
    begin_with(SEGUE_REGION_COUNT);
    pid_t child = fork();
    if (child == 0) {
        sites_load_four(memory.memory);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    assert_int_equal(list_all().hot, 0);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(faults_of(sites_load_four, 100), 1);
    assert_int_equal(counted() + steps(), 100);
    return 0;
}

/* A site that is hot stays so, for memory that is accessible. */
static int hot_sites_work_without_the_handler(void)
{
    make_memory();
    begin_with(SEGUE_REGION_COUNT);
    assert_int_equal(faults_of(sites_load_four, 100), 1);
    assert_int_equal(segue_uninstall(NULL), SEGUE_BUSY);
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, SEGUE_READ), SEGUE_OK);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(faults_of(sites_load_four, 100), 0);
    assert_int_equal(list_all().hot, 1);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    begin_with(SEGUE_REGION_COUNT);
    assert_int_equal(faults_of(sites_load_four, 100), 0);
    assert_int_equal(faults_of(sites_load_seven, 100), 1);
    assert_int_equal(counted() + steps(), 300);
    return 0;
}

/* The distance to the alias is random, and always one that bodies reach. */
static int mappings_are_near_enough_whatever_their_size(void)
{
    static const size_t sizes[] = {PAGE, UINT64_C(1) << 30, UINT64_C(2000) << 20};
    for (unsigned i = 0; i < 3 * 150; i++) {
        struct segue_mapping mapping;
        assert_int_equal(segue_mapping_create(NULL, sizes[i % 3], &mapping), SEGUE_OK);
        struct segue_region region = {.window = segue_mapping_window(&mapping), .flags = SEGUE_REGION_HOT};
        assert_int_equal(segue_region_add(&region), SEGUE_OK);
        assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
        segue_mapping_destroy(&mapping);
    }
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(a_site_is_hot_with_the_fault_that_reaches_the_threshold)                                                         \
    X(sites_that_are_soon_reached_become_hot_together)                                                                 \
    X(only_the_site_that_faulted_becomes_hot_if_asked)                                                                 \
    X(sites_beyond_the_most_go_on_faulting)                                                                            \
    X(sites_without_memory_for_bodies_go_on_faulting)                                                                  \
    X(sites_without_mappings_go_on_faulting)                                                                           \
    X(a_region_without_memory_for_tables_is_refused_with_the_reason)                                                   \
    X(options_that_are_unknown_are_refused)                                                                            \
    X(code_of_no_file_goes_on_faulting)                                                                                \
    X(code_of_a_jit_compiler_becomes_hot_if_allowed)                                                                   \
    X(excluded_code_stays_as_it_is)                                                                                    \
    X(x87_loads_go_on_faulting)                                                                                        \
    X(the_first_region_touches_no_other_slots)                                                                         \
    X(regions_beyond_the_most_stay_on_signals)                                                                         \
    X(accesses_of_more_regions_than_are_looked_up_are_exact)                                                           \
    X(a_region_may_be_idle_from_the_start)                                                                             \
    X(hot_sites_leave_idle_regions_alone)                                                                              \
    X(a_hot_region_may_come_before_the_handler)                                                                        \
    X(mappings_are_near_enough_whatever_their_size)                                                                    \
    X(hot_sites_work_without_the_handler)

CASES_MAIN(EACH_CASE)
