/* batch.c: a batch of test cases, run natively and stepped, and compared (see batch.h). */
#include "batch.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "outcome.h"
#include "rows.h"
#include "tests/differential/states/batch/injection.h"
#include "tests/differential/states/batch/report.h"
#include "tests/support/sweep/coverage.h"

#define IMAGES 16

/* How often a batch is run again for a difference that an interrupt may have made. */
#define MOST_REPEATS 4

/* What a stepped run is to do with a case. */
enum expectation {
    /* Nothing protected is touched. */
    UNTOUCHED,
    /* One fault, stepped. */
    STEPPED,
    /* The instruction faults natively: one fault, handed on. */
    FAULTS,
    /* Whatever the processor does. */
    ANYTHING,
};

static struct {
    struct test_case *cases;
    enum expectation *expected, *expected_before;
    struct outcome *native;
    uint8_t *native_images;
    struct outcome stepped;
    uint8_t *images;
    uint8_t *memory_before;
    uint8_t *memory_after;
    uint64_t fs_base;
    const struct areas *areas;
    uint64_t other_addresses;
    /* Something differs that an interrupt may have changed. */
    bool is_doubtful;
} batch;

static void *allocate(size_t size)
{
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!memory)
        abort();
    return memset(memory, 0, size);
}

/* How many bytes MOVSXD reads for a 16-bit register: processors differ (docs/facts.md). The last two bytes of an open
 * page are read; the page behind it is closed. */
static unsigned movsxd_r16_bytes(void)
{
    static const uint8_t bytes[] = {0x66, 0x63, 0x00};
    struct oracle_registers registers = {.rflags = 0x202};
    struct oracle_output output = {.image = batch.native_images};
    char *pages = mmap(NULL, 2 * AREA_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        abort();
    mprotect(pages + AREA_PAGE, AREA_PAGE, PROT_NONE);
    registers.general[SEGUE_RAX] = (uint64_t)(uintptr_t)pages + AREA_PAGE - 2;
    oracle_slots_open();
    oracle_slot_write(0, bytes, sizeof bytes);
    oracle_slots_close();
    oracle_signals_take();
    oracle_run(&(struct oracle_input){&registers, 0, batch.images, oracle_slot_address(0, sizeof bytes)}, &output);
    oracle_signals_give_back();
    munmap(pages, 2 * AREA_PAGE);
    return output.signal.number ? 4 : 2;
}

static void allocate_all(void)
{
    size_t image = oracle_image_size(), memory = 0;
    for (unsigned set = 0; set < AREA_SETS; set++)
        if (areas_of(set)->size > memory)
            memory = areas_of(set)->size;
    batch.cases = allocate(BATCH_CASES * sizeof *batch.cases);
    batch.expected = allocate(BATCH_CASES * sizeof *batch.expected);
    batch.expected_before = allocate(BATCH_CASES * sizeof *batch.expected_before);
    batch.native = allocate(BATCH_CASES * sizeof *batch.native);
    batch.native_images = allocate(BATCH_CASES * image);
    for (size_t i = 0; i < BATCH_CASES; i++)
        batch.native[i].output.image = batch.native_images + i * image;
    batch.stepped.output.image = allocate(image);
    batch.images = allocate(IMAGES * image);
    batch.memory_before = allocate(memory);
    batch.memory_after = allocate(memory);
}

const char *batch_prepare(void)
{
    const char *why = oracle_prepare(BATCH_CODE_ADDRESS, BATCH_SLOTS);
    if (why)
        return why;
    enum segue_status status = segue_install(NULL);
    if (status != SEGUE_OK)
        return segue_status_text(status);
    why = areas_create();
    if (why)
        return why;
    /* The first word of a thread's control block is its own address: SysV ABI, x86-64 supplement, 3.4.2. */
    __asm__("movq %%fs:0, %0" : "=r"(batch.fs_base));
    allocate_all();
    generate_learn_processor(movsxd_r16_bytes());
    return NULL;
}

/* Alias half of the time: it is what most regions will have. */
static enum area_set choose_set(struct random *random)
{
    static const uint8_t sets[] = {AREAS_ALIAS,    AREAS_ALIAS,    AREAS_ALIAS,    AREAS_ALIAS,
                                   AREAS_ALIAS,    AREAS_ALIAS,    AREAS_ALIAS,    AREAS_ALIAS,
                                   AREAS_CALLBACK, AREAS_CALLBACK, AREAS_CALLBACK, AREAS_FORCED,
                                   AREAS_FORCED,   AREAS_EXPOSED,  AREAS_MIXED,    AREAS_MIXED};
    return sets[random_below(random, sizeof sets)];
}

/* One batch in sixteen leaves reading allowed; then only writes fault. */
static int choose_protection(struct random *random)
{
    return random_below(random, 16) == 0 ? PROT_READ : PROT_NONE;
}

static enum expectation expect_access(const struct areas *areas, const struct test_case *test,
                                      const struct segue_access *access, int protection)
{
    char first = areas_page(areas, access->address), last = areas_page(areas, access->address + access->size - 1);
    bool misaligned = access->address & (access->size - 1);
    if (first == 'H' || last == 'H' || (misaligned && (test->registers.rflags & TEST_FLAG_ALIGNMENT_CHECK)))
        return FAULTS;
    if ((first == 'O' && last == 'O') || (protection == PROT_READ && !(access->direction & SEGUE_WRITE)))
        return UNTOUCHED;
    return STEPPED;
}

static enum expectation expect(const struct areas *areas, const struct test_case *test, int protection)
{
    enum expectation worst = test->access_count ? UNTOUCHED : FAULTS;
    for (size_t i = 0; i < test->access_count; i++) {
        enum expectation one = expect_access(areas, test, &test->accesses[i], protection);
        if (one > worst)
            worst = one;
    }
    return worst;
}

static void make_cases(const struct batch_options *options, const struct generator *generator, uint64_t number,
                       int protection)
{
    oracle_slots_open();
    for (size_t i = 0; i < BATCH_CASES; i++) {
        struct test_case *test = &batch.cases[i];
        *options->case_at_hand = number * BATCH_CASES + i;
        if (options->rows) {
            encodings_row_case(generator, number * BATCH_CASES + i, i, batch.images, test);
            batch.expected[i] = ANYTHING;
        } else if (options->all_encodings) {
            encodings_case(generator, number * BATCH_CASES + i, i, batch.images, test);
            batch.expected[i] = ANYTHING;
        } else {
            generate_case(generator, number * BATCH_CASES + i, i, test);
            batch.expected[i] = expect(generator->areas, test, protection);
        }
        oracle_slot_write(i, test->bytes, test->length);
    }
    oracle_slots_close();
}

static void run_case(const struct areas *areas, size_t i, struct outcome *outcome)
{
    const struct test_case *test = &batch.cases[i];
    struct oracle_input input = {
        .registers = &test->registers,
        .gs_base = test->gs_base,
        .image = batch.images + test->image * oracle_image_size(),
        .code = oracle_slot_address(i, test->length),
    };
    if (test->has_planted)
        areas_poke(areas, test->planted_address, test->planted, test->planted_size);
    oracle_run(&input, &outcome->output);
    if (test->access_count)
        areas_peek(areas, test->accesses[0].address - OUTCOME_WINDOW_BEFORE, outcome->window, OUTCOME_WINDOW);
    else
        memset(outcome->window, 0, OUTCOME_WINDOW);
}

/* Encodings beside those of the family that the processor refuses: LOCK, and the other values of ModRM.reg. */
static const struct {
    uint8_t length;
    uint8_t bytes[11];
} undefined[] = {
    {3, {0xf0, 0x88, 0x00}},
    {3, {0xf0, 0x89, 0x00}},
    {3, {0xf0, 0x8a, 0x00}},
    {3, {0xf0, 0x8b, 0x00}},
    {4, {0xf0, 0x0f, 0xb6, 0x00}},
    {4, {0xf0, 0x0f, 0xb7, 0x00}},
    {4, {0xf0, 0x0f, 0xbe, 0x00}},
    {4, {0xf0, 0x0f, 0xbf, 0x00}},
    {4, {0xf0, 0x48, 0x63, 0x00}},
    {4, {0xf0, 0xc6, 0x00, 0x11}},
    {7, {0xf0, 0xc7, 0x00, 0x11, 0x22, 0x33, 0x44}},
    {8, {0xf0, 0x48, 0xc7, 0x00, 0x11, 0x22, 0x33, 0x44}},
    {3, {0xc6, 0x08, 0x11}},
    {3, {0xc6, 0x38, 0x11}},
    {6, {0xc7, 0x08, 0x11, 0x22, 0x33, 0x44}},
    {6, {0xc7, 0x38, 0x11, 0x22, 0x33, 0x44}},
};

static bool is_refused(const uint8_t *bytes, size_t length)
{
    struct segue_insn insn;
    return segue_decode(SEGUE_MODE_64, bytes, length, &insn) == SEGUE_UNDEFINED;
}

const char *batch_check_undefined(void)
{
    static char wrong[128];
    const struct areas *areas = areas_of(AREAS_ALIAS);
    struct test_case test = {.registers = {.general = {[SEGUE_RAX] = areas->area[0].base}, .rflags = 0x202}};
    for (size_t i = 0; i < sizeof undefined / sizeof *undefined; i++) {
        test.length = undefined[i].length;
        memcpy(test.bytes, undefined[i].bytes, test.length);
        batch.cases[0] = test;
        oracle_slots_open();
        oracle_slot_write(0, test.bytes, test.length);
        oracle_slots_close();
        run_case(areas, 0, &batch.native[0]);
        bool refused = is_refused(test.bytes, test.length);
        if (refused && batch.native[0].output.signal.number == SIGILL)
            continue;
        snprintf(wrong, sizeof wrong, "%02x %02x %02x: signal %d, the library %s it", test.bytes[0], test.bytes[1],
                 test.bytes[2], batch.native[0].output.signal.number, refused ? "refuses" : "decodes");
        return wrong;
    }
    return NULL;
}

static void run_natively(const struct areas *areas)
{
    oracle_signals_take();
    for (size_t i = 0; i < BATCH_CASES; i++)
        run_case(areas, i, &batch.native[i]);
    oracle_signals_give_back();
}

/* The case that an injection of this kind can show in: the first that is stepped, or that faults on a page. */
static bool can_inject(enum injection injection, const struct areas *areas, size_t i)
{
    if (injection == INJECT_SIGNAL_ADDRESS)
        return batch.expected[i] == FAULTS;
    return batch.expected[i] == STEPPED && injection_shows(areas, &batch.cases[i]);
}

/* How the handler's counters moved since they were last asked. */
struct progress {
    uint64_t faults, stepped;
};

static struct progress handler_progress(void)
{
    static struct segue_counters last;
    struct segue_counters now;
    segue_counters_read(&now);
    struct progress progress = {now.faults - last.faults, now.stepped - last.stepped};
    last = now;
    return progress;
}

/* Both faulted, on pages that are always closed, and all is equal except which of those places the processor reports:
 * where an operand has several, that is its own affair. */
static bool differs_in_fault_address(size_t i)
{
    struct oracle_signal *native = &batch.native[i].output.signal, *stepped = &batch.stepped.output.signal;
    const struct areas *areas = batch.areas;
    if (!native->number || areas_page(areas, native->address) != 'H' || areas_page(areas, stepped->address) != 'H')
        return false;
    stepped->address = native->address;
    stepped->page_fault_address = native->page_fault_address;
    return outcome_equal(&batch.native[i], &batch.stepped) && ++batch.other_addresses;
}

/* What is wrong with one case, or NULL. */
static const char *judge(size_t i)
{
    struct progress progress = handler_progress();
    enum expectation expected = batch.expected[i];
    bool native_faulted = batch.native[i].output.signal.number != 0;
    if (expected == ANYTHING) {
        /* The totals show what came of it. */
        batch.expected[i] = native_faulted ? FAULTS : progress.stepped ? STEPPED : UNTOUCHED;
        if (!outcome_equal(&batch.native[i], &batch.stepped) && !differs_in_fault_address(i))
            return "native and stepped outcomes are not equal";
        if (!native_faulted && progress.faults != progress.stepped)
            return "it faulted and was not stepped";
        return area_watch.wrong_plan && !batch.cases[i].repeats
                   ? "the plan lists other accesses than the instruction makes"
                   : NULL;
    }
    if (native_faulted != (expected == FAULTS))
        return native_faulted ? "the generator expected it not to fault, and it does"
                              : "the generator expected it to fault, and it does not";
    if (!outcome_equal(&batch.native[i], &batch.stepped))
        return "native and stepped outcomes are not equal";
    if (area_watch.wrong_plan)
        return "the plan lists other accesses than the instruction makes";
    if (progress.faults != (expected != UNTOUCHED) || progress.stepped != (expected == STEPPED))
        return "it took another number of faults or steps than expected";
    return NULL;
}

static bool decode_case(size_t i, struct segue_insn *insn)
{
    return segue_decode(SEGUE_MODE_64, batch.cases[i].bytes, batch.cases[i].length, insn) == SEGUE_OK;
}

/* Whether what the case stores depends on the kernel's having interrupted it: the bits for what is in use
 * (docs/facts.md). */
static bool stores_use(size_t i)
{
    struct segue_insn insn;
    return decode_case(i, &insn) && !strncmp(segue_mnemonic_name(insn.mnemonic), "xsave", 5);
}

/* What one has stored, others read. */
static bool follows_use(size_t i)
{
    for (size_t k = 0; k <= i; k++)
        if (stores_use(k))
            return true;
    return false;
}

/* As a library would be wrong about all instructions of one name. */
static void spoil_planted(unsigned plant, size_t i)
{
    struct segue_insn insn;
    if (plant && !batch.cases[i].idle && decode_case(i, &insn) && insn.mnemonic == plant)
        batch.stepped.output.registers.general[SEGUE_R13] ^= 1;
}

/* `is_last`: what may come of an interrupt is reported, too. */
static void run_stepped(const struct batch_options *options, enum area_set set, uint64_t number, int protection,
                        struct batch_totals *totals, bool is_last)
{
    const struct areas *areas = areas_of(set);
    enum injection injection = options->injection;
    char details[8192];
    handler_progress();
    for (size_t i = 0; i < BATCH_CASES; i++) {
        bool inject = injection != INJECT_NOTHING && can_inject(injection, areas, i);
        *options->case_at_hand = number * BATCH_CASES + i;
        if (inject)
            inject_before(injection, &batch.cases[i]);
        area_watch = (struct area_watch){batch.cases[i].accesses, batch.cases[i].access_count, 0, false};
        run_case(areas, i, &batch.stepped);
        areas_protect_exposed();
        if (inject) {
            inject_after(injection, areas, &batch.cases[i], &batch.stepped);
            areas_protect(areas, protection);
            injection = INJECT_NOTHING;
        }
        spoil_planted(options->plant, i);
        const char *wrong = judge(i);
        if (!wrong)
            continue;
        if (!is_last && follows_use(i)) {
            batch.is_doubtful = true;
            return;
        }
        totals->differences++;
        outcome_describe(&batch.native[i], &batch.stepped, details, sizeof details);
        batch_report(options, set, number, i, &batch.cases[i], wrong, details);
        /* What follows is to differ only by itself. */
        areas_poke(areas, batch.cases[i].accesses[0].address - OUTCOME_WINDOW_BEFORE, batch.native[i].window,
                   batch.cases[i].access_count ? OUTCOME_WINDOW : 0);
    }
}

static void count_cases(enum area_set set, struct batch_totals *totals)
{
    struct segue_insn insn;
    for (size_t i = 0; i < BATCH_CASES; i++) {
        if (batch.cases[i].idle) {
            totals->idle++;
            continue;
        }
        totals->cases[set]++;
        if (decode_case(i, &insn))
            coverage_note(&insn, set);
        totals->stepped += batch.expected[i] == STEPPED;
        totals->untouched += batch.expected[i] == UNTOUCHED;
        totals->faulted += batch.expected[i] == FAULTS;
    }
}

/* Zeroes half of the memory, so that comparisons with it can succeed. */
static void clear_lines(const struct areas *areas, struct random *random)
{
    static const uint8_t zeroes[64];
    for (size_t i = 0; i < areas->count; i++)
        for (uint64_t at = 0; at < areas->area[i].size; at += sizeof zeroes)
            if (random_below(random, 2))
                areas_poke(areas, areas->area[i].base + at, zeroes, sizeof zeroes);
}

/* Returns whether it is to be done again, from `memory_before`: something may differ by an interrupt alone. */
static bool run_both(const struct batch_options *options, enum area_set set, uint64_t number, int protection,
                     struct batch_totals *totals, bool is_last)
{
    const struct areas *areas = batch.areas;
    char details[128];
    batch.is_doubtful = false;
    run_natively(areas);
    for (size_t i = 0; options->rows && i < BATCH_CASES; i++)
        if (batch.native[i].output.signal.number == SIGILL)
            rows_note_undefined(rows_of_case(number * BATCH_CASES + i));
    areas_save(areas, batch.memory_after);
    areas_load(areas, batch.memory_before);
    areas_protect(areas, protection);
    run_stepped(options, set, number, protection, totals, is_last);
    areas_open(areas);
    uint64_t address = areas_difference(areas, batch.memory_after);
    if (!is_last && (batch.is_doubtful || (address && follows_use(BATCH_CASES - 1))))
        return true;
    if (address) {
        totals->differences++;
        snprintf(details, sizeof details, "  the first byte that differs is at %#llx\n", (unsigned long long)address);
        batch_report(options, set, number, BATCH_CASES - 1, &batch.cases[BATCH_CASES - 1],
                     "after the batch, of which this is the last case, memory differs", details);
    }
    return false;
}

void batch_run(const struct batch_options *options, uint64_t number, struct batch_totals *totals)
{
    /* Apart from the cases' own numbers, whose first is far from any batch's. */
    struct random random = random_for(~options->seed, number);
    enum area_set chosen = choose_set(&random);
    enum area_set set = options->set == AREA_SETS ? chosen : options->set;
    int protection = choose_protection(&random);
    const struct areas *areas = areas_of(set);
    struct generator generator = {.seed = options->seed, .fs_base = batch.fs_base, .areas = areas, .images = IMAGES};

    for (size_t i = 0; i < IMAGES; i++) {
        oracle_image_random(&random, batch.images + i * oracle_image_size());
        if (options->all_encodings || options->rows)
            encodings_tame_image(&random, batch.images + i * oracle_image_size());
    }
    batch.areas = areas;
    make_cases(options, &generator, number, protection);
    areas_fill(areas, &random);
    if (options->all_encodings || options->rows)
        clear_lines(areas, &random);
    areas_save(areas, batch.memory_before);
    memcpy(batch.expected_before, batch.expected, BATCH_CASES * sizeof *batch.expected);
    for (unsigned again = 0; run_both(options, set, number, protection, totals, again == MOST_REPEATS); again++) {
        totals->repeated++;
        batch.other_addresses = 0;
        memcpy(batch.expected, batch.expected_before, BATCH_CASES * sizeof *batch.expected);
        areas_load(areas, batch.memory_before);
    }
    count_cases(set, totals);
    totals->other_addresses += batch.other_addresses;
    batch.other_addresses = 0;
}

/* What the child hands back. */
struct told {
    bool complete;
    struct outcome outcome;
    _Alignas(64) uint8_t rest[];
};

/* An instruction that does not come back. */
#define CHILD_SECONDS 5

/* The child's whole life: the case with the pages open. */
static void run_in_child(const struct areas *areas, struct told *told)
{
    signal(SIGALRM, SIG_DFL);
    alarm(CHILD_SECONDS);
    told->outcome.output.image = told->rest;
    if (!areas_after_fork())
        _exit(EXIT_FAILURE);
    oracle_signals_take();
    run_case(areas, 0, &told->outcome);
    areas_save(areas, told->rest + oracle_image_size());
    told->complete = true;
    _exit(EXIT_SUCCESS);
}

static bool run_natively_in_child(const struct areas *areas, struct told *told)
{
    told->complete = false;
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0)
        run_in_child(areas, told);
    while (waitpid(child, NULL, 0) < 0)
        ;
    return told->complete;
}

const char *batch_run_one(const struct test_case *test, const void *image, enum area_set set, struct random *random,
                          char *details, size_t size)
{
    static struct told *told;
    const struct areas *areas = areas_of(set);
    size_t room = sizeof *told + oracle_image_size() + (1u << 20);
    if (!told && (told = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) == MAP_FAILED)
        abort();
    batch.areas = areas;
    batch.cases[0] = *test;
    batch.cases[0].image = 0;
    batch.expected[0] = ANYTHING;
    memcpy(batch.images, image, oracle_image_size());
    oracle_slots_open();
    oracle_slot_write(0, test->bytes, test->length);
    oracle_slots_close();
    areas_fill(areas, random);
    clear_lines(areas, random);
    areas_save(areas, batch.memory_before);
    bool told_all = run_natively_in_child(areas, told);
    areas_load(areas, batch.memory_before);
    if (!told_all)
        return NULL;
    batch.native[0] = told->outcome;
    areas_protect(areas, PROT_NONE);
    handler_progress();
    area_watch = (struct area_watch){batch.cases[0].accesses, batch.cases[0].access_count, 0, false};
    run_case(areas, 0, &batch.stepped);
    areas_protect_exposed();
    const char *wrong = judge(0);
    areas_open(areas);
    outcome_describe(&batch.native[0], &batch.stepped, details, size);
    if (!wrong && areas_difference(areas, told->rest + oracle_image_size()))
        wrong = "memory differs";
    return wrong;
}
