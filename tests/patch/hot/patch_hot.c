/* patch_hot.c: sites become hot and are undone, one by one and in rows; what is refused; bodies that are not in use any
 * more. */
#include "hot_code.h"

#include <string.h>
#include <sys/mman.h>

#include "patch/hot/space/chunks.h"
#include "patch/poke/excluded.h"
#include "platform/memory/mappings.h"
#include "tests/support/random.h"
#include "tests/support/times.h"

static void every_site_becomes_hot_and_is_undone(void)
{
    unsigned tactics[5];
    size_t undone;
    prepare(1, NULL);
    unsigned made = make_all();
    expect_all(tactics);
    EXPECT(made > site_count * 8 / 10);
    EXPECT(tactics[SEGUE_TACTIC_B1] > 100 && tactics[SEGUE_TACTIC_B2] > 100 && tactics[SEGUE_TACTIC_T2] > 50);
    EXPECT(hot_undo(0, UINT64_MAX, NULL, &undone) == SEGUE_OK);
    EXPECT(undone == tactics[1] + tactics[2] + tactics[3] + tactics[4]);
    EXPECT(memcmp(code, original, CODE_BYTES) == 0);
    expect_all(tactics);
    EXPECT(tactics[SEGUE_TACTIC_B1] == 0 && tactics[SEGUE_TACTIC_B2] == 0);
    /* And again. */
    EXPECT(make_all() > site_count * 8 / 10);
    expect_all(tactics);
}

/* Single sites and batches, in any order, undone in part, so that puns have dependents that were hot before. */
static void sites_in_any_order_keep_what_functions_do(void)
{
    struct random random = random_for(2, 0);
    unsigned tactics[5], alone = 0;
    prepare(2, NULL);
    for (unsigned round = 0; round < 300; round++) {
        struct hot_request requests[16];
        unsigned count = 1 + random_below(&random, 16), first = random_below(&random, site_count - 16);
        size_t undone;
        if (random_below(&random, 4) == 0) {
            uint64_t start = sites[first], size = 1 + random_below(&random, 100);
            const struct hot_builder *with = random_below(&random, 2) ? &builder : NULL;
            EXPECT(hot_undo(start, size, with, &undone) == SEGUE_OK);
            for (uint64_t at = start; at < start + size; at++)
                EXPECT(!hot_body_of(at));
        }
        for (unsigned i = 0; i < count; i++)
            requests[i].address = sites[round % 2 ? first + i : random_below(&random, site_count)];
        EXPECT(hot_make(requests, count, &builder) == SEGUE_OK);
        for (unsigned i = 0; i < count; i++) {
            EXPECT(requests[i].status != SEGUE_BUSY);
            bool is_hot = hot_body_of(requests[i].address);
            EXPECT(is_hot == (requests[i].status == SEGUE_OK || requests[i].status == SEGUE_EXISTS));
            EXPECT(is_hot || requests[i].refusal);
            alone += is_hot;
        }
        expect_all(tactics);
    }
    EXPECT(alone > 500);
    EXPECT(hot_undo(0, UINT64_MAX, &builder, NULL) == SEGUE_OK);
    EXPECT(memcmp(code, original, CODE_BYTES) == 0);
}

static void dependents_are_undone_and_made_anew(void)
{
    /* mov 8(%rdi), %edx; mov 24(%rdi), %rdx: the pun of the first ends in the second. */
    unsigned tactics[5];
    const char *refusal;
    size_t undone;
    prepare(3, NULL);
    unsigned found = 0;
    for (unsigned i = 0; i + 1 < site_count && found < 20; i++) {
        if (sites[i + 1] - sites[i] >= 4 || i % INSTRUCTIONS == INSTRUCTIONS - 1)
            continue;
        make_one(sites[i], &refusal);
        make_one(sites[i + 1], &refusal);
        if (!hot_body_of(sites[i]) || !hot_body_of(sites[i + 1]))
            continue;
        found++;
        /* The first was made anew, or had moved the second. */
        EXPECT(hot_body_of(sites[i]) && hot_body_of(sites[i + 1]));
        expect_all(tactics);
        EXPECT(hot_undo(sites[i + 1], 1, &builder, &undone) == SEGUE_OK && undone == 1);
        EXPECT(hot_body_of(sites[i]) || hot_site_find(sites[i])->refusal);
        EXPECT(!hot_body_of(sites[i + 1]));
        expect_all(tactics);
        make_one(sites[i + 1], &refusal);
        if (!hot_body_of(sites[i + 1]))
            continue;
        EXPECT(hot_undo(sites[i + 1], 1, NULL, &undone) == SEGUE_OK && undone == 1);
        EXPECT(!hot_body_of(sites[i]));
        expect_all(tactics);
    }
    EXPECT(found == 20);
}

static void what_may_not_change_is_refused_with_a_reason(void)
{
    const char *refusal;
    prepare(4, NULL);
    uint64_t site = sites[5];
    /* Code that may be rewritten. */
    uint8_t *jit = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(jit, original, CODE_BYTES);
    mprotect(jit, CODE_BYTES, PROT_READ | PROT_EXEC);
    uint64_t in_jit = (uint64_t)(uintptr_t)jit + (site - (uint64_t)(uintptr_t)code);
    EXPECT(make_one(in_jit, &refusal) == SEGUE_UNSUPPORTED && strstr(refusal, "rewritten"));
    EXPECT(memcmp(jit, original, CODE_BYTES) == 0);
    EXPECT(hot_prepare(&(const struct hot_limits){.flags = HOT_ANY_CODE}) == SEGUE_OK);
    EXPECT(make_one(in_jit, &refusal) == SEGUE_OK);
    EXPECT(hot_undo(in_jit, 1, NULL, NULL) == SEGUE_OK);
    EXPECT(memcmp(jit, original, CODE_BYTES) == 0);
    EXPECT(hot_prepare(&(const struct hot_limits){0}) == SEGUE_OK);
    /* Nothing there; data; bytes that are no instruction. */
    EXPECT(make_one(4096, &refusal) == SEGUE_UNSUPPORTED && refusal);
    EXPECT(make_one((uint64_t)(uintptr_t)original, &refusal) == SEGUE_UNSUPPORTED && strstr(refusal, "executed"));
    EXPECT(make_one(0, &refusal) != SEGUE_OK);
    /* What the builder refuses. */
    unsigned by_builder = 0;
    for (unsigned i = 0; i < site_count; i++)
        if (original[sites[i] - (uint64_t)(uintptr_t)code] == BRANCH) {
            EXPECT(make_one(sites[i], &refusal) != SEGUE_OK && refusal);
            by_builder += strstr(refusal, "branch") != NULL;
        }
    EXPECT(by_builder > 10);
    EXPECT(memcmp(code, original, CODE_BYTES) == 0);
    /* Excluded. */
    EXPECT(excluded_add(site, 1) == SEGUE_OK);
    EXPECT(make_one(site, &refusal) == SEGUE_UNSUPPORTED && strstr(refusal, "excluded"));
    make_all();
    EXPECT(!hot_body_of(site) && strstr(hot_site_find(site)->refusal, "excluded"));
    EXPECT(memcmp((const void *)(uintptr_t)site, original + (site - (uint64_t)(uintptr_t)code), 1) == 0);
    struct hot_request many[HOT_BATCH + 1] = {0};
    EXPECT(hot_make(many, HOT_BATCH + 1, &builder) == SEGUE_INVALID);
}

static void what_finds_no_room_goes_on_faulting(void)
{
    unsigned tactics[5];
    const char *refusal = NULL;
    unsigned refused = 0;
    prepare(5, &(const struct hot_limits){.most_sites = 4096, .most_memory = 4 * 4096});
    make_all();
    expect_all(tactics);
    for (unsigned i = 0; i < site_count; i++)
        refused += make_one(sites[i], &refusal) == SEGUE_NO_MEMORY && strstr(refusal, "memory");
    EXPECT(refused > site_count / 4);
    EXPECT(chunks_used().memory <= 4 * 4096);
    expect_all(tactics);
    /* With more, they become hot after all. */
    EXPECT(hot_prepare(&(const struct hot_limits){.most_mappings = chunks_used().mappings}) == SEGUE_OK);
    make_all();
    expect_all(tactics);
    EXPECT(hot_prepare(&(const struct hot_limits){0}) == SEGUE_OK);
    EXPECT(make_all() > site_count * 8 / 10);
    expect_all(tactics);
}

/* What is free within two gibibytes of the code. */
#define GAPS 512u
static struct gap {
    void *start;
    size_t size;
} near_gaps[GAPS];
static unsigned near_count;

static void fill_gaps(void)
{
    static char piece[4096];
    const uint64_t reach = UINT64_C(2) << 30, at = (uint64_t)(uintptr_t)code;
    uint64_t low = at - reach, end = at + CODE_BYTES + reach, from = low;
    struct mappings list;
    struct mapping mapping = {0};
    EXPECT(mappings_open(&list, piece, sizeof piece));
    while (from < end && mappings_next(&list, &mapping)) {
        uint64_t to = mapping.start < end ? mapping.start : end;
        if (from < to && near_count < GAPS)
            near_gaps[near_count++] = (struct gap){(void *)(uintptr_t)from, to - from};
        from = mapping.end > from ? mapping.end : from;
    }
    mappings_close(&list);
    EXPECT(near_count > 0 && near_count < GAPS);
    for (unsigned i = 0; i < near_count; i++)
        EXPECT(mmap(near_gaps[i].start, near_gaps[i].size, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == near_gaps[i].start);
}

static void what_finds_no_address_waits_for_one(void)
{
    unsigned tactics[5];
    const char *refusal;
    prepare(7, NULL);
    fill_gaps();
    EXPECT(make_all() == 0);
    for (unsigned i = 0; i < site_count; i += 100)
        EXPECT(make_one(sites[i], &refusal) != SEGUE_OK && refusal);
    EXPECT(chunks_used().mappings == 0 && memcmp(code, original, CODE_BYTES) == 0);
    for (unsigned i = 0; i < near_count; i++)
        munmap(near_gaps[i].start, near_gaps[i].size);
    /* The list of mappings is read at most every 16 ms. */
    usleep(20000);
    EXPECT(make_all() > site_count * 8 / 10);
    expect_all(tactics);
}

static void full_table_refuses(void)
{
    unsigned tactics[5];
    prepare(6, &(const struct hot_limits){.most_sites = 16});
    unsigned made = make_all();
    EXPECT(made > 0 && made <= 16);
    expect_all(tactics);
}

/* --- Longer rows of puns than one batch changes. --- */

#define ROW 400u
#define ROW_BYTES (ROW * 4 + 1)
static uint8_t *row;

/* mov 24(%rdi), %rdx; each pun reads the first byte of the next one. `count` are made, from the last to the first: no
 * call meets a dependent. */
static void make_row(unsigned count)
{
    const char *refusal;
    prepare(14, &(const struct hot_limits){.most_sites = 4096, .flags = HOT_ANY_CODE});
    row = mmap(NULL, ROW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(row != MAP_FAILED);
    for (unsigned i = 0; i < ROW; i++)
        memcpy(row + i * 4, (const uint8_t[]){0x48, 0x8b, 0x57, 0x18}, 4);
    row[ROW_BYTES - 1] = 0xc3;
    EXPECT(mprotect(row, ROW_BYTES, PROT_READ | PROT_EXEC) == 0);
    for (unsigned i = count; i-- > 0;)
        EXPECT(make_one((uint64_t)(uintptr_t)(row + i * 4), &refusal) == SEGUE_OK);
}

static unsigned hot_in_row(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ROW; i++)
        count += hot_body_of((uint64_t)(uintptr_t)(row + i * 4)) != NULL;
    return count;
}

static uint64_t run_row(void)
{
    uint64_t memory[8] = {0};
    return ((function *)(uintptr_t)row)(memory);
}

static void row_is_undone_by_its_last_instruction(void)
{
    size_t undone;
    make_row(ROW);
    EXPECT(hot_in_row() == ROW);
    EXPECT(hot_undo((uint64_t)(uintptr_t)(row + (ROW - 1) * 4), 4, NULL, &undone) == SEGUE_OK && undone == 1);
    EXPECT(hot_in_row() == 0);
    for (unsigned i = 0; i < ROW; i++)
        EXPECT(memcmp(row + i * 4, "\x48\x8b\x57\x18", 4) == 0);
    run_row();
}

static void row_of_too_many_puns_keeps_its_last_instruction(void)
{
    const char *refusal;
    make_row(ROW - 1);
    EXPECT(make_one((uint64_t)(uintptr_t)(row + (ROW - 1) * 4), &refusal) == SEGUE_NO_MEMORY);
    EXPECT(strstr(refusal, "neighbours") && hot_in_row() == ROW - 1);
    run_row();
}

static void row_is_undone_where_its_last_instruction_is_forgotten(void)
{
    make_row(ROW);
    EXPECT(hot_forget((uint64_t)(uintptr_t)(row + (ROW - 1) * 4), 4) == SEGUE_OK);
    /* The one that was forgotten is still a jump; those before it are not, so they do not read it. */
    EXPECT(hot_in_row() == 0);
    for (unsigned i = 0; i + 1 < ROW; i++)
        EXPECT(memcmp(row + i * 4, "\x48\x8b\x57\x18", 4) == 0);
}

/* --- Bodies. --- */

static unsigned freed;

static void count_freed(void *context, const struct hot_body *body)
{
    (void)context;
    EXPECT(body->retired);
    freed++;
}

static void retired_bodies_are_found_until_they_are_collected(void)
{
    unsigned tactics[5];
    size_t undone;
    prepare(8, NULL);
    make_all();
    uint64_t memory = chunks_used().memory;
    for (unsigned round = 0; round < 6 * test_times(); round++) {
        EXPECT(hot_collect(hot_retirement(), NULL, NULL) == SEGUE_OK);
        uint64_t first = hot_retirement();
        const struct hot_body *body = NULL;
        for (unsigned i = 0; !body; i++)
            body = hot_body_of(sites[i]);
        uint64_t address = body->address;
        EXPECT(hot_undo(0, UINT64_MAX, NULL, &undone) == SEGUE_OK);
        /* A thread may stand in it until it is collected. */
        EXPECT(hot_body_find(address) == body && body->retired >= first);
        freed = 0;
        EXPECT(hot_collect(first, count_freed, NULL) == SEGUE_OK && freed == 0);
        EXPECT(hot_collect(hot_retirement(), count_freed, NULL) == SEGUE_OK && freed >= undone);
        EXPECT(!hot_body_find(address));
        make_all();
        expect_all(tactics);
    }
    /* The space is used again. */
    EXPECT(chunks_used().memory <= memory + memory / 2);
    EXPECT(!hot_body_find((uint64_t)(uintptr_t)code) && !hot_body_find(0));
}

static enum segue_status nested;

static enum segue_status build_nested(void *context, uint64_t site, uint64_t at, uint8_t *out, size_t room,
                                      struct hot_built *built)
{
    struct hot_request request = {.address = sites[50]};
    nested = hot_make(&request, 1, &builder);
    EXPECT(hot_undo(0, 1, NULL, NULL) == SEGUE_BUSY && hot_collect(1, NULL, NULL) == SEGUE_BUSY);
    return build(context, site, at, out, room, built);
}

static void second_caller_is_busy(void)
{
    struct hot_request request;
    const struct hot_builder again = {.build = build_nested};
    prepare(9, NULL);
    request.address = sites[0];
    nested = SEGUE_OK;
    EXPECT(hot_make(&request, 1, &again) == SEGUE_OK);
    EXPECT(nested == SEGUE_BUSY);
}

static void faults_are_counted_by_site(void)
{
    EXPECT(!hot_site_count(1234) && !hot_site_find(1234) && !hot_body_find(1234));
    EXPECT(hot_undo(0, UINT64_MAX, NULL, NULL) == SEGUE_OK && hot_forget(0, 1) == SEGUE_OK);
    prepare(10, NULL);
    struct hot_site *site = hot_site_count(sites[3]);
    EXPECT(site && hot_site_count(sites[3]) == site && site->faults == 2 && site->state == HOT_COUNTED);
    EXPECT(hot_site_find(sites[3]) == site && !hot_site_find(sites[4]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(every_site_becomes_hot_and_is_undone),
        IN_CHILD(sites_in_any_order_keep_what_functions_do),
        IN_CHILD(dependents_are_undone_and_made_anew),
        IN_CHILD(what_may_not_change_is_refused_with_a_reason),
        IN_CHILD(what_finds_no_room_goes_on_faulting),
        IN_CHILD(what_finds_no_address_waits_for_one),
        IN_CHILD(full_table_refuses),
        IN_CHILD(row_is_undone_by_its_last_instruction),
        IN_CHILD(row_of_too_many_puns_keeps_its_last_instruction),
        IN_CHILD(row_is_undone_where_its_last_instruction_is_forgotten),
        IN_CHILD(retired_bodies_are_found_until_they_are_collected),
        IN_CHILD(second_caller_is_busy),
        IN_CHILD(faults_are_counted_by_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
