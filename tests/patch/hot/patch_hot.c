/* patch_hot.c: sites become hot and are undone, in functions of random instructions that run all the while. Bodies are
 * a copy of one instruction, a mark that it was executed, and a jump back. What this cannot show is a body of several
 * instructions: those are the builder's. */
#include "tests/support/in_child.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <segue/segment.h>

#include "patch/hot/hot.h"
#include "patch/hot/space/chunks.h"
#include "patch/hot/space/rooms.h"
#include "patch/poke/excluded.h"
#include "platform/memory/mappings.h"
#include "tests/patch/batch_code.h"
#include "tests/support/random.h"

/* --- The code. --- */

struct form {
    uint8_t length, bytes[8];
};

/* RDI: 64 bytes of memory. EAX, EDX and ECX are the function's. */
static const struct form forms[] = {
    {2, {0x8b, 0x07}},                                     /* mov (%rdi), %eax */
    {2, {0x03, 0x07}},                                     /* add (%rdi), %eax */
    {2, {0x01, 0x17}},                                     /* add %edx, (%rdi) */
    {2, {0x31, 0xc2}},                                     /* xor %eax, %edx */
    {3, {0x48, 0x03, 0x07}},                               /* add (%rdi), %rax */
    {3, {0x8b, 0x57, 0x08}},                               /* mov 8(%rdi), %edx */
    {3, {0x03, 0x47, 0x0c}},                               /* add 12(%rdi), %eax */
    {3, {0x89, 0x47, 0x10}},                               /* mov %eax, 16(%rdi) */
    {3, {0x48, 0x01, 0xd0}},                               /* add %rdx, %rax */
    {4, {0x48, 0x8b, 0x57, 0x18}},                         /* mov 24(%rdi), %rdx */
    {4, {0x48, 0x31, 0x47, 0x20}},                         /* xor %rax, 32(%rdi) */
    {4, {0x0f, 0xb6, 0x4f, 0x28}},                         /* movzbl 40(%rdi), %ecx */
    {5, {0x05, 0x34, 0x12, 0x56, 0x78}},                   /* add $0x78561234, %eax */
    {7, {0x48, 0x8d, 0x80, 0x40, 0x01, 0x00, 0x00}},       /* lea 0x140(%rax), %rax */
    {8, {0x48, 0x81, 0x47, 0x30, 0x11, 0x22, 0x33, 0x44}}, /* addq $0x44332211, 48(%rdi) */
    {2, {0xeb, 0x00}},                                     /* jmp to the next: the builder refuses it */
    {1, {0x90}},                                           /* nop */
};
#define FORMS (sizeof forms / sizeof *forms)
#define BRANCH 0xeb

#define FUNCTIONS 64u
#define INSTRUCTIONS 24u
#define FUNCTION_BYTES 256u
#define CODE_BYTES (FUNCTIONS * FUNCTION_BYTES)

static uint8_t original[CODE_BYTES];
static uint8_t *code;
static uint64_t expected[FUNCTIONS];
/* The addresses of all instructions. */
static uint64_t sites[FUNCTIONS * INSTRUCTIONS];
static unsigned site_count;

typedef uint64_t function(uint64_t *memory);

static uint64_t run_function(unsigned i)
{
    uint64_t memory[8] = {1, 22, 333, 4444, 55555, 666666, 7777777, 88888888}, sum;
    sum = ((function *)(uintptr_t)(code + i * FUNCTION_BYTES))(memory);
    for (unsigned k = 0; k < 8; k++)
        sum = sum * 31 + memory[k];
    return sum;
}

static void write_functions(uint64_t seed)
{
    static const uint8_t prologue[] = {0x31, 0xc0, 0x31, 0xd2, 0x31, 0xc9};
    struct random random = random_for(seed, 0);
    memset(original, 0xcc, sizeof original);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        uint8_t *at = original + i * FUNCTION_BYTES;
        memcpy(at, prologue, sizeof prologue);
        at += sizeof prologue;
        for (unsigned k = 0; k < INSTRUCTIONS; k++) {
            const struct form *form = &forms[random_below(&random, FORMS)];
            memcpy(at, form->bytes, form->length);
            at += form->length;
        }
        *at = 0xc3;
    }
}

/* Maps the code as a loader does; the file can be written and mapped again. */
static int code_file;

static void map_code(int flags)
{
    uint8_t *mapped = mmap(code, CODE_BYTES, PROT_READ | PROT_EXEC, flags, code_file, 0);
    EXPECT(mapped != MAP_FAILED);
    code = mapped;
}

static void find_sites(void)
{
    site_count = 0;
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        unsigned at = i * FUNCTION_BYTES + 6;
        while (original[at] != 0xc3) {
            for (unsigned k = 0; k < FORMS; k++) {
                if (memcmp(original + at, forms[k].bytes, forms[k].length) == 0) {
                    sites[site_count++] = (uint64_t)(uintptr_t)code + at;
                    at += forms[k].length;
                    break;
                }
            }
        }
    }
    EXPECT(site_count == FUNCTIONS * INSTRUCTIONS);
}

static void make_code(uint64_t seed)
{
    code = NULL;
    write_functions(seed);
    code_file = memfd_create("code", 0);
    EXPECT(code_file >= 0 && write(code_file, original, CODE_BYTES) == (ssize_t)CODE_BYTES);
    map_code(MAP_PRIVATE);
    find_sites();
    for (unsigned i = 0; i < FUNCTIONS; i++)
        expected[i] = run_function(i);
}

static void prepare(uint64_t seed, const struct hot_limits *limits)
{
    static const struct hot_limits defaults = {.most_sites = 4096};
    make_code(seed);
    EXPECT(hot_prepare(limits ? limits : &defaults) == SEGUE_OK);
}

/* --- The builder. --- */

static unsigned length_of(const uint8_t *bytes)
{
    for (unsigned k = 0; k < FORMS; k++)
        if (memcmp(bytes, forms[k].bytes, forms[k].length) == 0)
            return forms[k].length;
    return 0;
}

static void put_32(uint8_t *at, uint64_t value)
{
    uint32_t low = (uint32_t)value;
    memcpy(at, &low, sizeof low);
}

static unsigned builds, drops;

/* movq $1, mark(%rip); the instruction; jmp back. The cookie is the mark's address. */
static enum segue_status build(void *context, uint64_t site, uint64_t at, uint8_t *out, size_t room,
                               struct hot_built *built)
{
    struct random random = random_for(site, at);
    uint8_t bytes[15];
    const char *refusal;
    void *mark;
    (void)context;
    EXPECT(hot_read_code(site, bytes, sizeof bytes) == sizeof bytes);
    unsigned length = length_of(bytes), size = 11 + length + 5;
    if (length == 0 || *bytes == BRANCH) {
        built->refusal = "the test's builder takes no branch";
        return SEGUE_UNSUPPORTED;
    }
    built->size = size + random_below(&random, 3) * 40;
    if (built->size > room)
        return SEGUE_NO_MEMORY;
    EXPECT(rooms_take_data(at, 8, &mark, &refusal) == SEGUE_OK);
    built->cookie = (uint64_t)(uintptr_t)mark;
    memcpy(out, (const uint8_t[]){0x48, 0xc7, 0x05}, 3);
    put_32(out + 3, built->cookie - (at + 11));
    put_32(out + 7, 1);
    memcpy(out + 11, bytes, length);
    out[11 + length] = 0xe9;
    put_32(out + 12 + length, site + length - (at + size));
    memset(out + size, 0xcc, built->size - size);
    builds++;
    return SEGUE_OK;
}

static void dropped(void *context, uint64_t site, uint64_t cookie)
{
    (void)context;
    EXPECT(site && cookie);
    drops++;
}

/* Some bodies need more than the usual room. */
static const struct hot_builder builder = {.build = build, .dropped = dropped, .usual_room = 64};

static enum segue_status make_one(uint64_t site, const char **refusal)
{
    struct hot_request request = {.address = site};
    EXPECT(hot_make(&request, 1, &builder) == SEGUE_OK);
    *refusal = request.refusal;
    return request.status;
}

static unsigned make_all(void)
{
    struct hot_request requests[HOT_BATCH];
    unsigned made = 0;
    for (unsigned i = 0; i < site_count;) {
        unsigned count = 0;
        for (; count < 16 && i < site_count; i++)
            requests[count++] = (struct hot_request){.address = sites[i]};
        EXPECT(hot_make(requests, count, &builder) == SEGUE_OK);
        for (unsigned k = 0; k < count; k++)
            made += requests[k].status == SEGUE_OK || requests[k].status == SEGUE_EXISTS;
    }
    return made;
}

/* --- What must hold at any time. --- */

static void expect_site(const struct hot_site *site)
{
    uint64_t offset = site->address - (uint64_t)(uintptr_t)code;
    if (site->state != HOT_MADE) {
        return;
    }
    const struct hot_body *body = hot_body_of(site->address);
    EXPECT(body && body->site == site->address && !body->retired);
    EXPECT(pun_target(site->address, code + offset, site->prefixes) == body->address);
    EXPECT(memcmp(site->old_bytes, original + offset, site->changed) == 0);
    EXPECT(memcmp(site->new_bytes, code + offset, site->changed) == 0);
    EXPECT(site->changed <= site->length);
    EXPECT(hot_body_find(body->address) == body && hot_body_find(body->address + body->size - 1) == body);
    *(uint64_t *)(uintptr_t)body->cookie = 0;
}

static bool visit_site(void *context, const struct hot_site *site)
{
    unsigned *tactics = context;
    expect_site(site);
    if (site->state == HOT_MADE)
        tactics[site->tactic]++;
    return true;
}

static bool expect_mark(void *context, const struct hot_site *site)
{
    (void)context;
    if (site->state == HOT_MADE)
        EXPECT(*(const uint64_t *)(uintptr_t)hot_body_of(site->address)->cookie == 1);
    return true;
}

/* All functions give what they gave, by the bodies; the code reads as it was. */
static void expect_all(unsigned tactics[5])
{
    uint8_t read[CODE_BYTES];
    memset(tactics, 0, 5 * sizeof *tactics);
    hot_visit(0, UINT64_MAX, visit_site, tactics);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        EXPECT(run_function(i) == expected[i]);
    hot_visit(0, UINT64_MAX, expect_mark, NULL);
    EXPECT(hot_read_code((uint64_t)(uintptr_t)code, read, CODE_BYTES) == CODE_BYTES);
    EXPECT(memcmp(read, original, CODE_BYTES) == 0);
    /* From any byte on. */
    for (unsigned i = 0; i < 40; i++) {
        EXPECT(hot_read_code((uint64_t)(uintptr_t)code + i, read, 1 + i % 20) == 1 + i % 20);
        EXPECT(memcmp(read, original + i, 1 + i % 20) == 0);
    }
}

/* --- Cases. --- */

static void every_site(void)
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

static void every_site_becomes_hot_and_is_undone(void **state)
{
    (void)state;
    in_child(every_site);
}

/* Single sites and batches, in any order, undone in part, so that puns have dependents that were hot before. */
static void random_changes(void)
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

static void sites_in_any_order_keep_what_functions_do(void **state)
{
    (void)state;
    in_child(random_changes);
}

static void dependents(void)
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

static void dependents_are_undone_and_made_anew(void **state)
{
    (void)state;
    in_child(dependents);
}

static void refusals(void)
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

static void what_may_not_change_is_refused_with_a_reason(void **state)
{
    (void)state;
    in_child(refusals);
}

static void exhaustion(void)
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

static void what_finds_no_room_goes_on_faulting(void **state)
{
    (void)state;
    in_child(exhaustion);
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

static void no_address_left(void)
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

static void what_finds_no_address_waits_for_one(void **state)
{
    (void)state;
    in_child(no_address_left);
}

static void full_table(void)
{
    unsigned tactics[5];
    prepare(6, &(const struct hot_limits){.most_sites = 16});
    unsigned made = make_all();
    EXPECT(made > 0 && made <= 16);
    expect_all(tactics);
}

static void full_table_refuses(void **state)
{
    (void)state;
    in_child(full_table);
}

/* --- Other code in the same place. --- */

static void replaced_code(void)
{
    unsigned tactics[5];
    const char *refusal;
    size_t undone;
    prepare(7, NULL);
    make_all();
    /* The first half is unmapped and mapped anew, as by dlclose and dlopen, without a word to us. */
    EXPECT(mmap(code, CODE_BYTES / 2, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, code_file, 0) == code);
    EXPECT(make_one(sites[30], &refusal) != SEGUE_BUSY);
    EXPECT(hot_undo((uint64_t)(uintptr_t)code, CODE_BYTES / 2, NULL, &undone) == SEGUE_OK && undone < 8);
    EXPECT(memcmp(code, original, CODE_BYTES / 2) == 0);
    expect_all(tactics);
    make_all();
    expect_all(tactics);
    /* The same, announced. */
    EXPECT(mmap(code, CODE_BYTES / 2, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, code_file, 0) == code);
    EXPECT(hot_forget((uint64_t)(uintptr_t)code, CODE_BYTES / 2) == SEGUE_OK);
    EXPECT(memcmp(code, original, CODE_BYTES / 2) == 0);
    EXPECT(hot_site_find(sites[30])->state == HOT_FORGOTTEN && !hot_body_of(sites[30]));
    expect_all(tactics);
    make_all();
    expect_all(tactics);
    /* One byte of a jump is no longer ours: it stays. */
    const struct hot_site *site = NULL;
    for (unsigned i = 40; !site; i++)
        if (hot_body_of(sites[i]))
            site = hot_site_find(sites[i]);
    uint8_t other = (uint8_t)(site->new_bytes[1] ^ 0x10);
    EXPECT(poke_byte(site->address + 1, other, POKE_ANY) == SEGUE_OK);
    EXPECT(hot_undo(site->address, 1, NULL, &undone) == SEGUE_OK && undone == 0);
    EXPECT(site->state == HOT_FORGOTTEN && ((const uint8_t *)(uintptr_t)site->address)[1] == other);
}

static void code_that_is_no_longer_ours_is_left_and_forgotten(void **state)
{
    (void)state;
    in_child(replaced_code);
}

/* --- The public table. --- */

struct listed {
    uint64_t last;
    unsigned hot, undone, refused;
};

static enum segue_status list_patch(void *context, const struct segue_patch *patch)
{
    struct listed *listed = context;
    EXPECT(patch->address > listed->last && patch->changed == patch->address);
    listed->last = patch->address;
    const uint8_t *before = original + (patch->address - (uint64_t)(uintptr_t)code);
    if (patch->kind == SEGUE_PATCH_HOT) {
        EXPECT(patch->tactic != SEGUE_TACTIC_NONE && patch->length > 0 && patch->time > 0);
        EXPECT(memcmp(patch->old_bytes, before, patch->length) == 0);
        const uint8_t *now = patch->undone ? patch->old_bytes : patch->new_bytes;
        EXPECT(memcmp(now, (const void *)(uintptr_t)patch->address, patch->length) == 0);
        listed->hot += !patch->undone;
        listed->undone += patch->undone;
    } else {
        EXPECT(patch->kind == SEGUE_PATCH_NONE && patch->length == 0);
        listed->refused += patch->reason != NULL;
    }
    return SEGUE_OK;
}

static void public_functions(void)
{
    struct listed listed = {0}, after = {0};
    unsigned tactics[5];
    size_t count;
    uint64_t start = (uint64_t)(uintptr_t)code;
    EXPECT(segue_patches_exclude(start, 0) == SEGUE_INVALID);
    prepare(13, NULL);
    start = (uint64_t)(uintptr_t)code;
    make_all();
    expect_all(tactics);
    EXPECT(segue_patches_list(0, UINT64_MAX, list_patch, &listed) == SEGUE_OK);
    EXPECT(listed.hot == tactics[1] + tactics[2] + tactics[3] + tactics[4] && listed.refused > 10);
    EXPECT(segue_patches_undo(start, CODE_BYTES / 2, &count) == SEGUE_OK && count > 100);
    EXPECT(memcmp(code, original, CODE_BYTES / 2) == 0);
    EXPECT(segue_patches_list(0, UINT64_MAX, list_patch, &after) == SEGUE_OK);
    EXPECT(after.hot + count == listed.hot && after.undone >= count);
    /* What is excluded is undone, and stays so. */
    EXPECT(segue_patches_exclude(start + CODE_BYTES / 2, CODE_BYTES / 2) == SEGUE_OK);
    EXPECT(memcmp(code, original, CODE_BYTES) == 0);
    make_all();
    EXPECT(memcmp(code + CODE_BYTES / 2, original + CODE_BYTES / 2, CODE_BYTES / 2) == 0);
    EXPECT(memcmp(code, original, CODE_BYTES / 2) != 0);
    expect_all(tactics);
    /* One range more than there may be is refused, and undoes nothing. */
    for (unsigned i = 1; i < EXCLUDED_MOST; i++)
        EXPECT(segue_patches_exclude(i, 1) == SEGUE_OK);
    EXPECT(segue_patches_exclude(start, CODE_BYTES) == SEGUE_NO_MEMORY && segue_reason());
    EXPECT(memcmp(code, original, CODE_BYTES / 2) != 0);
    EXPECT(segue_patches_forget(0, UINT64_MAX) == SEGUE_OK);
    EXPECT(segue_patches_undo(0, UINT64_MAX, &count) == SEGUE_OK && count == 0);
}

static void public_table_lists_undoes_and_excludes_sites(void **state)
{
    (void)state;
    in_child(public_functions);
}

/* A segment's prefix is not changed there either. */
static void excluded_segment(void)
{
    static const uint8_t bytes[] = {0x65, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0, 0xc3};
    const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS}};
    struct segue_rewrite_counts counts;
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, bytes, sizeof bytes);
    memcpy(page + 64, bytes, sizeof bytes);
    EXPECT(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0);
    EXPECT(segue_segment_enable(&options) == SEGUE_OK);
    EXPECT(segue_patches_exclude((uint64_t)(uintptr_t)page, sizeof bytes) == SEGUE_OK);
    struct segue_segment_code here = {page, sizeof bytes, (uint64_t)(uintptr_t)page, NULL, 0, {0}};
    EXPECT(segue_segment_rewrite(&here, NULL, &counts) == SEGUE_UNSUPPORTED && counts.failed == 1);
    EXPECT(memcmp(page, bytes, sizeof bytes) == 0);
    here = (struct segue_segment_code){page + 64, sizeof bytes, (uint64_t)(uintptr_t)page + 64, NULL, 0, {0}};
    EXPECT(segue_segment_rewrite(&here, NULL, &counts) == SEGUE_OK && counts.rewritten == 1 && page[64] == 0x64);
}

static void excluded_code_keeps_its_segment_prefixes(void **state)
{
    (void)state;
    in_child(excluded_segment);
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

static void undo_row(void)
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

static void row_is_undone_by_its_last_instruction(void **state)
{
    (void)state;
    in_child(undo_row);
}

static void refuse_in_row(void)
{
    const char *refusal;
    make_row(ROW - 1);
    EXPECT(make_one((uint64_t)(uintptr_t)(row + (ROW - 1) * 4), &refusal) == SEGUE_NO_MEMORY);
    EXPECT(strstr(refusal, "neighbours") && hot_in_row() == ROW - 1);
    run_row();
}

static void row_of_too_many_puns_keeps_its_last_instruction(void **state)
{
    (void)state;
    in_child(refuse_in_row);
}

static void forget_row(void)
{
    make_row(ROW);
    EXPECT(hot_forget((uint64_t)(uintptr_t)(row + (ROW - 1) * 4), 4) == SEGUE_OK);
    /* The one that was forgotten is still a jump; those before it are not, so they do not read it. */
    EXPECT(hot_in_row() == 0);
    for (unsigned i = 0; i + 1 < ROW; i++)
        EXPECT(memcmp(row + i * 4, "\x48\x8b\x57\x18", 4) == 0);
}

static void row_is_undone_where_its_last_instruction_is_forgotten(void **state)
{
    (void)state;
    in_child(forget_row);
}

/* --- Bodies. --- */

static unsigned freed;

static void count_freed(void *context, const struct hot_body *body)
{
    (void)context;
    EXPECT(body->retired);
    freed++;
}

static void retired_bodies(void)
{
    unsigned tactics[5];
    size_t undone;
    prepare(8, NULL);
    make_all();
    uint64_t memory = chunks_used().memory;
    for (unsigned round = 0; round < 20; round++) {
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

static void retired_bodies_are_found_until_they_are_collected(void **state)
{
    (void)state;
    in_child(retired_bodies);
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

static void busy(void)
{
    struct hot_request request;
    const struct hot_builder again = {.build = build_nested};
    prepare(9, NULL);
    request.address = sites[0];
    nested = SEGUE_OK;
    EXPECT(hot_make(&request, 1, &again) == SEGUE_OK);
    EXPECT(nested == SEGUE_BUSY);
}

static void second_caller_is_busy(void **state)
{
    (void)state;
    in_child(busy);
}

static void counted(void)
{
    EXPECT(!hot_site_count(1234) && !hot_site_find(1234) && !hot_body_find(1234));
    EXPECT(hot_undo(0, UINT64_MAX, NULL, NULL) == SEGUE_OK && hot_forget(0, 1) == SEGUE_OK);
    prepare(10, NULL);
    struct hot_site *site = hot_site_count(sites[3]);
    EXPECT(site && hot_site_count(sites[3]) == site && site->faults == 2 && site->state == HOT_COUNTED);
    EXPECT(hot_site_find(sites[3]) == site && !hot_site_find(sites[4]));
}

static void faults_are_counted_by_site(void **state)
{
    (void)state;
    in_child(counted);
}

/* --- Fork. --- */

static void both_sides(void)
{
    struct random random = random_for(11, 0);
    unsigned tactics[5];
    int status;
    prepare(11, NULL);
    for (unsigned i = 0; i < site_count; i += 3) {
        const char *refusal;
        make_one(sites[i], &refusal);
    }
    pid_t child = fork();
    /* Each makes and undoes what the other does not. */
    uint64_t half = child ? 0 : CODE_BYTES / 2;
    expect_all(tactics);
    for (unsigned round = 0; round < 100; round++) {
        const char *refusal;
        uint64_t start = (uint64_t)(uintptr_t)code + half;
        make_one(sites[(child ? 0 : site_count / 2) + random_below(&random, site_count / 2)], &refusal);
        if (round % 10 == 0)
            EXPECT(hot_undo(start + random_below(&random, CODE_BYTES / 2), 50, &builder, NULL) == SEGUE_OK);
        if (round % 25 == 0)
            EXPECT(hot_collect(hot_retirement(), NULL, NULL) == SEGUE_OK);
        expect_all(tactics);
    }
    if (!child)
        _exit(0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    expect_all(tactics);
    EXPECT(hot_undo(0, UINT64_MAX, NULL, NULL) == SEGUE_OK);
    EXPECT(memcmp(code, original, CODE_BYTES) == 0);
}

static void parent_and_child_change_their_own_code(void **state)
{
    (void)state;
    in_child(both_sides);
}

/* --- Threads. --- */

static bool stop;

static void *run_all(void *context)
{
    uint64_t *runs = context;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        for (unsigned i = 0; i < FUNCTIONS; i++, ++*runs)
            EXPECT(run_function(i) == expected[i]);
    return NULL;
}

static uint64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void flipping(void)
{
    struct random random = random_for(12, 0);
    const char *torture = getenv("SEGUE_TORTURE");
    uint64_t runs[2] = {0}, until = milliseconds() + (torture ? 1000 * (uint64_t)atoi(torture) : 300);
    pthread_t threads[2];
    unsigned rounds = 0;
    take_traps();
    prepare(12, NULL);
    for (unsigned i = 0; i < 2; i++)
        EXPECT(pthread_create(&threads[i], NULL, run_all, &runs[i]) == 0);
    block_signals();
    for (; milliseconds() < until; rounds++) {
        struct hot_request requests[16];
        unsigned count = 1 + random_below(&random, 16), first = random_below(&random, site_count - 16);
        for (unsigned i = 0; i < count; i++)
            requests[i].address = sites[first + i];
        EXPECT(hot_make(requests, count, &builder) == SEGUE_OK);
        if (rounds % 3 == 0)
            EXPECT(hot_undo(sites[random_below(&random, site_count)], 64, rounds % 2 ? &builder : NULL, NULL) ==
                   SEGUE_OK);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 2; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    EXPECT(runs[0] > FUNCTIONS && runs[1] > FUNCTIONS && rounds > 10);
    unsigned tactics[5];
    expect_all(tactics);
}

static void threads_run_on_while_sites_change(void **state)
{
    (void)state;
    if (!can_serialise())
        skip_if("this kernel cannot serialise threads");
    in_child(flipping);
}

/* --- Threads that meet the limits. --- */

#define MEMORY_LIMIT (24u * 4096)
#define MAPPINGS_LIMIT 40u
static unsigned made_by_threads;

static void make_some(struct random *random)
{
    struct hot_request requests[8];
    unsigned first = random_below(random, site_count - 8);
    for (unsigned i = 0; i < 8; i++)
        requests[i].address = sites[first + i];
    enum segue_status status = hot_make(requests, 8, &builder);
    EXPECT(status == SEGUE_OK || status == SEGUE_BUSY);
    for (unsigned i = 0; status == SEGUE_OK && i < 8; i++) {
        EXPECT(requests[i].status == SEGUE_OK || requests[i].status == SEGUE_EXISTS || requests[i].refusal ||
               requests[i].status == SEGUE_BUSY);
        __atomic_fetch_add(&made_by_threads, requests[i].status == SEGUE_OK, __ATOMIC_RELAXED);
    }
}

static void *make_and_run(void *context)
{
    struct random random = random_for(13, *(unsigned *)context);
    block_signals();
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        make_some(&random);
        if (random_below(&random, 4) == 0)
            hot_undo(sites[random_below(&random, site_count)], 16, NULL, NULL);
        unsigned i = random_below(&random, FUNCTIONS);
        EXPECT(run_function(i) == expected[i]);
    }
    return NULL;
}

/* Each undone site leaves its body, so both limits are reached. */
static void limits_under_threads(void)
{
    unsigned numbers[3] = {0, 1, 2}, tactics[5];
    pthread_t threads[3];
    take_traps();
    prepare(13, &(const struct hot_limits){
                    .most_sites = 4096, .most_memory = MEMORY_LIMIT, .most_mappings = MAPPINGS_LIMIT});
    uint64_t until = milliseconds() + 300;
    for (unsigned i = 0; i < 3; i++)
        EXPECT(pthread_create(&threads[i], NULL, make_and_run, &numbers[i]) == 0);
    while (milliseconds() < until) {
        struct chunks_used used = chunks_used();
        EXPECT(used.memory <= MEMORY_LIMIT && used.mappings <= MAPPINGS_LIMIT);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 3; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    EXPECT(made_by_threads > 100);
    EXPECT(chunks_used().memory + 4096 > MEMORY_LIMIT || chunks_used().mappings + 5 > MAPPINGS_LIMIT);
    expect_all(tactics);
    block_signals();
    EXPECT(hot_prepare(&(const struct hot_limits){0}) == SEGUE_OK);
    EXPECT(make_all() > 0);
    expect_all(tactics);
}

static void limits_hold_while_threads_make_sites_hot(void **state)
{
    (void)state;
    if (!can_serialise())
        skip_if("this kernel cannot serialise threads");
    in_child(limits_under_threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_site_becomes_hot_and_is_undone),
        cmocka_unit_test(sites_in_any_order_keep_what_functions_do),
        cmocka_unit_test(dependents_are_undone_and_made_anew),
        cmocka_unit_test(what_may_not_change_is_refused_with_a_reason),
        cmocka_unit_test(what_finds_no_room_goes_on_faulting),
        cmocka_unit_test(what_finds_no_address_waits_for_one),
        cmocka_unit_test(full_table_refuses),
        cmocka_unit_test(code_that_is_no_longer_ours_is_left_and_forgotten),
        cmocka_unit_test(public_table_lists_undoes_and_excludes_sites),
        cmocka_unit_test(excluded_code_keeps_its_segment_prefixes),
        cmocka_unit_test(retired_bodies_are_found_until_they_are_collected),
        cmocka_unit_test(row_is_undone_by_its_last_instruction),
        cmocka_unit_test(row_of_too_many_puns_keeps_its_last_instruction),
        cmocka_unit_test(row_is_undone_where_its_last_instruction_is_forgotten),
        cmocka_unit_test(second_caller_is_busy),
        cmocka_unit_test(faults_are_counted_by_site),
        cmocka_unit_test(parent_and_child_change_their_own_code),
        cmocka_unit_test(threads_run_on_while_sites_change),
        cmocka_unit_test(limits_hold_while_threads_make_sites_hot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
