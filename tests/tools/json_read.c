/* json_read.c: the reader of JSON holds what RFC 8259 says, no more and no less: beside jansson, on every short text of
 * the characters that matter, and on texts that were spoilt at random; and by hand where jansson has limits of its own.
 * It cannot show what longer texts that no rule distinguishes would do. */
#include "tests/support/test.h"

/* Names that both have. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/random.h"
#include "tests/support/times.h"
#include "tools/support/json/json_read.h"

static struct json_reader reader;

/* Reads all of it. False if it is wrong. */
static bool reads(const char *bytes, size_t size)
{
    enum json_token token;
    reader = (struct json_reader){.from = fmemopen((void *)(uintptr_t)bytes, size, "r")};
    assert_non_null(reader.from);
    while ((token = json_next(&reader)) != JSON_END && token != JSON_WRONG)
        continue;
    fclose(reader.from);
    assert_int_equal(token == JSON_WRONG, reader.wrong != NULL);
    return token == JSON_END;
}

static void expect_agreement(const char *bytes, size_t size)
{
    json_error_t error;
    json_t *value = json_loadb(bytes, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    /* It stops at numbers that its types cannot hold, which the grammar has. */
    if (!value && (strstr(error.text, "too big") || strstr(error.text, "overflow") || strstr(error.text, "too small")))
        return;
    bool is_right = value != NULL;
    if (reads(bytes, size) != is_right)
        fail_msg("%.*s: %s, and jansson: %s", (int)size, bytes, reader.wrong ? reader.wrong : "right",
                 is_right ? "right" : error.text);
    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
        assert_string_equal(reader.text, json_string_value(value));
    if (json_is_integer(value)) {
        assert_true(reader.is_integer);
        assert_true(reader.number == json_integer_value(value));
    }
    if (json_is_real(value))
        assert_false(reader.is_integer);
    json_decref(value);
}

/* Every text of up to `most` of the characters, between the two ends. */
static void try_all(const char *before, const char *characters, size_t most, const char *behind)
{
    size_t count = strlen(characters), places[8] = {0}, held = 1;
    char text[64];
    while (held <= most) {
        char *at = stpcpy(text, before);
        for (size_t i = 0; i < held; i++)
            *at++ = characters[places[i]];
        at = stpcpy(at, behind);
        expect_agreement(text, (size_t)(at - text));
        size_t i = 0;
        while (i < held && ++places[i] == count)
            places[i++] = 0;
        held += i == held;
    }
}

static void numbers_are_those_of_the_grammar(void **state)
{
    (void)state;
    try_all("", "012-+.eEx", 6, "");
    try_all("[", "09-.e", 5, " ]");
}

static void texts_are_those_of_the_grammar(void **state)
{
    (void)state;
    try_all("\"", "a\"\\u/nb\x01\x1f\x7f\n", 5, "\"");
    try_all("\"", "\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff", 4, "\"");
    try_all("\"\\u", "0dDfG\x10\x19\"", 4, "\"");
    try_all("\"\\ud83", "d\\ue0", 7, "0\"");
    try_all("\"\\udbff\\ud", "fF\\b8", 3, "\"");
}

static void structure_is_that_of_the_grammar(void **state)
{
    (void)state;
    try_all("", "[]{},:\"0 \t\n\r\f", 5, "");
    try_all("{\"a\":", "[]{},:\"1", 5, "}");
    try_all("", "trueflsn", 5, "");
}

static void spoilt_texts_are_judged_alike(void **state)
{
    static const char whole[] =
        "{\"a\": [1, -2.5e+3, null, true, false, \"x\\u00e9\\ud83d\\ude00\\n\xc3\xa9\"], \"b\": {}, "
        "\"c\": [[], {\"d\": 0}], \"e\": 12345678901}\n";
    static const char from[] = "0123456789,:{}[]\"\\u-+.eE \n\x80\xc3\xed\x1f";
    struct random random = {7};
    (void)state;
    expect_agreement(whole, sizeof whole - 1);
    for (unsigned i = 0; i < 50000 * test_times(); i++) {
        char text[sizeof whole];
        memcpy(text, whole, sizeof whole);
        for (unsigned changes = 1 + random_below(&random, 3); changes; changes--)
            text[random_below(&random, sizeof whole - 1)] = from[random_below(&random, sizeof from - 1)];
        expect_agreement(text, sizeof whole - 1);
    }
}

static void limits_are_told_from_mistakes(void **state)
{
    char text[1 << 14];
    (void)state;
    /* A number of any length is one. */
    memset(text, '7', 10000);
    assert_true(reads(text, 10000));
    assert_false(reader.is_integer);
    memcpy(text, "-9223372036854775808", 20);
    assert_true(reads(text, 20));
    assert_true(reader.is_integer && reader.number == INT64_MIN);
    memcpy(text, "-9223372036854775809", 20);
    assert_true(reads(text, 20));
    assert_false(reader.is_integer);
    assert_true(reads("1e999999", 8));
    /* So deep and no deeper. */
    memset(text, '[', JSON_DEPTH_MOST);
    memset(text + JSON_DEPTH_MOST, ']', JSON_DEPTH_MOST);
    assert_true(reads(text, 2 * JSON_DEPTH_MOST));
    memset(text, '[', JSON_DEPTH_MOST + 1);
    memset(text + JSON_DEPTH_MOST + 1, ']', JSON_DEPTH_MOST + 1);
    assert_false(reads(text, 2 * JSON_DEPTH_MOST + 2));
    assert_string_equal(reader.wrong, "it is nested too deeply");
    /* A zero does not end a text. */
    assert_true(reads("\"old\\u0000x\"", 12));
    assert_string_not_equal(reader.text, "old");
    /* What is wrong is named with its line. */
    static const struct {
        const char *text, *wrong;
        size_t line;
    } rows[] = {
        {"[\n01]", "a number begins with a zero too many", 1},
        {"[1.,\n2]", "a number has no digits behind its point", 0},
        {"[1e+]", "a number has no digits in its exponent", 0},
        {"[-]", "a number has no digits", 0},
        {"[+1]", "a value is missing", 0},
        {"[\n\n\"\x1b\"]", "a text holds a control character that is not escaped", 2},
        {"[\"\\ud800\"]", "a text has an unknown escape", 0},
        {"[\"\xff\"]", "a text is no UTF-8", 0},
        {"[\"a", "a text does not end", 0},
        {"[0x10]", "a comma or a bracket is missing", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_false(reads(rows[i].text, strlen(rows[i].text)));
        assert_string_equal(reader.wrong, rows[i].wrong);
        assert_int_equal(reader.line, rows[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_grammar), cmocka_unit_test(texts_are_those_of_the_grammar),
        cmocka_unit_test(structure_is_that_of_the_grammar), cmocka_unit_test(spoilt_texts_are_judged_alike),
        cmocka_unit_test(limits_are_told_from_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
