/* unwind.c: unwinds from every place of bodies, and from policies that bodies call: the unwinder must find the
 * registers that translation finds. The same for libgcc and for both libunwinds, each in a program of its own. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

#include "differential.h"
#include "emulate/body/table.h"
#include "patch/hot/space/chunks.h"
#include "signals/hot/unwind/expression.h"
#include "signals/hot/unwind/rules.h"
#include "tests/support/times.h"
#include "unwinder.h"

__asm__(
    ".pushsection .text.sequences, \"ax\", @progbits\n"
    ".macro sequence name\n .globl sequence_\\name, sequence_\\name\\()_end\n sequence_\\name:\n.endm\n"
    ".macro end name\n sequence_\\name\\()_end:\n int3\n .endm\n"
    "sequence load\n mov 8(%rbx), %rax\n end load\n"
    "sequence scratch_everywhere\n mov (%rbx), %r11\n mov 8(%rsi), %r10\n mov 16(%rdi), %r9\n mov (%rbp), %r8\n"
    " add %r8, %r9\n add %r10, %r11\n lea (%r11,%r9), %r12\n mov %r12, 8(%rbx)\n mov %r13, %r14\n mov %r15, %r13\n"
    " xchg %rdx, %rax\n end scratch_everywhere\n"
    "sequence rax_as_base\n mov %rbx, %rax\n mov 8(%rax), %rdx\n mov (%rax,%rcx,8), %rax\n cmpb $3, 5(%rsi)\n"
    " sete %al\n mov %rsi, %rax\n mov (%rax), %eax\n movzbl %ah, %edx\n end rax_as_base\n"
    "sequence stack\n push 8(%rbx)\n mov 16(%rsi), %rax\n push %rax\n mov 8(%rsp), %rdx\n mov (%rdi), %r8\n"
    " mov %r8, (%rsp)\n pop 24(%rdi)\n mov 8(%rbx), %r9\n pop %r10\n mov %rsp, 32(%rsi)\n lea -40(%rsp), %r11\n"
    " mov (%rbp), %r12\n mov %r12, -64(%rsp)\n add -64(%rsp), %r12\n end stack\n"
    "sequence loop\n add (%rbx,%rcx,8), %rax\n adc $0, %rdx\n mov %rax, 8(%rsi,%rcx,8)\n dec %rcx\n jns sequence_loop\n"
    " end loop\n"
    "sequence branches\n cmpl $0, 8(%rbx)\n js 2f\n mov 8(%rsi), %rax\n test %rax, %rax\n jns 1f\n mov (%rdi), %r11\n"
    " 1: mov 16(%rbp), %rdx\n jmp 3f\n 2: mov 24(%rdi), %r8\n 3: sub %r8, %rdx\n end branches\n"
    "sequence call_memory\n lea 2f(%rip), %r8\n mov %r8, 8(%rbx)\n cmp %r8, %r9\n call *8(%rbx)\n"
    " 1: nop\n 2: pop %rax\n end call_memory\n"
    "sequence long_copy\n mov 8(%rbx), %rax\n .rept 24\n movabs $0x123456789abcdef, %r12\n .endr\n mov (%rsi), %rdx\n"
    " .rept 6\n add 8(%rdi), %rdx\n adc %rdx, 16(%rbp)\n .endr\n end long_copy\n"
    ".popsection\n");

#define EACH_SEQUENCE(X)                                                                                               \
    X(load)                                                                                                            \
    X(scratch_everywhere)                                                                                              \
    X(rax_as_base)                                                                                                     \
    X(stack)                                                                                                           \
    X(loop)                                                                                                            \
    X(branches)                                                                                                        \
    X(call_memory)                                                                                                     \
    X(long_copy)

#define DECLARE(name) extern const uint8_t sequence_##name[], sequence_##name##_end[];
EACH_SEQUENCE(DECLARE)
#define ROW(name) {#name, sequence_##name, sequence_##name##_end},
static const struct sequence {
    const char *name;
    const uint8_t *begin, *end;
} sequences[] = {EACH_SEQUENCE(ROW)};
#define SEQUENCES (sizeof sequences / sizeof *sequences)

/* ---- the index: other chunks and bodies are found before this one ---- */

#define KEPT_AT 24
#define OTHERS 40

static uint32_t buckets[1u << (64 - CHUNK_HASH_SHIFT)];
static struct chunk chunks[3];
static uint32_t *pages;
static struct hot_body bodies[OTHERS + 1];
static uint8_t kept[KEPT_AT + BODY_TABLE_MOST];
static struct outcome outcome;

static uint32_t bucket(uint64_t address)
{
    return (uint32_t)((address >> CHUNK_BITS) * CHUNK_HASH >> CHUNK_HASH_SHIFT);
}

static void add_chunk(unsigned number, uint64_t start, uint64_t size, uint64_t near)
{
    chunks[number] = (struct chunk){.start = start, .size = size, .next = buckets[bucket(near)]};
    buckets[bucket(near)] = number + 1;
}

static void add_body(unsigned number, uint64_t address, uint32_t size, unsigned page)
{
    uint32_t *place = &pages[2 * CHUNK_PAGES + page];
    bodies[number] =
        (struct hot_body){.address = address, .size = size, .next = *place, .cookie = (uint64_t)(uintptr_t)kept};
    *place = number + 1;
}

/* The body of world.bodies is in the last chunk, and begins `back` pages before its own page in the index: for a place
 * within the first page that is as if it began there. */
static void make_index(unsigned page, bool is_last)
{
    uint64_t at = (uint64_t)(uintptr_t)world.bodies, start = at - page * PAGE;
    memset(buckets, 0, sizeof buckets);
    memset(pages, 0, 3 * CHUNK_PAGES * sizeof *pages);
    add_chunk(2, start, (page + 4) * PAGE, at);
    add_chunk(0, start - 0x10000 * PAGE, PAGE, at);
    add_chunk(1, start + 0x10000 * PAGE, PAGE, at);
    if (!is_last)
        add_body(OTHERS, at, PAGE, page);
    for (unsigned i = 0; i < OTHERS; i++)
        add_body(i, i % 2 ? at - 64 * i - 64 : at + PAGE + 64 * i, 64, page);
    if (is_last)
        add_body(OTHERS, at, PAGE, page);
}

/* ---- what is compared ---- */

static const struct sequence *current;
static const struct variation *varied;
static uint64_t places, in_policies;
static char wrong[256];

static void note(const struct segue_regs *unwound, const struct segue_regs *seen, uint64_t rip)
{
    for (unsigned i = 0; i <= SEGUE_RIP; i++)
        if (segue_register_get(unwound, i) != segue_register_get(seen, i) && !*wrong)
            snprintf(wrong, sizeof wrong, "%s, mode %d, body+%#lx: register %u is %#lx not %#lx", current->name,
                     (int)varied->mode, (unsigned long)(rip - (uint64_t)(uintptr_t)world.bodies), i,
                     (unsigned long)segue_register_get(unwound, i), (unsigned long)segue_register_get(seen, i));
}

static void publish(void)
{
    memcpy(kept + KEPT_AT, outcome.body.table, outcome.body.table_size);
    bodies[OTHERS].size = outcome.body.size;
}

static void at_place(const struct stepper_stop *stop, const struct segue_regs *seen)
{
    struct segue_regs unwound;
    /* At the beginning the thread is not there yet. */
    if (outcome.stops == 1)
        return;
    if (!unwinder_is_exact && stop->regs->rip - (uint64_t)(uintptr_t)world.bodies >= outcome.body.size)
        return;
    publish();
    if (!unwinder_find((uint64_t)(uintptr_t)world.bodies, outcome.body.size, &unwound)) {
        if (!*wrong)
            snprintf(wrong, sizeof wrong, "%s: nothing found at body+%#lx", current->name,
                     (unsigned long)(stop->regs->rip - (uint64_t)(uintptr_t)world.bodies));
        return;
    }
    places++;
    note(&unwound, seen, stop->regs->rip);
}

static void unwind_policy(const struct body_call *call)
{
    struct segue_regs unwound;
    publish();
    if (!unwinder_find((uint64_t)(uintptr_t)world.bodies, outcome.body.size, &unwound) ||
        unwound.rip != call->record->site)
        snprintf(wrong, sizeof wrong, "%s: a policy is not unwound", current->name);
    if (call->regs) {
        struct segue_regs regs = *call->regs;
        regs.rip = call->record->site;
        note(&unwound, &regs, 0);
    }
    in_policies++;
}

/* The policy of a thunk that does not save vector state may not change it; an unwinder does. */
static void in_policy(const struct body_call *call)
{
    static uint8_t state[1 << 14] __attribute__((aligned(64)));
    __asm__ volatile("xsave64 %0" : "=m"(state) : "a"(~0), "d"(~0));
    unwind_policy(call);
    __asm__ volatile("xrstor64 %0" : : "m"(state), "a"(~0), "d"(~0));
}

/* Of all that vary every third, another one each time. */
static void all(const struct variation *variation)
{
    static unsigned calls;
    char why[256];
    unsigned every = test_stride(3), left_out = calls++ % every;
    varied = variation;
    for (size_t i = 0; i < SEQUENCES; i++)
        for (unsigned inside = 0; inside < 16; inside += 5) {
            if (left_out-- > 0)
                continue;
            left_out = every - 1;
            struct segue_regs regs = {.rcx = 3, .rax = 0x1111, .rdx = 0x2222, .r8 = 0x8888, .r9 = 0x9999};
            regs.r10 = 0xaaaa;
            regs.r11 = 0xbbbb;
            regs.r12 = 0xcccc;
            regs.r13 = 0xdddd;
            regs.r14 = 0xeeee;
            regs.r15 = 0xffff;
            uint64_t *bases[] = {&regs.rbx, &regs.rsi, &regs.rdi, &regs.rbp};
            for (unsigned k = 0; k < 4; k++)
                *bases[k] = (uint64_t)(uintptr_t)(inside >> k & 1 ? world.memory : world.outside) + 256 * k + 64;
            regs.rsp = (uint64_t)(uintptr_t)world.stack + STACK_SIZE - STACK_ABOVE;
            regs.rflags = 0x202;
            current = &sequences[i];
            size_t size = (size_t)(current->end - current->begin);
            if (!world_compare(current->begin, size, size, &regs, variation, &outcome, why))
                fail_msg("%s: %s", current->name, why);
            if (*wrong)
                fail_msg("%s", wrong);
        }
}

/* The function of the application: unwinders that look up a frame before they show it need its description. Some look
 * it up before the instruction that was interrupted: so it begins before it. */
static uint32_t describe_original(uint8_t *section, uint32_t room)
{
    static const uint8_t rules[] = {20, 0,    0,  0, 0, 0,    0, 0, 1,    'z', 'R', 0,
                                    1,  0x78, 16, 1, 0, 0x0c, 7, 8, 0x90, 1,   0,   0};
    struct expression out = {.bytes = section, .room = room};
    expression_operations(&out, rules, sizeof rules);
    expression_fixed(&out, 28, 4);
    expression_fixed(&out, out.used, 4);
    expression_fixed(&out, (uint64_t)(uintptr_t)world.original - 1, 8);
    expression_fixed(&out, PAGE, 8);
    expression_fixed(&out, 0, 8);
    expression_fixed(&out, 0, 8);
    return out.used;
}

static void prepare(void)
{
    static uint8_t section[RULES_MOST], of_original[128];
    world_prepare();
    if (!pages) {
        pages = calloc(3 * CHUNK_PAGES, sizeof *pages);
        const struct hot_index index = {buckets, chunks, pages, bodies};
        uint32_t size =
            rules_write(&index, KEPT_AT, (uint64_t)(uintptr_t)world.bodies - 1, 4 * PAGE, section, sizeof section);
        assert_true(size > 0);
        print_message("%u bytes of rules\n", size);
        unwinder_begin(of_original, describe_original(of_original, sizeof of_original),
                       (uint64_t)(uintptr_t)world.original - 1, PAGE);
        unwinder_begin(section, size, (uint64_t)(uintptr_t)world.bodies - 1, 4 * PAGE);
    }
    world_at_place = at_place;
    world_in_policy = in_policy;
    places = in_policies = 0;
    *wrong = 0;
}

static void places_of_bodies_are_unwound(void **state)
{
    (void)state;
    prepare();
    make_index(3, false);
    all(&(struct variation){.mode = BODY_LED});
    make_index(0, true);
    all(&(struct variation){.mode = BODY_COUNT});
    make_index(1, false);
    all(&(struct variation){.mode = BODY_LED, .lookup = true, .is_elsewhere = true});
    assert_true(places > 4000 / test_stride(3));
    print_message("%lu places\n", (unsigned long)places);
}

#define ANSWERS 0x5555555555555555

static void policies_are_unwound(void **state)
{
    static const enum body_thunk thunks[] = {BODY_THUNK_ASK, BODY_THUNK_ASK_REGS, BODY_THUNK_ASK_VECTORS,
                                             BODY_THUNK_ASK_REGS_VECTORS};
    (void)state;
    prepare();
    make_index(2, false);
    /* The unwinder itself is not stepped. */
    for (unsigned i = 0; i < 4; i++) {
        world_in_policy = NULL;
        all(&(struct variation){.mode = BODY_POLICY, .ask = thunks[i], .answers = ANSWERS});
        world_in_policy = in_policy;
        all(&(struct variation){
            .mode = BODY_POLICY, .ask = thunks[i], .answers = ~UINT64_C(0), .checks_all = true, .is_free = true});
    }
    assert_true(in_policies > 100 / test_stride(3));
    print_message("%lu places, %lu policies\n", (unsigned long)places, (unsigned long)in_policies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_of_bodies_are_unwound),
        cmocka_unit_test(policies_are_unwound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
