/* small_stacks.c: faults of threads that have a small alternate stack of their own, as runtimes give to their threads,
 * or none and a small stack. Below each stack lies memory that must stay as it is.
 *
 * The cases run in a child, by the environment: SIZE is the alternate stack's (0 for none), SHAPE the name of an
 * instruction, or empty for all. */
#include "tests/support/test.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <segue/segue.h>

#include "tests/support/child.h"

#define PAGE 4096u
/* What the header says, whatever the C library makes of it. */
#define HEADER_SIGSTKSZ 8192
#define CANARY 0xa5
#define CANARY_SIZE (4 * PAGE)

/* --- One instruction of each class that is stepped in its own way. `p` is 64-byte aligned. --- */

static _Alignas(64) char buffer[8192];

static void move(char *p)
{
    __asm__ volatile("movq $7, (%0)" : : "r"(p) : "memory");
}
static void load(char *p)
{
    __asm__ volatile("movzbl (%0), %%eax" : : "r"(p) : "eax");
}
static void locked(char *p)
{
    __asm__ volatile("lock incl (%0)" : : "r"(p) : "memory", "cc");
}
static void exchange16(char *p)
{
    __asm__ volatile("lock cmpxchg16b (%0)" : : "r"(p), "a"(0l), "d"(0l), "b"(1l), "c"(2l) : "memory", "cc");
}
static void bit(char *p)
{
    __asm__ volatile("btsl %1, (%0)" : : "r"(p), "r"(70) : "memory", "cc");
}
static void push(char *p)
{
    __asm__ volatile("pushq (%0); addq $8, %%rsp" : : "r"(p) : "memory");
}
static void pop(char *p)
{
    __asm__ volatile("pushq $5; popq (%0)" : : "r"(p) : "memory");
}
static void table(char *p)
{
    __asm__ volatile("xlatb" : : "b"(p), "a"(3) : "memory");
}
static void enter(char *p)
{
    __asm__ volatile("movq %%rsp, %%r12; movq %%rbp, %%r13; leaq 1024(%0), %%rsp; leaq 2048(%0), %%rbp\n\t"
                     "enter $16, $31; movq %%r12, %%rsp; movq %%r13, %%rbp"
                     :
                     : "r"(p)
                     : "r12", "r13", "memory");
}
static void copy_string(char *p)
{
    char *from = buffer;
    size_t count = 200;
    __asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(count) : : "memory");
}
static void compare_string(char *p)
{
    char *from = buffer;
    size_t count = 200;
    __asm__ volatile("repe cmpsb" : "+D"(p), "+S"(from), "+c"(count) : : "memory", "cc");
}
static void x87_load(char *p)
{
    __asm__ volatile("flds (%0); fstp %%st" : : "r"(p) : "memory");
}
static void x87_store(char *p)
{
    __asm__ volatile("fldz; fstpt (%0)" : : "r"(p) : "memory");
}
static void x87_save(char *p)
{
    __asm__ volatile("fnstenv (%0)" : : "r"(p) : "memory");
}
static void state_save(char *p)
{
    __asm__ volatile("fxsave64 (%0)" : : "r"(p) : "memory");
}
static void sse(char *p)
{
    __asm__ volatile("movups (%0), %%xmm0" : : "r"(p) : "xmm0");
}
static void sse_masked(char *p)
{
    __asm__ volatile("pcmpeqd %%xmm1, %%xmm1; maskmovdqu %%xmm1, %%xmm0" : : "D"(p) : "xmm1", "memory");
}
__attribute__((target("avx2"))) static void avx(char *p)
{
    __asm__ volatile("vmovdqu (%0), %%ymm1; vzeroupper" : : "r"(p) : "xmm1");
}
__attribute__((target("avx2"))) static void avx_masked(char *p)
{
    __asm__ volatile("vpcmpeqd %%ymm1, %%ymm1, %%ymm1; vmaskmovps %%ymm0, %%ymm1, (%0); vzeroupper"
                     :
                     : "r"(p)
                     : "xmm1", "memory");
}
__attribute__((target("avx2"))) static void gather(char *p)
{
    __asm__ volatile("vpcmpeqd %%ymm1, %%ymm1, %%ymm1; vpxor %%ymm2, %%ymm2, %%ymm2\n\t"
                     "vpgatherdd %%ymm1, (%0,%%ymm2,4), %%ymm3; vzeroupper"
                     :
                     : "r"(p)
                     : "xmm1", "xmm2", "xmm3");
}
__attribute__((target("avx512f"))) static void avx512(char *p)
{
    __asm__ volatile("kxnorw %%k1, %%k1, %%k1; vmovdqu32 %%zmm0, (%0)%{%%k1%}; vzeroupper" : : "r"(p) : "memory");
}
__attribute__((target("avx512f"))) static void scatter(char *p)
{
    __asm__ volatile("kxnorw %%k1, %%k1, %%k1; vpxord %%zmm2, %%zmm2, %%zmm2\n\t"
                     "vpscatterdd %%zmm2, (%0,%%zmm2,4)%{%%k1%}; vzeroupper"
                     :
                     : "r"(p)
                     : "memory", "xmm2");
}

static const struct shape {
    const char *name;
    void (*run)(char *p);
    /* What the processor must have; NULL for nothing. */
    const char *needs;
    /* Not on copies of its memory. */
    bool only_whole;
} shapes[] = {
    {"move", move, NULL, false},
    {"load", load, NULL, false},
    {"locked", locked, NULL, true},
    {"exchange16", exchange16, NULL, true},
    {"bit", bit, NULL, false},
    {"push", push, NULL, false},
    {"pop", pop, NULL, false},
    {"table", table, NULL, false},
    {"enter", enter, NULL, false},
    {"copy_string", copy_string, NULL, false},
    {"compare_string", compare_string, NULL, false},
    {"x87_load", x87_load, NULL, false},
    {"x87_store", x87_store, NULL, false},
    {"x87_save", x87_save, NULL, false},
    {"state_save", state_save, NULL, true},
    {"sse", sse, NULL, false},
    {"sse_masked", sse_masked, NULL, false},
    {"avx", avx, "avx2", false},
    {"avx_masked", avx_masked, "avx2", false},
    {"gather", gather, "avx2", true},
    {"avx512", avx512, "avx512f", true},
    {"scatter", scatter, "avx512f", true},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

static bool has(const char *what)
{
    if (!what)
        return true;
    return strcmp(what, "avx2") == 0 ? __builtin_cpu_supports("avx2") != 0 : __builtin_cpu_supports("avx512f") != 0;
}

/* --- Regions of each kind of window, two pages each. --- */

static char *alias_page, *forced_page, *device_page, device_memory[2 * PAGE];

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    memcpy(bytes, device_memory + (address - (uint64_t)(uintptr_t)device_page), size);
    return SEGUE_OK;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context;
    memcpy(device_memory + (address - (uint64_t)(uintptr_t)device_page), bytes, size);
    return SEGUE_OK;
}

static char *map(size_t size, int protection)
{
    char *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

static void make_regions(void)
{
    static struct segue_mapping mapping;
    if (segue_mapping_create(NULL, 2 * PAGE, &mapping) != SEGUE_OK)
        abort();
    alias_page = mapping.memory;
    forced_page = map(2 * PAGE, PROT_READ | PROT_WRITE);
    device_page = map(2 * PAGE, PROT_NONE);
    struct segue_region regions[] = {
        {.window = {.base = (uint64_t)(uintptr_t)alias_page,
                    .size = 2 * PAGE,
                    .kind = SEGUE_WINDOW_ALIAS,
                    .alias = mapping.alias}},
        {.window = {.base = (uint64_t)(uintptr_t)forced_page, .size = 2 * PAGE, .kind = SEGUE_WINDOW_FORCED}},
        {.window = {.base = (uint64_t)(uintptr_t)device_page,
                    .size = 2 * PAGE,
                    .kind = SEGUE_WINDOW_CALLBACK,
                    .read = device_read,
                    .write = device_write}},
    };
    for (size_t i = 0; i < 3; i++)
        if (segue_region_add(&regions[i]) != SEGUE_OK)
            abort();
    mprotect(alias_page, 2 * PAGE, PROT_NONE);
    mprotect(forced_page, 2 * PAGE, PROT_NONE);
}

static volatile uintptr_t nothing = 8;

/* --- A thread with a small alternate stack, or a small stack. --- */

static size_t size_asked_for(void)
{
    return strtoul(getenv("SIZE"), NULL, 10);
}

/* With memory below it that is looked at in the end. */
static char *make_stack(size_t size)
{
    char *memory = map(CANARY_SIZE + size, PROT_READ | PROT_WRITE);
    memset(memory, CANARY, CANARY_SIZE);
    return memory + CANARY_SIZE;
}

static bool is_whole(const char *stack)
{
    for (size_t i = 1; i <= CANARY_SIZE; i++)
        if ((unsigned char)stack[-(ptrdiff_t)i] != CANARY)
            return false;
    return true;
}

static void set_alternate(char *memory, size_t size)
{
    stack_t stack = {.ss_sp = memory, .ss_size = size};
    if (size && sigaltstack(&stack, NULL) != 0)
        abort();
}

static void run_shape(const struct shape *shape)
{
    /* The frame of a fault in a stack that is closed has nowhere else to go. */
    if (!has(shape->needs) || (shape->run == enter && size_asked_for() == 0))
        return;
    shape->run(alias_page + 64);
    shape->run(alias_page + PAGE - 64 * (shape->run == enter));
    if (shape->only_whole)
        return;
    if (shape->run != enter)
        shape->run(forced_page + PAGE - 2);
    shape->run(forced_page + 64);
    if (shape->run != enter)
        shape->run(device_page + 64);
}

static void *run_shapes(void *unused)
{
    const char *wanted = getenv("SHAPE");
    size_t size = size_asked_for();
    char *stack = make_stack(size);
    (void)unused;
    set_alternate(stack, size);
    for (size_t i = 0; i < SHAPES; i++)
        if (!*wanted || strcmp(wanted, shapes[i].name) == 0)
            run_shape(&shapes[i]);
    return (void *)(uintptr_t)(is_whole(stack) ? 0 : 9);
}

/* In a thread of the smallest stack that there is, if it has no alternate one. */
static int in_thread(void *(*start)(void *))
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *result;
    pthread_attr_init(&attributes);
    if (size_asked_for() == 0 && pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) != 0)
        abort();
    if (pthread_create(&thread, &attributes, start, NULL) != 0)
        abort();
    pthread_join(thread, &result);
    return (int)(uintptr_t)result;
}

static int case_served(void)
{
    if (segue_install(NULL) != SEGUE_OK)
        return 1;
    make_regions();
    return in_thread(run_shapes);
}

static void *write_to_nothing(void *unused)
{
    size_t size = size_asked_for();
    char *stack = make_stack(size);
    (void)unused;
    set_alternate(stack, size);
    *(volatile int *)nothing = 1;
    return (void *)1;
}

static void *raise_it(void *unused)
{
    size_t size = size_asked_for();
    set_alternate(make_stack(size), size);
    raise(SIGSEGV);
    return unused;
}

static int case_deadly(void)
{
    return segue_install(NULL) == SEGUE_OK ? in_thread(write_to_nothing) : 2;
}

static int case_deadly_sent(void)
{
    return segue_install(NULL) == SEGUE_OK ? in_thread(raise_it) : 2;
}

static sigjmp_buf back;
static volatile int handled;

static void jump_back(int number, siginfo_t *info, void *ucontext)
{
    (void)ucontext;
    handled += number == SIGSEGV && (info->si_addr == (void *)8 || info->si_code <= 0);
    siglongjmp(back, 1);
}

static void *fault_and_come_back(void *unused)
{
    size_t size = size_asked_for();
    char *stack = make_stack(size);
    (void)unused;
    set_alternate(stack, size);
    for (volatile int i = 0; i < 10; i++)
        if (!sigsetjmp(back, 1)) {
            if (i % 2)
                *(volatile int *)nothing = 1;
            else
                raise(SIGSEGV);
        }
    return (void *)(uintptr_t)(!is_whole(stack) ? 9 : handled == 10 ? 0 : 1);
}

static int case_handed_on(void)
{
    struct sigaction action = {.sa_sigaction = jump_back, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    return segue_install(NULL) == SEGUE_OK ? in_thread(fault_and_come_back) : 2;
}

/* Rust's runtime: a handler that knows the thread's guard page by its address, and else puts the default action back
 * and returns; 8 KiB with a guard page below for each thread. */
static __thread char *rust_guard;

static void rust_handler(int number, siginfo_t *info, void *ucontext)
{
    (void)ucontext;
    uintptr_t distance = (uintptr_t)info->si_addr - (uintptr_t)rust_guard;
    if (distance < PAGE) {
        static const char text[] = "thread has overflowed its stack\n";
        if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
            _exit(3);
        abort();
    }
    signal(number, SIG_DFL);
}

static volatile bool goes_on = true;

static __attribute__((noinline)) int overflow(volatile char *above)
{
    volatile char frame[1024];
    frame[0] = *above;
    return (goes_on ? overflow(frame) : 0) + frame[0];
}

static void *rust_thread(void *overflows)
{
    pthread_attr_t attributes;
    void *low;
    size_t size, guard;
    char first = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_getguardsize(&attributes, &guard);
    rust_guard = (char *)low - guard;
    char *memory = map(PAGE + HEADER_SIGSTKSZ, PROT_READ | PROT_WRITE);
    mprotect(memory, PAGE, PROT_NONE);
    set_alternate(memory + PAGE, HEADER_SIGSTKSZ);
    if (overflows)
        return (void *)(uintptr_t)overflow(&first);
    *(volatile int *)nothing = 1;
    return NULL;
}

static int rust(void *overflows)
{
    struct sigaction action = {.sa_sigaction = rust_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    pthread_t thread;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    if (segue_install(NULL) != SEGUE_OK)
        return 2;
    pthread_create(&thread, NULL, rust_thread, overflows);
    pthread_join(thread, NULL);
    return 0;
}

static int case_rust_null(void)
{
    return rust(NULL);
}

static int case_rust_overflow(void)
{
    return rust((void *)1);
}

/* --- The tests. --- */

static struct child_result run_with(const char *name, size_t size, const char *shape)
{
    char text[32];
    snprintf(text, sizeof text, "%zu", size);
    setenv("SIZE", text, 1);
    setenv("SHAPE", shape, 1);
    /* To find a symbol the loader wants more stack than there is. */
    setenv("LD_BIND_NOW", "1", 1);
    return child_run(name);
}

static void are_served(size_t size)
{
    for (size_t i = 0; i < SHAPES; i++) {
        struct child_result result = run_with("served", size, shapes[i].name);
        if (result.signal || result.status)
            print_error("%s on %zu bytes: signal %d, status %d %s\n", shapes[i].name, size, result.signal,
                        result.status, result.output);
        assert_int_equal(result.signal, 0);
        assert_int_equal(result.status, 0);
    }
    assert_int_equal(run_with("served", size, "").status, 0);
}

static void every_class_is_served_on_a_stack_of_the_headers_size(void **state)
{
    (void)state;
    are_served(HEADER_SIGSTKSZ);
}

static void every_class_is_served_on_a_stack_of_the_systems_size(void **state)
{
    (void)state;
    are_served((size_t)sysconf(_SC_SIGSTKSZ));
}

static void every_class_is_served_on_a_stack_of_the_need(void **state)
{
    (void)state;
    are_served(segue_handler_stack());
}

/* gsignal's. */
static void every_class_is_served_on_a_stack_as_go_has(void **state)
{
    (void)state;
    are_served(32768);
}

static void every_class_is_served_on_the_smallest_thread_without_another_stack(void **state)
{
    (void)state;
    are_served(0);
}

static const size_t sizes[] = {0, 3328, 3584, 4096, 4608, 5120, 6144, HEADER_SIGSTKSZ, 12288, 16384};
#define SIZES (sizeof sizes / sizeof *sizes)

static void fault_of_nobodys_is_as_deadly_on_any_stack(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        assert_int_equal(run_with("deadly", sizes[i], "").signal, SIGSEGV);
        assert_int_equal(run_with("deadly_sent", sizes[i], "").signal, SIGSEGV);
    }
}

static void handler_behind_ours_is_entered_on_any_stack_that_has_room_for_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct child_result result = run_with("handed_on", sizes[i], "");
        /* Where our own way there has no room, the thread dies as of a handler without room. */
        if (sizes[i] == 0 || sizes[i] >= 4096)
            assert_int_equal(result.status, 0);
        else
            assert_true(result.signal == SIGSEGV || result.status == 0);
    }
}

/* Served, or as without us: never a hang, never a byte below the stack. */
static void no_stack_is_too_small_to_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct child_result result = run_with("served", sizes[i], "");
        assert_true(result.status == 0 || result.signal == SIGSEGV);
        if (sizes[i] >= 5120)
            assert_int_equal(run_with("served", sizes[i], "move").status, 0);
    }
}

/* Around the sizes where there begins to be room for the entry, for handing on, for serving. */
static void stack_of_any_size_is_kept_to(void **state)
{
    (void)state;
    size_t last = segue_handler_stack();
    for (size_t size = 2944; size < last; size += 48) {
        struct child_result served = run_with("served", size, "move"), handed_on = run_with("handed_on", size, "");
        if (served.status && served.signal != SIGSEGV)
            print_error("%zu bytes: status %d, signal %d\n", size, served.status, served.signal);
        assert_true(served.status == 0 || served.signal == SIGSEGV);
        assert_true(handed_on.status == 0 || handed_on.signal == SIGSEGV);
    }
}

static void rust_thread_that_dereferences_null_dies_of_it(void **state)
{
    (void)state;
    assert_int_equal(child_run("rust_null").signal, SIGSEGV);
}

static void rust_thread_that_overflows_its_stack_aborts(void **state)
{
    (void)state;
    struct child_result result = child_run("rust_overflow");
    assert_int_equal(result.signal, SIGABRT);
    assert_non_null(strstr(result.output, "overflowed"));
}

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {
        {"served", case_served},       {"deadly", case_deadly},       {"deadly_sent", case_deadly_sent},
        {"handed_on", case_handed_on}, {"rust_null", case_rust_null}, {"rust_overflow", case_rust_overflow},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_is_served_on_a_stack_of_the_headers_size),
        cmocka_unit_test(every_class_is_served_on_a_stack_of_the_systems_size),
        cmocka_unit_test(every_class_is_served_on_a_stack_of_the_need),
        cmocka_unit_test(every_class_is_served_on_a_stack_as_go_has),
        cmocka_unit_test(every_class_is_served_on_the_smallest_thread_without_another_stack),
        cmocka_unit_test(fault_of_nobodys_is_as_deadly_on_any_stack),
        cmocka_unit_test(handler_behind_ours_is_entered_on_any_stack_that_has_room_for_it),
        cmocka_unit_test(no_stack_is_too_small_to_end),
        cmocka_unit_test(stack_of_any_size_is_kept_to),
        cmocka_unit_test(rust_thread_that_dereferences_null_dies_of_it),
        cmocka_unit_test(rust_thread_that_overflows_its_stack_aborts),
    };
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
