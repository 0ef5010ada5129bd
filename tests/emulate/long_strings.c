/* long_strings.c: each string mnemonic with a repeat prefix and a count above 4 GiB, natively and stepped, from the
 * same state; registers, flags and memory must be the same. A file of 2 MiB stands behind all addresses, so that it
 * takes no more memory than that. Prints a line a mnemonic; exits with 0 if all are equal, 1 if not, 77 where it cannot
 * run. */
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (UINT64_C(2) << 20)
#define COUNT ((UINT64_C(1) << 32) + 3)
/* The second operand is a chunk behind the first. */
#define SIZE (COUNT / CHUNK * CHUNK + 3 * CHUNK)
#define FLAGS 0x8d5u
#define SKIPPED 77

struct state {
    uint64_t rax, rcx, rsi, rdi, flags;
};

#define RUN(name, instruction)                                                                                         \
    static void name(struct state *state)                                                                              \
    {                                                                                                                  \
        __asm__ volatile("cmpb %%al, %%al\n\t" instruction "\n\tpushfq\n\tpopq %[flags]"                               \
                         : "+a"(state->rax), "+c"(state->rcx), "+S"(state->rsi),                                       \
                           "+D"(state->rdi), [flags] "=&r"(state->flags)                                               \
                         :                                                                                             \
                         : "memory", "cc");                                                                            \
        state->flags &= FLAGS;                                                                                         \
    }

RUN(load_all, "rep lodsb")
RUN(store_all, "rep stosb")
RUN(move_all, "rep movsb")
RUN(compare_all, "repe cmpsb")
RUN(search_all, "repne scasb")
RUN(skip_all, "rep lodsw")

static const struct {
    const char *name;
    void (*run)(struct state *state);
    uint64_t count;
} strings[] = {
    {"rep lodsb", load_all, COUNT},     {"rep stosb", store_all, COUNT},    {"rep movsb", move_all, COUNT},
    {"repe cmpsb", compare_all, COUNT}, {"repne scasb", search_all, COUNT}, {"rep lodsw", skip_all, COUNT / 2},
};

static char *map_repeatedly(int file)
{
    char *view = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (uint64_t at = 0; view != MAP_FAILED && at < SIZE; at += CHUNK)
        if (mmap(view + at, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
            return MAP_FAILED;
    return view;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void fill(char *memory)
{
    for (uint64_t i = 0; i < CHUNK; i++)
        memory[i] = (char)(i * 13 % 251);
}

static struct state run(size_t i, char *memory, double *seconds)
{
    struct state state = {.rax = 0xff,
                          .rcx = strings[i].count,
                          .rsi = (uint64_t)(uintptr_t)memory,
                          .rdi = (uint64_t)(uintptr_t)memory + CHUNK};
    double begin = now();
    strings[i].run(&state);
    *seconds = now() - begin;
    return state;
}

int main(void)
{
    int file = memfd_create("long_strings", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)CHUNK) != 0 || segue_install(NULL) != SEGUE_OK)
        return SKIPPED;
    char *memory = map_repeatedly(file), *alias = map_repeatedly(file), *native = malloc(CHUNK);
    if (memory == MAP_FAILED || alias == MAP_FAILED || !native)
        return SKIPPED;
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)memory, .size = SIZE, .kind = SEGUE_WINDOW_ALIAS, .alias = alias}};
    if (segue_region_add(&region) != SEGUE_OK)
        return SKIPPED;
    int differences = 0;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        double natively, stepped;
        struct segue_counters before, after;
        fill(alias);
        mprotect(memory, SIZE, PROT_READ | PROT_WRITE);
        struct state expected = run(i, memory, &natively);
        memcpy(native, alias, CHUNK);
        fill(alias);
        mprotect(memory, SIZE, PROT_NONE);
        segue_counters_read(&before);
        struct state got = run(i, memory, &stepped);
        segue_counters_read(&after);
        bool equal = memcmp(&expected, &got, sizeof got) == 0 && memcmp(native, alias, CHUNK) == 0 &&
                     after.stepped > before.stepped && after.stepped - before.stepped < 8;
        differences += !equal;
        printf("%-12s %llu elements: %s, native %.2f s, stepped %.2f s in %llu steps\n", strings[i].name,
               (unsigned long long)strings[i].count, equal ? "equal" : "DIFFERENT", natively, stepped,
               (unsigned long long)(after.stepped - before.stepped));
        fflush(stdout);
    }
    return differences ? EXIT_FAILURE : EXIT_SUCCESS;
}
