/* plan_agrees.c: over corpus rows, that a plan agrees with the step: a yes never fails, a no says why and leaves a
 * step nothing to do, and the footprint is what the step touches.
 *
 * The windows lead to memory of which only those pages are accessible that the footprint touches, so that a step that
 * touched more would fault; then one page of the footprint is closed, and the step must fault there and leave registers
 * as they were. Operands are placed at the edges of pages most of the time. No signal handler of the library's takes
 * part: this is how an embedder with a handler of its own uses it.
 *
 *      plan_agrees [--per-row N] [--seed S] [--shard I/N] [--coverage FILE] [--plant NAME] --rows FILE... */
#include <Zydis/Zydis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/differential/states/encodings.h"
#include "tests/differential/states/rows.h"
#include "tests/support/processor/large_plan.h"
#include "tests/support/processor/selectors.h"
#include "tests/support/sweep/coverage.h"
#include "tests/support/sweep/sweep.h"

#define IMAGES 16
#define FSW 2
#define FSW_EXCEPTION_WAITS 0x80

/* Memory in place of an area's. */
static char *shadows[AREAS_IN_SET];
static uint8_t *images;
static uint64_t fs_base;
static struct sweep_options options;
static uint64_t reports;

static struct {
    uint64_t yes, own_faults, closed, refused;
} totals;

/* In hexadecimal digits, for a reader who must find where the program died. */
static char row_at_hand[2 * SEGUE_INSN_BYTES + 2];

static void on_signal(int number, siginfo_t *info, void *context)
{
    greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)gregs[REG_RIP];
    (void)info;
    if (!segue_recover(&rip)) {
        static const char text[] = "plan_agrees: a fault outside of any step, at row ";
        ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
        written = write(STDERR_FILENO, row_at_hand, strlen(row_at_hand));
        (void)written;
        signal(number, SIG_DFL);
    }
    gregs[REG_RIP] = (greg_t)rip;
}

static bool prepare(void)
{
    /* SIGILL for what this processor does not have: a thread would not get so far as to fault on its memory. */
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct random random = random_for(options.seed, 0);
    const char *why = batch_prepare();
    if (why) {
        fprintf(stderr, "SKIP: %s\n", why);
        return false;
    }
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    __asm__("movq %%fs:0, %0" : "=r"(fs_base));
    images = encodings_images(&random, IMAGES);
    if (!images)
        return false;
    const struct areas *areas = areas_of(AREAS_ALIAS);
    for (size_t i = 0; i < areas->count; i++) {
        shadows[i] = mmap(NULL, areas->area[i].size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (shadows[i] == MAP_FAILED)
            return false;
    }
    return true;
}

/* One case: the instruction, and a state to begin with that is never changed. */
struct subject {
    const struct test_case *test;
    struct segue_insn insn;
    struct segue_regs regs;
    const uint8_t *image;
    struct segue_window windows[AREAS_IN_SET];
    size_t window_count;
};

/* What a step makes of it. */
struct result {
    struct segue_regs regs;
    struct segue_fault fault;
    enum segue_status status;
};

static _Alignas(64) uint8_t area_at_hand[ORACLE_IMAGE_MAX];

static struct segue_xstate state_at_hand(const struct subject *subject)
{
    memcpy(area_at_hand, subject->image, oracle_image_size());
    return (struct segue_xstate){
        .area = area_at_hand, .size = (uint32_t)oracle_image_size(), .features = oracle_features()};
}

static void begin(struct subject *subject, const struct test_case *test, uint64_t rip, enum segue_window_kind kind)
{
    const struct areas *areas = areas_of(AREAS_ALIAS);
    subject->test = test;
    subject->image = images + test->image * oracle_image_size();
    memcpy(&subject->regs, test->registers.general, sizeof test->registers.general);
    subject->regs.rip = rip;
    subject->regs.rflags = test->registers.rflags;
    subject->regs.fs_base = fs_base;
    subject->regs.gs_base = test->gs_base;
    selectors_read(subject->regs.selectors);
    subject->window_count = areas->count;
    for (size_t i = 0; i < areas->count; i++)
        subject->windows[i] = (struct segue_window){
            .base = areas->area[i].base, .size = areas->area[i].size, .kind = kind, .alias = shadows[i]};
    segue_decode(SEGUE_MODE_64, test->bytes, test->length, &subject->insn);
}

static void note_row(const struct test_case *test)
{
    char *end = row_at_hand;
    for (unsigned i = 0; i < test->length; i++)
        end += sprintf(end, "%02x", test->bytes[i]);
    strcpy(end, "\n");
}

static enum segue_status plan(const struct subject *subject, union large_plan *made)
{
    struct segue_xstate xstate = state_at_hand(subject);
    return large_plan_make(&subject->insn, &subject->regs, &xstate, NULL, subject->windows, subject->window_count,
                           made);
}

static struct result step(const struct subject *subject, const struct segue_plan *plan)
{
    struct result result = {.regs = subject->regs};
    struct segue_xstate xstate = state_at_hand(subject);
    result.status = segue_step(plan, &result.regs, &xstate, &result.fault);
    return result;
}

static void protect_page(uint64_t address, int protection)
{
    const struct areas *areas = areas_of(AREAS_ALIAS);
    for (size_t i = 0; i < areas->count; i++)
        if (address - areas->area[i].base < areas->area[i].size)
            mprotect(shadows[i] + (address - areas->area[i].base) / AREA_PAGE * AREA_PAGE, AREA_PAGE, protection);
}

static void protect_footprint(const struct segue_plan *plan, int protection)
{
    for (uint32_t i = 0; i < plan->access_count; i++) {
        const struct segue_access *access = &plan->accesses[i];
        uint64_t last = access->address + access->size - 1;
        for (uint64_t page = access->address / AREA_PAGE; page <= last / AREA_PAGE; page++)
            protect_page(page * AREA_PAGE, protection);
    }
}

/* Whether the instruction reads that byte. What lies beyond what it reads may be closed. */
static bool reads_byte(const struct test_case *test, uint64_t address)
{
    for (size_t i = 0; i < test->access_count; i++)
        if ((test->accesses[i].direction & SEGUE_READ) && address - test->accesses[i].address < test->accesses[i].size)
            return true;
    return false;
}

/* What was planted for the instruction to read. */
static void plant(const struct test_case *test)
{
    const struct areas *areas = areas_of(AREAS_ALIAS);
    for (unsigned k = 0; test->has_planted && k < test->planted_size; k++)
        for (size_t i = 0; i < areas->count; i++)
            if (reads_byte(test, test->planted_address + k) &&
                test->planted_address + k - areas->area[i].base < areas->area[i].size)
                shadows[i][test->planted_address + k - areas->area[i].base] = (char)test->planted[k];
}

static void report(const struct subject *subject, const char *what, const struct result *result)
{
    char text[160];
    if (reports++ >= options.reports)
        return;
    snprintf(text, sizeof text, "%s: status %s, fault at %#llx", what, result ? segue_status_name(result->status) : "-",
             result ? (unsigned long long)result->fault.address : 0);
    sweep_report(&options, &subject->insn, text);
}

/* An access that the step cannot do without, and that no data can keep it from; NULL if there is no such access. */
static const struct segue_access *needed_access(const struct segue_plan *plan)
{
    const unsigned unsure = SEGUE_ACCESS_OPTIONAL | SEGUE_ACCESS_UNTIL | SEGUE_ACCESS_PROBE;
    for (uint32_t i = 0; i < plan->access_count; i++)
        if (!(plan->accesses[i].flags & unsure))
            return &plan->accesses[i];
    return NULL;
}

/* An x87 exception that is not masked has kept the step's instruction from storing; some processors do not look at the
 * memory then (SDM volume 1, 8.5; docs/facts.md). */
static bool held_back_its_store(const struct subject *subject)
{
    return subject->insn.class_ == SEGUE_CLASS_X87 && subject->insn.memory[0].direction == SEGUE_WRITE &&
           (area_at_hand[FSW] & FSW_EXCEPTION_WAITS);
}

/* With the page of an access closed. Of a string, elements that came before may be done. */
static void check_closed(const struct subject *subject, const struct segue_plan *plan)
{
    const struct segue_access *access = needed_access(plan);
    if (!access)
        return;
    uint64_t page = access->address / AREA_PAGE * AREA_PAGE;
    protect_page(page, PROT_NONE);
    struct result result = step(subject, plan);
    bool partly = subject->insn.memory[0].flags & SEGUE_ACCESS_REPEATED;
    if (result.status == SEGUE_OK && !partly && !held_back_its_store(subject))
        report(subject, "it did not touch what the plan says", &result);
    else if (result.status == SEGUE_FAULT && !partly && memcmp(&result.regs, &subject->regs, sizeof result.regs) != 0)
        report(subject, "it faulted and changed registers", &result);
    else if (result.status == SEGUE_FAULT && result.fault.address_known && !partly &&
             result.fault.address / AREA_PAGE * AREA_PAGE != page)
        report(subject, "it reports another page", &result);
    protect_page(page, PROT_READ | PROT_WRITE);
    totals.closed++;
}

static void check_yes(const struct subject *subject, const struct segue_plan *plan)
{
    protect_footprint(plan, PROT_READ | PROT_WRITE);
    plant(subject->test);
    struct result result = step(subject, plan);
    if (options.plant && subject->insn.mnemonic == options.plant)
        result.status = SEGUE_UNSUPPORTED;
    bool faults_itself = result.status == SEGUE_FAULT && !result.fault.address_known;
    totals.yes++;
    totals.own_faults += faults_itself;
    if (result.status != SEGUE_OK && !faults_itself)
        report(subject, "a yes failed", &result);
    else if (result.status == SEGUE_OK)
        check_closed(subject, plan);
    protect_footprint(plan, PROT_NONE);
}

static void check_no(const struct subject *subject, enum segue_status status, const struct segue_plan *plan)
{
    totals.refused++;
    if (status != SEGUE_UNSUPPORTED || !plan->refusal || !*plan->refusal || plan->engine != SEGUE_ENGINE_NONE)
        report(subject, "a no does not say why", NULL);
    struct result result = step(subject, plan);
    if (result.status != SEGUE_INVALID || memcmp(&result.regs, &subject->regs, sizeof result.regs) != 0 ||
        memcmp(area_at_hand, subject->image, oracle_image_size()) != 0)
        report(subject, "a step was made of a no", &result);
}

/* Whether all of it is in the areas; elsewhere nothing can be closed. */
static bool is_in_areas(const struct test_case *test)
{
    const struct areas *areas = areas_of(AREAS_ALIAS);
    for (size_t i = 0; i < test->access_count; i++) {
        bool inside = false;
        for (size_t k = 0; k < areas->count; k++)
            inside |= test->accesses[i].address - areas->area[k].base < areas->area[k].size &&
                      test->accesses[i].address + test->accesses[i].size - areas->area[k].base <= areas->area[k].size;
        if (!inside)
            return false;
    }
    return test->access_count > 0;
}

static void check_case(const struct test_case *test, uint64_t rip)
{
    static const enum segue_window_kind kinds[] = {SEGUE_WINDOW_ALIAS, SEGUE_WINDOW_CALLBACK};
    static union large_plan made;
    static struct subject subject;
    note_row(test);
    for (size_t i = 0; i < 2; i++) {
        begin(&subject, test, rip, kinds[i]);
        coverage_note(&subject.insn, (unsigned)i);
        enum segue_status status = plan(&subject, &made);
        /* A window without functions refuses everything. */
        if (status == SEGUE_OK)
            check_yes(&subject, &made.plan);
        else
            check_no(&subject, status, &made.plan);
    }
}

static void check_all(void)
{
    struct generator generator = {
        .seed = options.seed, .fs_base = fs_base, .areas = areas_of(AREAS_ALIAS), .images = IMAGES};
    uint64_t cases = options.per_row * rows_batches() * BATCH_CASES;
    for (uint64_t number = 0; number < cases && reports < options.reports; number++) {
        struct test_case test;
        if (rows_of_case(number) % options.shards != options.shard)
            continue;
        encodings_row_case(&generator, number, 0, images, &test);
        if (!test.idle && is_in_areas(&test))
            check_case(&test, oracle_slot_address(0, test.length));
    }
}

int main(int count, char **arguments)
{
    static const char usage[] = "plan_agrees: holds plans of corpus rows against their steps.\n";
    static const char *const windows[] = {"alias", "callback"};
    int status;
    if (!sweep_parse(count, arguments, usage, &options, &status))
        return status;
    for (unsigned i = 0; i < options.file_count; i++)
        if (!rows_read(options.files[i]))
            return 2;
    if ((options.coverage && !coverage_begin(windows, 2)) || !rows_begin(options.per_row) || !prepare())
        return 77;
    check_all();
    printf("a yes          %12llu  of them the instruction's own fault %llu\n", (unsigned long long)totals.yes,
           (unsigned long long)totals.own_faults);
    printf("  and closed   %12llu\n", (unsigned long long)totals.closed);
    printf("a no           %12llu\n", (unsigned long long)totals.refused);
    printf("differences    %12llu\n", (unsigned long long)reports);
    sweep_summarise(&options, totals.yes + totals.closed + totals.refused);
    if (options.coverage && !coverage_save(options.coverage))
        return 2;
    return reports ? 1 : 0;
}
