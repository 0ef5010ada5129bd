/* window_table.c: prints what is stepped through which kind of window: a table of docs/emulate.md, from the plans
 * themselves. A row for each class is an instruction or two; all registers hold an aligned address in the window. With
 * a file as its argument, checks that the table stands in it. */
#include <segue/segue.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/processor/large_plan.h"

#define ADDRESS UINT64_C(0x10000800)
#define PAGE 4096u

static const struct {
    const char *text;
    uint8_t length;
    uint8_t bytes[12];
} rows[] = {
    {"mov rax, [rbx]", 3, {0x48, 0x8b, 0x03}},
    {"cmovz eax, [rbx]", 3, {0x0f, 0x44, 0x03}},
    {"cmp [rbx], eax", 2, {0x39, 0x03}},
    {"add [rbx], eax", 2, {0x01, 0x03}},
    {"lock add [rbx], eax", 3, {0xf0, 0x01, 0x03}},
    {"xchg [rbx], eax", 2, {0x87, 0x03}},
    {"lock cmpxchg16b [rbx]", 5, {0xf0, 0x48, 0x0f, 0xc7, 0x0b}},
    {"lodsb", 1, {0xac}},
    {"rep stosq", 3, {0xf3, 0x48, 0xab}},
    {"rep movsb", 2, {0xf3, 0xa4}},
    {"push rax", 1, {0x50}},
    {"push [rbx]", 2, {0xff, 0x33}},
    {"enter 8, 0", 4, {0xc8, 8, 0, 0}},
    {"enter 8, 1", 4, {0xc8, 8, 0, 1}},
    {"popfq", 1, {0x9d}},
    {"call [rbx]", 2, {0xff, 0x13}},
    {"jmp [rbx]", 2, {0xff, 0x23}},
    {"ret", 1, {0xc3}},
    {"iretq", 2, {0x48, 0xcf}},
    {"movaps xmm0, [rbx]", 3, {0x0f, 0x28, 0x03}},
    {"vmovdqu64 [rbx]{k1}, zmm0", 6, {0x62, 0xf1, 0xfe, 0x49, 0x7f, 0x03}},
    {"addps xmm0, [rbx]", 3, {0x0f, 0x58, 0x03}},
    {"vpaddd zmm0, zmm0, [rbx]{1to16}", 6, {0x62, 0xf1, 0x7d, 0x58, 0xfe, 0x03}},
    {"vpgatherdd xmm0, [rbx+xmm2*1], xmm1", 6, {0xc4, 0xe2, 0x71, 0x90, 0x04, 0x13}},
    {"vpscatterdd [rbx+zmm2*1]{k1}, zmm0", 7, {0x62, 0xf2, 0x7d, 0x49, 0xa0, 0x04, 0x13}},
    {"vpcompressd [rbx]{k1}, zmm0", 6, {0x62, 0xf2, 0x7d, 0x49, 0x8b, 0x03}},
    {"maskmovdqu xmm0, xmm1", 4, {0x66, 0x0f, 0xf7, 0xc1}},
    {"vextractf32x4 [rbx]{k1}, zmm0, 1", 7, {0x62, 0xf3, 0x7d, 0x49, 0x19, 0x03, 0x01}},
    {"bts [rbx], eax", 3, {0x0f, 0xab, 0x03}},
    {"fld dword [rbx]", 2, {0xd9, 0x03}},
    {"fnsave [rbx]", 2, {0xdd, 0x33}},
    {"fxsave [rbx]", 3, {0x0f, 0xae, 0x03}},
    {"xsave [rbx]", 3, {0x0f, 0xae, 0x23}},
    {"xrstor [rbx]", 3, {0x0f, 0xae, 0x2b}},
    {"ldmxcsr [rbx]", 3, {0x0f, 0xae, 0x13}},
    {"mov [rbx], ds", 2, {0x8c, 0x1b}},
    {"sgdt [rbx]", 3, {0x0f, 0x01, 0x03}},
    {"clflush [rbx]", 3, {0x0f, 0xae, 0x3b}},
};

static const struct {
    const char *name;
    enum segue_window_kind kind;
} windows[] = {
    {"alias", SEGUE_WINDOW_ALIAS},
    {"exposed", SEGUE_WINDOW_EXPOSED},
    {"callback", SEGUE_WINDOW_CALLBACK},
    {"forced", SEGUE_WINDOW_FORCED},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static enum segue_status read_nothing(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context, (void)address, (void)bytes, (void)size;
    return SEGUE_OK;
}

static enum segue_status write_nothing(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context, (void)address, (void)bytes, (void)size;
    return SEGUE_OK;
}

/* What the plan says: a word, or the refusal. */
static const char *answer(const struct segue_insn *insn, enum segue_window_kind kind)
{
    static union large_plan made;
    const struct segue_plan *plan = &made.plan;
    static _Alignas(64) uint8_t area[4096];
    static char elsewhere[2 * PAGE];
    struct segue_regs regs;
    struct segue_xstate xstate = {.area = area, .size = sizeof area, .features = 0xe7};
    const struct segue_window window = {.base = ADDRESS & ~(uint64_t)(PAGE - 1),
                                        .size = 2 * PAGE,
                                        .kind = kind,
                                        .alias = elsewhere,
                                        .read = read_nothing,
                                        .write = write_nothing};
    for (unsigned i = 0; i < SEGUE_REGISTER_COUNT; i++)
        *segue_register_at(&regs, i) = ADDRESS;
    regs.rcx = 8;
    regs.rax = 8;
    regs.rflags = 0x202;
    memset(regs.selectors, 0, sizeof regs.selectors);
    regs.selectors[SEGUE_SEGMENT_CS] = 0x33;
    regs.selectors[SEGUE_SEGMENT_SS] = 0x2b;
    /* All lanes, at index -1; all components in use. */
    memset(area, 0xff, sizeof area);
    memset(area + 512, 0, 64);
    area[512] = 0xe7;
    if (large_plan_make(insn, &regs, &xstate, NULL, &window, 1, &made) != SEGUE_OK)
        return plan->refusal;
    return plan->flags & SEGUE_PLAN_NOT_ATOMIC ? "yes, not atomic" : "yes";
}

/* What is masked by an opmask is planned where the processor has those: otherwise nothing says where they would be. */
static bool is_left_out(const char *text)
{
    return strstr(text, "{k1}") && !__builtin_cpu_supports("avx512f");
}

static void print_table(FILE *out)
{
    fprintf(out, "| class | for example |");
    for (size_t k = 0; k < COUNT(windows); k++)
        fprintf(out, " %s |", windows[k].name);
    fprintf(out, "\n| --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct segue_insn insn;
        if (is_left_out(rows[i].text)) {
            fprintf(stderr, "SKIP: %s: this processor has no such masks\n", rows[i].text);
            continue;
        }
        if (segue_decode(SEGUE_MODE_64, rows[i].bytes, rows[i].length, &insn) != SEGUE_OK) {
            fprintf(stderr, "window_table: %s is not decoded\n", rows[i].text);
            exit(1);
        }
        fprintf(out, "| %s | `%s` |", segue_class_name((enum segue_class)insn.class_), rows[i].text);
        for (size_t k = 0; k < COUNT(windows); k++)
            fprintf(out, " %s |", answer(&insn, windows[k].kind));
        fputc('\n', out);
    }
}

static int check(const char *path, const char *table)
{
    static char text[1 << 16], line[1 << 10];
    FILE *file = fopen(path, "r");
    for (size_t length = 0; file && fgets(line, sizeof line, file) && length < sizeof text - sizeof line;)
        if (!is_left_out(line)) {
            strcpy(text + length, line);
            length += strlen(line);
        }
    if (file)
        fclose(file);
    if (strstr(text, table))
        return 0;
    fprintf(stderr, "window_table: %s does not have this table:\n%s", path, table);
    return 1;
}

int main(int count, char **arguments)
{
    char *table = NULL;
    size_t size;
    if (segue_replay_prepare() != SEGUE_OK || segue_forced_prepare() != SEGUE_OK) {
        fprintf(stderr, "SKIP: the system gives no executable memory\n");
        return 77;
    }
    FILE *out = open_memstream(&table, &size);
    if (!out)
        return 1;
    print_table(out);
    fclose(out);
    int status = 0;
    if (count > 1)
        status = check(arguments[1], table);
    else
        fputs(table, stdout);
    free(table);
    return status;
}
