/* json_read.h: JSON read token by token, for what is too much to be in memory as a whole. */
#ifndef SEGUE_TOOLS_JSON_READ_H
#define SEGUE_TOOLS_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum json_token {
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    /* A member's name; its value follows. */
    JSON_NAME,
    JSON_TEXT,
    JSON_NUMBER,
    /* true, false or null. */
    JSON_WORD,
    JSON_END,
    JSON_WRONG,
};

#define JSON_DEPTH_MOST 64
#define JSON_TEXT_SIZE 8192

/* Zeros except the file. */
struct json_reader {
    FILE *from;
    size_t line;
    /* Of a name or a text: with its escapes resolved, and cut off where it is longer. */
    char text[JSON_TEXT_SIZE];
    /* Of a number, and whether it is one that fits: no fraction, no exponent. */
    int64_t number;
    bool is_integer;
    /* What is wrong; NULL if nothing is. */
    const char *wrong;

    char open[JSON_DEPTH_MOST];
    unsigned depth;
    /* What may come next. */
    bool wants_name, is_behind_value, is_behind_name, is_over;
};

/* The next one. After JSON_WRONG there is no more. */
enum json_token json_next(struct json_reader *json);

/* Passes over the value that begins with `token`, which was just read. False if it is wrong. */
bool json_skip(struct json_reader *json, enum json_token token);

#endif
