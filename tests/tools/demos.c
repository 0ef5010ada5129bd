/* demos.c: the demos, run as a user runs them: their exit status, the lines that matter, and the figures in them.
 * argv: weak_table, lua_heap, sqlite_heap, and python_heap if it was built. What the demos say of themselves is
 * believed here except what can be added up; that a slot or an output is wrong they find out themselves. */
#include <errno.h>
#include <inttypes.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGUMENTS_MAX 8
#define OUTPUT_SIZE 65536

static const char *weak_table, *lua_heap, *sqlite_heap, *python_heap;

/* What a program wrote, both streams together, and how it ended. */
struct outcome {
    int status;
    char text[OUTPUT_SIZE];
};

static struct outcome outcome;

static void read_all(int from)
{
    size_t held = 0;
    ssize_t got;
    while (held < OUTPUT_SIZE - 1 && (got = read(from, outcome.text + held, OUTPUT_SIZE - 1 - held)) > 0)
        held += (size_t)got;
    outcome.text[held] = 0;
    close(from);
}

/* Waits for the program. A signal becomes a negative status. */
static void wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void become(const char *const *arguments)
{
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

/* Runs the program with its output in a pipe. */
static void run(const char *const *arguments)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        become(arguments);
    }
    close(ends[1]);
    read_all(ends[0]);
    wait_for(child);
}

/* Runs the program on a terminal of its own. */
static void run_on_terminal(const char *const *arguments)
{
    int terminal;
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    assert_true(child >= 0);
    if (child == 0)
        become(arguments);
    read_all(terminal);
    wait_for(child);
}

#define RUN(...) run((const char *const[ARGUMENTS_MAX]){__VA_ARGS__})
#define RUN_ON_TERMINAL(...) run_on_terminal((const char *const[ARGUMENTS_MAX]){__VA_ARGS__})

static void assert_status(int expected)
{
    if (outcome.status != expected)
        fail_msg("status %d in place of %d, after:\n%s", outcome.status, expected, outcome.text);
}

static void assert_says(const char *words)
{
    if (!strstr(outcome.text, words))
        fail_msg("does not say '%s':\n%s", words, outcome.text);
}

static void assert_silent_on(const char *words)
{
    if (strstr(outcome.text, words))
        fail_msg("says '%s':\n%s", words, outcome.text);
}

/* The number at column `column` of the summary's row with this label; commas left out. A column without one counts. */
static uint64_t figure(const char *label, unsigned column)
{
    char start[64];
    snprintf(start, sizeof start, "\n  %s  ", label);
    const char *at = strstr(outcome.text, start);
    if (!at)
        fail_msg("has no row '%s':\n%s", label, outcome.text);
    at += strlen(start);
    for (unsigned i = 0;; i++) {
        uint64_t number = 0;
        at += strspn(at, " ");
        if (*at == '-' && i < column) {
            at++;
            continue;
        }
        assert_true(*at >= '0' && *at <= '9');
        for (; (*at >= '0' && *at <= '9') || *at == ','; at++)
            number = *at == ',' ? number : number * 10 + (uint64_t)(*at - '0');
        if (i == column)
            return number;
    }
}

/* ---- The weak table. */

static void weak_table_keeps_a_tenth_of_the_dead_at_most(void **state)
{
    (void)state;
    RUN(weak_table, "--quick");
    assert_status(0);
    assert_says("the promise holds");
    uint64_t stepping = figure("dead entries kept alive", 0), opening = figure("dead entries kept alive", 1);
    assert_true(stepping > 0);
    assert_true(stepping * 10 <= opening);
    assert_true(opening <= figure("entries dead at the start", 1));
    assert_int_equal(figure("living entries lost", 0) + figure("living entries lost", 1), 0);
    assert_int_equal(figure("stale objects read", 0) + figure("stale objects read", 1), 0);
}

static void weak_table_settles_one_slot_a_fault_and_opens_no_page(void **state)
{
    (void)state;
    RUN(weak_table, "--quick");
    assert_status(0);
    assert_int_equal(figure("pages opened", 0), 0);
    assert_int_equal(figure("loads stepped", 0), figure("faults", 0));
    assert_int_equal(figure("slots settled for loads", 0), figure("faults", 0));
    /* Every lookup while marking and while splatting faults, for the page stays closed. */
    assert_int_equal(figure("faults", 0), 2 * figure("  of them while marking", 0));
    assert_int_equal(figure("loads stepped", 1), 0);
    assert_int_equal(figure("pages opened", 1), figure("faults", 1));
}

/* What the barrier does at hot sites is what it does in the handler. */
static void weak_table_settles_the_same_at_hot_sites(void **state)
{
    (void)state;
    RUN(weak_table, "--quick");
    assert_status(0);
    uint64_t lookups = 2 * figure("  of them while marking", 2);
    assert_int_equal(figure("loads at hot sites", 2) + figure("loads stepped", 2), lookups);
    assert_true(figure("faults", 2) < lookups / 100);
    assert_int_equal(figure("slots settled for loads", 2), figure("slots settled for loads", 0));
    assert_int_equal(figure("dead entries kept alive", 2), figure("dead entries kept alive", 0));
    assert_int_equal(figure("pages opened", 2), 0);
}

static void weak_table_gives_the_same_figures_for_the_same_seed(void **state)
{
    (void)state;
    RUN(weak_table, "--quick", "--seed", "7");
    assert_status(0);
    uint64_t first[] = {figure("dead entries kept alive", 0), figure("dead entries kept alive", 1)};
    RUN(weak_table, "--quick", "--seed", "7");
    assert_int_equal(figure("dead entries kept alive", 0), first[0]);
    assert_int_equal(figure("dead entries kept alive", 1), first[1]);
    RUN(weak_table, "--quick", "--seed", "8");
    assert_int_not_equal(figure("dead entries kept alive", 0), first[0]);
}

/* With more lookups than the table has entries the mutator itself holds nearly all of the dead. */
static void weak_table_fails_when_the_promise_does_not_hold(void **state)
{
    (void)state;
    RUN(weak_table, "--collections", "1", "--lookups", "100000");
    assert_status(1);
    assert_says("FAILED: stepping did not keep at least 90 % fewer");
    assert_int_equal(figure("stale objects read", 0), 0);
}

/* ---- Lua. */

/* A program in a file of its own; the caller unlinks it. */
static const char *write_program(const char *text)
{
    static char path[64];
    strcpy(path, "/tmp/segue-demo-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    return path;
}

static void run_program(const char *text)
{
    const char *path = write_program(text);
    RUN(lua_heap, "--runs", "2", "--output", path);
    unlink(path);
}

/* The columns of the heap demos' table. */
#define STEPPED 1
#define HOT 2
#define COUNTED 3

/* All ways give the same output; most accesses are made at hot sites; and counting there counts what stepping steps. */
static void assert_hot_is_as_stepped(void)
{
    assert_status(0);
    assert_says("the output is the same in every way, byte for byte");
    uint64_t stepped = figure("faults in the first run", STEPPED);
    assert_true(stepped > 100000);
    assert_int_equal(figure("pages opened", STEPPED), 0);
    assert_true(figure("hot sites", HOT) > 500);
    assert_true(figure("faults in the last run", HOT) < stepped / 2);
    assert_true(figure("accesses at hot sites, counted", COUNTED) > stepped / 2);
    const char *sums = strstr(outcome.text, "from the same state: ");
    assert_non_null(sums);
    assert_non_null(strstr(sums, " counted at hot sites, and "));
    assert_null(strstr(outcome.text, "FAILED"));
}

static void lua_prints_the_same_with_its_heap_on_closed_pages(void **state)
{
    (void)state;
    RUN(lua_heap, "--quick");
    assert_hot_is_as_stepped();
}

/* The seed of Lua's hashes, and with it the number of accesses, does not change within a process. */
static void lua_makes_the_same_accesses_in_each_run(void **state)
{
    uint64_t scale, faults[2];
    (void)state;
    RUN(lua_heap, "--ways", "plain,stepped", "--runs", "2", "--quick", "--figures");
    assert_status(0);
    const char *line = strstr(outcome.text, "\nstepped ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\nstepped %" SCNu64 " first %*u further %*u faults %" SCNu64 " %" SCNu64, &scale,
                            &faults[0], &faults[1]),
                     3);
    assert_int_equal(scale, 1);
    assert_true(faults[0] > 100000);
    assert_int_equal(faults[0], faults[1]);
}

/* Accesses of many pages each: string instructions, vector copies, and blocks that move as they grow. */
static void lua_moves_large_blocks_on_closed_pages(void **state)
{
    (void)state;
    static const char program[] = "local s = ('abcdefg'):rep(30000)\n"
                                  "local t = {}\n"
                                  "for i = 1, 300 do t[i] = s:sub(i * 7, i * 7 + i * 11) end\n"
                                  "local joined = table.concat(t)\n"
                                  "print(#s, #joined, joined == table.concat(t), s:find('gaab', 1, true))\n"
                                  "print(s:reverse():sub(1, 7), s:upper():sub(-7), s < s .. 'x')\n";
    run_program(program);
    assert_status(0);
    assert_says("210000\t496950\ttrue\tnil\ngfedcba\tABCDEFG\ttrue\n");
}

static void lua_runs_an_empty_program(void **state)
{
    (void)state;
    run_program("");
    assert_status(0);
    assert_true(figure("faults in the first run", STEPPED) > 1000);
}

static void lua_notices_an_output_that_differs(void **state)
{
    const char *path;
    (void)state;
    run_program("print('same')\nprint(tostring({}))\n");
    assert_status(1);
    assert_says("FAILED, plain: the outputs differ, first at byte ");
    path = write_program("print('same')\nprint(tostring({}))\n");
    RUN(lua_heap, "--step", "--runs", "1", path);
    unlink(path);
    assert_status(1);
    assert_says("FAILED, stepped: the outputs differ, first at byte ");
}

static void lua_reports_an_error_of_the_program(void **state)
{
    (void)state;
    run_program("local function f() error('broken on purpose') end\nf()\n");
    assert_status(1);
    assert_says("broken on purpose");
    assert_says("stack traceback");
    run_program("local = 1\n");
    assert_status(1);
    assert_says("<name> expected");
}

/* ---- SQLite. */

static void sqlite_answers_the_same_with_its_heap_on_closed_pages(void **state)
{
    (void)state;
    RUN(sqlite_heap, "--rows", "200");
    assert_hot_is_as_stepped();
    assert_says("a table of 200 rows in memory");
    assert_int_equal(figure("rows", STEPPED), 200);
}

static void sqlite_steps_a_part_and_says_so(void **state)
{
    (void)state;
    RUN(sqlite_heap, "--step", "--runs", "1");
    assert_status(0);
    assert_int_equal(figure("rows", 0), 10000);
    assert_int_equal(figure("rows", STEPPED), 300);
    assert_says("stepped is scaled down: with 10,000");
}

static void sqlite_names_bad_arguments(void **state)
{
    (void)state;
    RUN(sqlite_heap, "--rows", "0");
    assert_status(2);
    assert_says("--rows wants a number from 1 to 1000000, not '0'");
    RUN(sqlite_heap, "--rows");
    assert_status(2);
    RUN(sqlite_heap, "more");
    assert_status(2);
    assert_says("sqlite_heap: 'more' is no option; --help lists them");
}

static void sqlite_does_less_where_asked(void **state)
{
    (void)state;
    RUN(sqlite_heap, "--quick", "--step");
    assert_status(0);
    assert_says("a table of 200 rows in memory");
}

/* ---- Python. */

static void require_python(void)
{
    if (!python_heap) {
        printf("SKIP: the Python demo was not built: no libpython3-dev\n");
        skip();
    }
}

static void python_returns_the_same_with_its_arenas_on_closed_pages(void **state)
{
    (void)state;
    require_python();
    RUN(python_heap, "--quick");
    assert_hot_is_as_stepped();
    assert_says("workload.py in CPython 3.");
}

static void python_runs_a_program_that_is_named(void **state)
{
    (void)state;
    require_python();
    const char *path =
        write_program("def work(scale):\n    return 'scale %d\\n' % scale + str([i ** 3 for i in range(9)])\n");
    RUN(python_heap, "--step", "--output", "--scale", "3", path);
    unlink(path);
    assert_status(0);
    assert_says("scale 3\n[0, 1, 8, 27, 64, 125, 216, 343, 512]");
}

static void python_reports_an_error_of_the_program(void **state)
{
    (void)state;
    require_python();
    const char *path = write_program("def work(scale):\n    return {}[scale * 7]\n");
    RUN(python_heap, path);
    assert_status(1);
    assert_says("the program fails without any protection: KeyError: 70");
    unlink(path);
    path = write_program("def work(scale:\n");
    RUN(python_heap, path);
    assert_status(1);
    assert_says("cannot be run: SyntaxError: ");
    unlink(path);
    path = write_program("unwork = 1\n");
    RUN(python_heap, path);
    assert_status(1);
    assert_says("cannot be run: it defines no function work(scale)");
    unlink(path);
}

/* ---- All. */

static void bad_arguments_are_named(void **state)
{
    (void)state;
    RUN(weak_table, "--fast");
    assert_status(2);
    assert_says("'--fast' is no option");
    RUN(weak_table, "--collections", "0");
    assert_status(2);
    assert_says("--collections wants a number from 1 to 100000, not '0'");
    RUN(lua_heap, "--patience", "1001");
    assert_status(2);
    assert_says("--patience wants a number from 1 to 1000, not '1001'");
    RUN(lua_heap, "--patience");
    assert_status(2);
    RUN(lua_heap, "a.lua", "b.lua");
    assert_status(2);
    assert_says("one program at a time");
    RUN(lua_heap, "--ways", "plain,flown");
    assert_status(2);
    assert_says("'flown' is no way");
    RUN(lua_heap, "--ways", "hot,stepped");
    assert_status(2);
    assert_says("give --ways plain,...");
    RUN(lua_heap, "/no/such/program.lua");
    assert_status(1);
    assert_says("cannot open /no/such/program.lua: No such file");
    RUN(lua_heap, "/");
    assert_status(1);
    assert_says("cannot read /: Is a directory");
}

static void each_lists_its_options(void **state)
{
    (void)state;
    const char *const demos[] = {weak_table, lua_heap, sqlite_heap};
    for (size_t i = 0; i < sizeof demos / sizeof *demos; i++) {
        RUN(demos[i], "--help");
        assert_status(0);
        assert_says("usage: ");
        assert_says("\n  --quick ");
    }
}

static void the_live_line_is_for_terminals(void **state)
{
    (void)state;
    RUN_ON_TERMINAL(weak_table, "--quick");
    assert_status(0);
    /* A thread draws it now and then, and once at least. */
    assert_says("\rcollection ");
    assert_says(" of 9  ");
    assert_says("\r\033[Kweak table:");
    RUN_ON_TERMINAL(lua_heap, "--quick", "--step");
    assert_status(0);
    assert_says("lua on closed pages: ");
    assert_says("\r\033[Klua heap:");
    RUN(weak_table, "--quick");
    assert_silent_on("\r");
    RUN(lua_heap, "--quick", "--step");
    assert_silent_on("\r");
}

int main(int count, char **arguments)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(weak_table_keeps_a_tenth_of_the_dead_at_most),
        cmocka_unit_test(weak_table_settles_one_slot_a_fault_and_opens_no_page),
        cmocka_unit_test(weak_table_settles_the_same_at_hot_sites),
        cmocka_unit_test(weak_table_gives_the_same_figures_for_the_same_seed),
        cmocka_unit_test(weak_table_fails_when_the_promise_does_not_hold),
        cmocka_unit_test(lua_prints_the_same_with_its_heap_on_closed_pages),
        cmocka_unit_test(lua_makes_the_same_accesses_in_each_run),
        cmocka_unit_test(lua_moves_large_blocks_on_closed_pages),
        cmocka_unit_test(lua_runs_an_empty_program),
        cmocka_unit_test(lua_notices_an_output_that_differs),
        cmocka_unit_test(lua_reports_an_error_of_the_program),
        cmocka_unit_test(sqlite_answers_the_same_with_its_heap_on_closed_pages),
        cmocka_unit_test(sqlite_names_bad_arguments),
        cmocka_unit_test(sqlite_does_less_where_asked),
        cmocka_unit_test(sqlite_steps_a_part_and_says_so),
        cmocka_unit_test(python_returns_the_same_with_its_arenas_on_closed_pages),
        cmocka_unit_test(python_runs_a_program_that_is_named),
        cmocka_unit_test(python_reports_an_error_of_the_program),
        cmocka_unit_test(bad_arguments_are_named),
        cmocka_unit_test(each_lists_its_options),
        cmocka_unit_test(the_live_line_is_for_terminals),
    };
    if (count < 4 || count > 5) {
        fprintf(stderr, "usage: %s WEAK_TABLE LUA_HEAP SQLITE_HEAP [PYTHON_HEAP]\n", program_invocation_short_name);
        return 2;
    }
    weak_table = arguments[1];
    lua_heap = arguments[2];
    sqlite_heap = arguments[3];
    python_heap = arguments[4];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
