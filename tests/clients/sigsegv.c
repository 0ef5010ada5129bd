/* sigsegv.c: programs that are written for GNU libsigsegv, in the manner of its own tests. Built twice, against that
 * library and with segue/sigsegv_compat.h in its place: sigsegv.sh compares what they print. */
#include <setjmp.h>
#include <signal.h>
#include <sigsegv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u

static sigset_t main_mask;
static sigjmp_buf back;
static volatile unsigned calls;

static char *protected_pages(size_t count)
{
    return mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static char *page;

/* ---- a handler that makes a page accessible ---- */

static int make_accessible(void *address, int serious)
{
    (void)serious;
    calls++;
    return (char *)address >= page && (char *)address < page + PAGE &&
           mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0;
}

static int fault_is_served(void)
{
    page = protected_pages(1);
    if (sigsegv_install_handler(make_accessible) != 0)
        return 1;
    page[0x678] = 42;
    mprotect(page, PAGE, PROT_READ);
    page[0x679] = 43;
    printf("%d %d, %u calls\n", page[0x678], page[0x679], calls);
    sigsegv_deinstall_handler();
    return 0;
}

static int deinstalled_handler_is_not_called(void)
{
    fault_is_served();
    mprotect(page, PAGE, PROT_NONE);
    fflush(stdout);
    page[0] = 1;
    return 1;
}

/* ---- a dispatcher ---- */

static sigsegv_dispatcher dispatcher;
static char log_of_areas[64];

static int area_handler(void *address, void *name)
{
    (void)address;
    strcat(log_of_areas, name);
    return mprotect((void *)((uintptr_t)address & -(uintptr_t)PAGE), PAGE, PROT_READ | PROT_WRITE) == 0;
}

static int dispatch(void *address, int serious)
{
    (void)serious;
    return sigsegv_dispatch(&dispatcher, address);
}

static int areas_have_handlers_of_their_own(void)
{
    char *pages = protected_pages(6);
    static char names[3][2] = {"a", "b", "c"};
    void *tickets[3];
    sigsegv_init(&dispatcher);
    for (unsigned i = 0; i < 3; i++)
        tickets[i] = sigsegv_register(&dispatcher, pages + (size_t)(2 - i) * 2 * PAGE, PAGE, area_handler, names[i]);
    sigsegv_install_handler(dispatch);
    pages[4 * PAGE] = 1;
    pages[0] = 1;
    pages[2 * PAGE] = 1;
    pages[1] = 2;
    printf("%s; outside %d\n", log_of_areas, sigsegv_dispatch(&dispatcher, pages + PAGE));
    sigsegv_unregister(&dispatcher, tickets[1]);
    printf("unregistered %d\n", sigsegv_dispatch(&dispatcher, pages + 2 * PAGE));
    fflush(stdout);
    mprotect(pages, PAGE, PROT_NONE);
    sigsegv_unregister(&dispatcher, tickets[2]);
    /* In no area any more: the process dies. */
    pages[0] = 1;
    return 1;
}

static int many_areas_are_found(void)
{
    enum { COUNT = 500 };
    static char name[2] = "x";
    char *pages = protected_pages(2 * COUNT);
    void *tickets[COUNT];
    unsigned found = 0;
    sigsegv_init(&dispatcher);
    for (size_t i = 0; i < COUNT; i++)
        tickets[i] = sigsegv_register(&dispatcher, pages + (i * 7 % COUNT) * 2 * PAGE, PAGE, area_handler, name);
    for (size_t i = 0; i < COUNT; i += 3)
        sigsegv_unregister(&dispatcher, tickets[i]);
    for (size_t i = 0; i < 2 * COUNT; i++) {
        log_of_areas[0] = 0;
        found += sigsegv_dispatch(&dispatcher, pages + i * PAGE + PAGE - 1) != 0;
    }
    printf("%u found\n", found);
    return 0;
}

/* ---- a handler that leaves ---- */

static void continue_in_main(void *first, void *second, void *third)
{
    sigprocmask(SIG_SETMASK, &main_mask, NULL);
    siglongjmp(back, first == (void *)1 && second == (void *)2 && third == (void *)3);
}

static int leave(void *address, int serious)
{
    (void)address;
    (void)serious;
    calls++;
    return sigsegv_leave_handler(continue_in_main, (void *)1, (void *)2, (void *)3);
}

static int handler_may_leave_again_and_again(void)
{
    page = protected_pages(1);
    sigprocmask(SIG_SETMASK, NULL, &main_mask);
    sigsegv_install_handler(leave);
    for (volatile int i = 0; i < 10; i++)
        if (sigsetjmp(back, 0) == 0)
            page[i] = 1;
    printf("%u calls\n", calls);
    return 0;
}

/* ---- an exhausted stack ---- */

static char extra_stack[65536] __attribute__((aligned(64)));
static volatile unsigned overflows;

static void stop_overflow(int emergency, stackoverflow_context_t context)
{
    (void)context;
    overflows++;
    printf("overflow %u, emergency %d\n", overflows, emergency);
    sigsegv_leave_handler(continue_in_main, (void *)1, (void *)2, (void *)3);
}

static int recurse(int depth, volatile char *above)
{
    volatile char space[2000];
    space[0] = above ? above[0] : 1;
    return depth < 1 << 28 ? recurse(depth + 1, space) + space[0] : 0;
}

static void limit_stack(void)
{
    struct rlimit limit = {1u << 20, 1u << 20};
    setrlimit(RLIMIT_STACK, &limit);
    sigprocmask(SIG_SETMASK, NULL, &main_mask);
}

static int exhausted_stack_is_told(void)
{
    limit_stack();
    if (stackoverflow_install_handler(stop_overflow, extra_stack, sizeof extra_stack) != 0)
        return 1;
    for (volatile int i = 0; i < 3; i++)
        if (sigsetjmp(back, 0) == 0)
            recurse(0, NULL);
    printf("%u overflows\n", overflows);
    fflush(stdout);
    /* Another fault does not count as one. */
    *(volatile char *)(uintptr_t)0x20000000 = 1;
    return 1;
}

static int refuse_or_open(void *address, int serious)
{
    if ((char *)address < page || (char *)address >= page + PAGE)
        return 0;
    printf("page, serious %d\n", serious);
    return mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0;
}

static int both_handlers_have_their_faults(void)
{
    page = protected_pages(1);
    limit_stack();
    sigsegv_install_handler(refuse_or_open);
    stackoverflow_install_handler(stop_overflow, extra_stack, sizeof extra_stack);
    for (volatile int i = 0; i < 2; i++) {
        mprotect(page, PAGE, PROT_NONE);
        page[i] = 1;
        if (sigsetjmp(back, 0) == 0)
            recurse(0, NULL);
    }
    stackoverflow_deinstall_handler();
    mprotect(page, PAGE, PROT_NONE);
    page[0] = 1;
    sigsegv_deinstall_handler();
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"fault_is_served", fault_is_served},
    {"deinstalled_handler_is_not_called", deinstalled_handler_is_not_called},
    {"areas_have_handlers_of_their_own", areas_have_handlers_of_their_own},
    {"many_areas_are_found", many_areas_are_found},
    {"handler_may_leave_again_and_again", handler_may_leave_again_and_again},
    {"exhausted_stack_is_told", exhausted_stack_is_told},
    {"both_handlers_have_their_faults", both_handlers_have_their_faults},
};

/* Each case in a child: what it prints, and how it ends. */
int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status;
        printf("%s\n", cases[i].name);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0)
            exit(cases[i].run());
        waitpid(child, &status, 0);
        printf("status %d, signal %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
               WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    return 0;
}
