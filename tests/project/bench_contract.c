/* bench_contract.c: bench/fault/fault keeps the contract of docs/bench.md. It shows that the figures are there and are
 * figures; what they are is for `make bench`, on a machine that does nothing else: no time is asserted here.
 *
 * Its argument is the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX 65536

static const char *program;

/* What `program --quick --rounds 3 --json` left on each of its outputs. */
static char output[OUTPUT_MAX], errors[OUTPUT_MAX];
static json_t *document;

static const char *const contract[] = {
    "step_alias_over_floor", "step_callback_over_floor", "step_forced_over_floor", "step_exposed_over_floor",
    "mprotect_over_floor",   "libsigsegv_over_floor",    "singlestep_over_floor",  "regions_1e6_over_1",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void read_file(const char *name, char text[OUTPUT_MAX])
{
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, OUTPUT_MAX - 1, file);
    text[length] = 0;
    fclose(file);
    unlink(name);
}

/* Runs the program; its outputs go to `output` and `errors`. Returns its exit status, -1 when it died of a signal. */
static int run(const char *options)
{
    char folder[] = "/tmp/segue-bench-XXXXXX", out[64], err[64], command[4096];
    assert_non_null(mkdtemp(folder));
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(err, sizeof err, "%s/err", folder);
    int length = snprintf(command, sizeof command, "'%s' %s >%s 2>%s", program, options, out, err);
    assert_in_range(length, 1, sizeof command - 1);
    int status = system(command);
    read_file(out, output);
    read_file(err, errors);
    rmdir(folder);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_once(void **state)
{
    json_error_t error;
    (void)state;
    if (run("--quick --rounds 3 --json") != 0) {
        fprintf(stderr, "%s", errors);
        return -1;
    }
    document = json_loads(output, 0, &error);
    return 0;
}

static int release(void **state)
{
    (void)state;
    json_decref(document);
    return 0;
}

/* The rest of the line of `text` that begins with `word name `, or NULL. */
static const char *line_of(const char *text, const char *word, const char *name)
{
    char start[128];
    int length = snprintf(start, sizeof start, "%s %s ", word, name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, start, (size_t)length) == 0)
            return line + length;
    }
    return NULL;
}

/* A positive number with three decimals, to the end of the line. */
static bool is_ratio(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return end != text && *end == '\n' && end - text > 4 && end[-4] == '.' && isfinite(value) && value > 0;
}

static void check_ratio_lines(const char *text)
{
    for (size_t i = 0; i < COUNT(contract); i++) {
        const char *value = line_of(text, "RATIO", contract[i]);
        const char *why = line_of(text, "SKIP", contract[i]);
        if (why && !value) {
            print_message("SKIP %s: %.*s\n", contract[i], (int)strcspn(why, "\n"), why);
            /* The kernel may forbid the forced window; all else works everywhere. */
            assert_string_equal(contract[i], "step_forced_over_floor");
            continue;
        }
        assert_non_null(value);
        assert_true(is_ratio(value));
    }
}

static void bench_tells_every_ratio_of_the_contract_as_a_number(void **state)
{
    (void)state;
    check_ratio_lines(errors);
}

static void bench_json_is_one_document_with_the_same_ratios(void **state)
{
    size_t index, seen = 0;
    json_t *ratio;
    (void)state;
    assert_non_null(document);
    assert_string_equal(json_string_value(json_object_get(document, "program")), "fault");
    assert_int_equal(json_integer_value(json_object_get(document, "rounds")), 3);
    json_array_foreach(json_object_get(document, "ratios"), index, ratio)
    {
        char printed[32];
        const char *name = json_string_value(json_object_get(ratio, "name"));
        const char *value = line_of(errors, "RATIO", name);
        if (!value) {
            assert_non_null(json_object_get(ratio, "skipped"));
            assert_non_null(line_of(errors, "SKIP", name));
            continue;
        }
        snprintf(printed, sizeof printed, "%.3f\n", json_real_value(json_object_get(ratio, "median")));
        /* The document has six digits, the line is rounded from all: they may differ in the last place. */
        assert_true(fabs(strtod(printed, NULL) - strtod(value, NULL)) < 0.0015);
        seen++;
    }
    assert_true(seen >= COUNT(contract) - 1);
}

static void bench_json_gives_every_variant_a_median_within_its_spread(void **state)
{
    size_t index, seen = 0;
    json_t *variant;
    (void)state;
    json_array_foreach(json_object_get(document, "variants"), index, variant)
    {
        double median = json_real_value(json_object_get(variant, "median"));
        if (json_object_get(variant, "skipped"))
            continue;
        assert_true(median > 0);
        assert_true(json_real_value(json_object_get(variant, "p10")) <= median);
        assert_true(median <= json_real_value(json_object_get(variant, "p90")));
        seen++;
    }
    assert_true(seen > COUNT(contract));
}

static void bench_without_json_ends_with_the_ratio_lines(void **state)
{
    (void)state;
    assert_int_equal(run("--quick --rounds 1"), 0);
    check_ratio_lines(output);
    const char *last = output + strlen(output) - 1;
    assert_true(last > output && *last == '\n');
    while (last > output && last[-1] != '\n')
        last--;
    assert_int_equal(strncmp(last, "RATIO ", 6), 0);
}

static void bench_refuses_options_that_mean_nothing(void **state)
{
    static const char *const wrong[] = {"--rounds 0", "--rounds x", "--rounds -1", "--slow", "more"};
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(run(wrong[i]), 2);
        assert_string_equal(output, "");
        assert_non_null(strstr(errors, "usage: fault"));
    }
}

int main(int count, char **arguments)
{
    /* In this order: the first three look at what run_once left. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bench_tells_every_ratio_of_the_contract_as_a_number),
        cmocka_unit_test(bench_json_is_one_document_with_the_same_ratios),
        cmocka_unit_test(bench_json_gives_every_variant_a_median_within_its_spread),
        cmocka_unit_test(bench_without_json_ends_with_the_ratio_lines),
        cmocka_unit_test(bench_refuses_options_that_mean_nothing),
    };
    if (count != 2) {
        fprintf(stderr, "usage: %s BENCHMARK\n", arguments[0]);
        return 2;
    }
    program = arguments[1];
    return cmocka_run_group_tests_name("bench_contract", tests, run_once, release);
}
