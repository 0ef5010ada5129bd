/* chain.c: what is not ours goes to whoever would have had it, as if we were not there. Each case is run in a process
 * of its own, most of them twice: with the handler installed and without, and the two must end alike. */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/support/child.h"

/* Whether this process is the one without us; set by the case's name. */
static bool bare;

static void install(void)
{
    if (!bare && segue_install(NULL) != SEGUE_OK)
        _exit(96);
    /* A call that succeeds may leave anything there; the handlers of the cases print it. */
    errno = 0;
}

static char *closed_page(void)
{
    return mmap((void *)0x20000000, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* Where the load below stands, so that handlers can recognise and step over it. */
extern char chain_load[], chain_load_end[];
__attribute__((noinline)) static void load(const volatile void *address)
{
    uint64_t value;
    __asm__ volatile(".globl chain_load, chain_load_end\n"
                     "chain_load: movq (%1), %0\n"
                     "chain_load_end:"
                     : "=&r"(value)
                     : "r"(address)
                     : "memory");
}

/* ---- no handler before ---------------------------------------------------------------------------------------- */

static int default_fault(void)
{
    install();
    load(closed_page());
    return 1;
}

static int default_non_canonical(void)
{
    install();
    load((void *)0x123456789abcdef0);
    return 1;
}

static int default_null_call(void)
{
    void (*volatile nowhere)(void) = NULL;
    install();
    nowhere();
    return 1;
}

static int default_sigbus(void)
{
    install();
    FILE *file = tmpfile();
    load(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fileno(file), 0));
    return 1;
}

static int default_sent(void)
{
    install();
    kill(getpid(), SIGSEGV);
    usleep(1000);
    return 1;
}

static int default_raised(void)
{
    install();
    raise(SIGSEGV);
    return 1;
}

static void *load_in_thread(void *address)
{
    load(address);
    return NULL;
}

static int default_in_thread(void)
{
    pthread_t thread;
    install();
    pthread_create(&thread, NULL, load_in_thread, closed_page());
    pthread_join(thread, NULL);
    return 1;
}

/* ---- ignored before ------------------------------------------------------------------------------------------- */

static int ignored_fault(void)
{
    signal(SIGSEGV, SIG_IGN);
    install();
    load(closed_page());
    return 1;
}

static int ignored_sent(void)
{
    signal(SIGSEGV, SIG_IGN);
    install();
    kill(getpid(), SIGSEGV);
    raise(SIGSEGV);
    puts("alive");
    return 7;
}

/* ---- a handler before ----------------------------------------------------------------------------------------- */

static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(95);
}

/* Prints all that it can see, and skips the load. */
static void tell(int number, siginfo_t *info, void *context)
{
    ucontext_t *frame = context;
    sigset_t mask;
    char line[256];
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    snprintf(line, sizeof line, "%d code %d address %p trap %lld at load %d masked %d%d%d%d errno %d\n", number,
             info->si_code, info->si_code > 0 ? info->si_addr : NULL, frame->uc_mcontext.gregs[REG_TRAPNO],
             frame->uc_mcontext.gregs[REG_RIP] == (greg_t)chain_load, sigismember(&mask, SIGSEGV),
             sigismember(&mask, SIGUSR1), sigismember(&mask, SIGUSR2), sigismember(&mask, SIGALRM), errno);
    say(line);
    if (frame->uc_mcontext.gregs[REG_RIP] == (greg_t)chain_load)
        frame->uc_mcontext.gregs[REG_RIP] = (greg_t)chain_load_end;
    errno = ERANGE;
}

static void set_handler(int flags)
{
    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO | flags};
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

/* The mask that the program has afterwards. */
static int tell_mask(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    printf("after: masked %d%d%d%d errno %d\n", sigismember(&mask, SIGSEGV), sigismember(&mask, SIGUSR1),
           sigismember(&mask, SIGUSR2), sigismember(&mask, SIGALRM), errno);
    return 5;
}

static int handler_fault(void)
{
    set_handler(0);
    install();
    errno = EDOM;
    load(closed_page());
    return tell_mask();
}

static int handler_nodefer(void)
{
    set_handler(SA_NODEFER);
    install();
    load(closed_page());
    return tell_mask();
}

static int handler_non_canonical(void)
{
    set_handler(0);
    install();
    load((void *)0x123456789abcdef0);
    return tell_mask();
}

static int handler_sent(void)
{
    set_handler(0);
    install();
    union sigval value = {.sival_int = 42};
    raise(SIGSEGV);
    sigqueue(getpid(), SIGSEGV, value);
    return tell_mask();
}

static int handler_reset(void)
{
    set_handler((int)SA_RESETHAND);
    install();
    load(closed_page());
    say("once\n");
    load(closed_page() ? (void *)0x20000000 : NULL);
    return 1;
}

static int handler_in_thread(void)
{
    pthread_t thread;
    set_handler(0);
    install();
    pthread_create(&thread, NULL, load_in_thread, closed_page());
    pthread_join(thread, NULL);
    errno = 0;
    return tell_mask();
}

static void plain(int number)
{
    char line[32];
    snprintf(line, sizeof line, "plain %d\n", number);
    say(line);
    mprotect((void *)0x20000000, 4096, PROT_READ);
}

static int plain_fault(void)
{
    signal(SIGSEGV, plain);
    install();
    load(closed_page());
    say("went on\n");
    return 3;
}

static void leave(int number)
{
    (void)number;
    say("leaving\n");
    _exit(11);
}

static int handler_exits(void)
{
    signal(SIGSEGV, leave);
    install();
    load(closed_page());
    return 1;
}

/* ---- a policy that passes ------------------------------------------------------------------------------------- */

static enum segue_verdict pass(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    errno = EILSEQ;
    return SEGUE_PASS;
}

static int handler_after_pass(void)
{
    char *page = closed_page();
    struct segue_region region = {.window = {.base = (uint64_t)page, .size = 4096, .kind = SEGUE_WINDOW_EXPOSED},
                                  .policy = pass};
    set_handler(0);
    install();
    if (!bare && segue_region_add(&region) != SEGUE_OK)
        return 94;
    errno = EDOM;
    load(page);
    return tell_mask();
}

static const struct child_case cases[] = {
    {"default_fault", default_fault},         {"default_non_canonical", default_non_canonical},
    {"default_null_call", default_null_call}, {"default_sigbus", default_sigbus},
    {"default_sent", default_sent},           {"default_raised", default_raised},
    {"default_in_thread", default_in_thread}, {"ignored_fault", ignored_fault},
    {"ignored_sent", ignored_sent},           {"handler_fault", handler_fault},
    {"handler_nodefer", handler_nodefer},     {"handler_non_canonical", handler_non_canonical},
    {"handler_sent", handler_sent},           {"handler_reset", handler_reset},
    {"handler_in_thread", handler_in_thread}, {"plain_fault", plain_fault},
    {"handler_exits", handler_exits},         {"handler_after_pass", handler_after_pass},
};

/* The same case with and without us. */
static void ends_alike(const char *name, int status, int signal_number)
{
    char bare_name[64];
    snprintf(bare_name, sizeof bare_name, "%s", name);
    struct child_result with = child_run(bare_name);
    setenv("SEGUE_TEST_BARE", "1", 1);
    struct child_result without = child_run(bare_name);
    unsetenv("SEGUE_TEST_BARE");
    assert_string_equal(with.output, without.output);
    assert_int_equal(with.status, without.status);
    assert_int_equal(with.signal, without.signal);
    /* And both as the kernel documents it, so that two equal failures do not pass. */
    assert_int_equal(without.status, status);
    assert_int_equal(without.signal, signal_number);
}

static void no_handler_dies_of_the_original_signal(void **state)
{
    (void)state;
    ends_alike("default_fault", -1, SIGSEGV);
    ends_alike("default_non_canonical", -1, SIGSEGV);
    ends_alike("default_null_call", -1, SIGSEGV);
    ends_alike("default_sigbus", -1, SIGBUS);
    ends_alike("default_in_thread", -1, SIGSEGV);
}

static void no_handler_dies_of_a_sent_signal(void **state)
{
    (void)state;
    ends_alike("default_sent", -1, SIGSEGV);
    ends_alike("default_raised", -1, SIGSEGV);
}

static void ignored_fault_kills_and_ignored_sent_signal_does_not(void **state)
{
    (void)state;
    ends_alike("ignored_fault", -1, SIGSEGV);
    ends_alike("ignored_sent", 7, 0);
}

static void siginfo_handler_sees_the_original_and_may_change_it(void **state)
{
    (void)state;
    ends_alike("handler_fault", 5, 0);
    ends_alike("handler_nodefer", 5, 0);
    ends_alike("handler_non_canonical", 5, 0);
    ends_alike("handler_sent", 5, 0);
    ends_alike("handler_in_thread", 5, 0);
}

static void one_shot_handler_runs_once(void **state)
{
    (void)state;
    ends_alike("handler_reset", -1, SIGSEGV);
}

static void plain_handler_runs(void **state)
{
    (void)state;
    ends_alike("plain_fault", 3, 0);
    ends_alike("handler_exits", 11, 0);
}

static void passed_by_a_policy_is_as_if_we_were_not_there(void **state)
{
    (void)state;
    ends_alike("handler_after_pass", 5, 0);
}

int main(int argc, char **argv)
{
    bare = getenv("SEGUE_TEST_BARE") != NULL;
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_handler_dies_of_the_original_signal),
        cmocka_unit_test(no_handler_dies_of_a_sent_signal),
        cmocka_unit_test(ignored_fault_kills_and_ignored_sent_signal_does_not),
        cmocka_unit_test(siginfo_handler_sees_the_original_and_may_change_it),
        cmocka_unit_test(one_shot_handler_runs_once),
        cmocka_unit_test(plain_handler_runs),
        cmocka_unit_test(passed_by_a_policy_is_as_if_we_were_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
