/* patch_trap.c: whose a SIGTRAP is, with the library's handler installed for it: a breakpoint that stands on code while
 * it is changed is harmless, every other trap goes to the handler that was there. */
#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "patch/poke/poke.h"
#include "tests/support/company.h"
#include "tests/support/test.h"

#define PAGE 4096u
#define FLAG_TRAP 0x100

/* mov eax, 1 or 2; ret. Across the boundary of two words, so that no single store can change it. */
static const uint8_t versions[2][5] = {{0xb8, 1, 0, 0, 0}, {0xb8, 2, 0, 0, 0}};
#define SITE 62u

static uint8_t *code;

static void make_code(void)
{
    code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(code, MAP_FAILED);
    memset(code, 0xc3, PAGE);
    memcpy(code + SITE, versions[0], sizeof versions[0]);
    assert_int_equal(mprotect(code, PAGE, PROT_READ | PROT_EXEC), 0);
}

static int run_site(void)
{
    return ((int (*)(void))(uintptr_t)(code + SITE))();
}

static uint64_t site_address(void)
{
    return (uint64_t)(uintptr_t)(code + SITE);
}

/* --- The program's handler, and how it is begun with. --- */

static volatile unsigned program_traps;
static volatile uint64_t program_rip;
static volatile int program_code;

static void on_program_trap(int number, siginfo_t *info, void *ucontext)
{
    ucontext_t *frame = ucontext;
    (void)number;
    program_traps++;
    program_code = info->si_code;
    program_rip = (uint64_t)frame->uc_mcontext.gregs[REG_RIP];
    frame->uc_mcontext.gregs[REG_EFL] &= ~FLAG_TRAP;
}

static void begin(uint32_t flags)
{
    const struct sigaction action = {.sa_sigaction = on_program_trap, .sa_flags = SA_SIGINFO};
    const struct segue_options options = {.flags = flags};
    program_traps = 0;
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    assert_int_equal(poke_prepare(), SEGUE_OK);
    make_code();
}

static void end(void)
{
    struct sigaction present;
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(sigaction(SIGTRAP, NULL, &present), 0);
    assert_ptr_equal(present.sa_sigaction, on_program_trap);
    signal(SIGTRAP, SIG_DFL);
    munmap(code, PAGE);
}

/* --- Ours. --- */

static struct sigaction ours;
static unsigned traps_seen;

/* Stands over ours: the change is done by the time that the thread which met the breakpoint comes to its handler. */
static void finish_change(int number, siginfo_t *info, void *ucontext)
{
    traps_seen++;
    if (poke_byte(site_address(), versions[1][0], POKE_KERNEL) == SEGUE_OK)
        ours.sa_sigaction(number, info, ucontext);
}

static void breakpoint_of_a_change_is_gone_through_when_the_change_is_done(void **state)
{
    struct sigaction over = {.sa_sigaction = finish_change, .sa_flags = SA_SIGINFO};
    (void)state;
    begin(SEGUE_INSTALL_SIGTRAP);
    traps_seen = 0;
    assert_int_equal(run_site(), 1);
    if (poke(site_address(), versions[1], sizeof versions[1], POKE_KERNEL) != SEGUE_OK)
        skip();
    assert_int_equal(run_site(), 2);
    assert_int_equal(sigaction(SIGTRAP, &over, &ours), 0);
    for (unsigned i = 1; i <= 100; i++) {
        assert_int_equal(poke_byte(site_address(), 0xcc, POKE_KERNEL), SEGUE_OK);
        assert_int_equal(run_site(), 2);
        assert_int_equal(traps_seen, i);
    }
    assert_int_equal(program_traps, 0);
    assert_int_equal(sigaction(SIGTRAP, &ours, NULL), 0);
    end();
}

static volatile bool running;
static volatile unsigned wrong;

static void *run_often(void *unused)
{
    (void)unused;
    while (running) {
        int value = run_site();
        wrong += value != 1 && value != 2;
    }
    return NULL;
}

static void threads_run_code_that_changes_and_the_program_sees_nothing(void **state)
{
    pthread_t threads[2];
    (void)state;
    begin(SEGUE_INSTALL_SIGTRAP);
    running = true;
    wrong = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_often, NULL), 0);
    for (unsigned i = 0; i < 5000; i++)
        poke(site_address(), versions[i & 1], sizeof versions[0], POKE_KERNEL);
    running = false;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    assert_int_equal(program_traps, 0);
    end();
}

/* --- The program's. --- */

__attribute__((noinline)) static uint64_t breakpoint(void)
{
    uint64_t after;
    __asm__ volatile("int3\n1:\tleaq 1b(%%rip), %0" : "=r"(after) : : "memory");
    return after;
}

static void breakpoint_of_the_program_goes_to_its_handler(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= SEGUE_INSTALL_SIGTRAP; flags += SEGUE_INSTALL_SIGTRAP) {
        begin(flags);
        uint64_t after = breakpoint();
        assert_int_equal(program_traps, 1);
        assert_int_equal(program_rip, after);
        assert_int_equal(program_code, SI_KERNEL);
        /* On a place that was changed a moment ago, too. */
        poke(site_address(), versions[1], sizeof versions[1], POKE_KERNEL);
        assert_int_equal(poke_byte(site_address() + 5, 0xcc, POKE_KERNEL), SEGUE_OK);
        assert_int_equal(poke_byte(site_address() + 6, 0xc3, POKE_KERNEL), SEGUE_OK);
        run_site();
        assert_int_equal(program_traps, 2);
        assert_int_equal(program_rip, site_address() + 6);
        end();
    }
}

static void single_step_of_the_program_goes_to_its_handler(void **state)
{
    (void)state;
    begin(SEGUE_INSTALL_SIGTRAP);
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torl %0, (%%rsp)\n\tpopfq\n\tnop\n\tlea 128(%%rsp), %%rsp"
                     :
                     : "i"(FLAG_TRAP)
                     : "memory", "cc");
    assert_int_equal(program_traps, 1);
    assert_int_equal(program_code, TRAP_TRACE);
    end();
}

static void sent_signal_goes_to_the_programs_handler(void **state)
{
    (void)state;
    begin(SEGUE_INSTALL_SIGTRAP);
    raise(SIGTRAP);
    assert_int_equal(program_traps, 1);
    assert_int_equal(program_code, SI_TKILL);
    end();
}

/* The signal that ends a child which has `handler` for SIGTRAP, ours over it, and meets a breakpoint or sends one to
 * itself; 0 if it goes on. */
static int end_of_child(void (*handler)(int), bool is_sent)
{
    pid_t child = fork();
    if (child == 0) {
        const struct segue_options options = {.flags = SEGUE_INSTALL_SIGTRAP};
        signal(SIGTRAP, handler);
        if (segue_install(&options) != SEGUE_OK)
            _exit(1);
        if (is_sent)
            raise(SIGTRAP);
        else
            breakpoint();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void breakpoint_without_a_handler_kills_as_without_us(void **state)
{
    (void)state;
    assert_int_equal(end_of_child(SIG_DFL, false), SIGTRAP);
    assert_int_equal(end_of_child(SIG_DFL, true), SIGTRAP);
    /* The kernel does not let a program ignore what its own instruction raises. */
    assert_int_equal(end_of_child(SIG_IGN, false), SIGTRAP);
    assert_int_equal(end_of_child(SIG_IGN, true), 0);
}

static void signal_is_left_alone_unless_asked_for(void **state)
{
    struct sigaction present;
    (void)state;
    begin(0);
    assert_int_equal(sigaction(SIGTRAP, NULL, &present), 0);
    assert_ptr_equal(present.sa_sigaction, on_program_trap);
    end();
}

/* Code changes by breakpoints. */
static int prepare(void **state)
{
    (void)state;
    return keep_company() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breakpoint_of_a_change_is_gone_through_when_the_change_is_done),
        cmocka_unit_test(threads_run_code_that_changes_and_the_program_sees_nothing),
        cmocka_unit_test(breakpoint_of_the_program_goes_to_its_handler),
        cmocka_unit_test(single_step_of_the_program_goes_to_its_handler),
        cmocka_unit_test(sent_signal_goes_to_the_programs_handler),
        cmocka_unit_test(breakpoint_without_a_handler_kills_as_without_us),
        cmocka_unit_test(signal_is_left_alone_unless_asked_for),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
