/* chain_matrix.c: what a program sees of a fault with Segue beside what it sees without. Each cell (chain_cell.h) runs
 * in a process of its own, with and without; the two must write the same, end the same, and if they die, die with the
 * same signal, siginfo and registers. What differs nevertheless is in a table, with the reason.
 *
 * The matrix cannot see what no cell asks for: other threads' signals at the same moment, for one. */
#include "tests/support/test.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain_cell.h"

/* What a cell wrote, and how it ended. */
struct ending {
    char text[16384];
    size_t length;
    int status;
};

/* ---- exceptions ------------------------------------------------------------------------------------------------ */

#define NO_STACK_LEFT                                                                                                  \
    "a thread that has not attached and runs out of stack is killed by the kernel as it makes our frame, as it would " \
    "be "                                                                                                              \
    "for any handler: the siginfo of its death is SI_KERNEL"

#define IGNORED_INTERRUPTS                                                                                             \
    "the kernel drops a signal that is ignored when it is sent; where a handler takes it, some calls end with EINTR"

/* Lines that begin with `line` may differ in these cells; NULL is all. */
static struct exception {
    const char *previous, *fault, *thread, *line, *reason;
    unsigned used;
} exceptions[] = {
    {"none", "overflow", "other", "dies of", NO_STACK_LEFT, 0},
    {"default", "overflow", "other", "dies of", NO_STACK_LEFT, 0},
    {"ignored", "overflow", "other", "dies of", NO_STACK_LEFT, 0},
    {"ignored", "in_sleep", NULL, "sleep", IGNORED_INTERRUPTS, 0},
    {NULL, NULL, NULL, "alternate stack", "sigaltstack(2) reports the stack that Segue gave the thread", 0},
};

static bool applies(const struct exception *exception, const struct cell_previous *previous,
                    const struct cell_fault *fault, enum cell_thread thread, const char *line)
{
    return (!exception->previous || strcmp(exception->previous, previous->name) == 0) &&
           (!exception->fault || strcmp(exception->fault, fault->name) == 0) &&
           (!exception->thread || strcmp(exception->thread, cell_thread_names[thread]) == 0) &&
           strncmp(exception->line, line, strlen(exception->line)) == 0;
}

/* ---- running a cell -------------------------------------------------------------------------------------------- */

static void note(struct ending *ending, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct ending *ending, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(ending->text + ending->length, sizeof ending->text - ending->length, format, arguments);
    va_end(arguments);
    ending->length += (size_t)length;
    assert_true(ending->length < sizeof ending->text);
}

/* A thread that is about to die of a signal: what a core would show of it. Where a sent signal comes, the registers
 * hold process numbers and what else is never the same. */
static void note_death(struct ending *ending, pid_t thread, int signal_number, const siginfo_t *info)
{
    struct user_regs_struct regs;
    struct user_fpregs_struct extended;
    ptrace(PTRACE_GETREGS, thread, NULL, &regs);
    ptrace(PTRACE_GETFPREGS, thread, NULL, &extended);
    note(ending, "dies of %d code %d", signal_number, info->si_code);
    if (info->si_code > 0)
        note(ending, " address %p", info->si_addr);
    if (info->si_code <= 0) {
        note(ending, "\n");
        return;
    }
    note(ending, "\nwith rip %llx rsp %llx flags %llx\nwith", regs.rip, regs.rsp, regs.eflags);
    const unsigned long long all[] = {regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp, regs.r8,
                                      regs.r9,  regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        note(ending, " %llx", all[i]);
    note(ending, "\nwith mxcsr %x x87 %x\n", extended.mxcsr, extended.cwd);
}

/* Lets the child and its threads run, and looks at the one that dies. */
static void follow(struct ending *ending, pid_t child)
{
    pid_t last = child;
    siginfo_t info = {0};
    int status, last_signal = 0;
    bool is_noted = false;
    for (;;) {
        pid_t thread = waitpid(-1, &status, __WALL);
        assert_true(thread > 0);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread != child)
                continue;
            ending->status = status;
            return;
        }
        int number = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_EXIT && thread == last && last_signal && !is_noted) {
            unsigned long code = 0;
            ptrace(PTRACE_GETEVENTMSG, thread, NULL, &code);
            is_noted = WIFSIGNALED((int)code);
            if (is_noted)
                note_death(ending, thread, last_signal, &info);
        }
        if (event == 0 && number != SIGSTOP && number != SIGTRAP) {
            last = thread;
            last_signal = number;
            ptrace(PTRACE_GETSIGINFO, thread, NULL, &info);
        }
        ptrace(PTRACE_CONT, thread, NULL, event || number == SIGSTOP || number == SIGTRAP ? 0 : number);
    }
}

static void become_cell(const char *name, bool bare, int output)
{
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20});
    /* The same addresses, with and without. */
    personality(ADDR_NO_RANDOMIZE);
    alarm(20);
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    execl("/proc/self/exe", "cell", name, bare ? "0" : "1", (char *)NULL);
    _exit(98);
}

static void run(const char *name, bool bare, struct ending *ending)
{
    char file[] = "/tmp/segue-cell-XXXXXX";
    int output = mkstemp(file), status;
    unlink(file);
    ending->length = 0;
    pid_t child = fork();
    if (child == 0)
        become_cell(name, bare, output);
    waitpid(child, &status, 0);
    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACEEXIT | PTRACE_O_TRACECLONE);
    ptrace(PTRACE_CONT, child, NULL, 0);
    struct ending death = {.length = 0};
    follow(&death, child);
    ending->status = death.status;
    ssize_t got = pread(output, ending->text, sizeof ending->text - 1, 0);
    close(output);
    ending->length = got > 0 ? (size_t)got : 0;
    note(ending, "%s", death.length ? death.text : "");
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

static size_t line_length(const char *text)
{
    const char *end = strchr(text, '\n');
    return end ? (size_t)(end - text) + 1 : strlen(text);
}

static bool is_excepted(const struct cell_previous *previous, const struct cell_fault *fault, enum cell_thread thread,
                        const char *line)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        if (!applies(&exceptions[i], previous, fault, thread, line))
            continue;
        exceptions[i].used++;
        return true;
    }
    return false;
}

/* The first line that differs and is no exception; NULL for none. */
static const char *first_difference(const struct cell_previous *previous, const struct cell_fault *fault,
                                    enum cell_thread thread, const struct ending *with, const struct ending *without,
                                    const char **other)
{
    const char *left = with->text, *right = without->text;
    while (*left || *right) {
        size_t left_length = line_length(left), right_length = line_length(right);
        *other = right;
        if ((left_length != right_length || memcmp(left, right, left_length) != 0) &&
            !is_excepted(previous, fault, thread, left))
            return left;
        left += left_length;
        right += right_length;
    }
    return NULL;
}

static bool compare(const struct cell_previous *previous, const struct cell_fault *fault, enum cell_thread thread)
{
    static struct ending with, without;
    const char *other = NULL;
    char name[128];
    snprintf(name, sizeof name, "%s/%s/%s", previous->name, fault->name, cell_thread_names[thread]);
    run(name, false, &with);
    run(name, true, &without);
    const char *line = first_difference(previous, fault, thread, &with, &without, &other);
    if (!line && with.status == without.status)
        return true;
    print_message("%s: ends with %x, without %x\n", name, with.status, without.status);
    if (line)
        print_message("  with    %.*s  without %.*s", (int)line_length(line), line, (int)line_length(other), other);
    if (getenv("SEGUE_TEST_VERBOSE"))
        print_message("---- with\n%s---- without\n%s----\n", with.text, without.text);
    return false;
}

/* A signal to the process goes to any thread that takes it. */
static bool is_cell(const struct cell_fault *fault, enum cell_thread thread)
{
    return strcmp(fault->name, "kill") != 0 || thread == CELL_MAIN;
}

static bool is_asked_for(const char *name, const char *variable)
{
    const char *only = getenv(variable);
    return !only || strcmp(only, name) == 0;
}

static const char *any(const char *name)
{
    return name ? name : "*";
}

/* PREVIOUS, FAULT and THREAD in the environment choose; SEGUE_TEST_VERBOSE shows all that a cell wrote. */
static void every_cell_is_as_without_segue(void **state)
{
    unsigned cells = 0, differences = 0;
    bool is_whole = !getenv("PREVIOUS") && !getenv("FAULT") && !getenv("THREAD");
    (void)state;
    for (size_t p = 0; p < cell_previous_count; p++)
        for (size_t f = 0; f < cell_fault_count; f++)
            for (enum cell_thread thread = 0; thread < CELL_THREADS; thread++) {
                if (!is_asked_for(cell_previous[p].name, "PREVIOUS") || !is_asked_for(cell_faults[f].name, "FAULT") ||
                    !is_asked_for(cell_thread_names[thread], "THREAD") || !is_cell(&cell_faults[f], thread))
                    continue;
                cells++;
                differences += !compare(&cell_previous[p], &cell_faults[f], thread);
            }
    print_message("%u cells, %u differ\n", cells, differences);
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        const struct exception *exception = &exceptions[i];
        print_message("excepted: %s/%s/%s: '%s', %u lines: %s\n", any(exception->previous), any(exception->fault),
                      any(exception->thread), exception->line, exception->used, exception->reason);
        /* An exception that nothing needs is one too many. */
        if (is_whole)
            assert_true(exception->used > 0);
    }
    assert_int_equal(differences, 0);
}

/* What is compared is there: a handler's report and a death's. */
static void cells_see_what_they_are_there_to_see(void **state)
{
    static struct ending ending;
    (void)state;
    run("siginfo/data/main", true, &ending);
    assert_non_null(strstr(ending.text, "signal 11: number 11 code 2 errno 0\naddress 0x20000000\n"));
    assert_non_null(strstr(ending.text, "registers a0a0a0a0a0a0a0a b0b0b0b0b0b0b0b 20000000"));
    assert_non_null(strstr(ending.text, "\nmask e00\n"));
    assert_int_equal(ending.status, 5 << 8);
    run("none/data/other", false, &ending);
    assert_non_null(strstr(ending.text, "dies of 11 code 2 address 0x20000000\n"));
    assert_non_null(strstr(ending.text, "with a0a0a0a0a0a0a0a b0b0b0b0b0b0b0b 20000000"));
    assert_int_equal(ending.status, SIGSEGV);
}

static int run_cell(const char *wanted, bool bare)
{
    for (size_t p = 0; p < cell_previous_count; p++)
        for (size_t f = 0; f < cell_fault_count; f++)
            for (enum cell_thread thread = 0; thread < CELL_THREADS; thread++) {
                char name[128];
                snprintf(name, sizeof name, "%s/%s/%s", cell_previous[p].name, cell_faults[f].name,
                         cell_thread_names[thread]);
                if (strcmp(name, wanted) == 0)
                    return cell_run(&cell_previous[p], &cell_faults[f], thread, bare);
            }
    return 97;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        _exit(run_cell(argv[1], argv[2][0] == '0'));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_see_what_they_are_there_to_see),
        cmocka_unit_test(every_cell_is_as_without_segue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
