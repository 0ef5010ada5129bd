/* tool_outputs.h: the command, run as a user runs it: both of its outputs and its exit code. The environment names it
 * (SEGUE_TOOL). */
#ifndef SEGUE_TESTS_TOOL_OUTPUTS_H
#define SEGUE_TESTS_TOOL_OUTPUTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

/* What a run of the command came to. */
struct run {
    int code;
    char out[65536];
    char err[4096];
};

/* What the environment has of that name; fails if it has nothing. */
const char *variable(const char *name);

/* Runs the command with the arguments, the last of which is NULL. */
void run_list(struct run *run, const char *tool, const char *const *arguments);

#define RUN(result, ...) run_list(result, variable("SEGUE_TOOL"), (const char *const[]){"segue", __VA_ARGS__, NULL})

/* Fails if the text lacks the part. */
void expect(const char *text, const char *part);

/* The text as JSON; the string of that key. Each fails the test where there is no such thing. */
json_t *parse(const char *text);
const char *text_of(const json_t *object, const char *key);

#endif
