/* links.c: bodies that lead straight to one another, and what takes that back. Each case runs in a child. */
#include "tests/signals/hot/hot_fixture.h"
#include "tests/support/times.h"

#include <pthread.h>
#include <segue/hot.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patch/hot/sites.h"
#include "patch/hot/space/chunks.h"
#include "signals/hot/kept/links.h"

#define PAIRS (SIZE / 16)
/* 1,024 blocks of 1,024 (links.c). */
#define LINKS_MOST (UINT32_C(1) << 20)
#define LITTLE (UINT64_C(256) << 10)

static uint64_t first, second;

/* The site whose body each link of a site's body leads to; the site itself if they lead back to the program; 0 for a
 * body without links, and if they differ. */
static uint64_t linked_from(uint64_t site)
{
    const struct hot_body *body = hot_body_of(site);
    const struct kept *kept = body ? (const struct kept *)(uintptr_t)body->cookie : NULL;
    uint64_t linked = 0, at;
    for (uint32_t i = 0; kept && (at = links_lead_to(kept, i)); i++) {
        const struct hot_body *to = hot_body_find(at);
        if (!to || (linked && to->site != linked))
            return 0;
        linked = to->site;
    }
    return linked;
}

static void assert_linked(void)
{
    assert_int_equal(linked_from(first), second);
    assert_int_equal(linked_from(second), first);
}

static uint64_t wanted;

static void run(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        assert_int_equal(sites_in_turns(memory.memory, PAIRS), wanted);
}

static void make(void)
{
    first = (uint64_t)(uintptr_t)sites_in_turns_first;
    second = (uint64_t)(uintptr_t)sites_in_turns_second;
    make_memory();
    wanted = sites_in_turns(memory.alias, PAIRS);
}

static int bodies_lead_to_each_other(void)
{
    make();
    begin_with(SEGUE_REGION_COUNT);
    run(10);
    assert_linked();
    assert_int_equal(counted() + steps(), 10 * 2 * PAIRS);
    assert_in_range(faults(), 1, 10);
    return 0;
}

static int what_is_undone_is_led_to_no_more(void)
{
    make();
    begin_with(SEGUE_REGION_COUNT);
    run(2);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = faults();
        assert_linked();
        assert_int_equal(segue_patches_undo(i % 2 ? first : second, 1, NULL), SEGUE_OK);
        assert_int_equal(linked_from(i % 2 ? second : first), i % 2 ? second : first);
        run(2);
        assert_in_range(faults(), before + 1, before + 10);
    }
    assert_int_equal(counted() + steps(), (2 + 20 * 2) * 2 * PAIRS);
    return 0;
}

static int what_is_excluded_is_led_to_no_more(void)
{
    make();
    begin_with(SEGUE_REGION_COUNT);
    run(2);
    assert_linked();
    assert_int_equal(segue_patches_exclude(second, 1), SEGUE_OK);
    assert_int_equal(linked_from(first), first);
    uint64_t before = faults();
    run(2);
    assert_int_equal(linked_from(first), first);
    assert_int_equal(faults(), before + 2 * PAIRS);
    assert_int_equal(counted() + steps(), 4 * 2 * PAIRS);
    return 0;
}

static int removed_regions_are_not_accessed(void)
{
    make();
    begin_with(SEGUE_REGION_COUNT);
    run(2);
    assert_linked();
    uint64_t before = counted();
    assert_int_equal(segue_mapping_protect(&memory, 0, SIZE, SEGUE_READ), SEGUE_OK);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    run(2);
    assert_int_equal(counted(), before);
    return 0;
}

static int children_link_by_themselves(void)
{
    make();
    begin_with(0);
    run(2);
    pid_t child = fork();
    if (child == 0) {
        assert_int_equal(segue_patches_undo(second, 1, NULL), SEGUE_OK);
        assert_int_equal(linked_from(first), first);
        run(2);
        assert_linked();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_linked();
    run(2);
    return 0;
}

static volatile int stop;

static void *run_for_ever(void *unused)
{
    uint64_t wrong = 0;
    (void)unused;
    while (!stop)
        wrong += sites_in_turns(memory.memory, PAIRS) != wanted;
    return (void *)(uintptr_t)wrong;
}

/* With so little memory, what is retired is used again all the time. */
static int threads_go_on_while_links_come_and_go(void)
{
    const struct segue_hot_options options = {.most_memory = LITTLE};
    pthread_t threads[3];
    assert_int_equal(segue_hot_configure(&options), SEGUE_OK);
    make();
    begin_with(0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_for_ever, NULL), 0);
    struct segue_region region = region_with(0);
    for (unsigned i = 0; i < 50 * test_times(); i++) {
        run(1);
        for (unsigned k = 0; k < 20; k++) {
            sites_many(memory.memory);
            assert_int_equal(segue_patches_undo((uint64_t)(uintptr_t)sites_many, 512, NULL), SEGUE_OK);
        }
        assert_int_equal(segue_patches_undo(i % 3 ? second : first, i % 3 == 2 ? 64 : 1, NULL), SEGUE_OK);
        if (i % 8 == 0)
            assert_int_equal(segue_region_update(&region), SEGUE_OK);
    }
    stop = 1;
    for (unsigned i = 0; i < 3; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_true(chunks_used().memory <= LITTLE);
    return 0;
}

/* The second access becomes a load of 0, and the first one's code stays. */
static int code_that_is_replaced_is_led_to_no_more(void)
{
    static const uint8_t other[] = {0x48, 0x31, 0xc0, 0x90};
    const struct segue_hot_options options = {.flags = SEGUE_HOT_JIT};
    const char *from = (const char *)(uintptr_t)sites_in_turns;
    size_t size = (size_t)(sites_in_turns_end - from);
    assert_int_equal(segue_hot_configure(&options), SEGUE_OK);
    make();
    char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(code, MAP_FAILED);
    memcpy(code, from, size);
    uint64_t (*function)(void *, uint64_t) = (uint64_t(*)(void *, uint64_t))(uintptr_t)code;
    first += (uint64_t)(code - from);
    second += (uint64_t)(code - from);
    begin_with(0);
    assert_int_equal(function(memory.memory, PAIRS), wanted);
    assert_int_equal(function(memory.memory, PAIRS), wanted);
    assert_linked();
    assert_int_equal(segue_patches_forget(second, sizeof other), SEGUE_OK);
    assert_int_equal(linked_from(first), first);
    memcpy((void *)(uintptr_t)second, other, sizeof other);
    assert_int_equal(function(memory.memory, PAIRS), 0);
    return 0;
}

/* Takes all links that there are. No body leads to what they lead to. */
static uint32_t take_all(struct kept *kept)
{
    static struct body built = {.link_count = BODY_LINKS_MOST};
    uint64_t *words[BODY_LINKS_MOST], near = (uint64_t)(uintptr_t)sites_in_turns;
    uint32_t count = 0;
    while (links_take(near, words)) {
        for (unsigned i = 0; i < BODY_LINKS_MOST; i++)
            built.links[i].target = ++count;
        links_use(kept, near, &built);
    }
    return count;
}

static int without_links_bodies_lead_back(void)
{
    static struct kept all;
    make();
    begin_with(SEGUE_REGION_COUNT);
    assert_int_equal(take_all(&all), LINKS_MOST);
    run(10);
    assert_non_null(hot_body_of(first));
    assert_non_null(hot_body_of(second));
    assert_int_equal(linked_from(first), 0);
    assert_int_equal(linked_from(second), 0);
    assert_int_equal(counted() + steps(), 10 * 2 * PAIRS);
    assert_in_range(faults(), 1, 10);
    links_give_back(&all);
    assert_int_equal(segue_patches_undo(first, 64, NULL), SEGUE_OK);
    assert_int_equal(segue_patches_undo(second, 1, NULL), SEGUE_OK);
    run(2);
    assert_linked();
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(bodies_lead_to_each_other)                                                                                       \
    X(what_is_undone_is_led_to_no_more)                                                                                \
    X(what_is_excluded_is_led_to_no_more)                                                                              \
    X(removed_regions_are_not_accessed)                                                                                \
    X(children_link_by_themselves)                                                                                     \
    X(without_links_bodies_lead_back)                                                                                  \
    X(threads_go_on_while_links_come_and_go)                                                                           \
    X(code_that_is_replaced_is_led_to_no_more)
CASES_MAIN(EACH_CASE)
