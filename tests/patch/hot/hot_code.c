/* hot_code.c: see hot_code.h. */
#include "hot_code.h"

#include <string.h>
#include <sys/mman.h>

#include "patch/hot/space/rooms.h"
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

uint8_t original[CODE_BYTES], *code;
uint64_t expected[FUNCTIONS], sites[FUNCTIONS * INSTRUCTIONS];
unsigned site_count;
int code_file;

uint64_t run_function(unsigned i)
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

/* As a loader does. */
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

void prepare(uint64_t seed, const struct hot_limits *limits)
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

/* movq $1, mark(%rip); the instruction; jmp back. The cookie is the mark's address. */
enum segue_status build(void *context, uint64_t site, uint64_t at, uint8_t *out, size_t room, struct hot_built *built)
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
    return SEGUE_OK;
}

static void dropped(void *context, uint64_t site, uint64_t cookie)
{
    (void)context;
    EXPECT(site && cookie);
}

/* Some bodies need more than the usual room. */
const struct hot_builder builder = {.build = build, .dropped = dropped, .usual_room = 64};

enum segue_status make_one(uint64_t site, const char **refusal)
{
    struct hot_request request = {.address = site};
    EXPECT(hot_make(&request, 1, &builder) == SEGUE_OK);
    *refusal = request.refusal;
    return request.status;
}

unsigned make_all(void)
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
void expect_all(unsigned tactics[5])
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
