/* chain.c: a handler of the program's own ends with segue_chain: whoever was there before sees the signal as if that
 * handler were not there. Each case is run in a process of its own, twice: with the handler and without, and the two
 * must end alike. */
#include "tests/support/test.h"

#include <segue/posix.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/support/child.h"

#define STACK (1u << 16)

/* Whether the program's handler steps before it chains, as docs/guide.md says. */
static bool steps_first;
/* Whether this process is the one without a handler of the program's; set by the case's name. */
static bool bare;
static struct sigaction before[_NSIG];
static char *page;
/* What follows segue_chain in the program's handler has run so often. */
static volatile int came_back;

static void own_handler(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    struct segue_plan plan;
    switch (segue_frame_open(&frame, info, ucontext)) {
    case SEGUE_HANDLED:
        return;
    default:
        if (steps_first && segue_frame_plan(&frame, NULL, 0, &plan) == SEGUE_OK &&
            segue_frame_step(&frame, &plan) == SEGUE_OK)
            return;
        segue_chain(&frame, &before[number]);
        came_back++;
    }
}

/* Over whatever action there is. */
static void install(int number)
{
    struct sigaction action = {.sa_sigaction = own_handler, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    if (!bare && sigaction(number, &action, &before[number]) != 0)
        _exit(96);
}

static void protect_page(void)
{
    page = mmap((void *)0x20000000, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void give_alternate_stack(void)
{
    stack_t stack = {.ss_sp = malloc(STACK), .ss_size = STACK};
    sigaltstack(&stack, NULL);
}

static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(95);
}

/* Prints all that it can see, and makes the page accessible. */
static void tell(int number, siginfo_t *info, void *ucontext)
{
    const ucontext_t *frame = ucontext;
    const char *lowest = frame->uc_stack.ss_sp;
    char line[256], here;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    snprintf(line, sizeof line, "%d code %d address %p masked %d%d%d alternate %d to the restorer %d changed %d\n",
             number, info->si_code, info->si_code > 0 ? info->si_addr : NULL, sigismember(&mask, SIGSEGV),
             sigismember(&mask, SIGUSR1), sigismember(&mask, SIGUSR2),
             lowest && &here >= lowest && &here < lowest + STACK,
             (char *)__builtin_frame_address(0) + 16 == (char *)ucontext, came_back);
    say(line);
    if (page)
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void handle_with(int number, int flags)
{
    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO | flags};
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(number, &action, NULL);
    install(number);
}

static int store(void)
{
    *(volatile int *)page = 3;
    printf("stored %d, came back %d\n", *(volatile int *)page, came_back);
    fflush(stdout);
    return 7;
}

static int run_handler(int flags)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    give_alternate_stack();
    protect_page();
    handle_with(SIGSEGV, flags);
    return store();
}

static int handler(void)
{
    return run_handler(0);
}

static int handler_that_nests(void)
{
    return run_handler(SA_NODEFER);
}

static int handler_on_alternate_stack(void)
{
    return run_handler(SA_ONSTACK);
}

static int one_shot_handler(void)
{
    run_handler((int)SA_RESETHAND);
    mprotect(page, 4096, PROT_NONE);
    return store();
}

static int handler_of_a_sent_signal(void)
{
    handle_with(SIGSEGV, 0);
    raise(SIGSEGV);
    kill(getpid(), SIGSEGV);
    printf("came back %d\n", came_back);
    return 7;
}

static int default_fault(void)
{
    protect_page();
    install(SIGSEGV);
    return store();
}

/* The step meets the closed page, too. */
static int default_fault_behind_a_step(void)
{
    steps_first = true;
    return default_fault();
}

static int handler_behind_a_step(void)
{
    steps_first = true;
    return handler();
}

static int default_sent(void)
{
    install(SIGUSR1);
    raise(SIGUSR1);
    return 1;
}

static int ignored_fault(void)
{
    signal(SIGSEGV, SIG_IGN);
    protect_page();
    install(SIGSEGV);
    return store();
}

static int ignored_sent(void)
{
    signal(SIGSEGV, SIG_IGN);
    install(SIGSEGV);
    raise(SIGSEGV);
    say("alive\n");
    return 7;
}

static sigjmp_buf back;

static void jump(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static int handler_that_jumps(void)
{
    protect_page();
    signal(SIGSEGV, jump);
    install(SIGSEGV);
    for (volatile int i = 0; i < 3; i++)
        if (sigsetjmp(back, 1) == 0)
            store();
    printf("came back %d\n", came_back);
    return 7;
}

/* A handler without room on its thread's stack: SIGSEGV, as from the kernel. */
static int exhaust(int depth)
{
    volatile char much[4096];
    much[0] = (char)depth;
    return depth < 1 << 20 ? exhaust(depth + 1) + much[0] : 0;
}

static int exhausted_stack(void)
{
    give_alternate_stack();
    handle_with(SIGSEGV, 0);
    return exhaust(0);
}

#define EACH_PAIR(X)                                                                                                   \
    X(handler)                                                                                                         \
    X(handler_that_nests)                                                                                              \
    X(handler_on_alternate_stack)                                                                                      \
    X(one_shot_handler)                                                                                                \
    X(handler_of_a_sent_signal)                                                                                        \
    X(default_fault)                                                                                                   \
    X(default_fault_behind_a_step)                                                                                     \
    X(handler_behind_a_step)                                                                                           \
    X(default_sent)                                                                                                    \
    X(ignored_fault)                                                                                                   \
    X(ignored_sent)                                                                                                    \
    X(handler_that_jumps)                                                                                              \
    X(exhausted_stack)

#define BARE_CASE(name)                                                                                                \
    static int name##_bare(void)                                                                                       \
    {                                                                                                                  \
        bare = true;                                                                                                   \
        return name();                                                                                                 \
    }
EACH_PAIR(BARE_CASE)

static void same_as_bare(void **state)
{
    char name[64];
    const char *chained = *state;
    snprintf(name, sizeof name, "%s_bare", chained);
    struct child_result expected = child_run(name), found = child_run(chained);
    assert_string_equal(found.output, expected.output);
    assert_int_equal(found.status, expected.status);
    assert_int_equal(found.signal, expected.signal);
}

/* ---- handlers that get their control back ---- */

static volatile int rest_of_later;

static void later_handler(int number, siginfo_t *info, void *ucontext)
{
    void (*volatile call)(int, siginfo_t *, void *) = own_handler;
    call(number, info, ucontext);
    rest_of_later++;
}

static int handler_that_was_called_returns(void)
{
    struct sigaction action = {.sa_sigaction = later_handler, .sa_flags = SA_SIGINFO};
    protect_page();
    handle_with(SIGSEGV, 0);
    sigaction(SIGSEGV, &action, NULL);
    store();
    return came_back == 1 && rest_of_later == 1 ? 0 : 1;
}

__attribute__((noinline)) static void chain_in_a_call(struct segue_frame *frame, int number)
{
    segue_chain(frame, &before[number]);
    came_back++;
}

static void own_handler_with_a_call(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    if (segue_frame_open(&frame, info, ucontext) != SEGUE_HANDLED)
        chain_in_a_call(&frame, number);
}

/* The mask is the earlier handler's meanwhile, and the caller's afterwards. */
static int chaining_in_a_function_returns(void)
{
    struct sigaction action = {.sa_sigaction = own_handler_with_a_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    protect_page();
    handle_with(SIGSEGV, 0);
    sigaction(SIGSEGV, &action, NULL);
    return store() == 7 && came_back == 1 ? 0 : 1;
}

static int what_is_missing_is_named(void)
{
    struct segue_frame frame = {0};
    if (segue_chain_at(NULL, &before[SIGSEGV], NULL) != SEGUE_INVALID || !segue_reason()[0])
        return 1;
    if (segue_chain_at(&frame, &before[SIGSEGV], NULL) != SEGUE_INVALID)
        return 2;
    frame.native[1] = &frame;
    frame.fault.signal = SIGSEGV;
    return segue_chain_at(&frame, NULL, NULL) == SEGUE_INVALID ? 0 : 3;
}

static void ends_well(void **state)
{
    struct child_result result = child_run(*state);
    if (result.status != 0)
        fail_msg("status %d, signal %d: %s", result.status, result.signal, result.output);
}

#define EACH_ALONE(X)                                                                                                  \
    X(handler_that_was_called_returns)                                                                                 \
    X(chaining_in_a_function_returns)                                                                                  \
    X(what_is_missing_is_named)

#define PAIR_ROWS(name) {#name, name}, {#name "_bare", name##_bare},
#define ALONE_ROW(name) {#name, name},
#define PAIR_TEST(name) {#name, same_as_bare, NULL, NULL, #name},
#define ALONE_TEST(name) {#name, ends_well, NULL, NULL, #name},

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {EACH_PAIR(PAIR_ROWS) EACH_ALONE(ALONE_ROW)};
    const struct CMUnitTest tests[] = {EACH_PAIR(PAIR_TEST) EACH_ALONE(ALONE_TEST)};
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
