/* fault.c: what a served fault costs on Windows, beside what a program would do itself; see docs/bench.md for the
 * terms. Each way runs in turns with the others; the figures are medians of the turns' ratios.
 *
 *      floor       a vectored handler that goes on behind the instruction, and does nothing
 *      step        the library's: an alias, by the engine that the instruction needs
 *      reopen      the handler opens the page, sets the trap flag, and closes the page at the trap: what remains exact
 *                  without a decoder, for a program of one thread
 *      gathered    a handler of the program's that opens the frame, gathers the vector state, goes on behind the
 *                  instruction and writes the frame: what a step takes beside the step itself
 *      own         the same, which plans the step and carries it out: without regions, policies and removals
 *      direct      the floor's, which leaves by NtContinue and not through the dispatcher
 *
 *      fault [ROUNDS [FAULTS]] */
#if !defined(_WIN32)
#error "bench/windows/fault.c is specific to Windows"
#endif

#include <segue/segue.h>
#include <segue/windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#define PAGE 4096u
#define ROUNDS_MOST 101u
#define FLAG_TRAP 0x100u

#if defined(__x86_64__)
#define INSTRUCTION_POINTER Rip
#define ACCUMULATOR "rax"
#else
#define INSTRUCTION_POINTER Eip
#define ACCUMULATOR "eax"
#endif

static struct segue_mapping mapping;
static char *plain;
static unsigned length;

static LONG CALLBACK skip(EXCEPTION_POINTERS *exception)
{
    exception->ContextRecord->INSTRUCTION_POINTER += length;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static LONG CALLBACK reopen(EXCEPTION_POINTERS *exception)
{
    DWORD before;
    bool is_trap = exception->ExceptionRecord->ExceptionCode == EXCEPTION_SINGLE_STEP;
    VirtualProtect(plain, PAGE, is_trap ? PAGE_NOACCESS : PAGE_READWRITE, &before);
    if (is_trap)
        exception->ContextRecord->EFlags &= ~(DWORD)FLAG_TRAP;
    else
        exception->ContextRecord->EFlags |= FLAG_TRAP;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static _Alignas(64) unsigned char area[4096];
static bool steps;

static LONG CALLBACK own(EXCEPTION_POINTERS *exception)
{
    const struct segue_window window = segue_mapping_window(&mapping);
    struct segue_frame frame;
    struct segue_plan plan;
    enum segue_status status = segue_frame_open(&frame, exception);
    if (status == SEGUE_HANDLED)
        return EXCEPTION_CONTINUE_EXECUTION;
    if (status != SEGUE_OK || segue_frame_gather(&frame, area, sizeof area) != SEGUE_OK)
        return EXCEPTION_CONTINUE_SEARCH;
    frame.regs.rip += steps ? 0 : length;
    status = steps ? segue_frame_plan(&frame, &window, 1, &plan) : segue_frame_write(&frame);
    if (steps && status == SEGUE_OK)
        status = segue_frame_step(&frame, &plan);
    return status == SEGUE_OK ? EXCEPTION_CONTINUE_EXECUTION : EXCEPTION_CONTINUE_SEARCH;
}

/* The dispatcher counts its calls of a handler that is left so, and never removes it: it stays, without effect. */
static LONG(WINAPI *go_on)(CONTEXT *context, BOOLEAN test_alert);
static bool is_direct;

static LONG CALLBACK direct(EXCEPTION_POINTERS *exception)
{
    if (!is_direct)
        return EXCEPTION_CONTINUE_SEARCH;
    exception->ContextRecord->INSTRUCTION_POINTER += length;
    go_on(exception->ContextRecord, FALSE);
    abort();
}

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

/* A load, of 2 bytes; an addition to memory, of 2; a vector load, of 4. */
static void load(char *page)
{
    __asm__ volatile(".byte 0x8b, 0x03" : : "b"(page) : ACCUMULATOR, "memory");
}

static void add(char *page)
{
    __asm__ volatile(".byte 0x01, 0x03" : : "b"(page), "a"(1) : "memory", "cc");
}

static void load_vector(char *page)
{
    __asm__ volatile(".byte 0xf3, 0x0f, 0x6f, 0x03" : : "b"(page) : "xmm0", "memory");
}

static const struct kind {
    const char *name;
    void (*access)(char *page);
    unsigned length;
} kinds[] = {
    {"step_alias", load, 2},
    {"step_replay", add, 2},
    {"step_vector", load_vector, 4},
};

/* The thread's processor time, in units of 100 ns: other programs do not matter. */
static uint64_t thread_time(void)
{
    FILETIME made, ended, kernel, user;
    if (!GetThreadTimes(GetCurrentThread(), &made, &ended, &kernel, &user))
        abort();
    return ((uint64_t)kernel.dwHighDateTime << 32 | kernel.dwLowDateTime) +
           ((uint64_t)user.dwHighDateTime << 32 | user.dwLowDateTime);
}

static double microseconds(const struct kind *kind, char *page, unsigned faults)
{
    uint64_t begin = thread_time();
    for (unsigned i = 0; i < faults; i++)
        kind->access(page);
    return (double)(thread_time() - begin) / 10 / faults;
}

static double by_handler(PVECTORED_EXCEPTION_HANDLER handler, char *page, const struct kind *kind, unsigned faults)
{
    void *added = AddVectoredExceptionHandler(1, handler);
    length = kind->length;
    double time = microseconds(kind, page, faults);
    RemoveVectoredExceptionHandler(added);
    return time;
}

static double by_library(const struct kind *kind, unsigned faults)
{
    const struct segue_region region = {.window = segue_mapping_window(&mapping), .policy = step};
    if (segue_install(NULL) != SEGUE_OK || segue_region_add(&region) != SEGUE_OK)
        abort();
    double time = microseconds(kind, mapping.memory, faults);
    if (segue_region_remove(mapping.memory) != SEGUE_OK || segue_uninstall(NULL) != SEGUE_OK)
        abort();
    return time;
}

static int compare(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* What the ways take that are not the library's own handler, over the floor. */
static void compare_own(const struct kind *kind, unsigned rounds, unsigned faults)
{
    static double gathered[ROUNDS_MOST], stepped[ROUNDS_MOST], directly[ROUNDS_MOST];
    for (unsigned i = 0; i < rounds; i++) {
        double floor = by_handler(skip, plain, kind, faults);
        steps = false;
        gathered[i] = by_handler(own, mapping.memory, kind, faults) / floor;
        steps = true;
        stepped[i] = by_handler(own, mapping.memory, kind, faults) / floor;
    }
    printf("RATIO %s_gathered_over_floor %.3f\n", kind->name, median(gathered, rounds));
    printf("RATIO %s_own_over_floor %.3f\n", kind->name, median(stepped, rounds));
    go_on = (LONG(*WINAPI)(CONTEXT *, BOOLEAN))(void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), "NtContinue");
    if (!go_on || !AddVectoredExceptionHandler(1, direct))
        abort();
    for (unsigned i = 0; i < rounds; i++) {
        double floor = by_handler(skip, plain, kind, faults);
        is_direct = true;
        length = kind->length;
        directly[i] = microseconds(kind, plain, faults) / floor;
        is_direct = false;
    }
    printf("RATIO %s_direct_over_floor %.3f\n", kind->name, median(directly, rounds));
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 7, faults = argc > 2 ? (unsigned)atoi(argv[2]) : 200000;
    static double floors[ROUNDS_MOST], over_floor[ROUNDS_MOST], over_reopen[ROUNDS_MOST];
    if (rounds == 0 || rounds > ROUNDS_MOST || faults == 0) {
        fprintf(stderr, "usage: fault [ROUNDS, at most %u [FAULTS]]\n", ROUNDS_MOST);
        return 2;
    }
    plain = VirtualAlloc(NULL, PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
    if (!plain || segue_mapping_create(NULL, PAGE, &mapping) != SEGUE_OK ||
        segue_mapping_protect(&mapping, 0, PAGE, 0) != SEGUE_OK)
        return 1;
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (unsigned i = 0; i < rounds; i++) {
            double floor = by_handler(skip, plain, &kinds[k], faults), stepped = by_library(&kinds[k], faults);
            double again = by_handler(skip, plain, &kinds[k], faults);
            double reopened = by_handler(reopen, plain, &kinds[k], faults);
            floors[i] = floor;
            over_floor[i] = stepped / ((floor + again) / 2);
            over_reopen[i] = stepped / reopened;
        }
        printf("%s: a fault takes %.2f us\n", kinds[k].name, median(floors, rounds));
        printf("RATIO %s_over_floor %.3f\n", kinds[k].name, median(over_floor, rounds));
        printf("RATIO %s_over_reopen %.3f\n", kinds[k].name, median(over_reopen, rounds));
    }
    compare_own(&kinds[0], rounds, faults);
    return 0;
}
