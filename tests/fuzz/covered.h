/* covered.h: what the targets leave behind for tools/sweep: options after two dashes, which libFuzzer ignores.
 *
 *      --coverage=FILE  inputs by window, encoding and mnemonic, at the end
 *      --plant=NAME     each instruction of that name counts as a failure, to see that it is noticed */
#ifndef SEGUE_TESTS_COVERED_H
#define SEGUE_TESTS_COVERED_H

#include <stdlib.h>
#include <string.h>

#include "tests/support/sweep/coverage.h"

static const char *covered_path;
static unsigned covered_plant;

static void covered_save(void)
{
    if (covered_path)
        coverage_save(covered_path);
}

static void covered_begin(int count, char **arguments, const char *const *windows, size_t window_count)
{
    static const char path[] = "--coverage=", plant[] = "--plant=";
    for (int i = 1; i < count; i++) {
        if (!strncmp(arguments[i], path, sizeof path - 1))
            covered_path = arguments[i] + sizeof path - 1;
        if (!strncmp(arguments[i], plant, sizeof plant - 1))
            covered_plant = segue_mnemonic_find(arguments[i] + sizeof plant - 1);
    }
    if (covered_path && (!coverage_begin(windows, window_count) || atexit(covered_save) != 0))
        exit(1);
}

/* Counts it; whether it is one of those that count as a failure. */
static bool covered(const struct segue_insn *insn, unsigned window)
{
    coverage_note(insn, window);
    return covered_plant && insn->mnemonic == covered_plant;
}

#endif
