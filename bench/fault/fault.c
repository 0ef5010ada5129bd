/* fault.c: what it costs to answer one fault on a protected page, by each of our windows and by what is done without
 * them, against a handler that does nothing but skip the instruction.
 *
 * Each of the pages is a mapping of its own. So a handler that opens and closes its page is measured at its best: in
 * the middle of a larger mapping the kernel has to split and to join it each time. */
#include "fault.h"

#include <errno.h>
#include <segue/segue.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/harness/touch.h"

enum place_number {
    PLACE_ALIAS,
    PLACE_EXPOSED,
    PLACE_CALLBACK,
    PLACE_FORCED,
    PLACE_OPEN,
    PLACE_LIBSIGSEGV,
    PLACE_SINGLE_STEP,
    PLACE_INNER,
    PLACE_COUNT,
};

/* A protected page, and the mapping that it is in. */
static struct place {
    char *memory;
    struct segue_mapping mapping;
} places[PLACE_COUNT];

/* How a variant goes about one access. */
struct way {
    enum action action;
    touch_function *touch;
    enum place_number place;
};

/* The device behind the callback window. */
static touch_word device_word;

static uint64_t steps_expected;

/* Which places have a region. */
static bool is_region[PLACE_COUNT];

void expect_steps(uint64_t count)
{
    steps_expected += count;
}

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    (void)address;
    memcpy(bytes, &device_word, size);
    return SEGUE_OK;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context;
    (void)address;
    memcpy(&device_word, bytes, size);
    return SEGUE_OK;
}

/* What an embedder does who exposes the page for the step. */
static enum segue_verdict open_and_step(void *page, const struct segue_event *event)
{
    (void)event;
    page_protect(page, PROT_READ | PROT_WRITE);
    return SEGUE_STEP;
}

static bool is_ours(enum action action)
{
    return action == ACTION_OURS || action == ACTION_OURS_DEFAULT;
}

static void touch_closed(const struct bench_variant *variant, unsigned operations)
{
    const struct way *way = variant->context;
    void *memory = places[way->place].memory;
    touch_function *touch = way->touch;
    for (unsigned i = 0; i < operations; i++)
        touch(memory, i);
    if (is_ours(way->action))
        expect_steps(operations);
}

static void touch_and_close(const struct bench_variant *variant, unsigned operations)
{
    const struct way *way = variant->context;
    void *memory = places[way->place].memory;
    touch_function *touch = way->touch;
    for (unsigned i = 0; i < operations; i++) {
        touch(memory, i);
        page_protect(memory, PROT_NONE);
    }
    if (is_ours(way->action))
        expect_steps(operations);
}

static void use_way(const struct bench_variant *variant)
{
    action_use(((const struct way *)variant->context)->action);
}

#define WAY(...) (&(struct way){__VA_ARGS__})
#define CLOSED .prepare = use_way, .run = touch_closed
#define OPENED .prepare = use_way, .run = touch_and_close
#define SCATTERED .prepare = regions_prepare, .run = regions_run

static const struct bench_variant variants[] = {
    {"floor", "load: empty handler skips it", CLOSED, .context = WAY(ACTION_FLOOR, touch_load, PLACE_ALIAS)},
    {"floor_store", "store: empty handler skips it", CLOSED, .context = WAY(ACTION_FLOOR, touch_store, PLACE_ALIAS)},
    {"step_alias", "load, alias window", CLOSED, .context = WAY(ACTION_OURS, touch_load, PLACE_ALIAS)},
    {"step_alias_store", "store, alias window", CLOSED, .context = WAY(ACTION_OURS, touch_store, PLACE_ALIAS)},
    {"step_alias_default", "load, alias window, signals wait", CLOSED,
     .context = WAY(ACTION_OURS_DEFAULT, touch_load, PLACE_ALIAS)},
    {"step_alias_default_store", "store, alias window, signals wait", CLOSED,
     .context = WAY(ACTION_OURS_DEFAULT, touch_store, PLACE_ALIAS)},
    {"step_callback", "load, callback window", CLOSED, .context = WAY(ACTION_OURS, touch_load, PLACE_CALLBACK)},
    {"step_callback_store", "store, callback window", CLOSED, .context = WAY(ACTION_OURS, touch_store, PLACE_CALLBACK)},
    {"step_forced", "load, forced window", CLOSED, .context = WAY(ACTION_OURS, touch_load, PLACE_FORCED)},
    {"step_forced_store", "store, forced window", CLOSED, .context = WAY(ACTION_OURS, touch_store, PLACE_FORCED)},
    {"step_exposed", "load, policy opens, loop closes", OPENED, .context = WAY(ACTION_OURS, touch_load, PLACE_EXPOSED)},
    {"step_exposed_store", "store, policy opens, loop closes", OPENED,
     .context = WAY(ACTION_OURS, touch_store, PLACE_EXPOSED)},
    {"mprotect", "load, handler opens, loop closes", OPENED, .context = WAY(ACTION_OPEN, touch_load, PLACE_OPEN)},
    {"mprotect_store", "store, handler opens, loop closes", OPENED,
     .context = WAY(ACTION_OPEN, touch_store, PLACE_OPEN)},
    {"mprotect_inner", "load, the same in a larger mapping", OPENED,
     .context = WAY(ACTION_OPEN, touch_load, PLACE_INNER)},
    {"libsigsegv", "load, libsigsegv opens, loop closes", OPENED,
     .context = WAY(ACTION_LIBSIGSEGV, touch_load, PLACE_LIBSIGSEGV)},
    {"libsigsegv_store", "store, libsigsegv opens, loop closes", OPENED,
     .context = WAY(ACTION_LIBSIGSEGV, touch_store, PLACE_LIBSIGSEGV)},
    {"singlestep", "load, opened, trap flag, SIGTRAP closes", CLOSED,
     .context = WAY(ACTION_SINGLE_STEP, touch_load, PLACE_SINGLE_STEP)},
    {"singlestep_store", "store, opened, trap flag, SIGTRAP closes", CLOSED,
     .context = WAY(ACTION_SINGLE_STEP, touch_store, PLACE_SINGLE_STEP)},
    {"floor_scattered", "load at random pages: empty handler skips it", SCATTERED, .context = &walk_floor},
    {"regions_1", "load at random pages of one region", SCATTERED, .context = &walk_one},
    {"regions_1e6", "load at random pages, each a region", SCATTERED, .context = &walk_million},
    {"regions_1_hot", "load at few pages of one region", SCATTERED, .context = &walk_one_hot},
    {"regions_1e6_hot", "load at few pages, each a region", SCATTERED, .context = &walk_million_hot},
};

static const struct bench_ratio ratios[] = {
    {"step_alias_over_floor", "step_alias", "floor"},
    {"step_alias_default_over_floor", "step_alias_default", "floor"},
    {"step_callback_over_floor", "step_callback", "floor"},
    {"step_forced_over_floor", "step_forced", "floor"},
    {"step_exposed_over_floor", "step_exposed", "floor"},
    {"mprotect_over_floor", "mprotect", "floor"},
    {"mprotect_inner_over_floor", "mprotect_inner", "floor"},
    {"libsigsegv_over_floor", "libsigsegv", "floor"},
    {"singlestep_over_floor", "singlestep", "floor"},
    {"store_alias_over_floor", "step_alias_store", "floor_store"},
    {"store_alias_default_over_floor", "step_alias_default_store", "floor_store"},
    {"store_callback_over_floor", "step_callback_store", "floor_store"},
    {"store_forced_over_floor", "step_forced_store", "floor_store"},
    {"store_exposed_over_floor", "step_exposed_store", "floor_store"},
    {"store_mprotect_over_floor", "mprotect_store", "floor_store"},
    {"store_libsigsegv_over_floor", "libsigsegv_store", "floor_store"},
    {"store_singlestep_over_floor", "singlestep_store", "floor_store"},
    {"regions_1_over_floor", "regions_1", "floor_scattered"},
    {"regions_1e6_over_1", "regions_1e6", "regions_1"},
    {"regions_1e6_hot_over_1_hot", "regions_1e6_hot", "regions_1_hot"},
};

/* Pages of the mapping that PLACE_INNER is in the middle of. */
#define INNER_PAGES 16u

/* The forced window needs no second mapping, and is for memory that can have none. */
static void map_place(struct place *place, enum place_number number)
{
    if (number == PLACE_FORCED) {
        place->mapping.size = PAGE;
        place->mapping.memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (place->mapping.memory == MAP_FAILED)
            bench_fail("mmap: %s", strerror(errno));
        return;
    }
    enum segue_status status =
        segue_mapping_create(NULL, number == PLACE_INNER ? INNER_PAGES * PAGE : PAGE, &place->mapping);
    if (status != SEGUE_OK)
        bench_fail("segue_mapping_create: %s", segue_status_text(status));
}

static void create_place(enum place_number number)
{
    struct place *place = &places[number];
    map_place(place, number);
    memset(place->mapping.memory, 0, place->mapping.size);
    if (mprotect(place->mapping.memory, place->mapping.size, PROT_NONE) != 0)
        bench_fail("mprotect: %s", strerror(errno));
    place->memory = (char *)place->mapping.memory + place->mapping.size / PAGE / 2 * PAGE;
}

static void destroy_place(struct place *place)
{
    munmap(place->mapping.memory, place->mapping.size);
    if (place->mapping.alias)
        munmap(place->mapping.alias, place->mapping.size);
}

static enum segue_status add_region(enum place_number number, enum segue_window_kind kind)
{
    struct place *place = &places[number];
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)place->memory, .size = PAGE, .kind = kind},
    };
    if (kind == SEGUE_WINDOW_ALIAS)
        region.window.alias = place->mapping.alias;
    if (kind == SEGUE_WINDOW_CALLBACK) {
        region.window.read = device_read;
        region.window.write = device_write;
    }
    if (kind == SEGUE_WINDOW_EXPOSED) {
        region.policy = open_and_step;
        region.context = place->memory;
    }
    return segue_region_add(&region);
}

static void add_regions(void)
{
    static const struct {
        enum place_number place;
        enum segue_window_kind kind;
    } regions[] = {
        {PLACE_ALIAS, SEGUE_WINDOW_ALIAS},
        {PLACE_EXPOSED, SEGUE_WINDOW_EXPOSED},
        {PLACE_CALLBACK, SEGUE_WINDOW_CALLBACK},
        {PLACE_FORCED, SEGUE_WINDOW_FORCED},
    };
    for (size_t i = 0; i < COUNT(regions); i++) {
        enum segue_status status = add_region(regions[i].place, regions[i].kind);
        if (status == SEGUE_UNSUPPORTED && regions[i].kind == SEGUE_WINDOW_FORCED) {
            bench_skip("step_forced", "this kernel does not write past the protection of a page");
            bench_skip("step_forced_store", "this kernel does not write past the protection of a page");
        } else if (status != SEGUE_OK) {
            bench_fail("segue_region_add: %s", segue_status_text(status));
        }
        is_region[regions[i].place] = status == SEGUE_OK;
    }
}

/* What the program would find at the place. */
static touch_word held_at(enum place_number number)
{
    touch_word word;
    if (number == PLACE_CALLBACK)
        return device_word;
    page_protect(places[number].memory, PROT_READ);
    memcpy(&word, places[number].memory, sizeof word);
    page_protect(places[number].memory, PROT_NONE);
    return word;
}

/* Before it is timed, each variant shows that it does what it is named for: a store is found in memory, and a load
 * finds what was stored there last. */
static void prove(const struct bench_variant *variant, touch_word value)
{
    const struct way *way = variant->context;
    char *memory = places[way->place].memory;
    if (is_ours(way->action) && !is_region[way->place])
        return;
    action_use(way->action);
    touch_word before = held_at(way->place);
    touch_word result = way->touch(memory, value);
    if (variant->run == touch_and_close)
        page_protect(memory, PROT_NONE);
    touch_word after = held_at(way->place);
    if (is_ours(way->action))
        expect_steps(1);
    bool skipped = way->action == ACTION_FLOOR;
    touch_word expected = way->touch == touch_store && !skipped ? value : before;
    if (after != expected || (way->touch == touch_load && !skipped && result != before))
        bench_fail("%s does not do what it is named for", variant->name);
}

static void prove_all(void)
{
    /* Backwards, so that each place's store comes before its load. */
    for (size_t i = COUNT(variants); i-- > 0;)
        if (variants[i].run != regions_run)
            prove(&variants[i], 0x5e90e000 + i);
}

static void setup(void)
{
    actions_prepare();
    for (unsigned i = 0; i < PLACE_COUNT; i++)
        create_place(i);
    add_regions();
    action_register(places[PLACE_LIBSIGSEGV].memory);
    regions_create();
    prove_all();
}

/* Every fault that was meant for the library was stepped by it, and there were no others. */
static void check_counters(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    if (counters.stepped != steps_expected || counters.faults != steps_expected)
        bench_fail("%llu faults were meant for the library; it saw %llu and stepped %llu",
                   (unsigned long long)steps_expected, (unsigned long long)counters.faults,
                   (unsigned long long)counters.stepped);
    bench_note("faults_stepped", (double)counters.stepped, "faults");
}

static void teardown(void)
{
    check_counters();
    action_use(ACTION_OURS);
    regions_destroy();
    for (unsigned i = 0; i < PLACE_COUNT; i++) {
        enum segue_status status = segue_region_remove(places[i].memory);
        if (status != (is_region[i] ? SEGUE_OK : SEGUE_NOT_FOUND))
            bench_fail("segue_region_remove: %s", segue_status_text(status));
        destroy_place(&places[i]);
    }
    enum segue_status status = segue_uninstall(NULL);
    if (status != SEGUE_OK)
        bench_fail("segue_uninstall: %s", segue_status_text(status));
}

const struct bench_suite bench_suite = {
    .name = "fault",
    .title = "answers to a fault on a protected page",
    .clock = CLOCK_MONOTONIC,
    .operations = 64,
    .warm_up = 8,
    .rounds = 1500,
    .quick_rounds = 300,
    .variants = variants,
    .variant_count = COUNT(variants),
    .ratios = ratios,
    .ratio_count = COUNT(ratios),
    .setup = setup,
    .teardown = teardown,
};
