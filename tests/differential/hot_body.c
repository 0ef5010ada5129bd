/* hot_body.c: the bodies of hot sites, held against the processor: rows of corpus files run natively from random
 * states, and then from a body, with the region's alias in other memory than the region, so that each byte that is
 * accessed at the wrong place shows.
 *
 * What it shows, for each row that a body takes: general registers, flags, vector and x87 state and memory are the same
 * as natively, faults included; an access inside the region is made at the alias, and counted or asked about once, and
 * any other where the program makes it. With the trap flag: at each place in a body and its thunks, translation gives
 * the registers, flags and memory before or after the instruction.
 *
 *      hot_body STATES EVERY STEP FILE...
 *
 * One row in EVERY is run, in STATES states; in one state of STEP the body is stepped through. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "corpus/rows/rows.h"
#include "decode/relocate/displaceable_cache.h"
#include "decode/scratch.h"
#include "emulate/body/body.h"
#include "tests/differential/states/batch.h"
#include "tests/differential/states/outcome.h"
#include "tests/support/test.h"

#define IMAGES 16
#define SEED 1u
/* One interrupt may change what XSAVE stores (docs/facts.md). */
#define TRIES 3
#define REPORTS_MAX 40
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* In the oracle's code: a block, that is the row among others that access no memory; the row's slot; the bodies. */
#define BLOCK (BATCH_CODE_ADDRESS + 32u)
#define BLOCK_ROOM 400u
/* Enough to use all registers. */
#define BLOCK_INSTRUCTIONS 40u
#define NEIGHBOURS 16384u
#define SLOT 0
#define BODIES (BATCH_CODE_ADDRESS + 1024u)
#define BODY_ROOM 1800u
/* What bodies read, near them. */
#define NEAR_ADDRESS (BATCH_CODE_ADDRESS - 0x100000u)

#define RED_ZONE 128u
/* Below the red zone a body has its frame, and calls. */
#define BELOW 1024u
#define OWN_STACK 0x10000u
#define FOOTPRINT_MOST 2048u
/* All memory is compared after so many states. */
#define COMPARED_AFTER 256

/* How a state is run. */
enum variant {
    NEAR,
    FAR,
    COUNTED,
    ASKED,
    LOOKED_UP,
    OUTSIDE,
    VARIANTS,
};
static const char *const variant_names[] = {"near alias", "far alias", "counted", "asked", "looked up", "outside"};

/* Memory of an area's size: aliases within reach of a displacement, and beyond. */
struct shadow {
    char *near, *far;
};

struct near_data {
    struct body_descriptor descriptors[VARIANTS];
    struct body_record record;
    uint64_t thunks[BODY_THUNK_COUNT];
};

static struct corpus_rows rows;
static uint64_t states, every, step;
static uint8_t *images, *memory_before;
static char *own_stack;
static struct generator generator;
static struct shadow shadows[AREAS_IN_SET];
static struct near_data *near;
static struct body_scratch *body_scratch;
static struct displaceable neighbours[NEIGHBOURS];
static uint32_t neighbour_count;

static struct {
    uint64_t rows, cases, blocks, instructions, faults, checked, inside, led, refused, no_room, masked, stepped, places,
        in_thunks, differences;
    struct {
        const char *why;
        uint64_t count;
        char example[2 * CORPUS_ROW_BYTES + 1];
    } refusals[32];
} counts;

/* The bytes of one access. */
struct bytes {
    uint64_t address, size;
    uint8_t clean[FOOTPRINT_MOST], before[FOOTPRINT_MOST], after[FOOTPRINT_MOST];
};

static struct subject {
    struct test_case test;
    struct segue_insn insn;
    struct displaceable form;
    /* The code, and where in it the row is. */
    uint64_t address;
    uint8_t code[BLOCK_ROOM];
    unsigned size, row, instructions;
    /* That it uses. */
    uint16_t registers;
    bool has_own_stack;
    struct bytes footprint[4];
    size_t footprint_count;
    /* The operand that a body may check, wholly in an area, or NULL. Its place in `footprint`. */
    const struct area *area;
    size_t operand;
    struct outcome native;
    struct body bodies[VARIANTS];
    enum segue_status statuses[VARIANTS];
} subject;

static _Alignas(64) uint8_t image_native[ORACLE_IMAGE_MAX], image_body[ORACLE_IMAGE_MAX];
static char row_text[2 * CORPUS_ROW_BYTES + 1];

/* ---- memory -------------------------------------------------------------------------------------------------------
 */

static char *shadow_of(const struct area *area, enum variant variant)
{
    const struct shadow *shadow = &shadows[area - generator.areas->area];
    return variant == FAR || variant == LOOKED_UP ? shadow->far : shadow->near;
}

static void *shadow_at(uint64_t address, enum variant variant)
{
    return shadow_of(subject.area, variant) + (address - subject.area->base);
}

/* Of memory below 4 GiB and the memory beside it, some is free. */
static char *map_near(const struct area *area)
{
    for (uint64_t at = area->base + 0x800000; at < area->base + 0x70000000; at += 0x1100000) {
        void *wanted = (void *)(uintptr_t)(at / AREA_PAGE * AREA_PAGE);
        void *mapped =
            mmap(wanted, area->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (mapped == wanted)
            return mapped;
    }
    return NULL;
}

static bool map_memory(void)
{
    for (size_t i = 0; i < generator.areas->count; i++) {
        const struct area *area = &generator.areas->area[i];
        char *place =
            mmap(NULL, 3 * (UINT64_C(1) << 32), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place == MAP_FAILED)
            return false;
        char *far = (uint64_t)(uintptr_t)place > area->base ? place + 2 * (UINT64_C(1) << 32) : place;
        shadows[i].far = mmap(far, area->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        shadows[i].near = map_near(area);
        if (shadows[i].far == MAP_FAILED || !shadows[i].near)
            return false;
    }
    near = mmap((void *)(uintptr_t)NEAR_ADDRESS, AREA_PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    own_stack = mmap(NULL, OWN_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return near != MAP_FAILED && own_stack != MAP_FAILED;
}

/* Whether the operand lies in another access's bytes: in the stack's. At an alias that is other memory it would not. */
static bool operand_overlaps(void)
{
    const struct bytes *operand = &subject.footprint[subject.operand];
    for (size_t i = 0; subject.area && i < subject.footprint_count; i++)
        if (i != subject.operand && operand->address < subject.footprint[i].address + subject.footprint[i].size &&
            subject.footprint[i].address < operand->address + operand->size)
            return true;
    return false;
}

/* A body checks the whole operand of which a mask selects elements. */
static bool find_masked(void)
{
    const struct segue_access *access = &subject.test.accesses[0];
    struct bytes *bytes = &subject.footprint[0];
    if (!subject.form.is_masked || subject.test.access_count == 0)
        return false;
    bytes->address = access->address - (uint64_t)access->lane * access->element;
    bytes->size = subject.form.memory.size;
    if (!areas_are_accessible(generator.areas, bytes->address, bytes->size))
        return false;
    subject.area = areas_find(generator.areas, bytes->address);
    subject.operand = 0;
    subject.footprint_count = 1;
    return true;
}

/* The memory that the case accesses; false if it is too much, or not known. */
static bool find_footprint(void)
{
    const struct test_case *test = &subject.test;
    uint64_t size = 0;
    subject.footprint_count = 0;
    subject.area = NULL;
    /* A repeated string has no list if it wraps around; what it does until it faults is not known. */
    if (test->access_count == 0 && (subject.insn.flags & SEGUE_INSN_REPEATED))
        return false;
    if (find_masked())
        return true;
    for (size_t i = 0; i < test->access_count; i++) {
        const struct segue_access *access = &test->accesses[i];
        struct bytes *bytes = &subject.footprint[subject.footprint_count];
        size += access->size;
        if (subject.footprint_count == COUNT(subject.footprint) || size > FOOTPRINT_MOST)
            return false;
        bytes->address = access->address;
        bytes->size = access->size;
        if (subject.form.is_plain && subject.insn.memory[access->operand].addressing != SEGUE_ADDRESSING_STACK &&
            areas_are_accessible(generator.areas, access->address, access->size)) {
            subject.area = areas_find(generator.areas, access->address);
            subject.operand = subject.footprint_count;
        }
        subject.footprint_count++;
    }
    return true;
}

/* Puts `bytes` of each access in place: the operand's to the alias, too. */
static void put_footprint(bool clean)
{
    for (size_t i = 0; i < subject.footprint_count; i++) {
        const struct bytes *bytes = &subject.footprint[i];
        areas_poke(generator.areas, bytes->address, clean ? bytes->clean : bytes->before, bytes->size);
    }
    for (unsigned far = 0; subject.area && far < 2; far++) {
        const struct bytes *bytes = &subject.footprint[subject.operand];
        memcpy(shadow_at(bytes->address, far ? FAR : NEAR), clean ? bytes->clean : bytes->before, bytes->size);
    }
}

static void save_before(void)
{
    const struct test_case *test = &subject.test;
    for (size_t i = 0; i < subject.footprint_count; i++)
        areas_peek(generator.areas, subject.footprint[i].address, subject.footprint[i].clean,
                   subject.footprint[i].size);
    if (test->has_planted)
        areas_poke(generator.areas, test->planted_address, test->planted, test->planted_size);
    for (size_t i = 0; i < subject.footprint_count; i++)
        areas_peek(generator.areas, subject.footprint[i].address, subject.footprint[i].before,
                   subject.footprint[i].size);
}

/* Whether the memory of an access is as it was before it, or after it. */
static bool memory_is(bool after, bool led, enum variant variant)
{
    uint8_t seen[FOOTPRINT_MOST];
    for (size_t i = 0; i < subject.footprint_count; i++) {
        const struct bytes *bytes = &subject.footprint[i];
        bool at_alias = subject.area && i == subject.operand;
        const uint8_t *here = after && !(at_alias && led) ? bytes->after : bytes->before;
        const uint8_t *there = after && led ? bytes->after : bytes->before;
        areas_peek(generator.areas, bytes->address, seen, bytes->size);
        if (memcmp(seen, here, bytes->size) != 0 ||
            (at_alias && memcmp(shadow_at(bytes->address, variant), there, bytes->size) != 0))
            return false;
    }
    return true;
}

/* ---- stack --------------------------------------------------------------------------------------------------------
 */

static bool overlaps_footprint(uint64_t first, uint64_t size)
{
    for (size_t i = 0; i < subject.footprint_count; i++)
        if (first < subject.footprint[i].address + subject.footprint[i].size &&
            subject.footprint[i].address < first + size)
            return true;
    return false;
}

/* Where a frame has room: on a stack of the test's, if the instruction does not use RSP; else below its own. */
static bool choose_stack(struct random *random)
{
    const struct effects *effects = &subject.form.effects;
    uint64_t *rsp = &subject.test.registers.general[SEGUE_RSP];
    subject.has_own_stack = !((effects->reads | effects->writes) >> SEGUE_RSP & 1);
    if (subject.has_own_stack) {
        *rsp = (uint64_t)(uintptr_t)own_stack + OWN_STACK - 4096 + random_below(random, 2048);
        return true;
    }
    uint64_t lowest = *rsp - RED_ZONE - BELOW;
    return areas_are_accessible(generator.areas, lowest, RED_ZONE + BELOW + 8) && !overlaps_footprint(lowest, BELOW);
}

static void clean_stack(void)
{
    static const uint8_t pattern[RED_ZONE] = {0x5a, 0xa5};
    uint64_t rsp = subject.test.registers.general[SEGUE_RSP];
    if (subject.has_own_stack) {
        memcpy((void *)(uintptr_t)(rsp - RED_ZONE), pattern, RED_ZONE);
        return;
    }
    /* Below it everything is as it was at the very beginning. */
    const struct area *area = areas_find(generator.areas, rsp - RED_ZONE - BELOW);
    const uint8_t *before = memory_before;
    for (const struct area *other = generator.areas->area; other < area; other++)
        before += other->size;
    areas_poke(generator.areas, rsp - RED_ZONE - BELOW, before + (rsp - RED_ZONE - BELOW - area->base), BELOW);
}

static bool red_zone_is_kept(void)
{
    uint64_t rsp = subject.test.registers.general[SEGUE_RSP];
    const uint8_t *at = (const uint8_t *)(uintptr_t)(rsp - RED_ZONE);
    if (!subject.has_own_stack)
        return true;
    for (unsigned i = 0; i < RED_ZONE; i++)
        if (at[i] != (i == 0 ? 0x5a : i == 1 ? 0xa5 : 0))
            return false;
    return true;
}

/* ---- bodies -------------------------------------------------------------------------------------------------------
 */

static uint64_t asked;

static __attribute__((target("general-regs-only"))) int BODY_ASK_ABI ask(struct body_call *call)
{
    static const uint64_t word;
    call->watch = &word;
    call->watched = word;
    /* Without a bit in its mask it makes no access. */
    unsigned lanes = call->record->lanes;
    asked += !lanes || call->mask << (64 - lanes);
    return 0;
}

static size_t read_code(void *context, uint64_t address, uint8_t *bytes, size_t size)
{
    (void)context;
    uint64_t offset = address - subject.address;
    if (offset >= subject.size)
        return 0;
    if (size > subject.size - offset)
        size = subject.size - offset;
    memcpy(bytes, subject.code + offset, size);
    return size;
}

static bool check_every_access(void *context, uint64_t address)
{
    (void)context;
    (void)address;
    return true;
}

static uint64_t body_address(enum variant variant)
{
    return BODIES + variant * BODY_ROOM;
}

static void describe_region(enum variant variant)
{
    struct body_descriptor *descriptor = &near->descriptors[variant];
    const struct area *area = subject.area ? subject.area : &generator.areas->area[0];
    *descriptor = (struct body_descriptor){.base = area->base};
    for (unsigned i = 0; i < 7 && variant != OUTSIDE && variant != LOOKED_UP; i++)
        descriptor->limits[i] = area_accessible(area) - (1u << i) + 1;
    body_regions.count = 1;
    body_regions.regions[0] =
        (struct body_region){.base = area->base,
                             .size = area_accessible(area),
                             .distance = (uint64_t)(uintptr_t)shadow_of(area, LOOKED_UP) - area->base};
}

static void build(enum variant variant)
{
    static const uint8_t modes[VARIANTS] = {[COUNTED] = BODY_COUNT, [ASKED] = BODY_POLICY};
    const struct area *area = subject.area ? subject.area : &generator.areas->area[0];
    /* Rows have the same addresses. */
    static struct displaceable_cache cache;
    describe_region(variant);
    struct body_request request = {
        .site = subject.address,
        .descriptor = &near->descriptors[variant],
        .distance = (int64_t)((uint64_t)(uintptr_t)shadow_of(area, variant) - area->base),
        .mode = (enum body_mode)modes[variant],
        .ask = counts.cases % 2 ? BODY_THUNK_ASK : BODY_THUNK_ASK_REGS,
        .lookup = variant == LOOKED_UP,
        .records = &near->record,
        .most_records = 1,
        .thunks = near->thunks,
        .read_code = read_code,
        .is_checked = check_every_access,
        .cache = &cache,
        .most_instructions = BODY_INSTRUCTIONS,
        .most_bytes = BODY_ROOM,
    };
    uint64_t at = body_address(variant);
    subject.statuses[variant] =
        body_build(body_scratch, &request, at, (uint8_t *)(uintptr_t)at, BODY_ROOM, &subject.bodies[variant]);
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

/* ---- stepping -----------------------------------------------------------------------------------------------------
 */

static struct {
    /* The native registers at each boundary, by its offset. */
    bool is_native, is_boundary[BLOCK_ROOM];
    struct oracle_registers boundaries[BLOCK_ROOM];
    bool led;
    enum variant variant;
    const char *wrong;
    uint64_t wrong_at;
} stepping;

static bool same_registers(const struct segue_regs *regs, const struct oracle_registers *wanted)
{
    return memcmp(regs, wanted->general, sizeof wanted->general) == 0 &&
           !((regs->rflags ^ wanted->rflags) & ~(uint64_t)(FLAG_TRAP | FLAG_RESUME));
}

/* What is wrong at a place in a body; NULL if nothing is. */
static const char *check_place(struct segue_regs *regs)
{
    struct body_place place;
    bool in_thunk = body_leave_thunk(regs);
    uint64_t at = body_address(stepping.variant);
    if (regs->rip - at >= subject.bodies[stepping.variant].size)
        return in_thunk ? "a thunk leads elsewhere" : NULL;
    if (!body_translate(subject.bodies[stepping.variant].table, at, regs, &place))
        return "it is not translated";
    counts.places++;
    counts.in_thunks += in_thunk;
    uint64_t offset = regs->rip - subject.address;
    bool after = offset > subject.row;
    /* A branch leads to the end. */
    if (subject.form.flow != DISPLACED_FLOW_NEXT && after)
        offset = subject.size;
    if (offset >= BLOCK_ROOM || !stepping.is_boundary[offset])
        return "translated to no boundary";
    if (!same_registers(regs, &stepping.boundaries[offset]))
        return after ? "translated to other registers after it" : "translated to other registers before it";
    /* A call stores its return address early. */
    if (subject.form.flow != DISPLACED_FLOW_CALL_INDIRECT && !memory_is(after, stepping.led, stepping.variant))
        return after ? "translated to after it, memory is not" : "translated to before it, memory is not";
    return NULL;
}

static void note_boundary(const struct segue_regs *regs)
{
    uint64_t offset = regs->rip - subject.address;
    if (offset > subject.size)
        return;
    stepping.is_boundary[offset] = true;
    memcpy(stepping.boundaries[offset].general, regs, sizeof stepping.boundaries[offset].general);
    stepping.boundaries[offset].rflags = regs->rflags;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct segue_regs regs = {0};
    static const uint8_t order[] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
                                    REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP, REG_EFL};
    (void)number;
    (void)info;
    for (size_t i = 0; i < COUNT(order); i++)
        *segue_register_at(&regs, (unsigned)i) = (uint64_t)gregs[order[i]];
    if (stepping.is_native)
        note_boundary(&regs);
    const char *wrong = stepping.is_native ? NULL : check_place(&regs);
    if (wrong && !stepping.wrong) {
        stepping.wrong = wrong;
        stepping.wrong_at = (uint64_t)gregs[REG_RIP];
    }
    /* Behind the code, or the body. */
    uint64_t first = subject.address + (stepping.is_native ? subject.size : 0), rip = (uint64_t)gregs[REG_RIP];
    if (stepping.wrong || (rip >= first && rip < BODIES))
        gregs[REG_EFL] &= ~(greg_t)FLAG_TRAP;
}

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
    if (!body_translate(subject.bodies[variant].table, body_address(variant), &regs, &place))
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
    if (!red_zone_is_kept())
        return "another red zone";
    /* A call that faults has stored its return address early (body.h). */
    bool is_early = signal->number && subject.form.flow == DISPLACED_FLOW_CALL_INDIRECT;
    if (!is_early && !memory_is(true, led, variant))
        return "other memory";
    return NULL;
}

static bool is_checked(void)
{
    return subject.statuses[COUNTED] == SEGUE_OK && subject.bodies[COUNTED].record_count == 1;
}

/* Whether the access is made at the alias. A far alias, and a lookup, need a register that is free. */
static bool is_led(enum variant variant)
{
    const struct bytes *operand = &subject.footprint[subject.operand];
    if (!subject.area || !is_checked() || variant == OUTSIDE)
        return false;
    if (variant != FAR && variant != LOOKED_UP)
        return true;
    return memcmp(shadow_at(operand->address, variant), operand->before, operand->size) != 0 ||
           memcmp(operand->before, operand->after, operand->size) == 0;
}

static const char *check_variant(enum variant variant, bool stepped)
{
    struct outcome outcome = {.output.image = image_body};
    describe_region(variant);
    put_footprint(false);
    clean_stack();
    near->record.count = asked = 0;
    stepping.variant = variant;
    stepping.wrong = NULL;
    stepping.led = subject.area && is_checked() && variant != OUTSIDE;
    run(body_address(variant), stepped, &outcome);
    bool led = is_led(variant);
    const char *wrong = stepping.wrong ? stepping.wrong : compare(variant, led, &outcome);
    counts.led += led;
    /* It may fault after it was counted. */
    bool once = led && !outcome.output.signal.number;
    if (!wrong && variant == COUNTED && near->record.count != once && !outcome.output.signal.number)
        wrong = "another count";
    if (!wrong && variant == ASKED && asked != once && !outcome.output.signal.number)
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
    put_footprint(false);
    clean_stack();
    run(subject.address, false, &subject.native);
    for (size_t i = 0; i < subject.footprint_count; i++)
        areas_peek(generator.areas, subject.footprint[i].address, subject.footprint[i].after,
                   subject.footprint[i].size);
}

static void trace_native(void)
{
    struct outcome outcome = {.output.image = image_body};
    put_footprint(false);
    clean_stack();
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
    put_footprint(true);
    clean_stack();
    return wrong;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------
 */

/* Their results differ from run to run. */
static bool is_repeatable(const struct segue_insn *insn)
{
    return insn->class_ != SEGUE_CLASS_SYSTEM && insn->class_ != SEGUE_CLASS_STATE;
}

static uint16_t registers_of(const struct displaceable *form)
{
    return form->effects.reads | form->effects.writes;
}

/* Whether a row may stand beside the subject's: it accesses no memory and does not use RSP. */
static bool is_neighbour(const struct corpus_row *row, struct displaceable *form)
{
    static struct decode_scratch scratch;
    struct segue_insn insn;
    return segue_decode(SEGUE_MODE_64, row->bytes, row->length, &insn) == SEGUE_OK && !insn.memory_count &&
           !insn.unlisted && is_repeatable(&insn) && insn.class_ != SEGUE_CLASS_BRANCH && encodings_can_run(&insn) &&
           displaceable_make(&scratch, BLOCK, row->bytes, row->length, form) && form->flow == DISPLACED_FLOW_NEXT &&
           form->operand == DISPLACED_OPERAND_NONE && !(registers_of(form) >> SEGUE_RSP & 1);
}

/* A sample of all that there are. */
static void find_neighbours(struct random *random)
{
    for (unsigned i = 0; i < 16 * NEIGHBOURS && neighbour_count < NEIGHBOURS; i++)
        neighbour_count +=
            is_neighbour(&rows.rows[random_below(random, (uint32_t)rows.count)], &neighbours[neighbour_count]);
}

/* One that, before the row, leaves what the row's address depends on. Rather one that uses another register than those
 * before: a body has none to spare once all are used. */
static const struct displaceable *choose_neighbour(struct random *random, bool before)
{
    const struct displaceable *found = NULL;
    for (unsigned i = 0; i < 32 && neighbour_count; i++) {
        const struct displaceable *form = &neighbours[random_below(random, neighbour_count)];
        if (before && (form->effects.writes & subject.form.effects.reads))
            continue;
        found = form;
        if (registers_of(form) & ~subject.registers)
            break;
    }
    return found;
}

static void append(const struct displaceable *form)
{
    memcpy(subject.code + subject.size, form->bytes, form->length);
    subject.size += form->length;
    subject.registers |= registers_of(form);
    subject.instructions++;
}

static void append_neighbours(struct random *random, bool before)
{
    for (unsigned count = random_below(random, BLOCK_INSTRUCTIONS / 2); count > 0; count--) {
        const struct displaceable *form = choose_neighbour(random, before);
        if (form && subject.size + 2 * SEGUE_INSN_BYTES < BLOCK_ROOM)
            append(form);
    }
}

/* The row alone in its slot, or among others. */
static void make_code(struct random *random)
{
    bool is_block = (subject.form.is_plain || subject.form.is_masked) && subject.form.flow == DISPLACED_FLOW_NEXT &&
                    subject.form.operand != DISPLACED_OPERAND_RELATIVE && random_below(random, 2);
    subject.size = subject.instructions = subject.registers = 0;
    if (is_block)
        append_neighbours(random, true);
    subject.row = subject.size;
    append(&subject.form);
    if (is_block)
        append_neighbours(random, false);
    subject.address = is_block ? BLOCK : oracle_slot_address(SLOT, subject.size);
    counts.blocks += is_block;
    counts.instructions += subject.instructions;
}

static void write_code(void)
{
    static const uint8_t jump[] = {0xff, 0x25};
    if (subject.address != BLOCK) {
        oracle_slot_write(SLOT, subject.code, subject.size);
        return;
    }
    /* To where all slots lead: the address at the beginning. */
    uint8_t *end = (uint8_t *)(uintptr_t)BLOCK + subject.size;
    int32_t displacement = (int32_t)(BATCH_CODE_ADDRESS - (BLOCK + subject.size + 6));
    memcpy((void *)(uintptr_t)BLOCK, subject.code, subject.size);
    memcpy(end, jump, sizeof jump);
    memcpy(end + sizeof jump, &displacement, sizeof displacement);
}

static bool make_case(struct random *random)
{
    static struct decode_scratch scratch;
    if (!encodings_state(&generator, random, SLOT, images, subject.insn.length, &subject.test))
        return false;
    subject.test.registers.rflags &= ~(uint64_t)TEST_FLAG_ALIGNMENT_CHECK;
    assert_true(displaceable_make(&scratch, oracle_slot_address(SLOT, subject.insn.length), subject.test.bytes,
                                  subject.insn.length, &subject.form));
    bool has_room = find_footprint() && !operand_overlaps() && choose_stack(random);
    counts.no_room += !has_room;
    if (has_room)
        make_code(random);
    return has_room;
}

/* Once for each. */
static const char *find_stray(void)
{
    areas_load(generator.areas, memory_before);
    return "some row shortly before changed other memory";
}

static void check_row(size_t number)
{
    const struct corpus_row *row = &rows.rows[number];
    struct random random = random_for(SEED, number);
    corpus_row_text(row, row_text);
    if (row->length > SEGUE_INSN_BYTES)
        return;
    for (uint64_t i = 0; i < states; i++) {
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
        write_code();
        for (unsigned k = 0; k < VARIANTS; k++)
            build((enum variant)k);
        oracle_slots_close();
        if (subject.statuses[NEAR] == SEGUE_UNSUPPORTED) {
            /* A block is refused for its first instruction. */
            if (subject.row == 0) {
                note_refusal();
                return;
            }
            continue;
        }
        save_before();
        for (unsigned k = 0; k < TRIES; k++) {
            wrong = check_state(step && counts.cases % step == 0, random, &variant);
            if (!wrong)
                break;
        }
        counts.cases++;
        counts.checked += is_checked();
        counts.inside += is_checked() && subject.area;
        counts.masked += is_checked() && subject.area && subject.form.is_masked;
        counts.faults += subject.native.output.signal.number != 0;
        if (!wrong && counts.cases % COMPARED_AFTER == 0 && areas_difference(generator.areas, memory_before))
            wrong = find_stray();
        if (wrong && counts.differences++ < REPORTS_MAX)
            print_error("%s (%s), %s: %s (at body+%#llx)\n", row_text, segue_mnemonic_name(subject.insn.mnemonic),
                        variant_names[variant], wrong,
                        (unsigned long long)(stepping.wrong ? stepping.wrong_at - body_address(variant) : 0));
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
    print_message("%llu accesses at an alias; %llu stepped, %llu places, %llu in thunks; differences %llu\n",
                  (unsigned long long)counts.led, (unsigned long long)counts.stepped, (unsigned long long)counts.places,
                  (unsigned long long)counts.in_thunks, (unsigned long long)counts.differences);
    for (size_t i = 0; i < COUNT(counts.refusals) && counts.refusals[i].why; i++)
        print_message("  refused %llu: %s: %s\n", (unsigned long long)counts.refusals[i].count, counts.refusals[i].why,
                      counts.refusals[i].example);
}

static void bodies_do_as_the_rows_themselves(void **state)
{
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct random random = random_for(SEED, 1);
    bool vectors;
    (void)state;
    skip_if(batch_prepare());
    generator = (struct generator){.seed = SEED, .areas = areas_of(AREAS_ALIAS), .images = IMAGES};
    __asm__("movq %%fs:0, %0" : "=r"(generator.fs_base));
    images = encodings_images(&random, IMAGES);
    memory_before = malloc(generator.areas->size);
    body_scratch = aligned_alloc(64, (body_scratch_size() + 63) & ~(size_t)63);
    if (!images || !memory_before || !body_scratch || !map_memory())
        skip_if("there is no memory at the places that are needed");
    body_thunks_fill(near->thunks, &vectors);
    body_ask = ask;
    find_neighbours(&random);
    areas_open(generator.areas);
    areas_fill(generator.areas, &random);
    areas_save(generator.areas, memory_before);
    oracle_signals_take();
    sigfillset(&trap.sa_mask);
    sigaction(SIGTRAP, &trap, NULL);
    for (size_t i = 0; i < rows.count; i += every)
        check_row(i);
    oracle_signals_give_back();
    summarise();
    assert_int_equal(counts.differences, 0);
    assert_true(counts.inside > counts.cases / 4 && counts.led > counts.inside && counts.faults > 0);
    assert_true(!step || (counts.places > 4 * counts.stepped && counts.in_thunks > 0));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bodies_do_as_the_rows_themselves)};
    struct corpus_error error;
    states = argc > 4 ? strtoull(argv[1], NULL, 10) : 0;
    every = argc > 4 ? strtoull(argv[2], NULL, 10) : 0;
    step = argc > 4 ? strtoull(argv[3], NULL, 10) : 0;
    if (!states || !every) {
        fputs("usage: hot_body STATES EVERY STEP FILE...\n", stderr);
        return 2;
    }
    for (int i = 4; i < argc; i++)
        if (!corpus_rows_read(&rows, argv[i], &error))
            return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
