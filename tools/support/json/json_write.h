/* json_write.h: JSON written as it comes, for what is too much to be in memory as a whole. */
#ifndef SEGUE_TOOLS_JSON_WRITE_H
#define SEGUE_TOOLS_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Zeros except the file and the layout. Errors are the file's. */
struct json_writer {
    FILE *to;
    /* A member a line, with a blank for each level; else all in one line. */
    bool has_lines;
    unsigned depth;
    bool is_behind_one;
};

/* `name` is NULL for an element of an array, and for the outermost value. */
void json_open(struct json_writer *json, const char *name, char bracket);
void json_close(struct json_writer *json, char bracket);
void json_number(struct json_writer *json, const char *name, int64_t number);
/* Finite. json_real is a name of libjansson. */
void json_decimal(struct json_writer *json, const char *name, double number);
/* A text; NULL is null. Bytes that are not UTF-8 are shown as \xNN, which cannot be distinguished from such a text: for
 * a name of any bytes use json_name. */
void json_text(struct json_writer *json, const char *name, const char *text);

/* A name of any bytes. If it is not UTF-8, its bytes follow in hexadecimal, in a member NAME_hex. */
void json_name(struct json_writer *json, const char *name, const char *bytes);

#endif
