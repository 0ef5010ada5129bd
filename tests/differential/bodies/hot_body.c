/* hot_body.c: the bodies of hot sites, held against the processor: rows of corpus files run natively from random
 * states, and then from a body, with the region's alias in other memory than the region, so that each byte that is
 * accessed at the wrong place shows.
 *
 * Some rows have a body of their own behind that of another access, which has links to it.
 *
 * What it shows, for each row that a body takes: general registers, flags, vector and x87 state and memory are the same
 * as natively, faults included; an access inside the region is made at the alias, and counted or asked about once, and
 * any other where the program makes it. With the trap flag: at each place in a body and its thunks, translation gives
 * the registers, flags and memory before or after the instruction.
 *
 *      hot_body [--per-row N] [--seed S] [--shard I/N] [--step N] [--sees] [--coverage FILE] [--plant NAME]
 *               --rows FILE...
 *
 * With --step in one state of N the body is stepped through. With --sees it fails, too, if it has seen too little of
 * what it is for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bodies.h"
#include "decode/scratch.h"
#include "memory.h"
#include "stepping.h"
#include "tests/support/sweep/coverage.h"
#include "tests/support/sweep/sweep.h"
#include "tests/support/test.h"

#define IMAGES 16
/* One interrupt may change what XSAVE stores (docs/facts.md). */
#define TRIES 3
/* All memory is compared after so many states. */
#define COMPARED_AFTER 256

static const char *const variant_names[] = {"near alias", "far alias", "counted", "asked", "looked up", "outside"};

static struct corpus_rows rows;
static struct sweep_options options;
static uint8_t *images;

static _Alignas(64) uint8_t image_native[ORACLE_IMAGE_MAX], image_body[ORACLE_IMAGE_MAX];
static char row_text[2 * CORPUS_ROW_BYTES + 1];

/* ---- comparing ----------------------------------------------------------------------------------------------------
 */

static void run(uint64_t code, bool stepped, struct outcome *outcome)
{
    struct oracle_registers registers = subject.test.registers;
    struct oracle_input input = {
        .registers = &registers,
        .gs_base = subject.test.gs_base,
        .image = images + subject.test.image * oracle_image_size(),
        .code = code,
    };
    registers.rflags |= stepped ? FLAG_TRAP : 0;
    oracle_run(&input, &outcome->output);
    outcome->output.registers.rflags &= ~(uint64_t)FLAG_TRAP;
}

/* A thread that has faulted in a body is rolled back. */
static const char *roll_back(enum variant variant, struct oracle_output *output)
{
    struct segue_regs regs = {.rip = output->signal.instruction, .rflags = output->registers.rflags};
    struct body_place place;
    /* Where the body has ended, the code itself has gone on. */
    if (regs.rip - subject.address < subject.size)
        return regs.rip == subject.native.output.signal.instruction ? NULL : "it faults at another instruction";
    memcpy(&regs, output->registers.general, sizeof output->registers.general);
    if (!bodies_translate(variant, &regs, &place))
        return "its fault is not translated";
    if (regs.rip != subject.native.output.signal.instruction)
        return "its fault is translated to another instruction";
    memcpy(output->registers.general, &regs, sizeof output->registers.general);
    output->registers.rflags = regs.rflags;
    return NULL;
}

static const char *compare(enum variant variant, bool led, struct outcome *outcome)
{
    const struct oracle_signal *native = &subject.native.output.signal, *signal = &outcome->output.signal;
    const char *wrong = NULL;
    if (signal->number != native->number || signal->code != native->code || signal->trap != native->trap ||
        signal->error != native->error)
        return "another signal";
    if (signal->number)
        wrong = roll_back(variant, &outcome->output);
    if (wrong)
        return wrong;
    if (memcmp(outcome->output.registers.general, subject.native.output.registers.general,
               sizeof outcome->output.registers.general) != 0)
        return "other registers";
    if ((outcome->output.registers.rflags ^ subject.native.output.registers.rflags) & ~(uint64_t)FLAG_RESUME)
        return "other flags";
    if (outcome->output.gs_base != subject.native.output.gs_base)
        return "another base of GS";
    if (!outcome_same_images(&subject.native, outcome))
        return "other vector or x87 state";
    if (!memory_red_zone_is_kept())
        return "another red zone";
    /* A call that faults has stored its return address early (body.h). */
    bool is_early = signal->number && subject.form.flow == DISPLACED_FLOW_CALL_INDIRECT;
    if (!is_early && !memory_is(true, led, variant))
        return "other memory";
    return NULL;
}

/* Whether the row's access is, by the last of the variant's bodies. */
static bool is_checked(enum variant variant)
{
    const struct body *last = subject.is_linked ? &subject.behind[COUNTED] : &subject.bodies[COUNTED];
    return subject.statuses[COUNTED] == SEGUE_OK && last->record_count == 1 &&
           (!subject.is_linked || subject.leads[variant]);
}

/* Whether the access is made at the alias. A far alias, and a lookup, need a register that is free. */
static bool is_led(enum variant variant)
{
    const struct bytes *operand = &subject.footprint[subject.operand];
    if (!subject.area || !is_checked(variant) || variant == OUTSIDE)
        return false;
    if (variant != FAR && variant != LOOKED_UP)
        return true;
    return memcmp(memory_shadow_at(operand->address, variant), operand->before, operand->size) != 0 ||
           memcmp(operand->before, operand->after, operand->size) == 0;
}

static const char *check_variant(enum variant variant, bool stepped)
{
    struct outcome outcome = {.output.image = image_body};
    bodies_describe_region(variant);
    memory_put(false);
    memory_clean_stack();
    bodies_clear_counts();
    stepping.variant = variant;
    stepping.wrong = NULL;
    stepping.led = subject.area && is_checked(variant) && variant != OUTSIDE;
    run(bodies_address(variant), stepped, &outcome);
    coverage_note(&subject.insn, variant);
    if (options.plant && subject.insn.mnemonic == options.plant)
        outcome.output.registers.general[SEGUE_R13] ^= 1;
    bool led = is_led(variant);
    const char *wrong = stepping.wrong ? stepping.wrong : compare(variant, led, &outcome);
    counts.led += led;
    /* It may fault after it was counted. */
    bool once = led && !outcome.output.signal.number;
    if (!wrong && variant == COUNTED && bodies_counted() != once && !outcome.output.signal.number)
        wrong = "another count";
    if (!wrong && variant == ASKED && bodies_asked() != once && !outcome.output.signal.number)
        wrong = "another number of questions";
    return wrong;
}

static bool can_be_stepped(enum variant variant)
{
    static const char pushf[] = "pushf";
    return !(subject.insn.flags & SEGUE_INSN_REPEATED) && !subject.native.output.signal.number && variant != FAR &&
           variant != LOOKED_UP && strncmp(segue_mnemonic_name(subject.insn.mnemonic), pushf, sizeof pushf - 1) != 0;
}

static bool can_run(enum variant variant)
{
    /* A policy needs more of the stack. */
    return subject.statuses[variant] == SEGUE_OK &&
           (subject.has_own_stack || (variant != ASKED && variant != LOOKED_UP));
}

static void run_native(void)
{
    subject.native.output.image = image_native;
    memory_put(false);
    memory_clean_stack();
    run(subject.address, false, &subject.native);
    memory_save_after();
}

static void trace_native(void)
{
    struct outcome outcome = {.output.image = image_body};
    memory_put(false);
    memory_clean_stack();
    memset(stepping.is_boundary, 0, sizeof stepping.is_boundary);
    stepping.is_native = true;
    run(subject.address, true, &outcome);
    stepping.is_native = false;
}

static const char *check_state(bool stepped, struct random random, enum variant *variant)
{
    const char *wrong = NULL;
    run_native();
    for (unsigned i = 0; i < VARIANTS && !wrong; i++) {
        *variant = (enum variant)i;
        if (can_run(*variant))
            wrong = check_variant(*variant, false);
    }
    if (!wrong && stepped) {
        *variant = (enum variant)random_below(&random, VARIANTS);
        if (can_run(*variant) && can_be_stepped(*variant)) {
            counts.stepped++;
            trace_native();
            wrong = check_variant(*variant, true);
        }
    }
    memory_put(true);
    memory_clean_stack();
    return wrong;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------
 */

static bool make_case(struct random *random)
{
    static struct decode_scratch scratch;
    if (!encodings_state(&generator, random, SLOT, images, subject.insn.length, &subject.test))
        return false;
    subject.test.registers.rflags &= ~(uint64_t)TEST_FLAG_ALIGNMENT_CHECK;
    assert_true(displaceable_make(&scratch, oracle_slot_address(SLOT, subject.insn.length), subject.test.bytes,
                                  subject.insn.length, &subject.form));
    bool has_room = memory_find_footprint() && memory_choose_stack(random);
    counts.no_room += !has_room;
    if (has_room)
        subject_make_code(random);
    return has_room;
}

static void note_refusal(void)
{
    const char *why = subject.bodies[NEAR].refusal;
    counts.refused++;
    for (size_t i = 0; i < COUNT(counts.refusals); i++) {
        if (counts.refusals[i].why && strcmp(counts.refusals[i].why, why) != 0)
            continue;
        if (!counts.refusals[i].why)
            strcpy(counts.refusals[i].example, row_text);
        counts.refusals[i].why = why;
        counts.refusals[i].count++;
        return;
    }
}

/* Once for each. */
static const char *find_stray(void)
{
    areas_load(generator.areas, memory_before);
    return "some row shortly before changed other memory";
}

static void report(enum variant variant, const char *wrong)
{
    char text[160];
    snprintf(text, sizeof text, "%s: %s (at body+%#llx)", variant_names[variant], wrong,
             (unsigned long long)(stepping.wrong ? stepping.wrong_at - bodies_address(variant) : 0));
    sweep_report(&options, &subject.insn, text);
}

static void check_row(size_t number)
{
    const struct corpus_row *row = &rows.rows[number];
    struct random random = random_for(options.seed, number);
    corpus_row_text(row, row_text);
    if (row->length > SEGUE_INSN_BYTES)
        return;
    for (uint64_t i = 0; i < options.per_row; i++) {
        const char *wrong = NULL;
        enum variant variant = NEAR;
        memset(&subject.test, 0, sizeof subject.test);
        memcpy(subject.test.bytes, row->bytes, row->length);
        if (segue_decode(SEGUE_MODE_64, row->bytes, row->length, &subject.insn) != SEGUE_OK ||
            subject.insn.memory_count == 0 || !encodings_can_run(&subject.insn))
            return;
        if (!make_case(&random))
            continue;
        oracle_slots_open();
        subject_write_code();
        for (unsigned k = 0; k < VARIANTS; k++)
            bodies_build((enum variant)k);
        oracle_slots_close();
        if (subject.statuses[NEAR] == SEGUE_UNSUPPORTED) {
            /* A block is refused for its first instruction. */
            if (subject.row == 0) {
                note_refusal();
                return;
            }
            continue;
        }
        memory_save_before();
        for (unsigned k = 0; k < TRIES; k++) {
            wrong = check_state(options.step && counts.cases % options.step == 0, random, &variant);
            if (!wrong)
                break;
        }
        counts.cases++;
        counts.checked += is_checked(COUNTED);
        counts.inside += is_checked(COUNTED) && subject.area;
        counts.masked += is_checked(COUNTED) && subject.area && subject.form.is_masked;
        counts.faults += subject.native.output.signal.number != 0;
        if (!wrong && counts.cases % COMPARED_AFTER == 0 && areas_difference(generator.areas, memory_before))
            wrong = find_stray();
        if (wrong && counts.differences++ < options.reports)
            report(variant, wrong);
    }
    counts.rows++;
}

static void summarise(void)
{
    print_message("%llu rows, %llu states, of which %llu in blocks (%llu instructions in all), %llu fault, %llu are "
                  "checked, %llu of them inside (%llu masked); refused %llu rows; no room for %llu states\n",
                  (unsigned long long)counts.rows, (unsigned long long)counts.cases, (unsigned long long)counts.blocks,
                  (unsigned long long)counts.instructions, (unsigned long long)counts.faults,
                  (unsigned long long)counts.checked, (unsigned long long)counts.inside,
                  (unsigned long long)counts.masked, (unsigned long long)counts.refused,
                  (unsigned long long)counts.no_room);
    print_message("%llu states in two bodies, %llu links from one to the other, %llu places behind links\n",
                  (unsigned long long)counts.linked, (unsigned long long)counts.leads,
                  (unsigned long long)counts.behind);
    print_message("%llu accesses at an alias; %llu stepped, %llu places, %llu in thunks; differences %llu\n",
                  (unsigned long long)counts.led, (unsigned long long)counts.stepped, (unsigned long long)counts.places,
                  (unsigned long long)counts.in_thunks, (unsigned long long)counts.differences);
    for (size_t i = 0; i < COUNT(counts.refusals) && counts.refusals[i].why; i++)
        print_message("  refused %llu: %s: %s\n", (unsigned long long)counts.refusals[i].count, counts.refusals[i].why,
                      counts.refusals[i].example);
}

static void bodies_do_as_the_rows_themselves(void **state)
{
    struct random random = random_for(options.seed, 1);
    (void)state;
    skip_if(batch_prepare());
    generator = (struct generator){.seed = options.seed, .areas = areas_of(AREAS_ALIAS), .images = IMAGES};
    __asm__("movq %%fs:0, %0" : "=r"(generator.fs_base));
    images = encodings_images(&random, IMAGES);
    memory_before = malloc(generator.areas->size);
    if (!images || !memory_before || !memory_map() || !bodies_prepare())
        skip_if("there is no memory at the places that are needed");
    subject_find_neighbours(&rows, &random);
    areas_open(generator.areas);
    areas_fill(generator.areas, &random);
    areas_save(generator.areas, memory_before);
    oracle_signals_take();
    stepping_take_traps();
    for (size_t i = options.shard; i < rows.count && counts.differences < options.reports; i += options.shards)
        check_row(i);
    oracle_signals_give_back();
    summarise();
    assert_int_equal(counts.differences, 0);
    if (!options.sees)
        return;
    assert_true(counts.inside > counts.cases / 4 && counts.led > counts.inside && counts.faults > 0);
    assert_true(!options.step || (counts.places > 4 * counts.stepped && counts.in_thunks > 0));
    assert_true(counts.leads > counts.linked && (!options.step || counts.behind > 0));
}

int main(int argc, char **argv)
{
    static const char usage[] = "hot_body: holds bodies of corpus rows against the processor.\n"
                                "  --step N         in one state of N the body is stepped through\n"
                                "  --sees           fails, too, if too little was seen\n";
    const struct CMUnitTest tests[] = {cmocka_unit_test(bodies_do_as_the_rows_themselves)};
    struct corpus_error error;
    int status;
    if (!sweep_parse(argc, argv, usage, &options, &status))
        return status;
    for (unsigned i = 0; i < options.file_count; i++)
        if (!corpus_rows_read(&rows, options.files[i], &error))
            return 2;
    if (options.coverage && !coverage_begin(variant_names, COUNT(variant_names)))
        return 77;
    status = cmocka_run_group_tests(tests, NULL, NULL);
    sweep_summarise(&options, counts.cases);
    if (options.coverage && !coverage_save(options.coverage))
        return 2;
    return status;
}
