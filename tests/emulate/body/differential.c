/* differential.c: compares code with its body (see differential.h). */
#include "differential.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "decode/relocate/displaceable_cache.h"
#include "decode/x86/flags.h"
#include "emulate/body/table.h"
#include "stepper.h"
#include "world.h"

#define MOST_BOUNDARIES 4096
#define MOST_RECORDS 64

void (*world_at_place)(const struct stepper_stop *stop, const struct segue_regs *seen);
void (*world_in_policy)(const struct body_call *call);

struct boundary {
    struct segue_regs regs;
    uint64_t memory, state;
};

static struct {
    const struct variation *variation;
    struct outcome *outcome;
    char *why;
    const uint8_t *code;
    size_t size;
    uint64_t stop;
    struct boundary boundaries[MOST_BOUNDARIES];
    unsigned count, at;
    int signal;
    /* Accesses of the region by original instructions. */
    uint64_t expected, native;
    bool is_wrong;
    /* What lies below the first red zone may change at any time. */
    uint64_t red_zone;
    unsigned stops;
} test;

/* The body, and those that it leads to. */
#define BODIES_MOST 6u
#define OTHERS_AT 0x5000u
#define OTHER_SIZE 0x900u
static struct linked {
    uint64_t at;
    uint32_t first_record;
    struct body body;
} bodies[BODIES_MOST];
static unsigned body_count, record_count;

static struct body_descriptor *descriptor(void)
{
    return (struct body_descriptor *)(void *)world.near;
}

static uint64_t *thunk_words(void)
{
    return (uint64_t *)(void *)(world.near + THUNKS_AT);
}

/* The variation's words for quick questions. */
static uint64_t *quick_words(void)
{
    return (uint64_t *)(void *)(world.near + NEAR_SIZE) - BODY_QUICK_COUNT;
}

static struct body_record *records(void)
{
    return (struct body_record *)(void *)(world.near + 256);
}

static uint64_t *link_words(unsigned number)
{
    return (uint64_t *)(void *)(world.near + 0x1000) + number * BODY_LINKS_MOST;
}

/* The number of the body's first counter; and the thread's. */
#define FIRST_COUNTER 5u
static uint64_t thread_counters[FIRST_COUNTER + MOST_RECORDS];

static void give_counters(bool given)
{
    body_counters = given ? (uint64_t)(uintptr_t)thread_counters + BODY_COUNTERS_BIAS : 0;
}

/* Where body_counters is, from the base of FS. */
static int32_t counters_at(void)
{
    uint64_t base;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(base));
    return (int32_t)((uint64_t)(uintptr_t)&body_counters - base);
}

static bool note_boundary(void *context, struct stepper_stop *stop)
{
    (void)context;
    struct boundary *boundary = &test.boundaries[test.count];
    if (test.count == MOST_BOUNDARIES) {
        test.is_wrong = true;
        return false;
    }
    test.count++;
    boundary->regs = *stop->regs;
    boundary->memory = world_hash_memory(stop->regs, test.red_zone);
    boundary->state = world_hash_state(stop->state);
    if (stop->signal) {
        test.count--;
        test.signal = stop->signal;
        return false;
    }
    if (stop->regs->rip == test.stop)
        return false;
    test.expected += world_accesses_inside(stop->regs, stop->state);
    return true;
}

static void explain(const struct segue_regs *seen, const struct stepper_stop *stop, const char *what)
{
    const struct boundary *wanted = &test.boundaries[test.at];
    static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8",
                                        "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"};
    int used = snprintf(test.why, 256, "%s at body+%#lx, boundary %u (code+%#lx)", what,
                        (unsigned long)(stop->regs->rip - (uint64_t)(uintptr_t)world.bodies), test.at,
                        (unsigned long)(wanted->regs.rip - (uint64_t)(uintptr_t)world.original));
    for (unsigned i = 0; i < sizeof names / sizeof *names && used < 200; i++)
        if (segue_register_get(seen, i) != segue_register_get(&wanted->regs, i))
            used += snprintf(test.why + used, 256 - (size_t)used, " %s %#lx not %#lx", names[i],
                             (unsigned long)segue_register_get(seen, i),
                             (unsigned long)segue_register_get(&wanted->regs, i));
    test.is_wrong = true;
}

static bool agrees(const struct segue_regs *seen, uint64_t memory, uint64_t state, unsigned number)
{
    const struct boundary *wanted = &test.boundaries[number];
    if (number >= test.count || memory != wanted->memory || state != wanted->state)
        return false;
    for (unsigned i = 0; i <= SEGUE_RFLAGS; i++)
        if (segue_register_get(seen, i) != segue_register_get(&wanted->regs, i))
            return false;
    return true;
}

static bool is_jump(uint64_t rip)
{
    const uint8_t *code = (const uint8_t *)(uintptr_t)rip;
    return *code == 0xe9 || *code == 0xeb;
}

/* The registers are those of the current boundary or of the next one. */
static bool compare(const struct segue_regs *seen, const struct stepper_stop *stop, const char *what)
{
    uint64_t memory = world_hash_memory(seen, test.red_zone), state = world_hash_state(stop->state);
    if (agrees(seen, memory, state, test.at))
        return true;
    /* Jumps between instructions are not copied. */
    for (unsigned next = test.at + 1; next < test.count; next++) {
        if (agrees(seen, memory, state, next)) {
            test.at = next;
            return true;
        }
        if (!test.variation->links || !is_jump(test.boundaries[next].regs.rip))
            break;
    }
    explain(seen, stop, what);
    return false;
}

static bool translate(struct segue_regs *regs, struct body_place *place, bool *is_thunk)
{
    *is_thunk = test.variation->leave_quick && test.variation->leave_quick(regs);
    *is_thunk = *is_thunk || body_leave_thunk(regs);
    for (unsigned i = 0; i < body_count; i++) {
        if (!body_translate(bodies[i].body.table, bodies[i].at, regs, place))
            continue;
        place->record += bodies[i].first_record;
        test.outcome->linked += i > 0;
        return true;
    }
    return false;
}

/* Whether the instruction is MOV of a register to a slot: the frame has no room where RSP is. */
static bool stores_slot(uint64_t rip)
{
    const uint8_t *code = (const uint8_t *)(uintptr_t)rip;
    code += (*code & 0xf0) == 0x40;
    return code[0] == 0x89 && (code[1] & 0x87) == 0x04 && code[2] == 0x24;
}

/* A fault in the body, or where the original code goes on. */
static bool serve(struct stepper_stop *stop, struct segue_regs *seen, const struct body_place *place)
{
    bool is_region = stop->signal == SIGSEGV && is_in(stop->address, world.memory, HOT_SIZE);
    bool is_stack = place && stores_slot(stop->regs->rip);
    test.outcome->faults++;
    if (place && body_lacks_counters(stop->address)) {
        bool is_late = test.variation->counters == WORLD_COUNTERS_LATE;
        test.outcome->lacks++;
        give_counters(is_late);
        *stop->regs = *seen;
        if (!is_late)
            stop->regs->rip = place->plain;
        else if (seen->rip == (uint64_t)(uintptr_t)world.original)
            stop->regs->rip = (uint64_t)(uintptr_t)world.bodies;
        else
            test.native += world_accesses_inside(seen, stop->state);
        world_open(is_late && stop->regs->rip == seen->rip);
        return place->plain;
    }
    if (is_stack) {
        test.outcome->plain_entries += place->plain != 0;
        *stop->regs = *seen;
        if (place->plain)
            stop->regs->rip = place->plain;
        return true;
    }
    if (is_region) {
        *stop->regs = *seen;
        test.native += world_accesses_inside(seen, stop->state);
        world_open(true);
        return true;
    }
    if (test.signal != stop->signal || test.at + 1 != test.count) {
        explain(seen, stop, "a fault that the program does not have");
        snprintf(test.why + strlen(test.why), 256 - strlen(test.why), " signal %d at %#lx", stop->signal,
                 (unsigned long)stop->address);
    }
    return false;
}

static void take_back(uint32_t record)
{
    if (records()[record].by_thread)
        thread_counters[FIRST_COUNTER + record]--;
    else
        records()[record].count--;
}

static bool at_body(struct stepper_stop *stop, struct segue_regs *seen, struct body_place *place)
{
    if (!compare(seen, stop, "rolled back"))
        return false;
    test.outcome->stops++;
    if (world_at_place)
        world_at_place(stop, seen);
    if (stop->signal)
        return serve(stop, seen, place);
    if (++test.stops == test.variation->roll_back_at) {
        *stop->regs = *seen;
        if (place->counted && (test.variation->mode == BODY_COUNT || test.variation->sample))
            take_back(place->record);
        test.native += world_accesses_inside(seen, stop->state);
        world_open(true);
        return seen->rip != test.stop;
    }
    return true;
}

static bool at_stop(void *context, struct stepper_stop *stop)
{
    (void)context;
    struct segue_regs seen = *stop->regs;
    struct body_place place;
    bool is_thunk;
    if (translate(&seen, &place, &is_thunk)) {
        test.outcome->stops_in_thunks += is_thunk;
        return at_body(stop, &seen, &place);
    }
    bool is_original = is_in(seen.rip, world.original, CODE_SIZE);
    if (!is_original && !stop->signal)
        return true;
    if (test.variation->is_free && !stop->signal && seen.rip == test.stop + 1) {
        seen.rip = test.stop;
        test.at = test.count - 1;
        compare(&seen, stop, "the end");
        return false;
    }
    if (!compare(&seen, stop, "original"))
        return false;
    if (stop->signal)
        return serve(stop, &seen, NULL);
    if (seen.rip == test.stop)
        return false;
    if (seen.rip == (uint64_t)(uintptr_t)world.original) {
        world_open(false);
        stop->regs->rip = (uint64_t)(uintptr_t)world.bodies;
    } else {
        test.native += world_accesses_inside(&seen, stop->state);
        world_open(true);
    }
    return true;
}

static uint64_t answers;

/* Another value in each vector register, in x87 and in the masks: what a policy of C may leave there. */
static void spoil_vectors(void)
{
    __asm__ volatile(
        "fninit\n fldpi\n pcmpeqd %xmm0, %xmm0\n .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        " movdqa %xmm0, %xmm\\n\n .endr");
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile(".irp n, 0, 1, 2, 3, 4, 5, 6, 7\n vinsertf128 $1, %xmm0, %ymm0, %ymm\\n\n .endr");
}

/* The region's alias is far for those that miss it. */
static __attribute__((target("general-regs-only"))) bool find_alias(struct body_call *call)
{
    uint64_t offset = call->address - (uint64_t)(uintptr_t)world.memory;
    test.outcome->missed++;
    call->alias = (uint64_t)(uintptr_t)world.far_alias + offset;
    return offset + call->record->size <= HOT_SIZE && offset < HOT_SIZE;
}

__attribute__((target("general-regs-only"))) void world_is_wrong(void)
{
    test.is_wrong = true;
}

__attribute__((target("general-regs-only"))) uint64_t world_site(void)
{
    return test.boundaries[test.at].regs.rip;
}

__attribute__((target("general-regs-only"))) int world_answer(uint64_t site)
{
    if (site != world_site() && !test.variation->is_free)
        test.is_wrong = true;
    answers = answers >> 1 | answers << 63;
    return answers >> 63 ? 0 : 1;
}

/* Fortified, snprintf is inlined into no function of general registers only. */
static __attribute__((noinline)) void note_other_register(unsigned number)
{
    snprintf(test.why, 256, "the policy is shown another register %u", number);
    test.is_wrong = true;
}

static __attribute__((target("general-regs-only"))) int BODY_ASK_ABI ask(struct body_call *call)
{
    static uint64_t word;
    call->watch = &word;
    call->watched = word;
    /* Once in a while the thunk has to ask again. */
    if (test.outcome->asked++ % 8 == 7)
        word++;
    const struct boundary *boundary = &test.boundaries[test.at];
    if (world_in_policy)
        world_in_policy(call);
    if (test.variation->ask == BODY_THUNK_ASK_VECTORS || test.variation->ask == BODY_THUNK_ASK_REGS_VECTORS)
        spoil_vectors();
    if (call->regs && !test.variation->is_free)
        for (unsigned i = 0; i <= SEGUE_RFLAGS; i++)
            if (i != SEGUE_RIP && (segue_register_get(call->regs, i) & ~(i == SEGUE_RFLAGS ? FLAG_TRAP : 0)) !=
                                      segue_register_get(&boundary->regs, i)) {
                note_other_register(i);
            }
    int answer = world_answer(call->record->site);
    return call->missed && !find_alias(call) ? 1 : answer;
}

static size_t read_code(void *context, uint64_t address, uint8_t *bytes, size_t size)
{
    (void)context;
    memcpy(bytes, (const void *)(uintptr_t)address, size);
    return size;
}

static bool check_all(void *context, uint64_t address)
{
    (void)context;
    (void)address;
    return test.variation->checks_all;
}

static enum segue_status build_one(struct body_scratch *scratch, struct body_request *request, uint64_t at, size_t room)
{
    struct linked *made = &bodies[body_count];
    made->at = at;
    made->first_record = request->counters - FIRST_COUNTER;
    request->most_links = test.variation->links ? BODY_LINKS_MOST : 0;
    for (unsigned i = 0; i < BODY_LINKS_MOST; i++)
        request->link_words[i] = &link_words(body_count)[i];
    enum segue_status status = body_build(scratch, request, at, (uint8_t *)(uintptr_t)at, room, &made->body);
    if (status != SEGUE_OK)
        return status;
    body_count++;
    record_count += made->body.record_count;
    request->records += made->body.record_count;
    request->most_records -= made->body.record_count;
    request->counters += made->body.record_count;
    return status;
}

static struct linked *body_of(uint64_t site)
{
    for (unsigned i = 0; i < body_count; i++)
        if (((const struct body_table *)(const void *)bodies[i].body.table)->site == site)
            return &bodies[i];
    return NULL;
}

/* Bodies of the sites that the body has links to. */
static void build_others(struct body_scratch *scratch, struct body_request *request, const struct body *body)
{
    for (unsigned i = 0; i < body->link_count; i++) {
        request->site = body->links[i].target;
        if (body_count < BODIES_MOST && request->site != test.stop && !body_of(request->site))
            build_one(scratch, request, (uint64_t)(uintptr_t)world.bodies + OTHERS_AT + (body_count - 1) * OTHER_SIZE,
                      OTHER_SIZE);
    }
}

static void lead(const struct linked *from, uint64_t *words)
{
    for (unsigned i = 0; i < from->body.link_count; i++) {
        const struct body_link *link = &from->body.links[i];
        const struct linked *to = body_of(link->target);
        bool fits = to && to->body.linkage == from->body.linkage && to->body.entries[link->entry];
        words[i] = fits ? to->at + to->body.entries[link->entry] : from->at + link->local;
    }
}

static enum segue_status build(void)
{
    const struct variation *variation = test.variation;
    static struct body_scratch *scratch;
    static struct displaceable_cache cache;
    if (!scratch)
        scratch = aligned_alloc(64, (body_scratch_size() + 63) & ~(size_t)63);
    struct body_descriptor *known = descriptor();
    const uint8_t *base = variation->is_elsewhere ? world.near + 0x100000 : world.memory;
    *known = (struct body_descriptor){.base = (uint64_t)(uintptr_t)base};
    for (unsigned i = 0; i < 7; i++)
        known->limits[i] = HOT_SIZE - (1u << i) + 1;
    body_regions.sequence = 0;
    body_regions.count = 3;
    uint64_t memory = (uint64_t)(uintptr_t)world.memory;
    body_regions.regions[0] = (struct body_region){.base = memory - 0x8000, .size = 0x1000};
    body_regions.regions[1] = (struct body_region){
        .base = memory, .size = HOT_SIZE, .distance = (uint64_t)(uintptr_t)world.far_alias - memory};
    body_regions.regions[2] = (struct body_region){.base = memory + 0x4000000, .size = 0x1000};
    memset(records(), 0, MOST_RECORDS * sizeof(struct body_record));
    if (variation->quick)
        memcpy(quick_words(), variation->quick, BODY_QUICK_COUNT * sizeof *variation->quick);
    struct body_request request = {.site = (uint64_t)(uintptr_t)world.original,
                                   .descriptor = known,
                                   .distance = world.alias - world.memory,
                                   .mode = variation->mode,
                                   .ask = variation->ask,
                                   .sample = variation->sample,
                                   .counters_at = variation->counters ? counters_at() : 0,
                                   .counters = FIRST_COUNTER,
                                   .lookup = variation->lookup,
                                   .records = records(),
                                   .most_records = MOST_RECORDS,
                                   .slot = variation->slot,
                                   .thunks = thunk_words(),
                                   .quick = variation->quick ? quick_words() : NULL,
                                   .read_code = read_code,
                                   .is_checked = check_all,
                                   .cache = &cache,
                                   .most_instructions =
                                       variation->most_instructions ? variation->most_instructions : BODY_INSTRUCTIONS,
                                   .most_bytes = variation->most_bytes ? variation->most_bytes : BODIES_SIZE};
    memset(world.bodies, 0xcc, BODIES_SIZE);
    body_count = record_count = 0;
    enum segue_status status =
        build_one(scratch, &request, (uint64_t)(uintptr_t)world.bodies, variation->links ? OTHERS_AT : BODIES_SIZE);
    test.outcome->body = bodies[0].body;
    for (unsigned i = 0; i < body_count; i++)
        build_others(scratch, &request, &bodies[i].body);
    for (unsigned i = 0; i < body_count; i++)
        lead(&bodies[i], link_words(i));
    return status;
}

static bool run_body(const struct segue_regs *regs)
{
    struct segue_regs from = *regs;
    from.rip = (uint64_t)(uintptr_t)world.bodies;
    world_fill();
    memset(thread_counters, 0, sizeof thread_counters);
    give_counters(test.variation->counters == WORLD_COUNTERS_THERE);
    memset(world.original + test.size, 0xcc, CODE_SIZE - test.size);
    world_open(false);
    answers = test.variation->answers;
    test.at = test.stops = 0;
    test.native = 0;
    return stepper_run(&from, !test.variation->is_free, at_stop, NULL);
}

/* One question for each access that completes a sample; the thunk asks every eighth one again. */
static bool samples_agree(void)
{
    const struct variation *variation = test.variation;
    uint64_t asked = test.outcome->asked - test.outcome->asked / 8, due = 0;
    if (!variation->sample || variation->roll_back_at || ~variation->answers)
        return true;
    for (unsigned i = 0; i < record_count; i++)
        due += records()[i].count / variation->sample;
    if (asked == due)
        return true;
    snprintf(test.why, 256, "%lu questions, in place of %lu", (unsigned long)asked, (unsigned long)due);
    return false;
}

static bool counts_agree(void)
{
    uint64_t counted = test.native;
    for (unsigned i = 0; i < record_count; i++) {
        counted += records()[i].count - records()[i].left + thread_counters[FIRST_COUNTER + i];
        test.outcome->by_thread += thread_counters[FIRST_COUNTER + i];
    }
    if (counted == test.expected)
        return true;
    snprintf(test.why, 256, "%lu accesses counted, %lu by original instructions: not %lu",
             (unsigned long)(counted - test.native), (unsigned long)test.native, (unsigned long)test.expected);
    return false;
}

bool world_compare(const uint8_t *code, size_t size, size_t stop, const struct segue_regs *regs,
                   const struct variation *variation, struct outcome *outcome, char why[256])
{
    struct segue_regs from = *regs;
    from.rip = (uint64_t)(uintptr_t)world.original;
    test.variation = variation;
    test.outcome = outcome;
    test.why = why;
    test.code = code;
    test.red_zone = regs->rsp - RED_ZONE;
    test.size = size;
    test.stop = from.rip + stop;
    test.count = 0;
    test.signal = 0;
    test.expected = 0;
    test.is_wrong = false;
    *outcome = (struct outcome){0};
    *why = 0;
    memset(world.original, 0xcc, CODE_SIZE);
    memcpy(world.original, code, size);
    world_fill();
    world_open(true);
    body_ask = ask;
    bool ended = stepper_run(&from, true, note_boundary, NULL);
    world_open(true);
    if (!ended || test.is_wrong) {
        snprintf(why, 256, "the code does not end");
        return false;
    }
    outcome->boundaries = test.count;
    enum segue_status status = build();
    if (status == SEGUE_UNSUPPORTED)
        return true;
    if (status != SEGUE_OK) {
        snprintf(why, 256, "status %d", (int)status);
        return false;
    }
    bool ran = run_body(&from);
    world_open(true);
    if (!ran && !*why)
        snprintf(why, 256, "the body does not end");
    if (!ran || test.is_wrong)
        return false;
    if (test.at + 1 != test.count) {
        snprintf(why, 256, "ended at boundary %u of %u", test.at, test.count);
        return false;
    }
    bool is_counted = variation->mode == BODY_COUNT || variation->sample;
    return !is_counted || test.signal || (counts_agree() && samples_agree());
}
