/* tool_run.h: the command, run as a user runs it: by a shell, in a folder of its own. The environment names it
 * (SEGUE_TOOL), and a relocatable object (SEGUE_OBJECT). */
#ifndef SEGUE_TESTS_TOOL_RUN_H
#define SEGUE_TESTS_TOOL_RUN_H

#include "test.h"

#include <jansson.h>
#include <stdbool.h>

extern char folder[];
extern const char *tool, *object;

/* What the last command said on both outputs. */
extern char said[1 << 16];

/* Runs a shell command in the folder; returns its exit code. */
int run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fails if the last command did not say that. */
void expect_said(const char *text);

/* Loads a file of the folder, which must be JSON. */
json_t *load(const char *name);

/* Whether the shell finds a program; else says that the test is left out for it. */
bool has_program(const char *name);

/* For cmocka's groups. */
int tool_prepare(void **state);
int tool_clean(void **state);

#endif
