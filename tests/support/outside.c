/* outside.c: see outside.h. */
#include "outside.h"

#include "test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pid_t tested;
static _Thread_local bool runs_tests;

/* cmocka's handler of a fault in another thread loses its text too. */
static void name_exit(void)
{
    if (tested == getpid())
        dprintf(2, "The process ends while a test runs: outside of its thread there was a fault or a call of exit.\n");
}

void outside_begin(void)
{
    static bool is_registered;
    is_registered = is_registered || atexit(name_exit) == 0;
    tested = getpid();
    runs_tests = true;
}

void outside_end(void)
{
    tested = 0;
    runs_tests = false;
}

/* Returns if a test runs in this thread. */
static void end_outside(const char *file, int line, const char *what, const char *found)
{
    if (runs_tests && tested == getpid())
        return;
    dprintf(2, "%s:%d: %s: %s\n", file, line, what, found);
    /* A child made by fork has what its parent has not written yet. */
    if (tested == 0 || tested == getpid())
        fflush(stdout);
    _exit(255);
}

#define WRAPPED(name, parameters, arguments, holds, ...)                                                               \
    void __real_##name parameters;                                                                                     \
    void __wrap_##name parameters;                                                                                     \
    void __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        char found[200];                                                                                               \
        if (holds)                                                                                                     \
            return;                                                                                                    \
        snprintf(found, sizeof found, __VA_ARGS__);                                                                    \
        end_outside(file, line, &#name[1], found);                                                                     \
        __real_##name arguments;                                                                                       \
    }

typedef LargestIntegralType integer;
#define AT const char *file, int line
#define NUMBER "%#jx"

WRAPPED(_assert_true, (const integer result, const char *expression, AT), (result, expression, file, line), result,
        "%s", expression)
WRAPPED(_assert_int_equal, (const integer a, const integer b, AT), (a, b, file, line), a == b, NUMBER " != " NUMBER, a,
        b)
WRAPPED(_assert_int_not_equal, (const integer a, const integer b, AT), (a, b, file, line), a != b, NUMBER " == " NUMBER,
        a, b)
WRAPPED(_assert_in_range, (const integer value, const integer least, const integer most, AT),
        (value, least, most, file, line), value >= least && value <= most, NUMBER " is not in " NUMBER " to " NUMBER,
        value, least, most)
WRAPPED(_assert_string_equal, (const char *a, const char *b, AT), (a, b, file, line), strcmp(a, b) == 0,
        "\"%.80s\" != \"%.80s\"", a, b)
WRAPPED(_assert_string_not_equal, (const char *a, const char *b, AT), (a, b, file, line), strcmp(a, b) != 0, "\"%s\"",
        a)
WRAPPED(_assert_memory_equal, (const void *a, const void *b, const size_t size, AT), (a, b, size, file, line),
        memcmp(a, b, size) == 0, "%zu bytes at %p and %p differ", size, a, b)
WRAPPED(_assert_memory_not_equal, (const void *a, const void *b, const size_t size, AT), (a, b, size, file, line),
        memcmp(a, b, size) != 0, "%zu bytes at %p and %p are the same", size, a, b)
WRAPPED(_fail, (AT), (file, line), false, "called")
