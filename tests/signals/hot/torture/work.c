/* work.c: see work.h. Each piece of work is done on plain memory, where the same sites miss the region, and then on the
 * slab: the results and the memory must be the same. */
#include "work.h"

#include <inttypes.h>
#include <segue/try.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decode/x86/page.h"

#define MOST_WORDS 100u
/* What one piece of work may touch from its place on. */
#define SPAN 4096u
#define BAD_ADDRESS UINT64_C(0x40)

uint64_t sites_load_two(void *at), sites_load_three(void *at), sites_load_four(void *at), sites_load_seven(void *at);
uint64_t sites_sum(void *at, uint64_t count), sites_sum_with_carry(void *at, uint64_t count);
uint64_t sites_modify(void *at), sites_vectors(void *at), sites_follow(void *at, uint64_t count);
uint64_t sites_copy(void *at, uint64_t size, void *to), sites_call(void *at), sites_stack(void *at);
uint64_t torture_strict(void *at, uint64_t count), torture_fault(void *at, uint64_t bad);
uint64_t torture_constants(void *nothing, uint64_t count);
extern const char torture_constants_end[];
char torture_page[PAGE] __attribute__((aligned(PAGE)));
uint64_t *torture_alias;
extern const char torture_strict_begin[], torture_strict_end[], torture_fault_at[];
extern const uint32_t torture_boundaries[], torture_boundaries_end[];

__thread volatile bool in_work;
uint64_t failures;

void fail(const char *format, ...)
{
    char text[300];
    va_list list;
    if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) >= 20)
        return;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (length > 0)
        (void)!write(STDERR_FILENO, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

void slab_fill(const struct slab *slab, struct random *random)
{
    random_fill(random, slab->plain, SLAB);
    memcpy(slab->alias, slab->plain, SLAB);
}

/* ---- pieces of work ---- */

struct piece {
    const char *name;
    uint64_t (*run)(char *at, uint64_t count);
    /* Accesses, and those for each of the count. */
    uint32_t accesses, each;
};

#define ALONE(name)                                                                                                    \
    static uint64_t run_##name(char *at, uint64_t count)                                                               \
    {                                                                                                                  \
        (void)count;                                                                                                   \
        return sites_##name(at);                                                                                       \
    }
#define COUNTED(name)                                                                                                  \
    static uint64_t run_##name(char *at, uint64_t count)                                                               \
    {                                                                                                                  \
        return sites_##name(at, count);                                                                                \
    }
ALONE(load_two)
ALONE(load_three)
ALONE(load_four)
ALONE(load_seven)
ALONE(modify)
ALONE(vectors)
ALONE(stack)
COUNTED(sum)
COUNTED(sum_with_carry)

static uint64_t run_strict(char *at, uint64_t count)
{
    return torture_strict(at, count);
}

/* What it writes is cleared afterwards: addresses of code, in memory that is compared. */
static uint64_t run_call(char *at, uint64_t count)
{
    (void)count;
    return sites_call(at);
}

static const struct piece exact_pieces[] = {
    {"load_two", run_load_two, 1, 0},
    {"load_three", run_load_three, 1, 0},
    {"load_four", run_load_four, 1, 0},
    {"load_seven", run_load_seven, 1, 0},
    {"modify", run_modify, 6, 0},
    {"vectors", run_vectors, 5, 0},
    {"stack", run_stack, 3, 0},
    {"call", run_call, 4, 0},
    {"sum", run_sum, 0, 1},
    {"sum_with_carry", run_sum_with_carry, 0, 1},
    {"strict", run_strict, 0, 6},
};

/* ---- compiled code, libc, and string instructions ---- */

static uint64_t run_copy(char *at, uint64_t count)
{
    char copy[8 * MOST_WORDS];
    uint64_t sum = sites_copy(at + 3, 8 * count, copy);
    for (uint64_t i = 0; i < 8 * count; i++)
        sum = sum * 31 + (unsigned char)copy[i];
    return sum;
}

static __attribute__((noinline)) uint64_t run_table(char *at, uint64_t count)
{
    struct row {
        uint8_t kind;
        int16_t half;
        uint32_t word;
        double value;
    } *rows = (struct row *)(void *)at;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct row *row = &rows[i];
        row->word ^= (uint32_t)i * 2654435761u;
        row->half = (int16_t)(row->half + row->kind);
        if (row->word & 1)
            sum += (uint64_t)(int64_t)row->half;
        else
            row->kind++;
        row->value = (double)row->word * 0.5;
    }
    return sum;
}

static __attribute__((noinline)) uint64_t run_insertion_sort(char *at, uint64_t count)
{
    uint32_t *words = (uint32_t *)(void *)at;
    for (uint64_t i = 1; i < count; i++)
        for (uint64_t j = i; j > 0 && words[j - 1] > words[j]; j--) {
            uint32_t word = words[j];
            words[j] = words[j - 1];
            words[j - 1] = word;
        }
    return words[count / 2];
}

/* By pointers that the compiler does not see through. */
static void *(*volatile libc_copy)(void *, const void *, size_t) = memcpy;
static int (*volatile libc_compare)(const void *, const void *, size_t) = memcmp;
static size_t (*volatile libc_length)(const char *) = strlen;
static void *(*volatile libc_fill)(void *, int, size_t) = memset;

static uint64_t run_libc(char *at, uint64_t count)
{
    libc_copy(at + 8 * MOST_WORDS, at, 8 * count);
    uint64_t sum = (uint64_t)libc_compare(at, at + 8 * MOST_WORDS, 8 * count);
    libc_fill(at + 9, 'x', 3 * count);
    at[9 + 3 * count] = 0;
    return sum * 31 + libc_length(at + 9);
}

static const struct piece other_pieces[] = {
    {"copy", run_copy, 0, 0},
    {"table", run_table, 0, 0},
    {"insertion_sort", run_insertion_sort, 0, 0},
    {"libc", run_libc, 0, 0},
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- doing it ---- */

static void compare(const char *name, const struct slab *slab, size_t offset, uint64_t result, uint64_t wanted)
{
    if (result != wanted)
        fail("%s: the result is %#" PRIx64 " in place of %#" PRIx64 "\n", name, result, wanted);
    if (memcmp(slab->alias + offset, slab->plain + offset, SPAN) == 0)
        return;
    size_t i = offset;
    while (slab->alias[i] == slab->plain[i])
        i++;
    fail("%s: at %zu the byte %zu of memory is %#x in place of %#x\n", name, offset, i, (unsigned char)slab->alias[i],
         (unsigned char)slab->plain[i]);
    memcpy(slab->alias, slab->plain, SLAB);
}

static uint64_t run_piece(const struct piece *piece, const struct slab *slab, size_t offset, uint64_t count)
{
    uint64_t wanted = piece->run(slab->plain + offset, count);
    in_work = true;
    uint64_t result = piece->run(slab->memory + offset, count);
    in_work = false;
    compare(piece->name, slab, offset, result, wanted);
    return piece->accesses + piece->each * count;
}

/* Links lead to one another within the memory that they are in. */
static uint64_t run_follow(const struct slab *slab, size_t offset, uint64_t count)
{
    for (uint64_t i = 0; i <= count; i++) {
        uint64_t next = offset + 8 * ((i * 37 + 11) % (count + 1));
        uint64_t in_memory = (uint64_t)(uintptr_t)slab->memory + next,
                 in_plain = (uint64_t)(uintptr_t)slab->plain + next;
        memcpy(slab->alias + offset + 8 * i, &in_memory, 8);
        memcpy(slab->plain + offset + 8 * i, &in_plain, 8);
    }
    uint64_t wanted = sites_follow(slab->plain + offset, count) - (uint64_t)(uintptr_t)slab->plain;
    in_work = true;
    uint64_t result = sites_follow(slab->memory + offset, count) - (uint64_t)(uintptr_t)slab->memory;
    in_work = false;
    memcpy(slab->alias + offset, slab->plain + offset, 8 * (count + 1));
    compare("follow", slab, offset, result, wanted);
    return count;
}

/* The first access is made, the second one ends the block. */
static uint64_t run_fault(const struct slab *slab, size_t offset)
{
    struct segue_trial trial;
    if (segue_try(&trial) == 0) {
        torture_fault(slab->memory + offset, BAD_ADDRESS);
        segue_try_end(&trial);
        fail("fault: there was none\n");
    } else if (trial.fault.address != BAD_ADDRESS || trial.fault.instruction != (uint64_t)(uintptr_t)torture_fault_at) {
        fail("fault: at %#" PRIx64 " by %#" PRIx64 "\n", trial.fault.address, trial.fault.instruction);
    }
    return 1;
}

/* The memory is every thread's: what it should hold is known once all have ended. */
static uint64_t run_constants(uint64_t count)
{
    uint64_t wanted = count % 2 ? torture_alias[TORTURE_READ] : 0, result = torture_constants(NULL, count);
    __atomic_fetch_add(&torture_alias[TORTURE_EXPECTED], count, __ATOMIC_RELAXED);
    if (result != wanted)
        fail("constants: the result is %#" PRIx64 " in place of %#" PRIx64 "\n", result, wanted);
    return 3 * count;
}

uint64_t work_once(const struct slab *slab, struct random *random, enum work_kinds kinds)
{
    uint64_t count = 1 + random_below(random, MOST_WORDS);
    size_t offset = random_below(random, (SLAB - SPAN) / 16) * 16;
    uint32_t exact = COUNT_OF(exact_pieces), more = kinds == WORK_ANY ? COUNT_OF(other_pieces) : 0;
    uint32_t choice = random_below(random, exact + 3 + more);
    if (choice < exact)
        return run_piece(&exact_pieces[choice], slab, offset, count);
    if (choice == exact)
        return run_follow(slab, offset, count);
    if (choice == exact + 1)
        return run_fault(slab, offset);
    if (choice == exact + 2)
        return run_constants(count);
    run_piece(&other_pieces[choice - exact - 3], slab, offset, count);
    return 0;
}

static uint64_t folded(const struct replaced *library, const uint64_t *words, uint64_t count)
{
    uint64_t value = 0;
    for (uint64_t i = 0; i < count; i++)
        value = library->number == 1 ? value + words[i] : (value ^ words[i]) << 1 | (value ^ words[i]) >> 63;
    return value;
}

static uint64_t branched(const struct replaced *library, const uint64_t *words, uint64_t count)
{
    uint64_t value = 0;
    for (uint64_t i = 0; i < count; i++)
        value += words[i] * (i + 1 < count ? 2 : 1);
    return library->number == 1 ? value : 0 - value;
}

uint64_t work_replaced(const struct slab *slab, struct random *random, const struct replaced *library)
{
    uint64_t count = 1 + random_below(random, MOST_WORDS), offset = random_below(random, (SLAB - SPAN) / 16) * 16;
    bool folds = random_below(random, 2);
    const uint64_t *words = (const uint64_t *)(const void *)(slab->plain + offset);
    uint64_t wanted = (folds ? folded : branched)(library, words, count);
    in_work = true;
    uint64_t result = (folds ? library->fold : library->branch)(slab->memory + offset, count);
    in_work = false;
    if (result != wanted)
        compare(folds ? "fold" : "branch", slab, offset, result, wanted);
    return folds ? count : 2 * count - 1;
}

/* ---- where a thread stands ---- */

uint64_t work_code(struct random *random)
{
    uint64_t first = (uint64_t)(uintptr_t)sites_load_two, last = (uint64_t)(uintptr_t)sites_stack;
    uint64_t constants = (uint64_t)(uintptr_t)torture_constants;
    if (random_below(random, 4) == 0)
        return constants + random_below(random, (uint32_t)((uint64_t)(uintptr_t)torture_constants_end - constants));
    return random_below(random, 4) ? first + random_below(random, (uint32_t)(last - first))
                                   : (uint64_t)(uintptr_t)torture_strict + random_below(random, 140);
}

static bool is_in_work(uint64_t address)
{
    return address >= (uint64_t)(uintptr_t)sites_load_two && address < (uint64_t)(uintptr_t)sites_stack;
}

static bool is_boundary(uint64_t offset)
{
    for (const uint32_t *at = torture_boundaries; at < torture_boundaries_end; at++)
        if (*at == offset)
            return true;
    return false;
}

#define FLAGS_ALL UINT64_C(0x8d5)
/* Those of 0x7fffffff + 1 in 32 bits, and CF. */
#define FLAGS_STRICT UINT64_C(0x895)

static const char *check_strict(const struct segue_regs *regs)
{
    const uint64_t first = UINT64_C(0x0102030405060708);
    if (!is_boundary(regs->rip - (uint64_t)(uintptr_t)torture_strict_begin))
        return "it is in the middle of an instruction";
    if (regs->r8 != first || regs->r9 != first + 1 || regs->r10 != first + 2 || regs->r11 != first + 3 ||
        regs->r12 != first + 4 || regs->r13 != first + 5 || regs->r14 != first + 6 || regs->r15 != first + 7 ||
        regs->rdx != first + 8)
        return "a register is wrong";
    if (regs->rax != UINT64_C(0x80000000))
        return "RAX is wrong";
    if ((regs->rflags & FLAGS_ALL) != FLAGS_STRICT)
        return "the flags are wrong";
    return regs->rsi > MOST_WORDS || regs->rcx > MOST_WORDS ? "a counter is wrong" : NULL;
}

const char *work_check(const struct segue_regs *regs, const char *stack, size_t size)
{
    uint64_t begin = (uint64_t)(uintptr_t)torture_strict_begin, end = (uint64_t)(uintptr_t)torture_strict_end;
    bool strict = regs->rip >= begin && regs->rip < end;
    if ((strict || is_in_work(regs->rip)) && regs->rsp - (uint64_t)(uintptr_t)stack > size)
        return "RSP is not in its stack";
    return strict ? check_strict(regs) : NULL;
}
