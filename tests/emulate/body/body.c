/* body.c: bodies of written sequences against the sequences themselves, stepped: at every place of a body the thread
 * must roll back to registers, flags and memory of a boundary of the sequence. */
#include <string.h>
#include <sys/mman.h>

#include "tests/support/test.h"

#include "decode/x86/flags.h"
#include "differential.h"
#include "emulate/body/table.h"
#include "world.h"

/* Each begins with the site. RBX, RSI, RDI and RBP are addresses, inside the region or outside by the case; RCX is a
 * small index. */
__asm__(
    ".pushsection .text.sequences, \"ax\", @progbits\n"
    ".macro sequence name\n .globl sequence_\\name, sequence_\\name\\()_end\n sequence_\\name:\n.endm\n"
    ".macro end name\n sequence_\\name\\()_end:\n int3\n .endm\n"

    "sequence load\n mov 8(%rbx), %rax\n end load\n"
    "sequence load_partly\n mov 8(%rbx), %al\n mov 16(%rsi), %ah\n movzbl 3(%rdi), %eax\n mov 4(%rbp), %ax\n"
    " end load_partly\n"
    "sequence store\n mov %rax, 8(%rbx)\n movb %ah, 1(%rsi)\n movw $77, 2(%rdi)\n movl $-5, 4(%rbp,%rcx,4)\n"
    " end store\n"
    "sequence carries\n add 8(%rbx), %rax\n adc 16(%rsi), %rdx\n adc %rdx, 24(%rdi)\n sbb (%rbp), %r8\n"
    " adc $0, %rax\n setc %r9b\n sbb 40(%rbx), %r10d\n rcl $1, %r11\n pushf\n pop %r12\n end carries\n"
    "sequence kept_flags\n cmp %rcx, %rdx\n mov 8(%rbx), %rax\n mov 16(%rsi), %rdx\n mov (%rdi), %r8\n jb 1f\n"
    " inc %r9\n 1: dec %r10\n end kept_flags\n"
    "sequence scratch_everywhere\n mov (%rbx), %r11\n mov 8(%rsi), %r10\n mov 16(%rdi), %r9\n mov (%rbp), %r8\n"
    " add %r8, %r9\n add %r10, %r11\n lea (%r11,%r9), %r12\n mov %r12, 8(%rbx)\n mov %r13, %r14\n mov %r15, %r13\n"
    " xchg %rdx, %rax\n end scratch_everywhere\n"
    "sequence rax_as_base\n mov %rbx, %rax\n mov 8(%rax), %rdx\n mov (%rax,%rcx,8), %rax\n cmpb $3, 5(%rsi)\n"
    " sete %al\n mov %rsi, %rax\n mov (%rax), %eax\n movzbl %ah, %edx\n end rax_as_base\n"
    "sequence exchange\n xchg %rax, 8(%rbx)\n xchg %r11, 16(%rsi)\n lock xadd %rax, 24(%rdi)\n lock xadd %r9d, (%rbp)\n"
    " end exchange\n"
    "sequence compare_exchange\n mov 8(%rbx), %rax\n lock cmpxchg %rdx, 8(%rbx)\n lock cmpxchg %edx, 16(%rsi)\n"
    " jz 1f\n inc %r9\n 1: lock cmpxchg %cl, 3(%rdi)\n lock addl $4, (%rbp)\n end compare_exchange\n"
    "sequence wide\n mov %rbx, %r12\n and $-16, %r12\n movdqa 16(%r12), %xmm1\n movups 3(%rsi), %xmm2\n"
    " addps %xmm1, %xmm2\n movntdq %xmm1, 64(%r12)\n movss %xmm2, 8(%rdi)\n cvtsi2sdl (%rbp), %xmm3\n"
    " ucomisd 8(%rsi), %xmm3\n ja 1f\n movq 16(%rdi), %xmm4\n 1: movhps %xmm2, 24(%rdi)\n end wide\n"
    "sequence stack\n push 8(%rbx)\n mov 16(%rsi), %rax\n push %rax\n mov 8(%rsp), %rdx\n mov (%rdi), %r8\n"
    " mov %r8, (%rsp)\n pop 24(%rdi)\n mov 8(%rbx), %r9\n pop %r10\n mov %rsp, 32(%rsi)\n lea -40(%rsp), %r11\n"
    " mov (%rbp), %r12\n mov %r12, -64(%rsp)\n add -64(%rsp), %r12\n end stack\n"
    "sequence frame\n push %rbp\n mov %rsp, %rbp\n sub $32, %rsp\n mov 8(%rbx), %rax\n mov %rax, -8(%rbp)\n"
    " mov 16(%rsi), %rdx\n add -8(%rbp), %rdx\n mov %rdx, 8(%rsp)\n leave\n mov (%rdi), %rdx\n end frame\n"
    "sequence loop\n add (%rbx,%rcx,8), %rax\n adc $0, %rdx\n mov %rax, 8(%rsi,%rcx,8)\n dec %rcx\n jns sequence_loop\n"
    " end loop\n"
    "sequence loop_without_rax\n add (%rbx,%rcx,8), %rdx\n dec %rcx\n jns sequence_loop_without_rax\n end"
    " loop_without_rax\n"
    "sequence loop_of_all\n adc (%rbx,%rcx,8), %rax\n mov %r11, 8(%rsi,%rcx,8)\n lea (%rax,%r10), %r11\n"
    " lea (%r9,%r8), %r10\n dec %rcx\n jns sequence_loop_of_all\n end loop_of_all\n"
    "sequence loop_by_jump\n adc (%rbx,%rcx,8), %rdx\n mov 8(%rsi), %r8\n jrcxz 1f\n lea -1(%rcx), %rcx\n"
    " jmp sequence_loop_by_jump\n 1: adc $0, %r9\n end loop_by_jump\n"
    "sequence loop_on_flags\n mov (%rbx,%rcx,8), %rdx\n jc 1f\n inc %r9\n 1: lea -1(%rcx), %rcx\n mov 8(%rsi), %rax\n"
    " test %rcx, %rcx\n js 2f\n cmp %rax, %rdx\n jmp sequence_loop_on_flags\n 2: adc %rax, %r9\n end loop_on_flags\n"
    "sequence loop_inside\n mov 8(%rbx), %rax\n mov %rcx, %r8\n 1: sub (%rsi,%r8,8), %rax\n dec %r8\n jns 1b\n"
    " add $3, %rax\n jmp 3f\n 2: mov %rax, (%rdi)\n jmp 4f\n 3: adc %rax, %rdx\n jmp 2b\n 4: dec %rcx\n"
    " jns sequence_loop_inside\n end loop_inside\n"
    "sequence loop_on_stack\n mov (%rbx,%rcx,8), %rdx\n push %rdx\n add 8(%rsi), %rax\n pop %r8\n dec %rcx\n"
    " jns sequence_loop_on_stack\n end loop_on_stack\n"
    "sequence ahead\n cmp %rcx, %rdx\n mov 8(%rbx), %rax\n jb 1f\n inc %r9\n mov %r9, 16(%rsi)\n jo 1f\n push %r9\n"
    " jp 2f\n mov (%rdi), %r8\n 2: pop %r10\n 1: mov (%rbp), %rdx\n jc 3f\n add %rdx, %rax\n 3: sbb %rax, %r9\n"
    " end ahead\n"
    "sequence branches\n cmpl $0, 8(%rbx)\n js 2f\n mov 8(%rsi), %rax\n test %rax, %rax\n jns 1f\n mov (%rdi), %r11\n"
    " 1: mov 16(%rbp), %rdx\n jmp 3f\n 2: mov 24(%rdi), %r8\n 3: sub %r8, %rdx\n end branches\n"
    "sequence jrcxz\n mov 8(%rbx), %rdx\n jrcxz 1f\n mov (%rsi), %rdx\n 1: inc %rdx\n end jrcxz\n"
    "sequence ret\n mov 8(%rbx), %rax\n lea 2f(%rip), %rdx\n push %rdx\n add 16(%rsi), %rax\n ret\n nop\n nop\n 2:\n"
    " end ret\n"
    "sequence jump\n lea 2f(%rip), %rdx\n mov 8(%rbx), %rax\n jmp *%rdx\n nop\n 2: inc %rax\n end jump\n"
    "sequence call_register\n lea 2f(%rip), %rdx\n mov 8(%rbx), %rax\n call *%rdx\n nop\n 2: pop %rax\n end"
    " call_register\n"
    "sequence jump_memory\n lea 2f(%rip), %r8\n mov %r8, 8(%rbx)\n cmp %r8, %r9\n jmp *8(%rbx)\n nop\n"
    " 2: mov (%rsi), %rax\n end jump_memory\n"
    "sequence call_memory\n lea 2f(%rip), %r8\n mov %r8, 8(%rbx)\n cmp %r8, %r9\n call *8(%rbx)\n"
    " 1: nop\n 2: pop %rax\n end call_memory\n"
    "sequence call_scratch\n lea 2f(%rip), %r11\n mov %r11, 8(%rbx)\n mov %rbx, %r11\n mov %rcx, %rax\n"
    " call *8(%r11,%rax,8)\n 1: nop\n 2: pop %rax\n end call_scratch\n"
    "sequence shifts\n mov 8(%rbx), %rdx\n shl %cl, %rdx\n mov 16(%rsi), %r8\n shrd %cl, %r8, 24(%rdi)\n"
    " shll %cl, (%rbp)\n bsf 8(%rbx), %r9\n mulq 8(%rsi)\n imul 16(%rdi), %r10\n sarq $3, 8(%rbx)\n rcrq $1, 16(%rsi)\n"
    " end shifts\n"
    "sequence bits\n bt $3, 8(%rbx)\n cmovc 8(%rsi), %rax\n btsl $5, 4(%rdi)\n setnc 9(%rbp)\n bt %ecx, 8(%rbx)\n"
    " cmovnc 16(%rbp), %r11d\n andn 8(%rbx), %rcx, %rdx\n sarx %rcx, 8(%rsi), %r8\n end bits\n"
    "sequence divide\n mov 8(%rbx), %rax\n xor %edx, %edx\n divq 16(%rsi)\n mov %rax, 24(%rdi)\n end divide\n"
    "sequence divide_by_zero\n movq $0, 16(%rsi)\n xor %edx, %edx\n mov 8(%rbx), %rax\n divq 16(%rsi)\n end"
    " divide_by_zero\n"
    "sequence undefined\n mov 8(%rbx), %rax\n add 16(%rsi), %rax\n ud2\n end undefined\n"
    "sequence unaligned\n and $-16, %rbx\n mov 8(%rbx), %rax\n movaps 8(%rbx), %xmm0\n end unaligned\n"
    "sequence direction\n std\n mov 8(%rbx), %rax\n lodsb\n mov 16(%rdi), %rdx\n movsb\n cld\n stosl\n end direction\n"
    "sequence repeat\n mov 8(%rbx), %rax\n rep movsb\n mov (%rbp), %rdx\n end repeat\n"
    "sequence thread\n mov 8(%rbx), %rax\n mov %fs:0, %rdx\n add 8(%rdi), %rdx\n sub %fs:0, %rdx\n end thread\n"
    "sequence relative\n mov 8(%rbx), %rax\n add 1f(%rip), %rax\n mov %rax, (%rsi)\n lea 1f(%rip), %rdx\n jmp 2f\n"
    " 1: .quad 0x123456789abcdef\n 2: sub %rdx, %rdx\n end relative\n"
    "sequence on_stack\n mov 8(%rsp), %rax\n add 16(%rsp,%rcx,8), %rax\n mov %rax, -8(%rsp)\n mov -16(%rsp), %rdx\n"
    " end on_stack\n"
    "sequence x87\n mov 8(%rbx), %rax\n fldl 8(%rsi)\n fstpl 16(%rdi)\n end x87\n"
    "sequence avx\n vmovdqu 8(%rbx), %ymm1\n vaddpd 8(%rsi), %ymm1, %ymm2\n vmovups %ymm2, 40(%rdi)\n vzeroupper\n"
    " vmovd 4(%rbp), %xmm3\n end avx\n"
    "sequence identity\n mov 8(%rbx), %rax\n mov $0, %eax\n xor %ecx, %ecx\n cpuid\n mov (%rsi), %ecx\n sub %ebx, "
    "%ebx\n"
    " end identity\n"
    "sequence plain_only\n inc %rax\n add %rcx, %rdx\n push %rax\n pop %r8\n end plain_only\n"
    "sequence edges\n mov 4088(%rbx), %rax\n mov 4089(%rbx), %rdx\n mov 4095(%rbx), %cl\n mov 4096(%rbx), %r8\n"
    " mov -1(%rbx), %r9b\n mov -8(%rbx), %r10\n end edges\n"
    "sequence displacement\n mov 8(%rbx), %rax\n lea -0x7ffffff0(%rbx), %r8\n lea -0x7ffffff0(%rsi), %r11\n"
    " add 0x7ffffff8(%r8), %rax\n adc %rdx, 0x7ffffff1(%r11)\n lea -0x7ffffff0(%rdi), %rdi\n mov 0x7ffffff0(%rdi), "
    "%ah\n mov %r11, 0x7ffffff0(%r8)\n"
    " sbb 0x7ffffff9(%r11), %rdx\n vmovdqu 0x7ffffff0(%r8,%rcx), %ymm3\n lock xadd %al, 0x7ffffff4(%r8)\n"
    " push 0x7ffffff0(%r8)\n pop %r9\n end displacement\n"
    "sequence masked\n mov 8(%rbx), %rdx\n mov $0x40ff0, %eax\n kmovq %rax, %k1\n kxorq %k2, %k2, %k2\n"
    " vmovdqu8 8(%rbx), %ymm1{%k1}\n vmovdqu8 16(%rsi), %ymm2{%k2}{z}\n vpcmpnequb (%rdi), %ymm1, %k3{%k1}\n"
    " vmovdqu8 %zmm1, 40(%rbp){%k1}\n add 8(%rbx), %rdx\n vmovdqu8 %zmm1, 8(%rbx){%k2}\n adc $0, %r8\n"
    " kmovq %k3, %r9\n end masked\n"
    "sequence masked_lanes\n mov 8(%rbx), %rdx\n mov $0x1000a, %eax\n kmovq %rax, %k1\n kshiftrq $16, %k1, %k2\n"
    " vmovdqu64 8(%rbx), %xmm1{%k1}\n vmovdqu64 16(%rsi), %ymm2{%k1}{z}\n vmovdqu64 %zmm1, (%rdi){%k2}\n"
    " vmovdqu32 %zmm1, 40(%rbp){%k1}\n vmovdqu16 (%rsi), %zmm3{%k2}\n cmp %rdx, %rax\n"
    " vmovss 8(%rbx), %xmm4{%k1}\n vmovsd 16(%rdi), %xmm5{%k2}\n vpcmpgtd 20(%rsi), %ymm2, %k3{%k2}\n setc %r9b\n"
    " kmovq %k3, %r8\n end masked_lanes\n"
    "sequence masked_broadcast\n mov 8(%rbx), %rdx\n mov $0x10100, %eax\n kmovq %rax, %k1\n kshiftrq $8, %k1, %k2\n"
    " vpaddd 4(%rbx){1to16}, %zmm3, %zmm4{%k1}\n vpaddd 4(%rsi){1to8}, %ymm3, %ymm4{%k1}\n"
    " vpaddq 8(%rdi){1to8}, %zmm4, %zmm4{%k2}\n vpcmpeqd 8(%rbp){1to4}, %xmm3, %k3{%k2}\n"
    " vbroadcastf32x4 16(%rbx), %zmm5{%k2}\n vpmovqb %zmm4, 12(%rsi){%k2}\n kmovq %k3, %r8\n end masked_broadcast\n"
    "sequence masked_edges\n mov 8(%rbx), %rdx\n mov $0xff, %eax\n kmovq %rax, %k1\n kshiftlq $20, %k1, %k2\n"
    " vmovdqu8 4016(%rbx), %ymm1{%k1}\n vmovdqu8 %ymm1, 4012(%rbx){%k2}\n vmovdqu8 -96(%rbx), %ymm2{%k1}\n"
    " and $-16, %rsi\n vmovdqa32 16(%rsi), %xmm3{%k1}\n vmovdqa32 24(%rsi), %xmm4{%k1}\n end masked_edges\n"
    ".popsection\n");

/* Need AVX-512: the last ones. */
#define EACH_MASKED(X)                                                                                                 \
    X(masked)                                                                                                          \
    X(masked_lanes)                                                                                                    \
    X(masked_broadcast)                                                                                                \
    X(masked_edges)
#define EACH_SEQUENCE(X)                                                                                               \
    X(load)                                                                                                            \
    X(load_partly)                                                                                                     \
    X(store)                                                                                                           \
    X(carries)                                                                                                         \
    X(kept_flags)                                                                                                      \
    X(scratch_everywhere)                                                                                              \
    X(rax_as_base)                                                                                                     \
    X(exchange)                                                                                                        \
    X(compare_exchange)                                                                                                \
    X(wide)                                                                                                            \
    X(stack)                                                                                                           \
    X(frame)                                                                                                           \
    X(loop)                                                                                                            \
    X(loop_without_rax)                                                                                                \
    X(loop_of_all)                                                                                                     \
    X(loop_by_jump)                                                                                                    \
    X(loop_on_flags)                                                                                                   \
    X(loop_inside)                                                                                                     \
    X(loop_on_stack)                                                                                                   \
    X(ahead)                                                                                                           \
    X(branches)                                                                                                        \
    X(jrcxz)                                                                                                           \
    X(ret)                                                                                                             \
    X(jump)                                                                                                            \
    X(call_register)                                                                                                   \
    X(jump_memory)                                                                                                     \
    X(call_memory)                                                                                                     \
    X(call_scratch)                                                                                                    \
    X(shifts)                                                                                                          \
    X(bits)                                                                                                            \
    X(divide)                                                                                                          \
    X(divide_by_zero)                                                                                                  \
    X(undefined)                                                                                                       \
    X(unaligned)                                                                                                       \
    X(direction)                                                                                                       \
    X(repeat)                                                                                                          \
    X(thread)                                                                                                          \
    X(relative)                                                                                                        \
    X(on_stack)                                                                                                        \
    X(x87)                                                                                                             \
    X(avx)                                                                                                             \
    X(identity)                                                                                                        \
    X(plain_only)                                                                                                      \
    X(edges)                                                                                                           \
    X(displacement)                                                                                                    \
    EACH_MASKED(X)

#define DECLARE(name) extern const uint8_t sequence_##name[], sequence_##name##_end[];
EACH_SEQUENCE(DECLARE)

static const struct sequence {
    const char *name;
    const uint8_t *begin, *end;
} sequences[] = {
#define ROW(name) {#name, sequence_##name, sequence_##name##_end},
    EACH_SEQUENCE(ROW)};
#define COUNT_ONE(name) +1
#define MASKED (0 EACH_MASKED(COUNT_ONE))
#define SEQUENCES (sizeof sequences / sizeof *sequences - (has_masks ? 0 : MASKED))

static bool has_masks;

static uint64_t random_word(void)
{
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Bit N of `inside`: the N-th address register is inside the region. */
static struct segue_regs registers(unsigned inside)
{
    static const unsigned addresses[] = {SEGUE_RBX, SEGUE_RSI, SEGUE_RDI, SEGUE_RBP};
    struct segue_regs regs = {0};
    for (unsigned i = 0; i < SEGUE_RIP; i++)
        *segue_register_at(&regs, i) = random_word();
    for (unsigned i = 0; i < 4; i++)
        *segue_register_at(&regs, addresses[i]) =
            (uint64_t)(uintptr_t)(inside >> i & 1 ? world.memory : world.outside) + 512 * i + 64;
    regs.rcx = random_word() % 8;
    regs.rsp = (uint64_t)(uintptr_t)world.stack + STACK_SIZE - STACK_ABOVE;
    regs.rflags = FIXED_FLAGS | (random_word() & FLAGS_ARITHMETIC);
    return regs;
}

static struct outcome compare(const struct sequence *sequence, const struct segue_regs *regs,
                              const struct variation *variation, unsigned inside)
{
    struct outcome outcome;
    char why[256];
    size_t size = (size_t)(sequence->end - sequence->begin);
    if (!world_compare(sequence->begin, size, size, regs, variation, &outcome, why))
        fail_msg("%s, addresses inside %x, mode %d, ask %d, instructions %u, rolled back at %u: %s", sequence->name,
                 inside, (int)variation->mode, (int)variation->ask, variation->most_instructions,
                 variation->roll_back_at, why);
    return outcome;
}

/* In all cases so far. */
static uint64_t counted_by_thread, lacks, linked;

/* As roll_back_at: another place in each case. */
#define ANYWHERE ~0u
#define PLACES 80

/* With every n-th way to choose which addresses are inside. */
static void all(const struct variation *common, unsigned every)
{
    world_prepare();
    uint64_t stops = 0, boundaries = 0, built = 0, entries = 0, checked = 0;
    for (size_t i = 0; i < SEQUENCES; i++)
        for (unsigned inside = 0; inside < 16; inside += every) {
            struct segue_regs regs = registers(inside);
            struct variation variation = *common;
            if (variation.roll_back_at == ANYWHERE)
                variation.roll_back_at = 1 + (unsigned)(random_word() % PLACES);
            if (variation.is_stack_short)
                regs.rsp = (uint64_t)(uintptr_t)world.stack + 160;
            struct outcome outcome = compare(&sequences[i], &regs, &variation, inside);
            entries += outcome.plain_entries;
            stops += outcome.stops;
            boundaries += outcome.boundaries;
            built += !outcome.body.refusal;
            checked += outcome.body.checks_site;
            counted_by_thread += outcome.by_thread;
            lacks += outcome.lacks;
            linked += outcome.linked;
        }
    uint64_t ways = (15 + every) / every;
    assert_in_range(built, (SEQUENCES - 2) * ways, SEQUENCES * ways);
    assert_in_range(checked, (SEQUENCES - 14) * ways, built - ways);
    assert_true(!common->is_stack_short || entries > SEQUENCES * 3);
    print_message("%lu boundaries, %lu places of bodies rolled back\n", (unsigned long)boundaries,
                  (unsigned long)stops);
}

/* Two of three answers. */
#define SOME 0xdb6db6db6db6db6d

static void body_rolls_back_at_every_place(void **state)
{
    (void)state;
    all(&(struct variation){.mode = BODY_LED}, 1);
    for (unsigned i = 1; i <= 4; i++)
        all(&(struct variation){.mode = BODY_LED, .most_instructions = i}, 3);
    all(&(struct variation){.mode = BODY_LED, .checks_all = true}, 3);
}

/* Each body leads to others: of the instructions behind its last one, and of the targets of its branches. */
static void body_leads_to_others(void **state)
{
    static const struct variation variations[] = {
        {.mode = BODY_LED},
        {.mode = BODY_LED, .roll_back_at = ANYWHERE},
        {.mode = BODY_COUNT, .roll_back_at = ANYWHERE},
        {.mode = BODY_COUNT, .counters = WORLD_COUNTERS_THERE, .roll_back_at = ANYWHERE},
        {.mode = BODY_COUNT, .lookup = true, .is_elsewhere = true},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_REGS, .answers = SOME},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_VECTORS, .sample = 2, .answers = SOME, .roll_back_at = ANYWHERE},
        {.mode = BODY_LED, .is_stack_short = true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof variations / sizeof *variations; i++)
        for (unsigned instructions = 0; instructions <= 4; instructions++) {
            struct variation variation = variations[i];
            uint64_t before = linked;
            variation.links = true;
            variation.most_instructions = instructions;
            all(&variation, 3);
            assert_true(!instructions || variation.is_stack_short || linked > before + SEQUENCES);
        }
}

static void body_of_a_region_that_is_removed_faults_and_goes_on(void **state)
{
    (void)state;
    all(&(struct variation){.mode = BODY_LED, .is_elsewhere = true}, 3);
}

static void body_finds_other_regions(void **state)
{
    (void)state;
    all(&(struct variation){.mode = BODY_LED, .lookup = true, .is_elsewhere = true}, 3);
    all(&(struct variation){.mode = BODY_LED, .lookup = true}, 3);
    for (unsigned elsewhere = 0; elsewhere < 2; elsewhere++) {
        all(&(struct variation){.mode = BODY_COUNT, .lookup = true, .is_elsewhere = elsewhere}, 3);
        all(
            &(struct variation){
                .mode = BODY_COUNT, .lookup = true, .is_elsewhere = elsewhere, .roll_back_at = ANYWHERE},
            3);
        all(
            &(struct variation){
                .mode = BODY_POLICY, .ask = BODY_THUNK_ASK, .answers = SOME, .lookup = true, .is_elsewhere = elsewhere},
            3);
        all(&(struct variation){.mode = BODY_POLICY,
                                .ask = BODY_THUNK_ASK_REGS_VECTORS,
                                .answers = ~UINT64_C(0),
                                .lookup = true,
                                .is_elsewhere = elsewhere},
            3);
    }
}

static void body_counts_each_access_once(void **state)
{
    (void)state;
    all(&(struct variation){.mode = BODY_COUNT}, 3);
}

static void body_counts_exactly_if_rolled_back_anywhere(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        all(&(struct variation){.mode = BODY_COUNT, .roll_back_at = ANYWHERE}, 3);
}

static void body_counts_by_thread(void **state)
{
    (void)state;
    uint64_t before = counted_by_thread;
    all(&(struct variation){.mode = BODY_COUNT, .counters = WORLD_COUNTERS_THERE}, 3);
    assert_true(counted_by_thread > before + SEQUENCES);
    for (unsigned elsewhere = 0; elsewhere < 2; elsewhere++)
        all(
            &(struct variation){
                .mode = BODY_COUNT, .counters = WORLD_COUNTERS_THERE, .lookup = true, .is_elsewhere = elsewhere},
            3);
    for (unsigned i = 0; i < 6; i++)
        all(
            &(struct variation){
                .mode = BODY_COUNT, .counters = WORLD_COUNTERS_THERE, .roll_back_at = ANYWHERE, .lookup = i & 1},
            3);
}

/* Its first increment faults: nothing has been counted, and the thread is rolled back to the instruction. */
static void body_counts_exactly_for_a_thread_without_counters(void **state)
{
    (void)state;
    for (unsigned lookup = 0; lookup < 2; lookup++) {
        uint64_t before = lacks;
        all(
            &(struct variation){
                .mode = BODY_COUNT, .counters = WORLD_COUNTERS_LATE, .lookup = lookup, .is_elsewhere = lookup},
            3);
        assert_true(lacks > before + SEQUENCES / 2);
        before = lacks;
        all(
            &(struct variation){
                .mode = BODY_COUNT, .counters = WORLD_COUNTERS_NEVER, .lookup = lookup, .is_elsewhere = lookup},
            3);
        assert_true(lacks > before + SEQUENCES / 2);
    }
}

static void body_asks(void **state)
{
    static const struct variation variations[] = {
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK, .answers = ~UINT64_C(0)},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_REGS},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_REGS, .answers = SOME},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_VECTORS, .answers = SOME},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_REGS_VECTORS, .answers = SOME, .roll_back_at = ANYWHERE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof variations / sizeof *variations; i++)
        all(&variations[i], 3);
}

/* What bodies call for quick questions: it goes on to the thunk. */
#define EACH_QUICK(X)                                                                                                  \
    X(rbx, RBX)                                                                                                        \
    X(rcx, RCX)                                                                                                        \
    X(rdx, RDX)                                                                                                        \
    X(rsi, RSI) X(rdi, RDI) X(r8, R8) X(r9, R9) X(r10, R10) X(r11, R11) X(r12, R12) X(r13, R13) X(r14, R14) X(r15, R15)
#define QUICK(name, number)                                                                                            \
    ".globl quick_" #name "\nquick_" #name ": endbr64\n movq %rax, 32(%rsp)\n movq %" #name                            \
    ", 40(%rsp)\n movl $0, 84(%rsp)\n"                                                                                 \
    " xorl %eax, %eax\n jmp *quick_thunk(%rip)\n"
_Static_assert(BODY_ARGUMENT == 24 && BODY_ADDRESS == 32 && BODY_MISSED == 76, "the offsets in QUICK, less 8");
/* Global, and the variable is here too: link-time optimisation does not see what assembly refers to. */
__asm__(".globl quick_code, quick_code_end, quick_thunk\n.data\n.balign 8\nquick_thunk: .quad 0\n"
        ".text\nquick_code:\n" EACH_QUICK(QUICK) "quick_code_end:\n");
extern const char quick_code[], quick_code_end[];
extern uint64_t quick_thunk;

#define DECLARE_QUICK(name, number) extern const char quick_##name[];
EACH_QUICK(DECLARE_QUICK)

/* Near the bodies, so that these call it directly: jumps to what the words lead to. */
#define STUB_SIZE 16u
#define STUBS_SIZE 4096u
static uint8_t *stubs;

static void make_stubs(uint64_t quick[BODY_QUICK_COUNT])
{
    static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0};
    stubs = mmap(world.near - STUBS_SIZE, STUBS_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    assert_ptr_not_equal(stubs, MAP_FAILED);
    for (unsigned i = 0; i < BODY_QUICK_COUNT; i++) {
        uint8_t *stub = stubs + (size_t)i * STUB_SIZE;
        memcpy(stub, jump, sizeof jump);
        memcpy(stub + sizeof jump, &quick[i], sizeof quick[i]);
        quick[i] = quick[i] ? (uint64_t)(uintptr_t)stub : 0;
    }
}

static bool leave_quick(struct segue_regs *regs)
{
    if (!is_in(regs->rip, (const uint8_t *)quick_code, (size_t)(quick_code_end - quick_code)) &&
        !(stubs && is_in(regs->rip, stubs, STUBS_SIZE)))
        return false;
    memcpy(&regs->rip, (const void *)(uintptr_t)regs->rsp, sizeof regs->rip);
    regs->rsp += sizeof regs->rip;
    return true;
}

static struct variation asking_quickly(uint64_t quick[BODY_QUICK_COUNT])
{
    uint64_t thunks[BODY_THUNK_COUNT];
    bool vectors;
    body_thunks_fill(thunks, &vectors);
    quick_thunk = thunks[BODY_THUNK_ASK];
#define WORD(name, number) quick[SEGUE_##number] = (uint64_t)(uintptr_t)quick_##name;
    EACH_QUICK(WORD)
    return (struct variation){.mode = BODY_POLICY,
                              .ask = BODY_THUNK_ASK,
                              .answers = ~UINT64_C(0),
                              .quick = quick,
                              .leave_quick = leave_quick};
}

static void body_asks_quickly(void **state)
{
    uint64_t quick[BODY_QUICK_COUNT] = {0};
    struct variation variation = asking_quickly(quick);
    (void)state;
    all(&variation, 3);
    variation.answers = SOME;
    variation.roll_back_at = ANYWHERE;
    all(&variation, 3);
    variation.lookup = true;
    all(&variation, 3);
    variation.lookup = false;
    variation.sample = 2;
    all(&variation, 3);
}

static void body_calls_directly_what_is_near(void **state)
{
    static const uint8_t call[] = {0x67, 0xe8};
    uint64_t quick[BODY_QUICK_COUNT] = {0};
    struct variation variation = asking_quickly(quick);
    (void)state;
    world_prepare();
    make_stubs(quick);
    all(&variation, 3);
    assert_non_null(memmem(world.bodies, BODIES_SIZE, call, sizeof call));
    variation.answers = SOME;
    variation.roll_back_at = ANYWHERE;
    all(&variation, 3);
}

static void body_asks_about_some_and_counts_all(void **state)
{
    static const struct variation variations[] = {
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK, .sample = 2, .answers = ~UINT64_C(0)},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK, .sample = 4, .answers = ~UINT64_C(0), .checks_all = true},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_REGS, .sample = 2, .answers = SOME},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_REGS, .sample = 2},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_REGS_VECTORS, .sample = 2, .answers = ~UINT64_C(0)},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK, .sample = 2, .answers = SOME, .roll_back_at = ANYWHERE},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK_VECTORS, .sample = 2, .answers = SOME, .roll_back_at = ANYWHERE},
        {.mode = BODY_POLICY, .ask = BODY_THUNK_ASK, .sample = UINT32_C(1) << 31, .roll_back_at = ANYWHERE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof variations / sizeof *variations; i++)
        all(&variations[i], 3);
}

static void body_has_an_entry_for_a_stack_without_room(void **state)
{
    (void)state;
    all(&(struct variation){.mode = BODY_LED, .is_stack_short = true}, 3);
}

/* Behind the accesses all registers are used, except one in turn. */
static void body_uses_any_scratch_register(void **state)
{
    (void)state;
    world_prepare();
    uint32_t chosen = 0;
    for (unsigned unused = 0; unused < 16; unused++) {
        uint8_t code[256];
        size_t size = (size_t)(sequence_carries_end - sequence_carries), more = 0;
        memcpy(code, sequence_carries, size);
        more = (size_t)(sequence_load_partly_end - sequence_load_partly);
        memcpy(code + size, sequence_load_partly, more);
        size += more;
        size += world_use_registers(code + size, unused);
        assert_true(size <= sizeof code);
        struct sequence sequence = {"any scratch register", code, code + size};
        for (unsigned inside = 0; inside < 16; inside++) {
            struct segue_regs regs = registers(inside);
            struct variation variation = {.mode = BODY_COUNT,
                                          .counters = inside % 2 ? WORLD_COUNTERS_THERE : WORLD_COUNTERS_UNUSED};
            struct outcome outcome = compare(&sequence, &regs, &variation, inside);
            const struct body_table *table = (const void *)outcome.body.table;
            chosen |= 1u << table->scratch_register;
        }
    }
    assert_int_equal(chosen, 0xffff & ~(1u << SEGUE_RAX | 1u << SEGUE_RSP));
}

/* As many accesses as a block may have, whose bodies are longer than most, or have the longest tables. */
static void body_ends_earlier_where_it_would_be_too_long(void **state)
{
    static const uint8_t move_if_below_or_equal[] = {0x0f, 0x46, 0x43, 0x08}, load[] = {0x48, 0x8b, 0x53, 0x08};
    enum { MOST = 4096 };
    unsigned shorter = 0, shorter_table = 0;
    (void)state;
    world_prepare();
    for (unsigned which = 0; which < 2 * 12; which++) {
        uint8_t code[BODY_INSTRUCTIONS * sizeof load];
        for (size_t i = 0; i < sizeof code; i += sizeof load)
            memcpy(code + i, which % 2 ? load : move_if_below_or_equal, sizeof load);
        struct sequence sequence = {"many accesses", code, code + sizeof code};
        struct variation variation = {.mode = (enum body_mode)(which / 2 % 3),
                                      .ask = BODY_THUNK_ASK_REGS,
                                      .answers = ~UINT64_C(0),
                                      .lookup = which / 6 % 2,
                                      .most_bytes = which / 12 % 2 ? MOST : 0};
        struct segue_regs regs = registers(1);
        struct outcome outcome = compare(&sequence, &regs, &variation, 1);
        const struct body_table *table = (const void *)outcome.body.table;
        assert_null(outcome.body.refusal);
        assert_in_range(outcome.body.table_size, 1, BODY_TABLE_MOST);
        assert_true(!variation.most_bytes || outcome.body.size <= MOST);
        /* And what is behind them. */
        unsigned instructions = table->instructions - 1;
        assert_in_range(instructions, 12, BODY_INSTRUCTIONS);
        shorter += instructions < BODY_INSTRUCTIONS && variation.most_bytes;
        shorter_table += instructions < BODY_INSTRUCTIONS && !variation.most_bytes;
    }
    assert_true(shorter > shorter_table && shorter_table > 0);
}

int main(void)
{
    has_masks =
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_rolls_back_at_every_place),
        cmocka_unit_test(body_leads_to_others),
        cmocka_unit_test(body_of_a_region_that_is_removed_faults_and_goes_on),
        cmocka_unit_test(body_finds_other_regions),
        cmocka_unit_test(body_counts_each_access_once),
        cmocka_unit_test(body_counts_exactly_if_rolled_back_anywhere),
        cmocka_unit_test(body_counts_by_thread),
        cmocka_unit_test(body_counts_exactly_for_a_thread_without_counters),
        cmocka_unit_test(body_asks),
        cmocka_unit_test(body_asks_quickly),
        cmocka_unit_test(body_calls_directly_what_is_near),
        cmocka_unit_test(body_asks_about_some_and_counts_all),
        cmocka_unit_test(body_has_an_entry_for_a_stack_without_room),
        cmocka_unit_test(body_uses_any_scratch_register),
        cmocka_unit_test(body_ends_earlier_where_it_would_be_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
